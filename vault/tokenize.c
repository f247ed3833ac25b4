/* SPDX-License-Identifier: Apache-2.0 */
/* POST /v1/tokens and /v1/tokens/batch: a card comes in, its token goes out.
 *
 * check -> fingerprint -> same card? -> token -> seal view and card -> rows -> CVV -> entry ->
 * answer
 */
#include <assert.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/encode.h"
#include "base/own.h"
#include "keys/fingerprint.h"
#include "vault/card.h"
#include "vault/jobs.h"
#include "vault/retention.h"
#include "vault/steps.h"
#include "vault/token_key.h"

#define TOKENIZE_VIEW_STEP 128u /* Views are padded to multiples of this. */
/* Every card is padded to what the longest needs: u8 size, digits, month, year, u8 size, name. */
#define TOKENIZE_CARD_PADDED (1u + CONTRACT_PAN_DIGITS_MAX + 3u + 1u + CONTRACT_NAME_MAX)
#define TOKENIZE_DRAWS_MAX   16u
#define TOKENIZE_ITEMS_MAX   400u /* An entry has room for about 500. */

/* One card on its way. */
struct tokenize {
    const struct message_card *sent;
    struct secret *pan; /* Owned by the step that runs. */
    struct card_mask mask;
    uint8_t fingerprint[FINGERPRINT_BYTES];
    struct store_same_card same;
    uint8_t token_key[STORE_KEY_BYTES];
    uint64_t record_id;
    struct view view;
    struct code code; /* token "" where no CVV came along. */
};

void tokenize_card_id(const struct store_same_card *same, char out[static VIEW_CARD_ID_CHARS + 1])
{
    char text[ENCODE_BASE62_CHARS + 1];

    encode_base62(same->card_id, text);
    (void)snprintf(out, VIEW_CARD_ID_CHARS + 1, "card_%s", text);
}

static STATUS tokenize_check(struct keeper_op *op, struct tokenize *card)
{
    const struct message_card *sent = card->sent;
    const struct policy_tenant *tenant = op->tenant;

    if (sent->problem.code != PROBLEM_NONE) {
        op->problem = sent->problem;
        return FAIL(WHY_BAD_INPUT);
    }
    ENSURE(sent->number_size > 0, WHY_BAD_INPUT);
    TRY(secret_new(sent->number_size, &card->pan));
    memcpy(secret_bytes(card->pan), sent->number, sent->number_size);
    if (!card_check_number(card->pan, tenant, &card->mask, &op->problem) ||
        !card_check_expiry(sent->exp_month, sent->exp_year, op->now_ms, &op->problem))
        return FAIL(WHY_BAD_INPUT);
    enum policy_format format =
        sent->format == MESSAGE_FORMAT_DEFAULT ? tenant->format : (enum policy_format)sent->format;
    if (!tenant->formats[format])
        return keeper_refuse(op, PROBLEM_INVALID_FIELD, "/format",
                             "This tenant does not use this format.");
    if (sent->expires_ms != 0 && sent->expires_ms <= op->now_ms)
        return keeper_refuse(op, PROBLEM_INVALID_FIELD, "/expires_at", "It must be in the future.");
    if (sent->cvv_size > 0 && !keeper_may(op, POLICY_CVV_STORE))
        return keeper_refuse(op, PROBLEM_DENIED, "/cvv", NULL);
    card->view = (struct view){
        .brand = brand_number(card->mask.brand),
        .length = card->mask.length,
        .exp_month = sent->exp_month,
        .exp_year = sent->exp_year,
        .format = (uint8_t)format,
        .single_use = sent->single_use,
        .expires_ms = sent->expires_ms,
        .created_ms = op->now_ms,
        .metadata = sent->metadata,
        .metadata_size = sent->metadata_size,
    };
    memcpy(card->view.bin, card->mask.bin, sizeof card->view.bin);
    memcpy(card->view.last4, card->mask.last4, sizeof card->view.last4);
    return STATUS_OK;
}

/* Finds or makes the card's same-card row. */
static STATUS tokenize_same(struct keeper_op *op, struct tokenize *card)
{
    struct store *store = &op->keeper->store;

    TRY(fingerprint_make(op->keeper->ring, op->tenant->name, card->pan, op->now_ms,
                         card->fingerprint));
    struct status status = store_get_same_card(store, card->fingerprint, &card->same);
    if (status.why != WHY_NOT_FOUND)
        return status;
    /* While fingerprints are made anew a card may be known under its old one: the same card still,
     * and the row of its new one begins to count. */
    status = job_fingerprint_find(op->keeper, op->tenant->name, card->pan, &card->same);
    if (status.why == WHY_NOT_FOUND) {
        card->same = (struct store_same_card){0};
        random_bytes(card->same.card_id, sizeof card->same.card_id);
        return STATUS_OK;
    }
    if (card->same.token_count != STORE_COUNT_UNKNOWN)
        card->same.token_count = 0;
    return status;
}

/* The card's earlier token, where the tenant wants one for each card and nothing about it differs.
 */
static STATUS tokenize_earlier(struct keeper_op *op, struct tokenize *card, struct buffer *plain,
                               bool *out_found)
{
    struct problem ignored = PROBLEM_NOTHING;
    struct found found;
    struct view view;

    *out_found = false;
    if (!op->tenant->one_token_per_card || card->same.record_id == 0 || card->view.single_use)
        return STATUS_OK;
    struct status status = find_view(op->keeper, op->tenant, card->same.record_id, plain, &view);
    if (status.why == WHY_NOT_FOUND)
        return STATUS_OK;
    TRY(find_judge(op->keeper, view.key_id, status, &op->problem));
    if (failed(find_token(op, op->tenant, view.token, &found, &ignored)) ||
        found.token.state != STORE_TOKEN_LIVE || found.token.record_id != card->same.record_id ||
        find_is_over(op->tenant, &view, op->now_ms) || view.exp_month != card->view.exp_month ||
        view.exp_year != card->view.exp_year || view.format != card->view.format ||
        view.expires_ms != card->view.expires_ms)
        return STATUS_OK;
    card->view = view;
    card->record_id = card->same.record_id;
    memcpy(card->token_key, found.key, sizeof card->token_key);
    *out_found = true;
    return STATUS_OK;
}

/* Eight digits are more than a mask shows. */
static void tokenize_wipe_digits(char (*digits)[9])
{
    sodium_memzero(*digits, sizeof *digits);
}

/* The only ones of which two may meet: 2^40 UUIDs of 122 bits do not. */
static STATUS tokenize_draw_card_shaped(struct keeper_op *op, struct tokenize *card)
{
    struct store *store = &op->keeper->store;
    OWNED(tokenize_wipe_digits) char first8[9] = "";

    memcpy(first8, secret_peek(card->pan), 8); /* Of which the tenant's rule keeps what it shows. */
    for (unsigned i = 0; i < TOKENIZE_DRAWS_MAX; i++) {
        struct store_token taken;
        token_make_card_shaped(op->tenant, &card->mask, first8, card->view.token);
        TRY(token_key(store, op->tenant->name, card->view.token, op->now_ms, card->token_key));
        struct status status = store_get_token(store, card->token_key, &taken);
        if (status.why == WHY_NOT_FOUND)
            return STATUS_OK;
        TRY(status);
    }
    return keeper_refuse(op, PROBLEM_INVALID_FIELD, "/format",
                         "Tokens of this shape are nearly used up for such cards; ask for another "
                         "format.");
}

static STATUS tokenize_draw(struct keeper_op *op, struct tokenize *card)
{
    struct store *store = &op->keeper->store;
    struct token_drawn drawn;

    if (card->view.format == POLICY_FORMAT_CARD)
        return tokenize_draw_card_shaped(op, card);
    if (card->view.format == POLICY_FORMAT_UUID) {
        token_make_uuid(card->view.token);
        return token_key(store, op->tenant->name, card->view.token, op->now_ms, card->token_key);
    }
    TRY(token_key_draw(store, op->tenant->name, op->keeper->settings->production, card->record_id,
                       op->now_ms, &drawn));
    memcpy(card->view.token, drawn.text, sizeof card->view.token);
    memcpy(card->token_key, drawn.key, sizeof card->token_key);
    return STATUS_OK;
}

static STATUS tokenize_seal_view(struct keeper_op *op, struct tokenize *card, struct buffer *out)
{
    struct buffer plain OWNED(buffer_free) = BUFFER(ENVELOPE_PLAIN_BYTES_MAX);
    struct envelope_place place = find_place(op->tenant->name, "view", card->record_id);

    view_encode(&card->view, &plain);
    TRY(buffer_status(&plain));
    size_t padded = (plain.size + TOKENIZE_VIEW_STEP - 1) / TOKENIZE_VIEW_STEP * TOKENIZE_VIEW_STEP;
    return envelope_seal(op->keeper->ring, card->view.key_id, ENVELOPE_AES_256_GCM, &place,
                         plain.bytes, plain.size, padded, out);
}

/* The card as it is kept: u8 size and digits, month, year, u8 size and name.  lease.c reads it. */
static STATUS tokenize_seal_card(struct keeper_op *op, struct tokenize *card, struct buffer *out)
{
    OWNED(secret_free) struct secret *plain = NULL;
    struct envelope_place place = find_place(op->tenant->name, "card", card->record_id);
    size_t digits = secret_size(card->pan);
    size_t at = 0;

    TRY(secret_new(TOKENIZE_CARD_PADDED, &plain));
    uint8_t *bytes = secret_bytes(plain);
    assert(1 + digits + 3 + 1 + card->sent->name_size <= TOKENIZE_CARD_PADDED);
    bytes[at++] = (uint8_t)digits;
    memcpy(bytes + at, secret_peek(card->pan), digits);
    at += digits;
    bytes[at++] = card->sent->exp_month;
    bytes[at++] = (uint8_t)(card->sent->exp_year >> 8);
    bytes[at++] = (uint8_t)card->sent->exp_year;
    bytes[at++] = card->sent->name_size;
    if (card->sent->name_size > 0)
        memcpy(bytes + at, card->sent->name, card->sent->name_size);
    at += card->sent->name_size;
    return envelope_seal(op->keeper->ring, card->view.key_id, ENVELOPE_AES_256_GCM, &place, bytes,
                         at, TOKENIZE_CARD_PADDED, out);
}

static STATUS tokenize_put(struct keeper_op *op, struct tokenize *card)
{
    struct keeper *keeper = op->keeper;
    struct buffer view OWNED(buffer_free) = BUFFER(ENVELOPE_PLAIN_BYTES_MAX + 1024);
    struct buffer sealed OWNED(buffer_free) = BUFFER(1024);
    struct store_token token = {
        .state = STORE_TOKEN_LIVE,
        .single_use = card->view.single_use,
        .expires_ms = card->view.expires_ms,
        .due_ms = retention_due_ms(op->tenant, op->now_ms, card->view.expires_ms),
    };

    TRY(keyring_use(keeper->ring, op->tenant->name, KEY_PURPOSE_CARD, op->now_ms,
                    &card->view.key_id));
    card->view.key_version = find_key_version(keeper, card->view.key_id);
    TRY(tokenize_seal_view(op, card, &view));
    TRY(tokenize_seal_card(op, card, &sealed));
    TRY(store_put_record(&keeper->store, keeper->batch, card->record_id, &view, &sealed));
    token.record_id = card->record_id;
    memcpy(token.fingerprint, card->fingerprint, sizeof token.fingerprint);
    TRY(store_put_token(&keeper->store, keeper->batch, card->token_key, &token));
    store_expiry_put(&keeper->store, keeper->batch, token.due_ms, card->token_key);
    if (card->same.token_count != STORE_COUNT_UNKNOWN)
        card->same.token_count++;
    if (op->tenant->one_token_per_card && !card->view.single_use)
        card->same.record_id = card->record_id;
    return store_put_same_card(&keeper->store, keeper->batch, card->fingerprint, &card->same);
}

/* One card, start to end but for its entry; what it did is taken back by the caller when it fails.
 */
static STATUS tokenize_card(struct keeper_op *op, struct tokenize *card, struct buffer *plain)
{
    bool found = false;

    TRY(tokenize_check(op, card));
    TRY(tokenize_same(op, card));
    TRY(tokenize_earlier(op, card, plain, &found));
    if (!found) {
        card->record_id = op->keeper->next_record++;
        TRY(tokenize_draw(op, card));
        TRY(tokenize_put(op, card));
    }
    if (card->sent->cvv_size > 0) {
        TRY(code_keep(op, card->token_key, card->sent, card->mask.brand, &card->code));
        memcpy(card->view.cvv_token, card->code.token, sizeof card->view.cvv_token);
        card->view.cvv_expires_ms = card->code.expires_ms;
    }
    if (keeper_may(op, POLICY_CARD_MATCH))
        tokenize_card_id(&card->same, card->view.card_id);
    return STATUS_OK;
}

/* What makes two requests the same: everything but the codes, which are never hashed. */
static void tokenize_content(const struct message_card *sent, struct buffer *out)
{
    struct message_card without = *sent;

    without.cvv = NULL;
    without.cvv_size = 0;
    message_card_encode(&without, out);
    buffer_add_u8(out, sent->cvv_size > 0 ? 1 : 0);
}

/* u8 good, then u64 record, u8 and the code if there is one; or the problem.  It is read in
 * tokenize_again.c. */
static void tokenize_note(const struct tokenize *card, struct buffer *out)
{
    buffer_add_u8(out, 1);
    buffer_add_u64(out, card->record_id);
    buffer_add_u8(out, card->code.token[0] != '\0' ? 1 : 0);
    if (card->code.token[0] != '\0')
        code_note(&card->code, out);
}

static STATUS tokenize_one(struct keeper_op *op, const struct message_card *sent,
                           const struct repeat *repeat)
{
    struct buffer plain OWNED(buffer_free) = BUFFER(ENVELOPE_PLAIN_BYTES_MAX + 64);
    struct buffer note OWNED(buffer_free) = BUFFER(1024);
    struct tokenize card = {.sent = sent};

    struct status status = tokenize_card(op, &card, &plain);
    secret_free(&card.pan);
    TRY(status);
    tokenize_note(&card, &note);
    TRY(repeat_keep(op, MESSAGE_TOKENIZE, repeat, &note));
    struct audit_entry entry = {.object = card.view.token,
                                .key_id = card.view.key_id,
                                .key_version = card.view.key_version};
    TRY(keeper_record(op, &entry));
    struct buffer *out = keeper_answer(op, MESSAGE_VIEW);
    buffer_add_u8(out, 0);
    view_encode(&card.view, out);
    return keeper_answer_end(op);
}

/* Problems of a card in a batch name its place in the request. */
static void tokenize_place(struct problem *problem, unsigned index)
{
    char field[sizeof problem->field];

    if (strncmp(problem->field, "/cards/", 7) == 0)
        return; /* The front's, placed already. */
    (void)snprintf(field, sizeof field, "/cards/%u%.64s", index, problem->field);
    memcpy(problem->field, field, sizeof field);
}

/* The results of a batch as they gather. */
struct tokenize_batch {
    struct buffer views;
    struct buffer notes;
    char (*tokens)[CONTRACT_TOKEN_MAX + 1];
    struct audit_item *items;
    struct buffer plain;
};

static STATUS tokenize_batch_card(struct keeper_op *op, const struct message_card *sent,
                                  unsigned index, struct tokenize_batch *batch)
{
    struct keeper_mark mark = keeper_mark(op->keeper);
    struct tokenize card = {.sent = sent};

    op->problem = PROBLEM_NOTHING;
    struct status status = tokenize_card(op, &card, &batch->plain);
    secret_free(&card.pan);
    if (!failed(status)) {
        buffer_add_u8(&batch->views, 1);
        view_encode(&card.view, &batch->views);
        tokenize_note(&card, &batch->notes);
        memcpy(batch->tokens[index], card.view.token, sizeof card.view.token);
        batch->items[index] = (struct audit_item){batch->tokens[index], "ok", card.view.key_id,
                                                  card.view.key_version};
        return STATUS_OK;
    }
    keeper_rewind(op->keeper, &mark, op->now_ms);
    if (op->problem.code == PROBLEM_NONE) {
        enum problem_code code = problem_of(status);
        if (code == PROBLEM_STORE_UNAVAILABLE)
            return status; /* Ours, not the card's: the whole request fails. */
        problem_set(&op->problem, code, NULL, NULL);
    }
    tokenize_place(&op->problem, index);
    buffer_add_u8(&batch->views, 0);
    problem_encode(&op->problem, &batch->views);
    buffer_add_u8(&batch->notes, 0);
    problem_encode(&op->problem, &batch->notes);
    batch->items[index] = (struct audit_item){.outcome = problem_name(op->problem.code)};
    return STATUS_OK;
}

static void tokenize_batch_free(struct tokenize_batch *batch)
{
    buffer_free(&batch->views);
    buffer_free(&batch->notes);
    buffer_free(&batch->plain);
    free(batch->tokens);
    free(batch->items);
}

STATUS tokenize_record(struct keeper_op *op, const struct audit_item *items, unsigned count,
                       const char *outcome)
{
    for (unsigned i = 0; i < count; i += TOKENIZE_ITEMS_MAX) {
        unsigned rest = count - i;
        struct audit_entry entry = {
            .outcome = outcome,
            .items = items + i,
            .item_count = rest < TOKENIZE_ITEMS_MAX ? rest : TOKENIZE_ITEMS_MAX,
        };
        TRY(keeper_record(op, &entry));
    }
    return STATUS_OK;
}

static STATUS tokenize_many(struct keeper_op *op, struct cursor in, unsigned count,
                            const struct repeat *repeat)
{
    struct tokenize_batch batch OWNED(tokenize_batch_free) = {
        .views = BUFFER(FRAME_BODY_BYTES_MAX),
        .notes = BUFFER(TOKENIZE_NOTE_MAX),
        .plain = BUFFER(ENVELOPE_PLAIN_BYTES_MAX + 64),
        .tokens = calloc(count, sizeof *batch.tokens),
        .items = calloc(count, sizeof *batch.items),
    };

    ENSURE(batch.tokens != NULL && batch.items != NULL, WHY_NO_MEMORY);
    for (unsigned i = 0; i < count; i++) {
        struct message_card sent;
        message_card_decode(&in, &sent);
        TRY(tokenize_batch_card(op, &sent, i, &batch));
    }
    op->problem = PROBLEM_NOTHING;
    TRY(buffer_status(&batch.views));
    TRY(repeat_keep(op, MESSAGE_TOKENIZE, repeat, &batch.notes));
    TRY(tokenize_record(op, batch.items, count, NULL));
    struct buffer *out = keeper_answer(op, MESSAGE_VIEWS);
    buffer_add_u8(out, 0);
    buffer_add_u16(out, (uint16_t)count);
    buffer_add(out, batch.views.bytes, batch.views.size);
    return keeper_answer_end(op);
}

STATUS tokenize_run(struct keeper_op *op, struct cursor *in)
{
    struct buffer content OWNED(buffer_free) = BUFFER(FRAME_BODY_BYTES_MAX);
    struct store_repeat row;
    struct repeat repeat;
    struct message_card sent = {0};
    bool again = false;

    bool batch = cursor_u8(in) != 0;
    unsigned count = cursor_u16(in);
    ENSURE(count >= 1 && count <= CONTRACT_BATCH_CARDS_MAX && (batch || count == 1), WHY_BAD_INPUT);
    struct cursor cards = *in;
    buffer_add_u8(&content, batch ? 1 : 0);
    for (unsigned i = 0; i < count; i++) {
        message_card_decode(in, &sent);
        ENSURE(!in->bad, WHY_BAD_INPUT);
        if (op->caller->idempotency_key[0] != '\0')
            tokenize_content(&sent, &content);
    }
    ENSURE(cursor_done(in), WHY_BAD_INPUT);
    TRY(buffer_status(&content));
    TRY(repeat_find(op, MESSAGE_TOKENIZE, &content, &repeat, &again, &row));
    if (again)
        return tokenize_again(op, batch, &row);
    if (batch)
        return tokenize_many(op, cards, count, &repeat);
    return tokenize_one(op, &sent, &repeat);
}
