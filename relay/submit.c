/* SPDX-License-Identifier: Apache-2.0 */
/* The second half of a submission, its steps in the order they happen (RLY-5): durable intent,
 * lease, fill, send, durable outcome, answer, settle. */
#include <assert.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/encode.h"
#include "base/log.h"
#include "base/own.h"
#include "relay/submission.h"

#define FILLED_BYTES_SPARE (64u * 1024u) /* Escaped values are longer than their tokens. */

static void step_resolve(struct submission *submission);
static void step_lease(struct submission *submission);
static void step_fill(struct submission *submission);
static void step_send(struct submission *submission);
static void step_end(struct submission *submission);

/* Through void, for an op stands where its struct wants it. */
#define SUBMISSION_OF(op_, member) ((void *)((char *)(op_)-offsetof(struct submission, member)))

/* Nobody sees by the code alone whether a repeat is a second payment. */
#define SAY_NOT_SENT "Nothing was sent: the request may be repeated."
#define SAY_SENT                                                                                   \
    "The request was sent, and no whole answer came: it may have been carried out. Ask the "       \
    "gateway; under the same Idempotency-Key it is not sent again."
#define SAY_NO_ANSWER_OF_USE                                                                       \
    "The gateway has the request, and its answer cannot be passed on: ask the gateway what became" \
    " of it."
#define SAY_IN_DOUBT                                                                               \
    "It is not sent again. Ask the gateway what became of it; only if it was not carried out, "    \
    "send it anew under another Idempotency-Key."

static void say(struct submission *submission, const char *detail)
{
    snprintf(submission->detail, sizeof submission->detail, "%s", detail);
}

/* Ends the journey before anything was sent. */
static void give_up(struct submission *submission, enum problem_code code, enum answer_failed by)
{
    submission->code = code;
    submission->outcome.outcome = LEDGER_NOT_SENT;
    submission->outcome.safe_to_retry = true;
    submission->outcome.failed = by;
    step_end(submission);
}

/* --- Durable intent --- */

static void replay(struct submission *submission)
{
    struct answer_view view;

    submission->outcome.submission_id = submission->intent.first_id;
    submission->outcome.outcome = LEDGER_ANSWERED;
    submission->outcome.safe_to_retry = false;
    submission->outcome.replayed = true;
    if (failed(answer_decode(submission->intent.answer.bytes, submission->intent.answer.size,
                             &view))) {
        submission_fail(submission, PROBLEM_STORE_UNAVAILABLE, ANSWER_FAILED_RELAY);
        return;
    }
    metric_add(submission->relay->metrics.replayed, 1);
    submission->outcome.relay_us =
        clock_monotonic_us() - submission->begun_us - submission->outcome.policy_us;
    struct http_call *call = MOVE(submission->call);
    if (call != NULL)
        answer_send(call, &view, &submission->outcome);
    submission_over(submission);
}

static void on_intent(struct ledger_op *op)
{
    struct submission *submission = SUBMISSION_OF(op, intent.op);
    struct answer_outcome *outcome = &submission->outcome;

    submission->out_count--;
    if (failed(op->status)) {
        log_failure(LOG_ERROR, "intent_not_recorded", op->status, "submission", submission->row.id,
                    NULL);
        submission_fail(submission, PROBLEM_STORE_UNAVAILABLE, ANSWER_FAILED_RELAY);
        return;
    }
    switch (submission->intent.found) {
    case LEDGER_FOUND_ANSWER:
        replay(submission);
        return;
    case LEDGER_FOUND_OTHER:
        outcome->safe_to_retry = false; /* It would be refused again. */
        submission_fail(submission, PROBLEM_IDEMPOTENCY_CONFLICT, ANSWER_FAILED_RELAY);
        return;
    case LEDGER_FOUND_IN_DOUBT:
        outcome->submission_id = submission->intent.first_id;
        outcome->outcome = LEDGER_SENT_NO_ANSWER;
        outcome->safe_to_retry = false;
        say(submission, SAY_IN_DOUBT);
        submission_fail(submission, PROBLEM_IN_DOUBT, ANSWER_FAILED_RELAY);
        return;
    case LEDGER_FOUND_LOST:
        outcome->submission_id = submission->intent.first_id;
        outcome->outcome = LEDGER_ANSWERED;
        outcome->safe_to_retry = false;
        say(submission, "The gateway answered; its answer was too large to be kept, or malformed.");
        submission_fail(submission, PROBLEM_STATE_CONFLICT, ANSWER_FAILED_RELAY);
        return;
    case LEDGER_FOUND_NOTHING:
        step_resolve(submission);
        return;
    }
}

void submit_start(struct submission *submission)
{
    submission->intent = (struct ledger_intent){.submission = &submission->row};
    submission->intent.op.apply = ledger_rows_intent_apply;
    submission->intent.op.done = on_intent;
    if (failed(submission_out(submission, &submission->intent.op)))
        submission_fail(submission, PROBLEM_BUSY, ANSWER_FAILED_RELAY);
}

/* --- Addresses: before the lease, so that a name that does not resolve holds up no card --- */

static void on_resolved(void *owner, struct status status, const char *addresses)
{
    struct submission *submission = owner;

    if (failed(status)) {
        log_failure(LOG_WARN, "destination_not_resolved", status, "destination",
                    submission->to->destination.name, NULL);
        say(submission, SAY_NOT_SENT);
        give_up(submission, PROBLEM_GATEWAY_UNREACHABLE, ANSWER_FAILED_NETWORK);
        return;
    }
    snprintf(submission->addresses, sizeof submission->addresses, "%s", addresses);
    step_lease(submission);
}

static void step_resolve(struct submission *submission)
{
    struct resolver *resolver = submission->relay->resolver;
    const char *known = resolve_peek(resolver, submission->to);

    if (known != NULL) {
        on_resolved(submission, STATUS_OK, known);
        return;
    }
    submission->waiter = (struct resolve_waiter){.done = on_resolved, .owner = submission};
    if (failed(resolve_start(resolver, submission->to, &submission->waiter)))
        give_up(submission, PROBLEM_BUSY, ANSWER_FAILED_RELAY);
}

/* --- Lease --- */

/* Which token it was, by the slot that it stands in. */
static void name_refused(struct submission *submission, const struct lease_refusal *refusal)
{
    const char *token = NULL;

    if (refusal->of == LEASE_CARD_TOKEN && refusal->index < submission->card_token_count)
        token = submission->card_tokens[refusal->index];
    if (refusal->of == LEASE_CVV_TOKEN && refusal->index < submission->cvv_token_count)
        token = submission->cvv_tokens[refusal->index];
    if (token == NULL)
        return;
    snprintf(submission->field, sizeof submission->field, "%s",
             slots_place(&submission->slots, token));
    if (refusal->code == PROBLEM_NOT_FOUND)
        say(submission, "The vault does not know the token in this slot.");
}

static void on_leased(void *owner, struct lease *lease, const struct lease_refusal *refusal)
{
    struct submission *submission = owner;

    submission->outcome.lease_us = clock_monotonic_us() - submission->step_us;
    metric_observe_us(submission->relay->metrics.lease, submission->outcome.lease_us);
    if (lease == NULL) {
        submission->settles = refusal->may_be_leased;
        say(submission, refusal->detail);
        name_refused(submission, refusal);
        give_up(submission, refusal->code, ANSWER_FAILED_VAULT);
        return;
    }
    submission->lease = *lease;
    *lease = (struct lease){0}; /* Moved out. */
    submission->settles = true;
    memcpy(submission->row.lease_id, submission->lease.id, sizeof submission->row.lease_id);
    step_fill(submission);
}

static void step_lease(struct submission *submission)
{
    struct lease_order order = {
        .submission_id = submission->row.id,
        .destination = submission->to->destination.name,
        .purpose = submission->purpose,
        .on_behalf_of = submission->principal->name, /* The vault decides again, for this one. */
        .tokens = submission->card_tokens,
        .token_count = submission->card_token_count,
        .cvv_tokens = submission->cvv_tokens,
        .cvv_token_count = submission->cvv_token_count,
    };

    submission->step_us = clock_monotonic_us();
    if (submission->slots.count == 0) {
        step_fill(submission);
        return;
    }
    if (failed(lease_start(submission->relay->desk, &order, on_leased, submission)))
        give_up(submission, PROBLEM_BUSY, ANSWER_FAILED_RELAY);
}

/* --- Fill --- */

static struct expression_card card_of(const struct lease *lease,
                                      const struct expression *expression)
{
    struct expression_card card = {0};

    for (unsigned i = 0; i < lease->card_count && !expression->is_cvv_token; i++)
        if (strcmp(lease->cards[i].token, expression->token) == 0)
            card = (struct expression_card){.number = lease->cards[i].number,
                                            .cardholder_name = lease->cards[i].cardholder_name,
                                            .exp_month = lease->cards[i].exp_month,
                                            .exp_year = lease->cards[i].exp_year};
    for (unsigned i = 0; i < lease->cvv_count && expression->is_cvv_token; i++)
        if (strcmp(lease->cvvs[i].token, expression->token) == 0)
            card.cvv = lease->cvvs[i].value;
    return card;
}

static STATUS fill(struct submission *submission)
{
    const struct slots *slots = &submission->slots;
    struct secret *values[SLOTS_MAX] = {0};
    struct status status = STATUS_OK;

    submission->filled = BUFFER(submission->body.size + FILLED_BYTES_SPARE);
    for (unsigned i = 0; i < slots->count && !failed(status); i++) {
        struct expression_card card = card_of(&submission->lease, &slots->list[i].expression);
        status = expression_make(&slots->list[i].expression, &card, &values[i]);
        if (failed(status))
            snprintf(submission->field, sizeof submission->field, "%s", slots->list[i].place);
    }
    if (!failed(status))
        status = slots_fill(slots, (const struct secret *const *)values, submission->body.bytes,
                            submission->body.size, &submission->filled);
    for (unsigned i = 0; i < slots->count; i++)
        secret_free(&values[i]);
    return status;
}

static void step_fill(struct submission *submission)
{
    struct status status = fill(submission);

    if (!failed(status)) {
        step_send(submission);
        return;
    }
    if (status.why == WHY_NOT_FOUND || status.why == WHY_BAD_INPUT) {
        say(submission, "The token in this slot does not have what the slot asks for; a CVV has a "
                        "token of its own, cvv_.");
        give_up(submission, PROBLEM_MISSING_FIELD, ANSWER_FAILED_RELAY);
        return;
    }
    submission->field[0] = '\0'; /* It is not the slot's fault. */
    log_failure(LOG_ERROR, "slots_not_filled", status, "submission", submission->row.id, NULL);
    give_up(submission, PROBLEM_BUSY, ANSWER_FAILED_RELAY);
}

/* --- Send --- */

/* True when a slot took the name of this card's holder. */
static bool took_name(const struct submission *submission, const struct lease_card *card)
{
    for (unsigned i = 0; i < submission->slots.count; i++) {
        const struct expression *expression = &submission->slots.list[i].expression;
        if (expression->field == EXPRESSION_CARDHOLDER_NAME &&
            strcmp(expression->token, card->token) == 0)
            return card->cardholder_name != NULL;
    }
    return false;
}

/* What was inserted: every number and CVV that was leased, and names where a slot took one. */
static struct scrub guard_of(const struct submission *submission)
{
    const struct lease *lease = &submission->lease;
    struct scrub scrub = {0};

    static_assert(SCRUB_VALUES_MAX >= 3 * CONTRACT_LEASE_TOKENS_MAX, "numbers, names, CVVs fit");
    for (unsigned i = 0; i < lease->card_count; i++) {
        const struct lease_card *card = &lease->cards[i];
        scrub.values[scrub.count++] =
            (struct scrub_value){.kind = SCRUB_NUMBER, .value = card->number, .token = card->token};
        if (took_name(submission, card))
            scrub.values[scrub.count++] = (struct scrub_value){
                .kind = SCRUB_NAME, .value = card->cardholder_name, .token = card->token};
    }
    for (unsigned i = 0; i < lease->cvv_count; i++)
        scrub.values[scrub.count++] = (struct scrub_value){
            .kind = SCRUB_CVV, .value = lease->cvvs[i].value, .token = lease->cvvs[i].token};
    return scrub;
}

static void judge_answered(struct submission *submission, const struct client_answer *answer)
{
    struct scrub scrub = guard_of(submission);
    unsigned hits = 0;

    struct status status = answer_encode(answer, &scrub, &submission->answer, &hits);
    submission->outcome.outcome = LEDGER_ANSWERED;
    submission->outcome.safe_to_retry = false;
    if (hits > 0)
        metric_add(submission->relay->metrics.guarded, hits);
    if (failed(status)) {
        log_failure(LOG_WARN, "gateway_answer_not_passed", status, "submission", submission->row.id,
                    "destination", submission->to->destination.name, NULL);
        buffer_clear(&submission->answer);
        submission->code = PROBLEM_GATEWAY_MALFORMED;
        submission->outcome.failed = ANSWER_FAILED_GATEWAY;
        say(submission, SAY_NO_ANSWER_OF_USE);
        return;
    }
    submission->answered = true;
}

static void judge_trouble(struct submission *submission, const struct client_answer *answer)
{
    struct answer_outcome *outcome = &submission->outcome;
    bool sent = answer->result != CLIENT_NOT_SENT;

    outcome->outcome = sent ? LEDGER_SENT_NO_ANSWER : LEDGER_NOT_SENT;
    outcome->safe_to_retry = !sent;
    outcome->failed = ANSWER_FAILED_NETWORK;
    submission->code = PROBLEM_GATEWAY_UNREACHABLE;
    say(submission, sent ? SAY_SENT : SAY_NOT_SENT);
    if (answer->result == CLIENT_MALFORMED) {
        say(submission, SAY_NO_ANSWER_OF_USE);
        outcome->outcome = LEDGER_ANSWERED; /* Whatever it was, the gateway had the request. */
        outcome->failed = ANSWER_FAILED_GATEWAY;
        submission->code = PROBLEM_GATEWAY_MALFORMED;
    } else if (answer->trouble == CLIENT_TROUBLE_TLS) {
        submission->code = PROBLEM_GATEWAY_TLS;
    } else if (answer->trouble == CLIENT_TROUBLE_TIMEOUT) {
        outcome->failed = sent ? ANSWER_FAILED_GATEWAY : ANSWER_FAILED_NETWORK;
        submission->code = PROBLEM_GATEWAY_TIMEOUT;
    } else if (sent) {
        outcome->failed = ANSWER_FAILED_GATEWAY;
    }
    if (!sent)
        resolve_forget(submission->relay->resolver, submission->to);
    log_event(LOG_WARN, "gateway_trouble", "submission", submission->row.id, "destination",
              submission->to->destination.name, "outcome",
              ledger_rows_outcome_name(outcome->outcome), "trouble", answer->trouble_text, NULL);
}

static void on_gateway(void *owner, struct client_answer *answer)
{
    struct submission *submission = owner;

    submission->sending = NULL;
    buffer_free(&submission->filled); /* Wiped: no card stays a step longer than needed. */
    submission->outcome.gateway_us = answer->duration_us;
    metric_observe_us(submission->relay->metrics.gateway, answer->duration_us);
    if (answer->result == CLIENT_ANSWERED)
        judge_answered(submission, answer);
    else
        judge_trouble(submission, answer);
    lease_clear(&submission->lease);
    step_end(submission);
}

static void step_send(struct submission *submission)
{
    const struct destination *destination = &submission->to->destination;
    const struct profile *profile = &submission->to->profile;
    struct client_request request = {
        .method = submission->method,
        .host = destination->host,
        .port = destination->port,
        .target = buffer_text(&submission->target),
        .headers = submission->forward.headers,
        .body = submission->filled.size > 0 ? submission->filled.bytes : NULL,
        .body_size = submission->filled.size,
        .addresses = submission->addresses,
        .authorities = destination->authorities[0] != '\0' ? destination->authorities : NULL,
        .pins = destination->pins[0] != '\0' ? destination->pins : NULL,
        .tls13_only = profile->tls13_only,
        .connect_ms = profile->connect_ms,
        .total_ms = profile->total_ms,
        .answer_bytes_max = ANSWER_BODY_MAX,
    };

    struct status status = client_start(submission->relay->gateways, &request, on_gateway,
                                        submission, &submission->sending);
    if (!failed(status))
        return;
    buffer_free(&submission->filled);
    if (status.why == WHY_BAD_INPUT) {
        say(submission, "The target or a header cannot be forwarded as it is.");
        give_up(submission, PROBLEM_INVALID_HEADER, ANSWER_FAILED_RELAY);
        return;
    }
    if (status.why == WHY_LIMIT) { /* Tried again it would be no shorter. */
        give_up(submission, PROBLEM_HEADER_TOO_LARGE, ANSWER_FAILED_RELAY);
        return;
    }
    give_up(submission, PROBLEM_BUSY, ANSWER_FAILED_RELAY);
}

/* --- Durable outcome, answer, settlement --- */

static void count(const struct submission *submission)
{
    const struct relay_metrics *metrics = &submission->relay->metrics;
    struct metric *const by_outcome[] = {[LEDGER_NOT_SENT] = metrics->not_sent,
                                         [LEDGER_SENT_NO_ANSWER] = metrics->sent_no_answer,
                                         [LEDGER_ANSWERED] = metrics->answered};

    metric_add(by_outcome[submission->outcome.outcome], 1);
    metric_observe_us(metrics->total, clock_monotonic_us() - submission->begun_us);
}

static void send_back(struct submission *submission)
{
    struct answer_outcome *outcome = &submission->outcome;
    struct answer_view view;

    if (!submission->answered ||
        failed(answer_decode(submission->answer.bytes, submission->answer.size, &view))) {
        assert(submission->code != PROBLEM_NONE);
        submission_problem(submission);
        return;
    }
    outcome->relay_us = clock_monotonic_us() - submission->begun_us - outcome->policy_us -
                        outcome->lease_us - outcome->gateway_us;
    struct http_call *call = MOVE(submission->call);
    if (call != NULL)
        answer_send(call, &view, outcome);
    submission_over(submission);
}

static void on_ended(struct ledger_op *op)
{
    struct submission *submission = SUBMISSION_OF(op, end.op);

    submission->out_count--;
    count(submission);
    if (failed(op->status)) {
        /* Sent, or not, it was; but that is not on record.  The outcome is told as it is known; a
         * restart finds the attempt open and calls it in doubt. */
        log_failure(LOG_ERROR, "outcome_not_recorded", op->status, "submission", submission->row.id,
                    NULL);
        submission->answered = false;
        submission->code = PROBLEM_STORE_UNAVAILABLE;
        submission->detail[0] = '\0'; /* What it advised held for an outcome on record. */
        submission->outcome.failed = ANSWER_FAILED_RELAY;
        submission->outcome.safe_to_retry = false;
    }
    if (submission->settles)
        status_ignore(
            lease_settle(submission->relay->desk, submission->row.id, submission->outcome.outcome),
            "its row stays, and the next start takes it up");
    send_back(submission);
}

static void step_end(struct submission *submission)
{
    bool keeps = submission->answered && submission->answer.size <= LEDGER_ANSWER_BYTES_MAX;
    int status = submission->code != PROBLEM_NONE ? refusal_status(submission->code) : 0;

    buffer_free(&submission->filled);
    lease_clear(&submission->lease);
    submission->end = (struct ledger_end){
        .submission = &submission->row,
        .outcome = submission->outcome.outcome,
        .code = submission->code == PROBLEM_NONE ? "ok" : refusal_name(submission->code),
        .status = status,
        .answer = keeps ? &submission->answer : NULL,
        .settles = submission->settles,
        .duration_us = clock_monotonic_us() - submission->begun_us,
    };
    submission->end.op.apply = ledger_rows_end_apply;
    submission->end.op.done = on_ended;
    struct status queued = submission_out(submission, &submission->end.op);
    if (failed(queued)) {
        submission->end.op.status = queued;
        submission->out_count++; /* As if it had been out. */
        on_ended(&submission->end.op);
    }
}
