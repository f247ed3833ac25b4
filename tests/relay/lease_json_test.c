/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/lease_json.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/own.h"

#define PAN "4242424242424242" /* A published test number. */
#define LEASE                                                                                      \
    "{\"lease_id\":\"lea_1\",\"expires_at\":\"2026-11-23T08:00:00.000Z\",\"cards\":[{\"token\":"   \
    "\"tok_a\",\"number\":\"" PAN "\",\"exp_month\":12,\"exp_year\":2031,\"cardholder_name\":"     \
    "\"A. Ex\\u00e4mple\"}],\"cvvs\":[{\"token\":\"cvv_a\",\"value\":\"123\"}]}"
#define PROBLEM                                                                                    \
    "{\"type\":\"urn:cardkeep:error:cvv_lost\",\"title\":\"x\",\"status\":410,\"code\":"           \
    "\"cvv_lost\",\"detail\":\"Ask again.\"}"

static void pool_open(void)
{
    cr_assert(!failed(secret_pool_open(8)));
}

static void pool_close(void)
{
    cr_assert_eq(secret_pool_free_count(), 8u, "every slot came back");
    secret_pool_close();
}

TestSuite(lease_json, .init = pool_open, .fini = pool_close);

static struct status read_first(const char *body, unsigned count, struct lease *out_lease,
                                struct lease_refusal *out_refusal)
{
    struct lease_json answer OWNED(lease_json_close) = {0};
    TRY(lease_json_open(&answer, (const uint8_t *)body, strlen(body), count));
    return lease_json_next_lease(&answer, out_lease, out_refusal);
}

static bool holds(const struct secret *secret, const char *text)
{
    return secret_size(secret) == strlen(text) &&
           memcmp(secret_peek(secret), text, strlen(text)) == 0;
}

Test(lease_json, takes_cards_and_cvvs_into_secret_slots)
{
    struct lease lease OWNED(lease_clear) = {0};
    struct lease_refusal refusal = {0};

    cr_assert(!failed(read_first("{\"results\":[" LEASE "]}", 1, &lease, &refusal)));
    cr_assert_str_eq(lease.id, "lea_1");
    cr_assert_eq(lease.card_count, 1u);
    cr_assert_str_eq(lease.cards[0].token, "tok_a");
    cr_assert(holds(lease.cards[0].number, PAN));
    cr_assert(holds(lease.cards[0].cardholder_name, "A. Ex\xc3\xa4mple"));
    cr_assert_eq(lease.cards[0].exp_month, 12u);
    cr_assert_eq(lease.cards[0].exp_year, 2031u);
    cr_assert_eq(lease.cvv_count, 1u);
    cr_assert(holds(lease.cvvs[0].value, "123"));
}

Test(lease_json, gives_results_in_order_leases_and_problems_alike)
{
    static const char body[] = "{\"results\":[" PROBLEM "," LEASE "," PROBLEM "]}";
    struct lease_json answer OWNED(lease_json_close) = {0};
    struct lease lease OWNED(lease_clear) = {0};
    struct lease_refusal refusal = {0};

    cr_assert(!failed(lease_json_open(&answer, (const uint8_t *)body, strlen(body), 3)));
    cr_assert_eq(lease_json_next_lease(&answer, &lease, &refusal).why, WHY_DENIED);
    cr_assert_eq(refusal.code, PROBLEM_CVV_LOST);
    cr_assert_str_eq(refusal.detail, "Ask again.");
    cr_assert(!failed(lease_json_next_lease(&answer, &lease, &refusal)));
    cr_assert_eq(lease_json_next_lease(&answer, &lease, &refusal).why, WHY_DENIED);
}

Test(lease_json, takes_a_card_without_a_name)
{
    static const char body[] =
        "{\"results\":[{\"lease_id\":\"l\",\"cards\":[{\"token\":\"t\",\"number\":\"" PAN
        "\",\"exp_month\":1,\"exp_year\":2030,\"cardholder_name\":null}],\"cvvs\":[]}]}";
    struct lease lease OWNED(lease_clear) = {0};
    struct lease_refusal refusal = {0};

    cr_assert(!failed(read_first(body, 1, &lease, &refusal)));
    cr_assert_eq(lease.cards[0].cardholder_name, NULL);
    cr_assert_eq(lease.cvv_count, 0u);
}

Test(lease_json, refuses_answers_that_are_none)
{
    static const char *const bodies[] = {
        "",
        "[]",
        "{}",
        "{\"results\":{}}",
        "{\"results\":[]}",
        "{\"results\":[" LEASE "," LEASE "]}",
        "{\"results\":[1]}",
        "{\"results\":[{}]}",
        "{\"results\":[{\"code\":\"no_such_code\"}]}",
        "{\"results\":[{\"lease_id\":\"\",\"cards\":[],\"cvvs\":[]}]}",
        "{\"results\":[{\"lease_id\":\"l\",\"cards\":[]}]}",
        "{\"results\":[{\"lease_id\":\"l\",\"cards\":[{\"token\":\"t\",\"number\":\"" PAN
        "\",\"exp_month\":13,\"exp_year\":2030}],\"cvvs\":[]}]}",
        "{\"results\":[{\"lease_id\":\"l\",\"cards\":[{\"token\":\"t\",\"number\":\"" PAN
        "\",\"exp_month\":1}],\"cvvs\":[]}]}",
        "{\"results\":[{\"lease_id\":\"l\",\"cards\":[{\"token\":\"t\",\"number\":\"" PAN
        "\",\"exp_month\":1,\"exp_year\":2030}],\"cvvs\":[{\"token\":\"c\",\"value\":\"\"}]}]}",
        "{\"results\":[{\"lease_id\":\"l\",\"cards\":[1,2,3,4,5,6,7,8,9],\"cvvs\":[]}]}",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        struct lease lease = {0};
        struct lease_refusal refusal = {0};
        cr_expect_eq(read_first(bodies[i], 1, &lease, &refusal).why, WHY_FORGED, "%zu", i);
        cr_expect_eq(lease.card_count, 0u, "nothing is given on failure");
        cr_expect_eq(secret_pool_free_count(), 8u, "nor kept: %zu", i);
    }
}

Test(lease_json, is_busy_when_no_slot_is_left)
{
    struct secret *taken[7] = {0};
    struct lease lease = {0};
    struct lease_refusal refusal = {0};

    for (unsigned i = 0; i < 7; i++)
        cr_assert(!failed(secret_new(1, &taken[i])));
    cr_assert_eq(read_first("{\"results\":[" LEASE "]}", 1, &lease, &refusal).why, WHY_BUSY);
    cr_assert_eq(secret_pool_free_count(), 1u);
    for (unsigned i = 0; i < 7; i++)
        secret_free(&taken[i]);
}

Test(lease_json, knows_settlements_that_may_be_tried_again)
{
    static const char body[] = "{\"results\":[{\"lease_id\":\"l\",\"state\":\"settled\"},"
                               "{\"code\":\"not_found\"},{\"code\":\"sealed\"},"
                               "{\"code\":\"denied\"},{\"code\":\"rate_limited\"},{\"state\":1}]}";
    struct lease_json answer OWNED(lease_json_close) = {0};

    cr_assert(!failed(lease_json_open(&answer, (const uint8_t *)body, strlen(body), 6)));
    cr_assert(!failed(lease_json_next_settled(&answer)));
    cr_assert_eq(lease_json_next_settled(&answer).why, WHY_DENIED);
    for (unsigned i = 0; i < 3; i++)
        cr_assert_eq(lease_json_next_settled(&answer).why, WHY_BUSY);
    cr_assert_eq(lease_json_next_settled(&answer).why, WHY_FORGED);
}

Test(lease_json, writes_an_order_as_the_vault_reads_it)
{
    struct buffer out OWNED(buffer_free) = BUFFER(1024);
    struct json_writer writer = json_writer_over(&out);
    static const char *const tokens[] = {"tok_a", "tok_b"};
    static const char *const cvvs[] = {"cvv_a"};
    struct lease_order order = {.submission_id = "sub_1",
                                .destination = "sandbox",
                                .purpose = "a \"purpose\"",
                                .on_behalf_of = "shop",
                                .tokens = tokens,
                                .token_count = 2,
                                .cvv_tokens = cvvs,
                                .cvv_token_count = 1};

    lease_json_order(&writer, &order);
    cr_assert_str_eq(buffer_text(&out),
                     "{\"submission_id\":\"sub_1\",\"destination\":\"sandbox\",\"purpose\":"
                     "\"a \\\"purpose\\\"\",\"on_behalf_of\":\"shop\",\"tokens\":[\"tok_a\","
                     "\"tok_b\"],\"cvv_tokens\":[\"cvv_a\"]}");
}

Test(lease_json, reads_a_problem_that_answers_a_whole_request)
{
    static const char sealed[] = "{\"status\":503,\"code\":\"sealed\"}";
    static const char strange[] = "{\"status\":503,\"code\":\"odd\"}";
    struct lease_refusal refusal = {0};

    cr_assert(!failed(lease_json_problem((const uint8_t *)sealed, strlen(sealed), &refusal)));
    cr_assert_eq(refusal.code, PROBLEM_SEALED);
    cr_assert_eq(lease_json_problem((const uint8_t *)strange, strlen(strange), &refusal).why,
                 WHY_FORGED);
    cr_assert_eq(lease_json_problem((const uint8_t *)"x", 1, &refusal).why, WHY_FORGED);
}
