/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/ledger.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/encode.h"
#include "base/log.h"
#include "base/own.h"
#include "relay/ledger_rows.h"

#define CACHE_BYTES   (32u << 20)
#define WAL_BYTES_MAX (64u << 20)
#define PACE_US       1000 /* A commit costs 0.2 ms of CPU, whatever is in it. */
#define RETURN_MS     1000 /* Between two attempts to go on after a failure. */
#define INTENTS_BYTES (LEDGER_BATCH_OPS_MAX * LEDGER_ID_MAX)

struct ledger {
    struct db *db;
    struct audit_log *log; /* NULL after a ledger_return() that failed half-way. */
    char origin[NOTE_NAME_BYTES_MAX];
    struct db_batch *batch;
    struct work_pool *pool; /* NULL until ledger_start(). */
    atomic_bool well;

    /* Of the batch under way, or of the one that failed. */
    struct buffer intents; /* Ids, LEDGER_ID_MAX bytes each. */
    uint64_t sealed_size;  /* Of the log with it; 0: it had no entry, or was never tried. */
    int64_t return_due_ms;
};

const struct audit_families ledger_audit_families = {.entries = LEDGER_AUDIT_ENTRIES,
                                                     .checkpoints = LEDGER_AUDIT_CHECKPOINTS,
                                                     .state = LEDGER_AUDIT_STATE};

const struct db_family ledger_families[LEDGER_FAMILY_COUNT] = {
    [LEDGER_SUBMISSIONS] = {.name = "submissions"}, /* Keys are of random_ordered_id(). */
    [LEDGER_OPEN] = {.name = "open"},               /* The same. */
    [LEDGER_KEYS] = {.name = "keys", .random_keys = true},
    [LEDGER_SETTLEMENTS] = {.name = "settlements"}, /* The same. */
    [LEDGER_AUDIT_ENTRIES] = {.name = "audit_entries"},
    [LEDGER_AUDIT_CHECKPOINTS] = {.name = "audit_checkpoints"},
    [LEDGER_AUDIT_STATE] = {.name = "audit_state"},
    [LEDGER_EXPIRIES] = {.name = "expiries"},
    [LEDGER_META] = {.name = "meta"},
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

STATUS ledger_note_intent(struct ledger *ledger, const char *id)
{
    char padded[LEDGER_ID_MAX] = "";

    memcpy(padded, id, strlen(id));
    buffer_add(&ledger->intents, padded, sizeof padded);
    return buffer_status(&ledger->intents);
}

/* After a failed commit: opens the store again and reads the log from it.  A batch whose sync
 * failed may have come back, whole; *out_came_back says so. */
static STATUS store_return(struct ledger *ledger, bool *out_came_back)
{
    TRY(db_resume(ledger->db));
    audit_log_free(&ledger->log);
    TRY(audit_log_open(ledger->db, &ledger_audit_families, ledger->origin, &ledger->log));
    *out_came_back = ledger->sealed_size != 0 && audit_log_size(ledger->log) >= ledger->sealed_size;
    return STATUS_OK;
}

/* The one failure that a second try mends: what the store could not take it takes once it was
 * opened again. */
static STATUS commit_again(struct ledger *ledger)
{
    bool came_back = false;

    TRY(store_return(ledger, &came_back));
    if (came_back)
        return STATUS_OK;
    TRY(db_commit(ledger->db, ledger->batch));
    audit_log_free(&ledger->log); /* It knows nothing of that batch. */
    return audit_log_open(ledger->db, &ledger_audit_families, ledger->origin, &ledger->log);
}

/* What is in the batch is durable once this succeeds; else none of it is. */
static STATUS commit(struct ledger *ledger)
{
    struct status status = STATUS_OK;

    ledger->sealed_size = 0;
    if (db_batch_count(ledger->batch) > 0) {
        if (audit_log_next_seq(ledger->log) > audit_log_size(ledger->log))
            ledger->sealed_size = audit_log_next_seq(ledger->log);
        audit_log_seal(ledger->log, ledger->batch);
        status = db_commit(ledger->db, ledger->batch);
        if (failed(status)) {
            log_failure(LOG_ERROR, "commit_failed", status, "store", db_trouble(ledger->db), NULL);
            audit_log_abandon(ledger->log);
            status = commit_again(ledger);
        } else {
            audit_log_committed(ledger->log);
        }
    }
    atomic_store(&ledger->well, !failed(status));
    db_batch_clear(ledger->batch);
    return status;
}

/* What a batch that failed and came back had begun was refused: nothing of it was sent. */
static STATUS withdraw(struct ledger *ledger)
{
    struct status status = STATUS_OK;

    for (size_t at = 0; at < ledger->intents.size && !failed(status); at += LEDGER_ID_MAX)
        status =
            ledger_rows_withdraw(ledger, ledger->batch, (const char *)ledger->intents.bytes + at);
    if (failed(status)) {
        audit_log_abandon(ledger->log);
        db_batch_clear(ledger->batch);
        return status;
    }
    return commit(ledger);
}

/* Goes on after a failure, if it is time to try and the disk lets it. */
static STATUS ledger_return(struct ledger *ledger)
{
    int64_t now_ms = clock_monotonic_ms();
    bool came_back = false;

    ENSURE(now_ms >= ledger->return_due_ms, WHY_IO);
    ledger->return_due_ms = now_ms + RETURN_MS;
    TRY(store_return(ledger, &came_back));
    TRY(withdraw(ledger));
    log_event(LOG_WARN, "store_came_back", NULL);
    return STATUS_OK;
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

/* Whether the batch of `count` operations takes this one, too. */
static bool fits(struct work *work, unsigned count)
{
    if (work == NULL || count >= LEDGER_BATCH_OPS_MAX)
        return false;
    return count == 0 || !op_of(work)->starts_batch;
}

void ledger_run(struct ledger *ledger, struct ledger_op *first)
{
    for (struct work *at = &first->work; at != NULL;) {
        struct work *start = at;
        struct status status = ledger_is_well(ledger) ? STATUS_OK : ledger_return(ledger);
        bool usable = !failed(status);
        if (usable)
            buffer_clear(&ledger->intents);
        for (unsigned i = 0; fits(at, i); i++, at = at->next)
            if (usable)
                apply(ledger, op_of(at));
        if (usable)
            status = commit(ledger);
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
    assert(strlen(origin) < sizeof ledger->origin);
    memcpy(ledger->origin, origin, strlen(origin));
    ledger->intents = BUFFER(INTENTS_BYTES);
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
                                   .pace_us = PACE_US,
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
    buffer_free(&(*ledger)->intents);
    db_close(&(*ledger)->db);
    free(*ledger);
    *ledger = NULL;
}
