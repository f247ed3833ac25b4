/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/own.h"
#include "base/redact.h"
#include "base/secret.h"
#include "relay/expression.h"

#define TOKEN "tok_4pXkQ2mZ81cVb7Nn0aLsT5uYw3"
#define CODE  "cvv_9sQmB6vCx2ZaLk8JhGf4DdS1aQ"
#define UUID  "0f8fad5b-d9cb-469f-a165-70867728950e"

static const char pan[] = "4242424242424242"; /* A published test number. */
static struct secret *number;
static struct secret *cvv;
static struct secret *name;
static struct expression_card card;

static struct secret *secret_of(const char *text)
{
    struct secret *secret = NULL;
    cr_assert(!failed(secret_new(strlen(text), &secret)));
    memcpy(secret_bytes(secret), text, strlen(text));
    return secret;
}

static void make_card(void)
{
    cr_assert(sodium_init() >= 0);
    cr_assert(!failed(secret_pool_open(16)));
    number = secret_of(pan);
    cvv = secret_of("737");
    name = secret_of("A. Exampl\xc3\xa9");
    card = (struct expression_card){number, cvv, name, 3, 2031};
}

static void free_card(void)
{
    secret_free(&number);
    secret_free(&cvv);
    secret_free(&name);
    cr_expect_eq(secret_pool_free_count(), 16, "nothing made is kept");
    secret_pool_close();
}

TestSuite(expression, .init = make_card, .fini = free_card);

static enum why parse(const char *text, const char *takes, struct expression *out)
{
    struct expression_default def;
    cr_assert(!failed(expression_parse_default(takes, &def)), "%s", takes);
    return expression_parse(text, strlen(text), &def, out).why;
}

/* What `text` makes in a slot that takes `takes`. */
static void expect_made(const char *text, const char *takes, const char *expected)
{
    struct expression expression;
    OWNED(secret_free) struct secret *value = NULL;

    cr_assert_eq(parse(text, takes, &expression), WHY_NONE, "%s in %s", text, takes);
    cr_assert(!failed(expression_make(&expression, &card, &value)), "%s in %s", text, takes);
    cr_expect_eq(secret_size(value), strlen(expected), "%s in %s", text, takes);
    if (secret_size(value) == strlen(expected))
        cr_expect_arr_eq(secret_peek(value), expected, strlen(expected), "%s", text);
}

static void expect_refused(const char *text, const char *takes)
{
    struct expression expression = {.field = EXPRESSION_CVV, .token = "untouched"};

    cr_expect_eq(parse(text, takes, &expression), WHY_BAD_INPUT, "%s in %s", text, takes);
    cr_expect_str_eq(expression.token, "untouched");
}

Test(expression, takes_the_slots_meaning_for_a_bare_token)
{
    expect_made(TOKEN, "number", pan);
    expect_made(TOKEN, "exp | m", "3");
    expect_made(TOKEN, "exp | yyyy", "2031");
    expect_made(TOKEN, "cardholder_name | upper", "A. EXAMPL\xc3\xa9");
    expect_made(CODE, "cvv", "737");
    expect_made(UUID, "number", pan);
}

Test(expression, writes_every_shape_of_an_expiry)
{
    static const char *const shapes[][2] = {
        {"m", "3"},       {"mm", "03"},       {"yy", "31"},           {"yyyy", "2031"},
        {"mmyy", "0331"}, {"mm/yy", "03/31"}, {"mm/yyyy", "03/2031"}, {"yyyy-mm", "2031-03"},
        {"yymm", "3103"}};
    for (unsigned i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        char text[128];
        snprintf(text, sizeof text, "{{ " TOKEN ".exp | %s }}", shapes[i][0]);
        expect_made(text, "number", shapes[i][1]);
    }
    expect_made("{{" TOKEN ".exp_month}}", "number", "3");
    expect_made("{{" TOKEN ".exp_month|mm}}", "number", "03");
    expect_made("{{" TOKEN ".exp_year}}", "number", "2031");
    expect_made("{{" TOKEN ".exp_year|yy}}", "number", "31");
}

Test(expression, cuts_and_codes_a_number)
{
    expect_made("{{ " TOKEN ".number | last4 }}", "cvv", "4242");
    expect_made("{{ " TOKEN " | bin6 }}", "number", "424242");
    expect_made("{{ " TOKEN " | bin8 | base64 }}", "number", "NDI0MjQyNDI=");
    expect_made("{{ " CODE " | base64 }}", "cvv", "NzM3");
    expect_made("{{ " TOKEN " | upper | base64 }}", "cardholder_name", "QS4gRVhBTVBMw6k=");
}

Test(expression, keeps_the_slots_shape_for_the_slots_field)
{
    expect_made("{{ " TOKEN " }}", "exp | mm/yy", "03/31");
    expect_made("{{ " TOKEN ".exp }}", "exp | mm/yy", "03/31");
    expect_made("{{ " TOKEN ".exp | yy }}", "exp | mm/yy", "31");
    expect_made("{{ " TOKEN ".number }}", "exp | mm/yy", pan);
}

Test(expression, leaves_white_space_free)
{
    expect_made("{{" TOKEN ".exp|yymm}}", "number", "3103");
    expect_made("{{ \t" TOKEN " . exp \n|  yymm\t}}", "number", "3103");
}

Test(expression, refuses_what_it_does_not_understand)
{
    static const char *const texts[] = {"",
                                        "tok_",
                                        "tok_short",
                                        "{{",
                                        "}}",
                                        "{{}}",
                                        "{{ }}",
                                        "{",
                                        TOKEN " ",
                                        " " TOKEN,
                                        TOKEN "x!",
                                        "{{ " TOKEN,
                                        TOKEN " }}",
                                        "{{ " TOKEN " }} ",
                                        "x{{ " TOKEN " }}",
                                        "{{{ " TOKEN " }}}",
                                        "{{ " TOKEN "." TOKEN " }}",
                                        "{{ " TOKEN ".pan }}",
                                        "{{ " TOKEN ".number.number }}",
                                        "{{ " TOKEN ". }}",
                                        "{{ " TOKEN " | }}",
                                        "{{ " TOKEN " | shout }}",
                                        "{{ " TOKEN " || last4 }}",
                                        "{{ " TOKEN " | LAST4 }}",
                                        "{{ " TOKEN " | last4 | bin6 }}",
                                        "{{ " TOKEN " | base64 | last4 }}",
                                        "{{ " TOKEN " | yy }}",
                                        "{{ " TOKEN ".exp }}",
                                        "{{ " TOKEN ".exp | base64 }}",
                                        "{{ " TOKEN ".exp | mm | yy }}",
                                        "{{ " TOKEN ".exp_month | yy }}",
                                        "{{ " TOKEN ".cvv | last4 }}",
                                        "{{ " TOKEN " " TOKEN " }}",
                                        "{{ " TOKEN " | last4 | last4 | last4 | last4 | last4 }}",
                                        "{{ " CODE ".number }}",
                                        CODE,
                                        "4242424242424242",
                                        "{{ 4242424242424242 }}",
                                        "0f8fad5b-d9cb-469f-a165-70867728950",
                                        "tok_4pXkQ2mZ81cVb7Nn0aLsT5uYw3_"};
    for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++)
        expect_refused(texts[i], "number");
    expect_refused(CODE, "exp | m");
}

Test(expression, refuses_a_token_or_text_without_end)
{
    char text[1024];
    memset(text, 'a', sizeof text);
    memcpy(text, "tok_", 4);
    text[EXPRESSION_TOKEN_MAX] = '\0';
    cr_expect(expression_is_token(text, strlen(text)));
    text[EXPRESSION_TOKEN_MAX] = 'a';
    text[EXPRESSION_TOKEN_MAX + 1] = '\0';
    expect_refused(text, "number");
    memset(text, ' ', sizeof text);
    memcpy(text, "{{" TOKEN, 2 + strlen(TOKEN));
    memcpy(text + sizeof text - 3, "}}", 3);
    expect_refused(text, "number");
}

Test(expression, takes_digits_that_fail_the_check_digit_for_a_token)
{
    struct expression expression;
    char digits[] = "4242424242424241"; /* Published as an incorrect number. */

    cr_assert_eq(parse(digits, "number", &expression), WHY_NONE);
    cr_expect_str_eq(expression.token, digits);
    for (char c = '0'; c <= '9'; c++) {
        digits[15] = c;
        bool is_card = redact_luhn((const uint8_t *)digits, 16);
        cr_expect_eq(parse(digits, "number", &expression), is_card ? WHY_BAD_INPUT : WHY_NONE);
        cr_expect_eq(parse(digits, "exp | m", &expression), WHY_BAD_INPUT);
    }
    expect_refused("12345678901", "number");
}

Test(expression, refuses_defaults_that_say_nothing)
{
    static const char *const texts[] = {
        "",         "exp",          "pan",         "number | yy",
        "number |", "exp | base64", "cvv | upper", "number | last4 | bin6"};
    struct expression_default def;
    for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++)
        cr_expect_eq(expression_parse_default(texts[i], &def).why, WHY_BAD_INPUT, "%s", texts[i]);
}

Test(expression, says_what_a_card_lacks)
{
    struct expression expression;
    OWNED(secret_free) struct secret *value = NULL;
    const struct expression_card bare = {.number = number};

    cr_assert_eq(parse(CODE, "cvv", &expression), WHY_NONE);
    cr_expect_eq(expression_make(&expression, &bare, &value).why, WHY_NOT_FOUND);
    cr_assert_eq(parse(TOKEN, "cardholder_name", &expression), WHY_NONE);
    cr_expect_eq(expression_make(&expression, &bare, &value).why, WHY_NOT_FOUND);
    cr_assert_eq(parse(TOKEN, "exp | yy", &expression), WHY_NONE);
    cr_expect_eq(expression_make(&expression, &bare, &value).why, WHY_NOT_FOUND);
    cr_expect_null(value);
}

Test(expression, refuses_a_filter_that_does_not_fit)
{
    OWNED(secret_free) struct secret *value = NULL;
    struct expression expression = {.field = EXPRESSION_NUMBER, .filter_count = 1};

    expression.filters[0] = EXPRESSION_YY;
    cr_expect_eq(expression_make(&expression, &card, &value).why, WHY_BAD_INPUT);
    expression.filters[0] = EXPRESSION_LAST4;
    const struct expression_card short_card = {.number = cvv};
    cr_expect_eq(expression_make(&expression, &short_card, &value).why, WHY_BAD_INPUT);
    expression.field = EXPRESSION_EXP;
    expression.filters[0] = EXPRESSION_YY;
    struct expression_card late = card;
    late.exp_month = 13;
    cr_expect_eq(expression_make(&expression, &late, &value).why, WHY_BAD_INPUT);
    cr_expect_null(value);
}

Test(expression, says_busy_when_no_slot_is_left)
{
    struct secret *taken[16] = {NULL};
    struct secret *value = NULL;
    struct expression expression;
    unsigned count = 0;

    cr_assert_eq(parse(TOKEN, "number", &expression), WHY_NONE);
    while (secret_pool_free_count() > 0)
        cr_assert(!failed(secret_new(1, &taken[count++])));
    cr_expect_eq(expression_make(&expression, &card, &value).why, WHY_BUSY);
    while (count > 0)
        secret_free(&taken[--count]);
}

Test(expression, finds_tokens_anywhere_but_not_words_like_them)
{
    static const char *const yes[] = {TOKEN,
                                      CODE,
                                      "x" TOKEN "y",
                                      "a={{b",
                                      "{{",
                                      "tok_test_aaaaaaaaaaaaaaaaaaaa",
                                      "tok_tok_aaaaaaaaaaaaaaaaaaaa"};
    static const char *const no[] = {"",
                                     "{",
                                     "{ {",
                                     "tok_visa",
                                     "tok_test_short",
                                     UUID,
                                     "tok_aaaaaaaaaaaaaaaaaaa",
                                     "TOK_aaaaaaaaaaaaaaaaaaaaaaaa",
                                     "stock"};
    for (unsigned i = 0; i < sizeof yes / sizeof *yes; i++)
        cr_expect(expression_find_token(yes[i], strlen(yes[i])), "%s", yes[i]);
    for (unsigned i = 0; i < sizeof no / sizeof *no; i++)
        cr_expect(!expression_find_token(no[i], strlen(no[i])), "%s", no[i]);
}

Test(expression, knows_a_token_by_its_shape)
{
    cr_expect(expression_is_token(TOKEN, strlen(TOKEN)));
    cr_expect(expression_is_token("tok_test_4pXkQ2mZ81cVb7Nn0aLsT5uYw3", 35));
    cr_expect(expression_is_token(UUID, strlen(UUID)));
    cr_expect(!expression_is_token(UUID, strlen(UUID) - 1));
    for (size_t i = 0; i < strlen(TOKEN); i++) {
        char text[] = TOKEN;
        text[i] = '-';
        cr_expect(!expression_is_token(text, strlen(text)), "at %zu", i);
    }
}
