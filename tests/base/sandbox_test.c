/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/sandbox.h"

#define LOCK_BYTES 65536u

/* Each test is a process of its own, so that what it gives up is gone for it alone. */

static struct sandbox_report report;

static struct status enter_as(size_t lock_bytes, const char *user, bool strict)
{
    struct sandbox_options options = {.lock_bytes = lock_bytes, .user = user, .strict = strict};
    return sandbox_enter(&options, &report);
}

static void enter(const char *user)
{
    struct status status = enter_as(LOCK_BYTES, user, false);
    cr_assert(!failed(status), "%s", report.missing);
}

Test(sandbox, leaves_no_core_and_no_way_to_trace)
{
    enter(NULL);
    cr_expect(report.core_off);
    struct rlimit limit;
    cr_assert_eq(getrlimit(RLIMIT_CORE, &limit), 0);
    cr_expect_eq(limit.rlim_cur, 0);
    cr_expect_eq(limit.rlim_max, 0);
    cr_expect_eq(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), 0);
}

Test(sandbox, gains_no_privileges)
{
    enter(NULL);
    cr_expect(report.privileges_fixed);
    cr_expect_eq(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
}

Test(sandbox, makes_files_for_its_user_alone_and_ignores_broken_pipes)
{
    enter(NULL);
    cr_expect_eq(umask(0), 077);
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    close(ends[0]);
    cr_expect_eq(write(ends[1], "x", 1), -1);
    cr_expect_eq(errno, EPIPE);
}

Test(sandbox, raises_the_lock_limit_as_far_as_it_may)
{
    struct rlimit limit;
    cr_assert_eq(getrlimit(RLIMIT_MEMLOCK, &limit), 0);
    rlim_t most = limit.rlim_max;
    limit.rlim_cur = 0;
    cr_assert_eq(setrlimit(RLIMIT_MEMLOCK, &limit), 0);
    enter(NULL);
    cr_assert_eq(getrlimit(RLIMIT_MEMLOCK, &limit), 0);
    cr_expect(limit.rlim_cur == most || limit.rlim_cur >= LOCK_BYTES);
    if (report.memory_lockable)
        cr_expect_null(strstr(report.missing, "locked"));
    else
        cr_expect_not_null(strstr(report.missing, "locked"));
}

Test(sandbox, names_memory_that_cannot_be_locked_and_refuses_where_strict)
{
    const size_t too_much = (size_t)1 << 46;
    cr_expect(!failed(enter_as(too_much, "nobody", false)));
    cr_expect(!report.memory_lockable);
    cr_expect_not_null(strstr(report.missing, "memory that can be locked"));
    cr_expect_eq(enter_as(too_much, "nobody", true).why, WHY_DENIED);
    cr_expect_not_null(strstr(report.missing, "memory that can be locked"),
                       "a failure says what it is");
    cr_expect(report.core_off && report.privileges_fixed && report.user_dropped);
}

Test(sandbox, tries_whether_memory_can_be_locked)
{
    const size_t some = (size_t)1 << 20;
    struct rlimit little = {.rlim_cur = 65536, .rlim_max = 65536};
    cr_assert_eq(setrlimit(RLIMIT_MEMLOCK, &little), 0);
    cr_assert(!failed(enter_as(0, "nobody", false)), "from here on the limit holds");
    cr_expect(!failed(enter_as(some, "nobody", false)));
    /* Sanitizers stand before mlock(), and lock nothing. */
    cr_expect_eq(report.memory_lockable, !calls_filtered());
    cr_expect_eq(strstr(report.missing, "memory that can be locked") != NULL, calls_filtered());
}

Test(sandbox, drops_root_for_good_and_keeps_its_guards)
{
    cr_assert(!failed(sandbox_die_with_parent()));
    enter("nobody");
    cr_expect(report.user_dropped);
    cr_expect_neq(getuid(), 0);
    cr_expect_neq(geteuid(), 0);
    cr_expect_neq(getgid(), 0);
    cr_expect_neq(setuid(0), 0);
    cr_expect_eq(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), 0, "a change of user sets it back");
    int parent_death_signal = 0;
    cr_assert_eq(prctl(PR_GET_PDEATHSIG, &parent_death_signal, 0, 0, 0), 0);
    cr_expect_eq(parent_death_signal, SIGKILL, "a change of user sets it back");
}

Test(sandbox, names_a_user_that_it_cannot_become)
{
    bool is_root = geteuid() == 0; /* Nobody else has anything to drop. */
    enter("no-such-user");
    cr_expect_eq(report.user_dropped, !is_root);
    cr_expect_eq(strstr(report.missing, "a user of its own") != NULL, is_root);
    enter("root");
    cr_expect_eq(report.user_dropped, !is_root, "root is no user to drop to");
    enter(NULL);
    cr_expect_eq(report.user_dropped, !is_root, "root without a user");
    cr_expect_eq(enter_as(0, NULL, true).why, is_root ? WHY_DENIED : WHY_NONE, "not in production");
    cr_expect_eq(enter_as(0, "no-such-user", true).why, is_root ? WHY_DENIED : WHY_NONE);
}

/* The whole of it, in a child that says by its exit code what was wrong. */
static int wait_status_of(void (*work)(void))
{
    int wait_status = 0;
    pid_t pid = fork();
    if (pid == 0) {
        work();
        _exit(0);
    }
    cr_assert_eq(waitpid(pid, &wait_status, 0), pid);
    return wait_status;
}

static const struct call_list *const least[] = {&calls_always, NULL};

static void all_at_once(void)
{
    struct sandbox_options options = {.lock_bytes = LOCK_BYTES, .user = "nobody", .calls = least};
    struct status status = sandbox_enter(&options, &report);
    bool complete = report.missing[0] == '\0';
    if (failed(status) || complete != (calls_filtered() && report.files_closed))
        _exit(1);
    if (report.calls_filtered != calls_filtered() ||
        report.files_closed != (calls_filtered() && landlock_version() > 0))
        _exit(2);
    if (report.files_closed && open("/etc/passwd", O_RDONLY) >= 0)
        _exit(3);
    (void)socket(AF_INET, SOCK_STREAM, 0);
    _exit(calls_filtered() ? 4 : 0);
}

Test(sandbox, bounds_files_and_calls_and_says_what_it_could_not)
{
    int wait_status = wait_status_of(all_at_once);
    if (calls_filtered())
        cr_expect(WIFSIGNALED(wait_status) && WTERMSIG(wait_status) == SIGSYS, "status %#x",
                  (unsigned)wait_status);
    else
        cr_expect_eq(wait_status, 0);
}

static void with_another_s_store(void)
{
    struct sandbox_options options = {.user = "nobody", .store = "/usr"};
    enum why why = sandbox_enter(&options, &report).why;
    if (why != WHY_DENIED || strstr(report.error, "belongs to user 0") == NULL)
        _exit(1);
}

Test(sandbox, refuses_a_store_that_is_not_its_own)
{
    cr_expect_eq(wait_status_of(with_another_s_store), 0);
}

static void as_a_parent(void)
{
    static char name[] = "true";
    char *const arguments[] = {name, NULL};
    if (failed(sandbox_enter_parent()) || prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0 ||
        prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
        _exit(1);
    pid_t pid = fork(); /* This it may. */
    if (pid < 0 || (pid > 0 && waitpid(pid, NULL, 0) != pid))
        _exit(2);
    if (pid == 0)
        _exit(0);
    if (calls_filtered())
        execve("/bin/true", arguments, NULL);
}

Test(sandbox, a_parent_starts_processes_and_no_program)
{
    int wait_status = wait_status_of(as_a_parent);
    if (calls_filtered())
        cr_expect(WIFSIGNALED(wait_status) && WTERMSIG(wait_status) == SIGSYS, "status %#x",
                  (unsigned)wait_status);
    else
        cr_expect_eq(wait_status, 0);
}

Test(sandbox, ends_with_its_parent)
{
    int ends[2];
    char byte = 0;
    cr_assert_eq(pipe(ends), 0);
    pid_t parent = fork();
    if (parent == 0) {
        if (fork() == 0) {
            /* Says that it is ready, then lives on, holding the pipe open. */
            if (failed(sandbox_die_with_parent()) || write(ends[1], "x", 1) != 1)
                _exit(1);
            for (;;)
                pause();
        }
        for (;;)
            pause();
    }
    close(ends[1]);
    cr_assert_eq(read(ends[0], &byte, 1), 1);
    kill(parent, SIGKILL);
    waitpid(parent, NULL, 0);
    alarm(5); /* Else the next line waits for ever. */
    cr_expect_eq(read(ends[0], &byte, 1), 0, "the pipe's last holder is gone");
}
