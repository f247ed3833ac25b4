/* SPDX-License-Identifier: Apache-2.0 */
/* As tight as a module bears that we have not read: what it may call is what SoftHSM and the
 * vendors' manuals say that theirs do, and each line says what for. */
#include "vault/hsm_confine.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>

#include "vault/settings.h"

#define OWN_PATHS        8u
#define SOCKET_TYPE_MASK 0xfu /* Without SOCK_CLOEXEC and SOCK_NONBLOCK. */

static const struct call_rule loading[] = {
    /* Of files, never of memory: what it maps it cannot have written through that mapping. */
    CALL_IF(mmap, "the module and the libraries that it links", ARG_LACKS(2, PROT_WRITE),
            ARG_LACKS(3, MAP_ANONYMOUS)),
    CALL_IF(setitimer, "a request has an end, also where the module hangs", ARG_IS(0, ITIMER_REAL)),
};
static const struct call_list code = CALL_LIST(loading);

static const struct call_rule keeping[] = {
    CALL(pread64, "tokens in files; libraries' heads"),
    CALL(pwrite64, "tokens in files"),
    CALL(readv, "the same"),
    CALL(ftruncate, "the same"),
    CALL(fsync, "a key that was made stays"),
    CALL(fdatasync, "the same"),
    CALL(getdents64, "which tokens there are"),
    CALL(stat, "the same, of old"),
    CALL(lstat, "the same, of old"),
    CALL(access, "the same"),
    CALL(faccessat, "the same"),
    CALL(faccessat2, "the same"),
    CALL(statx, "the same"),
    CALL(statfs, "which file system a token is on"),
    CALL(fstatfs, "the same"),
    CALL(mkdir, "a token's folder; which ones it may make is Landlock's matter"),
    CALL(mkdirat, "the same"),
    CALL(rename, "a file is whole or not at all"),
    CALL(renameat, "the same"),
    CALL(renameat2, "the same"),
    CALL(unlink, "and its lock goes"),
    CALL(unlinkat, "the same"),
    CALL(umask, "files are its user's alone"),
    CALL(getcwd, "a relative path is made an absolute one"),
    CALL(flock, "one at a time"),
    CALL_IF(fcntl, "one at a time", ARG_IS(1, F_GETLK)),
    CALL_IF(fcntl, "one at a time", ARG_IS(1, F_SETLK)),
    CALL_IF(fcntl, "one at a time", ARG_IS(1, F_SETLKW)),
};
static const struct call_list tokens = CALL_LIST(keeping);

static const struct call_rule asking[] = {
    CALL(getppid, "modules tell forks"), CALL(getresuid, "whether it is privileged"),
    CALL(getresgid, "the same"),         CALL(times, "modules seed and measure"),
    CALL(clock_getres, "the same"),      CALL(pipe2, "threads of modules wake each other"),
    CALL(eventfd2, "the same"),          CALL(epoll_create1, "the same"),
    CALL(epoll_ctl, "the same"),         CALL(epoll_wait, "the same"),
    CALL(epoll_pwait, "the same"),
};
static const struct call_list modules = CALL_LIST(asking);

/* It is told that there is none, and lives on: SoftHSM says to syslog what it thinks. */
static const struct call_rule without[] = {
    CALL_FAILS(socket, "syslog, and whoever else it would speak to", EACCES),
    CALL_FAILS(connect, "the same", EACCES),
};
static const struct call_list apart = CALL_LIST(without);

/* Not calls_dial: that refuses code that is loaded late, which a module is. */
static const struct call_rule dialling[] = {
    CALL_IF(socket, "an HSM on the network", ARG_IS(0, AF_INET),
            ARG_MASKED(1, SOCKET_TYPE_MASK, SOCK_STREAM)),
    CALL_IF(socket, "the same", ARG_IS(0, AF_INET6), ARG_MASKED(1, SOCKET_TYPE_MASK, SOCK_STREAM)),
    CALL_IF(socket, "name servers", ARG_IS(0, AF_INET),
            ARG_MASKED(1, SOCKET_TYPE_MASK, SOCK_DGRAM)),
    CALL_IF(socket, "name servers", ARG_IS(0, AF_INET6),
            ARG_MASKED(1, SOCKET_TYPE_MASK, SOCK_DGRAM)),
    CALL_IF(socket, "a vendor's daemon on this host; the name cache; syslog", ARG_IS(0, AF_UNIX)),
    CALL_IF(socket, "which address families this host has", ARG_IS(0, AF_NETLINK), ARG_IS(2, 0)),
    CALL(connect, "the same"),
    CALL(sendto, "to a name server"),
    CALL(sendmsg, "the same"),
    CALL(sendmmsg, "the same"),
    CALL(recvmsg, "answers"),
    CALL(shutdown, "connections"),
    CALL(setsockopt, "timeouts, TCP_NODELAY"),
    CALL(getsockopt, "SO_ERROR"),
    CALL(getsockname, "where it called from"),
    CALL(getpeername, "whom it called"),
};
static const struct call_list network = CALL_LIST(dialling);

static const struct call_rule driving[] = {
    CALL(ioctl, "the device's own; which devices it has is Landlock's matter"),
};
static const struct call_list device = CALL_LIST(driving);

void hsm_confine_calls(bool has_network, bool has_device,
                       const struct call_list *out_lists[static HSM_CONFINE_LISTS])
{
    size_t count = 0;

    out_lists[count++] = &calls_always;
    out_lists[count++] = &calls_threads;
    out_lists[count++] = &code;
    out_lists[count++] = &tokens;
    out_lists[count++] = &modules;
    out_lists[count++] = has_network ? &network : &apart;
    if (has_device)
        out_lists[count++] = &device;
    out_lists[count] = NULL;
}

/* A plain file is read (a module's own configuration); all else is kept: folders, devices. */
static enum landlock_reach reach_of(const char *path)
{
    struct stat info;

    return stat(path, &info) == 0 && S_ISREG(info.st_mode) ? LANDLOCK_READ : LANDLOCK_KEEP;
}

static bool is_device(const char *path)
{
    struct stat info;

    return stat(path, &info) == 0 && S_ISCHR(info.st_mode);
}

STATUS hsm_confine(const struct settings *settings, size_t lock_bytes,
                   struct sandbox_report *out_report)
{
    const struct settings_hsm *hsm = &settings->hsm;
    struct landlock_path paths[SETTINGS_HSM_FILES_MAX + OWN_PATHS] = {
        {hsm->module, LANDLOCK_READ},
        {"/usr/lib", LANDLOCK_READ}, /* What it links.  The host's libraries are no secret. */
        {"/usr/lib64", LANDLOCK_READ},
        {"/lib", LANDLOCK_READ},
        {"/lib64", LANDLOCK_READ},
        {"/etc/ld.so.cache", LANDLOCK_READ},
        {"/etc/ssl/openssl.cnf", LANDLOCK_READ}, /* The host's providers. */
        {"/etc/localtime", LANDLOCK_READ},       /* Modules' own logs. */
    };
    const struct call_list *calls[HSM_CONFINE_LISTS];
    size_t count = OWN_PATHS;
    bool has_device = false;

    for (size_t i = 0; i < hsm->file_count; i++) {
        paths[count++] = (struct landlock_path){hsm->files[i], reach_of(hsm->files[i])};
        has_device = has_device || is_device(hsm->files[i]);
    }
    hsm_confine_calls(hsm->network, has_device, calls);
    struct sandbox_options options = {
        .lock_bytes = lock_bytes,
        .user = settings->user,
        .strict = settings->production,
        .files = {.paths = paths,
                  .path_count = count,
                  .network = hsm->network ? LANDLOCK_LISTENS_AND_DIALS : LANDLOCK_NO_NETWORK},
        .calls = calls,
    };

    return sandbox_enter(&options, out_report);
}
