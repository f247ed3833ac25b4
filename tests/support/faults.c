/* SPDX-License-Identifier: Apache-2.0 */
/* A library for LD_PRELOAD that makes system calls fail upon a word in a control file; for tests
 * alone, and no part of what is installed.
 *
 * CARDKEEP_FAULTS names the control file, FAULTS_BYTES bytes that the test has made.  It is mapped
 * when the process starts, so that forked processes, and those that changed their user, see every
 * later change.  Its text, up to the first NUL, is one rule a line:
 *
 *     CALLS WHAT WHERE [EVERY]
 *
 *   CALLS  names joined by commas: open (for writing), write, sync, grow, rename, mkdir, read,
 *          recv, send, accept, fork, socketpair, random, alloc (calloc(), of our own code
 *          mostly), clock, uptime
 *   WHAT   an error by its name, as ENOSPC; "short": the call moves one byte; "hold": it waits
 *          until the rule is gone, and goes on then (a call on a descriptor alone); for clock and
 *          uptime: seconds to add to the time of day, to that since the machine's start
 *   WHERE  a part of the path of the file (a socket's is socket:[…]), or * for any; with @NAME it
 *          is the name of the thread, as @keeper
 *   EVERY  that one in so many calls, else all
 *
 * At HITS_AT stands, as 8 bytes of this machine's order, how many calls were made to fail.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define FAULTS_BYTES 8192u
#define HITS_AT      4096u
#define SHORT        (-1) /* As what a call is told to do, beside errno's numbers. */
#define HOLD         (-2)
#define HOLD_LOOK_MS 5
#define WORD_MAX     256u

static uint8_t *control;
static uint32_t counter;

__attribute__((constructor)) static void faults_open(void)
{
    const char *path = secure_getenv("CARDKEEP_FAULTS");
    int fd = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
    void *mapping = MAP_FAILED;

    if (fd >= 0)
        mapping = mmap(NULL, FAULTS_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mapping != MAP_FAILED)
        control = mapping;
    if (fd >= 0)
        close(fd);
}

static void *next_of(const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);

    if (found == NULL)
        abort();
    return found;
}

/* What this library stands before, as that has its type. */
#define NEXT(name)                                                                                 \
    ({                                                                                             \
        static __typeof__(name) *next_;                                                            \
        if (next_ == NULL) {                                                                       \
            void *found_ = next_of(#name);                                                         \
            memcpy(&next_, &found_, sizeof next_);                                                 \
        }                                                                                          \
        next_;                                                                                     \
    })

/* ---- Rules ---- */

/* The next word of a line into `out`; false at its end. */
static bool word_take(const char **at, char out[static WORD_MAX])
{
    size_t size = 0;

    while (**at == ' ')
        (*at)++;
    while (**at != ' ' && **at != '\n' && **at != '\0' && size < WORD_MAX - 1)
        out[size++] = *(*at)++;
    out[size] = '\0';
    return size > 0;
}

static bool names_call(const char *calls, const char *call)
{
    size_t size = strlen(call);

    for (const char *at = calls; at != NULL; at = strchr(at, ',')) {
        at += *at == ',' ? 1 : 0;
        if (strncmp(at, call, size) == 0 && (at[size] == ',' || at[size] == '\0'))
            return true;
    }
    return false;
}

static int what_of(const char *word)
{
    static const struct {
        const char *name;
        int code;
    } known[] = {{"EIO", EIO},       {"ENOSPC", ENOSPC}, {"EINTR", EINTR},   {"EAGAIN", EAGAIN},
                 {"EMFILE", EMFILE}, {"ENFILE", ENFILE}, {"ENOMEM", ENOMEM}, {"EROFS", EROFS},
                 {"ENOSYS", ENOSYS}, {"short", SHORT},   {"hold", HOLD}};

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(known[i].name, word) == 0)
            return known[i].code;
    return (int)strtoll(word, NULL, 10);
}

static bool is_here(const char *where, const char *path)
{
    char name[17] = "";

    if (where[0] != '@')
        return strcmp(where, "*") == 0 || strstr(path, where) != NULL;
    return prctl(PR_GET_NAME, name, 0, 0, 0) == 0 && strcmp(name, where + 1) == 0;
}

/* What a call on this path is told to do: 0 for nothing, an error, SHORT, or seconds. */
static int rule_find(const char *call, const char *path)
{
    char calls[WORD_MAX], what[WORD_MAX], where[WORD_MAX], every[WORD_MAX];
    const char *at = (const char *)control;

    while (at != NULL && *at != '\0') {
        bool whole = word_take(&at, calls) && word_take(&at, what) && word_take(&at, where);
        if (whole && names_call(calls, call) && is_here(where, path)) {
            uint32_t one_in = word_take(&at, every) ? (uint32_t)strtoull(every, NULL, 10) : 1;
            if (__atomic_add_fetch(&counter, 1, __ATOMIC_RELAXED) % (one_in > 0 ? one_in : 1) == 0)
                return what_of(what);
        }
        at = strchr(at, '\n');
        at = at == NULL ? NULL : at + 1;
    }
    return 0;
}

static void hit(void)
{
    uint64_t *hits = (void *)(control + HITS_AT);

    __atomic_add_fetch(hits, 1, __ATOMIC_RELAXED);
}

static int fault_at(const char *call, const char *path)
{
    int kept = errno;

    if (control == NULL || control[0] == '\0')
        return 0;
    int what = rule_find(call, path);
    errno = kept;
    if (what != 0)
        hit();
    return what;
}

static int fault_on(const char *call, int fd)
{
    char link[64], path[1024];
    int kept = errno;

    if (control == NULL || control[0] == '\0')
        return 0;
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path - 1);
    path[size > 0 ? size : 0] = '\0';
    int what = fault_at(call, path);
    if (what == HOLD) {
        while (rule_find(call, path) == HOLD)
            (void)poll(NULL, 0, HOLD_LOOK_MS);
        what = 0;
    }
    errno = kept;
    return what;
}

/* Fails as told; or goes on, with one byte alone where the call is to be short. */
#define GATE(call, fd, size)                                                                       \
    do {                                                                                           \
        int what_ = fault_on((call), (fd));                                                        \
        if (what_ > 0) {                                                                           \
            errno = what_;                                                                         \
            return -1;                                                                             \
        }                                                                                          \
        if (what_ == SHORT && (size) > 1)                                                          \
            (size) = 1;                                                                            \
    } while (0)

#define GATE_PATH(call, path)                                                                      \
    do {                                                                                           \
        int what_ = fault_at((call), (path));                                                      \
        if (what_ > 0) {                                                                           \
            errno = what_;                                                                         \
            return -1;                                                                             \
        }                                                                                          \
    } while (0)

/* ---- The calls ---- */

ssize_t write(int fd, const void *bytes, size_t size)
{
    GATE("write", fd, size);
    return NEXT(write)(fd, bytes, size);
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t at)
{
    GATE("write", fd, size);
    return NEXT(pwrite)(fd, bytes, size, at);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    GATE("write", fd, count);
    return NEXT(writev)(fd, parts, count);
}

ssize_t read(int fd, void *bytes, size_t size)
{
    GATE("read", fd, size);
    return NEXT(read)(fd, bytes, size);
}

ssize_t recv(int fd, void *bytes, size_t size, int flags)
{
    GATE("recv", fd, size);
    return NEXT(recv)(fd, bytes, size, flags);
}

ssize_t send(int fd, const void *bytes, size_t size, int flags)
{
    GATE("send", fd, size);
    return NEXT(send)(fd, bytes, size, flags);
}

int fsync(int fd)
{
    size_t none = 0;
    GATE("sync", fd, none);
    return NEXT(fsync)(fd);
}

int fdatasync(int fd)
{
    size_t none = 0;
    GATE("sync", fd, none);
    return NEXT(fdatasync)(fd);
}

int fallocate(int fd, int mode, off_t from, off_t size)
{
    size_t none = 0;
    GATE("grow", fd, none);
    return NEXT(fallocate)(fd, mode, from, size);
}

int posix_fallocate(int fd, off_t from, off_t size)
{
    int what = fault_on("grow", fd);
    return what > 0 ? what : NEXT(posix_fallocate)(fd, from, size);
}

int ftruncate(int fd, off_t size)
{
    size_t none = 0;
    GATE("grow", fd, none);
    return NEXT(ftruncate)(fd, size);
}

int open(const char *path, int flags, ...)
{
    va_list more;
    va_start(more, flags);
    mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(more, mode_t) : 0;
    va_end(more);
    if ((flags & O_ACCMODE) != O_RDONLY || (flags & O_CREAT) != 0)
        GATE_PATH("open", path);
    return NEXT(open)(path, flags, mode);
}

int rename(const char *from, const char *to)
{
    GATE_PATH("rename", to);
    return NEXT(rename)(from, to);
}

int mkdir(const char *path, mode_t mode)
{
    GATE_PATH("mkdir", path);
    return NEXT(mkdir)(path, mode);
}

int accept(int fd, struct sockaddr *address, socklen_t *size)
{
    size_t none = 0;
    GATE("accept", fd, none);
    return NEXT(accept)(fd, address, size);
}

int accept4(int fd, struct sockaddr *address, socklen_t *size, int flags)
{
    size_t none = 0;
    GATE("accept", fd, none);
    return NEXT(accept4)(fd, address, size, flags);
}

/* Also what dlsym() asks for, before anything else can be found. */
void *__libc_calloc(size_t count, size_t size);

void *calloc(size_t count, size_t size)
{
    if (control != NULL && fault_at("alloc", "") > 0) {
        errno = ENOMEM;
        return NULL;
    }
    return __libc_calloc(count, size);
}

pid_t fork(void)
{
    GATE_PATH("fork", "");
    return NEXT(fork)();
}

int socketpair(int domain, int type, int protocol, int ends[2])
{
    GATE_PATH("socketpair", "");
    return NEXT(socketpair)(domain, type, protocol, ends);
}

ssize_t getrandom(void *out, size_t size, unsigned flags)
{
    int what = fault_at("random", "");
    if (what > 0) {
        errno = what;
        return -1;
    }
    return NEXT(getrandom)(out, what == SHORT && size > 1 ? 1 : size, flags);
}

int clock_gettime(clockid_t clock, struct timespec *out)
{
    int rc = NEXT(clock_gettime)(clock, out);
    if (rc == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_MONOTONIC))
        out->tv_sec += fault_at(clock == CLOCK_REALTIME ? "clock" : "uptime", "");
    return rc;
}
