/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/message.h"

#include <assert.h>
#include <sodium.h>

const char *const message_outcome_names[] = {"answered", "not_sent", "sent_no_answer", NULL};

void message_bytes_encode(const void *bytes, size_t size, struct buffer *out)
{
    assert(size <= UINT8_MAX);
    buffer_add_u8(out, (uint8_t)size);
    buffer_add(out, bytes, size);
}

const uint8_t *message_bytes_decode(struct cursor *in, uint8_t *out_size)
{
    *out_size = cursor_u8(in);
    const uint8_t *bytes = cursor_bytes(in, *out_size);
    if (bytes == NULL)
        *out_size = 0;
    return bytes;
}

void message_caller_encode(const struct message_caller *caller, struct buffer *out)
{
    buffer_add_u8(out, caller->verified ? 1 : 0);
    buffer_add_counted(out, caller->uri);
    buffer_add_counted(out, caller->origin);
    buffer_add_counted(out, caller->request_id);
    buffer_add_counted(out, caller->idempotency_key);
    problem_encode(&caller->problem, out);
}

void message_caller_decode(struct cursor *in, struct message_caller *out_caller)
{
    *out_caller = (struct message_caller){0};
    out_caller->verified = cursor_flag(in);
    cursor_text(in, out_caller->uri, sizeof out_caller->uri);
    cursor_text(in, out_caller->origin, sizeof out_caller->origin);
    cursor_text(in, out_caller->request_id, sizeof out_caller->request_id);
    cursor_text(in, out_caller->idempotency_key, sizeof out_caller->idempotency_key);
    problem_decode(in, &out_caller->problem);
}

void message_text_encode(const struct message_text *text, struct buffer *out)
{
    buffer_add_counted(out, text->certificate);
    buffer_add_counted(out, text->segment);
    buffer_add_counted(out, text->query);
    buffer_add_u32(out, text->body_size);
    buffer_add(out, text->body, text->body_size);
}

void message_text_decode(struct cursor *in, struct message_text *out_text)
{
    *out_text = (struct message_text){0};
    cursor_text(in, out_text->certificate, sizeof out_text->certificate);
    cursor_text(in, out_text->segment, sizeof out_text->segment);
    cursor_text(in, out_text->query, sizeof out_text->query);
    out_text->body_size = cursor_u32(in);
    if (out_text->body_size > MESSAGE_TEXT_BODY_MAX)
        in->bad = true;
    out_text->body = cursor_bytes(in, in->bad ? 0 : out_text->body_size);
}

void message_card_encode(const struct message_card *card, struct buffer *out)
{
    problem_encode(&card->problem, out);
    if (card->problem.code != PROBLEM_NONE)
        return;
    message_bytes_encode(card->number, card->number_size, out);
    message_bytes_encode(card->cvv, card->cvv_size, out);
    buffer_add_u8(out, card->exp_month);
    buffer_add_u16(out, card->exp_year);
    message_bytes_encode(card->name, card->name_size, out);
    buffer_add_u8(out, card->format);
    buffer_add_u8(out, card->single_use ? 1 : 0);
    buffer_add_u64(out, (uint64_t)card->expires_ms);
    buffer_add_counted(out, card->purchase);
    buffer_add_u32(out, card->metadata_size);
    buffer_add(out, card->metadata, card->metadata_size);
}

void message_card_decode(struct cursor *in, struct message_card *out_card)
{
    *out_card = (struct message_card){0};
    problem_decode(in, &out_card->problem);
    if (in->bad || out_card->problem.code != PROBLEM_NONE)
        return;
    out_card->number = message_bytes_decode(in, &out_card->number_size);
    out_card->cvv = message_bytes_decode(in, &out_card->cvv_size);
    out_card->exp_month = cursor_u8(in);
    out_card->exp_year = cursor_u16(in);
    out_card->name = message_bytes_decode(in, &out_card->name_size);
    out_card->format = cursor_u8(in);
    out_card->single_use = cursor_flag(in);
    out_card->expires_ms = (int64_t)cursor_u64(in);
    cursor_text(in, out_card->purchase, sizeof out_card->purchase);
    out_card->metadata_size = cursor_u32(in);
    out_card->metadata = cursor_bytes(in, out_card->metadata_size);
    if (out_card->metadata_size > VIEW_METADATA_BYTES_MAX ||
        (out_card->format >= POLICY_FORMAT_COUNT && out_card->format != MESSAGE_FORMAT_DEFAULT))
        in->bad = true;
}

void message_lease_encode(const struct message_lease *lease, struct buffer *out)
{
    problem_encode(&lease->problem, out);
    if (lease->problem.code != PROBLEM_NONE)
        return;
    buffer_add_counted(out, lease->submission);
    buffer_add_counted(out, lease->destination);
    buffer_add_counted(out, lease->purpose);
    buffer_add_counted(out, lease->on_behalf_of);
    assert(lease->token_count <= CONTRACT_LEASE_TOKENS_MAX);
    assert(lease->cvv_count <= CONTRACT_LEASE_TOKENS_MAX);
    buffer_add_u8(out, (uint8_t)lease->token_count);
    for (unsigned i = 0; i < lease->token_count; i++)
        buffer_add_counted(out, lease->tokens[i]);
    buffer_add_u8(out, (uint8_t)lease->cvv_count);
    for (unsigned i = 0; i < lease->cvv_count; i++)
        buffer_add_counted(out, lease->cvv_tokens[i]);
}

/* A count of tokens that fits its array; 0 and bad otherwise. */
static unsigned message_token_count(struct cursor *in)
{
    unsigned count = cursor_u8(in);

    if (count <= CONTRACT_LEASE_TOKENS_MAX)
        return count;
    in->bad = true;
    return 0;
}

void message_lease_decode(struct cursor *in, struct message_lease *out_lease)
{
    *out_lease = (struct message_lease){0};
    problem_decode(in, &out_lease->problem);
    if (in->bad || out_lease->problem.code != PROBLEM_NONE)
        return;
    cursor_text(in, out_lease->submission, sizeof out_lease->submission);
    cursor_text(in, out_lease->destination, sizeof out_lease->destination);
    cursor_text(in, out_lease->purpose, sizeof out_lease->purpose);
    cursor_text(in, out_lease->on_behalf_of, sizeof out_lease->on_behalf_of);
    out_lease->token_count = message_token_count(in);
    for (unsigned i = 0; i < out_lease->token_count; i++)
        cursor_text(in, out_lease->tokens[i], sizeof out_lease->tokens[i]);
    out_lease->cvv_count = message_token_count(in);
    for (unsigned i = 0; i < out_lease->cvv_count; i++)
        cursor_text(in, out_lease->cvv_tokens[i], sizeof out_lease->cvv_tokens[i]);
}

void message_lease_wipe(struct message_lease *lease)
{
    sodium_memzero(lease, sizeof *lease);
}

void message_settlement_encode(const struct message_settlement *settlement, struct buffer *out)
{
    problem_encode(&settlement->problem, out);
    if (settlement->problem.code != PROBLEM_NONE)
        return;
    buffer_add_counted(out, settlement->lease_id);
    buffer_add_counted(out, settlement->submission);
    buffer_add_u8(out, (uint8_t)settlement->outcome);
}

void message_settlement_decode(struct cursor *in, struct message_settlement *out_settlement)
{
    *out_settlement = (struct message_settlement){0};
    problem_decode(in, &out_settlement->problem);
    if (in->bad || out_settlement->problem.code != PROBLEM_NONE)
        return;
    cursor_text(in, out_settlement->lease_id, sizeof out_settlement->lease_id);
    cursor_text(in, out_settlement->submission, sizeof out_settlement->submission);
    uint8_t outcome = cursor_u8(in);
    if (outcome < MESSAGE_OUTCOME_COUNT)
        out_settlement->outcome = (enum message_outcome)outcome;
    else
        in->bad = true;
}

void message_settlement_wipe(struct message_settlement *settlement)
{
    sodium_memzero(settlement, sizeof *settlement);
}

void message_lent_card_encode(const struct message_lent_card *card, struct buffer *out)
{
    buffer_add_counted(out, card->token);
    message_bytes_encode(card->number, card->number_size, out);
    buffer_add_u8(out, card->exp_month);
    buffer_add_u16(out, card->exp_year);
    message_bytes_encode(card->name, card->name_size, out);
}

void message_lent_card_decode(struct cursor *in, struct message_lent_card *out_card)
{
    *out_card = (struct message_lent_card){0};
    cursor_text(in, out_card->token, sizeof out_card->token);
    out_card->number = message_bytes_decode(in, &out_card->number_size);
    out_card->exp_month = cursor_u8(in);
    out_card->exp_year = cursor_u16(in);
    out_card->name = message_bytes_decode(in, &out_card->name_size);
}
