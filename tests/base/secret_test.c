/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/own.h"
#include "base/secret.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WITH_ASAN
#elif __has_feature(thread_sanitizer)
#define WITH_TSAN
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define WITH_ASAN
#endif

/* The sanitizers make mlock() do nothing and succeed. */
#if defined(WITH_ASAN) || defined(WITH_TSAN)
#define LOCKS_COUNT 0
#else
#define LOCKS_COUNT 1
#endif

#define SLOT_COUNT 10u

static const uint8_t zeros[SECRET_BYTES_MAX];

static void open_pool(void)
{
    cr_assert(!failed(secret_pool_open(SLOT_COUNT)));
}

TestSuite(secret, .init = open_pool);
TestSuite(secret_alone);

Test(secret, has_its_size_and_begins_as_zeros)
{
    OWNED(secret_free) struct secret *secret = NULL;
    cr_assert(!failed(secret_new(16, &secret)));
    cr_assert_eq(secret_size(secret), 16u);
    cr_assert_arr_eq(secret_peek(secret), zeros, 16);
    cr_assert(secret_bytes(secret) == secret_peek(secret));
}

Test(secret, is_wiped_when_freed)
{
    struct secret *secret = NULL;
    cr_assert(!failed(secret_new(SECRET_BYTES_MAX, &secret)));
    const uint8_t *bytes = secret_peek(secret);
    memset(secret_bytes(secret), 0xd1, SECRET_BYTES_MAX);
    secret_free(&secret);
    cr_assert(secret == NULL);
    /* The slot freed last is the one taken next. */
    cr_assert(!failed(secret_new(SECRET_BYTES_MAX, &secret)));
    cr_assert(secret_peek(secret) == bytes);
    cr_assert_arr_eq(bytes, zeros, SECRET_BYTES_MAX);
    secret_free(&secret);
    secret_free(&secret);
}

Test(secret, refuses_more_than_a_slot_holds)
{
    struct secret *secret = NULL;
    cr_assert_eq(secret_new(SECRET_BYTES_MAX + 1, &secret).why, WHY_LIMIT);
    cr_assert_eq(secret_new(SIZE_MAX, &secret).why, WHY_LIMIT);
    cr_assert(secret == NULL);
    cr_assert_eq(secret_pool_free_count(), SLOT_COUNT);
}

Test(secret, is_busy_when_none_is_left_and_free_again_later)
{
    struct secret *all[SLOT_COUNT] = {NULL};
    struct secret *more = NULL;
    for (unsigned i = 0; i < SLOT_COUNT; i++) {
        cr_assert_eq(secret_pool_free_count(), SLOT_COUNT - i);
        cr_assert(!failed(secret_new(SECRET_BYTES_MAX, &all[i])));
        memset(secret_bytes(all[i]), (int)i + 1, SECRET_BYTES_MAX);
    }
    cr_assert_eq(secret_new(1, &more).why, WHY_BUSY);
    cr_assert(more == NULL);
    for (unsigned i = 0; i < SLOT_COUNT; i++) {
        for (unsigned at = 0; at < SECRET_BYTES_MAX; at++)
            cr_assert_eq(secret_peek(all[i])[at], i + 1, "no two share a byte");
    }
    secret_free(&all[3]);
    cr_assert(!failed(secret_new(1, &more)));
    secret_free(&more);
    for (unsigned i = 0; i < SLOT_COUNT; i++)
        secret_free(&all[i]);
    secret_pool_close();
    cr_assert_eq(secret_pool_free_count(), 0u);
}

Test(secret, shortened_holds_the_rest_no_more)
{
    OWNED(secret_free) struct secret *secret = NULL;
    cr_assert(!failed(secret_new(100, &secret)));
    memset(secret_bytes(secret), 0xd1, 100);
    const uint8_t *bytes = secret_peek(secret);
    secret_shorten(secret, 100);
    secret_shorten(secret, 40);
    cr_assert_eq(secret_size(secret), 40u);
    cr_assert_eq(bytes[39], 0xd1);
#if !defined(WITH_ASAN) /* Which forbids to look. */
    cr_assert_arr_eq(bytes + 40, zeros, 60);
#endif
}

/* The flags of the mapping that holds `at`, as the kernel tells them. */
static void flags_of(const void *at, char *out, size_t out_size)
{
    FILE *maps = fopen("/proc/self/smaps", "r");
    cr_assert(maps != NULL);
    char line[512];
    bool is_it = false;
    out[0] = '\0';
    while (fgets(line, sizeof line, maps) != NULL) {
        unsigned long from;
        unsigned long to;
        if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
            is_it = from <= (uintptr_t)at && (uintptr_t)at < to;
        if (is_it && strncmp(line, "VmFlags:", 8) == 0)
            snprintf(out, out_size, "%s", line);
    }
    fclose(maps);
    cr_assert(out[0] != '\0');
}

Test(secret, lies_in_memory_that_is_locked_and_not_dumped)
{
    char flags[512];
    OWNED(secret_free) struct secret *card = NULL;
    OWNED(secret_free) struct secret *key = NULL;
    cr_assert(!failed(secret_new(16, &card)));
    flags_of(secret_peek(card), flags, sizeof flags);
    cr_assert(!LOCKS_COUNT || strstr(flags, " lo") != NULL, "%s", flags);
    cr_assert(strstr(flags, " dd") != NULL, "%s", flags);
    cr_assert(strstr(flags, " dc") != NULL, "%s", flags);
    cr_assert(!failed(secret_new_key(32, &key)));
    flags_of(secret_peek(key), flags, sizeof flags);
    cr_assert(!LOCKS_COUNT || strstr(flags, " lo") != NULL, "%s", flags);
    cr_assert(strstr(flags, " dd") != NULL, "%s", flags);
}

/* True when a child that does `what` is ended by a signal. */
static bool is_deadly(void (*what)(const void *), const void *at)
{
    pid_t child = fork();
    if (child == 0) {
        struct rlimit none = {0, 0};
        setrlimit(RLIMIT_CORE, &none);
        if (freopen("/dev/null", "w", stderr) == NULL)
            _exit(0);
        /* ASan would turn the signal into an exit status. */
        struct sigaction by_default = {.sa_handler = SIG_DFL};
        sigaction(SIGSEGV, &by_default, NULL);
        sigaction(SIGBUS, &by_default, NULL);
        what(at);
        _exit(0);
    }
    int status = 0;
    cr_assert_eq(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status);
}

static void do_read(const void *at)
{
    volatile uint8_t byte = *(const volatile uint8_t *)at;
    (void)byte;
}

static void do_write(const void *at)
{
    *(volatile uint8_t *)(uintptr_t)at = 1;
}

Test(secret, of_a_card_does_not_pass_to_a_child)
{
    OWNED(secret_free) struct secret *card = NULL;
    cr_assert(!failed(secret_new(16, &card)));
    cr_assert(is_deadly(do_read, secret_peek(card)));
}

Test(secret_alone, key_is_guarded_and_can_be_made_read_only)
{
    OWNED(secret_free) struct secret *key = NULL;
    cr_assert(!failed(secret_new_key(32, &key)));
    cr_assert_eq(secret_size(key), 32u);
    cr_assert_arr_eq(secret_peek(key), zeros, 32);
    memset(secret_bytes(key), 7, 32);
    cr_assert(!is_deadly(do_write, secret_peek(key)), "the test sees a difference");
    cr_assert(is_deadly(do_read, secret_peek(key) + 32), "a page behind it is out of reach");
    secret_protect(key);
    cr_assert(is_deadly(do_write, secret_peek(key)));
    cr_assert(!is_deadly(do_read, secret_peek(key)));
    cr_assert_eq(secret_peek(key)[31], 7u);
}

Test(secret_alone, key_may_be_larger_than_a_slot)
{
    OWNED(secret_free) struct secret *key = NULL;
    cr_assert(!failed(secret_new_key(3 * 4096 + 1, &key)));
    secret_bytes(key)[3 * 4096] = 1;
    secret_free(&key);
    cr_assert(key == NULL);
}

#if LOCKS_COUNT
static void may_lock(rlim_t bytes)
{
    struct rlimit limit = {bytes, bytes};
    cr_assert_eq(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
    /* The superuser may lock whatever the limit. */
    if (geteuid() == 0)
        cr_assert_eq(setresuid(65534, 65534, 65534), 0);
}

Test(secret_alone, is_refused_where_memory_cannot_be_locked)
{
    struct secret *key = NULL;
    may_lock(0);
    cr_assert_eq(secret_pool_open(8).why, WHY_LIMIT);
    cr_assert_eq(secret_pool_free_count(), 0u);
    cr_assert_eq(secret_new_key(32, &key).why, WHY_LIMIT);
    cr_assert(key == NULL);
}

Test(secret_alone, pool_is_refused_when_larger_than_what_may_be_locked)
{
    may_lock(64u << 10);
    cr_assert_eq(secret_pool_open(1000).why, WHY_LIMIT);
    cr_assert(!failed(secret_pool_open(128)));
    cr_assert_eq(secret_pool_free_count(), 128u);
    secret_pool_close();
}
#endif

Test(secret, pool_can_be_opened_anew_once_closed)
{
    secret_pool_close();
    cr_assert_eq(secret_pool_open(0).why, WHY_LIMIT);
    cr_assert(!failed(secret_pool_open(64)));
    cr_assert_eq(secret_pool_free_count(), 64u);
    secret_pool_close();
}

Test(secret_alone, is_busy_without_a_pool)
{
    struct secret *secret = NULL;
    cr_assert_eq(secret_pool_free_count(), 0u);
    cr_assert_eq(secret_new(1, &secret).why, WHY_BUSY);
}

Test(secret_alone, pool_does_not_close_over_a_secret_in_use, .signal = SIGABRT)
{
    struct secret *secret = NULL;
    cr_assert(!failed(secret_pool_open(1)));
    cr_assert(!failed(secret_new(1, &secret)));
    secret_pool_close();
}

Test(secret_alone, protected_key_is_not_lent_for_writing, .signal = SIGABRT)
{
    struct secret *key = NULL;
    cr_assert(!failed(secret_new_key(32, &key)));
    secret_protect(key);
    secret_bytes(key)[0] = 1;
}

static void *take_and_return(void *wrong_count)
{
    for (unsigned i = 0; i < 5000; i++) {
        OWNED(secret_free) struct secret *secret = NULL;
        if (failed(secret_new(64, &secret)))
            continue;
        if (memcmp(secret_peek(secret), zeros, 64) != 0)
            ++*(unsigned *)wrong_count;
        memset(secret_bytes(secret), 0xd1, 64);
    }
    return NULL;
}

Test(secret, is_taken_and_returned_by_many_threads)
{
    pthread_t threads[4];
    unsigned wrong_counts[4] = {0};
    for (unsigned i = 0; i < 4; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, take_and_return, &wrong_counts[i]), 0);
    for (unsigned i = 0; i < 4; i++)
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    for (unsigned i = 0; i < 4; i++)
        cr_assert_eq(wrong_counts[i], 0u);
    cr_assert_eq(secret_pool_free_count(), SLOT_COUNT);
}
