/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/routes.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "vault/read_card.h"
#include "vault/read_lease.h"

#define TOKEN "tok_test_2qkUrxGfiMe3VDqFXQwbfGjtRo"

static struct routes_result found;

static enum routes_match find(const char *method, const char *path)
{
    return routes_find(method, path, &found);
}

Test(routes, each_route_is_found_by_its_own_pattern)
{
    char path[128];

    for (unsigned i = 0; routes_at(i) != NULL; i++) {
        const struct route *route = routes_at(i);
        const char *variable = strstr(route->pattern, "{token}");
        if (variable == NULL)
            snprintf(path, sizeof path, "%s", route->pattern);
        else
            snprintf(path, sizeof path, "%.*s" TOKEN "%s", (int)(variable - route->pattern),
                     route->pattern, variable + strlen("{token}"));
        cr_assert_eq(find(route->method, path), ROUTES_FOUND, "%s", path);
        cr_expect_eq(found.route, route, "%s %s", route->method, path);
        cr_expect_str_eq(found.token, variable == NULL ? "" : TOKEN);
    }
}

Test(routes, paths_that_are_no_route_are_unknown)
{
    static const char *const paths[] = {"/",
                                        "/v1",
                                        "/v1/token",
                                        "/v1/tokens/",
                                        "/v1/tokens//cvv",
                                        "/v1/tokens/" TOKEN "/",
                                        "/v1/tokens/" TOKEN "/cvv/",
                                        "/v1/tokens/" TOKEN "/number",
                                        "/V1/tokens",
                                        "//v1/tokens",
                                        "/v1/leases/1",
                                        "/v1/audit",
                                        "/metrics"};

    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        cr_expect_eq(find("GET", paths[i]), ROUTES_NO_PATH, "%s", paths[i]);
}

Test(routes, a_wrong_method_is_told_the_right_ones)
{
    cr_assert_eq(find("PUT", "/v1/tokens/" TOKEN), ROUTES_NO_METHOD);
    cr_expect_str_eq(found.allow, "GET, DELETE");
    cr_assert_eq(find("GET", "/v1/tokens"), ROUTES_NO_METHOD);
    cr_expect_str_eq(found.allow, "POST");
    cr_assert_eq(find("post", "/v1/tokens"), ROUTES_NO_METHOD);
    cr_assert_eq(find("HEAD", "/v1/audit/checkpoint"), ROUTES_NO_METHOD);
    cr_expect_str_eq(found.allow, "GET");
}

Test(routes, no_token_can_be_called_batch)
{
    cr_assert_eq(find("DELETE", "/v1/tokens/batch"), ROUTES_NO_METHOD);
    cr_expect_str_eq(found.allow, "POST");
}

Test(routes, what_cannot_be_a_token_is_the_empty_one)
{
    char path[128] = "/v1/tokens/";
    size_t prefix = strlen(path);

    memset(path + prefix, 'a', CONTRACT_TOKEN_MAX);
    cr_assert_eq(find("GET", path), ROUTES_FOUND);
    cr_expect_eq(strlen(found.token), CONTRACT_TOKEN_MAX);
    path[prefix + CONTRACT_TOKEN_MAX] = 'a';
    cr_assert_eq(find("GET", path), ROUTES_FOUND);
    cr_expect_str_eq(found.token, "");

    static const char *const strange[] = {"/v1/tokens/tok%5fa", "/v1/tokens/tok.a", "/v1/tokens/..",
                                          "/v1/tokens/tok\xc3\xa9", "/v1/tokens/a b"};
    for (size_t i = 0; i < sizeof strange / sizeof strange[0]; i++) {
        cr_assert_eq(find("GET", strange[i]), ROUTES_FOUND, "%s", strange[i]);
        cr_expect_str_eq(found.token, "", "%s", strange[i]);
    }
}

/* --- Readers, over a request as the front makes it --- */

static struct json_node nodes[REQUEST_NODES_MAX];
static uint8_t body[64 << 10];
static struct request request;
static struct buffer frame;

static void ask(const char *method, const char *path, const char *query, const char *text)
{
    size_t size = text == NULL ? 0 : strlen(text);

    cr_assert_eq(find(method, path), ROUTES_FOUND, "%s", path);
    cr_assert(size < sizeof body);
    if (size > 0)
        memcpy(body, text, size);
    request = (struct request){.query = query,
                               .content_type = text == NULL ? NULL : "application/json",
                               .body = body,
                               .body_size = size,
                               .nodes = nodes};
    snprintf(request.caller.uri, sizeof request.caller.uri, "urn:test:shop");
    memcpy(request.token, found.token, sizeof request.token);
    buffer_free(&frame);
    frame = BUFFER(1u << 20);
    found.route->read(&request, &frame);
    cr_assert(!failed(buffer_status(&frame)));
}

/* The caller at the head of the frame; what follows is left in *in. */
static struct message_caller caller_of(struct cursor *in)
{
    struct message_caller caller;

    *in = cursor_over(frame.bytes, frame.size);
    message_caller_decode(in, &caller);
    cr_assert(!in->bad);
    cr_assert_str_eq(caller.uri, "urn:test:shop");
    return caller;
}

static void expect_refusal(enum problem_code code, const char *field)
{
    struct cursor in;
    struct message_caller caller = caller_of(&in);

    cr_expect_eq(caller.problem.code, code, "%s, not %s", problem_name(caller.problem.code),
                 problem_name(code));
    cr_expect_str_eq(caller.problem.field, field);
}

Test(routes, a_token_travels_behind_its_caller)
{
    struct cursor in;
    char token[CONTRACT_TOKEN_MAX + 1];

    ask("GET", "/v1/tokens/" TOKEN, "", NULL);
    struct message_caller caller = caller_of(&in);
    cursor_text(&in, token, sizeof token);
    cr_assert(cursor_done(&in));
    cr_expect_eq(caller.problem.code, PROBLEM_NONE);
    cr_expect_str_eq(token, TOKEN);
}

Test(routes, bodies_and_queries_where_none_belong_are_refused)
{
    ask("DELETE", "/v1/tokens/" TOKEN, "", "{}");
    expect_refusal(PROBLEM_INVALID_FRAMING, "");
    ask("GET", "/v1/tokens/" TOKEN, "number=1", NULL);
    expect_refusal(PROBLEM_UNKNOWN_FIELD, "");
    ask("POST", "/v1/tokens", "number=1", "{}");
    expect_refusal(PROBLEM_UNKNOWN_FIELD, "");
}

Test(routes, an_idempotency_key_is_printable_and_not_too_long)
{
    char key[CONTRACT_IDEMPOTENCY_KEY_MAX + 2];
    static const char *const bad[] = {"", "a\tb", "caf\xc3\xa9"};

    memset(key, 'k', sizeof key - 1);
    key[sizeof key - 1] = '\0';
    request = (struct request){0};
    request_set_idempotency(&request, key + 1);
    cr_expect(request_is_good(&request));
    cr_expect_str_eq(request.caller.idempotency_key, key + 1);
    request_set_idempotency(&request, key);
    cr_expect_eq(request.caller.problem.code, PROBLEM_INVALID_HEADER);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        request = (struct request){0};
        request_set_idempotency(&request, bad[i]);
        cr_expect_eq(request.caller.problem.code, PROBLEM_INVALID_HEADER, "%s", bad[i]);
    }
    request = (struct request){0};
    request_set_idempotency(&request, NULL);
    cr_expect(request_is_good(&request));
}

static void expect_entries(const char *query, uint64_t start, uint32_t limit)
{
    struct cursor in;

    ask("GET", "/v1/audit/entries", query, NULL);
    struct message_caller caller = caller_of(&in);
    cr_expect_eq(caller.problem.code, PROBLEM_NONE, "%s", query);
    cr_expect_eq(cursor_u64(&in), start, "%s", query);
    cr_expect_eq(cursor_u32(&in), limit, "%s", query);
    cr_assert(cursor_done(&in));
}

Test(routes, a_part_of_the_log_is_asked_for_by_start_and_limit)
{
    static const char *const bad[] = {"start",           "start=",   "start=-1",
                                      "start=1&start=1", "limit=0",  "limit=257",
                                      "other=1",         "start=1&", "start=1a",
                                      "&start=1",        "start= 1", "limit=1&&start=1",
                                      "start=1;limit=1", "START=1",  "start=9999999999999999999"};

    expect_entries("", 0, CONTRACT_AUDIT_ENTRIES_MAX);
    expect_entries("start=7", 7, CONTRACT_AUDIT_ENTRIES_MAX);
    expect_entries("limit=256&start=0", 0, 256);
    expect_entries("start=123456789012&limit=1", 123456789012, 1);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ask("GET", "/v1/audit/entries", bad[i], NULL);
        cr_expect_eq(request.caller.problem.code, PROBLEM_INVALID_FIELD, "%s", bad[i]);
    }
}

#define LEASE                                                                                      \
    "{\"submission_id\": \"sub_1\", \"destination\": \"sandbox\", \"purpose\": \"payment\", "      \
    "\"on_behalf_of\": \"shop\", \"tokens\": [\"tok_1\", \"tok%2\"], \"cvv_tokens\": [\"cvv_1\"]}"

Test(routes, leases_travel_each_with_its_own_problem)
{
    struct cursor in;
    struct message_lease lease;

    ask("POST", "/v1/leases", "", "{\"leases\": [" LEASE ", {\"submission_id\": \"sub 1\"}, 3]}");
    struct message_caller caller = caller_of(&in);
    cr_expect_eq(caller.problem.code, PROBLEM_NONE);
    cr_assert_eq(cursor_u16(&in), 3);
    message_lease_decode(&in, &lease);
    cr_expect_eq(lease.problem.code, PROBLEM_NONE);
    cr_expect_str_eq(lease.submission, "sub_1");
    cr_expect_str_eq(lease.destination, "sandbox");
    cr_expect_str_eq(lease.purpose, "payment");
    cr_expect_str_eq(lease.on_behalf_of, "shop");
    cr_expect_eq(lease.token_count, 2);
    cr_expect_str_eq(lease.tokens[0], "tok_1");
    cr_expect_str_eq(lease.tokens[1], "", "a token that cannot be");
    cr_expect_eq(lease.cvv_count, 1);
    cr_expect_str_eq(lease.cvv_tokens[0], "cvv_1");
    message_lease_decode(&in, &lease);
    cr_expect_eq(lease.problem.code, PROBLEM_MISSING_FIELD);
    cr_expect_str_eq(lease.problem.field, "/leases/1/destination");
    message_lease_decode(&in, &lease);
    cr_expect_eq(lease.problem.code, PROBLEM_INVALID_FIELD);
    cr_expect_str_eq(lease.problem.field, "/leases/2");
    cr_assert(cursor_done(&in));
}

static void expect_lease(const char *text, enum problem_code code, const char *field)
{
    struct json json;
    struct message_lease lease;
    size_t at = 0;

    cr_assert(!failed(
        json_read((const uint8_t *)text, strlen(text), nodes, REQUEST_NODES_MAX, &json, &at)));
    read_lease(&json, 0, "", &lease);
    cr_expect_eq(lease.problem.code, code, "%s: %s", text, problem_name(lease.problem.code));
    cr_expect_str_eq(lease.problem.field, field, "%s", text);
}

#define BONDS "\"destination\": \"d\", \"purpose\": \"p\", \"on_behalf_of\": \"o\", "

Test(routes, a_lease_is_refused_by_the_field_that_is_wrong)
{
    expect_lease("{\"submission_id\": \"s\", " BONDS "\"tokens\": []}", PROBLEM_INVALID_FIELD,
                 "/tokens");
    expect_lease("{\"submission_id\": \"s\", " BONDS "\"tokens\": [1]}", PROBLEM_INVALID_FIELD,
                 "/tokens");
    expect_lease("{\"submission_id\": \"s\", " BONDS "\"tokens\": [\"1\",\"2\",\"3\",\"4\",\"5\","
                 "\"6\",\"7\",\"8\",\"9\"]}",
                 PROBLEM_INVALID_FIELD, "/tokens");
    expect_lease("{\"submission_id\": \"s s\", " BONDS "\"tokens\": [\"1\"]}",
                 PROBLEM_INVALID_FIELD, "/submission_id");
    expect_lease("{\"submission_id\": \"4242424242424242\", " BONDS "\"tokens\": [\"1\"]}",
                 PROBLEM_CARD_IN_FREE_TEXT, "/submission_id");
    expect_lease("{\"submission_id\": \"s\", " BONDS "\"tokens\": [\"1\"], \"card\": 1}",
                 PROBLEM_UNKNOWN_FIELD, "/card");
}

Test(routes, a_body_takes_1_to_64_leases)
{
    struct buffer text = BUFFER(64u << 10);

    ask("POST", "/v1/leases", "", "{\"leases\": []}");
    expect_refusal(PROBLEM_INVALID_FIELD, "/leases");
    ask("POST", "/v1/leases", "", "{}");
    expect_refusal(PROBLEM_MISSING_FIELD, "/leases");
    ask("POST", "/v1/leases", "", "{\"leases\": {}}");
    expect_refusal(PROBLEM_INVALID_FIELD, "/leases");
    buffer_add_text(&text, "{\"leases\": [1");
    for (unsigned i = 1; i < CONTRACT_LEASES_MAX; i++)
        buffer_add_text(&text, ",1");
    buffer_add_text(&text, "]}");
    ask("POST", "/v1/leases", "", buffer_text(&text));
    expect_refusal(PROBLEM_NONE, "");
    text.size -= 2;
    buffer_add_text(&text, ",1]}");
    ask("POST", "/v1/leases", "", buffer_text(&text));
    expect_refusal(PROBLEM_INVALID_FIELD, "/leases");
    buffer_free(&text);
}

Test(routes, settlements_say_what_became_of_a_lease)
{
    struct cursor in;
    struct message_settlement settlement;

    ask("POST", "/v1/settlements", "",
        "{\"settlements\": [{\"lease_id\": \"lse_1\", \"outcome\": \"sent_no_answer\"}, "
        "{\"lease_id\": \"lse_1\", \"outcome\": \"lost\"}, {\"outcome\": \"answered\"}, "
        "{\"submission_id\": \"sub_1\", \"outcome\": \"not_sent\"}, "
        "{\"submission_id\": \"sub_1\", \"lease_id\": \"lse_1\", \"outcome\": \"not_sent\"}]}");
    struct message_caller caller = caller_of(&in);
    cr_expect_eq(caller.problem.code, PROBLEM_NONE);
    cr_assert_eq(cursor_u16(&in), 5);
    message_settlement_decode(&in, &settlement);
    cr_expect_eq(settlement.problem.code, PROBLEM_NONE);
    cr_expect_str_eq(settlement.lease_id, "lse_1");
    cr_expect_eq(settlement.outcome, MESSAGE_OUTCOME_SENT_NO_ANSWER);
    message_settlement_decode(&in, &settlement);
    cr_expect_eq(settlement.problem.code, PROBLEM_INVALID_FIELD);
    cr_expect_str_eq(settlement.problem.field, "/settlements/1/outcome");
    message_settlement_decode(&in, &settlement);
    cr_expect_eq(settlement.problem.code, PROBLEM_MISSING_FIELD);
    cr_expect_str_eq(settlement.problem.field, "/settlements/2/lease_id");
    message_settlement_decode(&in, &settlement);
    cr_expect_eq(settlement.problem.code, PROBLEM_NONE);
    cr_expect_str_eq(settlement.lease_id, "");
    cr_expect_str_eq(settlement.submission, "sub_1");
    message_settlement_decode(&in, &settlement);
    cr_expect_eq(settlement.problem.code, PROBLEM_INVALID_FIELD);
    cr_expect_str_eq(settlement.problem.field, "/settlements/4/submission_id");
    cr_assert(cursor_done(&in));
}
