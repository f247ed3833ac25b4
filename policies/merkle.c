/* SPDX-License-Identifier: Apache-2.0 */
#include "policies/merkle.h"

#include <assert.h>
#include <string.h>

#include "base/hash.h"

/* RFC 6962 section 2.1: the first byte keeps a leaf from ever being taken for a node. */
#define LEAF_PREFIX 0x00u
#define NODE_PREFIX 0x01u

static_assert(MERKLE_HASH_BYTES == HASH_BYTES, "the tree's hash is SHA-256");

void merkle_node(const uint8_t left[static MERKLE_HASH_BYTES],
                 const uint8_t right[static MERKLE_HASH_BYTES],
                 uint8_t out[static MERKLE_HASH_BYTES])
{
    uint8_t node[1 + 2 * MERKLE_HASH_BYTES];

    node[0] = NODE_PREFIX;
    memcpy(node + 1, left, MERKLE_HASH_BYTES);
    memcpy(node + 1 + MERKLE_HASH_BYTES, right, MERKLE_HASH_BYTES);
    hash_begin();
    hash_add(node, sizeof node);
    hash_end(out);
}

static bool level_used(const struct merkle_frontier *frontier, unsigned level)
{
    return (frontier->size >> level & 1u) != 0;
}

void merkle_leaf(const void *entry, size_t size, uint8_t out[static MERKLE_HASH_BYTES])
{
    static const uint8_t prefix = LEAF_PREFIX;

    hash_begin();
    hash_add(&prefix, sizeof prefix);
    hash_add(entry, size);
    hash_end(out);
}

void merkle_add(struct merkle_frontier *frontier, const uint8_t leaf[static MERKLE_HASH_BYTES])
{
    assert(frontier->size < UINT64_MAX);
    uint8_t carry[MERKLE_HASH_BYTES];
    unsigned level = 0;

    /* As a binary counter carries: two full subtrees of one height become one of the next. */
    memcpy(carry, leaf, sizeof carry);
    for (; level_used(frontier, level); level++)
        merkle_node(frontier->nodes[level], carry, carry);
    memcpy(frontier->nodes[level], carry, sizeof carry);
    frontier->size++;
}

void merkle_root(const struct merkle_frontier *frontier, uint8_t out[static MERKLE_HASH_BYTES])
{
    if (frontier->size == 0) {
        hash_begin();
        hash_end(out);
        return;
    }

    unsigned level = (unsigned)__builtin_ctzll(frontier->size);
    uint8_t root[MERKLE_HASH_BYTES];
    memcpy(root, frontier->nodes[level], sizeof root);
    for (level++; level < MERKLE_LEVELS_MAX; level++)
        if (level_used(frontier, level))
            merkle_node(frontier->nodes[level], root, root);
    memcpy(out, root, sizeof root);
}

void merkle_frontier_encode(const struct merkle_frontier *frontier, struct buffer *out)
{
    buffer_add_u64(out, frontier->size);
    for (unsigned above = MERKLE_LEVELS_MAX; above > 0; above--)
        if (level_used(frontier, above - 1))
            buffer_add(out, frontier->nodes[above - 1], MERKLE_HASH_BYTES);
}

STATUS merkle_frontier_decode(const void *bytes, size_t size, struct merkle_frontier *out_frontier)
{
    struct merkle_frontier frontier = {0};
    struct cursor cursor = cursor_over(bytes, size);

    frontier.size = cursor_u64(&cursor);
    for (unsigned above = MERKLE_LEVELS_MAX; above > 0; above--) {
        if (!level_used(&frontier, above - 1))
            continue;
        const uint8_t *node = cursor_bytes(&cursor, MERKLE_HASH_BYTES);
        ENSURE(node != NULL, WHY_BAD_INPUT);
        memcpy(frontier.nodes[above - 1], node, MERKLE_HASH_BYTES);
    }
    ENSURE(cursor_done(&cursor), WHY_BAD_INPUT);
    *out_frontier = frontier;
    return STATUS_OK;
}
