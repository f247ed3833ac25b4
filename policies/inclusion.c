/* SPDX-License-Identifier: Apache-2.0 */
#include "policies/inclusion.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"

/* Every other leaf is below exactly one sibling of the path: the one at the height of the highest
 * bit in which its index differs from ours.  So a frontier for each height is all that is kept, and
 * the roots of those that got a leaf are the path. */
struct inclusion {
    uint64_t index;
    uint64_t size;
    uint64_t seen;
    struct merkle_frontier siblings[MERKLE_LEVELS_MAX];
};

STATUS inclusion_new(uint64_t index, uint64_t size, struct inclusion **out_inclusion)
{
    ENSURE(index < size, WHY_BAD_INPUT);
    struct inclusion *inclusion = calloc(1, sizeof *inclusion);
    ENSURE(inclusion != NULL, WHY_NO_MEMORY);
    inclusion->index = index;
    inclusion->size = size;
    *out_inclusion = inclusion;
    return STATUS_OK;
}

void inclusion_free(struct inclusion **inclusion)
{
    free(*inclusion);
    *inclusion = NULL;
}

void inclusion_add(struct inclusion *inclusion, const uint8_t leaf[static MERKLE_HASH_BYTES])
{
    if (inclusion->seen == inclusion->size)
        return;
    uint64_t differs = inclusion->seen++ ^ inclusion->index;
    if (differs != 0)
        merkle_add(&inclusion->siblings[63 - __builtin_clzll(differs)], leaf);
}

STATUS inclusion_path(const struct inclusion *inclusion, struct inclusion_path *out_path)
{
    ENSURE(inclusion->seen == inclusion->size, WHY_NOT_FOUND);
    *out_path = (struct inclusion_path){.index = inclusion->index, .size = inclusion->size};
    for (unsigned level = 0; level < MERKLE_LEVELS_MAX; level++)
        if (inclusion->siblings[level].size > 0)
            merkle_root(&inclusion->siblings[level], out_path->hashes[out_path->count++]);
    return STATUS_OK;
}

STATUS inclusion_check(const struct inclusion_path *path,
                       const uint8_t leaf[static MERKLE_HASH_BYTES],
                       const uint8_t root[static MERKLE_HASH_BYTES])
{
    ENSURE(path->index < path->size, WHY_FORGED);
    assert(path->count <= MERKLE_LEVELS_MAX);
    uint64_t node = path->index;
    uint64_t last = path->size - 1;
    uint8_t hash[MERKLE_HASH_BYTES];

    memcpy(hash, leaf, sizeof hash);
    for (unsigned i = 0; i < path->count; i++) {
        ENSURE(last != 0, WHY_FORGED);
        if ((node & 1) != 0 || node == last) {
            merkle_node(path->hashes[i], hash, hash);
            /* The last node of a level that has no sibling moves up as it is. */
            for (; (node & 1) == 0 && node != 0; node >>= 1)
                last >>= 1;
        } else {
            merkle_node(hash, path->hashes[i], hash);
        }
        node >>= 1;
        last >>= 1;
    }
    ENSURE(last == 0, WHY_FORGED);
    ENSURE(memcmp(hash, root, sizeof hash) == 0, WHY_FORGED);
    return STATUS_OK;
}
