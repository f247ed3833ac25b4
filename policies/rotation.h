/* SPDX-License-Identifier: Apache-2.0 */
/* policies/rotation.h -- another signing key for a log: the log owner's side of signer_keys.c.
 *
 * In      what the signer says of its keys; a word that it is to have another one; the time.
 * Out     an entry that names the next key, under the old one's signature; a row that remembers it;
 *         what the signer is to be asked for next; and the entry that the old key is no more.
 * Never   lets the old key go before the log has named the next; forgets a rotation that was
 *         acknowledged, whoever dies when.
 * Threads the log's.
 */
#ifndef POLICIES_ROTATION_H
#define POLICIES_ROTATION_H

#include "base/db.h"
#include "policies/audit_log.h"
#include "policies/signer.h"

#define ROTATION_ROW     "rotation" /* Of the family audit_state. */
#define ROTATION_DAY_MS  (24 * 3600 * 1000LL)
#define ROTATION_WARN_MS (30 * ROTATION_DAY_MS)

/* How long, by the configuration. */
struct rotation_times {
    int64_t overlap_ms; /* Both sign. */
    int64_t period_ms;  /* A key is asked to be changed. */
};

struct rotation {
    bool under_way;
    uint64_t seq;     /* Of the entry that names the next key. */
    int64_t until_ms; /* Both sign until then. */
    struct note_key from;
    struct note_key to;
};

/* What the log's owner is to do now. */
enum rotation_step {
    ROTATION_REST,
    ROTATION_AGAIN,   /* Name it in the log: the signer uses a next key that it does not know. */
    ROTATION_MAKE,    /* Ask for SIGNER_STEP_MAKE: the next key that the log names is gone. */
    ROTATION_OVERLAP, /* Ask for SIGNER_STEP_OVERLAP. */
    ROTATION_RETIRE,  /* Ask for SIGNER_STEP_RETIRE. */
    ROTATION_END      /* The old key is no more: say so, and forget the rotation. */
};

/* From the store; none where there is no row.  WHY_FORGED. */
STATUS rotation_load(struct db *db, unsigned state_family, struct rotation *out_rotation);

/* `signed_size`: of the newest checkpoint that is in the store. */
enum rotation_step rotation_next(const struct rotation *rotation, const struct signer_keys *keys,
                                 uint64_t signed_size, int64_t now_ms);

/* Fills in the texts of an entry; `detail` has room for SUCCESSION_DETAIL_MAX, `object` for
 * SUCCESSION_KEY_MAX.  The entry is appended by the caller, who then keeps the row. */
void rotation_entry(const struct signer_keys *keys, char *object, char *detail,
                    struct audit_entry *entry);
void rotation_retire_entry(const struct rotation *rotation, char *object,
                           struct audit_entry *entry);
/* The row, in the batch of the entry; false in under_way: it goes. */
STATUS rotation_keep(const struct rotation *rotation, struct db *db, struct db_batch *batch,
                     unsigned state_family);

/* When the key is to be changed; a line in the log from ROTATION_WARN_MS before. */
int64_t rotation_due_ms(const struct signer_keys *keys, const struct rotation_times *times);

/* {"key", "created_at", "due_at", "next", "overlap_until"}: for people and the inventory. */
void rotation_write(const struct rotation *rotation, const struct signer_keys *keys,
                    const struct rotation_times *times, struct buffer *out);

#endif
