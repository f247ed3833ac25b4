/* SPDX-License-Identifier: Apache-2.0 */
/* POST /v1/settlements: what became of a lease.
 *
 *   answered         the gateway said something, whatever it was: the CVV is destroyed (SAD-1)
 *   not_sent         not one byte left: CVV and single-use tokens go back
 *   sent_no_answer   bytes left: the CVV stays with this submission until the lease ends;
 * `answered` may follow
 *
 * A relay that never heard whether it has a lease settles by its submission: a lease's id follows
 * from that.  Where there is none, the submission is closed, so that a request for one that is
 * still on its way gives no card to nobody.
 */
#include <stdio.h>
#include <string.h>

#include "base/encode.h"
#include "base/own.h"
#include "vault/lease_id.h"
#include "vault/steps.h"

static STATUS settle_refuse(const struct message_settlement *settlement, enum problem_code code,
                            const char *detail, struct problem *out_problem)
{
    problem_set(out_problem, code,
                settlement->submission[0] != '\0' ? "/submission_id" : "/lease_id", detail);
    return FAIL(WHY_DENIED);
}

static STATUS settle_id(struct keeper_op *op, const struct message_settlement *settlement,
                        uint8_t out_id[static 16], struct problem *out_problem)
{
    if (settlement->submission[0] != '\0')
        return lease_id_of(&op->keeper->store, op->principal->name, settlement->submission,
                           op->now_ms, out_id);
    if (failed(lease_id_read(settlement->lease_id, out_id)))
        return settle_refuse(settlement, PROBLEM_NOT_FOUND, NULL, out_problem);
    return STATUS_OK;
}

static STATUS settle_return_tokens(struct keeper_op *op, const struct store_lease *lease)
{
    struct store *store = &op->keeper->store;

    for (unsigned i = 0; i < lease->token_count; i++) {
        struct store_token token;
        TRY(store_get_token(store, lease->tokens[i], &token));
        if (token.state != STORE_TOKEN_CONSUMED)
            continue; /* Erased meanwhile. */
        token.state = STORE_TOKEN_LIVE;
        TRY(store_put_token(store, op->keeper->batch, lease->tokens[i], &token));
    }
    return STATUS_OK;
}

static void settle_codes(struct keeper_op *op, const uint8_t lease_id[static 16],
                         const struct store_lease *lease, enum message_outcome outcome)
{
    for (unsigned i = 0; i < lease->cvv_count; i++) {
        if (outcome == MESSAGE_OUTCOME_ANSWERED)
            cvv_destroy(op->keeper->cvvs, lease->cvvs[i]);
        else if (outcome == MESSAGE_OUTCOME_NOT_SENT)
            cvv_return(op->keeper->cvvs, lease->cvvs[i], lease_id, op->now_ms);
    }
}

/* No lease, and none from now on: a row that holds its place, of no tenant. */
static STATUS settle_close(struct keeper_op *op, const struct message_settlement *settlement,
                           const uint8_t id[static 16])
{
    struct store *store = &op->keeper->store;
    struct store_lease row = {.deadline_ms = op->now_ms,
                              .settled = (uint8_t)(1 + settlement->outcome)};

    (void)snprintf(row.submission, sizeof row.submission, "%s", settlement->submission);
    (void)snprintf(row.relay, sizeof row.relay, "%s", op->principal->name);
    TRY(store_put_lease(store, op->keeper->batch, id, &row));
    store_put_expiry(store, op->keeper->batch, op->now_ms + KEEPER_LEASE_KEPT_MS, STORE_LEASES, id,
                     16);
    struct audit_entry entry = {
        .outcome = problem_name(PROBLEM_NOT_FOUND),
        .object = settlement->submission,
        .detail = message_outcome_names[settlement->outcome],
    };
    return keeper_record(op, &entry);
}

/* Once said it stays, but that an answer may still follow a silence. */
static bool settle_allows(uint8_t settled, enum message_outcome outcome)
{
    return settled == 0 ||
           (settled == 1 + MESSAGE_OUTCOME_SENT_NO_ANSWER && outcome == MESSAGE_OUTCOME_ANSWERED);
}

static STATUS settle_do(struct keeper_op *op, const struct message_settlement *settlement,
                        uint8_t out_id[static 16], struct problem *out_problem)
{
    struct keeper *keeper = op->keeper;
    struct store_lease lease;

    TRY(settle_id(op, settlement, out_id, out_problem));
    struct status status = store_get_lease(&keeper->store, out_id, &lease);
    if (status.why == WHY_NOT_FOUND && settlement->submission[0] != '\0')
        return settle_close(op, settlement, out_id);
    if (status.why == WHY_NOT_FOUND ||
        (!failed(status) && strcmp(lease.relay, op->principal->name) != 0))
        return settle_refuse(settlement, PROBLEM_NOT_FOUND, NULL, out_problem);
    TRY(status);
    if (lease.tenant[0] == '\0')
        return STATUS_OK; /* Closed before; there is nothing to settle. */
    struct policy_question question = {
        .action = op->action,
        .principal = op->principal,
        .tenant = lease.tenant,
        .destination = lease.destination,
    };
    if (!keeper_decide(op, &question, out_problem))
        return FAIL(WHY_DENIED);
    if (lease.settled == 1 + (uint8_t)settlement->outcome)
        return STATUS_OK; /* A repeat. */
    if (!settle_allows(lease.settled, settlement->outcome))
        return settle_refuse(settlement, PROBLEM_STATE_CONFLICT,
                             "This lease was settled with another outcome.", out_problem);
    if (settlement->outcome == MESSAGE_OUTCOME_NOT_SENT)
        TRY(settle_return_tokens(op, &lease));
    lease.settled = (uint8_t)(1 + settlement->outcome);
    TRY(store_put_lease(&keeper->store, keeper->batch, out_id, &lease));
    struct audit_entry entry = {
        .object = lease.submission,
        .tenant = lease.tenant,
        .destination = lease.destination,
        .detail = message_outcome_names[settlement->outcome],
    };
    TRY(keeper_record(op, &entry));
    /* Last: nothing here can fail after it.  A commit can, and then all of it comes again. */
    settle_codes(op, out_id, &lease, settlement->outcome);
    return STATUS_OK;
}

static STATUS settle_one(struct keeper_op *op, const struct message_settlement *settlement,
                         struct buffer *out)
{
    struct keeper_mark mark = keeper_mark(op->keeper);
    struct problem problem = settlement->problem;
    char text[LEASE_ID_TEXT_BYTES];
    uint8_t id[16];
    struct status status = STATUS_OK;

    keeper_record_next(op);
    if (problem.code != PROBLEM_NONE)
        status = FAIL(WHY_BAD_INPUT);
    else
        status = settle_do(op, settlement, id, &problem);

    if (!failed(status)) {
        lease_id_write(id, text);
        buffer_add_u8(out, 1);
        buffer_add_counted(out, text);
        return buffer_status(out);
    }
    keeper_rewind(op->keeper, &mark, op->now_ms);
    if (problem.code == PROBLEM_NONE) {
        if (problem_of(status) == PROBLEM_STORE_UNAVAILABLE)
            return status;
        problem_set(&problem, problem_of(status), NULL, NULL);
    }
    (void)snprintf(op->object, sizeof op->object, "%s",
                   settlement->submission[0] != '\0' ? settlement->submission
                                                     : settlement->lease_id);
    keeper_record_refusal(op, &problem);
    buffer_add_u8(out, 0);
    problem_encode(&problem, out);
    return buffer_status(out);
}

STATUS settle_run(struct keeper_op *op, struct cursor *in)
{
    struct buffer results OWNED(buffer_free) = BUFFER(FRAME_BODY_BYTES_MAX);
    struct message_settlement settlement OWNED(message_settlement_wipe) = {0};
    unsigned count = cursor_u16(in);

    ENSURE(count <= CONTRACT_LEASES_MAX, WHY_BAD_INPUT); /* Of none nothing is recorded. */
    for (unsigned i = 0; i < count; i++) {
        message_settlement_decode(in, &settlement);
        ENSURE(!in->bad, WHY_BAD_INPUT);
        TRY(settle_one(op, &settlement, &results));
    }
    ENSURE(cursor_done(in), WHY_BAD_INPUT);
    struct buffer *out = keeper_answer(op, MESSAGE_SETTLED);
    buffer_add_u16(out, (uint16_t)count);
    buffer_add(out, results.bytes, results.size);
    return keeper_answer_end(op);
}
