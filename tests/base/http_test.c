/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>

#include "base/http.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/encode.h"
#include "base/json.h"
#include "tests/support/echo.h"
#include "tests/support/http_client.h"

static struct echo server;

static void wait_ms(int64_t ms)
{
    const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&pause, NULL);
}

static void make(void)
{
    echo_start(&server, ECHO_TLS, NULL);
}

static void drop(void)
{
    echo_free(&server);
}

static bool holds(const char *text, const char *part)
{
    return strstr(text, part) != NULL;
}

static void check_problem(const struct reply *got, long status, const char *code)
{
    char quoted[64];
    char number[32];
    snprintf(quoted, sizeof quoted, "\"code\":\"%s\"", code);
    snprintf(number, sizeof number, "\"status\":%ld", status);
    cr_expect_eq(got->status, status, "%ld %s", got->status, got->body);
    cr_expect(holds(got->headers, "application/problem+json"), "%s", got->headers);
    cr_expect(holds(got->headers, "no-store"), "%s", got->headers);
    cr_expect(holds(got->body, quoted), "%s", got->body);
    cr_expect(holds(got->body, number), "%s", got->body);
    cr_expect(holds(got->body, "\"request_id\":\""), "%s", got->body);
}

TestSuite(http, .init = make, .fini = drop, .timeout = 30);

Test(http, answers_over_both_versions)
{
    for (unsigned http2 = 0; http2 < 2; http2++) {
        const struct reply *got = ask_echo(
            &server,
            &(struct ask){.path = "/echo", .body = "hello", .body_size = 5, .http2 = http2 == 1});
        cr_expect_eq(got->failure, 0);
        cr_expect_eq(got->status, 200);
        cr_expect_eq(got->version, http2 + 1);
        cr_expect_str_eq(got->body, "hello");
        cr_expect(holds(got->headers, "ontent-"), "%s", got->headers);
        cr_expect(holds(got->headers, "no-store"));
        cr_expect(holds(got->headers, "nosniff"));
        cr_expect(holds(got->headers, "cardkeep-test"));
    }
}

Test(http, takes_bodies_up_to_the_limit_whole)
{
    static char body[64 * 1024];
    for (size_t i = 0; i < sizeof body; i++)
        body[i] = (char)('a' + i % 23);
    for (unsigned http2 = 0; http2 < 2; http2++) {
        const struct reply *got = ask_echo(&server, &(struct ask){.path = "/echo",
                                                                  .body = body,
                                                                  .body_size = sizeof body,
                                                                  .http2 = http2 == 1});
        cr_expect_eq(got->status, 200);
        cr_expect_eq(got->body_size, sizeof body);
        cr_expect_eq(memcmp(got->body, body, sizeof body), 0);
    }
}

Test(http, refuses_bodies_beyond_the_limit_with_413_on_both_versions)
{
    static char body[64 * 1024 + 1];
    memset(body, 'x', sizeof body);
    for (unsigned http2 = 0; http2 < 2; http2++) {
        unsigned calls = atomic_load(&server.calls);
        check_problem(ask_echo(&server, &(struct ask){.path = "/echo",
                                                      .body = body,
                                                      .body_size = sizeof body,
                                                      .http2 = http2 == 1}),
                      413, "too_large");
        cr_expect_eq(atomic_load(&server.calls), calls);
    }
}

/* Announced and not sent: a body under way when the server hangs up would meet a reset, which may
 * overtake the answer. */
Test(http, answers_libh2os_own_refusals_as_problems)
{
    static const char request[] = "POST /echo HTTP/1.1\r\nHost: localhost\r\n"
                                  "Content-Length: 262144\r\n\r\n";
    static char answer[4096];
    struct wire wire;
    bool closed = false;
    cr_assert(wire_open(&wire, &server, &(struct wire_options){.alpn = "http/1.1"}));
    cr_assert(wire_send(&wire, request, sizeof request - 1));
    wire_receive(&wire, answer, sizeof answer, 2000, &closed);
    wire_close(&wire);
    cr_expect(closed);
    cr_expect(holds(answer, " 413 "), "%s", answer);
    cr_expect(holds(answer, "application/problem+json"), "%s", answer);
    cr_expect(holds(answer, "\"code\":\"too_large\""), "%s", answer);
    static const char *const headers[] = {"Expect: miracles", NULL};
    check_problem(
        ask_echo(&server,
                 &(struct ask){.path = "/echo", .body = "x", .body_size = 1, .headers = headers}),
        417, "invalid_header");
}

Test(http, hands_over_what_the_client_said)
{
    static const char *const headers[] = {"Request-Id: abc-1.2_3", "X-One: 1", "X-Two: 2", NULL};
    for (unsigned http2 = 0; http2 < 2; http2++) {
        const struct reply *got = ask_echo(&server, &(struct ask){.path = "/what?a=%20b&c",
                                                                  .method = "PATCH",
                                                                  .headers = headers,
                                                                  .http2 = http2 == 1});
        got = ask_echo(&server, &(struct ask){.path = "/what?a=%20b&c",
                                              .method = "PATCH",
                                              .headers = headers,
                                              .http2 = http2 == 1});
        cr_expect(holds(got->body, "PATCH /what ?a=%20b&c\nhost=localhost:"), "%s", got->body);
        cr_expect(holds(got->body, "id=abc-1.2_3\ntag=front door\n"), "%s", got->body);
        cr_expect(holds(got->body, "x-one: 1\nx-two: 2\n"), "%s", got->body);
        cr_expect(holds(got->headers, "abc-1.2_3"), "%s", got->headers);
        cr_expect(!holds(got->body, "\nhost:"), "framing is not for forwarding");
    }
}

Test(http, makes_a_request_id_where_there_is_no_sane_one)
{
    static const char *const bad[] = {"Request-Id: a b", NULL};
    const struct reply *got = ask_echo(&server, &(struct ask){.path = "/what", .headers = bad});
    cr_assert(holds(got->body, "id=req_"), "%s", got->body);
    got = ask_echo(&server, &(struct ask){.path = "/what"});
    cr_assert(holds(got->body, "id=req_"), "%s", got->body);
    cr_assert(holds(got->headers, "req_"), "%s", got->headers);
    static const char *const card[] = {"Request-Id: shop-4242424242424242", NULL};
    got = ask_echo(&server, &(struct ask){.path = "/what", .headers = card});
    cr_assert(holds(got->body, "id=req_"), "%s", got->body);
}

Test(http, knows_its_clients)
{
    struct pki_files late = pki_issue(
        server.pki,
        &(struct pki_subject){.name = "late", .client = true, .begins_s = -7200, .ends_s = -3600});
    for (unsigned http2 = 0; http2 < 2; http2++) {
        const struct reply *got =
            ask_echo(&server, &(struct ask){.path = "/peer", .http2 = http2 == 1});
        cr_expect(holds(got->body, "present=1 verified=1 valid=1 uri=spiffe://test/client "), "%s",
                  got->body);
        cr_expect(holds(got->body, " at=127.0.0.1:"), "%s", got->body);
        got = ask_echo(&server, &(struct ask){.path = "/peer", .http2 = http2 == 1, .as = &late});
        cr_expect(holds(got->body, "present=1 verified=0 valid=0"), "%s", got->body);
        cr_expect(holds(got->body, "expired"), "%s", got->body);
        got = ask_echo(&server,
                       &(struct ask){.path = "/peer", .http2 = http2 == 1, .anonymous = true});
        cr_expect(holds(got->body, "present=0 verified=0 valid=0"), "%s", got->body);
    }
}

Test(http, answers_later)
{
    for (unsigned http2 = 0; http2 < 2; http2++) {
        const struct reply *got = ask_echo(
            &server,
            &(struct ask){.path = "/later", .body = "soon", .body_size = 4, .http2 = http2 == 1});
        cr_expect_str_eq(got->body, "soon");
    }
    cr_assert_eq(atomic_load(&server.gone), 0);
}

Test(http, tells_the_owner_when_its_client_vanished)
{
    const struct reply *got =
        ask_echo(&server, &(struct ask){.path = "/never", .http2 = true, .timeout_ms = 100});
    cr_assert_neq(got->failure, 0);
    for (unsigned i = 0; i < 200 && atomic_load(&server.gone) == 0; i++)
        wait_ms(10);
    cr_assert_eq(atomic_load(&server.gone), 1);
}

Test(http, refuses_headers_that_are_too_large)
{
    static char huge[20 * 1024] = "X-Huge: ";
    memset(huge + 8, 'h', sizeof huge - 9);
    const char *headers[] = {huge, NULL};
    for (unsigned http2 = 0; http2 < 2; http2++)
        check_problem(
            ask_echo(&server,
                     &(struct ask){.path = "/what", .headers = headers, .http2 = http2 == 1}),
            431, "header_too_large");
}

Test(http, refuses_two_of_what_may_stand_once)
{
    static const char *const headers[] = {"Idempotency-Key: a", "Idempotency-Key: b", NULL};
    for (unsigned http2 = 0; http2 < 2; http2++)
        check_problem(
            ask_echo(&server,
                     &(struct ask){.path = "/what", .headers = headers, .http2 = http2 == 1}),
            400, "invalid_header");
    cr_assert_eq(atomic_load(&server.calls), 0);
}

Test(http, writes_problems_with_all_their_fields)
{
    const struct reply *got = ask_echo(&server, &(struct ask){.path = "/other", .http2 = true});
    check_problem(got, 404, "not_found");
    cr_assert(holds(got->body, "\"type\":\"urn:cardkeep:error:not_found\""), "%s", got->body);
    cr_assert(holds(got->body, "\"rule\":\"a \\\"rule\\\"\""), "%s", got->body);
}

Test(http, lets_no_header_split_an_answer)
{
    for (unsigned http2 = 0; http2 < 2; http2++) {
        const struct reply *got =
            ask_echo(&server, &(struct ask){.path = "/split", .http2 = http2 == 1});
        cr_expect_eq(got->status, 201);
        cr_expect_str_eq(got->body, "split");
        cr_expect(holds(got->headers, "x-good: yes"), "%s", got->headers);
        cr_expect(!holds(got->headers, "orse"), "%s", got->headers);
        cr_expect(!holds(got->headers, ": no\r"), "%s", got->headers);
        cr_expect(holds(got->headers, "content-type: application/octet-stream"), "%s",
                  got->headers);
        cr_expect(holds(got->headers, "max-age=1"), "the owner's word on caching stands");
        cr_expect(!holds(got->headers, "no-store"));
    }
}

Test(http, answers_head_without_a_body)
{
    for (unsigned http2 = 0; http2 < 2; http2++) {
        const struct reply *got = ask_echo(
            &server, &(struct ask){.path = "/peer", .method = "HEAD", .http2 = http2 == 1});
        cr_expect_eq(got->failure, 0);
        cr_expect_eq(got->status, 200);
        cr_expect_eq(got->body_size, 0);
    }
}

Test(http, sends_large_answers_whole)
{
    const struct reply *got = ask_echo(&server, &(struct ask){.path = "/large", .http2 = true});
    cr_assert_eq(got->failure, 0);
    cr_assert_eq(got->status, 200);
}

Test(http, closes_behind_an_answer_that_says_so)
{
    for (unsigned http2 = 0; http2 < 2; http2++) {
        const struct reply *got =
            ask_echo(&server, &(struct ask){.path = "/close", .http2 = http2 == 1});
        cr_expect_eq(got->failure, 0);
        cr_expect_eq(got->status, 204);
    }
    struct wire wire;
    cr_assert(wire_open(&wire, &server, &(struct wire_options){.alpn = "http/1.1"}));
    static const char request[] = "GET /close HTTP/1.1\r\nHost: h\r\n\r\n";
    char answer[1024];
    bool closed = false;
    cr_assert(wire_send(&wire, request, sizeof request - 1));
    wire_receive(&wire, answer, sizeof answer, 2000, &closed);
    cr_assert(closed);
    cr_assert(holds(answer, "HTTP/1.1 204 "), "%s", answer);
    wire_close(&wire);
}

Test(http, lets_what_is_under_way_end_when_it_stops)
{
    struct wire wires[2];
    static const char request[] = "GET /later HTTP/1.1\r\nHost: h\r\n\r\n";
    for (unsigned i = 0; i < 2; i++) {
        cr_assert(wire_open(&wires[i], &server, &(struct wire_options){.alpn = "http/1.1"}));
        cr_assert(wire_send(&wires[i], request, sizeof request - 1));
    }
    while (atomic_load(&server.calls) < 2)
        wait_ms(1);
    echo_stop(&server, 5000);
    for (unsigned i = 0; i < 2; i++) {
        char answer[1024];
        bool closed = false;
        wire_receive(&wires[i], answer, sizeof answer, 1000, &closed);
        cr_assert(closed);
        cr_assert(holds(answer, "HTTP/1.1 200 "), "%s", answer);
        wire_close(&wires[i]);
    }
}

Test(http, stops_in_time_whatever_is_under_way)
{
    struct wire wire;
    static const char request[] = "GET /never HTTP/1.1\r\nHost: h\r\n\r\n";
    cr_assert(wire_open(&wire, &server, &(struct wire_options){.alpn = "http/1.1"}));
    cr_assert(wire_send(&wire, request, sizeof request - 1));
    while (atomic_load(&server.calls) < 1)
        wait_ms(1);
    int64_t before_ms = clock_monotonic_ms();
    echo_stop(&server, 100);
    cr_assert(clock_monotonic_ms() - before_ms < 3000);
    cr_assert_eq(atomic_load(&server.gone), 1, "the owner is told");
    char answer[1024];
    bool closed = false;
    wire_receive(&wire, answer, sizeof answer, 1000, &closed);
    cr_assert(holds(answer, "HTTP/1.1 503 "), "%s", answer);
    cr_assert(holds(answer, "may have been carried out"), "what was begun is not called refused");
    wire_close(&wire);
}

Test(http, names_the_address_that_it_cannot_have)
{
    char error[256];
    struct http_listen taken = {.address = "127.0.0.1", .port = server.port};
    struct http_server *other = NULL;
    struct loop *loop = NULL;
    cr_assert(!failed(loop_new(&loop)));
    const struct http_server_options options = {
        .loop = loop,
        .limits = http_limits_default(),
        .on_call = (http_call_fn)abort,
        .component = "other",
    };
    cr_assert(!failed(http_server_new(&options, &other)));
    cr_assert_eq(http_server_listen(other, &taken, error, sizeof error).why, WHY_BUSY);
    cr_assert(holds(error, "127.0.0.1:"), "%s", error);
    cr_assert(holds(error, "in use by another process"), "%s", error);
    taken.address = "localhost";
    cr_assert_eq(http_server_listen(other, &taken, error, sizeof error).why, WHY_BAD_INPUT);
    cr_assert(holds(error, "localhost is not an IP address"), "%s", error);
    http_server_free(&other);
    loop_free(&loop);
}

Test(http, takes_descriptor_2_away_from_libh2o_when_told)
{
    struct http_server *quiet = NULL;
    struct loop *loop = NULL;
    cr_assert(!failed(loop_new(&loop)));
    const struct http_server_options options = {
        .loop = loop,
        .limits = http_limits_default(),
        .on_call = (http_call_fn)abort,
        .component = "quiet",
        .silence_stderr = true,
    };
    int kept = dup(STDERR_FILENO);
    cr_assert(!failed(http_server_new(&options, &quiet)));
    char path[64] = "";
    cr_assert(readlink("/proc/self/fd/2", path, sizeof path - 1) > 0);
    dup2(kept, STDERR_FILENO);
    close(kept);
    cr_assert_str_eq(path, "/dev/null");
    http_server_free(&quiet);
    loop_free(&loop);
}
