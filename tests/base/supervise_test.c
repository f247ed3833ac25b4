/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/encode.h"
#include "base/supervise.h"

/* The supervisor is a child of the test; it and its own children say what happens, a line each,
 * through one pipe.  They are no place for Criterion's assertions. */
static int report[2];
static pid_t supervisor;
static char seen[65536]; /* All lines so far. */
static size_t seen_size;

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
    char line[128];
    va_list values;
    va_start(values, format);
    int size = vsnprintf(line, sizeof line, format, values);
    va_end(values);
    if (write(report[1], line, (size_t)size) != size)
        _exit(99);
}

/* Waits until `text` has been said `count` times. */
static bool heard(const char *text, unsigned count)
{
    int64_t end_ms = clock_monotonic_ms() + 8000;
    for (;;) {
        unsigned found = 0;
        for (const char *at = strstr(seen, text); at != NULL; at = strstr(at + 1, text))
            found++;
        if (found >= count)
            return true;
        struct pollfd ready = {.fd = report[0], .events = POLLIN};
        if (poll(&ready, 1, (int)(end_ms - clock_monotonic_ms())) <= 0)
            return false;
        ssize_t size = read(report[0], seen + seen_size, sizeof seen - seen_size - 1);
        if (size <= 0)
            return false;
        seen_size += (size_t)size;
    }
}

/* The number behind the `count`th `text`. */
static pid_t heard_pid(const char *text, unsigned count)
{
    cr_assert(heard(text, count), "no %s, but:\n%s", text, seen);
    const char *at = seen;
    for (unsigned i = 0; i < count; i++)
        at = strstr(at, text) + strlen(text);
    int pid = 0;
    cr_assert_eq(sscanf(at, "%d", &pid), 1);
    return pid;
}

static void run(const struct supervise_options *options)
{
    cr_assert_eq(pipe2(report, O_CLOEXEC), 0);
    supervisor = fork();
    if (supervisor == 0) {
        int code = supervise_run(options);
        say("code %d\n", code);
        _exit(code);
    }
    close(report[1]);
}

static int code_of_supervisor(void)
{
    int wait_status = 0;
    waitpid(supervisor, &wait_status, 0);
    return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : -1;
}

/* Children */

/* Greets each satellite through the socket that it gets; leaves when it is to. */
static int patient_core(void *owner, int control_fd)
{
    (void)owner;
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGTERM, &ignore, NULL);
    sigaction(SIGPIPE, &ignore, NULL); /* A satellite may be gone before it is greeted. */
    say("core %d\n", getpid());
    for (;;) {
        unsigned index = 0;
        int fd = -1;
        struct status status = supervise_receive(control_fd, &index, &fd);
        if (failed(status)) {
            say("core leaves: %s\n", status_name(status.why));
            return status.why == WHY_NOT_FOUND ? 0 : 1;
        }
        say("got %u\n", index);
        if (write(fd, "hello", 5) != 5)
            say("satellite %u is gone\n", index);
        /* The descriptor stays open: its end is what the satellite waits for. */
    }
}

static int patient_satellite(const char *name, int core_fd)
{
    char bytes[16] = "";
    ssize_t size = read(core_fd, bytes, sizeof bytes - 1);
    say("%s %d %s\n", name, getpid(), bytes);
    while (size > 0)
        size = read(core_fd, bytes, sizeof bytes);
    say("%s leaves\n", name);
    return 0;
}

/* As the front: SIGTERM ends it. */
static int front(void *owner, int core_fd)
{
    (void)owner;
    return patient_satellite("front", core_fd);
}

/* As the signer: it leaves at the end of its socket alone. */
static int signer(void *owner, int core_fd)
{
    (void)owner;
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGTERM, &ignore, NULL);
    return patient_satellite("signer", core_fd);
}

static void on_end(void *owner, const char *name, int wait_status)
{
    say("%s: %s ended %d\n", (const char *)owner, name, WIFEXITED(wait_status));
}

static char owner_name[] = "owner";

static const struct supervise_options vault = {
    .core_name = "keeper",
    .core = patient_core,
    .satellites = {{.name = "front", .run = front}, {.name = "signer", .run = signer}},
    .satellite_count = 2,
    .owner = owner_name,
    .on_end = on_end};

/* Waits for a signal and says which; ends as the front does. */
static int hearing_front(void *owner, int core_fd)
{
    int fd = -1;

    (void)owner;
    (void)core_fd;
    if (failed(supervise_signals(&fd)))
        return 1;
    say("front waits\n");
    for (;;) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        (void)poll(&ready, 1, -1);
        int number = supervise_signal_take(fd);
        say("front heard %d\n", number);
        if (number == SIGTERM)
            return 0;
    }
}

/* Tests */

Test(supervise, passes_a_hang_up_on_to_who_waits_for_it_and_to_nobody_else, .timeout = 20)
{
    struct supervise_options options = vault;
    options.satellites[0].run = hearing_front;
    options.satellites[0].hears_hangup = true;
    run(&options);
    cr_assert(heard("front waits", 1) && heard("signer ", 1), "%s", seen);
    for (unsigned i = 1; i <= 3; i++) {
        kill(supervisor, SIGHUP);
        cr_assert(heard("front heard 1\n", i), "%s", seen);
    }
    kill(heard_pid("core ", 1), SIGHUP);
    kill(heard_pid("signer ", 1), SIGHUP);
    kill(supervisor, SIGTERM);
    cr_assert(heard("code 0", 1), "%s", seen);
    cr_expect_eq(code_of_supervisor(), 0);
    cr_expect(heard("front heard 15\n", 1), "%s", seen);
    cr_expect(heard("core leaves: not found", 1), "a hang-up did not end it: %s", seen);
    cr_expect(heard("signer leaves", 1), "nor the signer: %s", seen);
}

Test(supervise, gives_the_core_a_socket_of_every_satellite, .timeout = 20)
{
    run(&vault);
    cr_expect(heard("got 0", 1) && heard("got 1", 1));
    cr_expect(heard(" hello", 2));
    kill(supervisor, SIGTERM);
    cr_expect_eq(code_of_supervisor(), 0);
}

Test(supervise, stops_satellite_0_then_the_core_then_the_rest, .timeout = 20)
{
    run(&vault);
    cr_assert(heard(" hello", 2));
    kill(supervisor, SIGTERM);
    cr_assert(heard("code 0", 1), "%s", seen);
    const char *front_ended = strstr(seen, "front ended");
    const char *core_leaves = strstr(seen, "core leaves: not found");
    const char *signer_leaves = strstr(seen, "signer leaves");
    cr_assert(front_ended != NULL && core_leaves != NULL && signer_leaves != NULL, "%s", seen);
    cr_expect_lt(core_leaves, signer_leaves);
    cr_expect_null(strstr(seen, "front leaves"), "SIGTERM ended it");
    cr_expect_eq(code_of_supervisor(), 0);
}

Test(supervise, stops_on_an_interrupt_too_and_its_children_ignore_that, .timeout = 20)
{
    run(&vault);
    cr_assert(heard(" hello", 2));
    pid_t pid = heard_pid("front ", 1);
    kill(pid, SIGINT);
    kill(supervisor, SIGINT);
    cr_assert(heard("code 0", 1));
    cr_expect_eq(code_of_supervisor(), 0);
    cr_expect_null(strstr(seen, "got 0\ngot 0"));
}

Test(supervise, starts_a_dead_satellite_again_with_a_new_socket, .timeout = 20)
{
    run(&vault);
    cr_assert(heard(" hello", 2));
    pid_t first = heard_pid("front ", 1);
    kill(first, SIGKILL);
    cr_assert(heard("got 0", 2), "%s", seen);
    cr_assert(heard(" hello", 3), "the new socket carries");
    cr_expect(heard("owner: front ended 0", 1), "and the caller is told");
    cr_expect_null(strstr(strstr(seen, "core ") + 1, "core "), "the core went on");
    cr_expect_null(strstr(seen, "signer leaves"), "and so did the other");
    kill(supervisor, SIGTERM);
    cr_expect_eq(code_of_supervisor(), 0);
}

Test(supervise, starts_all_again_when_the_core_dies, .timeout = 20)
{
    run(&vault);
    cr_assert(heard(" hello", 2));
    kill(heard_pid("core ", 1), SIGKILL);
    cr_assert(heard("core ", 2), "%s", seen);
    cr_assert(heard(" hello", 4), "%s", seen);
    const char *second = strstr(strstr(seen, "core ") + 1, "core ");
    cr_assert_not_null(strstr(seen, "front leaves"));
    cr_assert_not_null(strstr(seen, "signer leaves"));
    cr_expect_lt(strstr(seen, "front leaves"), second, "the old ones left first");
    cr_expect_lt(strstr(seen, "signer leaves"), second);
    kill(supervisor, SIGTERM);
    cr_expect_eq(code_of_supervisor(), 0);
}

Test(supervise, kills_its_children_when_it_is_killed, .timeout = 20)
{
    run(&vault);
    cr_assert(heard(" hello", 2));
    kill(supervisor, SIGKILL);
    code_of_supervisor();
    cr_expect(!heard("never said", 1));
    char byte = 0;
    cr_expect_eq(read(report[0], &byte, 1), 0, "nobody holds the pipe any more");
}

static int hopeless_core(void *owner, int control_fd)
{
    (void)owner;
    (void)control_fd;
    say("core %d\n", getpid());
    return SUPERVISE_EXIT_CONFIG;
}

Test(supervise, does_not_start_a_core_again_that_said_it_cannot_start, .timeout = 20)
{
    struct supervise_options options = vault;
    options.core = hopeless_core;
    run(&options);
    cr_assert(heard("code 2", 1));
    cr_expect_eq(code_of_supervisor(), SUPERVISE_EXIT_CONFIG);
    cr_expect_null(strstr(strstr(seen, "core ") + 1, "core "));
}

/* Waits for its greeting: a core that SIGTERM meets before it ignores that would not "leave". */
static int hopeless_satellite(void *owner, int core_fd)
{
    char byte;

    (void)owner;
    return read(core_fd, &byte, 1) == 1 ? SUPERVISE_EXIT_CONFIG : 1;
}

Test(supervise, stops_when_a_satellite_said_it_cannot_start, .timeout = 20)
{
    struct supervise_options options = vault;
    options.satellites[1].run = hopeless_satellite;
    run(&options);
    cr_assert(heard("code 2", 1), "%s", seen);
    cr_expect_eq(code_of_supervisor(), SUPERVISE_EXIT_CONFIG);
    cr_expect(heard("core leaves: not found", 1), "the core left in good order: %s", seen);
}

static int failing_satellite(void *owner, int core_fd)
{
    (void)owner;
    (void)core_fd;
    say("tried %lld\n", (long long)clock_monotonic_ms());
    return 1;
}

Test(supervise, starts_what_fails_at_once_slower_and_slower, .timeout = 20)
{
    struct supervise_options options = vault;
    options.satellites[1].run = failing_satellite;
    run(&options);
    cr_assert(heard("tried ", 4));
    kill(supervisor, SIGTERM);
    cr_expect_eq(code_of_supervisor(), 0);
    long long at[4] = {0};
    const char *text = seen;
    for (unsigned i = 0; i < 4; i++) {
        text = strstr(text, "tried ") + 6;
        cr_assert_eq(sscanf(text, "%lld", &at[i]), 1);
    }
    cr_expect_geq(at[1] - at[0], 100);
    cr_expect_geq(at[2] - at[1], 200);
    cr_expect_geq(at[3] - at[2], 400);
}

static int failing_core(void *owner, int control_fd)
{
    (void)patient_core(owner, control_fd);
    return 7;
}

Test(supervise, fails_when_the_core_does_not_stop_in_good_order, .timeout = 20)
{
    struct supervise_options options = vault;
    options.core = failing_core;
    run(&options);
    cr_assert(heard(" hello", 2));
    kill(supervisor, SIGTERM);
    cr_expect_eq(code_of_supervisor(), 1);
}

Test(supervise, runs_a_core_without_satellites, .timeout = 20)
{
    struct supervise_options options = {.core_name = "core", .core = patient_core};
    run(&options);
    cr_assert(heard("core ", 1));
    kill(supervisor, SIGTERM);
    cr_expect_eq(code_of_supervisor(), 0);
    cr_expect(heard("core leaves: not found", 1));
}

/* Sends `size` bytes, and standard input where `with_fd` says so. */
static void send_message(int fd, const uint8_t *bytes, size_t size, bool with_fd)
{
    int lent = STDIN_FILENO;
    struct iovec part = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = size};
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (with_fd) {
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof control.bytes;
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(sizeof lent);
        memcpy(CMSG_DATA(&control.header), &lent, sizeof lent);
    }
    cr_assert_eq(sendmsg(fd, &message, 0), (ssize_t)size);
}

Test(supervise, receives_only_what_a_supervisor_sends)
{
    int ends[2];
    unsigned index = 77;
    int fd = -1;
    cr_assert_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends), 0);
    cr_expect_eq(supervise_receive(ends[1], &index, &fd).why, WHY_BUSY);
    send_message(ends[0], (const uint8_t[]){1}, 1, false);
    cr_expect_eq(supervise_receive(ends[1], &index, &fd).why, WHY_FORGED, "no descriptor");
    send_message(ends[0], (const uint8_t[]){SUPERVISE_SATELLITES_MAX}, 1, true);
    cr_expect_eq(supervise_receive(ends[1], &index, &fd).why, WHY_FORGED, "no such satellite");
    send_message(ends[0], (const uint8_t[]){1, 1}, 2, true);
    cr_expect_eq(supervise_receive(ends[1], &index, &fd).why, WHY_FORGED, "too long");
    cr_expect_eq(index, 77);
    cr_expect_eq(fd, -1);
    send_message(ends[0], (const uint8_t[]){3}, 1, true);
    cr_assert(!failed(supervise_receive(ends[1], &index, &fd)));
    cr_expect_eq(index, 3);
    cr_expect_eq(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    close(ends[0]);
    cr_expect_eq(supervise_receive(ends[1], &index, &fd).why, WHY_NOT_FOUND);
}
