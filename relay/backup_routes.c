/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/backup_routes.h"

#include <assert.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/backup.h"
#include "base/encode.h"
#include "base/log.h"
#include "base/own.h"
#include "relay/accept.h"
#include "relay/refusal.h"

#define TEXT_MAX        128u
#define STATE_BYTES_MAX 4096u
/* A stop waits so long for one under way; what it leaves then, the next one takes away. */
#define PATIENCE_MS 5000

struct backup_desk {
    struct backup *backup; /* NULL: none are configured. */
    struct loop_watch *watch;
    bool asked; /* An entry for one is on its way to the ledger. */
};

/* A backup asked for, or a caller to refuse; on its way to the ledger and back. */
struct backup_ask {
    struct ledger_op op; /* First, so that an op pointer is this. */
    struct relay *relay;
    struct http_call *call; /* NULL: the caller is gone, or it is the clock. */
    enum problem_code code; /* PROBLEM_NONE: may. */
    const struct policy_principal *principal;
    struct policy_decision decision;
    bool by_clock;
    char origin[TEXT_MAX];
    char request_id[TEXT_MAX];
    uint64_t entries;
    uint64_t records;
    struct buffer note;
};

static_assert(offsetof(struct backup_ask, op) == 0, "an op pointer is a backup_ask");

/* How one ended, on its way to the ledger. */
struct backup_end {
    struct ledger_entry note; /* First, so that an op pointer is this. */
    char code[BACKUP_CODE_MAX];
    char object[32];
    char detail[160];
};

static_assert(offsetof(struct backup_end, note.op) == 0, "an op pointer is a backup_end");

static void ask_free(struct backup_ask **ask)
{
    if (*ask == NULL)
        return;
    buffer_free(&(*ask)->note);
    free(*ask);
    *ask = NULL;
}

static void on_gone(void *owner)
{
    ((struct backup_ask *)owner)->call = NULL;
}

/* Writer thread: what the backup will hold at least is of one moment there. */
static STATUS ask_apply(struct ledger_op *op, struct ledger *ledger, struct db_batch *batch)
{
    struct backup_ask *ask = (struct backup_ask *)op;
    bool good = ask->code == PROBLEM_NONE;
    bool denied = ask->code == PROBLEM_DENIED;
    bool stranger = ask->code == PROBLEM_UNKNOWN_PRINCIPAL;
    struct audit_entry entry = {
        .actor = ask->by_clock ? "relay" : (ask->principal != NULL ? ask->principal->name : "-"),
        .origin = ask->by_clock ? "relay" : ask->origin,
        .event = denied ? "policy.deny" : (stranger ? "auth.fail" : "backup.create"),
        .outcome = good ? "ok" : refusal_name(ask->code),
        .object = "store",
        .bundle = policy_bundle(ask->relay->policy),
        .rule = ask->decision.rule[0] != '\0' ? ask->decision.rule : NULL,
        .decision = ask->by_clock ? NULL : (denied || stranger ? "deny" : "allow"),
        .request_id = ask->by_clock ? NULL : ask->request_id,
        .detail = ask->by_clock ? "by the clock" : NULL,
    };

    ask->entries = audit_log_size(ledger_log(ledger));
    ask->records = db_backup_rows(ledger_db(ledger), LEDGER_SUBMISSIONS);
    status_ignore(audit_log_last_checkpoint(ledger_log(ledger), &ask->note),
                  "there may be none yet");
    return ledger_audit(ledger, batch, &entry);
}

static void answer_state(struct http_call *call, int status, const struct backup *backup)
{
    struct buffer body OWNED(buffer_free) = BUFFER(STATE_BYTES_MAX);

    backup_write(backup, &body);
    http_answer(call, &(struct http_answer){.status = status,
                                            .content_type = "application/json",
                                            .body = body.bytes,
                                            .body_size = body.size});
}

static void ask_done(struct ledger_op *op)
{
    OWNED(ask_free) struct backup_ask *ask = (struct backup_ask *)op;
    struct http_call *call = MOVE(ask->call);
    struct backup_desk *desk = ask->relay->backups;
    struct backup_facts facts = {
        .records = ask->records, .entries = ask->entries, .checkpoint = buffer_text(&ask->note)};
    enum problem_code code = ask->code;

    if (code == PROBLEM_NONE)
        desk->asked = false;
    if (failed(op->status))
        code = PROBLEM_AUDIT_UNAVAILABLE;
    if (code == PROBLEM_NONE) {
        struct status status = backup_start(desk->backup, &facts, clock_now_ms());
        if (failed(status)) {
            log_failure(LOG_ERROR, "backup_not_begun", status, NULL);
            code = PROBLEM_BUSY;
        }
    }
    if (call == NULL)
        return;
    if (code == PROBLEM_NONE)
        answer_state(call, 202, desk->backup);
    else
        refusal_answer(call, code, &ask->decision);
}

/* Who may not, hears so and not whether one is under way. */
static enum problem_code judge(const struct backup_ask *ask, bool begins)
{
    const struct backup_desk *desk = ask->relay->backups;

    if (ask->principal == NULL)
        return PROBLEM_UNKNOWN_PRINCIPAL;
    if (!ask->decision.allowed)
        return PROBLEM_DENIED;
    if (begins && (desk->backup == NULL || desk->asked || backup_is_running(desk->backup)))
        return PROBLEM_STATE_CONFLICT;
    return PROBLEM_NONE;
}

static STATUS ask_submit(struct backup_ask **ask_at)
{
    struct backup_ask *ask = *ask_at;

    ask->op.apply = ask_apply;
    ask->op.done = ask_done;
    TRY(ledger_submit(ask->relay->ledger, &ask->op));
    if (ask->code == PROBLEM_NONE)
        ask->relay->backups->asked = true;
    if (ask->call != NULL)
        http_defer(ask->call, ask, on_gone);
    *ask_at = NULL; /* ask_done() frees it. */
    return STATUS_OK;
}

static STATUS ask_new(struct relay *relay, struct backup_ask **out_ask)
{
    struct backup_ask *ask = calloc(1, sizeof *ask);
    ENSURE(ask != NULL, WHY_NO_MEMORY);
    ask->relay = relay;
    ask->note = BUFFER(NOTE_BYTES_MAX);
    *out_ask = ask;
    return STATUS_OK;
}

static STATUS start(struct relay *relay, struct http_call *call, bool begins)
{
    OWNED(ask_free) struct backup_ask *ask = NULL;

    TRY(ask_new(relay, &ask));
    ask->call = call;
    ask->principal = accept_principal(relay, call);
    snprintf(ask->origin, sizeof ask->origin, "%s", http_peer_address(call));
    snprintf(ask->request_id, sizeof ask->request_id, "%s", http_request_id(call));
    struct policy_question question = {
        .action = POLICY_BACKUP_CREATE, .principal = ask->principal, .tenant = ""};
    if (ask->principal != NULL)
        ask->decision = policy_decide(relay->policy, &question);
    ask->code = judge(ask, begins);
    if (!begins && ask->code == PROBLEM_NONE) {
        answer_state(call, 200, relay->backups->backup);
        return STATUS_OK;
    }
    return ask_submit(&ask);
}

bool backup_routes_call(struct relay *relay, struct http_call *call)
{
    static const char *const allow[] = {"allow", "GET, POST", NULL};
    const char *method = http_method(call);
    bool begins = strcmp(method, "POST") == 0;

    if (strcmp(http_path(call), CONTRACT_PATH_BACKUPS) != 0)
        return false;
    if (!begins && strcmp(method, "GET") != 0) {
        struct http_problem problem = refusal_of(PROBLEM_METHOD_NOT_ALLOWED);
        http_answer_problem(call, &problem, allow);
        return true;
    }
    if (failed(start(relay, call, begins)))
        refusal_answer(call, PROBLEM_BUSY, NULL);
    return true;
}

void backup_routes_tick(struct relay *relay)
{
    struct backup_desk *desk = relay->backups;
    OWNED(ask_free) struct backup_ask *ask = NULL;

    if (desk->backup == NULL || desk->asked || !backup_is_due(desk->backup, clock_now_ms()))
        return;
    if (failed(ask_new(relay, &ask)))
        return;
    ask->by_clock = true;
    status_ignore(ask_submit(&ask), "the next tick tries again");
}

static void on_recorded(struct ledger_op *op)
{
    if (failed(op->status))
        log_failure(LOG_ERROR, "entry_not_recorded", op->status, NULL);
    free(op);
}

static void end_fill(struct backup_end *end, const struct backup_result *result)
{
    snprintf(end->code, sizeof end->code, "%s", result->code);
    snprintf(end->object, sizeof end->object, "store");
    if (!result->good)
        return;
    snprintf(end->object, sizeof end->object, "backup/%u", (unsigned)result->backup.id);
    snprintf(end->detail, sizeof end->detail,
             "%" PRIu64 " bytes, %" PRIu64 " of them new; %" PRIu64 " entries when it began",
             result->backup.bytes, result->added_bytes, result->entries);
}

static void on_ended(void *owner)
{
    struct relay *relay = owner;
    const struct backup_result *result = backup_collect(relay->backups->backup);

    if (result == NULL)
        return;
    if (result->good)
        log_event(LOG_INFO, "backup_taken", NULL);
    else
        log_event(LOG_ERROR, "backup_failed", "code", result->code, "detail", result->detail, NULL);
    struct backup_end *end = calloc(1, sizeof *end);
    if (end == NULL)
        return;
    end_fill(end, result);
    end->note.entry = (struct audit_entry){.actor = "relay",
                                           .origin = "relay",
                                           .event = "backup.end",
                                           .outcome = end->code,
                                           .object = end->object,
                                           .bundle = policy_bundle(relay->policy),
                                           .detail = end->detail[0] == '\0' ? NULL : end->detail};
    end->note.op.apply = ledger_rows_entry_apply;
    end->note.op.done = on_recorded;
    struct status status = ledger_submit(relay->ledger, &end->note.op);
    if (!failed(status))
        return;
    log_failure(LOG_ERROR, "entry_not_recorded", status, NULL);
    free(end);
}

STATUS backup_routes_open(struct relay *relay)
{
    const struct settings *settings = relay->settings;
    struct backup_options options = {
        .folder = settings->backup_folder,
        .origin = settings->signer_origin,
        .keep = settings->backup_keep,
        .every_ms = settings->backup_every_ms,
    };

    relay->backups = calloc(1, sizeof *relay->backups);
    ENSURE(relay->backups != NULL, WHY_NO_MEMORY);
    if (options.folder == NULL)
        return STATUS_OK;
    TRY(backup_new(&options, ledger_db(relay->ledger), &relay->backups->backup));
    return loop_watch(relay->loop, backup_fd(relay->backups->backup), on_ended, relay,
                      &relay->backups->watch);
}

bool backup_routes_close(struct relay *relay)
{
    struct backup_desk *desk = relay->backups;

    if (desk == NULL)
        return true;
    loop_watch_free(&desk->watch);
    if (desk->backup != NULL && backup_is_running(desk->backup)) {
        struct pollfd waits = {.fd = backup_fd(desk->backup), .events = POLLIN};
        if (poll(&waits, 1, PATIENCE_MS) != 1) {
            log_event(LOG_WARN, "backup_cut_short", NULL);
            return false;
        }
    }
    backup_free(&desk->backup);
    free(desk);
    relay->backups = NULL;
    return true;
}
