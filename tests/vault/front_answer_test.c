/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/front_answer.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/own.h"
#include "vault/brand.h"

#define VISA "4242424242424242"

static struct buffer body;

static void body_begin(void)
{
    body = BUFFER(1u << 20);
}

static void body_end(void)
{
    buffer_free(&body);
}

TestSuite(front_answer, .init = body_begin, .fini = body_end);

static struct frame frame_of(enum message_type type)
{
    cr_assert(!failed(buffer_status(&body)));
    return (struct frame){.type = (uint8_t)type, .body = body.bytes, .size = (uint32_t)body.size};
}

static const struct route to_tokenize = {.type = MESSAGE_TOKENIZE};
static const struct route to_show = {.type = MESSAGE_SHOW};
static const struct route to_erase = {.type = MESSAGE_ERASE};
static const struct route to_lease = {.type = MESSAGE_LEASE};
static const struct route to_settle = {.type = MESSAGE_SETTLE};
static const struct route to_read = {.type = MESSAGE_AUDIT_READ};

static void expect(const struct route *route, enum message_type type, int status, const char *text)
{
    struct front_answer answer OWNED(front_answer_clear) = {0};
    struct frame frame = frame_of(type);

    cr_assert(!failed(front_answer_read(route, &frame, &answer)));
    cr_expect_eq(answer.status, status);
    cr_expect_str_eq(buffer_text(&answer.body), text);
}

static void expect_forged(const struct route *route, enum message_type type)
{
    struct front_answer answer OWNED(front_answer_clear) = {0};
    struct frame frame = frame_of(type);

    cr_expect_eq(front_answer_read(route, &frame, &answer).why, WHY_FORGED);
}

/* No front half of an answer is taken for one, nor one with more behind it. */
static void expect_whole_or_nothing(const struct route *route, enum message_type type)
{
    size_t whole = body.size;

    for (size_t size = 0; size < whole; size++) {
        body.size = size;
        expect_forged(route, type);
    }
    body.size = whole;
    buffer_add_u8(&body, 0);
    expect_forged(route, type);
}

static void add_view(bool replayed)
{
    struct view view = {.token = "tok_1",
                        .brand = brand_number(brand_find((const uint8_t *)VISA, 16)),
                        .length = 16,
                        .bin = "424242",
                        .last4 = "4242",
                        .exp_month = 12,
                        .exp_year = 2031,
                        .created_ms = 1795420800000};

    buffer_add_u8(&body, replayed);
    view_encode(&view, &body);
}

#define VIEW_TEXT                                                                                  \
    "{\"token\":\"tok_1\",\"type\":\"card\",\"brand\":\"visa\",\"bin\":\"424242\","                \
    "\"last4\":\"4242\",\"length\":16,\"exp_month\":12,\"exp_year\":2031,\"format\":\"opaque\","   \
    "\"single_use\":false,\"expires_at\":null,\"created_at\":\"2026-11-23T08:00:00.000Z\","        \
    "\"metadata\":{}}"

Test(front_answer, a_new_token_is_201_and_one_shown_is_200)
{
    add_view(false);
    expect(&to_tokenize, MESSAGE_VIEW, 201, VIEW_TEXT);
    expect(&to_show, MESSAGE_VIEW, 200, VIEW_TEXT);
    expect_whole_or_nothing(&to_show, MESSAGE_VIEW);
}

Test(front_answer, a_replay_is_marked)
{
    struct front_answer answer OWNED(front_answer_clear) = {0};

    add_view(true);
    struct frame frame = frame_of(MESSAGE_VIEW);
    cr_assert(!failed(front_answer_read(&to_tokenize, &frame, &answer)));
    cr_expect(answer.replayed);
}

static void add_problem(enum problem_code code, const char *field)
{
    struct problem problem;

    problem_set(&problem, code, field, NULL);
    buffer_add_u8(&body, 0);
    problem_encode(&problem, &body);
}

Test(front_answer, a_lease_is_written_with_its_cards_and_codes)
{
    const struct message_lent_card card = {.token = "tok_1",
                                           .number = (const uint8_t *)VISA,
                                           .number_size = 16,
                                           .exp_month = 1,
                                           .exp_year = 2031,
                                           .name = (const uint8_t *)"A \"B\"",
                                           .name_size = 5};

    buffer_add_u16(&body, 3);
    buffer_add_u8(&body, 1);
    buffer_add_counted(&body, "lse_1");
    buffer_add_u64(&body, 1795420800000);
    buffer_add_u8(&body, 1);
    message_lent_card_encode(&card, &body);
    buffer_add_u8(&body, 1);
    buffer_add_counted(&body, "cvv_1");
    message_bytes_encode("123", 3, &body);
    add_problem(PROBLEM_ERASED, "/tokens/0");
    add_problem(PROBLEM_DENIED, "/leases/2/tokens/1");
    expect(&to_lease, MESSAGE_LEASES, 200,
           "{\"results\":[{\"lease_id\":\"lse_1\",\"expires_at\":\"2026-11-23T08:00:00.000Z\","
           "\"cards\":[{\"token\":\"tok_1\",\"number\":\"" VISA "\",\"exp_month\":1,"
           "\"exp_year\":2031,\"cardholder_name\":\"A \\\"B\\\"\"}],"
           "\"cvvs\":[{\"token\":\"cvv_1\",\"value\":\"123\"}]},"
           "{\"type\":\"urn:cardkeep:error:erased\",\"title\":\"The token was erased.\","
           "\"status\":410,\"code\":\"erased\",\"field\":\"/leases/1/tokens/0\"},"
           "{\"type\":\"urn:cardkeep:error:denied\",\"title\":\"A policy does not allow this.\","
           "\"status\":403,\"code\":\"denied\",\"field\":\"/leases/2/tokens/1\"}]}");
    expect_whole_or_nothing(&to_lease, MESSAGE_LEASES);
}

Test(front_answer, results_come_in_order_with_pointers_into_the_request)
{
    buffer_add_u8(&body, 0);
    buffer_add_u16(&body, 2);
    add_problem(PROBLEM_DENIED, "");
    add_problem(PROBLEM_INVALID_NUMBER, "/number");
    expect(&to_tokenize, MESSAGE_VIEWS, 200,
           "{\"results\":[{\"type\":\"urn:cardkeep:error:denied\",\"title\":\"A policy does not "
           "allow this.\",\"status\":403,\"code\":\"denied\",\"field\":\"/cards/0\"},"
           "{\"type\":\"urn:cardkeep:error:invalid_number\",\"title\":\"The card number is not "
           "valid.\",\"status\":422,\"code\":\"invalid_number\",\"field\":\"/cards/1/number\"}]}");
    expect_whole_or_nothing(&to_tokenize, MESSAGE_VIEWS);
}

Test(front_answer, a_settled_lease_says_so)
{
    buffer_add_u16(&body, 1);
    buffer_add_u8(&body, 1);
    buffer_add_counted(&body, "lse_1");
    expect(&to_settle, MESSAGE_SETTLED, 200,
           "{\"results\":[{\"lease_id\":\"lse_1\",\"state\":\"settled\"}]}");
    expect_whole_or_nothing(&to_settle, MESSAGE_SETTLED);
}

Test(front_answer, an_erased_token_is_204_without_a_body)
{
    struct front_answer answer OWNED(front_answer_clear) = {0};
    struct frame frame = frame_of(MESSAGE_EMPTY);

    cr_assert(!failed(front_answer_read(&to_erase, &frame, &answer)));
    cr_expect_eq(answer.status, 204);
    cr_expect_null(answer.content_type);
}

Test(front_answer, text_keeps_its_type)
{
    struct front_answer answer OWNED(front_answer_clear) = {0};

    buffer_add_u16(&body, 202);
    buffer_add_counted(&body, "text/plain");
    buffer_add_text(&body, "a\nb");
    struct frame frame = frame_of(MESSAGE_TEXT);
    cr_assert(!failed(front_answer_read(&to_read, &frame, &answer)));
    cr_expect_eq(answer.status, 202);
    cr_expect_str_eq(answer.content_type, "text/plain");
    cr_expect_str_eq(buffer_text(&answer.body), "a\nb");
}

Test(front_answer, a_text_is_an_answer_of_success_and_no_other)
{
    struct front_answer answer OWNED(front_answer_clear) = {0};

    buffer_add_u16(&body, 300);
    buffer_add_counted(&body, "text/plain");
    struct frame frame = frame_of(MESSAGE_TEXT);
    cr_expect_eq(front_answer_read(&to_read, &frame, &answer).why, WHY_FORGED);
}

Test(front_answer, a_problem_answers_any_request)
{
    struct front_answer answer OWNED(front_answer_clear) = {0};
    struct problem problem;

    problem_set(&problem, PROBLEM_ERASED, "/number", "A sentence.");
    problem_encode(&problem, &body);
    struct frame frame = frame_of(MESSAGE_PROBLEM);
    cr_assert(!failed(front_answer_read(&to_read, &frame, &answer)));
    cr_assert(answer.is_problem);
    cr_expect_eq(answer.problem.code, PROBLEM_ERASED);
    cr_expect_str_eq(answer.problem.field, "/number");
    cr_expect_str_eq(answer.problem.detail, "A sentence.");
    expect_whole_or_nothing(&to_read, MESSAGE_PROBLEM);
}

Test(front_answer, an_answer_to_another_kind_of_request_is_none)
{
    add_view(false);
    expect_forged(&to_lease, MESSAGE_VIEW);
    expect_forged(&to_erase, MESSAGE_VIEW);
    expect_forged(&to_show, MESSAGE_TOKENIZE);
    expect_forged(&to_show, MESSAGE_STATE);
    expect_forged(&to_show, (enum message_type)255);
}
