/* SPDX-License-Identifier: Apache-2.0 */
/* POST and GET /v1/backups, and backups by the clock.  Each has two entries: that it was asked for,
 * before it begins, and what became of it. */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>

#include "base/log.h"
#include "base/own.h"
#include "vault/keeper_text.h"

#define STATE_BYTES_MAX 4096u
/* A stop waits so long for one under way; what it leaves then, the next one takes away. */
#define PATIENCE_MS 5000

/* It begins once its entry is durable. */
static const char begun[] = "{\"configured\":true,\"running\":true,\"last\":null}";

STATUS keeper_backup_open(struct keeper *keeper)
{
    const struct settings *settings = keeper->settings;
    struct backup_options options = {
        .folder = settings->backup_folder,
        .origin = settings->origin,
        .keep = settings->backup_keep,
        .every_ms = settings->backup_every_ms,
    };

    return options.folder == NULL ? STATUS_OK : backup_new(&options, keeper->db, &keeper->backup);
}

STATUS keeper_backup_ask(struct keeper_op *op, struct cursor *in)
{
    struct keeper *keeper = op->keeper;
    struct audit_entry entry = {.object = "store"};
    struct buffer body OWNED(buffer_free) = BUFFER(STATE_BYTES_MAX);

    ENSURE(cursor_done(in), WHY_BAD_INPUT);
    if (keeper->backup == NULL)
        return keeper_refuse(op, PROBLEM_STATE_CONFLICT, NULL,
                             "The vault's configuration names no folder for backups.");
    if (backup_is_running(keeper->backup) || keeper->backup_asked)
        return keeper_refuse(op, PROBLEM_STATE_CONFLICT, NULL, "A backup is under way.");
    buffer_add_text(&body, begun);
    TRY(keeper_record(op, &entry));
    TRY(keeper_answer_text(op, 202, &body));
    keeper->backup_asked = true;
    return STATUS_OK;
}

STATUS keeper_backup_show(struct keeper_op *op, struct cursor *in)
{
    struct buffer body OWNED(buffer_free) = BUFFER(STATE_BYTES_MAX);

    ENSURE(cursor_done(in), WHY_BAD_INPUT);
    if (op->keeper->backup_asked)
        buffer_add_text(&body, begun);
    else
        backup_write(op->keeper->backup, &body);
    return keeper_answer_text(op, 200, &body);
}

static void backup_begin(struct keeper *keeper, int64_t now_ms)
{
    struct buffer note OWNED(buffer_free) = BUFFER(NOTE_BYTES_MAX);
    struct backup_facts facts = {
        .records = db_backup_rows(keeper->db, STORE_RECORDS),
        .entries = audit_log_size(keeper->log),
        .checkpoint = "",
        .alone = keeper->backup_alone,
    };

    keeper->backup_alone = false;
    if (!failed(audit_log_last_checkpoint(keeper->log, &note)))
        facts.checkpoint = buffer_text(&note);
    struct status status = backup_start(keeper->backup, &facts, now_ms);
    if (failed(status))
        log_failure(LOG_ERROR, "backup_not_begun", status, NULL);
}

/* By the clock: its entry goes with this turn's batch, and it begins with the next. */
static void backup_schedule(struct keeper *keeper, int64_t now_ms)
{
    struct audit_entry entry = {
        .event = "backup.create", .object = "store", .detail = "by the clock"};
    struct status status = keeper_record_own(keeper, &entry, now_ms);

    if (failed(status))
        log_failure(LOG_ERROR, "backup_not_begun", status, NULL);
    else
        keeper->backup_asked = true;
}

static void backup_ended(struct keeper *keeper, const struct backup_result *result, int64_t now_ms)
{
    char object[32];
    char detail[160];
    struct audit_entry entry = {
        .event = "backup.end", .outcome = result->code, .object = object, .detail = detail};

    (void)snprintf(object, sizeof object, "backup/%u", (unsigned)result->backup.id);
    (void)snprintf(detail, sizeof detail,
                   "%" PRIu64 " bytes, %" PRIu64 " of them new; %" PRIu64 " entries when it began",
                   result->backup.bytes, result->added_bytes, result->entries);
    if (!result->good) {
        entry.object = "store";
        entry.detail = NULL;
        log_event(LOG_ERROR, "backup_failed", "code", result->code, "detail", result->detail, NULL);
    } else
        log_event(LOG_INFO, "backup_taken", "backup", object, "detail", detail, NULL);
    struct status status = keeper_record_own(keeper, &entry, now_ms);
    if (failed(status))
        log_failure(LOG_ERROR, "entry_not_recorded", status, NULL);
}

void keeper_backup_tick(struct keeper *keeper, int64_t now_ms)
{
    if (keeper->backup == NULL || keeper->store_failed)
        return;
    const struct backup_result *result = backup_collect(keeper->backup);
    if (result != NULL)
        backup_ended(keeper, result, now_ms);
    if (keeper->backup_asked && !keeper_has_work(keeper)) {
        keeper->backup_asked = false;
        backup_begin(keeper, now_ms);
    } else if (!keeper->backup_asked && backup_is_due(keeper->backup, now_ms))
        backup_schedule(keeper, now_ms);
}

bool keeper_backup_close(struct keeper *keeper)
{
    if (keeper->backup == NULL)
        return true;
    struct pollfd waits = {.fd = backup_fd(keeper->backup), .events = POLLIN};
    if (backup_is_running(keeper->backup) && poll(&waits, 1, PATIENCE_MS) != 1) {
        log_event(LOG_WARN, "backup_cut_short", NULL);
        return false;
    }
    backup_free(&keeper->backup);
    return true;
}
