/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/ledger.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/encode.h"
#include "base/own.h"
#include "relay/ledger_rows.h"

#define CACHE_BYTES   (32u << 20)
#define WAL_BYTES_MAX (64u << 20)

struct ledger {
    struct db *db;
    struct audit_log *log;
    struct db_batch *batch;
    struct work_pool *pool; /* NULL until ledger_start(). */
    atomic_bool well;
};

const struct audit_families ledger_audit_families = {.entries = LEDGER_AUDIT_ENTRIES,
                                                     .checkpoints = LEDGER_AUDIT_CHECKPOINTS,
                                                     .state = LEDGER_AUDIT_STATE};

const struct db_family ledger_families[LEDGER_FAMILY_COUNT] = {
    [LEDGER_SUBMISSIONS] = {.name = "submissions", .random_keys = true},
    [LEDGER_OPEN] = {.name = "open"}, /* Walked at start, and small. */
    [LEDGER_KEYS] = {.name = "keys", .random_keys = true},
    [LEDGER_SETTLEMENTS] = {.name = "settlements"},
    [LEDGER_AUDIT_ENTRIES] = {.name = "audit_entries"},
    [LEDGER_AUDIT_CHECKPOINTS] = {.name = "audit_checkpoints"},
    [LEDGER_AUDIT_STATE] = {.name = "audit_state"},
};

static_assert(offsetof(struct ledger_op, work) == 0, "op_of() is a cast");

static struct ledger_op *op_of(struct work *work)
{
    return (struct ledger_op *)work;
}

struct db *ledger_db(struct ledger *ledger)
{
    return ledger->db;
}

struct audit_log *ledger_log(struct ledger *ledger)
{
    return ledger->log;
}

bool ledger_is_well(const struct ledger *ledger)
{
    return atomic_load(&ledger->well);
}

STATUS ledger_audit(struct ledger *ledger, struct db_batch *batch, struct audit_entry *entry)
{
    uint64_t seq = 0;

    entry->ts_ms = clock_now_ms();
    return audit_log_append(ledger->log, batch, entry, &seq);
}

/* What is in the batch is durable once this succeeds; else none of it is. */
static STATUS commit(struct ledger *ledger)
{
    struct status status = STATUS_OK;

    if (db_batch_count(ledger->batch) > 0) {
        audit_log_seal(ledger->log, ledger->batch);
        status = db_commit(ledger->db, ledger->batch);
        if (failed(status) && !failed(db_resume(ledger->db)))
            status = db_commit(ledger->db, ledger->batch);
        if (failed(status))
            audit_log_abandon(ledger->log);
        else
            audit_log_committed(ledger->log);
        atomic_store(&ledger->well, !failed(status));
    }
    db_batch_clear(ledger->batch);
    return status;
}

static void apply(struct ledger *ledger, struct ledger_op *op)
{
    unsigned rows = db_batch_count(ledger->batch);
    uint64_t seq = audit_log_next_seq(ledger->log);

    op->status = op->apply(op, ledger, ledger->batch);
    if (failed(op->status)) {
        audit_log_rewind(ledger->log, seq);
        db_batch_rewind(ledger->batch, rows);
    }
}

void ledger_run(struct ledger *ledger, struct ledger_op *first)
{
    for (struct work *at = &first->work; at != NULL;) {
        struct work *start = at;
        for (unsigned i = 0; at != NULL && i < LEDGER_BATCH_OPS_MAX; i++, at = at->next)
            apply(ledger, op_of(at));
        struct status status = commit(ledger);
        for (; failed(status) && start != at; start = start->next)
            if (!failed(op_of(start)->status))
                op_of(start)->status = status;
    }
}

static void run_all(void *owner, struct work *list)
{
    ledger_run(owner, op_of(list));
}

static void on_done(struct work *work)
{
    struct ledger_op *op = op_of(work);

    op->done(op);
}

STATUS ledger_submit(struct ledger *ledger, struct ledger_op *op)
{
    ENSURE(ledger->pool != NULL, WHY_BUSY); /* It was stopped. */
    assert(op->apply != NULL && op->done != NULL);
    op->work = (struct work){.done = on_done};
    op->status = STATUS_OK;
    return work_submit(ledger->pool, &op->work);
}

STATUS ledger_open(const char *path, const char *origin, struct ledger **out_ledger, char *error,
                   size_t error_size)
{
    char reason[256] = "";
    struct db_options options = {.families = ledger_families,
                                 .family_count = LEDGER_FAMILY_COUNT,
                                 .cache_bytes = CACHE_BYTES,
                                 .wal_bytes_max = WAL_BYTES_MAX,
                                 .create = true};

    OWNED(ledger_close) struct ledger *ledger = calloc(1, sizeof *ledger);
    ENSURE(ledger != NULL, WHY_NO_MEMORY);
    struct status status = db_open(path, &options, &ledger->db, reason, sizeof reason);
    if (failed(status)) {
        snprintf(error, error_size, "the store %s cannot be opened: %s", path, reason);
        return status;
    }
    status = audit_log_open(ledger->db, &ledger_audit_families, origin, &ledger->log);
    if (failed(status)) {
        snprintf(error, error_size,
                 "the audit log in %s contradicts itself; run `cardkeep audit verify --store`",
                 path);
        return status;
    }
    TRY(db_batch_new(&ledger->batch));
    atomic_store(&ledger->well, true);

    bool more = true;
    while (more) {
        status = ledger_rows_recover(ledger, ledger->batch, LEDGER_BATCH_OPS_MAX, &more);
        if (!failed(status))
            status = commit(ledger);
        if (failed(status)) {
            snprintf(error, error_size, "what was under way cannot be recorded in %s: %s", path,
                     db_trouble(ledger->db));
            return status;
        }
    }
    *out_ledger = MOVE(ledger);
    return STATUS_OK;
}

STATUS ledger_start(struct ledger *ledger, struct loop *loop, unsigned queue_max)
{
    struct work_options options = {.loop = loop,
                                   .thread_count = 1,
                                   .queue_max = queue_max,
                                   .run_all = run_all,
                                   .owner = ledger};
    return work_pool_new(&options, &ledger->pool);
}

void ledger_stop(struct ledger *ledger)
{
    if (ledger != NULL)
        work_pool_free(&ledger->pool);
}

void ledger_close(struct ledger **ledger)
{
    if (*ledger == NULL)
        return;
    ledger_stop(*ledger);
    db_batch_free(&(*ledger)->batch);
    audit_log_free(&(*ledger)->log);
    db_close(&(*ledger)->db);
    free(*ledger);
    *ledger = NULL;
}
