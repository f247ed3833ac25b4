/* SPDX-License-Identifier: Apache-2.0 */
/* POST /v1/tokens/{token}/cvv: a fresh code for a stored card. */
#include <string.h>

#include "base/own.h"
#include "keys/envelope.h"
#include "vault/brand.h"
#include "vault/card.h"
#include "vault/steps.h"

STATUS code_keep(struct keeper_op *op, const uint8_t token_key[static STORE_KEY_BYTES],
                 const struct message_card *card, const struct brand *brand, struct code *out_code)
{
    struct keeper *keeper = op->keeper;
    OWNED(secret_free) struct secret *cvv = NULL;
    struct cvv_bond bond = {.tenant = op->tenant->name, .purchase = card->purchase};

    TRY(secret_new(card->cvv_size, &cvv));
    memcpy(secret_bytes(cvv), card->cvv, card->cvv_size);
    if (!card_check_cvv(cvv, brand, &op->problem))
        return FAIL(WHY_BAD_INPUT);
    memcpy(bond.token_key, token_key, STORE_KEY_BYTES);
    out_code->expires_ms = op->now_ms + op->tenant->cvv_lifetime_ms;
    TRY(cvv_store(keeper->cvvs, &bond, cvv, op->now_ms, out_code->expires_ms, out_code->id));
    keeper_journal(keeper, KEEPER_CVV_STORED, out_code->id);
    return cvv_token(keeper->cvvs, op->tenant->name, out_code->id, out_code->token);
}

STATUS code_again(struct keeper_op *op, struct cursor *in, struct code *out_code)
{
    const uint8_t *id = cursor_bytes(in, CVV_ID_BYTES);

    *out_code = (struct code){.expires_ms = (int64_t)cursor_u64(in)};
    ENSURE(id != NULL, WHY_FORGED);
    memcpy(out_code->id, id, CVV_ID_BYTES);
    return cvv_token(op->keeper->cvvs, op->tenant->name, id, out_code->token);
}

void code_note(const struct code *code, struct buffer *out)
{
    buffer_add(out, code->id, CVV_ID_BYTES);
    buffer_add_u64(out, (uint64_t)code->expires_ms);
}

static STATUS code_answer(struct keeper_op *op, const struct code *code, bool replayed)
{
    struct buffer *out = keeper_answer(op, MESSAGE_CVV);

    buffer_add_u8(out, replayed ? 1 : 0);
    buffer_add_counted(out, code->token);
    buffer_add_u64(out, (uint64_t)code->expires_ms);
    return keeper_answer_end(op);
}

STATUS code_run(struct keeper_op *op, struct cursor *in)
{
    struct buffer plain OWNED(buffer_free) = BUFFER(ENVELOPE_PLAIN_BYTES_MAX + 64);
    struct buffer note OWNED(buffer_free) = BUFFER(1024);
    struct store_record record;
    struct message_card card;
    struct store_repeat row;
    struct repeat repeat;
    struct found found;
    struct code code;
    struct view view;
    bool again = false;

    cursor_text(in, op->object, sizeof op->object);
    message_card_decode(in, &card);
    ENSURE(cursor_done(in) && card.problem.code == PROBLEM_NONE, WHY_BAD_INPUT);
    TRY(find_token(op, op->tenant, op->object, &found, &op->problem));
    if (found.token.state == STORE_TOKEN_CONSUMED)
        return keeper_refuse(op, PROBLEM_TOKEN_CONSUMED, NULL, NULL);
    TRY(find_shown(op, op->tenant, op->object, &found, &plain, &view, &record, &op->problem));
    buffer_add_counted(&note, op->object);
    buffer_add_counted(&note, card.purchase); /* The code itself is never hashed. */
    TRY(repeat_find(op, MESSAGE_CVV_STORE, &note, &repeat, &again, &row));
    if (again) {
        struct cursor kept = cursor_over(row.result, row.result_size);
        struct audit_entry repeated = {.outcome = REPEAT_OUTCOME, .object = op->object};
        TRY(code_again(op, &kept, &code));
        TRY(keeper_record(op, &repeated));
        return code_answer(op, &code, true);
    }
    TRY(code_keep(op, found.key, &card, brand_by_number(view.brand), &code));
    buffer_clear(&note);
    code_note(&code, &note);
    TRY(repeat_keep(op, MESSAGE_CVV_STORE, &repeat, &note));
    struct audit_entry entry = {.object = op->object};
    TRY(keeper_record(op, &entry));
    return code_answer(op, &code, false);
}
