/* SPDX-License-Identifier: Apache-2.0 */
/* The calls that several processes share, by what they are for: calls.h. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "base/calls.h"

#define SOCKET_TYPE_MASK 0xfu   /* Without SOCK_CLOEXEC and SOCK_NONBLOCK. */
#define OPEN_WRITE_HINT  0x40cu /* F_SET_RW_HINT, in <linux/fcntl.h>. */
#define CLONE_THREADS    (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD)
#define CLONE_SPACES     (CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC)

static const struct call_rule always[] = {
    CALL(read, "frames, files, wake-ups"),
    CALL(write, "files, log, wake-ups"),
    CALL(writev, "the C library's last words"),
    CALL(close, "what is done with"),
    CALL(recvfrom, "frames and connections"),
    /* With an address it could reach whom nobody connected to. */
    CALL_IF(sendto, "frames and connections", ARG_NULL(4)),
    CALL(poll, "waits for any of a few"),
    CALL(ppoll, "the same, where there is no poll"),
    CALL(futex, "mutexes and conditions"),
    CALL(restart_syscall, "a wait goes on after a stop"),
    CALL(clock_gettime, "the time, where the vDSO has no answer"),
    CALL(gettimeofday, "the same"),
    CALL(clock_nanosleep, "RocksDB backs off, the ledger keeps its pace"),
    CALL(nanosleep, "the same"),
    CALL(sched_yield, "RocksDB's and libsodium's spinning locks"),
    CALL(getrandom, "keys, nonces, tokens"),

    CALL(brk, "the heap"),
    CALL_IF(mmap, "the heap, stacks, locked memory; never code", ARG_LACKS(2, PROT_EXEC)),
    CALL_IF(mprotect, "guard pages, read-only keys; never code", ARG_LACKS(2, PROT_EXEC)),
    CALL(munmap, "memory goes back"),
    CALL(mremap, "the heap's large blocks grow"),
    CALL(madvise, "keys stay out of core files, freed pages go back"),
    CALL(mlock, "secrets stay out of swap"),
    CALL(munlock, "and their pages go back"),

    CALL(openat, "which files there are for it is Landlock's matter"),
    CALL(open, "the same, of old"),
    CALL(fstat, "whose a file is, and its mode"),
    CALL(newfstatat, "the same"),
    CALL(lseek, "files of libraries"),
    CALL(readlink, "which disk a store is on; what a link says is no secret"),
    CALL(readlinkat, "the same"),
    CALL_IF(fcntl, "descriptors' flags", ARG_IS(1, F_GETFL)),
    CALL_IF(fcntl, "descriptors' flags", ARG_IS(1, F_SETFL)),
    CALL_IF(fcntl, "descriptors' flags", ARG_IS(1, F_GETFD)),
    CALL_IF(fcntl, "descriptors' flags", ARG_IS(1, F_SETFD)),
    CALL_IF(fcntl, "the log's own descriptor", ARG_IS(1, F_DUPFD_CLOEXEC)),

    CALL(getpid, "libraries tell forks"),
    CALL(gettid, "libraries tell threads"),
    CALL(getuid, "whose a key file is"),
    CALL(geteuid, "whose a key file is"),
    CALL(getgid, "libraries ask whether they are privileged"),
    CALL(getegid, "the same"),
    CALL(uname, "libraries ask for the kernel's version"),
    CALL(sysinfo, "the C library's sort asks how much memory there is"),
    CALL_IF(prctl, "its own name", ARG_IS(0, PR_GET_NAME)),
    CALL_IF(prlimit64, "what the limits are, of itself alone", ARG_IS(0, 0), ARG_NULL(2)),
    CALL(getrusage, "RocksDB and libh2o ask what was used"),

    CALL(rt_sigaction, "SIGPIPE and, at an assert, SIGABRT"),
    CALL(rt_sigprocmask, "signals wait for the loop"),
    CALL(rt_sigreturn, "and return"),
    CALL_IF(tgkill, "an assert that failed ends the process as itself", ARG_IS(2, SIGABRT)),
    CALL(exit, "a thread's end"),
    CALL(exit_group, "its own"),

    /* Its flags are in memory, where no filter sees them: the C library tries clone() then. */
    CALL_FAILS(clone3, "flags that cannot be judged", ENOSYS),
};
const struct call_list calls_always = CALL_LIST(always);

static const struct call_rule threads[] = {
    CALL_IF(clone, "threads, and nothing but threads",
            ARG_MASKED(0, CLONE_THREADS | CLONE_SPACES, CLONE_THREADS)),
    CALL(set_robust_list, "a thread's mutexes"),
    CALL(rseq, "a thread's place"),
    CALL(sched_getaffinity, "how many threads are sensible"),
    CALL_IF(prctl, "a thread's name", ARG_IS(0, PR_SET_NAME)),
};
const struct call_list calls_threads = CALL_LIST(threads);

static const struct call_rule store[] = {
    CALL(pread64, "tables"),
    CALL(pwrite64, "tables"),
    CALL(readahead, "tables"),
    CALL(fadvise64, "tables"),
    CALL(fallocate, "room before it is written"),
    CALL(ftruncate, "and given back"),
    CALL(fdatasync, "a turn is on the disk"),
    CALL(fsync, "a folder is"),
    CALL(sync_file_range, "tables, a piece at a time"),
    CALL(fstatfs, "whether the file system can do the former"),
    CALL(statfs, "how much room there is"),
    CALL(getdents64, "which files there are"),
    CALL(mkdir, "the store's folder"),
    CALL(mkdirat, "the same"),
    CALL(access, "whether a file is there"),
    CALL(faccessat, "the same"),
    CALL(faccessat2, "the same"),
    CALL(stat, "a file's size, of old"),
    CALL(getcwd, "RocksDB makes a relative path an absolute one"),
    CALL(rename, "CURRENT points to a manifest that is whole"),
    CALL(renameat, "the same"),
    CALL(renameat2, "the same"),
    CALL(link, "a checkpoint shares its tables"),
    CALL(linkat, "the same"),
    CALL(unlink, "tables that were compacted"),
    CALL(unlinkat, "the same"),
    CALL(rmdir, "a checkpoint that was begun"),
    CALL_IF(fcntl, "one store, one process", ARG_IS(1, F_SETLK)),
    CALL_IF(fcntl, "how long a file will live", ARG_IS(1, OPEN_WRITE_HINT)),
};
const struct call_list calls_store = CALL_LIST(store);

static const struct call_rule serve[] = {
    CALL_IF(socket, "listeners", ARG_IS(0, AF_INET), ARG_MASKED(1, SOCKET_TYPE_MASK, SOCK_STREAM)),
    CALL_IF(socket, "listeners", ARG_IS(0, AF_INET6), ARG_MASKED(1, SOCKET_TYPE_MASK, SOCK_STREAM)),
    CALL(bind, "listeners"),
    CALL(listen, "listeners"),
    CALL(accept4, "connections"),
    CALL(accept, "connections"),
    CALL(shutdown, "connections"),
    CALL(setsockopt, "TCP_NODELAY, SO_REUSEADDR"),
    CALL(getsockopt, "SO_ERROR"),
    CALL(getsockname, "the port that was bound"),
    CALL(getpeername, "who called, for the log"),
    CALL(epoll_create, "the loop"),
    CALL(epoll_create1, "the loop"),
    CALL(epoll_ctl, "the loop"),
    CALL(epoll_wait, "the loop"),
    CALL(epoll_pwait, "the loop"),
    CALL(eventfd2, "workers wake the loop"),
    CALL(pipe2, "the loop wakes itself"),
    CALL(signalfd4, "a stop comes through the loop"),
    CALL(seccomp, "once it listens it gives up more"),
    CALL_IF(prctl, "the same", ARG_IS(0, PR_SET_NO_NEW_PRIVS)),
    CALL(dup2, "standard error is pointed away from libraries"),
    CALL(dup3, "the same"),
};
const struct call_list calls_serve = CALL_LIST(serve);

static const struct call_rule dial[] = {
    CALL(connect, "vault, gateways, name servers"),
    CALL_IF(socket, "name servers", ARG_IS(0, AF_INET),
            ARG_MASKED(1, SOCKET_TYPE_MASK, SOCK_DGRAM)),
    CALL_IF(socket, "name servers", ARG_IS(0, AF_INET6),
            ARG_MASKED(1, SOCKET_TYPE_MASK, SOCK_DGRAM)),
    CALL_IF(socket, "the host's name cache", ARG_IS(0, AF_UNIX),
            ARG_MASKED(1, SOCKET_TYPE_MASK, SOCK_STREAM)),
    /* Of the kernel's own tables; without privileges it only reads them. */
    CALL_IF(socket, "which address families this host has", ARG_IS(0, AF_NETLINK), ARG_IS(2, 0)),
    CALL(sendmmsg, "both questions to a name server at one time"),
    CALL(sendmsg, "the resolver"),
    CALL(recvmsg, "their answers"),
    CALL_IF(sendto, "to the kernel's tables", ARG_IS(5, 12)),
    CALL_IF(ioctl, "how long a name server's answer is", ARG_IS(1, FIONREAD)),
    /* The resolver may want a module of this host's; it does without, and lives on. */
    CALL_FAILS_IF(mmap, "code that is loaded late", EACCES, ARG_HAS(2, PROT_EXEC)),
};
const struct call_list calls_dial = CALL_LIST(dial);

static const struct call_rule programs[] = {
    CALL(execve, "another program in its place"),
    CALL(execveat, "the same"),
    CALL(ptrace, "other processes' memory and descriptors"),
    CALL(process_vm_readv, "the same"),
    CALL(process_vm_writev, "the same"),
    CALL(process_madvise, "the same"),
    CALL(pidfd_getfd, "the same"),
    CALL(kcmp, "the same"),
    CALL(bpf, "code and probes in the kernel"),
    CALL(perf_event_open, "the same"),
    CALL(userfaultfd, "the same"),
    CALL(init_module, "the same"),
    CALL(finit_module, "the same"),
    CALL(delete_module, "the same"),
    CALL(kexec_load, "the same"),
    CALL(kexec_file_load, "the same"),
    CALL(io_uring_setup, "calls past every filter"),
    CALL(io_uring_enter, "the same"),
    CALL(io_uring_register, "the same"),
    CALL(keyctl, "keys in the kernel"),
    CALL(add_key, "the same"),
    CALL(request_key, "the same"),
    CALL(mount, "another view of the file system"),
    CALL(umount2, "the same"),
    CALL(pivot_root, "the same"),
    CALL(chroot, "the same"),
    CALL(open_tree, "the same"),
    CALL(move_mount, "the same"),
    CALL(fsopen, "the same"),
    CALL(fsconfig, "the same"),
    CALL(fsmount, "the same"),
    CALL(mount_setattr, "the same"),
    CALL(open_by_handle_at, "the same"),
    CALL(setns, "another's namespaces"),
    CALL(personality, "memory that can be code"),
    CALL(settimeofday, "the host's clock, disks and ports"),
    CALL(clock_settime, "the same"),
    CALL(adjtimex, "the same"),
    CALL(swapon, "the same"),
    CALL(swapoff, "the same"),
    CALL(acct, "the same"),
    CALL(quotactl, "the same"),
    CALL(reboot, "the same"),
    CALL(iopl, "the same"),
    CALL(ioperm, "the same"),
};
const struct call_list calls_programs = CALL_LIST(programs);
