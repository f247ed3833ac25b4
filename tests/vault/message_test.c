/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/message.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/own.h"

#define METADATA "{\"order\":\"A-17\"}"

static const struct message_caller caller = {
    .verified = true,
    .uri = "spiffe://shop.test/checkout",
    .origin = "127.0.0.1:40312",
    .request_id = "req_1",
    .idempotency_key = "order-17",
    .problem = {.code = PROBLEM_MISSING_FIELD, .field = "/number"},
};

static const struct message_card card = {
    .number = (const uint8_t *)"4242424242424242",
    .number_size = 16,
    .cvv = (const uint8_t *)"737",
    .cvv_size = 3,
    .exp_month = 12,
    .exp_year = 2031,
    .name = (const uint8_t *)"Jane Doe",
    .name_size = 8,
    .format = MESSAGE_FORMAT_DEFAULT,
    .single_use = true,
    .expires_ms = 1800000000000,
    .purchase = "order-17",
    .metadata = (const uint8_t *)METADATA,
    .metadata_size = sizeof METADATA - 1,
};

static const struct message_lease lease = {
    .submission = "sub_1",
    .destination = "sandbox",
    .purpose = "payment",
    .on_behalf_of = "jane",
    .tokens = {"tok_a", "tok_b"},
    .token_count = 2,
    .cvv_tokens = {"cvv_a"},
    .cvv_count = 1,
};

static const struct message_settlement settlement = {
    .lease_id = "lease_1", .submission = "sub_1", .outcome = MESSAGE_OUTCOME_SENT_NO_ANSWER};

static const struct message_text text = {
    .certificate = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
    .segment = "job_17",
    .query = "state=active",
    .body = (const uint8_t *)"{\"reason\":\"a drill\"}",
    .body_size = 20,
};

static const struct message_lent_card lent = {
    .token = "tok_a",
    .number = (const uint8_t *)"378282246310005",
    .number_size = 15,
    .exp_month = 1,
    .exp_year = 2030,
    .name = (const uint8_t *)"J",
    .name_size = 1,
};

/* Each kind of body: a good one, and what decoding and encoding again makes of any. */
enum kind { CALLER, CARD, LEASE, SETTLEMENT, LENT_CARD, TEXT, KIND_COUNT };

static void encode(enum kind kind, struct buffer *out)
{
    switch (kind) {
    case CALLER:
        message_caller_encode(&caller, out);
        break;
    case CARD:
        message_card_encode(&card, out);
        break;
    case LEASE:
        message_lease_encode(&lease, out);
        break;
    case SETTLEMENT:
        message_settlement_encode(&settlement, out);
        break;
    case LENT_CARD:
        message_lent_card_encode(&lent, out);
        break;
    case TEXT:
        message_text_encode(&text, out);
        break;
    case KIND_COUNT:
        break;
    }
}

static void encode_again(enum kind kind, struct cursor *in, struct buffer *out)
{
    static union {
        struct message_caller caller;
        struct message_card card;
        struct message_lease lease;
        struct message_settlement settlement;
        struct message_lent_card lent;
        struct message_text text;
    } got;

    memset(&got, 0xa5, sizeof got); /* Decoding leaves nothing of what was there. */
    switch (kind) {
    case CALLER:
        message_caller_decode(in, &got.caller);
        if (!in->bad)
            message_caller_encode(&got.caller, out);
        break;
    case CARD:
        message_card_decode(in, &got.card);
        if (!in->bad)
            message_card_encode(&got.card, out);
        break;
    case LEASE:
        message_lease_decode(in, &got.lease);
        if (!in->bad)
            message_lease_encode(&got.lease, out);
        break;
    case SETTLEMENT:
        message_settlement_decode(in, &got.settlement);
        if (!in->bad)
            message_settlement_encode(&got.settlement, out);
        break;
    case LENT_CARD:
        message_lent_card_decode(in, &got.lent);
        if (!in->bad)
            message_lent_card_encode(&got.lent, out);
        break;
    case TEXT:
        message_text_decode(in, &got.text);
        if (!in->bad)
            message_text_encode(&got.text, out);
        break;
    case KIND_COUNT:
        break;
    }
}

Test(message, of_any_kind_comes_back_as_it_was_sent)
{
    for (unsigned kind = 0; kind < KIND_COUNT; kind++) {
        struct buffer body OWNED(buffer_free) = BUFFER(65536);
        struct buffer again OWNED(buffer_free) = BUFFER(65536);
        encode((enum kind)kind, &body);
        struct cursor in = cursor_over(body.bytes, body.size);
        encode_again((enum kind)kind, &in, &again);
        cr_assert(cursor_done(&in), "kind %u", kind);
        cr_assert_eq(again.size, body.size);
        cr_expect_arr_eq(again.bytes, body.bytes, body.size);
    }
}

Test(message, of_any_kind_is_refused_where_it_is_cut_short)
{
    for (unsigned kind = 0; kind < KIND_COUNT; kind++) {
        struct buffer body OWNED(buffer_free) = BUFFER(65536);
        encode((enum kind)kind, &body);
        for (size_t size = 0; size < body.size; size++) {
            struct buffer again OWNED(buffer_free) = BUFFER(65536);
            struct cursor in = cursor_over(body.bytes, size);
            encode_again((enum kind)kind, &in, &again);
            cr_expect(in.bad, "kind %u: %zu of %zu bytes", kind, size, body.size);
        }
    }
}

Test(message, of_any_kind_with_a_bit_changed_is_another_one_or_none)
{
    for (unsigned kind = 0; kind < KIND_COUNT; kind++) {
        struct buffer body OWNED(buffer_free) = BUFFER(65536);
        encode((enum kind)kind, &body);
        for (size_t bit = 0; bit < 8 * body.size; bit++) {
            struct buffer again OWNED(buffer_free) = BUFFER(65536);
            body.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
            struct cursor in = cursor_over(body.bytes, body.size);
            encode_again((enum kind)kind, &in, &again);
            if (!in.bad) {
                cr_assert_eq(again.size, in.at, "kind %u bit %zu", kind, bit);
                cr_expect_arr_eq(again.bytes, body.bytes, in.at);
            }
            body.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
    }
}

Test(message, of_a_caller_says_all_that_the_front_saw)
{
    struct buffer body OWNED(buffer_free) = BUFFER(4096);
    struct message_caller got;

    message_caller_encode(&caller, &body);
    struct cursor in = cursor_over(body.bytes, body.size);
    message_caller_decode(&in, &got);
    cr_expect(got.verified);
    cr_expect_str_eq(got.uri, caller.uri);
    cr_expect_str_eq(got.origin, caller.origin);
    cr_expect_str_eq(got.request_id, caller.request_id);
    cr_expect_str_eq(got.idempotency_key, caller.idempotency_key);
    cr_expect_eq(got.problem.code, PROBLEM_MISSING_FIELD);
    cr_expect_str_eq(got.problem.field, "/number");
}

Test(message, of_a_caller_is_not_verified_by_a_flag_that_is_neither_0_nor_1)
{
    struct buffer body OWNED(buffer_free) = BUFFER(4096);
    struct message_caller got;

    message_caller_encode(&caller, &body);
    body.bytes[0] = 2;
    struct cursor in = cursor_over(body.bytes, body.size);
    message_caller_decode(&in, &got);
    cr_expect(in.bad);
    cr_expect(!got.verified);
}

Test(message, of_a_card_lends_number_code_and_name_from_its_frame)
{
    struct buffer body OWNED(buffer_free) = BUFFER(4096);
    struct message_card got;

    message_card_encode(&card, &body);
    struct cursor in = cursor_over(body.bytes, body.size);
    message_card_decode(&in, &got);
    cr_assert(cursor_done(&in));
    const uint8_t *end = body.bytes + body.size;
    cr_expect(got.number > body.bytes && got.number < end);
    cr_expect(got.cvv > body.bytes && got.cvv < end);
    cr_expect(got.name > body.bytes && got.name < end);
    cr_expect_arr_eq(got.number, card.number, 16);
    cr_expect_arr_eq(got.cvv, card.cvv, 3);
    cr_expect_eq(got.exp_month, 12);
    cr_expect_eq(got.exp_year, 2031);
    cr_expect_eq(got.format, MESSAGE_FORMAT_DEFAULT);
    cr_expect(got.single_use);
    cr_expect_eq(got.expires_ms, card.expires_ms);
    cr_expect_str_eq(got.purchase, "order-17");
}

Test(message, with_a_problem_carries_nothing_else)
{
    static const struct problem problem = {.code = PROBLEM_INVALID_FIELD, .field = "/x"};
    struct buffer body OWNED(buffer_free) = BUFFER(4096);
    struct message_card bad_card = card;
    struct message_lease bad_lease = lease;
    struct message_settlement bad_settlement = settlement;

    bad_card.problem = problem;
    bad_lease.problem = problem;
    bad_settlement.problem = problem;
    message_card_encode(&bad_card, &body);
    message_lease_encode(&bad_lease, &body);
    message_settlement_encode(&bad_settlement, &body);
    struct cursor in = cursor_over(body.bytes, body.size);
    message_card_decode(&in, &bad_card);
    message_lease_decode(&in, &bad_lease);
    message_settlement_decode(&in, &bad_settlement);
    cr_assert(cursor_done(&in));
    cr_expect_str_eq(bad_card.problem.field, "/x");
    cr_expect_null(bad_card.number);
    cr_expect_eq(bad_lease.problem.code, PROBLEM_INVALID_FIELD);
    cr_expect_eq(bad_lease.token_count, 0u);
    cr_expect_eq(bad_settlement.problem.code, PROBLEM_INVALID_FIELD);
    cr_expect_str_eq(bad_settlement.lease_id, "");
}

Test(message, of_a_card_has_a_format_of_the_policy_or_the_default)
{
    for (unsigned format = 0; format <= UINT8_MAX; format++) {
        struct buffer body OWNED(buffer_free) = BUFFER(4096);
        struct message_card got = card;
        got.format = (uint8_t)format;
        message_card_encode(&got, &body);
        struct cursor in = cursor_over(body.bytes, body.size);
        message_card_decode(&in, &got);
        cr_expect_eq(!in.bad, format < POLICY_FORMAT_COUNT || format == MESSAGE_FORMAT_DEFAULT,
                     "format %u", format);
    }
}

Test(message, of_a_card_takes_metadata_up_to_its_limit)
{
    static uint8_t metadata[VIEW_METADATA_BYTES_MAX + 1];

    for (uint32_t over = 0; over <= 1; over++) {
        struct buffer body OWNED(buffer_free) = BUFFER(65536);
        struct message_card got = card;
        got.metadata = metadata;
        got.metadata_size = VIEW_METADATA_BYTES_MAX + over;
        message_card_encode(&got, &body);
        struct cursor in = cursor_over(body.bytes, body.size);
        message_card_decode(&in, &got);
        cr_expect_eq(in.bad, over == 1);
    }
}

Test(message, of_a_lease_takes_eight_tokens_and_eight_codes_and_no_more)
{
    struct message_lease most = {.submission = "sub_1",
                                 .token_count = CONTRACT_LEASE_TOKENS_MAX,
                                 .cvv_count = CONTRACT_LEASE_TOKENS_MAX};
    struct buffer body OWNED(buffer_free) = BUFFER(4096);
    struct message_lease got;

    message_lease_encode(&most, &body);
    struct cursor in = cursor_over(body.bytes, body.size);
    message_lease_decode(&in, &got);
    cr_assert(cursor_done(&in));
    cr_expect_eq(got.token_count, 8u);
    cr_expect_eq(got.cvv_count, 8u);

    size_t codes_at = body.size - 8 * 2 - 1; /* Eight empty texts behind a count. */
    size_t tokens_at = codes_at - 8 * 2 - 1;
    for (unsigned count = 9; count <= UINT8_MAX; count++) {
        for (unsigned i = 0; i < 2; i++) {
            size_t at = i == 0 ? tokens_at : codes_at;
            cr_assert_eq(body.bytes[at], 8);
            body.bytes[at] = (uint8_t)count;
            in = cursor_over(body.bytes, body.size);
            message_lease_decode(&in, &got);
            cr_expect(in.bad);
            cr_expect(got.token_count <= 8 && got.cvv_count <= 8);
            body.bytes[at] = 8;
        }
    }
}

Test(message, of_a_settlement_has_one_of_three_outcomes)
{
    struct buffer body OWNED(buffer_free) = BUFFER(4096);

    message_settlement_encode(&settlement, &body);
    for (unsigned outcome = 0; outcome <= UINT8_MAX; outcome++) {
        struct message_settlement got;
        body.bytes[body.size - 1] = (uint8_t)outcome;
        struct cursor in = cursor_over(body.bytes, body.size);
        message_settlement_decode(&in, &got);
        cr_expect_eq(in.bad, outcome >= MESSAGE_OUTCOME_COUNT);
        cr_expect(got.outcome < MESSAGE_OUTCOME_COUNT);
    }
    cr_expect_str_eq(message_outcome_names[MESSAGE_OUTCOME_ANSWERED], "answered");
    cr_expect_str_eq(message_outcome_names[MESSAGE_OUTCOME_NOT_SENT], "not_sent");
    cr_expect_str_eq(message_outcome_names[MESSAGE_OUTCOME_SENT_NO_ANSWER], "sent_no_answer");
    cr_expect_null(message_outcome_names[MESSAGE_OUTCOME_COUNT]);
}

Test(message, bytes_of_every_size_come_back_and_none_that_are_not_there)
{
    uint8_t bytes[UINT8_MAX];
    uint8_t size = 77;

    memset(bytes, 'x', sizeof bytes);
    for (unsigned i = 0; i <= UINT8_MAX; i++) {
        struct buffer body OWNED(buffer_free) = BUFFER(4096);
        message_bytes_encode(bytes, i, &body);
        struct cursor in = cursor_over(body.bytes, body.size);
        const uint8_t *got = message_bytes_decode(&in, &size);
        cr_assert(cursor_done(&in));
        cr_expect_eq(size, i);
        cr_expect(i == 0 || memcmp(got, bytes, i) == 0);
        if (i == 0)
            continue;
        in = cursor_over(body.bytes, body.size - 1);
        cr_expect_null(message_bytes_decode(&in, &size));
        cr_expect_eq(size, 0);
        cr_expect(in.bad);
    }
}
