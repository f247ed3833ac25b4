/* SPDX-License-Identifier: Apache-2.0 */
#include "base/calls.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/attempts.h"

static const struct call_list *const least[] = {&calls_always, NULL};
static const struct call_list *const with_threads[] = {&calls_always, &calls_threads, NULL};

static int nothing(void)
{
    return 3;
}

static int a_socket(void)
{
    (void)socket(AF_INET, SOCK_STREAM, 0);
    return 0;
}

static int failed_assert(void)
{
    abort();
}

static void *on_thread(void *seen)
{
    *(int *)seen = 4;
    return NULL;
}

static int a_thread(void)
{
    pthread_t thread;
    int seen = 0;

    if (pthread_create(&thread, NULL, on_thread, &seen) != 0)
        return 1;
    pthread_join(thread, NULL);
    return seen;
}

static int clone3_refused(void)
{
    return syscall(SYS_clone3, NULL, 0) == -1 && errno == ENOSYS ? 5 : 1;
}

static void *socket_on_thread(void *unused)
{
    (void)socket(AF_INET, SOCK_STREAM, 0);
    return unused;
}

static int a_socket_on_a_thread(void)
{
    pthread_t thread;

    if (pthread_create(&thread, NULL, socket_on_thread, NULL) != 0)
        return 1;
    pthread_join(thread, NULL);
    return 0;
}

/* Refused late, under a list that had it. */
static int no_more_pipes(void)
{
    static const struct call_rule rules[] = {CALL(pipe2, "done with")};
    static const struct call_list done = CALL_LIST(rules);
    int ends[2];

    if (pipe2(ends, 0) != 0 || failed(calls_refuse(&done)))
        return 1;
    return pipe2(ends, 0) == 0 ? 0 : 1;
}

#if defined(__x86_64__)
static int by_the_numbers_of_32_bits(void)
{
    long rc = 20; /* getpid() there, writev() here. */
    __asm__ volatile("int $0x80" : "+a"(rc) : : "memory");
    return 0;
}

static int by_the_numbers_of_x32(void)
{
    return syscall(0x40000000 | SYS_getpid) < 0 ? 1 : 0;
}
#endif

static int status_of(int (*attempt)(void), const struct call_list *const *lists)
{
    return attempts_status(lists, attempt);
}

/* What is said below holds where there is a filter; where there is none, this alone. */
static void expect_killed(int wait_status)
{
    if (calls_filtered())
        cr_expect(attempts_killed(wait_status), "status %#x", (unsigned)wait_status);
    else
        cr_expect(WIFEXITED(wait_status), "status %#x", (unsigned)wait_status);
}

static void expect_code(int wait_status, int code)
{
    cr_expect(WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == code, "status %#x",
              (unsigned)wait_status);
}

Test(calls, a_process_lives_within_its_lists)
{
    expect_code(status_of(nothing, least), 3);
}

Test(calls, a_call_that_no_list_has_ends_the_process)
{
    expect_killed(status_of(a_socket, least));
}

Test(calls, a_thread_is_made_where_its_list_is_and_ends_all_where_it_goes_astray)
{
    expect_code(status_of(a_thread, with_threads), 4);
    expect_killed(status_of(a_thread, least));
    expect_killed(status_of(a_socket_on_a_thread, with_threads));
}

Test(calls, flags_that_no_filter_sees_are_refused_without_an_end)
{
    if (calls_filtered())
        expect_code(status_of(clone3_refused, with_threads), 5);
}

Test(calls, an_assert_that_failed_ends_a_process_as_what_it_is)
{
    int status = status_of(failed_assert, least);
    cr_expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "status %#x", (unsigned)status);
}

Test(calls, what_is_refused_later_is_gone)
{
    static const struct call_list *const lists[] = {&calls_always, &calls_serve, NULL};
    expect_killed(status_of(no_more_pipes, lists));
}

#if defined(__x86_64__)
Test(calls, numbers_of_another_architecture_are_no_way_around)
{
    if (calls_filtered()) {
        expect_killed(status_of(by_the_numbers_of_32_bits, least));
        expect_killed(status_of(by_the_numbers_of_x32, least));
    }
}
#endif

/* What the daemons' supervisors refuse is inherited, and leaves everything else alone. */
Test(calls, a_parent_s_refusal_reaches_its_children)
{
    pid_t parent = fork();
    if (parent == 0) {
        if (failed(calls_refuse(&calls_programs)))
            _exit(77);
        pid_t child = fork();
        if (child == 0) {
            static char name[] = "true";
            char *const arguments[] = {name, NULL};
            (void)execve("/bin/true", arguments, NULL);
            _exit(1);
        }
        int wait_status = 0;
        _exit(waitpid(child, &wait_status, 0) == child && attempts_killed(wait_status) ? 6 : 1);
    }
    int wait_status = 0;
    cr_assert_eq(waitpid(parent, &wait_status, 0), parent);
    expect_code(wait_status, calls_filtered() ? 6 : 1);
}

Test(calls, every_rule_says_why)
{
    const struct call_list *const all[] = {&calls_always, &calls_threads,  &calls_store,
                                           &calls_serve,  &calls_programs, &calls_dial};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        cr_assert_gt(all[i]->count, 0);
        for (size_t k = 0; k < all[i]->count; k++)
            cr_expect_gt(strlen(all[i]->rules[k].why), 3);
    }
}
