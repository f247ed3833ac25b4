/* SPDX-License-Identifier: Apache-2.0 */
/* policies/merkle.h -- RFC 6962 section 2.1 tree hashing with SHA-256.
 *
 * In      entries, one after another.
 * Out     leaf hashes, roots; the frontier (the roots of the full subtrees, largest first) is all
 *         that is kept.
 * Never   needs an earlier entry again.
 * Threads one at a time per frontier.
 */
#ifndef POLICIES_MERKLE_H
#define POLICIES_MERKLE_H

#include <stdint.h>

#include "base/buffer.h"
#include "base/status.h"

#define MERKLE_HASH_BYTES 32u
#define MERKLE_LEVELS_MAX 64u

struct merkle_frontier {
    uint64_t size; /* Leaves so far. */
    uint8_t nodes[MERKLE_LEVELS_MAX]
                 [MERKLE_HASH_BYTES]; /* [l] is used when bit l of size is set. */
};

void merkle_leaf(const void *entry, size_t size, uint8_t out[static MERKLE_HASH_BYTES]);
/* `out` may be one of the two. */
void merkle_node(const uint8_t left[static MERKLE_HASH_BYTES],
                 const uint8_t right[static MERKLE_HASH_BYTES],
                 uint8_t out[static MERKLE_HASH_BYTES]);
void merkle_add(struct merkle_frontier *frontier, const uint8_t leaf[static MERKLE_HASH_BYTES]);
void merkle_root(const struct merkle_frontier *frontier, uint8_t out[static MERKLE_HASH_BYTES]);

/* Both directions of the stored form: u64 size, then the used nodes from the largest down.
 * WHY_BAD_INPUT: not as long as its size says. */
void merkle_frontier_encode(const struct merkle_frontier *frontier, struct buffer *out);
STATUS merkle_frontier_decode(const void *bytes, size_t size, struct merkle_frontier *out_frontier);

#endif
