/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/keeper.h"

#include <errno.h>
#include <poll.h>
#include <sodium.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/encode.h"
#include "base/log.h"
#include "base/own.h"
#include "base/supervise.h"
#include "vault/erasure.h"
#include "vault/jobs.h"
#include "vault/keeper_confine.h"
#include "vault/keeper_hsm.h"
#include "vault/keeper_inside.h"
#include "vault/keeper_seal.h"
#include "vault/retention_report.h"

#define KEEPER_SLOTS      2048u /* Cards under way: far more than a turn needs at once. */
#define KEEPER_LOCK_BYTES (KEEPER_SLOTS * SECRET_BYTES_MAX)
#define KEEPER_CELL_BYTES 320u
#define KEEPER_POLL_MS    100
#define KEEPER_BUSY_MS    1  /* While there is work of its own to go on with. */
#define KEEPER_FRONT      0u /* Places in the supervisor's table. */
#define KEEPER_SIGNER     1u
#define KEEPER_HSM        2u /* Where there is one. */

/* All but the store, for which keeper_store_tick() may have to wait. */
static STATUS keeper_open(struct keeper *keeper)
{
    char error[POLICY_ERROR_MAX] = "";

    ENSURE(sodium_init() >= 0, WHY_IO);
    TRY(secret_pool_open(KEEPER_SLOTS));
    struct status status =
        policy_load(keeper->settings->policies, &keeper->policy, error, sizeof error);
    if (!failed(status) && keeper->settings->production)
        status = policy_check_retention(keeper->policy, error, sizeof error);
    if (failed(status)) {
        log_failure(LOG_ERROR, "policies_not_loaded", status, "detail", error, NULL);
        return status;
    }
    TRY(keeper_hsm_open(keeper));
    TRY(keeper_seal_prepare(keeper));
    TRY(db_batch_new(&keeper->batch));
    TRY(frame_writer_new(OVERLAY_BYTES_MAX, &keeper->front_out));
    keeper->store_failed = true;
    return keeper_store_tick(keeper, clock_now_ms());
}

static void keeper_close(struct keeper *keeper)
{
    frame_reader_free(&keeper->front_in);
    frame_writer_free(&keeper->front_out);
    keeper_sign_detach(keeper);
    keeper_store_close(keeper);
    keeper_hsm_close(keeper);
    db_batch_free(&keeper->batch);
    secret_free(&keeper->seal_given);
    policy_free(&keeper->policy);
    buffer_free(&keeper->note);
    buffer_free(&keeper->answered);
    buffer_free(&keeper->journal);
    buffer_free(&keeper->scratch);
    buffer_free(&keeper->seal_row);
}

/* --- The front's socket --- */

static void front_detach(struct keeper *keeper)
{
    frame_reader_free(&keeper->front_in);
    frame_writer_free(&keeper->front_out);
    if (keeper->front_fd >= 0)
        (void)close(keeper->front_fd);
    keeper->front_fd = -1;
    if (failed(frame_writer_new(OVERLAY_BYTES_MAX, &keeper->front_out)))
        keeper->leaving = true;
}

static void front_flush(struct keeper *keeper)
{
    if (keeper->front_fd >= 0 && frame_writer_waiting(keeper->front_out) > 0 &&
        failed(frame_flush(keeper->front_out, keeper->front_fd)))
        front_detach(keeper);
}

/* A turn: everything that has arrived, one batch, one sync, one send. */
static void front_turn(struct keeper *keeper)
{
    struct frame frame;
    struct status status = frame_reader_fill(keeper->front_in, keeper->front_fd);

    if (failed(status)) {
        front_detach(keeper); /* Gone: what it had asked for is carried out, and nobody hears. */
        return;
    }
    for (;;) {
        int64_t now_ms = clock_now_ms();
        status = frame_reader_next(keeper->front_in, &frame);
        if (!failed(status))
            keeper_dispatch(keeper, &frame, now_ms);
        bool full = db_batch_count(keeper->batch) >= KEEPER_TURN_ROWS_MAX;
        if (full || failed(status)) {
            if (keeper_has_work(keeper))
                jobs_commit(keeper, now_ms);
            front_flush(keeper);
        }
        if (status.why == WHY_NOT_FOUND || keeper->front_fd < 0)
            return;
        if (failed(status)) {
            log_failure(LOG_ERROR, "front_sent_nonsense", status, NULL);
            front_detach(keeper);
            return;
        }
    }
}

/* --- The supervisor's socket --- */

static STATUS keeper_take_satellite(struct keeper *keeper)
{
    unsigned index = 0;
    int fd = -1;

    struct status status = supervise_receive(keeper->control_fd, &index, &fd);
    if (status.why == WHY_BUSY)
        return STATUS_OK;
    if (failed(status)) {
        keeper->leaving = true;
        return status.why == WHY_NOT_FOUND ? STATUS_OK : status;
    }
    if (index == KEEPER_SIGNER)
        return keeper_sign_attach(keeper, fd);
    if (index == KEEPER_HSM)
        return keeper_hsm_attach(keeper, fd);
    front_detach(keeper);
    TRY(frame_reader_new(&keeper->front_in));
    keeper->front_fd = fd;
    keeper->second_ms = 0; /* Its first state comes with the next tick. */
    return STATUS_OK;
}

/* Where the store is not to be had the front is told so, and by it everyone who asks. */
static bool keeper_hears_front(const struct keeper *keeper)
{
    return keeper->signer_known || keeper->store_failed;
}

static STATUS keeper_turn(struct keeper *keeper)
{
    struct pollfd fds[] = {
        {.fd = keeper->control_fd, .events = POLLIN},
        {.fd = keeper->store_failed ? -1 : keeper->signer_fd, .events = POLLIN},
        /* The front waits until the store was held against what the signer signed. */
        {.fd = keeper_hears_front(keeper) ? keeper->front_fd : -1, .events = POLLIN},
        {.fd = keeper->backup == NULL || keeper->store_failed ? -1 : backup_fd(keeper->backup),
         .events = POLLIN},
        {.fd = keeper->signer_known && !keeper->store_failed ? keeper_hsm_fd(keeper) : -1,
         .events = POLLIN},
        {.fd = keeper->ring == NULL || keeper->store_failed ? -1 : erasure_fd(keeper),
         .events = POLLIN},
    };

    int wait_ms = erasure_is_busy(keeper) || retention_report_is_busy(keeper) || keeper->sweeps_on
                      ? KEEPER_BUSY_MS
                      : jobs_wait_ms(keeper, KEEPER_POLL_MS);
    int ready = poll(fds, sizeof fds / sizeof fds[0], wait_ms);
    ENSURE(ready >= 0 || errno == EINTR, WHY_IO);
    int64_t now_ms = clock_now_ms();
    if (ready > 0 && fds[2].revents != 0)
        front_turn(keeper);
    if (ready > 0 && fds[1].revents != 0)
        TRY(keeper_sign_read(keeper));
    if (ready > 0 && fds[0].revents != 0)
        TRY(keeper_take_satellite(keeper));
    if (ready > 0 && fds[4].revents != 0)
        keeper_hsm_read(keeper, now_ms);
    if (keeper->store_failed)
        TRY(keeper_store_tick(keeper, now_ms));
    if (keeper_hears_front(keeper)) {
        keeper_tick(keeper, now_ms);
        keeper_hsm_tick(keeper, now_ms);
        keeper_backup_tick(keeper, now_ms);
        if (keeper_has_work(keeper) && !keeper->store_failed)
            keeper_commit(keeper, now_ms);
        erasure_tick(keeper, now_ms);
        retention_report_tick(keeper, now_ms);
        if (keeper_has_work(keeper) && !keeper->store_failed)
            keeper_commit(keeper, now_ms);
        keeper_seal_tick(keeper, now_ms);
        jobs_tick(keeper, now_ms);
        front_flush(keeper);
    }
    return STATUS_OK;
}

/* The last entry and, where the signer still answers, its checkpoint stay for the next start:
 * LOG-6. */
static void keeper_say_goodbye(struct keeper *keeper)
{
    struct audit_entry stop = {.event = "audit.stop"};
    int64_t now_ms = clock_now_ms();

    if (!keeper->store_failed)
        keeper_commit(keeper, now_ms); /* Keys that ended unasked have entries, before the last. */
    if (keeper->store_failed)
        return;
    struct status status = keeper_record_own(keeper, &stop, now_ms);
    if (failed(status))
        log_failure(LOG_ERROR, "entry_not_recorded", status, NULL);
    keeper_commit(keeper, now_ms);
    if (keeper->signer_fd < 0 || keeper->signing)
        return;
    keeper_sign_tick(keeper);
    struct pollfd fds = {.fd = keeper->signer_fd, .events = POLLIN};
    if (keeper->signing && poll(&fds, 1, 1000) == 1 && !failed(keeper_sign_read(keeper)) &&
        keeper_has_work(keeper))
        keeper_commit(keeper, now_ms);
}

/* What a start failed for decides whether another try could help. */
static int keeper_exit_code(struct status status)
{
    return status.why == WHY_IO || status.why == WHY_BUSY || status.why == WHY_NO_MEMORY
               ? EXIT_FAILURE
               : SUPERVISE_EXIT_CONFIG;
}

int keeper_run(void *owner, int control_fd)
{
    struct keeper keeper = {
        .settings = owner,
        .control_fd = control_fd,
        .front_fd = -1,
        .signer_fd = -1,
        .note = BUFFER(NOTE_BYTES_MAX),
        .answered = BUFFER(OVERLAY_BYTES_MAX),
        .journal = BUFFER(OVERLAY_BYTES_MAX),
        .scratch = BUFFER(AUDIT_ENTRY_BYTES_MAX + 64),
        .seal_row = BUFFER(SEAL_ROW_BYTES_MAX),
    };
    struct sandbox_report report = {0};
    size_t lock_bytes = KEEPER_LOCK_BYTES + (size_t)KEEPER_CELL_BYTES * keeper.settings->cvv_cells;
    int code = EXIT_SUCCESS;

    struct status status = log_open("keeper", keeper.settings->log_level, STDERR_FILENO);
    if (!failed(status))
        status = keeper_confine(keeper.settings, lock_bytes, &report);
    if (!failed(status) && report.missing[0] != '\0')
        log_event(LOG_WARN, "guards_missing", "missing", report.missing, NULL);
    if (!failed(status))
        status = keeper_open(&keeper);
    if (failed(status)) {
        log_failure(LOG_ERROR, "keeper_not_started", status, "missing", report.missing, "detail",
                    report.error, NULL);
        code = keeper_exit_code(status);
    } else {
        while (!keeper.leaving && !failed(status))
            status = keeper_turn(&keeper);
        if (failed(status)) {
            log_failure(LOG_ERROR, "keeper_gives_up", status, NULL);
            code = keeper_exit_code(status);
        } else {
            keeper_say_goodbye(&keeper);
        }
    }
    keeper_close(&keeper);
    log_flush();
    return code;
}
