/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/read_card.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/encode.h"
#include "base/own.h"

#define VISA  "4242424242424242"
#define BARE  "\"number\": \"" VISA "\", \"exp_month\": 12, \"exp_year\": 2031"
#define NOW   1795420800000 /* 2026-11-23T08:00:00Z */
#define TRACK ";" VISA "=31121010000000000000?"

static struct json_node nodes[REQUEST_NODES_MAX];
static uint8_t body[2u << 20];
static struct request request;
static struct buffer frame;

static void pool_open(void)
{
    cr_assert(!failed(secret_pool_open(4)));
}

static void pool_close(void)
{
    cr_assert_eq(secret_pool_free_count(), 4, "every secret was given back");
    secret_pool_close();
    buffer_free(&frame);
}

TestSuite(read_card, .init = pool_open, .fini = pool_close);

static void ask_as(request_read_fn read, const char *type, const char *text)
{
    cr_assert(strlen(text) < sizeof body);
    memmove(body, text, strlen(text));
    request = (struct request){.query = "",
                               .content_type = type,
                               .body = body,
                               .body_size = strlen(text),
                               .now_ms = NOW,
                               .nodes = nodes};
    snprintf(request.token, sizeof request.token, "tok_1");
    buffer_free(&frame);
    frame = BUFFER(4u << 20);
    read(&request, &frame);
    cr_assert(!failed(buffer_status(&frame)));
}

/* The frame's card, which lends from the frame. */
static struct message_card one(const char *text)
{
    struct message_caller caller;
    struct message_card card = {0};

    ask_as(read_card_one, "application/json", text);
    struct cursor in = cursor_over(frame.bytes, frame.size);
    message_caller_decode(&in, &caller);
    cr_expect_eq(caller.problem.code, PROBLEM_NONE, "%s: %s at %s", text,
                 problem_name(caller.problem.code), caller.problem.field);
    cr_expect_eq(cursor_u8(&in), 0);
    cr_assert_eq(cursor_u16(&in), 1, "%s", text);
    message_card_decode(&in, &card);
    cr_assert(cursor_done(&in));
    cr_expect_eq(card.problem.code, PROBLEM_NONE);
    return card;
}

static void refused(const char *text, enum problem_code code, const char *field)
{
    struct message_caller caller;

    ask_as(read_card_one, "application/json", text);
    struct cursor in = cursor_over(frame.bytes, frame.size);
    message_caller_decode(&in, &caller);
    cr_expect_eq(caller.problem.code, code, "%s: %s", text, problem_name(caller.problem.code));
    cr_expect_str_eq(caller.problem.field, field, "%s", text);
    cr_expect_eq(cursor_u8(&in), 0);
    cr_expect_eq(cursor_u16(&in), 0, "a refused card does not travel");
    cr_assert(cursor_done(&in));
}

static bool body_holds(const char *text)
{
    return memmem(body, request.body_size, text, strlen(text)) != NULL;
}

Test(read_card, every_field_travels)
{
    struct message_card card =
        one("{" BARE ", \"cvv\": \"123\", \"cardholder_name\": \"\\u00c4. Example\", \"format\": "
            "\"uuid\", \"single_use\": true, \"expires_at\": \"2026-11-23T08:00:00.001Z\", "
            "\"purchase\": \"order-1042\", \"metadata\": { \"customer\" : \"c_\\u0037\" }}");

    cr_expect_eq(card.number_size, 16);
    cr_expect_arr_eq(card.number, VISA, 16);
    cr_expect_eq(card.cvv_size, 3);
    cr_expect_arr_eq(card.cvv, "123", 3);
    cr_expect_eq(card.exp_month, 12);
    cr_expect_eq(card.exp_year, 2031);
    cr_assert_eq(card.name_size, strlen("\xc3\x84. Example"));
    cr_expect_arr_eq(card.name, "\xc3\x84. Example", card.name_size);
    cr_expect_eq(card.format, POLICY_FORMAT_UUID);
    cr_expect(card.single_use);
    cr_expect_eq(card.expires_ms, NOW + 1);
    cr_expect_str_eq(card.purchase, "order-1042");
    cr_assert_eq(card.metadata_size, strlen("{\"customer\":\"c_7\"}"));
    cr_expect_arr_eq(card.metadata, "{\"customer\":\"c_7\"}", card.metadata_size);
}

Test(read_card, what_was_left_out_is_told_from_what_was_said)
{
    struct message_card card = one("{" BARE ", \"expires_at\": null}");

    cr_expect_eq(card.cvv_size, 0);
    cr_expect_eq(card.name_size, 0);
    cr_expect_eq(card.format, MESSAGE_FORMAT_DEFAULT);
    cr_expect(!card.single_use);
    cr_expect_eq(card.expires_ms, 0);
    cr_expect_str_eq(card.purchase, "");
    cr_expect_eq(card.metadata_size, 0);
}

Test(read_card, number_and_code_leave_the_body)
{
    one("{" BARE ", \"cvv\": \"737\"}");
    cr_expect(!body_holds(VISA));
    cr_expect(!body_holds("4242"));
    cr_expect(!body_holds("737"));
    cr_expect(body_holds("\"number\": \"0000000000000000\""));
}

Test(read_card, number_and_code_leave_the_body_of_a_refused_card_too)
{
    refused("{\"number\": 4242424242424242, \"cvv\": 737}", PROBLEM_INVALID_FIELD, "/number");
    cr_expect(!body_holds("4242") && !body_holds("737"));
    refused("{\"number\": [\"" VISA "\", {\"a\": 4242424242424242}]}", PROBLEM_INVALID_FIELD,
            "/number");
    cr_expect(!body_holds("4242"));
    refused("{" BARE ", \"cvv\": \"737\", \"other\": 1}", PROBLEM_UNKNOWN_FIELD, "/other");
    cr_expect(!body_holds("4242") && !body_holds("737"));
    refused("{\"\\u006eumber\": \"\\u0034242424242424242\"}", PROBLEM_MISSING_FIELD, "/exp_month");
    cr_expect(!body_holds("4242"));
}

Test(read_card, a_number_may_be_escaped)
{
    struct message_card card =
        one("{\"number\": \"\\u0034242424242424242\", \"exp_month\": 1, \"exp_year\": 2031}");

    cr_expect_eq(card.number_size, 16);
    cr_expect_arr_eq(card.number, VISA, 16);
}

Test(read_card, fields_that_must_be_there_are_named)
{
    refused("{}", PROBLEM_MISSING_FIELD, "/number");
    refused("{\"number\": \"" VISA "\"}", PROBLEM_MISSING_FIELD, "/exp_month");
    refused("{\"number\": \"" VISA "\", \"exp_month\": 1}", PROBLEM_MISSING_FIELD, "/exp_year");
}

Test(read_card, fields_of_a_wrong_shape_are_named)
{
    static const struct {
        const char *member;
        const char *field;
        enum problem_code code;
    } bad[] = {
        {"\"cvv\": 123", "/cvv", PROBLEM_INVALID_FIELD},
        {"\"cvv\": \"\"", "/cvv", PROBLEM_INVALID_CVV},
        {"\"cvv\": \"123456789\"", "/cvv", PROBLEM_INVALID_CVV},
        {"\"cvv\": null", "/cvv", PROBLEM_INVALID_FIELD},
        {"\"cardholder_name\": \"\"", "/cardholder_name", PROBLEM_INVALID_FIELD},
        {"\"cardholder_name\": \"a\\nb\"", "/cardholder_name", PROBLEM_INVALID_FIELD},
        {"\"cardholder_name\": \"\\u0000\"", "/cardholder_name", PROBLEM_INVALID_FIELD},
        {"\"cardholder_name\": {}", "/cardholder_name", PROBLEM_INVALID_FIELD},
        {"\"format\": \"plain\"", "/format", PROBLEM_INVALID_FIELD},
        {"\"format\": 1", "/format", PROBLEM_INVALID_FIELD},
        {"\"single_use\": \"true\"", "/single_use", PROBLEM_INVALID_FIELD},
        {"\"single_use\": 1", "/single_use", PROBLEM_INVALID_FIELD},
        {"\"expires_at\": \"tomorrow\"", "/expires_at", PROBLEM_INVALID_FIELD},
        {"\"expires_at\": 1795420800", "/expires_at", PROBLEM_INVALID_FIELD},
        {"\"expires_at\": \"2026-11-23T08:00:00Z\"", "/expires_at", PROBLEM_INVALID_FIELD},
        {"\"purchase\": \"\"", "/purchase", PROBLEM_INVALID_FIELD},
        {"\"metadata\": []", "/metadata", PROBLEM_INVALID_FIELD},
        {"\"metadata\": {\"a\": 1}", "/metadata", PROBLEM_INVALID_FIELD},
        {"\"metadata\": {\"\": \"a\"}", "/metadata", PROBLEM_INVALID_FIELD},
        {"\"metadata\": {\"a\": {\"b\": \"c\"}}", "/metadata", PROBLEM_INVALID_FIELD},
    };
    char text[256];

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snprintf(text, sizeof text, "{" BARE ", %s}", bad[i].member);
        refused(text, bad[i].code, bad[i].field);
    }
}

Test(read_card, expiry_dates_are_integers_within_reason)
{
#define EXPIRES(month, year)                                                                       \
    "{\"number\": \"" VISA "\", \"exp_month\": " month ", \"exp_year\": " year "}"
    refused(EXPIRES("0", "2031"), PROBLEM_INVALID_EXPIRY, "/exp_month");
    refused(EXPIRES("13", "2031"), PROBLEM_INVALID_EXPIRY, "/exp_month");
    refused(EXPIRES("257", "2031"), PROBLEM_INVALID_EXPIRY, "/exp_month");
    refused(EXPIRES("1", "31"), PROBLEM_INVALID_EXPIRY, "/exp_year");
    refused(EXPIRES("1", "67567"), PROBLEM_INVALID_EXPIRY, "/exp_year");
    refused(EXPIRES("\"1\"", "2031"), PROBLEM_INVALID_FIELD, "/exp_month");
    refused(EXPIRES("1.0", "2031"), PROBLEM_INVALID_FIELD, "/exp_month");
}

Test(read_card, lengths_that_no_card_has_are_refused)
{
    char text[1024];

    refused("{\"number\": \"\"}", PROBLEM_INVALID_NUMBER, "/number");
    snprintf(text, sizeof text, "{\"number\": \"%049d\"}", 0);
    refused(text, PROBLEM_INVALID_NUMBER, "/number");
    snprintf(text, sizeof text, "{\"number\": \"%0600d\"}", 0);
    refused(text, PROBLEM_INVALID_NUMBER, "/number");
    snprintf(text, sizeof text, "{\"cvv\": \"%0600d\"}", 0);
    refused(text, PROBLEM_INVALID_CVV, "/cvv");
}

Test(read_card, names_of_track_and_pin_data_are_refused_whatever_they_hold)
{
    static const char *const names[] = {"track1", "track2",    "track",       "magstripe",
                                        "pin",    "pin_block", "service_code"};
    char text[256];
    char field[40];

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(text, sizeof text, "{" BARE ", \"unknown\": 1, \"%s\": null}", names[i]);
        snprintf(field, sizeof field, "/%s", names[i]);
        refused(text, PROBLEM_TRACK_DATA_REFUSED, field);
    }
}

Test(read_card, data_shaped_like_a_track_is_refused_wherever_it_stands)
{
    refused("{\"number\": \"" TRACK "\"}", PROBLEM_TRACK_DATA_REFUSED, "/number");
    refused("{" BARE ", \"cardholder_name\": \"" TRACK "\"}", PROBLEM_TRACK_DATA_REFUSED, "");
    refused("{" BARE ", \"metadata\": {\"a\": \"" TRACK "\"}}", PROBLEM_TRACK_DATA_REFUSED, "");
    refused("{" BARE ", \"metadata\": {\"a\": \"\\u003b" VISA "\\u003d31121010000000000000?\"}}",
            PROBLEM_TRACK_DATA_REFUSED, "");
}

Test(read_card, a_card_in_free_text_is_refused_without_repeating_it)
{
    refused("{" BARE ", \"cardholder_name\": \"A " VISA "\"}", PROBLEM_CARD_IN_FREE_TEXT,
            "/cardholder_name");
    refused("{" BARE ", \"purchase\": \"4242-4242-4242-4242\"}", PROBLEM_CARD_IN_FREE_TEXT,
            "/purchase");
    refused("{" BARE ", \"metadata\": {\"note\": \"is " VISA "\"}}", PROBLEM_CARD_IN_FREE_TEXT,
            "/metadata/note");
    refused("{" BARE ", \"metadata\": {\"a b\": \"" VISA "\"}}", PROBLEM_CARD_IN_FREE_TEXT,
            "/metadata");
    refused("{" BARE ", \"metadata\": {\"" VISA "\": \"a\"}}", PROBLEM_CARD_IN_FREE_TEXT,
            "/metadata");
    refused("{" BARE ", \"metadata\": {\"a\": \"\\u0034242424242424242\"}}",
            PROBLEM_CARD_IN_FREE_TEXT, "/metadata/a");
}

Test(read_card, unknown_names_are_repeated_only_where_they_are_plain)
{
    refused("{" BARE ", \"card_type\": 1}", PROBLEM_UNKNOWN_FIELD, "/card_type");
    refused("{" BARE ", \"Number\": 1}", PROBLEM_UNKNOWN_FIELD, "/Number");
    refused("{" BARE ", \"" VISA "\": 1}", PROBLEM_UNKNOWN_FIELD, "");
    refused("{" BARE ", \"a/b\": 1}", PROBLEM_UNKNOWN_FIELD, "");
    refused("{" BARE ", \"x23456789012345678901234567890123456789012\": 1}", PROBLEM_UNKNOWN_FIELD,
            "");
    refused("{" BARE ", \"\": 1}", PROBLEM_UNKNOWN_FIELD, "");
}

Test(read_card, metadata_is_bounded_in_keys_and_bytes)
{
    struct buffer text OWNED(buffer_free) = BUFFER(64u << 10);
    char key[CONTRACT_METADATA_KEY_MAX + 2];
    char value[CONTRACT_METADATA_VALUE_MAX + 2];

    memset(key, 'k', sizeof key);
    memset(value, 'v', sizeof value);
    key[CONTRACT_METADATA_KEY_MAX] = '\0';
    value[CONTRACT_METADATA_VALUE_MAX] = '\0';
    buffer_format(&text, "{" BARE ", \"metadata\": {\"%s\": \"%s\"", key, value);
    for (unsigned i = 1; i < CONTRACT_METADATA_KEYS_MAX; i++)
        buffer_format(&text, ", \"k%u\": \"%s\"", i, value);
    size_t full = text.size;
    buffer_add_text(&text, "}}");
    cr_expect_gt(one(buffer_text(&text)).metadata_size, 16 * CONTRACT_METADATA_VALUE_MAX);
    text.size = full;
    buffer_add_text(&text, ", \"more\": \"\"}}");
    refused(buffer_text(&text), PROBLEM_INVALID_FIELD, "/metadata");

    value[CONTRACT_METADATA_VALUE_MAX] = 'v';
    value[CONTRACT_METADATA_VALUE_MAX + 1] = '\0';
    buffer_clear(&text);
    buffer_format(&text, "{" BARE ", \"metadata\": {\"a\": \"%s\"}}", value);
    refused(buffer_text(&text), PROBLEM_INVALID_FIELD, "/metadata");
    key[CONTRACT_METADATA_KEY_MAX] = 'k';
    key[CONTRACT_METADATA_KEY_MAX + 1] = '\0';
    buffer_clear(&text);
    buffer_format(&text, "{" BARE ", \"metadata\": {\"%s\": \"\"}}", key);
    refused(buffer_text(&text), PROBLEM_INVALID_FIELD, "/metadata");
}

Test(read_card, metadata_whose_escapes_grow_too_large_is_refused)
{
    struct buffer text OWNED(buffer_free) = BUFFER(64u << 10);

    buffer_add_text(&text, "{" BARE ", \"metadata\": {");
    for (unsigned i = 0; i < CONTRACT_METADATA_KEYS_MAX; i++) {
        buffer_format(&text, "%s\"k%u\": \"", i == 0 ? "" : ", ", i);
        for (unsigned j = 0; j < 200; j++)
            buffer_add_text(&text, "\\u0001");
        buffer_add_text(&text, "\"");
    }
    buffer_add_text(&text, "}}");
    refused(buffer_text(&text), PROBLEM_INVALID_FIELD, "/metadata");
}

Test(read_card, a_body_is_json_and_says_so)
{
    static const char *const types[] = {"application/json", "Application/JSON",
                                        "application/json; charset=utf-8", "application/json ;x"};
    static const char *const strange[] = {NULL, "", "text/plain", "application/jsonx",
                                          "application/x-www-form-urlencoded"};

    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        ask_as(read_card_one, types[i], "{" BARE "}");
        cr_expect_eq(request.caller.problem.code, PROBLEM_NONE, "%s", types[i]);
    }
    for (size_t i = 0; i < sizeof strange / sizeof strange[0]; i++) {
        ask_as(read_card_one, strange[i], "{" BARE "}");
        cr_expect_eq(request.caller.problem.code, PROBLEM_UNSUPPORTED_MEDIA_TYPE);
    }
    refused("", PROBLEM_INVALID_JSON, "");
    refused("{" BARE, PROBLEM_INVALID_JSON, "");
    refused("{" BARE "} {}", PROBLEM_INVALID_JSON, "");
    refused("{" BARE ", \"number\": \"" VISA "\"}", PROBLEM_INVALID_JSON, "");
    refused("[]", PROBLEM_INVALID_FIELD, "");
    refused("\"" VISA "\"", PROBLEM_INVALID_FIELD, "");
}

Test(read_card, flipping_any_byte_of_a_body_crashes_nothing_and_leaks_no_secret)
{
    static const char text[] = "{" BARE ", \"cvv\": \"123\", \"metadata\": {\"a\": \"b\"}}";
    char flipped[sizeof text];

    for (size_t i = 0; i + 1 < sizeof text; i++) {
        memcpy(flipped, text, sizeof text);
        flipped[i] = (char)(flipped[i] ^ 0x10);
        if (flipped[i] == '\0')
            continue;
        ask_as(read_card_one, "application/json", flipped);
        cr_assert_eq(secret_pool_free_count(), 4, "byte %zu", i);
        struct message_caller caller;
        struct message_card card;
        struct cursor in = cursor_over(frame.bytes, frame.size);
        message_caller_decode(&in, &caller);
        cursor_u8(&in);
        if (cursor_u16(&in) == 1)
            message_card_decode(&in, &card);
        cr_assert(cursor_done(&in), "byte %zu", i);
    }
}

Test(read_card, a_code_comes_alone_with_its_purchase)
{
    struct message_caller caller;
    struct message_card card;
    char token[CONTRACT_TOKEN_MAX + 1];

    ask_as(read_card_cvv, "application/json", "{\"cvv\": \"737\", \"purchase\": \"order-1\"}");
    struct cursor in = cursor_over(frame.bytes, frame.size);
    message_caller_decode(&in, &caller);
    cursor_text(&in, token, sizeof token);
    message_card_decode(&in, &card);
    cr_assert(cursor_done(&in));
    cr_expect_eq(caller.problem.code, PROBLEM_NONE);
    cr_expect_str_eq(token, "tok_1");
    cr_expect_eq(card.number_size, 0);
    cr_expect_eq(card.cvv_size, 3);
    cr_expect_arr_eq(card.cvv, "737", 3);
    cr_expect_str_eq(card.purchase, "order-1");
    cr_expect(!body_holds("737"));

    ask_as(read_card_cvv, "application/json", "{\"purchase\": \"order-1\"}");
    in = cursor_over(frame.bytes, frame.size);
    message_caller_decode(&in, &caller);
    cursor_text(&in, token, sizeof token);
    message_card_decode(&in, &card);
    cr_assert(cursor_done(&in));
    cr_expect_eq(caller.problem.code, PROBLEM_MISSING_FIELD);
    cr_expect_str_eq(caller.problem.field, "/cvv");
    cr_expect_eq(card.problem.code, PROBLEM_MISSING_FIELD);
    ask_as(read_card_cvv, "application/json", "{" BARE ", \"cvv\": \"737\"}");
    cr_expect_eq(request.caller.problem.code, PROBLEM_UNKNOWN_FIELD);
}

Test(read_card, the_cards_of_a_batch_are_judged_one_by_one)
{
    struct message_caller caller;
    struct message_card card;

    ask_as(read_card_batch, "application/json",
           "{\"cards\": [{" BARE "}, {" BARE ", \"pin\": 1}, 7, {" BARE "}]}");
    struct cursor in = cursor_over(frame.bytes, frame.size);
    message_caller_decode(&in, &caller);
    cr_expect_eq(caller.problem.code, PROBLEM_NONE);
    cr_expect_eq(cursor_u8(&in), 1);
    cr_assert_eq(cursor_u16(&in), 4);
    message_card_decode(&in, &card);
    cr_expect_eq(card.problem.code, PROBLEM_NONE);
    cr_expect_arr_eq(card.number, VISA, 16);
    message_card_decode(&in, &card);
    cr_expect_eq(card.problem.code, PROBLEM_TRACK_DATA_REFUSED);
    cr_expect_str_eq(card.problem.field, "/cards/1/pin");
    message_card_decode(&in, &card);
    cr_expect_eq(card.problem.code, PROBLEM_INVALID_FIELD);
    cr_expect_str_eq(card.problem.field, "/cards/2");
    message_card_decode(&in, &card);
    cr_expect_eq(card.problem.code, PROBLEM_NONE);
    cr_expect_arr_eq(card.number, VISA, 16);
    cr_assert(cursor_done(&in));
    cr_expect(!body_holds("4242"));
}

static void batch_of(unsigned count, struct buffer *text)
{
    buffer_add_text(text, "{\"cards\": [");
    for (unsigned i = 0; i < count; i++)
        buffer_format(text, "%s{" BARE ", \"cvv\": \"123\", \"metadata\": {\"row\": \"%u\"}}",
                      i == 0 ? "" : ",", i);
    buffer_add_text(text, "]}");
}

Test(read_card, a_batch_takes_up_to_a_thousand_cards_with_four_slots)
{
    struct buffer text OWNED(buffer_free) = BUFFER(1u << 20);

    batch_of(CONTRACT_BATCH_CARDS_MAX, &text);
    ask_as(read_card_batch, "application/json", buffer_text(&text));
    cr_expect_eq(request.caller.problem.code, PROBLEM_NONE);
    cr_expect(!body_holds("4242"));
    buffer_clear(&text);
    batch_of(CONTRACT_BATCH_CARDS_MAX + 1, &text);
    ask_as(read_card_batch, "application/json", buffer_text(&text));
    cr_expect_eq(request.caller.problem.code, PROBLEM_TOO_LARGE);
    cr_expect_str_eq(request.caller.problem.field, "/cards");
}

Test(read_card, a_batch_is_refused_as_a_whole_where_it_is_none)
{
    static const struct {
        const char *text;
        enum problem_code code;
        const char *field;
    } bad[] = {
        {"{}", PROBLEM_MISSING_FIELD, "/cards"},
        {"{\"cards\": []}", PROBLEM_INVALID_FIELD, "/cards"},
        {"{\"cards\": {}}", PROBLEM_INVALID_FIELD, "/cards"},
        {"{\"cards\": [1], \"more\": 1}", PROBLEM_UNKNOWN_FIELD, "/more"},
        {"{\"cards\": [1], \"track1\": 1}", PROBLEM_TRACK_DATA_REFUSED, "/track1"},
        {"{\"cards\": [1]", PROBLEM_INVALID_JSON, ""},
    };

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ask_as(read_card_batch, "application/json", bad[i].text);
        cr_expect_eq(request.caller.problem.code, bad[i].code, "%s", bad[i].text);
        cr_expect_str_eq(request.caller.problem.field, bad[i].field, "%s", bad[i].text);
    }
}

Test(read_card, more_values_than_have_room_are_too_large)
{
    static char text[2 * REQUEST_NODES_MAX + 2];

    for (size_t i = 1; i + 2 < sizeof text; i++)
        text[i] = ",0"[i % 2];
    text[0] = '[';
    text[sizeof text - 2] = ']';
    refused(text, PROBLEM_TOO_LARGE, "");
}

Test(read_card, without_a_free_slot_it_is_busy_and_still_blanked)
{
    struct secret *taken[4] = {0};

    for (size_t i = 0; i < 4; i++)
        cr_assert(!failed(secret_new(1, &taken[i])));
    refused("{" BARE "}", PROBLEM_BUSY, "/number");
    cr_expect(!body_holds("4242"));
    for (size_t i = 0; i < 4; i++)
        secret_free(&taken[i]);
}
