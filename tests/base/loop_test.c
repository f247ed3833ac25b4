/* SPDX-License-Identifier: Apache-2.0 */
#include "base/loop.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/encode.h"

static struct loop *loop;
static char trace[64];
static unsigned seen;

static void make(void)
{
    cr_assert(!failed(loop_new(&loop)));
}

static void drop(void)
{
    loop_free(&loop);
}

static void note(void *owner)
{
    size_t size = strlen(trace);
    trace[size] = *(const char *)owner;
    trace[size + 1] = '\0';
}

static void stop(void *owner)
{
    (void)owner;
    loop_stop(loop);
}

static struct loop_timer *timer_in(int64_t delay_ms, loop_fn fn, const char *owner)
{
    static char owners[16];
    static unsigned count;
    struct loop_timer *timer = NULL;
    char *copy = &owners[count++];
    *copy = *owner;
    cr_assert(!failed(loop_timer(loop, delay_ms, fn, copy, &timer)));
    return timer;
}

TestSuite(loop, .init = make, .fini = drop, .timeout = 20);

Test(loop, fires_timers_in_the_order_of_their_time_and_then_of_their_making)
{
    timer_in(30, note, "d");
    timer_in(10, note, "a");
    timer_in(20, note, "b");
    timer_in(20, note, "c");
    timer_in(60, stop, "");
    loop_run(loop);
    cr_assert_str_eq(trace, "abcd");
}

Test(loop, fires_no_timer_before_its_time)
{
    int64_t before_ms = clock_monotonic_ms();
    timer_in(50, stop, "");
    loop_run(loop);
    cr_assert(clock_monotonic_ms() - before_ms >= 50);
}

Test(loop, fires_no_timer_that_was_cancelled)
{
    struct loop_timer *timers[8];
    for (unsigned i = 0; i < 8; i++)
        timers[i] = timer_in(5 + 60 * (i % 3), note, (const char[]){(char)('0' + i)});
    for (unsigned i = 0; i < 8; i += 2) {
        loop_timer_cancel(&timers[i]);
        cr_assert_eq(timers[i], NULL);
        loop_timer_cancel(&timers[i]); /* And NULL is accepted. */
    }
    timer_in(250, stop, "");
    loop_run(loop);
    cr_assert_str_eq(trace, "3175"); /* By time: far enough apart for a busy machine. */
}

static void again(void *owner)
{
    struct loop_timer *timer = NULL;
    if (++seen < 1000)
        cr_assert(!failed(loop_timer(loop, 0, again, owner, &timer)));
}

Test(loop, lets_posts_through_between_timers_of_no_delay)
{
    struct loop_timer *timer = NULL;
    cr_assert(!failed(loop_timer(loop, 0, again, NULL, &timer)));
    cr_assert(!failed(loop_post(loop, stop, NULL)));
    loop_run(loop);
    cr_assert_lt(seen, 1000u);
}

static void *post_many(void *owner)
{
    static char letter = 'p';
    (void)owner;
    for (unsigned i = 0; i < 10; i++)
        cr_assert(!failed(loop_post(loop, note, &letter)));
    loop_stop(loop);
    return NULL;
}

Test(loop, runs_what_other_threads_post_and_stops_when_they_say)
{
    pthread_t thread;
    cr_assert_eq(pthread_create(&thread, NULL, post_many, NULL), 0);
    loop_run(loop);
    pthread_join(thread, NULL);
    timer_in(0, stop, "");
    loop_run(loop); /* What was posted late comes now. */
    cr_assert_str_eq(trace, "pppppppppp");
}

Test(loop, runs_nothing_inside_the_call_that_asks_for_it)
{
    cr_assert(!failed(loop_post(loop, note, (char[]){'x'})));
    timer_in(0, note, "y");
    cr_assert_str_eq(trace, "");
    /* Freeing the loop now drops both, which the leak checker watches. */
}

static void count_turn(void *owner)
{
    (*(unsigned *)owner)++;
}

Test(loop, calls_at_the_end_of_every_turn)
{
    unsigned turns = 0;
    loop_on_turn_end(loop, count_turn, &turns);
    for (unsigned run = 1; run <= 3; run++) { /* Each stop is a turn of its own. */
        timer_in(1, stop, "");
        loop_run(loop);
        cr_assert(turns >= run);
    }
}

static int pair[2];
static struct loop_watch *watch;

static void read_once(void *owner)
{
    char byte = 0;
    (void)owner;
    seen++;
    if (recv(pair[0], &byte, 1, 0) == 0)
        loop_stop(loop);
    else
        note(&byte);
}

static void write_and_leave(void *owner)
{
    (void)owner;
    note((char[]){'w'});
    shutdown(pair[1], SHUT_WR);
}

Test(loop, watches_a_descriptor_until_its_end)
{
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    cr_assert(!failed(loop_watch(loop, pair[0], read_once, NULL, &watch)));
    cr_assert_eq(send(pair[1], "ab", 2, 0), 2);
    loop_watch_writable(watch, write_and_leave);
    loop_watch_writable(watch, write_and_leave); /* Asked twice, told once. */
    loop_run(loop);
    cr_assert_eq(seen, 3);
    cr_assert_neq(strchr(trace, 'w'), NULL);
    cr_assert_eq(strchr(trace, 'w'), strrchr(trace, 'w'));
    cr_assert_neq(strstr(trace[0] == 'w' ? trace + 1 : trace, "a"), NULL);
    loop_watch_free(&watch);
    cr_assert_eq(watch, NULL);
}

static void free_watch(void *owner)
{
    (void)owner;
    seen++;
    loop_watch_free(&watch);
}

Test(loop, leaves_the_descriptor_open_when_a_watch_ends_within_its_own_call)
{
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    cr_assert(!failed(loop_watch(loop, pair[0], free_watch, NULL, &watch)));
    loop_watch_writable(watch, free_watch);
    cr_assert_eq(send(pair[1], "ab", 2, 0), 2);
    timer_in(20, stop, "");
    loop_run(loop);
    cr_assert_eq(seen, 1, "one call, and none after the watch ended");
    char bytes[2];
    cr_assert_eq(recv(pair[0], bytes, 2, 0), 2);
    cr_assert(!failed(loop_watch(loop, pair[0], read_once, NULL, &watch)), "and it can be watched");
    loop_watch_free(&watch);
}
