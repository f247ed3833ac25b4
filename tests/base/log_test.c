/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/log.h"
#include "base/own.h"

static int ends[2];
static char text[65536];

static void open_log(void)
{
    cr_assert_eq(pipe2(ends, O_NONBLOCK), 0);
    cr_assert(!failed(log_open("test", LOG_INFO, ends[1])));
}

/* Everything written so far; true when there is anything. */
static bool read_log(void)
{
    ssize_t size = read(ends[0], text, sizeof text - 1);
    text[size > 0 ? size : 0] = '\0';
    return size > 0;
}

static unsigned count_lines(const char *from)
{
    unsigned count = 0;
    for (const char *at = strchr(from, '\n'); at != NULL; at = strchr(at + 1, '\n'))
        count++;
    return count;
}

/* The member of the first line; fails the test where the line is no JSON or has no such member. */
static void expect_member(const char *name, const char *value)
{
    struct json_node nodes[64];
    struct json json;
    size_t at = 0;
    size_t size = strcspn(text, "\n");
    cr_assert(!failed(json_read((const uint8_t *)text, size, nodes, 64, &json, &at)), "%s", text);
    uint32_t member = json_member(&json, 0, name);
    cr_assert_neq(member, JSON_NONE, "%s in %s", name, text);
    cr_expect(json_equals(&json, member, value), "%s in %s", name, text);
}

TestSuite(log, .init = open_log);

Test(log, writes_one_json_line_per_event)
{
    log_event(LOG_WARN, "listening", "address", "127.0.0.1:1", "quote", "a\"b\\\n", NULL);
    cr_assert(read_log());
    cr_expect_eq(count_lines(text), 1);
    cr_expect_eq(strncmp(text, "{\"ts\":\"20", 9), 0, "%s", text);
    expect_member("level", "warn");
    expect_member("component", "test");
    expect_member("event", "listening");
    expect_member("address", "127.0.0.1:1");
    expect_member("quote", "a\"b\\\n");
}

Test(log, writes_null_for_a_value_that_is_null)
{
    log_event(LOG_INFO, "event", "name", (const char *)NULL, "next", "x", NULL);
    cr_assert(read_log());
    cr_expect_not_null(strstr(text, "\"name\":null,\"next\":\"x\"}\n"), "%s", text);
}

Test(log, says_why_and_where_of_a_failure)
{
    log_failure(LOG_ERROR, "commit failed", FAIL(WHY_IO), "request_id", "r1", NULL);
    cr_assert(read_log());
    expect_member("why", status_name(WHY_IO));
    expect_member("request_id", "r1");
    cr_expect_not_null(strstr(text, "log_test.c:"), "%s", text);
}

Test(log, masks_card_numbers_in_values_and_events)
{
    log_event(LOG_INFO, "saw 4111111111111111", "note", "x 4242 4242 4242 4242 y", NULL);
    cr_assert(read_log());
    cr_expect_null(strstr(text, "411111111111"));
    cr_expect_null(strstr(text, "4242 4242 4242 4242"));
    cr_expect_not_null(strstr(text, "1111\""), "%s", text);
    cr_expect_not_null(strstr(text, " 4242 y"), "%s", text);
}

/* Wherever a long value is cut, no more than four digits of a card in it are left. */
Test(log, masks_a_card_number_where_a_value_is_cut)
{
    char value[4096];
    for (size_t at = 500; at < 2100; at++) {
        memset(value, 'x', sizeof value - 1);
        value[sizeof value - 1] = '\0';
        memcpy(value + at, "4242424242424242", 16);
        char event[32];
        snprintf(event, sizeof event, "event %zu", at);
        log_event(LOG_INFO, event, "note", value, NULL);
        cr_assert(read_log());
        cr_assert_null(strstr(text, "42424"), "at %zu", at);
        cr_assert_not_null(strstr(text, "\"cut\":true"));
    }
}

Test(log, keeps_every_line_within_its_bound_and_whole)
{
    char value[8192];
    memset(value, 1, sizeof value - 1); /* Six bytes each, once escaped. */
    value[sizeof value - 1] = '\0';
    log_event(LOG_INFO, "big", "a", value, "b", value, "c", value, "d", "short", NULL);
    cr_assert(read_log());
    cr_expect_leq(strlen(text), LOG_LINE_BYTES_MAX);
    cr_expect_eq(count_lines(text), 1);
    expect_member("event", "big");
    cr_expect_not_null(strstr(text, "\"cut\":true}\n"), "%s", text);
}

Test(log, leaves_out_what_is_below_its_level)
{
    log_event(LOG_DEBUG, "quiet", NULL);
    cr_expect(!read_log());
    log_level_set(LOG_DEBUG);
    log_event(LOG_DEBUG, "quiet", NULL);
    cr_assert(read_log());
    expect_member("level", "debug");
    log_level_set(LOG_ERROR);
    log_event(LOG_WARN, "quiet", NULL);
    cr_expect(!read_log());
}

Test(log, counts_repeats_instead_of_writing_them)
{
    for (unsigned i = 0; i < LOG_REPEATS_PER_SECOND + 7; i++)
        log_event(LOG_INFO, "again", NULL);
    log_event(LOG_INFO, "another", NULL);
    cr_assert(read_log());
    cr_expect_eq(count_lines(text), LOG_REPEATS_PER_SECOND + 1);
    log_flush();
    cr_assert(read_log());
    cr_expect_eq(count_lines(text), 1);
    expect_member("event", "again");
    cr_expect_not_null(strstr(text, "\"held_back\":7}"), "%s", text);
    log_flush();
    cr_expect(!read_log(), "a count is written once");
}

Test(log, writes_again_when_a_second_has_passed)
{
    for (unsigned i = 0; i < LOG_REPEATS_PER_SECOND + 1; i++)
        log_event(LOG_INFO, "again", NULL);
    cr_assert(read_log());
    struct timespec wait = {.tv_sec = 1, .tv_nsec = 10000000};
    nanosleep(&wait, NULL);
    log_event(LOG_INFO, "again", NULL);
    cr_assert(read_log());
    cr_expect_eq(count_lines(text), 2);
    cr_expect_not_null(strstr(text, "\"held_back\":1}"), "%s", text);
}

Test(log, forgets_no_count_when_many_events_are_about)
{
    for (unsigned i = 0; i < LOG_REPEATS_PER_SECOND + 3; i++)
        log_event(LOG_INFO, "first", NULL);
    for (unsigned i = 0; i < 200; i++) {
        char event[32];
        snprintf(event, sizeof event, "event %u", i);
        log_event(LOG_INFO, event, NULL);
    }
    log_flush();
    cr_assert(read_log());
    cr_expect_not_null(strstr(text, "\"event\":\"first\",\"held_back\":3}"));
}

Test(log, keeps_its_own_descriptor)
{
    close(ends[1]);
    log_event(LOG_INFO, "still here", NULL);
    cr_expect(read_log());
}

Test(log, refuses_a_descriptor_that_is_not_open)
{
    cr_expect_eq(log_open("test", LOG_INFO, 999).why, WHY_IO);
    log_event(LOG_INFO, "goes where it went", NULL);
    cr_expect(read_log());
}

static void *write_many(void *unused)
{
    (void)unused;
    for (unsigned i = 0; i < 20; i++) {
        char event[32];
        snprintf(event, sizeof event, "event %u", i);
        log_event(LOG_INFO, event, "thread", "x", NULL);
    }
    return NULL;
}

Test(log, keeps_lines_of_many_threads_apart)
{
    pthread_t threads[4];
    for (unsigned i = 0; i < 4; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, write_many, NULL), 0);
    for (unsigned i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    cr_assert(read_log());
    cr_expect_eq(count_lines(text), 80);
    for (const char *at = text; *at != '\0'; at = strchr(at, '\n') + 1)
        cr_assert_eq(strncmp(at, "{\"ts\":", 6), 0);
}
