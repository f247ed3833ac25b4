/* SPDX-License-Identifier: Apache-2.0 */
#include "base/supervise.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/encode.h"

#define DELAY_LEAST_MS 100
#define DELAY_MOST_MS  5000
#define AT_ONCE_MS     5000  /* A process that lived shorter than that failed at once. */
#define LEAVE_MS       10000 /* For satellites to see that their core is gone. */
#define WAIT_MOST_MS   60000

struct child {
    const char *name;
    pid_t pid; /* 0: not running. */
    int64_t started_ms;
    int64_t start_at_ms; /* Not before. */
    unsigned failures;   /* In a row, each at once. */
};

struct supervisor {
    const struct supervise_options *options;
    struct child core;
    struct child satellites[SUPERVISE_SATELLITES_MAX];
    pid_t self;
    sigset_t waited; /* What run() waits for, blocked at all other times. */
    sigset_t before; /* The mask that children start with. */
    int control_fd;  /* To the core; -1 when closed. */
    bool stopping;
    int64_t kill_at_ms; /* Who is still there then is killed; 0: nobody is waited for. */
    int exit_code;
};

static void fd_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void control_close(struct supervisor *supervisor)
{
    fd_close(&supervisor->control_fd);
}

static struct child *child_at(struct supervisor *supervisor, unsigned index)
{
    return index == 0 ? &supervisor->core : &supervisor->satellites[index - 1];
}

static unsigned child_count(const struct supervisor *supervisor)
{
    return 1 + supervisor->options->satellite_count;
}

static void signal_all(struct supervisor *supervisor, int number)
{
    for (unsigned i = 0; i < child_count(supervisor); i++)
        if (child_at(supervisor, i)->pid > 0)
            kill(child_at(supervisor, i)->pid, number);
}

static void hang_up(struct supervisor *supervisor)
{
    const struct supervise_options *options = supervisor->options;

    if (options->core_hears_hangup && supervisor->core.pid > 0)
        kill(supervisor->core.pid, SIGHUP);
    for (unsigned i = 0; i < options->satellite_count; i++)
        if (options->satellites[i].hears_hangup && supervisor->satellites[i].pid > 0)
            kill(supervisor->satellites[i].pid, SIGHUP);
}

static bool any_satellite(const struct supervisor *supervisor)
{
    for (unsigned i = 0; i < supervisor->options->satellite_count; i++)
        if (supervisor->satellites[i].pid > 0)
            return true;
    return false;
}

/* Starting */

/* Runs in the child, and never returns. */
__attribute__((noreturn)) static void child_run(struct supervisor *supervisor, const char *name,
                                                int (*run)(void *, int), int fd)
{
    control_close(supervisor); /* Else the core would not see the end of it. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 || getppid() != supervisor->self)
        _exit(EXIT_FAILURE); /* The supervisor died in between. */
    prctl(PR_SET_NAME, name, 0, 0, 0);
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGINT, &ignore, NULL);
    /* One that comes before its reader waits is lost, and does not end it; what is blocked is kept
     * whether it is ignored or not. */
    sigaction(SIGHUP, &ignore, NULL);
    sigprocmask(SIG_SETMASK, &supervisor->before, NULL);
    int code = run(supervisor->options->owner, fd);
    fflush(NULL);
    _exit(code); /* Not exit(): what the supervisor registered is the supervisor's. */
}

static void child_failed(struct child *child, int64_t now_ms)
{
    int64_t delay_ms = DELAY_LEAST_MS;
    for (unsigned i = 0; i < child->failures && delay_ms < DELAY_MOST_MS; i++)
        delay_ms *= 2;
    child->failures++;
    child->start_at_ms = now_ms + (delay_ms < DELAY_MOST_MS ? delay_ms : DELAY_MOST_MS);
}

/* Forks with a new socket pair; *out_fd is our end.  What cannot be started is tried again later.
 */
static bool child_start(struct supervisor *supervisor, struct child *child, int type,
                        int (*run)(void *, int), int *out_fd)
{
    int ends[2] = {-1, -1};
    child->started_ms = clock_monotonic_ms();
    if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends) == 0)
        child->pid = fork();
    else
        child->pid = -1;
    if (child->pid == 0) {
        fd_close(&ends[0]);
        child_run(supervisor, child->name, run, ends[1]);
    }
    fd_close(&ends[1]);
    if (child->pid > 0) {
        *out_fd = ends[0];
        return true;
    }
    fd_close(&ends[0]);
    child->pid = 0;
    child_failed(child, child->started_ms);
    return false;
}

/* Hands the core its end.  A core that takes none (it is dying, or its queue is full) leaves the
 * satellite with a closed socket: it leaves, and is started again. */
static void core_tell(struct supervisor *supervisor, unsigned index, int fd)
{
    uint8_t number = (uint8_t)index;
    struct iovec part = {.iov_base = &number, .iov_len = sizeof number};
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
    (void)sendmsg(supervisor->control_fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void start_due(struct supervisor *supervisor, int64_t now_ms)
{
    const struct supervise_options *options = supervisor->options;
    if (supervisor->stopping)
        return;
    if (supervisor->core.pid == 0) {
        if (any_satellite(supervisor) || now_ms < supervisor->core.start_at_ms)
            return;
        supervisor->kill_at_ms = 0;
        if (!child_start(supervisor, &supervisor->core, SOCK_SEQPACKET, options->core,
                         &supervisor->control_fd))
            return;
    }
    for (unsigned i = 0; i < options->satellite_count; i++) {
        struct child *satellite = &supervisor->satellites[i];
        int fd = -1;
        if (satellite->pid != 0 || now_ms < satellite->start_at_ms)
            continue;
        if (!child_start(supervisor, satellite, SOCK_STREAM, options->satellites[i].run, &fd))
            continue;
        core_tell(supervisor, i, fd);
        fd_close(&fd);
    }
}

/* Ending */

static void stop(struct supervisor *supervisor)
{
    if (supervisor->stopping)
        return;
    supervisor->stopping = true;
    supervisor->kill_at_ms = clock_monotonic_ms() + SUPERVISE_STOP_MS;
    signal_all(supervisor, SIGTERM);
    if (supervisor->satellites[0].pid == 0)
        control_close(supervisor);
}

static void core_ended(struct supervisor *supervisor, int wait_status)
{
    bool in_order = (WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == EXIT_SUCCESS) ||
                    (WIFSIGNALED(wait_status) && WTERMSIG(wait_status) == SIGTERM);
    control_close(supervisor);
    if (supervisor->stopping && !in_order && supervisor->exit_code == EXIT_SUCCESS)
        supervisor->exit_code = EXIT_FAILURE;
    if (!supervisor->stopping)
        supervisor->kill_at_ms = clock_monotonic_ms() + LEAVE_MS;
}

static void child_ended(struct supervisor *supervisor, struct child *child, int wait_status)
{
    const struct supervise_options *options = supervisor->options;
    int64_t now_ms = clock_monotonic_ms();

    child->pid = 0;
    if (options->on_end != NULL)
        options->on_end(options->owner, child->name, wait_status);
    bool with_its_core = child != &supervisor->core && supervisor->core.pid == 0;
    if (with_its_core)
        child->start_at_ms = 0; /* No fault of its own. */
    else if (now_ms - child->started_ms < AT_ONCE_MS)
        child_failed(child, now_ms);
    else
        child->failures = 0;

    if (child == &supervisor->core)
        core_ended(supervisor, wait_status);
    if (WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == SUPERVISE_EXIT_CONFIG) {
        supervisor->exit_code = SUPERVISE_EXIT_CONFIG;
        stop(supervisor);
    }
    if (supervisor->stopping && supervisor->satellites[0].pid == 0)
        control_close(supervisor);
}

/* True while any child is there. */
static bool reap(struct supervisor *supervisor)
{
    bool any = false;
    for (unsigned i = 0; i < child_count(supervisor); i++) {
        struct child *child = child_at(supervisor, i);
        int wait_status = 0;
        if (child->pid > 0 && waitpid(child->pid, &wait_status, WNOHANG) == child->pid)
            child_ended(supervisor, child, wait_status);
        any = any || child->pid > 0;
    }
    return any;
}

static void kill_due(struct supervisor *supervisor, int64_t now_ms)
{
    if (supervisor->kill_at_ms == 0 || now_ms < supervisor->kill_at_ms)
        return;
    signal_all(supervisor, SIGKILL);
    supervisor->kill_at_ms = now_ms + LEAVE_MS;
    if (supervisor->stopping && supervisor->exit_code == EXIT_SUCCESS)
        supervisor->exit_code = EXIT_FAILURE;
}

/* Until the next thing is due, or a signal comes. */
static void wait_for_signal(struct supervisor *supervisor, int64_t now_ms)
{
    int64_t due_ms = now_ms + WAIT_MOST_MS;
    if (supervisor->kill_at_ms != 0 && supervisor->kill_at_ms < due_ms)
        due_ms = supervisor->kill_at_ms;
    for (unsigned i = 0; i < child_count(supervisor); i++) {
        const struct child *child = child_at(supervisor, i);
        if (child->pid == 0 && child->start_at_ms > now_ms && child->start_at_ms < due_ms)
            due_ms = child->start_at_ms;
    }
    int64_t wait_ms = due_ms > now_ms ? due_ms - now_ms : 0;
    struct timespec patience = {.tv_sec = wait_ms / 1000, .tv_nsec = wait_ms % 1000 * 1000000};
    int number = sigtimedwait(&supervisor->waited, NULL, &patience);
    if (number == SIGTERM || number == SIGINT)
        stop(supervisor);
    else if (number == SIGHUP)
        hang_up(supervisor);
}

static void signals_block(struct supervisor *supervisor)
{
    /* A parent that ignores SIGCHLD would leave us nothing to wait for. */
    struct sigaction usual = {.sa_handler = SIG_DFL};
    sigaction(SIGCHLD, &usual, NULL);
    sigemptyset(&supervisor->waited);
    sigaddset(&supervisor->waited, SIGTERM);
    sigaddset(&supervisor->waited, SIGINT);
    sigaddset(&supervisor->waited, SIGHUP);
    sigaddset(&supervisor->waited, SIGCHLD);
    sigprocmask(SIG_BLOCK, &supervisor->waited, &supervisor->before);
}

int supervise_run(const struct supervise_options *options)
{
    assert(options->core != NULL);
    assert(options->satellite_count <= SUPERVISE_SATELLITES_MAX);

    struct supervisor supervisor = {.options = options, .self = getpid(), .control_fd = -1};
    supervisor.core.name = options->core_name;
    for (unsigned i = 0; i < options->satellite_count; i++)
        supervisor.satellites[i].name = options->satellites[i].name;
    signals_block(&supervisor);
    for (;;) {
        bool any = reap(&supervisor);
        if (supervisor.stopping && !any)
            break;
        int64_t now_ms = clock_monotonic_ms();
        kill_due(&supervisor, now_ms);
        start_due(&supervisor, now_ms);
        wait_for_signal(&supervisor, now_ms);
    }
    control_close(&supervisor);
    sigprocmask(SIG_SETMASK, &supervisor.before, NULL);
    return supervisor.exit_code;
}

/* The one descriptor that a message brought; whatever else came is closed. */
static int fd_take(struct msghdr *message)
{
    int taken = -1;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header != NULL;
         header = CMSG_NXTHDR(message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
            continue;
        fd_close(&taken);
        memcpy(&taken, CMSG_DATA(header), sizeof taken); /* There is room for one alone. */
    }
    return taken;
}

STATUS supervise_receive(int control_fd, unsigned *out_index, int *out_fd)
{
    uint8_t number = 0;
    struct iovec part = {.iov_base = &number, .iov_len = sizeof number};
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    ssize_t size = -1;
    do
        size = recvmsg(control_fd, &message, MSG_CMSG_CLOEXEC);
    while (size < 0 && errno == EINTR);
    ENSURE(size >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK), WHY_BUSY);
    ENSURE(size > 0, WHY_NOT_FOUND);
    int fd = fd_take(&message);
    bool cut = (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0;
    if (fd < 0 || cut || number >= SUPERVISE_SATELLITES_MAX) {
        fd_close(&fd);
        return FAIL(WHY_FORGED);
    }
    *out_index = number;
    *out_fd = fd;
    return STATUS_OK;
}

STATUS supervise_signals(int *out_fd)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    ENSURE(sigprocmask(SIG_BLOCK, &set, NULL) == 0, WHY_IO);
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    ENSURE(fd >= 0, WHY_IO);
    *out_fd = fd;
    return STATUS_OK;
}

int supervise_signal_take(int fd)
{
    struct signalfd_siginfo info;

    return read(fd, &info, sizeof info) == (ssize_t)sizeof info ? (int)info.ssi_signo : 0;
}

bool supervise_ignore_term(void)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};

    return sigaction(SIGTERM, &ignore, NULL) == 0;
}
