/* SPDX-License-Identifier: Apache-2.0 */
/* policies/inclusion.h -- that one leaf is in a tree: RFC 6962 section 2.1.1.
 *
 * In      a tree's leaves, one after another; or a path from outside.
 * Out     the path from one leaf to the root, in room that does not grow with the tree; or whether
 *         a path leads from a leaf to a root.
 * Never   needs an earlier leaf again; takes a path that is longer or shorter than its tree's.
 * Threads one at a time per path.
 */
#ifndef POLICIES_INCLUSION_H
#define POLICIES_INCLUSION_H

#include "policies/merkle.h"

struct inclusion_path {
    uint64_t index;
    uint64_t size; /* Of the tree. */
    unsigned count;
    uint8_t hashes[MERKLE_LEVELS_MAX][MERKLE_HASH_BYTES]; /* Siblings, from the leaf upward. */
};

struct inclusion; /* A path that is being found. */

/* WHY_BAD_INPUT where the tree has no such leaf. */
STATUS inclusion_new(uint64_t index, uint64_t size, struct inclusion **out_inclusion);
void inclusion_free(struct inclusion **inclusion);
/* Leaf 0, 1, 2, …; what comes behind the last one is not looked at. */
void inclusion_add(struct inclusion *inclusion, const uint8_t leaf[static MERKLE_HASH_BYTES]);
/* WHY_NOT_FOUND while leaves are missing. */
STATUS inclusion_path(const struct inclusion *inclusion, struct inclusion_path *out_path);

/* RFC 9162 section 2.1.3.2.  WHY_FORGED: it does not lead there. */
STATUS inclusion_check(const struct inclusion_path *path,
                       const uint8_t leaf[static MERKLE_HASH_BYTES],
                       const uint8_t root[static MERKLE_HASH_BYTES]);

#endif
