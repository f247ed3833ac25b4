/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/own.h"
#include "base/secret.h"
#include "relay/slots.h"

#define TOKEN "tok_4pXkQ2mZ81cVb7Nn0aLsT5uYw3"
#define CODE  "cvv_9sQmB6vCx2ZaLk8JhGf4DdS1aQ"
#define UUID  "0f8fad5b-d9cb-469f-a165-70867728950e"
#define CARD  "payment_method_data[card]"
#define FORM  "application/x-www-form-urlencoded"
#define JSON  "application/json"

/* A published test number, and what a caller must not send. */
static const char pan[] = "4242424242424242";

static struct profile profile;
static struct slots slots;
static struct slots_problem problem;

static void declare(struct profile_slot *slot, const char *place, const char *takes)
{
    snprintf(slot->place, sizeof slot->place, "%s", place);
    cr_assert(!failed(expression_parse_default(takes, &slot->takes)));
}

static void make_profile(void)
{
    cr_assert(sodium_init() >= 0);
    cr_assert(!failed(secret_pool_open(16)));
    profile = (struct profile){0};
    declare(&profile.form[profile.form_count++], CARD "[number]", "number");
    declare(&profile.form[profile.form_count++], CARD "[exp_month]", "exp | m");
    declare(&profile.form[profile.form_count++], CARD "[cvc]", "cvv");
    declare(&profile.form[profile.form_count++], "holder", "cardholder_name");
    declare(&profile.json[profile.json_count++], "/card/security_code", "cvv");
    declare(&profile.json[profile.json_count++], "/card/number", "number");
    declare(&profile.json[profile.json_count++], "/card/expiry", "exp | mm/yy");
    declare(&profile.json[profile.json_count++], "/list/1/a~1b~0c", "number");
    declare(&profile.json[profile.json_count++], "/name", "cardholder_name");
}

static void close_pool(void)
{
    cr_expect_eq(secret_pool_free_count(), 16);
    secret_pool_close();
}

TestSuite(slots, .init = make_profile, .fini = close_pool);

static enum why find_in(const char *content_type, const void *body, size_t size)
{
    const struct slots_request request = {.target = "/v1/payment_intents",
                                          .content_type = content_type,
                                          .body = body,
                                          .body_size = size};
    slots = (struct slots){.count = 99};
    struct status status = slots_find(&profile, &request, &slots, &problem);
    cr_expect_eq(failed(status), slots.count == 99, "a failure writes no slots");
    cr_expect_eq(failed(status), problem.code != PROBLEM_NONE);
    return status.why;
}

static void expect_slots(const char *content_type, const char *body, unsigned count)
{
    cr_assert_eq(find_in(content_type, body, strlen(body)), WHY_NONE, "%s: %d", body, problem.code);
    cr_expect_eq(slots.count, count, "%s: %u", body, slots.count);
}

static void expect_problem(const char *content_type, const char *body, enum problem_code code,
                           const char *field)
{
    cr_expect_eq(find_in(content_type, body, strlen(body)), WHY_BAD_INPUT, "%s", body);
    cr_expect_eq(problem.code, code, "%s: %d", body, problem.code);
    cr_expect_str_eq(problem.field, field, "%s", body);
}

/* Fills every slot with the same text and compares the whole body. */
static void expect_filled(const char *body, const char *value, const char *expected)
{
    OWNED(secret_free) struct secret *secret = NULL;
    const struct secret *values[SLOTS_MAX];
    OWNED(buffer_free) struct buffer out = BUFFER(4096);

    cr_assert(!failed(secret_new(strlen(value), &secret)));
    memcpy(secret_bytes(secret), value, strlen(value));
    for (unsigned i = 0; i < SLOTS_MAX; i++)
        values[i] = secret;
    cr_assert(!failed(slots_fill(&slots, values, (const uint8_t *)body, strlen(body), &out)));
    cr_expect_str_eq(buffer_text(&out), expected);
}

Test(slots, finds_form_fields_in_either_spelling)
{
    expect_slots(FORM, CARD "[number]=" TOKEN "&amount=5&" CARD "[cvc]=" CODE, 2);
    cr_expect_str_eq(slots.list[0].expression.token, TOKEN);
    cr_expect_eq(slots.list[1].expression.field, EXPRESSION_CVV);
    expect_slots(FORM, "payment_method_data%5Bcard%5D%5bnumber%5d=" TOKEN, 1);
    expect_slots(FORM "; charset=UTF-8",
                 CARD "[number]=%74ok"
                      "_4pXkQ2mZ81cVb7Nn0aLsT5uYw3",
                 1);
    expect_slots("Application/X-WWW-Form-Urlencoded",
                 CARD "[exp_month]=%7B%7B+" TOKEN ".exp+%7C+mm+%7D%7D", 1);
    cr_expect_eq(slots.list[0].expression.filters[0], EXPRESSION_MM);
    expect_slots(FORM, "a=b&&=&c&" CARD "[number]=" UUID "&", 1);
}

Test(slots, changes_no_byte_outside_the_values)
{
    static const char body[] =
        "a=%41+b&&x&" CARD "%5bnumber]=" TOKEN "&z=%7e&" CARD "[exp_month]={{" TOKEN "}}";
    expect_slots(FORM, body, 2);
    expect_filled(body, "A b&c=\xc3\xa9",
                  "a=%41+b&&x&" CARD "%5bnumber]=A%20b%26c%3D%C3%A9&z=%7e&" CARD
                  "[exp_month]=A%20b%26c%3D%C3%A9");
}

Test(slots, fills_json_inside_the_quotes_in_the_order_of_the_body)
{
    static const char body[] =
        " {\"x\" : 1.50,\"card\":{\"number\":\"" TOKEN "\", \"expiry\" :\"{{ " TOKEN
        " }}\",\"security_code\":\"" CODE "\"}, \"list\":[0,{\"a/b~c\":\"" UUID "\"}]}\n";
    expect_slots(JSON, body, 4);
    for (unsigned i = 1; i < slots.count; i++)
        cr_expect_gt(slots.list[i].start, slots.list[i - 1].start);
    cr_expect_eq(slots.list[2].expression.field, EXPRESSION_CVV);
    expect_filled(body, "a\"\\\n\x01/\xc3\xa9",
                  " {\"x\" : 1.50,\"card\":{\"number\":\"a\\\"\\\\\\u000a\\u0001/\xc3\xa9"
                  "\", \"expiry\" :\"a\\\"\\\\\\u000a\\u0001/\xc3\xa9\",\"security_code\":\""
                  "a\\\"\\\\\\u000a\\u0001/\xc3\xa9\"}, \"list\":[0,{\"a/b~c\":\""
                  "a\\\"\\\\\\u000a\\u0001/\xc3\xa9\"}]}\n");
}

Test(slots, reads_escaped_json_strings_and_names)
{
    expect_slots(JSON, "{\"card\":{\"number\":\"\\u0074ok_4pXkQ2mZ81cVb7Nn0aLsT5uYw3\"}}", 1);
    cr_expect_str_eq(slots.list[0].expression.token, TOKEN);
    expect_slots("application/vnd.api+json; charset=\"utf-8\"",
                 "{\"c\\u0061rd\":{\"number\":\"" TOKEN "\"}}", 1);
}

Test(slots, refuses_a_second_field_of_the_same_name)
{
    expect_problem(FORM, CARD "[number]=" TOKEN "&payment_method_data%5Bcard%5D[number]=" TOKEN,
                   PROBLEM_INVALID_FIELD, CARD "[number]");
    expect_problem(FORM, CARD "[exp_month]=1&" CARD "[exp_month]=2", PROBLEM_INVALID_FIELD,
                   CARD "[exp_month]");
    expect_problem(JSON, "{\"card\":{\"number\":\"" TOKEN "\",\"n\\u0075mber\":\"" TOKEN "\"}}",
                   PROBLEM_INVALID_JSON, "");
    expect_problem(JSON, "{\"card\":{},\"card\":{}}", PROBLEM_INVALID_JSON, "");
}

Test(slots, refuses_json_that_is_none)
{
    static const char *const bodies[] = {"{",          "{}x",  "\"\xff\"",       "{\"a\":01}",
                                         "{'a':1}",    "[1,]", "\xef\xbb\xbf{}", "{\"a\":\"\x01\"}",
                                         "\"\\ud800\""};
    for (unsigned i = 0; i < sizeof bodies / sizeof *bodies; i++)
        expect_problem(JSON, bodies[i], PROBLEM_INVALID_JSON, "");
}

Test(slots, refuses_broken_percent_encoding)
{
    expect_problem(FORM, "a%=1", PROBLEM_INVALID_FIELD, "");
    expect_problem(FORM, "a=%4", PROBLEM_INVALID_FIELD, "a");
    expect_problem(FORM, CARD "[number]=%zz", PROBLEM_INVALID_FIELD, CARD "[number]");
}

Test(slots, refuses_card_data_where_tokens_belong)
{
    char body[256];
    static const char *const spellings[] = {"4242424242424242",    "4242 4242 4242 4242",
                                            "4242-4242-4242-4242", "x 4242424242424242",
                                            "%34242424242424242",  "4000056655665556"};
    for (unsigned i = 0; i < sizeof spellings / sizeof *spellings; i++) {
        snprintf(body, sizeof body, CARD "[number]=%s", spellings[i]);
        expect_problem(FORM, body, PROBLEM_CARD_IN_FREE_TEXT, CARD "[number]");
        snprintf(body, sizeof body, "holder=%s", spellings[i]);
        expect_problem(FORM, body, PROBLEM_CARD_IN_FREE_TEXT, "holder");
    }
    snprintf(body, sizeof body, "{\"card\":{\"number\":\"%s\"}}", pan);
    expect_problem(JSON, body, PROBLEM_CARD_IN_FREE_TEXT, "/card/number");
    snprintf(body, sizeof body, "{\"card\":{\"number\":%s}}", pan);
    expect_problem(JSON, body, PROBLEM_CARD_IN_FREE_TEXT, "/card/number");
    expect_problem(FORM, CARD "[cvc]=123", PROBLEM_CARD_IN_FREE_TEXT, CARD "[cvc]");
    expect_problem(FORM, CARD "[cvc]=%31234", PROBLEM_CARD_IN_FREE_TEXT, CARD "[cvc]");
    expect_problem(JSON, "{\"card\":{\"security_code\":\"123\"}}", PROBLEM_CARD_IN_FREE_TEXT,
                   "/card/security_code");
    expect_problem(JSON, "{\"card\":{\"security_code\":123}}", PROBLEM_CARD_IN_FREE_TEXT,
                   "/card/security_code");
}

Test(slots, refuses_a_card_number_of_twelve_digits)
{
    /* From the never-assigned range 9999; the check digit is found here. */
    char body[64];
    unsigned refused = 0;
    for (unsigned i = 0; i < 10; i++) {
        snprintf(body, sizeof body, CARD "[number]=99990000000%u", i);
        if (find_in(FORM, body, strlen(body)) != WHY_NONE) {
            cr_expect_eq(problem.code, PROBLEM_CARD_IN_FREE_TEXT);
            refused++;
        }
    }
    cr_expect_eq(refused, 1);
}

Test(slots, takes_a_card_shaped_token)
{
    expect_slots(FORM, CARD "[number]=4242424242424241", 1);
    expect_slots(JSON, "{\"card\":{\"number\":\"4242424242424241\"}}", 1);
    expect_problem(JSON, "{\"card\":{\"number\":4242424242424241}}", PROBLEM_INVALID_EXPRESSION,
                   "/card/number");
}

Test(slots, lets_dates_names_and_nulls_stand)
{
    expect_slots(FORM, CARD "[exp_month]=12&holder=A.+Example", 0);
    expect_slots(FORM, CARD "[exp_month]=&holder=", 0);
    expect_slots(JSON, "{\"card\":{\"expiry\":\"12 / 2031\"},\"name\":\"J. Stock_er\"}", 0);
    expect_slots(JSON, "{\"card\":{\"expiry\":12,\"number\":null},\"name\":null}", 0);
    expect_slots(JSON, "{\"card\":[],\"list\":[1]}", 0);
}

Test(slots, refuses_what_is_not_understood_in_a_slot)
{
    static const char *const values[] = {"",
                                         "abc",
                                         "tok_short",
                                         "{{" TOKEN,
                                         TOKEN "+",
                                         "%257B%257B" TOKEN "%257D%257D",
                                         "{{" TOKEN ".pan}}",
                                         CODE};
    char body[256];
    for (unsigned i = 0; i < sizeof values / sizeof *values; i++) {
        snprintf(body, sizeof body, CARD "[number]=%s", values[i]);
        expect_problem(FORM, body, PROBLEM_INVALID_EXPRESSION, CARD "[number]");
    }
    expect_problem(FORM, CARD "[exp_month]=May", PROBLEM_INVALID_EXPRESSION, CARD "[exp_month]");
    expect_problem(FORM, CARD "[cvc]=12", PROBLEM_INVALID_EXPRESSION, CARD "[cvc]");
    expect_problem(FORM, "holder=tok_short", PROBLEM_INVALID_EXPRESSION, "holder");
    expect_problem(FORM, "holder=x+%257B%257Bx", PROBLEM_INVALID_EXPRESSION, "holder");
    expect_problem(FORM, "holder=x+" TOKEN, PROBLEM_INVALID_EXPRESSION, "holder");
    expect_problem(JSON, "{\"name\":true}", PROBLEM_INVALID_EXPRESSION, "/name");
    expect_problem(JSON, "{\"name\":1}", PROBLEM_INVALID_EXPRESSION, "/name");
    expect_problem(JSON, "{\"card\":{\"number\":{\"x\":\"" TOKEN "\"}}}",
                   PROBLEM_INVALID_EXPRESSION, "/card/number");
    expect_problem(JSON, "{\"card\":{\"number\":\"" TOKEN "\\u0000\"}}", PROBLEM_INVALID_EXPRESSION,
                   "/card/number");
}

Test(slots, lets_no_slot_take_another_kind_of_value)
{
    expect_problem(FORM, "holder={{" TOKEN ".number}}", PROBLEM_INVALID_EXPRESSION, "holder");
    expect_problem(FORM, "holder={{" CODE ".cvv}}", PROBLEM_INVALID_EXPRESSION, "holder");
    expect_problem(FORM, CARD "[number]={{" CODE ".cvv}}", PROBLEM_INVALID_EXPRESSION,
                   CARD "[number]");
    expect_slots(FORM, CARD "[exp_month]={{" TOKEN ".exp_year|yy}}", 1);
}

Test(slots, refuses_tokens_outside_slots)
{
    expect_problem(FORM, "description=" TOKEN, PROBLEM_TOKEN_OUTSIDE_SLOT, "description");
    expect_problem(FORM, "description=paid+with+" CODE "!", PROBLEM_TOKEN_OUTSIDE_SLOT,
                   "description");
    expect_problem(FORM, "a={{x}}", PROBLEM_TOKEN_OUTSIDE_SLOT, "a");
    expect_problem(FORM, TOKEN "=1", PROBLEM_TOKEN_OUTSIDE_SLOT, "");
    expect_problem(FORM, " " CARD "[number]=" TOKEN, PROBLEM_TOKEN_OUTSIDE_SLOT,
                   " " CARD "[number]");
    expect_problem(FORM, CARD "[number]%00=" TOKEN, PROBLEM_TOKEN_OUTSIDE_SLOT, CARD "[number]?");
    expect_problem(FORM, "a=1;" CARD "[number]=" TOKEN, PROBLEM_TOKEN_OUTSIDE_SLOT, "a");
    expect_problem(JSON, "{\"a\":[1,{\"b/c\":\"" TOKEN "\"}]}", PROBLEM_TOKEN_OUTSIDE_SLOT,
                   "/a/1/b~1c");
    expect_problem(JSON, "{\"a\":{\"" TOKEN "\":1}}", PROBLEM_TOKEN_OUTSIDE_SLOT, "/a");
    expect_problem(JSON, "\"" TOKEN "\"", PROBLEM_TOKEN_OUTSIDE_SLOT, "");
    expect_problem(JSON, "{\"list\":[{\"a/b~c\":\"" TOKEN "\"}]}", PROBLEM_TOKEN_OUTSIDE_SLOT,
                   "/list/0/a~1b~0c");
}

Test(slots, finds_tokens_under_any_escapes)
{
    static const char *const hidden[] = {"%74ok_4pXkQ2mZ81cVb7Nn0aLsT5uYw3",
                                         "%2574ok_4pXkQ2mZ81cVb7Nn0aLsT5uYw3",
                                         "%252574ok%25255F4pXkQ2mZ81cVb7Nn0aLsT5uYw3",
                                         "&#116;ok_4pXkQ2mZ81cVb7Nn0aLsT5uYw3",
                                         "\\u0074ok_4pXkQ2mZ81cVb7Nn0aLsT5uYw3",
                                         "\xef\xbd\x94ok_4pXkQ2mZ81cVb7Nn0aLsT5uYw3",
                                         "\xc1\xb4ok_4pXkQ2mZ81cVb7Nn0aLsT5uYw3",
                                         "\\x74ok\\u005f4pXkQ2mZ81cVb7Nn0aLsT5uYw3",
                                         "%5Cu0074ok_4pXkQ2mZ81cVb7Nn0aLsT5uYw3",
                                         "%7b%7b",
                                         "%257B{",
                                         "&amp;#123;{",
                                         "\xef\xbd\x9b\xef\xbd\x9b"};
    for (unsigned i = 0; i < sizeof hidden / sizeof *hidden; i++) {
        const struct slots_request target = {.target = hidden[i]};
        cr_expect_eq(slots_find(&profile, &target, &slots, &problem).why, WHY_BAD_INPUT, "%s",
                     hidden[i]);
        cr_expect_eq(problem.code, PROBLEM_TOKEN_OUTSIDE_SLOT);
        cr_expect_str_eq(problem.field, "");
        const char *headers[] = {"X-Note", hidden[i], NULL};
        const struct slots_request header = {.target = "/", .headers = headers};
        cr_expect_eq(slots_find(&profile, &header, &slots, &problem).why, WHY_BAD_INPUT, "%s",
                     hidden[i]);
        cr_expect_eq(problem.code, PROBLEM_TOKEN_OUTSIDE_SLOT);
        cr_expect_eq(find_in("text/plain", hidden[i], strlen(hidden[i])), WHY_BAD_INPUT);
        cr_expect_eq(problem.code, PROBLEM_UNSUPPORTED_MEDIA_TYPE);
    }
    expect_problem(FORM, "a=%2574ok_4pXkQ2mZ81cVb7Nn0aLsT5uYw3", PROBLEM_TOKEN_OUTSIDE_SLOT, "a");
    expect_problem(JSON, "{\"a\":\"\\u0074ok_4pXkQ2mZ81cVb7Nn0aLsT5uYw3\"}",
                   PROBLEM_TOKEN_OUTSIDE_SLOT, "/a");
    expect_problem(JSON, "{\"a\":\"\\\\u0074ok_4pXkQ2mZ81cVb7Nn0aLsT5uYw3\"}",
                   PROBLEM_TOKEN_OUTSIDE_SLOT, "/a");
}

Test(slots, takes_bottomless_escapes_for_hiding)
{
    char target[64] = "/%";
    for (unsigned i = 0; i < 20; i++)
        snprintf(target + strlen(target), sizeof target - strlen(target), "25");
    const struct slots_request request = {.target = target};
    cr_expect_eq(slots_find(&profile, &request, &slots, &problem).why, WHY_BAD_INPUT);
    cr_expect_eq(problem.code, PROBLEM_TOKEN_OUTSIDE_SLOT);
}

Test(slots, lets_pass_what_only_resembles_a_token)
{
    const char *headers[] = {"Idempotency-Key", UUID, "Stripe-Account", "acct_1a2b", NULL};
    static const char link[] = "return_url=https%3A%2F%2Fx.example%2F%3Fu%3Dhttps%253A%252F%252Fy";
    const struct slots_request request = {
        .target = "/v1/payment_intents/pi_3MtwBwLkdIwHu7ix28a3tqPa?expand%5B%5D=latest_charge",
        .headers = headers,
        .content_type = FORM,
        .body = (const uint8_t *)link,
        .body_size = strlen(link)};
    cr_expect_eq(slots_find(&profile, &request, &slots, &problem).why, WHY_NONE);
    cr_expect_eq(slots.count, 0);
    expect_slots(JSON, "{\"id\":\"" UUID "\",\"a\":{\"b\":{}},\"source\":\"tok_visa\"}", 0);
    expect_slots(NULL, "", 0);
}

Test(slots, passes_other_content_types_only_without_tokens)
{
    static const char *const types[] = {NULL,
                                        "text/xml",
                                        "multipart/form-data; boundary=x",
                                        JSON "; charset=utf-16",
                                        FORM "; charset=utf-7",
                                        JSON "; charset=utf-8; charset=utf-16",
                                        JSON "; charset=utf-8x",
                                        "application/jsonp"};
    for (unsigned i = 0; i < sizeof types / sizeof *types; i++) {
        expect_problem(types[i], "<number>" TOKEN "</number>", PROBLEM_UNSUPPORTED_MEDIA_TYPE, "");
        expect_slots(types[i], "<number>no token</number>", 0);
    }
    static const uint8_t wide[] =
        "t\0o\0k\0_\0a\0a\0a\0a\0a\0a\0a\0a\0a\0a\0a\0a\0a\0a\0a\0a\0a\0a\0a\0a";
    cr_expect_eq(find_in("text/plain; charset=utf-16", wide, sizeof wide), WHY_BAD_INPUT);
}

Test(slots, fills_nothing_in_a_body_that_says_it_is_packed)
{
    static const char text[] = CARD "[number]=" TOKEN;
    struct slots_request request = {.target = "/v1/payment_intents",
                                    .content_type = FORM,
                                    .content_encoding = "gzip",
                                    .body = (const uint8_t *)text,
                                    .body_size = sizeof text - 1};
    cr_expect_eq(slots_find(&profile, &request, &slots, &problem).why, WHY_BAD_INPUT);
    cr_expect_eq(problem.code, PROBLEM_UNSUPPORTED_MEDIA_TYPE);
    request.content_encoding = "Identity";
    cr_expect_eq(slots_find(&profile, &request, &slots, &problem).why, WHY_NONE);
    cr_expect_eq(slots.count, 1);
}

Test(slots, refuses_tokens_for_a_gateway_that_takes_none)
{
    profile.form_count = 0;
    profile.json_count = 0;
    expect_problem(FORM, CARD "[number]=" TOKEN, PROBLEM_TOKEN_OUTSIDE_SLOT, CARD "[number]");
    expect_problem(JSON, "{\"card\":{\"number\":\"" TOKEN "\"}}", PROBLEM_TOKEN_OUTSIDE_SLOT,
                   "/card/number");
    expect_problem("text/xml", TOKEN, PROBLEM_TOKEN_OUTSIDE_SLOT, "");
}

Test(slots, repeats_no_card_and_no_token_in_a_problem)
{
    char body[256];
    snprintf(body, sizeof body, "x%s=" TOKEN, pan);
    cr_expect_eq(find_in(FORM, body, strlen(body)), WHY_BAD_INPUT);
    cr_expect_null(strstr(problem.field, pan));
    snprintf(body, sizeof body, "{\"%s\":{\"k\":\"" TOKEN "\"}}", pan);
    cr_expect_eq(find_in(JSON, body, strlen(body)), WHY_BAD_INPUT);
    cr_expect_null(strstr(problem.field, pan));
    char name[400];
    memset(name, 'n', sizeof name);
    snprintf(name + 300, sizeof name - 300, "=%s", TOKEN);
    cr_expect_eq(find_in(FORM, name, strlen(name)), WHY_BAD_INPUT);
    cr_expect_eq(strlen(problem.field), sizeof problem.field - 1);
}

Test(slots, moves_no_slot_when_any_byte_of_a_request_flips)
{
    static const char body[] = "a=1&" CARD "[number]=" TOKEN "&b=2";
    char flipped[sizeof body];
    for (size_t bit = 0; bit < 8 * (sizeof body - 1); bit++) {
        memcpy(flipped, body, sizeof body);
        flipped[bit / 8] = (char)(flipped[bit / 8] ^ (1 << (bit % 8)));
        if (find_in(FORM, flipped, sizeof body - 1) != WHY_NONE)
            continue;
        /* Whatever still passes has its slot behind the declared name, or has none. */
        for (unsigned i = 0; i < slots.count; i++)
            cr_expect_eq(slots.list[i].start, strlen("a=1&" CARD "[number]="), "bit %zu", bit);
    }
}

Test(slots, says_when_the_filled_body_is_too_large)
{
    static const char body[] = CARD "[number]=" TOKEN;
    OWNED(secret_free) struct secret *secret = NULL;
    OWNED(buffer_free) struct buffer out = BUFFER(sizeof CARD "[number]=" + 3);

    expect_slots(FORM, body, 1);
    cr_assert(!failed(secret_new(16, &secret)));
    const struct secret *values[] = {secret};
    cr_expect_eq(slots_fill(&slots, values, (const uint8_t *)body, strlen(body), &out).why,
                 WHY_LIMIT);
}
