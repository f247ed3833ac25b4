/* SPDX-License-Identifier: Apache-2.0 */
/* policies/audit_log.h -- a daemon's log: entries and tree in the same batch as what they record.
 *
 * In      entries; signed checkpoints from the signer.
 * Out     rows in three families of the daemon's store: entries (u64 seq -> JSON), checkpoints (u64
 *         size -> signed note; u64 size | 'f' -> encoded frontier at that size), state ("frontier"
 *         -> encoded frontier; "epoch" -> u64, where it is not 1: epoch.h).
 * Never   writes an entry apart from its batch; counts an entry whose batch was not committed;
 *         opens under an origin whose last signed checkpoint the store does not reach (rollback).
 * Threads one at a time: that of the store's writer; audit_log_entry() and
 *         audit_log_last_checkpoint() any.
 */
#ifndef POLICIES_AUDIT_LOG_H
#define POLICIES_AUDIT_LOG_H

#include <stdint.h>

#include "base/buffer.h"
#include "base/db.h"
#include "base/status.h"
#include "policies/audit_entry.h"
#include "policies/epoch.h"
#include "policies/merkle.h"
#include "policies/note.h"

struct audit_log;

struct audit_families {
    unsigned entries;
    unsigned checkpoints;
    unsigned state;
};

/* Borrows `db`.  Reads the frontier and checks it against the last entry, the newest checkpoint and
 * every entry behind that.  WHY_FORGED: the rows contradict each other. */
STATUS audit_log_open(struct db *db, const struct audit_families *families, const char *origin,
                      struct audit_log **out_log);
void audit_log_free(struct audit_log **log);

/* Compares the store with what the signer signed last (from the signer's own memory): WHY_CONFLICT
 * when the store is shorter, its root at that size is another, or it holds a checkpoint that the
 * signer does not remember; `error` gets a sentence for people. */
STATUS audit_log_check(struct audit_log *log, const struct checkpoint *last_signed, char *error,
                       size_t error_size);

/* Which epoch the log is in, as far as it has an entry about it. */
uint32_t audit_log_epoch(const struct audit_log *log);
/* Appends the encoded frontier of the statement's tree, for SIGNER_FORK.  WHY_CONFLICT: this log
 * does not begin with that tree, or has come to the statement's epoch already. */
STATUS audit_log_accepts(struct audit_log *log, const struct epoch_statement *statement,
                         struct buffer *out_frontier);
/* Begins the epoch that the signer is in: `entry`, of which actor and origin are given, becomes the
 * one that says so.  Commit before anything more is signed. */
STATUS audit_log_begin_epoch(struct audit_log *log, struct db_batch *batch,
                             const struct epoch_fork *fork, struct audit_entry *entry);

/* Adds an entry to the batch and to the pending tree; its sequence number.  WHY_LIMIT: too long;
 * WHY_BUSY: the batch is full. */
STATUS audit_log_append(struct audit_log *log, struct db_batch *batch,
                        const struct audit_entry *entry, uint64_t *out_seq);
/* Takes back every append since `seq` (an operation of the batch failed: rewind the batch too).
 * Costs nothing: the tree is computed at the seal. */
void audit_log_rewind(struct audit_log *log, uint64_t seq);
/* Puts the new frontier into the batch: once, directly before db_commit(). */
void audit_log_seal(struct audit_log *log, struct db_batch *batch);
/* After db_commit(): it held; or it did not, and the pending entries are forgotten. */
void audit_log_committed(struct audit_log *log);
void audit_log_abandon(struct audit_log *log);

uint64_t audit_log_size(const struct audit_log *log);     /* Committed entries. */
uint64_t audit_log_next_seq(const struct audit_log *log); /* With those pending. */
void audit_log_root(const struct audit_log *log, uint8_t out[static MERKLE_HASH_BYTES]);

/* Leaf hashes of committed entries [from, from + count), appended to `out`: what the signer wants.
 * WHY_NOT_FOUND when they are not all there.  From memory where no checkpoint covers them yet. */
STATUS audit_log_leaves(struct audit_log *log, uint64_t from, unsigned count, struct buffer *out);

/* Puts a signed checkpoint into the batch, before the seal, after checking that it is of this tree
 * (WHY_CONFLICT: of another, or older than the newest one stored; WHY_BAD_INPUT: no checkpoint).
 * Its signature is the caller's to check, with note_open(). */
STATUS audit_log_put_checkpoint(struct audit_log *log, struct db_batch *batch, const void *note,
                                size_t size);
/* The newest stored checkpoint note.  WHY_NOT_FOUND when there is none yet. */
STATUS audit_log_last_checkpoint(struct audit_log *log, struct buffer *out);

/* One entry's bytes. */
STATUS audit_log_entry(struct audit_log *log, uint64_t seq, struct buffer *out);

#endif
