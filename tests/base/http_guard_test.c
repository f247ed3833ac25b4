/* SPDX-License-Identifier: Apache-2.0 */
/* What base/http does to those who do not behave. */
#include <pthread.h>

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/encode.h"
#include "tests/support/echo.h"
#include "tests/support/http_client.h"

#define ANSWER_SIZE 8192u

static struct echo server;
static struct wire wire;
static char answer[ANSWER_SIZE];
static bool closed;

static void wait_ms(int64_t ms)
{
    const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&pause, NULL);
}

static struct http_limits quick_limits(void)
{
    struct http_limits limits = http_limits_default();
    limits.request_ms = 300;
    limits.answer_ms = 300;
    limits.idle_ms = 600;
    return limits;
}

static void start(enum echo_kind kind, struct http_limits limits)
{
    echo_start(&server, kind, &limits);
}

static void drop(void)
{
    wire_close(&wire);
    echo_free(&server);
}

static void open_wire(const char *alpn)
{
    cr_assert(wire_open(&wire, &server, &(struct wire_options){.alpn = alpn}));
}

static void send_text(const char *text)
{
    cr_assert(wire_send(&wire, text, strlen(text)));
}

/* Until the server is silent for so long, or has hung up. */
static void receive(int wait)
{
    wire_receive(&wire, answer, sizeof answer, wait, &closed);
}

static bool holds(const char *part)
{
    return strstr(answer, part) != NULL;
}

static void check_alive(void)
{
    const struct reply *got =
        ask_echo(&server, &(struct ask){.path = "/echo", .body = "ok", .body_size = 2});
    cr_assert_str_eq(got->body, "ok", "and others are served");
}

TestSuite(http_guard, .fini = drop, .timeout = 30);

/* --- Framing --- */

static void check_framing(const char *request, bool refused)
{
    unsigned calls = atomic_load(&server.calls);
    open_wire(NULL);
    send_text(request);
    receive(refused ? 3000 : 300);
    if (refused) {
        cr_expect(holds("HTTP/1.1 400 "), "%s -> %s", request, answer);
        cr_expect(closed, "what follows is not to be trusted: %s", request);
        cr_expect_eq(atomic_load(&server.calls), calls, "%s", request);
    } else {
        cr_expect(holds("HTTP/1.1 200 "), "%s -> %s", request, answer);
        cr_expect(!closed, "%s", request);
        cr_expect_eq(atomic_load(&server.calls), calls + 1, "%s", request);
    }
    wire_close(&wire);
}

Test(http_guard, refuses_heads_that_two_servers_could_read_differently)
{
    start(ECHO_PLAIN, http_limits_default());
    static const char *const refused[] = {
        "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\ncontent-length: 1\r\n\r\na",
        "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"
        "0\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n"
        "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET /echo HTTP/1.1\r\n\r\n",
        "GET /echo HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        "GET /echo HTTP/1.1\r\nHost: h\r\nX-Folded: a\r\n b\r\n\r\n",
        "GET /echo HTTP/1.1\nHost: h\r\n\r\n",
        "GET /echo HTTP/1.1\r\nHost: h\nX-Bare: 1\r\n\r\n",
        "GET http://elsewhere/echo HTTP/1.1\r\nHost: h\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: +1\r\n\r\na",
        "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n",
        "nonsense\r\n\r\n",
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        check_framing(refused[i], true);
}

Test(http_guard, takes_heads_that_are_clear)
{
    start(ECHO_PLAIN, http_limits_default());
    check_framing("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\na", false);
    check_framing("POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                  "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n",
                  false);
    cr_assert(holds("abcde"), "%s", answer);
    check_framing("\r\nGET /echo HTTP/1.1\r\nHost: h\r\n\r\n", false);
    check_framing("GET /echo HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", false);
}

Test(http_guard, answers_pipelined_requests_one_by_one)
{
    start(ECHO_PLAIN, http_limits_default());
    open_wire(NULL);
    send_text("POST /later HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\none"
              "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\ntwo"
              "GET /echo HTTP/1.1\r\n\r\n");
    receive(2000);
    const char *one = strstr(answer, "\r\n\r\none");
    const char *two = strstr(answer, "\r\n\r\ntwo");
    const char *bad = strstr(answer, "invalid_framing");
    cr_assert(one != NULL && two != NULL && bad != NULL, "%s", answer);
    cr_assert(one < two && two < bad);
    cr_assert(closed);
}

/* --- Time --- */

Test(http_guard, gives_up_on_a_handler_that_does_not_answer)
{
    start(ECHO_TLS, quick_limits());
    for (unsigned http2 = 0; http2 < 2; http2++) {
        const struct reply *got =
            ask_echo(&server, &(struct ask){.path = "/never", .http2 = http2 == 1});
        cr_expect_eq(got->status, 503);
        cr_expect_neq(strstr(got->body, "\"code\":\"busy\""), NULL, "%s", got->body);
        cr_expect_eq(atomic_load(&server.gone), http2 + 1, "its owner is told");
        cr_expect_neq(strstr(got->headers, "x-given: up"), NULL, "%s", got->headers);
    }
}

/* Sends `text` a byte at a time, `pause_ms` apart, until the server hangs up; false if it never
 * does. */
static bool trickle(const char *text, int64_t pause_ms)
{
    for (; *text != '\0'; text++) {
        if (!wire_send(&wire, text, 1))
            return true;
        wait_ms(pause_ms);
    }
    receive(1);
    return closed;
}

static void check_refusal(const char *status, const char *code)
{
    cr_expect(closed, "%s", answer);
    cr_expect(strncmp(answer, status, strlen(status)) == 0, "%s", answer);
    cr_expect(holds("content-type: application/problem+json\r\n"), "%s", answer);
    cr_expect(holds("request-id: req_"), "%s", answer);
    cr_expect(holds(code), "%s", answer);
}

Test(http_guard, ends_a_head_that_trickles_in)
{
    start(ECHO_PLAIN, quick_limits());
    open_wire(NULL);
    int64_t before_ms = clock_monotonic_ms();
    cr_assert(trickle("GET /echo HTTP/1.1\r\nHost: h\r\nX-Slow: a very long story", 30));
    cr_assert(clock_monotonic_ms() - before_ms >= 300);
    check_refusal("HTTP/1.1 408 ", "\"code\":\"deadline\"");
    check_alive();
}

Test(http_guard, ends_a_body_that_trickles_in)
{
    start(ECHO_TLS, quick_limits());
    open_wire("http/1.1");
    send_text("POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n");
    cr_assert(trickle("one byte after another, slowly, for a long time", 30));
    check_refusal("HTTP/1.1 408 ", "\"code\":\"deadline\"");
    check_alive();
}

Test(http_guard, answers_an_upload_that_is_too_large_though_it_goes_on)
{
    static char body[3u << 20];
    start(ECHO_TLS, http_limits_default());
    open_wire("http/1.1");
    send_text("POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n300000\r\n");
    cr_assert(wire_send(&wire, body, sizeof body), "no reset while it is sent");
    receive(3000);
    check_refusal("HTTP/1.1 413 ", "\"code\":\"too_large\"");
    check_alive();
}

Test(http_guard, answers_bytes_that_are_no_http_with_a_problem)
{
    start(ECHO_TLS, http_limits_default());
    open_wire("http/1.1");
    send_text("GET /echo HTTP/1.1\r\nHost : h\r\n\r\n");
    receive(3000);
    check_refusal("HTTP/1.1 400 ", "\"code\":\"invalid_framing\"");
    wire_close(&wire);
    open_wire("http/1.1");
    send_text("GET /echo HTTP/1.1\r\nHost: h\r\n");
    for (unsigned i = 0; i < 101; i++)
        send_text("X-Note: 1\r\n");
    send_text("\r\n");
    receive(3000);
    check_refusal("HTTP/1.1 431 ", "\"code\":\"header_too_large\"");
    check_alive();
}

static size_t start_http2(uint8_t *frames)
{
    open_wire("h2");
    return frame_preface(frames);
}

Test(http_guard, ends_a_body_that_trickles_in_over_http2)
{
    start(ECHO_TLS, quick_limits());
    uint8_t frames[512];
    size_t size = start_http2(frames);
    size = frame_add_request(frames, size, 1, "/echo", true);
    cr_assert(wire_send(&wire, frames, size));
    int64_t before_ms = clock_monotonic_ms();
    bool sent = true;
    for (unsigned i = 0; i < 100 && sent && !closed; i++) {
        size = frame_add(frames, 0, 0, 0, 1, "x", 1);
        sent = wire_send(&wire, frames, size);
        receive(20);
    }
    int64_t took_ms = clock_monotonic_ms() - before_ms;
    cr_assert(!sent || closed);
    cr_assert(took_ms >= 300 && took_ms < 1500, "%ld", (long)took_ms);
    check_alive();
}

Test(http_guard, lets_an_http2_connection_live_on_many_quick_bodies)
{
    struct http_limits limits = quick_limits();
    start(ECHO_TLS, limits);
    uint8_t frames[1024];
    size_t size = start_http2(frames);
    cr_assert(wire_send(&wire, frames, size));
    /* One stream is always open, and none for longer than allowed. */
    int64_t end_ms = clock_monotonic_ms() + 900;
    uint32_t stream = 1;
    size = frame_add_request(frames, 0, stream, "/echo", true);
    for (; clock_monotonic_ms() < end_ms; stream += 2) {
        size = frame_add_request(frames, size, stream + 2, "/echo", true);
        size = frame_add(frames, size, 0, 1, stream, "x", 1);
        cr_assert(wire_send(&wire, frames, size));
        size = 0;
        receive(20);
        cr_assert(!closed);
    }
    cr_assert_eq(atomic_load(&server.calls), (stream - 1) / 2);
}

Test(http_guard, ends_idle_connections)
{
    start(ECHO_TLS, quick_limits());
    open_wire("http/1.1");
    send_text("GET /echo HTTP/1.1\r\nHost: h\r\n\r\n");
    int64_t before_ms = clock_monotonic_ms();
    receive(3000);
    cr_assert(closed);
    cr_assert(holds("HTTP/1.1 200"));
    cr_assert(clock_monotonic_ms() - before_ms >= 600);
    wire_close(&wire);

    open_wire("h2"); /* Says nothing at all. */
    receive(3000);
    cr_assert(closed);
}

Test(http_guard, ends_a_client_that_does_not_take_its_answer)
{
    start(ECHO_TLS, quick_limits());
    open_wire("http/1.1");
    send_text("GET /large HTTP/1.1\r\nHost: h\r\n\r\n");
    for (unsigned i = 0; i < 200 && echo_connections(&server) > 0; i++)
        wait_ms(10);
    cr_assert_eq(echo_connections(&server), 0);
}

/* --- Numbers --- */

Test(http_guard, answers_busy_beyond_what_may_be_in_flight)
{
    struct http_limits limits = http_limits_default();
    limits.in_flight = 3;
    start(ECHO_TLS, limits);
    uint8_t frames[1024];
    size_t size = start_http2(frames);
    for (uint32_t i = 0; i < 3; i++)
        size = frame_add_request(frames, size, 2 * i + 1, "/never", false);
    cr_assert(wire_send(&wire, frames, size));
    while (atomic_load(&server.calls) < 3)
        wait_ms(1);
    const struct reply *got = ask_echo(&server, &(struct ask){.path = "/echo"});
    cr_assert_eq(got->status, 503);
    cr_assert_neq(strstr(got->body, "\"code\":\"busy\""), NULL);
    cr_assert_neq(strstr(got->headers, "retry-after: 1"), NULL);
    cr_assert_neq(strstr(got->headers, "x-given: back"), NULL);
    cr_assert_eq(atomic_load(&server.calls), 3);

    wire_close(&wire); /* Its places are free again. */
    while (atomic_load(&server.gone) < 3)
        wait_ms(1);
    cr_assert_eq(ask_echo(&server, &(struct ask){.path = "/echo"})->status, 200);
}

Test(http_guard, answers_busy_beyond_what_a_connection_may_have_in_flight)
{
    struct http_limits limits = http_limits_default();
    limits.in_flight_per_connection = 2;
    start(ECHO_TLS, limits);
    uint8_t frames[1024];
    size_t size = start_http2(frames);
    for (uint32_t i = 0; i < 3; i++)
        size = frame_add_request(frames, size, 2 * i + 1, "/never", false);
    cr_assert(wire_send(&wire, frames, size));
    size_t got = wire_receive(&wire, answer, sizeof answer, 300, &closed);
    cr_assert_neq(memmem(answer, got, "\"code\":\"busy\"", 13), NULL);
    cr_assert_eq(atomic_load(&server.calls), 2);
    check_alive();
}

Test(http_guard, closes_connections_beyond_the_limit_at_once)
{
    struct http_limits limits = http_limits_default();
    limits.connections = 2;
    start(ECHO_PLAIN, limits);
    struct wire others[2];
    for (unsigned i = 0; i < 2; i++)
        cr_assert(wire_open(&others[i], &server, &(struct wire_options){0}));
    while (echo_connections(&server) < 2)
        wait_ms(1);
    open_wire(NULL);
    receive(2000);
    cr_assert(closed);
    cr_assert_eq(echo_connections(&server), 2);
    wire_close(&others[0]);
    while (echo_connections(&server) > 1)
        wait_ms(1);
    check_alive();
    wire_close(&others[1]);
}

Test(http_guard, accepts_no_faster_than_it_was_told)
{
    struct http_limits limits = http_limits_default();
    limits.connections_per_second = 4;
    start(ECHO_PLAIN, limits);
    int64_t before_ms = clock_monotonic_ms();
    for (unsigned i = 0; i < 10; i++)
        check_alive();
    /* 4 in the first second, 4 in the next, 2 in the third. */
    cr_assert(clock_monotonic_ms() - before_ms >= 1000);
}

/* --- Abuse of HTTP/2 --- */

/* Opens streams and resets them at once (CVE-2023-44487); true once the server hung up. */
static bool reset_rapidly(unsigned count, bool whole)
{
    static const uint8_t cancel[4] = {0, 0, 0, 8};
    uint8_t frames[8192];
    size_t size = start_http2(frames);

    for (uint32_t i = 0; i < count; i++) {
        size = frame_add_request(frames, size, 2 * i + 1, "/never", !whole);
        size = frame_add(frames, size, 3, 0, 2 * i + 1, cancel, sizeof cancel);
        if (size < sizeof frames - 256 && i + 1 < count)
            continue;
        if (!wire_send(&wire, frames, size))
            return true;
        size = 0;
    }
    receive(500);
    return closed;
}

Test(http_guard, ends_rapid_resets)
{
    start(ECHO_TLS, http_limits_default());
    cr_assert(reset_rapidly(5000, true));
    cr_assert(atomic_load(&server.calls) < 1000, "%u", atomic_load(&server.calls));
    while (echo_connections(&server) > 0)
        wait_ms(1);
    cr_assert_eq(atomic_load(&server.gone), atomic_load(&server.calls), "every owner is told");
    check_alive();
}

Test(http_guard, forgives_a_few_resets)
{
    start(ECHO_TLS, http_limits_default());
    cr_assert(!reset_rapidly(50, true));
    cr_assert_eq(atomic_load(&server.gone), 50);
}

Test(http_guard, ends_resets_of_requests_that_never_became_whole)
{
    start(ECHO_TLS, http_limits_default());
    cr_assert(!reset_rapidly(50, false));
    wire_close(&wire);
    cr_assert(reset_rapidly(2000, false), "and no request had to come for it");
    cr_assert_eq(atomic_load(&server.calls), 0);
    check_alive();
}
