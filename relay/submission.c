/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/submission.h"

#include <assert.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/encode.h"
#include "base/own.h"
#include "base/redact.h"
#include "vault/contract.h"

static void submission_free(struct submission **submission_at)
{
    struct submission *submission = *submission_at;

    if (submission == NULL)
        return;
    assert(submission->call == NULL && submission->out_count == 0);
    buffer_free(&submission->target);
    buffer_free(&submission->body);
    buffer_free(&submission->filled);
    buffer_free(&submission->answer);
    buffer_free(&submission->intent.answer);
    forward_free(&submission->forward);
    lease_clear(&submission->lease);
    free(submission);
    *submission_at = NULL;
}

/* The caller left; the journey goes on. */
static void on_gone(void *owner)
{
    struct submission *submission = owner;

    submission->call = NULL;
}

STATUS submission_new(struct relay *relay, struct http_call *call, struct submission **out)
{
    ENSURE(relay->submission_count < relay->submission_max, WHY_BUSY);
    struct submission *submission = calloc(1, sizeof *submission);
    ENSURE(submission != NULL, WHY_NO_MEMORY);
    submission->relay = relay;
    submission->call = call;
    submission->begun_us = clock_monotonic_us();
    submission->target = BUFFER(SUBMISSION_TARGET_MAX);
    submission->body = BUFFER(relay->settings->body_bytes_max);
    submission->answer = BUFFER(ANSWER_BYTES_MAX);
    forward_begin(&submission->forward);
    snprintf(submission->request_id, sizeof submission->request_id, "%s", http_request_id(call));
    /* The caller's own, it may be anything; it stands in the ledger. */
    redact_mask((uint8_t *)submission->request_id, strlen(submission->request_id));
    snprintf(submission->origin, sizeof submission->origin, "%s", http_peer_address(call));
    random_ordered_id(CONTRACT_SUBMISSION_PREFIX, submission->row.id, sizeof submission->row.id);
    submission->row.created_ms = clock_now_ms();
    submission->outcome = (struct answer_outcome){
        .submission_id = submission->row.id, .outcome = LEDGER_NOT_SENT, .safe_to_retry = true};
    relay->submission_count++;
    metric_set(relay->metrics.under_way, relay->submission_count);
    http_defer(call, submission, on_gone);
    *out = submission;
    return STATUS_OK;
}

static struct submission **bucket_of(struct submission *submission)
{
    uint32_t hash;

    memcpy(&hash, submission->row.key, sizeof hash); /* A digest: any four bytes will do. */
    return &submission->relay->keys[hash % RELAY_BUCKETS];
}

bool submission_claim(struct submission *submission, const struct submission **out_twin)
{
    struct submission **bucket = bucket_of(submission);

    for (struct submission *at = *bucket; at != NULL; at = at->next_key)
        if (memcmp(at->row.key, submission->row.key, sizeof at->row.key) == 0) {
            *out_twin = at;
            return false;
        }
    submission->next_key = *bucket;
    *bucket = submission;
    submission->in_table = true;
    return true;
}

static void unclaim(struct submission *submission)
{
    if (!submission->in_table)
        return;
    struct submission **at = bucket_of(submission);
    while (*at != submission)
        at = &(*at)->next_key;
    *at = submission->next_key;
    submission->in_table = false;
}

void submission_over(struct submission *submission)
{
    struct relay *relay = submission->relay;

    assert(submission->call == NULL);
    if (!submission->over) {
        submission->over = true;
        unclaim(submission);
        relay->submission_count--;
        metric_set(relay->metrics.under_way, relay->submission_count);
    }
    if (submission->out_count == 0)
        submission_free(&submission);
}

STATUS submission_out(struct submission *submission, struct ledger_op *op)
{
    TRY(ledger_submit(submission->relay->ledger, op));
    submission->out_count++;
    return STATUS_OK;
}

void submission_home(struct submission *submission)
{
    assert(submission->out_count > 0);
    submission->out_count--;
    if (submission->over)
        submission_over(submission);
}

void submission_problem(struct submission *submission)
{
    struct http_problem problem = refusal_of(submission->code);
    struct answer_outcome *outcome = &submission->outcome;

    if (submission->field[0] != '\0')
        problem.field = submission->field;
    if (submission->detail[0] != '\0')
        problem.detail = submission->detail;
    if (submission->code == PROBLEM_DENIED && submission->decision.rule[0] != '\0')
        problem.rule = submission->decision.rule;
    outcome->relay_us = clock_monotonic_us() - submission->begun_us - outcome->policy_us -
                        outcome->lease_us - outcome->gateway_us;
    struct http_call *call = MOVE(submission->call);
    if (call != NULL)
        answer_problem(call, &problem, outcome);
    submission_over(submission);
}

void submission_fail(struct submission *submission, enum problem_code code, enum answer_failed by)
{
    submission->code = code;
    submission->outcome.failed = by;
    metric_add(submission->relay->metrics.refused, 1);
    submission_problem(submission);
}

static void on_refusal_recorded(struct ledger_op *op)
{
    struct submission *submission = (void *)((char *)op - offsetof(struct submission, entry.op));

    if (failed(op->status)) {
        /* Even a refusal is said only once it is on record. */
        submission->code = PROBLEM_AUDIT_UNAVAILABLE;
        submission->outcome.failed = ANSWER_FAILED_RELAY;
    }
    submission->out_count--;
    submission_problem(submission);
}

void submission_refuse(struct submission *submission, enum problem_code code, enum answer_failed by)
{
    bool by_policy = code == PROBLEM_DENIED;
    const struct policy_principal *principal = submission->principal;

    submission->code = code;
    submission->outcome.failed = by;
    submission->entry.entry = (struct audit_entry){
        .actor = principal != NULL ? principal->name : "-",
        .on_behalf_of = submission->on_behalf_of[0] != '\0' ? submission->on_behalf_of : NULL,
        .origin = submission->origin,
        .event = by_policy ? "policy.deny"
                           : (code == PROBLEM_UNKNOWN_PRINCIPAL ? "auth.fail" : "card.submit"),
        .outcome = refusal_name(code),
        .object = submission->row.id,
        .tenant = principal != NULL && principal->tenant[0] != '\0' ? principal->tenant : NULL,
        .purpose = submission->purpose[0] != '\0' ? submission->purpose : NULL,
        .destination = submission->to != NULL ? submission->to->destination.name : NULL,
        .bundle = policy_bundle(submission->relay->policy),
        .rule = submission->decision.rule[0] != '\0' ? submission->decision.rule : NULL,
        .decision = by_policy ? "deny" : NULL,
        .request_id = submission->request_id,
    };
    submission->entry.op.apply = ledger_rows_entry_apply;
    submission->entry.op.done = on_refusal_recorded;
    metric_add(submission->relay->metrics.refused, 1);
    if (failed(submission_out(submission, &submission->entry.op)))
        submission_fail(submission, PROBLEM_BUSY, ANSWER_FAILED_RELAY);
}
