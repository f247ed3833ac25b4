/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/attempts.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

static char page[4096] __attribute__((aligned(4096)));

static int result(long rc)
{
    return rc < 0 ? 1 : 0;
}

static int tcp_socket(void)
{
    return result(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

static int tcp6_socket(void)
{
    return result(socket(AF_INET6, SOCK_STREAM, 0));
}

static int udp_socket(void)
{
    return result(socket(AF_INET, SOCK_DGRAM, 0));
}

static int unix_socket(void)
{
    return result(socket(AF_UNIX, SOCK_STREAM, 0));
}

static int route_socket(void)
{
    return result(socket(AF_NETLINK, SOCK_RAW, 0));
}

static int audit_socket(void)
{
    return result(socket(AF_NETLINK, SOCK_RAW, 9));
}

static int raw_socket(void)
{
    return result(socket(AF_INET, SOCK_RAW, IPPROTO_TCP));
}

static int packet_socket(void)
{
    return result(socket(AF_PACKET, SOCK_RAW, 0));
}

static int vsock_socket(void)
{
    return result(socket(AF_VSOCK, SOCK_STREAM, 0));
}

static int pair(void)
{
    int ends[2];
    return result(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
}

static int connecting(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9)};
    return result(connect(-1, (struct sockaddr *)&to, sizeof to));
}

static int binding(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET};
    return result(bind(-1, (struct sockaddr *)&to, sizeof to));
}

static int listening(void)
{
    return result(listen(-1, 1));
}

static int accepting(void)
{
    return result(accept4(-1, NULL, NULL, 0));
}

static int send_to_somebody(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9)};
    return result(sendto(-1, "x", 1, 0, (struct sockaddr *)&to, sizeof to));
}

static int receive_message(void)
{
    struct msghdr message = {0};
    return result(recvmsg(-1, &message, 0));
}

static int another_program(void)
{
    static char name[] = "true";
    char *const arguments[] = {name, NULL};
    return result(execve("/bin/true", arguments, NULL));
}

static int another_process(void)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    return result(pid);
}

static int another_process_by_clone(void)
{
    long pid = syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
    if (pid == 0)
        _exit(0);
    return result(pid);
}

static int trace(void)
{
    return result(ptrace(PTRACE_ATTACH, getppid(), NULL, NULL));
}

static int read_another_s_memory(void)
{
    struct iovec here = {.iov_base = page, .iov_len = 1};
    return result(process_vm_readv(1, &here, 1, &here, 1, 0));
}

static int map_code(void)
{
    void *at = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return at == MAP_FAILED ? 1 : 0;
}

static int make_code(void)
{
    return result(mprotect(page, sizeof page, PROT_READ | PROT_EXEC));
}

static int load_into_the_kernel(void)
{
    return result(syscall(SYS_bpf, -1, NULL, 0));
}

static int catch_faults(void)
{
    return result(syscall(SYS_userfaultfd, -1));
}

static int probe_the_processor(void)
{
    return result(syscall(SYS_perf_event_open, NULL, -1, -1, -1, 0));
}

static int ask_for_keys(void)
{
    return result(syscall(SYS_keyctl, -1, 0, 0, 0, 0));
}

static int queue_calls(void)
{
    return result(syscall(SYS_io_uring_setup, 0, NULL));
}

static int mount_something(void)
{
    return result(mount(NULL, NULL, NULL, 0, NULL));
}

static int another_user(void)
{
    return result(setuid(0));
}

static int another_namespace(void)
{
    return result(unshare(CLONE_NEWUSER | CLONE_NEWNS));
}

static int be_dumped(void)
{
    return result(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
}

static int raise_a_limit(void)
{
    struct rlimit limit = {.rlim_cur = 0, .rlim_max = 0};
    return result(setrlimit(RLIMIT_CORE, &limit));
}

static int limit_another(void)
{
    return result(prlimit(1, RLIMIT_CORE, NULL, NULL));
}

static int run_from_data(void)
{
    return result(personality(READ_IMPLIES_EXEC));
}

static int type_for_the_user(void)
{
    return result(ioctl(-1, TIOCSTI, "x"));
}

static int bytes_waiting(void)
{
    int count = 0;
    return result(ioctl(-1, FIONREAD, &count));
}

static int kill_another(void)
{
    return result(kill(getppid(), 0));
}

static int stop_itself(void)
{
    return result(syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGCONT));
}

static int own_a_descriptor(void)
{
    return result(fcntl(-1, F_SETOWN, 1));
}

static int another_root(void)
{
    return result(chroot("/nowhere"));
}

static int another_mode(void)
{
    return result(chmod("/nowhere", 0777));
}

static int another_owner(void)
{
    return result(chown("/nowhere", 0, 0));
}

static int another_name(void)
{
    return result(rename("/nowhere", "/nowhere-else"));
}

static int another_link(void)
{
    return result(link("/nowhere", "/nowhere-else"));
}

static int symbolic_link(void)
{
    return result(symlink("/nowhere", "/nowhere/else"));
}

static int remove_a_file(void)
{
    return result(unlink("/nowhere/at-all"));
}

static int truncate_a_file(void)
{
    return result(ftruncate(-1, 0));
}

static int another_filter(void)
{
    return result(syscall(SYS_seccomp, -1, 0, NULL));
}

static const struct attempt {
    const char *name;
    int (*make)(void);
} attempts[] = {
    {"a TCP socket", tcp_socket},
    {"a TCP socket of IPv6", tcp6_socket},
    {"a UDP socket", udp_socket},
    {"a Unix socket", unix_socket},
    {"a netlink socket for routes", route_socket},
    {"a netlink socket for audit", audit_socket},
    {"a raw socket", raw_socket},
    {"a packet socket", packet_socket},
    {"a socket to the hypervisor", vsock_socket},
    {"a socket pair", pair},
    {"connect", connecting},
    {"bind", binding},
    {"listen", listening},
    {"accept", accepting},
    {"send to an address", send_to_somebody},
    {"receive a message", receive_message},
    {"another program", another_program},
    {"another process", another_process},
    {"another process by clone", another_process_by_clone},
    {"trace", trace},
    {"read another's memory", read_another_s_memory},
    {"map code", map_code},
    {"make data code", make_code},
    {"load into the kernel", load_into_the_kernel},
    {"catch faults", catch_faults},
    {"probe the processor", probe_the_processor},
    {"ask for keys", ask_for_keys},
    {"queue calls past the filter", queue_calls},
    {"mount", mount_something},
    {"another user", another_user},
    {"another namespace", another_namespace},
    {"be dumped", be_dumped},
    {"set a limit", raise_a_limit},
    {"another's limits", limit_another},
    {"run from data", run_from_data},
    {"type for the user", type_for_the_user},
    {"ask how many bytes wait", bytes_waiting},
    {"kill", kill_another},
    {"signal itself", stop_itself},
    {"own a descriptor's signals", own_a_descriptor},
    {"another root", another_root},
    {"another mode", another_mode},
    {"another owner", another_owner},
    {"rename", another_name},
    {"link", another_link},
    {"symbolic link", symbolic_link},
    {"unlink", remove_a_file},
    {"truncate", truncate_a_file},
    {"another filter", another_filter},
};

int attempts_status(const struct call_list *const *lists, int (*attempt)(void))
{
    int wait_status = -1;

    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        if (failed(calls_restrict(lists)))
            _exit(77);
        _exit(attempt());
    }
    return pid > 0 && waitpid(pid, &wait_status, 0) == pid ? wait_status : -1;
}

bool attempts_killed(int wait_status)
{
    return WIFSIGNALED(wait_status) && WTERMSIG(wait_status) == SIGSYS;
}

static bool is_in(const char *const *names, const char *name)
{
    for (; *names != NULL; names++)
        if (strcmp(*names, name) == 0)
            return true;
    return false;
}

void attempts_check(const struct call_list *const *lists, const char *const *may, char *error,
                    size_t error_size)
{
    size_t known = 0;

    error[0] = '\0';
    for (size_t i = 0; i < sizeof attempts / sizeof attempts[0]; i++) {
        bool allowed = is_in(may, attempts[i].name);
        int status = attempts_status(lists, attempts[i].make);
        bool killed = attempts_killed(status);
        known += allowed ? 1 : 0;
        if (killed == allowed || (!killed && !WIFEXITED(status)))
            (void)snprintf(error + strlen(error), error_size - strlen(error), "%s: status %#x; ",
                           attempts[i].name, (unsigned)status);
    }
    for (; *may != NULL; may++)
        known--;
    if (known != 0)
        (void)snprintf(error + strlen(error), error_size - strlen(error), "a name is not known");
}
