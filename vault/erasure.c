/* SPDX-License-Identifier: Apache-2.0 */
/* What is done when: slices on the keeper's loop, files on the other thread, and what became of
 * each.  A kill at any point leaves a row that says where to go on. */
#include <assert.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/encode.h"
#include "base/json.h"
#include "base/log.h"
#include "base/own.h"
#include "vault/erase.h"
#include "vault/erasure.h"

#define AGAIN_MS         5000 /* After something that may pass: a full disk, a backup under way. */
#define ATTEMPTS_MAX     3u   /* At a search that finds what is to be gone. */
#define REPORT_BYTES_MAX 4096u
/* A stop waits so long for a purge under way; the next start begins it again. */
#define PATIENCE_MS 5000
#define OBJECT_MAX  32u

/* Families of which rows are deleted or written over with what is erased. */
static const unsigned purge_families =
    1u << STORE_META | 1u << STORE_RECORDS | 1u << STORE_TOKENS | 1u << STORE_FINGERPRINTS |
    1u << STORE_KEYS | 1u << STORE_IDEMPOTENCY | 1u << STORE_EXPIRIES | 1u << STORE_JOBS;

/* --- Its state in memory --- */

STATUS erasure_open(struct keeper *keeper)
{
    struct erasure_run *run = keeper->erasure;

    if (run != NULL && run->looked)
        return STATUS_OK;
    if (run == NULL) {
        run = keeper->erasure = calloc(1, sizeof *run);
        ENSURE(run != NULL, WHY_NO_MEMORY);
    }
    if (run->keys_used == NULL)
        run->keys_used = calloc(ERASURE_KEYS_MAX / 8 + 1, 1);
    ENSURE(run->keys_used != NULL, WHY_NO_MEMORY);
    if (run->purge == NULL)
        TRY(purge_new(keeper->db, &run->purge));
    run->active = false;
    run->asked = false;
    run->next_id = 1;
    for (struct erasure row = {0};;) {
        struct status status = erasure_next(keeper, row.id, &row);
        if (status.why == WHY_NOT_FOUND)
            break;
        TRY(status);
        run->next_id = row.id + 1;
        if (row.state != ERASURE_RUNNING || run->active)
            continue;
        run->row = row;
        run->active = true;
    }
    if (run->active)
        TRY(erasure_get_samples(keeper, run->row.id, &run->samples));
    /* Who needs which key was in memory: what needs it is read again. */
    if (run->active && (run->row.phase == ERASURE_RECORDS || run->row.phase == ERASURE_KEYS)) {
        run->row.phase = ERASURE_RECORDS;
        memset(run->row.at, 0, sizeof run->row.at);
    }
    memset(run->keys_used, 0, ERASURE_KEYS_MAX / 8 + 1);
    run->ahead_count = 0;
    run->ahead_next = 0;
    run->backup_ms = 0;
    run->trouble[0] = '\0';
    run->looked = true;
    return STATUS_OK;
}

void erasure_forget(struct keeper *keeper)
{
    if (keeper->erasure != NULL)
        keeper->erasure->looked = false;
}

bool erasure_close(struct keeper *keeper)
{
    struct erasure_run *run = keeper->erasure;

    if (run == NULL)
        return true;
    if (run->purge != NULL && purge_is_running(run->purge)) {
        struct pollfd waits = {.fd = purge_fd(run->purge), .events = POLLIN};
        if (poll(&waits, 1, PATIENCE_MS) != 1) {
            log_event(LOG_WARN, "purge_cut_short", NULL);
            return false;
        }
    }
    purge_free(&run->purge);
    free(run->keys_used);
    free(run);
    keeper->erasure = NULL;
    return true;
}

bool erasure_is_busy(const struct keeper *keeper)
{
    const struct erasure_run *run = keeper->erasure;

    return run != NULL && run->active && run->looked && run->row.phase < ERASURE_PURGE &&
           !purge_is_running(run->purge) && clock_monotonic_ms() >= run->due_ms;
}

int erasure_fd(const struct keeper *keeper)
{
    const struct erasure_run *run = keeper->erasure;

    return run == NULL || run->purge == NULL ? -1 : purge_fd(run->purge);
}

/* Stays where it is for a while, and says why. */
static void run_wait(struct erasure_run *run, const char *trouble)
{
    if (strcmp(run->trouble, trouble) != 0)
        log_event(LOG_WARN, "erasure_waits", "detail", trouble, NULL);
    (void)snprintf(run->trouble, sizeof run->trouble, "%s", trouble);
    run->due_ms = clock_monotonic_ms() + AGAIN_MS;
}

static STATUS run_move(struct keeper *keeper, enum erasure_phase phase)
{
    struct erasure_run *run = keeper->erasure;

    run->row.phase = phase;
    run->trouble[0] = '\0';
    run->due_ms = 0;
    return erasure_put(keeper, &run->row);
}

/* --- Files --- */

static STATUS files_begin(struct keeper *keeper, int64_t now_ms)
{
    struct erasure_run *run = keeper->erasure;
    struct purge_work work = {.families = purge_families};
    struct markers *none = NULL;
    struct markers *nothing = NULL;

    if (keeper->backup != NULL && (backup_is_running(keeper->backup) || keeper->backup_asked)) {
        run_wait(run, "a backup is under way");
        return STATUS_OK;
    }
    run->purge_since_ms = now_ms;
    return purge_start(run->purge, &work, &none, &nothing, now_ms);
}

/* What was deleted while the files were written anew waits for the next time. */
static STATUS files_note(struct keeper *keeper, int64_t now_ms)
{
    int64_t since_ms = keeper->erasure->purge_since_ms;
    bool more = keeper->erased_ms >= since_ms;

    TRY(store_put_mark(&keeper->store, keeper->batch, ERASE_MARK_PURGED, (uint64_t)now_ms));
    return store_put_mark(&keeper->store, keeper->batch, ERASE_MARK_UNPURGED,
                          more ? (uint64_t)since_ms : 0);
}

static STATUS files_ended(struct keeper *keeper, const struct purge_result *result, int64_t now_ms)
{
    struct erasure_run *run = keeper->erasure;
    char detail[96];
    struct audit_entry entry = {.event = "store.purge", .object = "store", .detail = detail};

    if (!result->good) {
        run_wait(run, result->detail);
        return STATUS_OK;
    }
    TRY(files_note(keeper, now_ms));
    (void)snprintf(detail, sizeof detail, "%u tables, %u logs and %u manifests are gone",
                   result->purge.tables, result->purge.logs, result->purge.manifests);
    TRY(keeper_record_own(keeper, &entry, now_ms));
    if (!run->active || run->row.phase != ERASURE_PURGE)
        return STATUS_OK;
    run->row.tables += result->purge.tables;
    run->row.logs += result->purge.logs;
    run->row.manifests += result->purge.manifests;
    bool backup = run->row.backups && keeper->backup != NULL;
    return run_move(keeper, backup ? ERASURE_BACKUP : ERASURE_SEARCH);
}

/* One backup, and with it all older ones gone. */
static STATUS backup_step(struct keeper *keeper, int64_t now_ms)
{
    struct erasure_run *run = keeper->erasure;
    struct audit_entry entry = {.event = "backup.create",
                                .object = "store",
                                .detail = "in the place of all older ones, for an erasure"};

    if (keeper->backup_asked || backup_is_running(keeper->backup))
        return STATUS_OK;
    if (run->backup_ms == 0) {
        TRY(keeper_record_own(keeper, &entry, now_ms));
        keeper->backup_asked = true;
        keeper->backup_alone = true;
        run->backup_ms = now_ms;
        return STATUS_OK;
    }
    const struct backup_result *last = backup_last(keeper->backup);
    bool good = last != NULL && last->good && last->started_ms >= run->backup_ms;
    run->backup_ms = 0;
    if (good)
        return run_move(keeper, ERASURE_SEARCH);
    run_wait(run, last == NULL ? "no backup was taken" : last->detail);
    return STATUS_OK;
}

/* --- The search --- */

static STATUS search_begin(struct keeper *keeper, int64_t now_ms)
{
    struct erasure_run *run = keeper->erasure;
    OWNED(markers_free) struct markers *gone = NULL;
    OWNED(markers_free) struct markers *there = NULL;
    const char *backups = keeper->settings->backup_folder;
    struct purge_work work = {.folders = {keeper->settings->data}};

    if (backups != NULL && access(backups, F_OK) == 0)
        work.folders[1] = backups;
    TRY(erasure_markers(&run->samples, &gone, &there));
    run->row.marks = markers_count(gone);
    run->row.others = markers_count(there);
    return purge_start(run->purge, &work, &gone, &there, now_ms);
}

/* Nothing is in the store's files, nor in backups that were to be replaced; and what stays was
 * seen, so that the search is known to see. */
static bool search_is_clean(const struct erasure *row)
{
    return row->marks_found == 0 && (!row->backups || row->backup_marks_found == 0) &&
           (row->others == 0 || row->others_found > 0);
}

static STATUS search_ended(struct keeper *keeper, const struct purge_result *result)
{
    struct erasure_run *run = keeper->erasure;
    struct erasure *row = &run->row;

    if (!result->good) {
        run_wait(run, result->detail);
        return STATUS_OK;
    }
    row->files = result->gone[0].files;
    row->bytes = result->gone[0].bytes;
    row->marks_found = result->gone[0].markers;
    row->backup_files = (uint32_t)result->gone[1].files;
    row->backup_marks_found = result->gone[1].markers;
    row->others_found = result->there.markers;
    row->attempts++;
    if (search_is_clean(row) || row->attempts >= ATTEMPTS_MAX)
        return run_move(keeper, ERASURE_REPORT);
    log_event(LOG_ERROR, "erased_bytes_found", "file",
              row->marks_found > 0 ? result->gone[0].file : result->gone[1].file, NULL);
    return run_move(keeper, ERASURE_PURGE);
}

/* The end is an entry that says all of it. */
static STATUS report_step(struct keeper *keeper, int64_t now_ms)
{
    struct erasure_run *run = keeper->erasure;
    struct erasure *row = &run->row;
    struct store_job_key samples = {.kind = STORE_JOB_SAMPLES, .id = row->id};
    struct buffer text OWNED(buffer_free) = BUFFER(REPORT_BYTES_MAX);
    struct json_writer writer = json_writer_over(&text);
    char object[OBJECT_MAX];
    struct audit_entry entry = {.event = "erasure.report", .object = object};

    row->state = search_is_clean(row) ? ERASURE_DONE : ERASURE_FOUND;
    row->ended_ms = now_ms;
    row->entry = audit_log_next_seq(keeper->log) + 1;
    (void)snprintf(object, sizeof object, ERASURE_ID_PREFIX "%" PRIu64, row->id);
    erasure_write(row, "", &writer);
    TRY(buffer_status(&text));
    entry.detail = buffer_text(&text);
    entry.outcome = row->state == ERASURE_DONE ? "ok" : "bytes_found";
    entry.tenant = row->tenant[0] == '\0' ? NULL : row->tenant;
    entry.key_id = row->key_id;
    TRY(keeper_record_own(keeper, &entry, now_ms));
    TRY(store_delete_job(&keeper->store, keeper->batch, &samples));
    TRY(erasure_put(keeper, row));
    log_event(row->state == ERASURE_DONE ? LOG_INFO : LOG_ERROR, "erasure_ended", "erasure", object,
              "outcome", entry.outcome, NULL);
    run->looked = false; /* Another may wait. */
    return STATUS_OK;
}

/* --- The step that is due --- */

/* By the clock: what was deleted one by one, or went by itself, goes from the files too. */
static STATUS regular_step(struct keeper *keeper, int64_t now_ms)
{
    struct erasure_run *run = keeper->erasure;
    uint64_t since_ms = 0;

    run->due_ms = clock_monotonic_ms() + 1000;
    struct status status = store_get_mark(&keeper->store, ERASE_MARK_UNPURGED, &since_ms);
    if (status.why == WHY_NOT_FOUND || since_ms == 0)
        return STATUS_OK;
    TRY(status);
    if (now_ms - (int64_t)since_ms < keeper->settings->purge_every_ms)
        return STATUS_OK;
    return files_begin(keeper, now_ms);
}

static STATUS step(struct keeper *keeper, int64_t now_ms)
{
    struct erasure_run *run = keeper->erasure;

    const struct purge_result *result = purge_collect(run->purge);
    if (result != NULL) {
        bool searched = run->active && run->row.phase == ERASURE_SEARCH;
        return searched ? search_ended(keeper, result) : files_ended(keeper, result, now_ms);
    }
    if (purge_is_running(run->purge) || clock_monotonic_ms() < run->due_ms)
        return STATUS_OK;
    if (!run->active)
        return regular_step(keeper, now_ms);
    switch (run->row.phase) {
    case ERASURE_TOKENS:
    case ERASURE_RECORDS:
    case ERASURE_KEYS:
    case ERASURE_REPEATS:
        return erasure_walk(keeper, run, now_ms);
    case ERASURE_PURGE:
        return files_begin(keeper, now_ms);
    case ERASURE_BACKUP:
        return backup_step(keeper, now_ms);
    case ERASURE_SEARCH:
        return search_begin(keeper, now_ms);
    case ERASURE_REPORT:
        return report_step(keeper, now_ms);
    case ERASURE_PHASE_END:
        break;
    }
    return FAIL(WHY_FORGED);
}

void erasure_tick(struct keeper *keeper, int64_t now_ms)
{
    if (keeper->store_failed || keeper->ring == NULL || keeper_has_work(keeper))
        return;
    if (keeper->erasure != NULL && keeper->erasure->asked && !keeper->erasure->active)
        erasure_forget(keeper);
    struct keeper_mark mark = keeper_mark(keeper);
    struct status status = erasure_open(keeper);

    if (!failed(status))
        status = step(keeper, now_ms);
    if (!failed(status))
        return;
    /* What memory says of it may be ahead of the store: it is read again. */
    keeper_rewind(keeper, &mark, now_ms);
    erasure_forget(keeper);
    log_failure(LOG_ERROR, "erasure_failed", status, NULL);
    if (keeper->erasure != NULL)
        keeper->erasure->due_ms = clock_monotonic_ms() + AGAIN_MS;
}
