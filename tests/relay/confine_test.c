/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/confine.h"

#include <arpa/nameser.h>
#include <criterion/criterion.h>
#include <dlfcn.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <resolv.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/attempts.h"

#define QUESTION_BYTES_MAX 512

Test(confine, the_relay_listens_dials_and_keeps_its_store_and_does_nothing_else)
{
    static const char *const may[] = {"a TCP socket",
                                      "a TCP socket of IPv6",
                                      "a UDP socket",
                                      "a Unix socket",
                                      "a netlink socket for routes",
                                      "connect",
                                      "bind",
                                      "listen",
                                      "accept",
                                      "receive a message",
                                      "map code", /* It fails, and does not kill. */
                                      "ask how many bytes wait",
                                      "rename",
                                      "link",
                                      "unlink",
                                      "truncate",
                                      "another filter",
                                      NULL};
    static char error[2048];

    if (calls_filtered()) {
        attempts_check(confine_calls, may, error, sizeof error);
        cr_expect_str_eq(error, "");
    } else {
        cr_expect(!failed(calls_restrict(confine_calls)), "it does nothing here");
    }
}

/* --- Names --- */

static int server_fd;
static uint16_t server_port;

static void server_open(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;

    server_fd = socket(AF_INET, SOCK_DGRAM, 0);
    cr_assert_eq(bind(server_fd, (struct sockaddr *)&at, sizeof at), 0);
    cr_assert_eq(getsockname(server_fd, (struct sockaddr *)&at, &size), 0);
    server_port = at.sin_port;
}

/* A name server with one answer to every question for IPv4, and none for IPv6. */
static void *serve_names(void *unused)
{
    static const uint8_t record[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 7};
    uint8_t message[QUESTION_BYTES_MAX + sizeof record];
    struct sockaddr_in from;
    struct pollfd ready = {.fd = server_fd, .events = POLLIN};

    for (int answers = 0; answers < 2 && poll(&ready, 1, 10000) == 1; answers++) {
        socklen_t from_size = sizeof from;
        ssize_t size = recvfrom(server_fd, message, QUESTION_BYTES_MAX, 0, (struct sockaddr *)&from,
                                &from_size);
        if (size < 17)
            break;
        bool is_v4 = message[size - 3] == ns_t_a;
        message[2] |= 0x80; /* It is an answer. */
        message[3] = 0x80;
        message[7] = is_v4 ? 1 : 0;
        memcpy(message + size, record, sizeof record);
        size += is_v4 ? (ssize_t)sizeof record : 0;
        (void)sendto(server_fd, message, (size_t)size, 0, (struct sockaddr *)&from, from_size);
    }
    return unused;
}

static int resolve_by_server(void)
{
    const struct addrinfo hints = {
        .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct addrinfo *found = NULL;

    if (res_init() != 0)
        return 1;
    _res.nscount = 1;
    _res.nsaddr_list[0] = (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = server_port, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (getaddrinfo("gateway.example.", "443", &hints, &found) != 0)
        return 2;
    const struct sockaddr_in *address = (const void *)found->ai_addr;
    return address->sin_addr.s_addr == htonl(0xc0000207) ? 9 : 3;
}

static int resolve_by_file(void)
{
    struct addrinfo *found = NULL;
    return getaddrinfo("localhost", "443", NULL, &found) == 0 && found != NULL ? 9 : 2;
}

/* A module that the host's nsswitch.conf might name. */
static int load_a_module(void)
{
    return dlopen("libnss_compat.so.2", RTLD_NOW) == NULL ? 9 : 1;
}

static void expect_nine(int wait_status)
{
    cr_expect(WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 9, "status %#x",
              (unsigned)wait_status);
}

Test(confine, the_relay_still_finds_names)
{
    pthread_t server;

    server_open();
    cr_assert_eq(pthread_create(&server, NULL, serve_names, NULL), 0);
    expect_nine(attempts_status(confine_calls, resolve_by_server));
    pthread_join(server, NULL);
    expect_nine(attempts_status(confine_calls, resolve_by_file));
}

Test(confine, code_that_the_resolver_would_load_is_refused_and_the_relay_lives_on)
{
    if (calls_filtered())
        expect_nine(attempts_status(confine_calls, load_a_module));
}
