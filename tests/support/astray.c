/* SPDX-License-Identifier: Apache-2.0 */
/* A library for LD_PRELOAD that makes one call in a running process when told to, as somebody would
 * who had broken into it; for tests alone, and no part of what is installed.
 *
 * CARDKEEP_ASTRAY names the control file, ASTRAY_BYTES bytes that the test has made.  It is mapped
 * when the process starts.  "PART CALL PATH" stands at its start, and ORDER_GIVEN at STATE_AT: the
 * process whose thread has the part's name takes the order when it next waits for something, makes
 * the call, and leaves the call's errno at RESULT_AT, if it lives on.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <unistd.h>

#define ASTRAY_BYTES 4096u
#define STATE_AT     2048u
#define RESULT_AT    2052u
#define WORD_MAX     16u

enum { ORDER_NONE, ORDER_GIVEN, ORDER_TAKEN, ORDER_DONE };

static uint8_t *control;

__attribute__((constructor)) static void astray_open(void)
{
    const char *path = secure_getenv("CARDKEEP_ASTRAY");
    int fd = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
    void *mapping = MAP_FAILED;

    if (fd >= 0)
        mapping = mmap(NULL, ASTRAY_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mapping != MAP_FAILED)
        control = mapping;
    if (fd >= 0)
        close(fd);
}

static int of_descriptor(int fd)
{
    int error = fd < 0 ? errno : 0;

    if (fd >= 0)
        close(fd);
    return error;
}

static int of_result(long rc)
{
    return rc < 0 ? errno : 0;
}

/* To the port that PATH names, on this host. */
static int dial(const char *port)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)strtoull(port, NULL, 10)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    return fd < 0 ? errno : of_result(connect(fd, (struct sockaddr *)&to, sizeof to));
}

static int make_call(const char *call, char *path)
{
    char *const arguments[] = {path, NULL};

    if (strcmp(call, "read") == 0)
        return of_descriptor(open(path, O_RDONLY | O_CLOEXEC));
    if (strcmp(call, "write") == 0)
        return of_descriptor(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    if (strcmp(call, "unlink") == 0)
        return of_result(unlink(path));
    if (strcmp(call, "dial") == 0)
        return dial(path);
    if (strcmp(call, "socket") == 0)
        return of_descriptor(socket(AF_INET, SOCK_STREAM, 0));
    if (strcmp(call, "listen") == 0)
        return of_result(listen(socket(AF_INET, SOCK_STREAM, 0), 1));
    if (strcmp(call, "fork") == 0)
        return of_result(fork());
    if (strcmp(call, "exec") == 0)
        return of_result(execv(path, arguments));
    if (strcmp(call, "trace") == 0)
        return of_result(ptrace(PTRACE_ATTACH, getppid(), NULL, NULL));
    if (strcmp(call, "root") == 0)
        return of_result(setuid(0));
    if (strcmp(call, "kill") == 0)
        return of_result(kill(getppid(), SIGTERM));
    if (strcmp(call, "code") == 0) {
        void *at = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        return at == MAP_FAILED ? errno : 0;
    }
    return ENOSYS;
}

static void obey(void)
{
    int32_t *state = control == NULL ? NULL : (void *)(control + STATE_AT);
    int32_t given = ORDER_GIVEN;
    char name[17] = "", part[WORD_MAX + 1], call[WORD_MAX + 1], path[1024];
    int kept = errno;

    if (state == NULL || __atomic_load_n(state, __ATOMIC_ACQUIRE) != ORDER_GIVEN)
        return;
    if (prctl(PR_GET_NAME, name, 0, 0, 0) == 0 &&
        sscanf((const char *)control, "%16s %16s %1023s", part, call, path) == 3 &&
        strcmp(part, name) == 0 &&
        __atomic_compare_exchange_n(state, &given, ORDER_TAKEN, 0, __ATOMIC_ACQ_REL,
                                    __ATOMIC_ACQUIRE)) {
        *(int32_t *)(void *)(control + RESULT_AT) = make_call(call, path);
        __atomic_store_n(state, ORDER_DONE, __ATOMIC_RELEASE);
    }
    errno = kept;
}

/* What this library stands before, as that has its type. */
#define NEXT(name)                                                                                 \
    ({                                                                                             \
        static __typeof__(name) *next_;                                                            \
        if (next_ == NULL) {                                                                       \
            void *found_ = dlsym(RTLD_NEXT, #name);                                                \
            memcpy(&next_, &found_, sizeof next_);                                                 \
        }                                                                                          \
        next_;                                                                                     \
    })

/* The keeper waits here. */
int poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
    obey();
    return NEXT(poll)(fds, count, timeout_ms);
}

/* Front and relay. */
int epoll_wait(int fd, struct epoll_event *events, int room, int timeout_ms)
{
    obey();
    return NEXT(epoll_wait)(fd, events, room, timeout_ms);
}

/* The signer, each time it answers. */
ssize_t recv(int fd, void *bytes, size_t size, int flags)
{
    obey();
    return NEXT(recv)(fd, bytes, size, flags);
}
