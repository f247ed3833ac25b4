/* SPDX-License-Identifier: Apache-2.0 */
/* policies/audit_tree.h -- a log from within: its rows' keys, and its tree at any size.
 *
 * In      for audit_log.c, and the keys for audit_verify.c; no one else includes this.
 * Out     leaf hashes and frontiers of committed entries.
 * Never   writes.
 * Threads that of the log.
 */
#ifndef POLICIES_AUDIT_TREE_H
#define POLICIES_AUDIT_TREE_H

#include <endian.h>
#include <string.h>

#include "policies/audit_log.h"

/* A checkpoint's two rows stand side by side: u64 size -> note, and u64 size | 'f' -> the frontier
 * at that size, from which a later start can go on without hashing what lies before. */
#define AUDIT_SIZE_KEY_BYTES     8u
#define AUDIT_FRONTIER_KEY_BYTES 9u

/* Frontiers remembered at sizes that the signer is about to sign. */
#define AUDIT_MARK_COUNT 4u

struct audit_log {
    struct db *db; /* Borrowed. */
    struct audit_families families;
    char origin[NOTE_NAME_BYTES_MAX]; /* Of its first epoch. */
    uint32_t epoch;
    uint32_t epoch_next; /* In the batch; 0: none. */

    struct merkle_frontier committed;
    struct merkle_frontier sealed; /* With the pending leaves; what the next commit makes true. */
    bool is_sealed;
    struct buffer pending; /* Leaf hashes behind `committed`; the tree is computed at the seal. */
    struct buffer entry;   /* Room for one entry, used again and again. */
    struct buffer row;     /* Room for a frontier. */

    struct merkle_frontier base; /* At the newest stored checkpoint. */
    struct merkle_frontier base_next;
    bool base_waits; /* base_next is in the batch. */

    struct merkle_frontier marks[AUDIT_MARK_COUNT];
    unsigned mark_next;
    struct buffer recent; /* Leaf hashes of entries [recent_from, committed.size). */
    uint64_t recent_from;
};

static inline void audit_tree_key(uint64_t size, uint8_t out[static AUDIT_SIZE_KEY_BYTES])
{
    uint64_t big = htobe64(size);
    memcpy(out, &big, sizeof big);
}

static inline uint64_t audit_tree_key_size(const uint8_t *key)
{
    uint64_t big = 0;
    memcpy(&big, key, sizeof big);
    return be64toh(big);
}

static inline bool audit_tree_key_is_frontier(const uint8_t *key, size_t key_bytes)
{
    return key_bytes == AUDIT_FRONTIER_KEY_BYTES && key[AUDIT_SIZE_KEY_BYTES] == 'f';
}

/* As audit_log_leaves(). */
STATUS audit_tree_leaves(struct audit_log *log, uint64_t from, unsigned count, struct buffer *out);
/* Grows `frontier` by the committed entries up to `size`. */
STATUS audit_tree_extend(struct audit_log *log, struct merkle_frontier *frontier, uint64_t size);
/* The tree as it was with `size` entries, from the nearest place known. */
STATUS audit_tree_at(struct audit_log *log, uint64_t size, struct merkle_frontier *out_frontier);

#endif
