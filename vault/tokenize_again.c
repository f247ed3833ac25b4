/* SPDX-License-Identifier: Apache-2.0 */
/* A repeat of POST /v1/tokens or /v1/tokens/batch: the same tokens, looked up again.  Who is shown
 * a card's mask once more is in the log once more. */
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "vault/steps.h"

struct again {
    struct buffer notes; /* What was kept, of which the store lends its copy for a moment. */
    struct buffer views;
    struct buffer plain;
    char (*tokens)[CONTRACT_TOKEN_MAX + 1];
    struct audit_item *items;
    unsigned count;
};

static void again_free(struct again *again)
{
    buffer_free(&again->notes);
    buffer_free(&again->views);
    buffer_free(&again->plain);
    free(again->tokens);
    free(again->items);
}

/* An expired token too: its request is answered as it was. */
static STATUS again_card_id(struct keeper_op *op, struct view *view)
{
    struct problem why = PROBLEM_NOTHING;
    struct store_same_card same;
    struct found found;
    struct status status = find_token(op, op->tenant, view->token, &found, &why);

    if (failed(status) && why.code != PROBLEM_EXPIRED)
        return status;
    TRY(store_get_same_card(&op->keeper->store, found.token.fingerprint, &same));
    tokenize_card_id(&same, view->card_id);
    return STATUS_OK;
}

static STATUS again_view(struct keeper_op *op, struct cursor *kept, struct buffer *plain,
                         struct view *out_view)
{
    struct code code = {0};

    uint64_t record_id = cursor_u64(kept);
    if (cursor_u8(kept) != 0)
        TRY(code_again(op, kept, &code));
    struct status status = find_view(op->keeper, op->tenant, record_id, plain, out_view);
    if (status.why == WHY_NOT_FOUND)
        return keeper_refuse(op, PROBLEM_ERASED, NULL, NULL);
    TRY(find_judge(op->keeper, out_view->key_id, status, &op->problem));
    memcpy(out_view->cvv_token, code.token, sizeof out_view->cvv_token);
    out_view->cvv_expires_ms = code.expires_ms;
    return keeper_may(op, POLICY_CARD_MATCH) ? again_card_id(op, out_view) : STATUS_OK;
}

/* One card; of a batch also one that has a problem, in which case that is its result. */
static STATUS again_one(struct keeper_op *op, bool batch, struct cursor *kept, struct again *again)
{
    struct view view = {0};

    ENSURE(again->count < CONTRACT_BATCH_CARDS_MAX, WHY_FORGED);
    op->problem = PROBLEM_NOTHING;
    if (cursor_u8(kept) == 0)
        problem_decode(kept, &op->problem);
    else {
        struct status status = again_view(op, kept, &again->plain, &view);
        if (failed(status) && op->problem.code == PROBLEM_NONE)
            return status;
    }
    bool good = op->problem.code == PROBLEM_NONE;
    ENSURE(good || batch, WHY_DENIED);
    if (batch)
        buffer_add_u8(&again->views, good ? 1 : 0);
    if (good)
        view_encode(&view, &again->views);
    else
        problem_encode(&op->problem, &again->views);
    char *token = again->tokens[again->count];
    memcpy(token, view.token, sizeof view.token);
    again->items[again->count++] =
        good ? (struct audit_item){token, REPEAT_OUTCOME, view.key_id, view.key_version}
             : (struct audit_item){.outcome = problem_name(op->problem.code)};
    return STATUS_OK;
}

static STATUS again_note_is_gone(struct keeper *keeper, struct cursor *kept, bool *out_gone)
{
    struct problem ignored = PROBLEM_NOTHING;
    struct store_record record;

    if (cursor_u8(kept) == 0) {
        problem_decode(kept, &ignored);
        return STATUS_OK;
    }
    uint64_t record_id = cursor_u64(kept);
    if (cursor_u8(kept) != 0) {
        (void)cursor_bytes(kept, CVV_ID_BYTES); /* code_note() */
        (void)cursor_u64(kept);
    }
    struct status status = store_get_record(&keeper->store, record_id, &record);
    *out_gone = *out_gone || status.why == WHY_NOT_FOUND;
    return status.why == WHY_NOT_FOUND ? STATUS_OK : status;
}

STATUS tokenize_again_is_gone(struct keeper *keeper, const struct store_repeat *row, bool *out_gone)
{
    struct buffer notes OWNED(buffer_free) = BUFFER(TOKENIZE_NOTE_MAX);

    *out_gone = false;
    buffer_add(&notes, row->result, row->result_size); /* Lent for a moment, as above. */
    TRY(buffer_status(&notes));
    struct cursor kept = cursor_over(notes.bytes, notes.size);
    while (kept.at < kept.size && !kept.bad)
        TRY(again_note_is_gone(keeper, &kept, out_gone));
    ENSURE(!kept.bad, WHY_FORGED);
    return STATUS_OK;
}

static STATUS again_record(struct keeper_op *op, bool batch, const struct again *again)
{
    if (batch)
        return tokenize_record(op, again->items, again->count, REPEAT_OUTCOME);
    struct audit_entry entry = {.outcome = REPEAT_OUTCOME,
                                .object = again->tokens[0],
                                .key_id = again->items[0].key_id,
                                .key_version = again->items[0].key_version};
    return keeper_record(op, &entry);
}

STATUS tokenize_again(struct keeper_op *op, bool batch, const struct store_repeat *row)
{
    struct again again OWNED(again_free) = {
        .notes = BUFFER(TOKENIZE_NOTE_MAX),
        .views = BUFFER(FRAME_BODY_BYTES_MAX),
        .plain = BUFFER(ENVELOPE_PLAIN_BYTES_MAX + 64),
        .tokens = calloc(CONTRACT_BATCH_CARDS_MAX, sizeof *again.tokens),
        .items = calloc(CONTRACT_BATCH_CARDS_MAX, sizeof *again.items),
    };

    ENSURE(again.tokens != NULL && again.items != NULL, WHY_NO_MEMORY);
    buffer_add(&again.notes, row->result, row->result_size);
    TRY(buffer_status(&again.notes));
    struct cursor kept = cursor_over(again.notes.bytes, again.notes.size);
    do
        TRY(again_one(op, batch, &kept, &again));
    while (kept.at < kept.size && !kept.bad);
    ENSURE(!kept.bad, WHY_FORGED);
    op->problem = PROBLEM_NOTHING;
    TRY(buffer_status(&again.views));
    TRY(again_record(op, batch, &again));
    struct buffer *out = keeper_answer(op, batch ? MESSAGE_VIEWS : MESSAGE_VIEW);
    buffer_add_u8(out, 1);
    if (batch)
        buffer_add_u16(out, (uint16_t)again.count);
    buffer_add(out, again.views.bytes, again.views.size);
    return keeper_answer_end(op);
}
