/* SPDX-License-Identifier: Apache-2.0 */
/* relay/ledger_sweep.h -- rows of the ledger that have had their time.
 *
 * In      when a row may go, from those who put it.
 * Out     its deletion, once that time has come: an idempotency key's with its window, a
 *         submission's with the time that the configuration keeps it.  The audit log keeps what
 *         happened.
 * Never   deletes what is under way, or what was renewed meanwhile.
 * Threads the ledger's writer.
 */
#ifndef RELAY_LEDGER_SWEEP_H
#define RELAY_LEDGER_SWEEP_H

#include "relay/ledger.h"

#define LEDGER_SWEEP_ROWS_MAX 512u

/* A row that can be swept. */
struct ledger_sweep_row {
    enum ledger_family family; /* LEDGER_KEYS or LEDGER_SUBMISSIONS. */
    const void *key;
    size_t key_size; /* At most LEDGER_KEY_BYTES. */
};
void ledger_sweep_put(struct ledger *ledger, struct db_batch *batch, int64_t when_ms,
                      const struct ledger_sweep_row *row);

/* Puts the deletion of up to LEDGER_SWEEP_ROWS_MAX rows that are due into the batch, which it
 * starts: a key that its batch had put already would be deleted for what it was before. */
struct ledger_sweep {
    struct ledger_op op;
    int64_t now_ms;
    unsigned count;   /* Out: how many were due; as many as there may be: there are more. */
    unsigned deleted; /* Out: how many of them went. */
};
struct ledger_sweep ledger_sweep_at(int64_t now_ms, void (*done)(struct ledger_op *op));
/* Of ledger_sweep_at(): the operation's. */
STATUS ledger_sweep_apply(struct ledger_op *op, struct ledger *ledger, struct db_batch *batch);

#endif
