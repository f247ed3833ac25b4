/* SPDX-License-Identifier: Apache-2.0 */
/* What base/http does to those who send a lot that means little, and to those who hold a lot. */
#include <pthread.h>

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/encode.h"
#include "base/http_frames.h"
#include "tests/support/echo.h"
#include "tests/support/http_client.h"

#define BODY_BYTES  (60u * 1024u)
#define FRAME_BYTES 16384u
#define ANSWER_SIZE (64u * 1024u)

enum { DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PING = 6, CONTINUATION = 9, UNKNOWN = 0x42 };
enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4 };

static struct echo server;
static struct wire wire;
static char answer[ANSWER_SIZE];
static bool closed;

static void drop(void)
{
    wire_close(&wire);
    echo_free(&server);
}

static void wait_ms(int64_t ms)
{
    const struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&pause, NULL);
}

static void start(struct http_limits limits)
{
    echo_start(&server, ECHO_TLS, &limits);
}

static void open_http2(struct wire *to)
{
    uint8_t frames[64];
    cr_assert(wire_open(to, &server, &(struct wire_options){.alpn = "h2"}));
    cr_assert(wire_send(to, frames, frame_preface(frames)));
}

static void check_alive(void)
{
    const struct reply *got =
        ask_echo(&server, &(struct ask){.path = "/echo", .body = "ok", .body_size = 2});
    cr_assert_str_eq(got->body, "ok", "and others are served");
}

static size_t receive(int wait)
{
    return wire_receive(&wire, answer, sizeof answer, wait, &closed);
}

static bool got(size_t size, const char *text)
{
    return memmem(answer, size, text, strlen(text)) != NULL;
}

/* Until it has come, or the server has hung up, or time is over. */
static bool await(const char *text)
{
    bool found = false;
    for (unsigned i = 0; i < 100 && !found && !closed; i++)
        found = got(receive(50), text);
    return found;
}

TestSuite(http_flood, .fini = drop, .timeout = 30);

/* --- Frames that carry nothing --- */

struct kind {
    const char *name;
    uint8_t type;
    uint8_t flags;
    uint32_t stream;
    uint8_t size;
    uint8_t payload[8];
};

/* Stream 1 is open and waits for its body; 3 is none. */
static const struct kind kinds[] = {
    {"PING", PING, 0, 0, 8, {0}},
    {"PING, acknowledging none", PING, ACK, 0, 8, {0}},
    {"SETTINGS", SETTINGS, 0, 0, 0, {0}},
    {"SETTINGS, acknowledging none", SETTINGS, ACK, 0, 0, {0}},
    {"SETTINGS, windows up and down", SETTINGS, 0, 0, 6, {0, 4, 0, 0, 0, 1}},
    {"PRIORITY", PRIORITY, 0, 3, 5, {0, 0, 0, 1, 9}},
    {"RST_STREAM of a stream that is over", RST_STREAM, 0, 1, 4, {0, 0, 0, 8}},
    {"empty DATA", DATA, 0, 1, 0, {0}},
    {"DATA by the byte", DATA, 0, 1, 1, {'x'}},
    {"frames of no known type", UNKNOWN, 0, 0, 0, {0}},
};

/* True once the server hung up. */
static bool flood(const struct kind *kind, unsigned count)
{
    uint8_t frames[8192];
    size_t size = frame_add_request(frames, 0, 1, "/echo", true);

    for (unsigned i = 0; i < count; i++) {
        size = frame_add(frames, size, kind->type, kind->flags, kind->stream, kind->payload,
                         kind->size);
        if (size < sizeof frames - 64 && i + 1 < count)
            continue;
        if (!wire_send(&wire, frames, size))
            return true;
        size = 0;
    }
    receive(count > 1000 ? 5000 : 200);
    return closed;
}

Test(http_flood, ends_frames_that_carry_nothing)
{
    start(http_limits_default());
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        open_http2(&wire);
        cr_expect(flood(&kinds[i], 20000), "%s", kinds[i].name);
        wire_close(&wire);
    }
    check_alive();
}

Test(http_flood, forgives_some_of_each)
{
    start(http_limits_default());
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        uint8_t frames[256];
        open_http2(&wire);
        cr_assert(!flood(&kinds[i], 100), "%s", kinds[i].name);
        size_t size = frame_add_request(frames, 0, 5, "/nothing", false);
        cr_assert(wire_send(&wire, frames, size));
        /* With a window of one byte it would come byte by byte. */
        cr_expect(kinds[i].size == 6 || await("not_found"), "%s: %s", kinds[i].name, answer);
        wire_close(&wire);
    }
}

Test(http_flood, lets_those_who_ask_a_lot_send_a_lot)
{
    static const uint8_t increment[4] = {0, 0, 1, 0};
    start(http_limits_default());
    open_http2(&wire);
    for (uint32_t i = 0; i < 2000; i++) {
        uint8_t frames[256];
        size_t size = frame_add_request(frames, 0, 2 * i + 1, "/echo", true);
        size = frame_add(frames, size, DATA, END_STREAM, 2 * i + 1, "x", 1);
        for (unsigned k = 0; k < 4; k++)
            size = frame_add(frames, size, 8, 0, 0, increment, sizeof increment);
        cr_assert(wire_send(&wire, frames, size), "%u", i);
        while (atomic_load(&server.calls) <= i)
            receive(1);
    }
    cr_assert(!closed);
}

Test(http_flood, ends_a_header_block_without_end)
{
    static const uint8_t nothing[FRAME_BYTES] = {0};
    static uint8_t frames[FRAME_BYTES + 64];
    const size_t sizes[] = {0, 1, FRAME_BYTES};

    start(http_limits_default());
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        open_http2(&wire);
        size_t size = frame_add(frames, 0, HEADERS, 0, 1, nothing, 1);
        bool sent = wire_send(&wire, frames, size);
        for (unsigned k = 0; sent && k < 40; k++) {
            size = frame_add(frames, 0, CONTINUATION, 0, 1, nothing, sizes[i]);
            sent = wire_send(&wire, frames, size);
        }
        receive(5000);
        cr_expect(!sent || closed, "%zu", sizes[i]);
        wire_close(&wire);
    }
    check_alive();
}

Test(http_flood, ends_keys_that_change_all_the_time)
{
    start(http_limits_default());
    for (unsigned limit = 20; limit <= 20000; limit *= 1000) {
        open_http2(&wire);
        bool open = true;
        for (unsigned i = 0; open && i < limit; i++)
            open = SSL_key_update(wire.ssl, SSL_KEY_UPDATE_NOT_REQUESTED) == 1 &&
                   SSL_do_handshake(wire.ssl) == 1;
        receive(limit > 20 ? 5000 : 200);
        cr_expect_eq(!open || closed, limit > 20, "%u", limit);
        wire_close(&wire);
    }
    check_alive();
}

Test(http_flood, ends_a_handshake_that_takes_too_long)
{
    struct http_limits limits = http_limits_default();
    limits.request_ms = 300;
    start(limits);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(server.port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert(connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
    int64_t before_ms = clock_monotonic_ms();
    char byte = 0;
    cr_assert(recv(fd, &byte, 1, 0) <= 0);
    int64_t took_ms = clock_monotonic_ms() - before_ms;
    cr_assert(took_ms >= 250 && took_ms < 3000, "%ld", (long)took_ms);
    close(fd);
}

Test(http_flood, makes_room_where_connections_do_nothing)
{
    struct http_limits limits = http_limits_default();
    limits.connections = 2;
    start(limits);
    struct wire silent = {0};
    open_http2(&wire);
    cr_assert(wire_open(&silent, &server, &(struct wire_options){.alpn = "http/1.1"}));
    uint8_t frames[256];
    cr_assert(wire_send(&wire, frames, frame_add_request(frames, 0, 1, "/echo", false)));
    receive(100);
    wait_ms(1000);
    for (unsigned i = 0; i < 100 && !closed; i++) {
        struct wire next = {0};
        (void)wire_open(&next, &server, &(struct wire_options){.alpn = "http/1.1"});
        wire_receive(&silent, answer, sizeof answer, 10, &closed);
        wire_close(&next);
    }
    cr_expect(closed, "it never asked anything");
    wire_close(&silent);
    cr_assert(wire_send(&wire, frames, frame_add_request(frames, 0, 3, "/nothing", false)));
    closed = false;
    cr_expect(await("not_found"), "the older one did");
    wire_close(&wire);
    check_alive();
}

/* --- Saying good-bye --- */

static void *stop_server(void *owner)
{
    (void)owner;
    echo_stop(&server, 4000);
    return NULL;
}

/* Trailers without end, once the server has told its peers to go away: libh2o by itself would
 * never look at anything else again. */
Test(http_flood, leaves_though_a_header_block_goes_on)
{
    start(http_limits_default());
    open_http2(&wire);
    uint8_t frames[256];
    size_t size = frame_add_request(frames, 0, 1, "/echo", true);
    size = frame_add_request(frames, size, 3, "/never", false); /* Keeps it open. */
    cr_assert(wire_send(&wire, frames, size));
    receive(100);
    pthread_t thread;
    cr_assert(pthread_create(&thread, NULL, stop_server, NULL) == 0);
    /* The second GOAWAY comes a second after the first one. */
    for (unsigned seen = 0; seen < 2 && !closed;) {
        size_t part = receive(3000);
        for (size_t at = 0; at + 9 <= part; at += 9 + (size_t)(uint8_t)answer[at + 2])
            seen += answer[at + 3] == 7;
    }
    cr_assert(!closed);
    size = frame_add(frames, 0, HEADERS, END_STREAM, 1, "", 0);
    size = frame_add(frames, size, CONTINUATION, 0, 1, "", 0);
    cr_assert(wire_send(&wire, frames, size));
    receive(5000);
    cr_assert(closed);
    cr_assert(pthread_join(thread, NULL) == 0);
}

/* A hundred requests at once, of which nobody wants to see an answer. */
Test(http_flood, carries_out_nothing_for_a_client_that_is_gone)
{
    static const char request[] = "GET /later HTTP/1.1\r\nHost: h\r\n\r\n";
    char requests[100 * (sizeof request - 1)];
    start(http_limits_default());
    for (size_t i = 0; i < 100; i++)
        memcpy(requests + i * (sizeof request - 1), request, sizeof request - 1);
    cr_assert(wire_open(&wire, &server, &(struct wire_options){.alpn = "http/1.1"}));
    cr_assert(wire_send(&wire, requests, sizeof requests));
    while (atomic_load(&server.calls) < 2)
        wait_ms(1);
    const struct linger now = {.l_onoff = 1};
    cr_assert(setsockopt(wire.fd, SOL_SOCKET, SO_LINGER, &now, sizeof now) == 0);
    close(wire.fd);                                           /* With a reset. */
    wire.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); /* For wire_close(). */
    for (unsigned i = 0; i < 400 && echo_connections(&server) > 0; i++)
        wait_ms(10);
    cr_assert_eq(echo_connections(&server), 0);
    cr_assert(atomic_load(&server.calls) < 10, "%u", atomic_load(&server.calls));
}

/* --- Bodies and answers of all together --- */

static struct http_limits little_transit(void)
{
    struct http_limits limits = http_limits_default();
    limits.transit_bytes = 4 * (size_t)BODY_BYTES;
    return limits;
}

/* A body that lacks its end. */
static void hold_body(uint32_t stream)
{
    static const uint8_t body[BODY_BYTES / 4];
    static uint8_t frames[2 * BODY_BYTES];
    size_t size = frame_add_request(frames, 0, stream, "/echo", true);

    for (unsigned i = 0; i < 4; i++)
        size = frame_add(frames, size, DATA, 0, stream, body, sizeof body);
    cr_assert(wire_send(&wire, frames, size));
}

Test(http_flood, refuses_the_largest_of_too_many_bodies)
{
    start(little_transit());
    open_http2(&wire);
    for (uint32_t i = 0; i < 3; i++)
        hold_body(2 * i + 1);
    cr_assert(!got(receive(500), "busy"));
    for (uint32_t i = 3; i < 8; i++)
        hold_body(2 * i + 1);
    cr_assert(await("\"code\":\"busy\""));
    cr_assert(!closed, "the others go on");
    cr_assert_eq(atomic_load(&server.calls), 0);
    uint8_t frame[16];
    bool served = false;
    for (uint32_t i = 0; i < 8 && !served; i++) {
        cr_assert(wire_send(&wire, frame, frame_add(frame, 0, DATA, END_STREAM, 2 * i + 1, "", 0)));
        receive(100);
        served = atomic_load(&server.calls) >= 1;
    }
    for (unsigned i = 0; i < 50 && !served; i++) { /* On a machine that is slow. */
        receive(100);
        served = atomic_load(&server.calls) >= 1;
    }
    cr_assert(served, "what is left of them is served");
    check_alive();
}

Test(http_flood, ends_the_largest_of_too_many_bodies_over_http1)
{
    static const char head[] = "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 61440\r\n\r\n";
    static const char body[BODY_BYTES - 1];
    struct wire others[8];

    start(little_transit());
    for (unsigned i = 0; i < 8; i++) {
        cr_assert(wire_open(&others[i], &server, &(struct wire_options){.alpn = "http/1.1"}));
        wire_send(&others[i], head, sizeof head - 1);
        wire_send(&others[i], body, sizeof body);
    }
    for (unsigned i = 0; i < 400 && echo_connections(&server) > 4; i++)
        wait_ms(10);
    cr_expect(echo_connections(&server) >= 2 && echo_connections(&server) <= 4, "%u",
              echo_connections(&server));
    check_alive();
    for (unsigned i = 0; i < 8; i++)
        wire_close(&others[i]);
}

Test(http_flood, ends_those_who_do_not_take_large_answers)
{
    struct http_limits limits = http_limits_default();
    limits.transit_bytes = 3 * ECHO_LARGE_BYTES;
    start(limits);
    open_http2(&wire);
    uint8_t frames[512];
    size_t size = 0;
    for (uint32_t i = 0; i < 2; i++)
        size = frame_add_request(frames, size, 2 * i + 1, "/large", false);
    cr_assert(wire_send(&wire, frames, size));
    wait_ms(600);
    cr_assert_eq(echo_connections(&server), 1);
    for (uint32_t i = 2; i < 4; i++)
        size = frame_add_request(frames, i == 2 ? 0 : size, 2 * i + 1, "/large", false);
    wire_send(&wire, frames, size);
    for (unsigned i = 0; i < 400 && echo_connections(&server) > 0; i++)
        wait_ms(10);
    cr_assert_eq(echo_connections(&server), 0);
    check_alive();
}
