/* SPDX-License-Identifier: Apache-2.0 */
/* POST /v1/leases: a card goes out, to a relay, for one submission to one destination.
 *
 * This is the only file that opens a card's envelope for anyone; jobs open them to move them.  For
 * each lease: decide for the relay, decide for the application it acts for, find the tokens, open
 * the cards, lease the codes, put the lease's row, record.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/encode.h"
#include "base/own.h"
#include "keys/envelope.h"
#include "vault/lease_id.h"
#include "vault/steps.h"

/* One lease on its way. */
struct lease {
    const struct message_lease *want;
    const struct policy_tenant *tenant;
    uint8_t id[16];
    struct store_lease row;
    struct problem problem;
    uint8_t token_keys[CONTRACT_LEASE_TOKENS_MAX][STORE_KEY_BYTES];
    struct audit_item items[2 * CONTRACT_LEASE_TOKENS_MAX];
    unsigned item_count;
};

static STATUS lease_refuse(struct lease *lease, enum problem_code code, const char *field,
                           const char *detail)
{
    problem_set(&lease->problem, code, field, detail);
    return FAIL(WHY_DENIED);
}

/* Both must be allowed: the relay to lease for this destination, and the application to submit to
 * it. */
static STATUS lease_decide(struct keeper_op *op, struct lease *lease)
{
    const struct message_lease *want = lease->want;
    const struct policy_principal *shop = policy_principal(op->keeper->policy, want->on_behalf_of);
    struct policy_question question = {
        .action = POLICY_CARD_SUBMIT,
        .principal = shop,
        .tenant = shop == NULL ? "" : shop->tenant,
        .destination = want->destination,
        .purpose = want->purpose,
    };

    if (!keeper_decide(op, &question, &lease->problem))
        return FAIL(WHY_DENIED);
    question.action = POLICY_CARD_LEASE;
    question.principal = op->principal;
    if (!keeper_decide(op, &question, &lease->problem))
        return FAIL(WHY_DENIED);
    lease->tenant = policy_tenant(op->keeper->policy, shop->tenant);
    return lease->tenant == NULL ? FAIL(WHY_NOT_FOUND) : STATUS_OK;
}

/* A lease's id follows from its submission, so that a submission has one lease at most (RLY-7). */
static STATUS lease_begin(struct keeper_op *op, struct lease *lease)
{
    struct store *store = &op->keeper->store;
    const struct message_lease *want = lease->want;
    struct store_lease earlier;

    TRY(lease_id_of(store, op->principal->name, want->submission, op->now_ms, lease->id));
    struct status status = store_get_lease(store, lease->id, &earlier);
    if (!failed(status))
        return lease_refuse(lease, PROBLEM_STATE_CONFLICT, NULL,
                            "This submission has had its lease, or was settled without one.");
    if (status.why != WHY_NOT_FOUND)
        return status;
    struct store_lease *row = &lease->row;
    row->deadline_ms = op->now_ms + op->keeper->settings->lease_ms;
    (void)snprintf(row->submission, sizeof row->submission, "%s", want->submission);
    (void)snprintf(row->destination, sizeof row->destination, "%s", want->destination);
    (void)snprintf(row->tenant, sizeof row->tenant, "%s", lease->tenant->name);
    (void)snprintf(row->relay, sizeof row->relay, "%s", op->principal->name);
    return STATUS_OK;
}

/* Reads what tokenize.c sealed. */
static STATUS lease_read_card(const uint8_t *plain, size_t size, struct message_lent_card *out)
{
    struct cursor in = cursor_over(plain, size);

    out->number = message_bytes_decode(&in, &out->number_size);
    out->exp_month = cursor_u8(&in);
    out->exp_year = cursor_u16(&in);
    out->name = message_bytes_decode(&in, &out->name_size);
    ENSURE(cursor_done(&in), WHY_FORGED);
    return STATUS_OK;
}

/* The one door: from a token's record to a card in the clear, for as long as it takes to write it
 * to the relay.  The masked view is opened first: it says whose the record is. */
static STATUS lease_open_card(struct keeper_op *op, struct lease *lease, const char *token,
                              const struct found *found, struct buffer *out)
{
    struct keeper *keeper = op->keeper;
    struct buffer shown OWNED(buffer_free) = BUFFER(ENVELOPE_PLAIN_BYTES_MAX + 64);
    OWNED(secret_free) struct secret *plain = NULL;
    struct envelope_place place = find_place(lease->tenant->name, "card", found->token.record_id);
    struct message_lent_card card = {0};
    struct store_record record;
    struct view view;
    uint64_t key_id = 0;
    size_t size = 0;

    TRY(find_shown(op, lease->tenant, token, found, &shown, &view, &record, &lease->problem));
    TRY(envelope_key_id(record.card, record.card_size, &key_id));
    if (approve_holds(keeper, key_id))
        return lease_refuse(lease, PROBLEM_KEY_SUSPENDED, NULL, NULL);
    TRY(secret_new(SECRET_BYTES_MAX, &plain));
    struct status status = envelope_open(keeper->ring, &place, record.card, record.card_size,
                                         secret_bytes(plain), SECRET_BYTES_MAX, &size);
    TRY(find_judge(keeper, key_id, status, &lease->problem));
    TRY(lease_read_card(secret_peek(plain), size, &card));
    (void)snprintf(card.token, sizeof card.token, "%s", token);
    message_lent_card_encode(&card, out);
    lease->items[lease->item_count++] =
        (struct audit_item){token, "ok", key_id, find_key_version(keeper, key_id)};
    return buffer_status(out);
}

static STATUS lease_token(struct keeper_op *op, struct lease *lease, unsigned index,
                          struct buffer *out)
{
    const char *token = lease->want->tokens[index];
    char field[32];
    struct found found;

    (void)snprintf(field, sizeof field, "/tokens/%u", index);
    struct status status = find_token(op, lease->tenant, token, &found, &lease->problem);
    if (failed(status)) {
        (void)snprintf(lease->problem.field, sizeof lease->problem.field, "%s", field);
        return status;
    }
    if (found.token.state == STORE_TOKEN_CONSUMED)
        return lease_refuse(lease, PROBLEM_TOKEN_CONSUMED, field, NULL);
    if (found.token.single_use) {
        memcpy(lease->row.tokens[lease->row.token_count++], found.key, STORE_KEY_BYTES);
        found.token.state = STORE_TOKEN_CONSUMED;
        TRY(store_put_token(&op->keeper->store, op->keeper->batch, found.key, &found.token));
    }
    memcpy(lease->token_keys[index], found.key, STORE_KEY_BYTES);
    return lease_open_card(op, lease, token, &found, out);
}

/* A code goes out with its own card only: one of the tokens of this lease must be the one it is
 * bound to. */
static STATUS lease_code(struct keeper_op *op, struct lease *lease, unsigned index,
                         struct buffer *out)
{
    struct cvv_cells *cells = op->keeper->cvvs;
    OWNED(secret_free) struct secret *cvv = NULL;
    const char *token = lease->want->cvv_tokens[index];
    enum problem_code code = PROBLEM_NOT_FOUND;
    struct cvv_loan loan = {.ends_ms = lease->row.deadline_ms};
    uint8_t id[CVV_ID_BYTES];
    char field[32];

    memcpy(loan.lease_id, lease->id, sizeof loan.lease_id);
    (void)snprintf(field, sizeof field, "/cvv_tokens/%u", index);
    if (!cvv_parse(cells, lease->tenant->name, token, id))
        return lease_refuse(lease, PROBLEM_NOT_FOUND, field, NULL);
    struct status status = FAIL(WHY_NOT_FOUND);
    for (unsigned i = 0; i < lease->want->token_count; i++) {
        status = cvv_lease(cells, id, lease->token_keys[i], &loan, op->now_ms, &cvv, &code);
        if (!failed(status) || code != PROBLEM_STATE_CONFLICT)
            break;
    }
    if (failed(status) && code != PROBLEM_NONE)
        return lease_refuse(lease, code, field,
                            code == PROBLEM_STATE_CONFLICT
                                ? "The CVV is out for another submission, or of another card."
                                : NULL);
    TRY(status);
    keeper_journal(op->keeper, KEEPER_CVV_LEASED, id);
    memcpy(lease->row.cvvs[lease->row.cvv_count++], id, CVV_ID_BYTES);
    lease->items[lease->item_count++] = (struct audit_item){.object = token, .outcome = "ok"};
    buffer_add_counted(out, token);
    message_bytes_encode(secret_peek(cvv), secret_size(cvv), out);
    return buffer_status(out);
}

static STATUS lease_record(struct keeper_op *op, const struct lease *lease)
{
    const struct message_lease *want = lease->want;
    struct audit_entry entry = {
        .on_behalf_of = want->on_behalf_of,
        .object = want->submission,
        .tenant = lease->tenant->name,
        .purpose = want->purpose,
        .destination = want->destination,
        .items = lease->items,
        .item_count = lease->item_count,
    };
    return keeper_record(op, &entry);
}

/* Appends {id, expiry, cards, codes} to `out`. */
static STATUS lease_grant(struct keeper_op *op, struct lease *lease, struct buffer *out)
{
    char id[LEASE_ID_TEXT_BYTES];
    struct keeper *keeper = op->keeper;

    TRY(lease_decide(op, lease));
    TRY(lease_begin(op, lease));
    lease_id_write(lease->id, id);
    buffer_add_counted(out, id);
    buffer_add_u64(out, (uint64_t)lease->row.deadline_ms);
    buffer_add_u8(out, (uint8_t)lease->want->token_count);
    for (unsigned i = 0; i < lease->want->token_count; i++)
        TRY(lease_token(op, lease, i, out));
    buffer_add_u8(out, (uint8_t)lease->want->cvv_count);
    for (unsigned i = 0; i < lease->want->cvv_count; i++)
        TRY(lease_code(op, lease, i, out));
    TRY(store_put_lease(&keeper->store, keeper->batch, lease->id, &lease->row));
    store_put_expiry(&keeper->store, keeper->batch, op->now_ms + KEEPER_LEASE_KEPT_MS, STORE_LEASES,
                     lease->id, sizeof lease->id);
    TRY(buffer_status(out));
    return lease_record(op, lease);
}

/* One of many: granted, or refused with what it did taken back and its refusal recorded. */
static STATUS lease_one(struct keeper_op *op, const struct message_lease *want, struct buffer *out)
{
    struct keeper_mark mark = keeper_mark(op->keeper);
    struct buffer granted OWNED(buffer_free) = BUFFER(64 * 1024);
    struct lease lease = {.want = want, .problem = want->problem};
    struct status status = STATUS_OK;

    keeper_record_next(op);
    if (lease.problem.code != PROBLEM_NONE)
        status = FAIL(WHY_BAD_INPUT);
    else
        status = lease_grant(op, &lease, &granted);
    if (!failed(status)) {
        buffer_add_u8(out, 1);
        buffer_add(out, granted.bytes, granted.size);
        return buffer_status(out);
    }
    keeper_rewind(op->keeper, &mark, op->now_ms);
    if (lease.problem.code == PROBLEM_NONE) {
        if (problem_of(status) == PROBLEM_STORE_UNAVAILABLE)
            return status;
        problem_set(&lease.problem, problem_of(status), NULL, NULL);
    }
    (void)snprintf(op->object, sizeof op->object, "%s", want->submission);
    keeper_record_refusal(op, &lease.problem);
    buffer_add_u8(out, 0);
    problem_encode(&lease.problem, out);
    return buffer_status(out);
}

STATUS lease_run(struct keeper_op *op, struct cursor *in)
{
    struct buffer results OWNED(buffer_free) = BUFFER(FRAME_BODY_BYTES_MAX);
    struct message_lease want OWNED(message_lease_wipe) = {0};
    unsigned count = cursor_u16(in);

    ENSURE(count >= 1 && count <= CONTRACT_LEASES_MAX, WHY_BAD_INPUT);
    for (unsigned i = 0; i < count; i++) {
        message_lease_decode(in, &want);
        ENSURE(!in->bad, WHY_BAD_INPUT);
        TRY(lease_one(op, &want, &results));
    }
    ENSURE(cursor_done(in), WHY_BAD_INPUT);
    struct buffer *out = keeper_answer(op, MESSAGE_LEASES);
    buffer_add_u16(out, (uint16_t)count);
    buffer_add(out, results.bytes, results.size);
    return keeper_answer_end(op);
}
