/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/audit_routes.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "policies/audit_page.h"
#include "relay/accept.h"
#include "relay/refusal.h"

#define TEXT_MAX 128u

enum audit_route { AUDIT_CHECKPOINT, AUDIT_ENTRIES };

/* One call under way. */
struct audit_call {
    struct ledger_op op; /* First, so that an op pointer is this. */
    struct relay *relay;
    struct http_call *call; /* NULL once the caller is gone. */
    enum audit_route route;
    enum problem_code code; /* PROBLEM_NONE: may read. */
    const struct policy_principal *principal;
    const struct policy *policy;
    struct policy_decision decision;
    uint64_t start;
    unsigned limit;
    char origin[TEXT_MAX];
    char request_id[TEXT_MAX];
    struct buffer body;
};

static_assert(offsetof(struct audit_call, op) == 0, "an op pointer is an audit_call");

static void on_gone(void *owner)
{
    ((struct audit_call *)owner)->call = NULL;
}

static void audit_call_free(struct audit_call **audit)
{
    if (*audit == NULL)
        return;
    buffer_free(&(*audit)->body);
    free(*audit);
    *audit = NULL;
}

static STATUS record(struct audit_call *audit, struct ledger *ledger, struct db_batch *batch)
{
    static const char *const objects[] = {
        [AUDIT_CHECKPOINT] = "checkpoint", [AUDIT_ENTRIES] = "entries"};
    bool good = audit->code == PROBLEM_NONE;
    bool denied = audit->code == PROBLEM_DENIED;
    struct audit_entry entry = {
        .actor = audit->principal != NULL ? audit->principal->name : "-",
        .origin = audit->origin,
        .event = good ? "audit.read" : (denied ? "policy.deny" : "auth.fail"),
        .outcome = good ? "ok" : refusal_name(audit->code),
        .object = objects[audit->route],
        .bundle = policy_bundle(audit->policy),
        .rule = audit->decision.rule[0] != '\0' ? audit->decision.rule : NULL,
        .decision = good ? "allow" : (denied ? "deny" : NULL),
        .request_id = audit->request_id,
    };
    return ledger_audit(ledger, batch, &entry);
}

/* Writer thread: the log's size and its entries are of one moment there. */
static STATUS audit_apply(struct ledger_op *op, struct ledger *ledger, struct db_batch *batch)
{
    struct audit_call *audit = (struct audit_call *)op;

    if (audit->code != PROBLEM_NONE)
        return record(audit, ledger, batch);
    if (audit->route == AUDIT_CHECKPOINT)
        return audit_log_last_checkpoint(ledger_log(ledger), &audit->body);
    TRY(audit_page_write(ledger_log(ledger), ledger_db(ledger), &ledger_audit_families,
                         audit->start, audit->limit, &audit->body));
    return record(audit, ledger, batch);
}

static void ask_next_page(struct relay *relay);

static void audit_done(struct ledger_op *op)
{
    OWNED(audit_call_free) struct audit_call *audit = (struct audit_call *)op;
    struct http_call *call = MOVE(audit->call);

    if (audit->route == AUDIT_ENTRIES)
        ask_next_page(audit->relay);

    if (call == NULL)
        return;
    if (op->status.why == WHY_NOT_FOUND)
        refusal_answer(call, PROBLEM_NOT_FOUND, NULL);
    else if (failed(op->status))
        refusal_answer(call, PROBLEM_AUDIT_UNAVAILABLE, NULL);
    else if (audit->code != PROBLEM_NONE)
        refusal_answer(call, audit->code, &audit->decision);
    else
        http_answer(call, &(struct http_answer){
                              .status = 200,
                              .content_type = audit->route == AUDIT_CHECKPOINT
                                                  ? "text/plain; charset=utf-8"
                                                  : "application/json",
                              .body = audit->body.bytes,
                              .body_size = audit->body.size,
                          });
}

static void judge(struct relay *relay, struct audit_call *audit)
{
    struct policy_question question = {
        .action = POLICY_AUDIT_READ, .principal = audit->principal, .tenant = ""};

    audit->policy = relay->policy;
    if (audit->principal == NULL) {
        audit->code = PROBLEM_UNKNOWN_PRINCIPAL;
        return;
    }
    audit->decision = policy_decide(relay->policy, &question);
    if (!audit->decision.allowed)
        audit->code = PROBLEM_DENIED;
}

static STATUS start(struct relay *relay, struct http_call *call, enum audit_route route)
{
    OWNED(audit_call_free) struct audit_call *audit = calloc(1, sizeof *audit);
    ENSURE(audit != NULL, WHY_NO_MEMORY);

    audit->call = call;
    audit->relay = relay;
    audit->route = route;
    audit->body = BUFFER(AUDIT_PAGE_BYTES_MAX);
    audit->principal = accept_principal(relay, call);
    snprintf(audit->origin, sizeof audit->origin, "%s", http_peer_address(call));
    snprintf(audit->request_id, sizeof audit->request_id, "%s", http_request_id(call));
    if (route == AUDIT_ENTRIES)
        TRY(audit_page_query(http_query(call), &audit->start, &audit->limit));
    judge(relay, audit);
    audit->op.apply = audit_apply;
    audit->op.done = audit_done;
    TRY(ledger_submit(relay->ledger, &audit->op));
    http_defer(call, audit, on_gone);
    audit = NULL; /* audit_done() frees it. */
    return STATUS_OK;
}

/* True when the ledger has it; else it was answered. */
static bool hand_over(struct relay *relay, struct http_call *call, enum audit_route route)
{
    struct status status = start(relay, call, route);

    if (status.why == WHY_BAD_INPUT) {
        struct http_problem problem = refusal_of(PROBLEM_INVALID_FIELD);
        problem.detail = AUDIT_PAGE_QUERY_HELP;
        http_answer_problem(call, &problem, NULL);
    } else if (failed(status))
        refusal_answer(call, PROBLEM_BUSY, NULL);
    return !failed(status);
}

static void ask_next_page(struct relay *relay)
{
    for (struct http_call *call = http_turns_next(&relay->pages); call != NULL;
         call = http_turns_next(&relay->pages))
        if (hand_over(relay, call, AUDIT_ENTRIES))
            return;
}

static void on_page_call(struct relay *relay, struct http_call *call)
{
    enum http_turn turn = http_turns_take(&relay->pages, call);

    if (turn == HTTP_TURN_NEVER)
        refusal_answer(call, PROBLEM_BUSY, NULL);
    else if (turn == HTTP_TURN_NOW && !hand_over(relay, call, AUDIT_ENTRIES))
        ask_next_page(relay);
}

bool audit_routes_call(struct relay *relay, struct http_call *call)
{
    const char *path = http_path(call);
    bool checkpoint = strcmp(path, CONTRACT_PATH_AUDIT_CHECKPOINT) == 0;

    if (!checkpoint && strcmp(path, CONTRACT_PATH_AUDIT_ENTRIES) != 0)
        return false;
    if (strcmp(http_method(call), "GET") != 0) {
        refusal_answer(call, PROBLEM_METHOD_NOT_ALLOWED, NULL);
        return true;
    }
    if (checkpoint)
        (void)hand_over(relay, call, AUDIT_CHECKPOINT);
    else
        on_page_call(relay, call);
    return true;
}
