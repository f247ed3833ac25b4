/* SPDX-License-Identifier: Apache-2.0 */
/* When a slice is due, how long it may be, and the walk over the records in it. */
#include "vault/jobs.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/encode.h"
#include "base/log.h"
#include "base/own.h"
#include "vault/jobs_inside.h"
#include "vault/keeper_seal.h"
#include "vault/statement.h"

#define SLICE_ALONE_US   20000 /* Where nobody asked for anything since QUIET_US. */
#define SLICE_NEAR_US    1000  /* Between requests, at most each NEAR_US. */
#define SLICE_RIDE_US    500   /* With every other commit of requests, at most, */
#define SLICE_RIDE_PART  8     /* and at most this part of the time that one takes alone. */
#define QUIET_US         1000000
#define NEAR_US          20000
#define SLICE_RECORDS    512u
#define SCHEDULE_US      5000000
#define RECORD_BYTES_MAX ((size_t)ENVELOPE_PLAIN_BYTES_MAX)

void jobs_close(struct jobs **jobs)
{
    if (*jobs == NULL)
        return;
    secret_free(&(*jobs)->room);
    free(*jobs);
    *jobs = NULL;
}

static STATUS jobs_open(struct jobs **out_jobs)
{
    struct jobs *jobs OWNED(jobs_close) = calloc(1, sizeof *jobs);

    ENSURE(jobs != NULL, WHY_NO_MEMORY);
    TRY(secret_new_key(RECORD_BYTES_MAX, &jobs->room));
    *out_jobs = MOVE(jobs);
    return STATUS_OK;
}

STATUS jobs_know(struct keeper *keeper)
{
    struct job job = {0};
    uint64_t id = 0;

    if (keeper->jobs == NULL)
        TRY(jobs_open(&keeper->jobs));
    struct jobs *jobs = keeper->jobs;
    if (jobs->known)
        return STATUS_OK;
    jobs->running_count = 0;
    for (;; id = job.id) {
        struct status status = jobs_next(keeper, id, &job);
        if (status.why == WHY_NOT_FOUND)
            break;
        TRY(status);
        if (job.id > jobs->last_id)
            jobs->last_id = job.id;
        if (job.state == JOB_RUNNING && jobs->running_count < JOBS_RUNNING_MAX)
            jobs->running[jobs->running_count++] = (struct jobs_running){.id = job.id};
    }
    jobs->known = true;
    return STATUS_OK;
}

/* --- The walk --- */

static STATUS slice_record(struct job_slice *slice, uint64_t record_id)
{
    struct job *job = slice->job;
    struct store_record record;
    bool moved = false;

    /* The walk sees what is committed; this turn may have erased it. */
    struct status status = store_get_record(&slice->keeper->store, record_id, &record);
    if (status.why == WHY_NOT_FOUND)
        return STATUS_OK;
    TRY(status);
    if (job->kind == JOB_REENCRYPT)
        TRY(job_reencrypt_record(slice, record_id, &moved));
    else
        TRY(job_fingerprint_record(slice, record_id, &moved));
    job->scanned++;
    job->moved += moved ? 1 : 0;
    return STATUS_OK;
}

struct slice_bounds {
    int64_t until_us;
    unsigned records;
};

/* Looks at records behind the cursor, and moves it; *out_ended at the last. */
static STATUS slice_walk(struct job_slice *slice, const struct slice_bounds *bounds,
                         bool *out_ended)
{
    OWNED(db_iterator_free) struct db_iterator *rows = NULL;
    struct job *job = slice->job;
    uint8_t from[8];
    unsigned count = 0;

    for (unsigned i = 0; i < sizeof from; i++)
        from[i] = (uint8_t)((job->cursor + 1) >> (56 - 8 * i));
    TRY(db_iterate(slice->keeper->db, STORE_RECORDS, from, sizeof from, &rows));
    *out_ended = false;
    for (; db_iterator_valid(rows); db_iterator_next(rows)) {
        size_t size = 0;
        const uint8_t *key = db_iterator_key(rows, &size);
        struct cursor in = cursor_over(key, size);
        uint64_t record_id = cursor_u64(&in);
        ENSURE(cursor_done(&in), WHY_FORGED);
        if (record_id > job->last)
            break;
        if (count == bounds->records || clock_monotonic_us() >= bounds->until_us)
            return STATUS_OK;
        struct keeper_mark mark = keeper_mark(slice->keeper);
        struct status status = slice_record(slice, record_id);
        if (failed(status)) {
            keeper_rewind(slice->keeper, &mark, slice->now_ms);
            slice->record_id = record_id;
            return status;
        }
        job->cursor = record_id;
        count++;
    }
    TRY(db_iterator_status(rows));
    *out_ended = true;
    return STATUS_OK;
}

/* --- A slice --- */

static STATUS slice_note(struct keeper *keeper, const struct job *job, const char *event,
                         int64_t now_ms)
{
    struct job_note note = {.event = event, .by = "keeper"};
    return jobs_record(keeper, job, &note, now_ms);
}

static STATUS slice_run(struct keeper *keeper, struct job *job, const struct slice_bounds *bounds,
                        int64_t now_ms)
{
    struct job_slice slice = {
        .keeper = keeper, .job = job, .room = keeper->jobs->room, .now_ms = now_ms};
    uint64_t hundreds = job->scanned / JOBS_ENTRY_RECORDS;
    bool ended = false;

    struct status status = slice_walk(&slice, bounds, &ended);
    if (failed(status)) {
        log_failure(LOG_ERROR, "job_failed", status, NULL);
        job->state = JOB_FAILED;
        (void)snprintf(job->detail, sizeof job->detail, "record %llu could not be moved: %s",
                       (unsigned long long)slice.record_id, status_name(status.why));
    } else if (ended)
        job->state = JOB_DONE;
    if (job->state != JOB_RUNNING)
        job->changed_ms = now_ms;
    TRY(jobs_put(keeper, job));
    if (job->state == JOB_FAILED)
        return slice_note(keeper, job, "job.fail", now_ms);
    if (job->state == JOB_DONE) {
        TRY(statement_of_job(keeper, job, now_ms));
        return slice_note(keeper, job, "job.end", now_ms);
    }
    if (job->scanned / JOBS_ENTRY_RECORDS != hundreds)
        return slice_note(keeper, job, "job.progress", now_ms);
    return STATUS_OK;
}

/* A rate is kept over time: who was slow may catch up by a slice and no more. */
static unsigned slice_allowance(const struct job *job)
{
    if (job->rate == 0)
        return SLICE_RECORDS;
    unsigned many = job->rate / 20 + 1;
    return many < SLICE_RECORDS ? many : SLICE_RECORDS;
}

static void slice_charge(struct jobs_running *running, const struct job *job, uint64_t count,
                         int64_t now_us)
{
    if (job->rate == 0)
        return;
    int64_t from_us = running->due_us > now_us - NEAR_US ? running->due_us : now_us;
    running->due_us = from_us + (int64_t)(count * 1000000 / job->rate);
}

/* The next one, in turn, whose rate allows it; NULL: none. */
static struct jobs_running *slice_choose(struct jobs *jobs, int64_t now_us)
{
    for (unsigned i = 0; i < jobs->running_count; i++) {
        struct jobs_running *running = &jobs->running[jobs->turn++ % jobs->running_count];
        if (running->due_us <= now_us)
            return running;
    }
    return NULL;
}

/* Gathers a slice into the batch. */
static STATUS slice_gather(struct keeper *keeper, int64_t budget_us, int64_t now_ms)
{
    struct jobs *jobs = keeper->jobs;
    int64_t now_us = clock_monotonic_us();
    struct jobs_running *running = slice_choose(jobs, now_us);
    struct job job = {0};

    if (running == NULL)
        return STATUS_OK;
    TRY(jobs_get(keeper, running->id, &job));
    if (job.state != JOB_RUNNING) {
        jobs->known = false;
        return STATUS_OK;
    }
    struct slice_bounds bounds = {.until_us = now_us + budget_us, .records = slice_allowance(&job)};
    uint64_t scanned = job.scanned;
    TRY(slice_run(keeper, &job, &bounds, now_ms));
    slice_charge(running, &job, job.scanned - scanned, now_us);
    if (job.state != JOB_RUNNING)
        jobs->known = false;
    return STATUS_OK;
}

static void slice_try(struct keeper *keeper, int64_t budget_us, int64_t now_ms)
{
    struct keeper_mark mark = keeper_mark(keeper);
    struct status status = slice_gather(keeper, budget_us, now_ms);

    if (!failed(status))
        return;
    keeper_rewind(keeper, &mark, now_ms);
    keeper->jobs->known = false;
    keeper->jobs->rest_us = clock_monotonic_us() + QUIET_US;
    log_failure(LOG_ERROR, "slice_failed", status, NULL);
}

static bool jobs_may_run(const struct keeper *keeper)
{
    return keeper->jobs != NULL && keeper->jobs->known && keeper->jobs->running_count > 0 &&
           keeper->ring != NULL && !keeper->store_failed && !keeper->seal_shutting &&
           keeper->seal_row.size == 0 && clock_monotonic_us() >= keeper->jobs->rest_us;
}

void jobs_commit(struct keeper *keeper, int64_t now_ms)
{
    struct jobs *jobs = keeper->jobs;
    bool rides = jobs_may_run(keeper) && !jobs->rode;

    if (rides) {
        int64_t budget_us = jobs->commit_us / SLICE_RIDE_PART;
        slice_try(keeper, budget_us < SLICE_RIDE_US ? budget_us : SLICE_RIDE_US, now_ms);
    }
    int64_t begun_us = clock_monotonic_us();
    keeper_commit(keeper, now_ms);
    jobs = keeper->jobs; /* A seal's change may have closed them. */
    if (jobs == NULL)
        return;
    int64_t ended_us = clock_monotonic_us();
    if (!rides) /* Or slices would make room for larger ones. */
        jobs->commit_us = (7 * jobs->commit_us + ended_us - begun_us) / 8;
    jobs->rode = rides;
    jobs->asked_us = ended_us;
    if (keeper->store_failed)
        jobs->known = false;
}

/* The time that a slice of its own may take now; 0: none. */
static int64_t jobs_budget(const struct jobs *jobs, int64_t now_us)
{
    if (now_us - jobs->asked_us >= QUIET_US)
        return SLICE_ALONE_US;
    bool near = now_us - jobs->asked_us < NEAR_US || now_us - jobs->sliced_us < NEAR_US;
    return near ? 0 : SLICE_NEAR_US;
}

void jobs_tick(struct keeper *keeper, int64_t now_ms)
{
    int64_t now_us = clock_monotonic_us();

    if (keeper->ring == NULL || keeper->store_failed || keeper_sealed(keeper) != NULL ||
        keeper_has_work(keeper) || keeper_trouble(keeper)[0] != '\0')
        return;
    if (keeper->jobs != NULL && now_us < keeper->jobs->rest_us)
        return;
    struct status status = jobs_know(keeper);
    if (!failed(status) && now_us >= keeper->jobs->schedule_us) {
        keeper->jobs->schedule_us = now_us + SCHEDULE_US;
        status = jobs_schedule(keeper, now_ms);
    }
    if (failed(status)) {
        log_failure(LOG_ERROR, "jobs_not_read", status, NULL);
        if (keeper->jobs != NULL)
            keeper->jobs->rest_us = now_us + SCHEDULE_US;
        return;
    }
    int64_t budget_us = jobs_budget(keeper->jobs, now_us);
    if (jobs_may_run(keeper) && budget_us > 0) {
        slice_try(keeper, budget_us, now_ms);
        keeper->jobs->sliced_us = clock_monotonic_us();
    }
    if (keeper_has_work(keeper))
        keeper_commit(keeper, now_ms);
}

int jobs_wait_ms(const struct keeper *keeper, int usual_ms)
{
    if (!jobs_may_run(keeper))
        return usual_ms;
    int64_t now_us = clock_monotonic_us();
    bool alone = now_us - keeper->jobs->asked_us >= QUIET_US;
    bool due = false;
    for (unsigned i = 0; i < keeper->jobs->running_count; i++)
        due = due || keeper->jobs->running[i].due_us <= now_us;
    if (!due)
        return NEAR_US / 1000;
    return alone ? 0 : NEAR_US / 2000;
}
