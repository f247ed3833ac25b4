/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "vault/keeper_inside.h"

#define HEARTBEAT_MS (60 * 1000LL)

STATUS keeper_record_own(struct keeper *keeper, struct audit_entry *entry, int64_t now_ms)
{
    uint64_t seq = 0;

    entry->ts_ms = now_ms;
    if (entry->actor == NULL)
        entry->actor = "keeper";
    if (entry->origin == NULL)
        entry->origin = "keeper";
    if (entry->outcome == NULL)
        entry->outcome = "ok";
    entry->bundle = policy_bundle(keeper->policy);
    TRY(audit_log_append(keeper->log, keeper->batch, entry, &seq));
    keeper->last_entry_ms = now_ms;
    return STATUS_OK;
}

STATUS keeper_record(struct keeper_op *op, struct audit_entry *entry)
{
    entry->actor = op->principal == NULL ? "-" : op->principal->name;
    entry->origin = op->caller->origin;
    entry->request_id = op->caller->request_id;
    if (entry->event == NULL)
        entry->event = policy_action_name(op->action);
    if (entry->tenant == NULL && op->tenant != NULL)
        entry->tenant = op->tenant->name;
    if (entry->rule == NULL && op->rule[0] != '\0')
        entry->rule = op->rule;
    if (entry->decision == NULL)
        entry->decision = "allow";
    return keeper_record_own(op->keeper, entry, op->now_ms);
}

/* Refused callers get an entry each, up to a bound a second; from there on they are counted, so
 * that nobody fills the log by knocking (LOG-4). */
void keeper_record_refusal(struct keeper_op *op, const struct problem *problem)
{
    struct keeper *keeper = op->keeper;
    bool stranger = problem->code == PROBLEM_UNKNOWN_PRINCIPAL;
    bool denied = problem->code == PROBLEM_DENIED;
    struct audit_entry entry = {
        .event = stranger ? "auth.fail"
                 : denied ? "policy.deny"
                          : op->event,
        .outcome = problem_name(problem->code),
        .object = op->object[0] != '\0' ? op->object : NULL,
        .decision = stranger || denied ? "deny" : "allow",
        .detail = stranger || denied ? policy_action_name(op->action) : NULL,
        .certificate = op->certificate[0] != '\0' ? op->certificate : NULL,
    };

    if ((stranger || denied) && ++keeper->refusals > KEEPER_REFUSALS_MAX) {
        keeper->refusals_collapsed++;
        return;
    }
    struct status status = keeper_record(op, &entry);
    if (failed(status))
        log_failure(LOG_ERROR, "refusal_not_recorded", status, "request_id", op->caller->request_id,
                    NULL);
}

void keeper_record_next(struct keeper_op *op)
{
    op->rule[0] = '\0';
    op->object[0] = '\0';
}

/* LOG-6: what the log was doing before this start. */
STATUS keeper_record_start(struct keeper *keeper, int64_t now_ms)
{
    uint64_t size = audit_log_size(keeper->log);
    struct audit_entry start = {.event = size == 0 ? "audit.init" : "audit.start"};

    if (size > 0) {
        TRY(audit_log_entry(keeper->log, size - 1, &keeper->scratch));
        if (strstr(buffer_text(&keeper->scratch), "\"event\":\"audit.stop\"") == NULL) {
            struct audit_entry gap = {.event = "audit.gap",
                                      .detail =
                                          "the process before this one did not stop in order"};
            TRY(keeper_record_own(keeper, &gap, now_ms));
        }
    }
    return keeper_record_own(keeper, &start, now_ms);
}

void keeper_record_second(struct keeper *keeper, int64_t now_ms)
{
    struct status status = STATUS_OK;

    keeper->refusals = 0;
    if (keeper->refusals_collapsed > 0) {
        struct audit_entry entry = {
            .event = "auth.fail",
            .outcome = "collapsed",
            .count = keeper->refusals_collapsed,
            .decision = "deny",
        };
        status = keeper_record_own(keeper, &entry, now_ms);
        if (!failed(status))
            keeper->refusals_collapsed = 0;
    } else if (now_ms - keeper->last_entry_ms >= HEARTBEAT_MS || now_ms < keeper->last_entry_ms) {
        struct audit_entry entry = {.event = "audit.heartbeat"};
        status = keeper_record_own(keeper, &entry, now_ms);
    }
    if (failed(status))
        log_failure(LOG_ERROR, "entry_not_recorded", status, NULL);
}
