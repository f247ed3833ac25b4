/* SPDX-License-Identifier: Apache-2.0 */
/* policies/audit_verify.h -- proves or disproves a log, entry by entry.
 *
 * In      entries in order and signed checkpoints, from a store or from a running daemon.
 * Out     how many entries and checkpoints hold, or the first thing that does not, by its sequence
 *         number.
 * Never   trusts the stored frontier.
 * Threads one.
 */
#ifndef POLICIES_AUDIT_VERIFY_H
#define POLICIES_AUDIT_VERIFY_H

#include <stdint.h>

#include "base/db.h"
#include "policies/audit_log.h"

struct audit_verify; /* A verification under way: feed it in order. */

enum audit_part { AUDIT_PART_ENTRY, AUDIT_PART_CHECKPOINT, AUDIT_PART_STATE };

struct audit_verdict {
    bool good;
    uint64_t entries;
    uint64_t checkpoints;
    uint64_t signed_size; /* Entries under the newest good checkpoint. */
    uint8_t root[MERKLE_HASH_BYTES];
    uint32_t epoch;       /* 1, or how often its store was exchanged for an older one, and 1. */
    uint64_t epoch_entry; /* The entry that says so last; 0 in epoch 1. */
    uint32_t keys;        /* Entries that say that another key signs from now on. */
    char trouble[256];    /* "" when good; else what, and at which seq. */
    enum audit_part part; /* Where the trouble is: its row, or the first of those that it may be. */
    uint64_t at;
};

/* Without a `key` (NULL) no signature is asked: what is left is whether the rows agree. */
STATUS audit_verify_new(const char *origin, const struct note_key *key, struct audit_verify **out);
/* One more key to believe: of a log whose signer changed keys, the next beside the old.  Without it
 * the log itself must say, under the old one's signature, that the next one follows; with the next
 * one alone, that it followed.  WHY_LIMIT. */
STATUS audit_verify_trust(struct audit_verify *verify, const struct note_key *key);
void audit_verify_free(struct audit_verify **verify);
/* Checks that it is a JSON object whose seq is the next one; adds its leaf. */
void audit_verify_entry(struct audit_verify *verify, const void *entry, size_t size);
/* A checkpoint may be given any time from its size on backwards: those ahead of the entries seen
 * are remembered (at most one waits), so feed checkpoints in order of size, each before the entry
 * with its size as seq. */
void audit_verify_checkpoint(struct audit_verify *verify, const void *note, size_t size);
/* Opens a checkpoint by the keys that are believed by now. */
STATUS audit_verify_opens(const struct audit_verify *verify, const void *note, size_t size,
                          struct checkpoint *out_checkpoint);
/* Ends it.  A log without any checkpoint, or with a checkpoint beyond its last entry (truncation),
 * is not good. Entries behind the last checkpoint are counted but not signed yet. */
void audit_verify_end(struct audit_verify *verify, struct audit_verdict *out_verdict);

/* All of it over a store opened read-only. */
STATUS audit_verify_store(struct db *db, const struct audit_families *families, const char *origin,
                          const struct note_key *key, struct audit_verdict *out_verdict);
/* The same with several keys to believe: one log's, that changed its signing key. */
struct audit_trust {
    const struct note_key *keys; /* By the log's first name. */
    unsigned count;
};
STATUS audit_verify_store_by(struct db *db, const struct audit_families *families,
                             const char *origin, const struct audit_trust *trust,
                             struct audit_verdict *out_verdict);

#endif
