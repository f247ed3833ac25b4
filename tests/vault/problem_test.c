/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/problem.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/own.h"

static const struct problem full = {
    .code = PROBLEM_INVALID_NUMBER,
    .field = "/cards/3/number",
    .detail = "It has 11 digits; 12 to 19 are accepted.",
    .rule = "shop-may-not",
};

static void expect_same(const struct problem *a, const struct problem *b)
{
    cr_expect_eq(a->code, b->code);
    cr_expect_str_eq(a->field, b->field);
    cr_expect_str_eq(a->detail, b->detail);
    cr_expect_str_eq(a->rule, b->rule);
}

#define EXPECT_ROW(id, http_status, name, text)                                                    \
    cr_expect_eq(problem_status(PROBLEM_##id), http_status);                                       \
    cr_expect_str_eq(problem_name(PROBLEM_##id), name);                                            \
    cr_expect_str_eq(problem_title(PROBLEM_##id), text);

Test(problem, has_the_contracts_words_for_every_code){CONTRACT_PROBLEMS(EXPECT_ROW)}

Test(problem, names_each_code_once)
{
    for (unsigned a = 0; a < PROBLEM_COUNT; a++) {
        for (unsigned b = 0; b < a; b++)
            cr_expect_str_neq(problem_name((enum problem_code)a),
                              problem_name((enum problem_code)b));
    }
}

Test(problem, is_set_whole_and_forgets_what_it_was)
{
    struct problem problem = full;

    problem_set(&problem, PROBLEM_ERASED, NULL, NULL);
    expect_same(&problem, &(struct problem){.code = PROBLEM_ERASED});
    problem_set(&problem, PROBLEM_INVALID_CVV, "/cvv", "It must be 3 or 4 digits.");
    cr_expect_str_eq(problem.field, "/cvv");
    cr_expect_str_eq(problem.detail, "It must be 3 or 4 digits.");
}

Test(problem, cuts_texts_that_are_too_long)
{
    struct problem problem;
    char text[400];

    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    problem_set(&problem, PROBLEM_DENIED, text, text);
    cr_expect_eq(strlen(problem.field), sizeof problem.field - 1);
    cr_expect_eq(strlen(problem.detail), sizeof problem.detail - 1);
}

Test(problem, answers_for_every_failure_of_ours)
{
    static const enum problem_code wanted[WHY_COUNT] = {
        [WHY_NONE] = PROBLEM_NONE,
        [WHY_BAD_INPUT] = PROBLEM_INVALID_FIELD,
        [WHY_DENIED] = PROBLEM_DENIED,
        [WHY_NOT_FOUND] = PROBLEM_NOT_FOUND,
        [WHY_CONFLICT] = PROBLEM_STATE_CONFLICT,
        [WHY_LIMIT] = PROBLEM_TOO_LARGE,
        [WHY_BUSY] = PROBLEM_BUSY,
        [WHY_TIMEOUT] = PROBLEM_BUSY,
        [WHY_FORGED] = PROBLEM_STORE_UNAVAILABLE,
        [WHY_IO] = PROBLEM_STORE_UNAVAILABLE,
        [WHY_NO_MEMORY] = PROBLEM_BUSY,
    };

    for (unsigned why = 0; why < WHY_COUNT; why++)
        cr_expect_eq(problem_of((struct status){.why = (enum why)why}), wanted[why], "why %u", why);
}

Test(problem, travels_whole_with_every_code)
{
    for (unsigned code = 0; code < PROBLEM_COUNT; code++) {
        struct buffer out OWNED(buffer_free) = BUFFER(1024);
        struct problem sent = full;
        struct problem got;
        sent.code = (enum problem_code)code;
        problem_encode(&sent, &out);
        struct cursor in = cursor_over(out.bytes, out.size);
        problem_decode(&in, &got);
        cr_expect(cursor_done(&in));
        expect_same(&got, &sent);
    }
}

Test(problem, is_refused_where_its_code_is_none_of_the_contract)
{
    for (unsigned code = PROBLEM_COUNT; code <= UINT8_MAX; code++) {
        const uint8_t body[] = {(uint8_t)code, 0, 0, 0, 0, 0, 0};
        struct cursor in = cursor_over(body, sizeof body);
        struct problem got = full;
        problem_decode(&in, &got);
        cr_expect(in.bad, "code %u", code);
        cr_expect_eq(got.code, PROBLEM_NONE);
    }
}

Test(problem, is_refused_where_it_is_cut_short)
{
    struct buffer out OWNED(buffer_free) = BUFFER(1024);

    problem_encode(&full, &out);
    for (size_t size = 0; size < out.size; size++) {
        struct cursor in = cursor_over(out.bytes, size);
        struct problem got;
        problem_decode(&in, &got);
        cr_expect(in.bad, "%zu of %zu bytes", size, out.size);
    }
}

Test(problem, is_refused_where_a_text_does_not_fit)
{
    struct buffer out OWNED(buffer_free) = BUFFER(1024);
    struct problem got;
    char text[sizeof got.field + 1];

    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    buffer_add_u8(&out, PROBLEM_DENIED);
    buffer_add_counted(&out, text);
    buffer_add_counted(&out, "");
    buffer_add_counted(&out, "");
    struct cursor in = cursor_over(out.bytes, out.size);
    problem_decode(&in, &got);
    cr_expect(in.bad);
}

Test(problem, as_http_has_no_field_where_there_is_nothing_to_say)
{
    struct http_problem http = problem_http(&full);
    cr_expect_eq(http.status, 422);
    cr_expect_str_eq(http.code, "invalid_number");
    cr_expect_str_eq(http.title, "The card number is not valid.");
    cr_expect_eq(http.field, full.field, "its texts are lent");
    cr_expect_eq(http.detail, full.detail);
    cr_expect_eq(http.rule, full.rule);

    struct problem bare = {.code = PROBLEM_BUSY};
    http = problem_http(&bare);
    cr_expect_eq(http.status, 503);
    cr_expect_null(http.field);
    cr_expect_null(http.detail);
    cr_expect_null(http.rule);
}
