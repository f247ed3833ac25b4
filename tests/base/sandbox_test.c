/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/sandbox.h"

#define LOCK_BYTES 65536u

/* Each test is a process of its own, so that what it gives up is gone for it alone. */

static struct sandbox_report report;

static void enter(const char *user)
{
    struct status status = sandbox_enter(LOCK_BYTES, user, false, &report);
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
    cr_expect(!failed(sandbox_enter(too_much, NULL, false, &report)));
    cr_expect(!report.memory_lockable);
    cr_expect_str_eq(report.missing, "memory that can be locked");
    cr_expect_eq(sandbox_enter(too_much, NULL, true, &report).why, WHY_IO);
    cr_expect_str_eq(report.missing, "memory that can be locked", "a failure says what it is");
    cr_expect(report.core_off && report.privileges_fixed && report.user_dropped);
}

Test(sandbox, drops_root_for_good_and_keeps_its_guards)
{
    if (geteuid() != 0)
        cr_skip_test("only root can become another user");
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

Test(sandbox, names_a_user_that_is_not_there)
{
    if (geteuid() != 0)
        cr_skip_test("only root can become another user");
    enter("no-such-user");
    cr_expect(!report.user_dropped);
    cr_expect_not_null(strstr(report.missing, "a user of its own"));
    enter("root");
    cr_expect(!report.user_dropped, "root is no user to drop to");
    cr_expect_eq(sandbox_enter(0, "no-such-user", true, &report).why, WHY_IO);
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
