/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>

#include "base/wipe.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <h2o.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/echo.h"
#include "tests/support/http_client.h"

#define MARK_BYTES 24u
/* The mark never stands in this process as it is: only with this flipped in every byte. */
#define MASK 0x15u

static uint8_t masked[MARK_BYTES];
static struct echo server;

static void make_mask(void)
{
    for (unsigned i = 0; i < MARK_BYTES; i++)
        masked[i] = (uint8_t)(('A' + (7 * i) % 26) ^ MASK);
}

static bool is_mark(const char *bytes)
{
    for (unsigned i = 0; i < MARK_BYTES; i++)
        if (((uint8_t)bytes[i] ^ MASK) != masked[i])
            return false;
    return true;
}

/* Marks in one mapping, read through /proc so that a page that goes away is no fault. */
static unsigned marks_in(int memory, uint64_t from, uint64_t to)
{
    static char block[64 * 1024 + MARK_BYTES];
    unsigned count = 0;

    for (uint64_t at = from; at < to; at += sizeof block - MARK_BYTES) {
        size_t wanted = to - at < sizeof block ? (size_t)(to - at) : sizeof block;
        ssize_t got = pread(memory, block, wanted, (off_t)at);
        /* Marks beginning in the last bytes belong to the next block. */
        for (ssize_t i = 0; i + (ssize_t)MARK_BYTES <= got; i++) {
            bool twice = i >= (ssize_t)(sizeof block - MARK_BYTES);
            count += !twice && is_mark(block + i);
        }
    }
    memset(block, 0, sizeof block);
    return count;
}

/* Copies of the mark in all memory of this process. */
static unsigned marks_in_memory(void)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    int memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    cr_assert(maps != NULL && memory >= 0);
    char line[512];
    unsigned count = 0;
    while (fgets(line, sizeof line, maps) != NULL) {
        char *end = NULL;
        uint64_t from = strtoull(line, &end, 16);
        uint64_t to = strtoull(end + 1, &end, 16);
        if (end[1] == 'r' && strstr(line, "[v") == NULL)
            count += marks_in(memory, from, to);
    }
    fclose(maps);
    close(memory);
    return count;
}

/* In a process of its own, so that a client's copies are not ours: sends the mark as a body. */
static bool mark_was_echoed(const struct ask *as)
{
    pid_t child = fork();
    cr_assert(child >= 0);
    if (child == 0) {
        static char body[3000];
        memset(body, '.', sizeof body);
        for (unsigned i = 0; i < MARK_BYTES; i++)
            body[1000 + i] = (char)(masked[i] ^ MASK);
        struct ask ask = *as;
        ask.body = body;
        ask.body_size = sizeof body;
        const struct reply *got = ask_echo(&server, &ask);
        bool echoed = got->body_size == sizeof body && is_mark(got->body + 1000);
        _exit(echoed || as->timeout_ms != 0 ? 0 : 1);
    }
    int outcome = -1;
    cr_assert_eq(waitpid(child, &outcome, 0), child);
    return WIFEXITED(outcome) && WEXITSTATUS(outcome) == 0;
}

static void make(void)
{
    make_mask();
    echo_start(&server, ECHO_TLS, NULL);
}

static void drop(void)
{
    echo_free(&server);
}

TestSuite(wipe, .init = make, .fini = drop, .timeout = 60);

#if defined(__SANITIZE_ADDRESS__)
#define OFF true
#elif defined(__has_feature)
#define OFF __has_feature(address_sanitizer)
#else
#define OFF false
#endif

Test(wipe, is_the_one_that_libh2o_calls)
{
    cr_assert_eq(wipe_is_in_force(), !OFF);
}

/* Under the sanitizer memory has terabytes of shadows, too many to look through. */
Test(wipe, finds_the_mark_where_it_is, .disabled = OFF)
{
    char *here = calloc(1, MARK_BYTES);
    for (unsigned i = 0; i < MARK_BYTES; i++)
        here[i] = (char)(masked[i] ^ MASK);
    cr_assert(marks_in_memory() >= 1, "else the tests below would prove nothing");
    memset(here, 0, MARK_BYTES);
    __asm__ volatile("" : : "r"(here) : "memory");
    free(here);
    cr_assert_eq(marks_in_memory(), 0);
}

Test(wipe, wipes_what_anybody_frees, .disabled = OFF)
{
    char *here = calloc(1, 1000);
    for (unsigned i = 0; i < MARK_BYTES; i++)
        here[500 + i] = (char)(masked[i] ^ MASK);
    __asm__ volatile("" : : "r"(here) : "memory");
    cr_assert(marks_in_memory() >= 1);
    free(here);
    cr_assert_eq(marks_in_memory(), 0);
}

Test(wipe, counts_with_every_request, .disabled = OFF)
{
    for (unsigned http2 = 0; http2 < 2; http2++) {
        uint64_t before = wipe_count();
        cr_assert(mark_was_echoed(&(struct ask){.path = "/echo", .http2 = http2 == 1}));
        cr_assert(wipe_count() > before);
    }
}

static void check_clean(const char *path, bool http2, long timeout_ms)
{
    for (unsigned i = 0; i < 3; i++)
        cr_assert(
            mark_was_echoed(&(struct ask){.path = path, .http2 = http2, .timeout_ms = timeout_ms}));
    /* The client is gone; the server finds out soon. */
    while (echo_connections(&server) > 0)
        continue;
    cr_expect_eq(marks_in_memory(), 0, "%s over HTTP/%d", path, http2 ? 2 : 1);
}

Test(wipe, leaves_no_body_and_no_answer_behind, .disabled = OFF)
{
    check_clean("/echo", false, 0);
    check_clean("/echo", true, 0);
    check_clean("/later", false, 0);
    check_clean("/later", true, 0);
}

/* The bytes of a request with the mark in its body, and the beginning of what comes next, so that
 * the input buffer which holds both stays. */
static size_t unfinished_request(bool http2, uint8_t *out)
{
    uint8_t mark[MARK_BYTES];
    for (unsigned i = 0; i < MARK_BYTES; i++)
        mark[i] = masked[i] ^ MASK;
    if (http2) {
        size_t size = frame_add_request(out, frame_preface(out), 1, "/echo", true);
        size = frame_add(out, size, 0, 0, 1, mark, sizeof mark);
        size = frame_add(out, size, 0, 1, 1, mark, sizeof mark);
        return frame_add(out, size, 6, 0, 0, "12345678", 8) - 5;
    }
    int head = snprintf((char *)out, 128,
                        "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: %u\r\n\r\n", MARK_BYTES);
    memcpy(out + head, mark, sizeof mark);
    memcpy(out + (size_t)head + sizeof mark, "GET /ec", 7);
    return (size_t)head + sizeof mark + 7;
}

/* Sends that, waits for the answer, says so through `fd` and keeps the connection. */
static void keep_connection(bool http2, int fd)
{
    uint8_t bytes[1024];
    char got[1024];
    bool closed = false;
    struct wire wire;
    size_t size = unfinished_request(http2, bytes);
    bool good = wire_open(&wire, &server, &(struct wire_options){.alpn = http2 ? "h2" : NULL}) &&
                wire_send(&wire, bytes, size);
    size = wire_receive(&wire, got, sizeof got, 500, &closed);
    for (size_t i = 0; i + MARK_BYTES <= size; i++)
        if (is_mark(got + i) && good && !closed && write(fd, "!", 1) == 1)
            pause();
    _exit(1);
}

static void check_clean_while_connected(bool http2)
{
    int ends[2];
    char said = 0;
    cr_assert_eq(pipe(ends), 0);
    pid_t child = fork();
    cr_assert(child >= 0);
    if (child == 0)
        keep_connection(http2, ends[1]);
    close(ends[1]);
    cr_assert_eq(read(ends[0], &said, 1), 1, "the client was answered");
    cr_expect_eq(echo_connections(&server), 1);
    cr_expect_eq(marks_in_memory(), 0, "over HTTP/%d", http2 ? 2 : 1);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    close(ends[0]);
    while (echo_connections(&server) > 0)
        continue;
}

Test(wipe, leaves_no_body_in_the_input_of_a_connection_that_stays, .disabled = OFF)
{
    check_clean_while_connected(false);
    check_clean_while_connected(true);
}

Test(wipe, leaves_no_body_of_a_client_that_vanished, .disabled = OFF)
{
    check_clean("/never", true, 100);
}

Test(wipe, keeps_bodies_out_of_files)
{
    cr_assert_eq(h2o_socket_buffer_mmap_settings.threshold, SIZE_MAX);
}
