/* SPDX-License-Identifier: Apache-2.0 */
/* relay/ledger.h -- the relay's own store: every attempt and its audit entry in one synced batch.
 *
 * In      operations, each of which adds rows and entries to the batch of its turn.
 * Out     the same operations, home again once what they wrote is durable; what waits while one
 *         batch syncs is the next batch.
 * Never   holds a card, a CVV or a credential; answers before the sync.
 * Threads ledger_submit() and every `done` the loop's; every `apply` the ledger's one writer.
 */
#ifndef RELAY_LEDGER_H
#define RELAY_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/db.h"
#include "base/loop.h"
#include "base/status.h"
#include "base/work.h"
#include "policies/audit_log.h"

#define LEDGER_ID_MAX            32u /* sub_ and 22 characters, with the NUL. */
#define LEDGER_LEASE_ID_MAX      72u
#define LEDGER_KEY_BYTES         32u
#define LEDGER_ANSWER_BYTES_MAX  (256u * 1024u)
#define LEDGER_TOKENS_MAX        16u
#define LEDGER_BATCH_OPS_MAX     512u
#define LEDGER_BATCH_ENTRIES_MAX 4096u

enum ledger_family {
    LEDGER_SUBMISSIONS, /* submission id -> what was attempted and what became of it. */
    LEDGER_OPEN,        /* submission id -> an attempt without an outcome, by name. */
    LEDGER_KEYS,        /* digest of principal, destination, idempotency key -> its answer. */
    LEDGER_SETTLEMENTS, /* submission id -> a settlement that the vault did not confirm yet. */
    LEDGER_AUDIT_ENTRIES,
    LEDGER_AUDIT_CHECKPOINTS,
    LEDGER_AUDIT_STATE,
    LEDGER_EXPIRIES, /* time, family, key -> nothing: what goes when (ledger_sweep.h). */
    LEDGER_META,     /* "vault_epoch" -> u64: vault_epoch.h. */
    LEDGER_FAMILY_COUNT
};

/* The families as audit_log.h wants them, and as db_open() does: also for offline verification. */
extern const struct audit_families ledger_audit_families;
extern const struct db_family ledger_families[LEDGER_FAMILY_COUNT];

struct ledger;

struct ledger_op {
    struct work work; /* First, so that a work pointer is an op pointer. */
    /* Writer thread: adds to the batch.  A failure takes back what this op added, alone. */
    STATUS (*apply)(struct ledger_op *op, struct ledger *ledger, struct db_batch *batch);
    /* Loop thread, once: status says whether all of it is durable. */
    void (*done)(struct ledger_op *op);
    /* An `apply` reads what is committed, not what its batch holds: one that must miss nothing is
     * the first of its batch. */
    bool starts_batch;
    struct status status;
};

/* Opens or makes the store and its log under `path`, without a loop: what was under way when the
 * relay last ended becomes in_doubt, durably, before this returns.  `error` gets a sentence. */
STATUS ledger_open(const char *path, const char *origin, struct ledger **out_ledger, char *error,
                   size_t error_size);
/* Starts the writer thread; ledger_submit() works from then on. */
STATUS ledger_start(struct ledger *ledger, struct loop *loop, unsigned queue_max);
/* Ends the writer thread when every accepted operation came home.  Accepts NULL. */
void ledger_stop(struct ledger *ledger);
/* ledger_stop(), and the store is closed. */
void ledger_close(struct ledger **ledger);

/* Takes the op until its `done`.  WHY_BUSY when the queue is full: it stays the caller's. */
STATUS ledger_submit(struct ledger *ledger, struct ledger_op *op);
/* Applies and commits a list (linked by work.next) at once, on this thread; `done` is not called.
 * What the writer runs; for start-up and tests. */
void ledger_run(struct ledger *ledger, struct ledger_op *first);

/* For `apply` functions only: the writer's. */
struct db *ledger_db(struct ledger *ledger);
struct audit_log *ledger_log(struct ledger *ledger);
/* Adds an audit entry; ts_ms is filled in. */
STATUS ledger_audit(struct ledger *ledger, struct db_batch *batch, struct audit_entry *entry);

/* In an `apply`: what this batch begins.  Should the batch fail and yet come back with the store,
 * it is closed again as refused. */
STATUS ledger_note_intent(struct ledger *ledger, const char *id);

/* True while the last commit held; any thread.  After a failure the next operations try to go on,
 * once a second; until that works each fails with WHY_IO, without its `apply`. */
bool ledger_is_well(const struct ledger *ledger);

#endif
