/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/cli/probe.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int listener;
static uint16_t port;
static const char *served;
static pthread_t thread;

/* Answers one connection with `served`, whatever it asks. */
static void *serve_one(void *owner)
{
    (void)owner;
    char request[512];
    int fd = accept(listener, NULL, NULL);
    if (fd < 0)
        return NULL;
    (void)recv(fd, request, sizeof request, 0);
    (void)send(fd, served, strlen(served), MSG_NOSIGNAL);
    close(fd);
    return NULL;
}

static enum why why_refused(const char *answer, int *out_status, struct buffer *out_body)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t size = sizeof at;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert(bind(listener, (const struct sockaddr *)&at, sizeof at) == 0);
    cr_assert(listen(listener, 1) == 0);
    cr_assert(getsockname(listener, (struct sockaddr *)&at, &size) == 0);
    port = ntohs(at.sin_port);
    served = answer;
    cr_assert(pthread_create(&thread, NULL, serve_one, NULL) == 0);
    struct status status = probe_get("127.0.0.1", port, "/readyz", out_body, out_status);
    cr_assert(pthread_join(thread, NULL) == 0);
    close(listener);
    return status.why;
}

Test(probe, gives_status_and_body)
{
    int status = 0;
    struct buffer body = BUFFER(1024);
    cr_assert_eq(
        why_refused("HTTP/1.1 503 X\r\nA: b\r\nContent-Length: 5\r\n\r\nhello", &status, &body),
        WHY_NONE);
    cr_expect_eq(status, 503);
    cr_expect_str_eq(buffer_text(&body), "hello");
    buffer_free(&body);
}

Test(probe, takes_no_half_answer_for_a_whole_one)
{
    static const char *const broken[] = {"",
                                         "HTTP/1.1 200 OK\r\n",
                                         "HTTP/1.1 200 OK\r\n\r\nhello",
                                         "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
                                         "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello!",
                                         "HTTP/1.1 2x0 OK\r\nContent-Length: 0\r\n\r\n",
                                         "NOT HTTP AT ALL\r\nContent-Length: 0\r\n\r\n"};
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        int status = 0;
        struct buffer body = BUFFER(1024);
        cr_expect_eq(why_refused(broken[i], &status, &body), WHY_FORGED, "%s", broken[i]);
        cr_expect_eq(status, 0);
        buffer_free(&body);
    }
}

Test(probe, says_when_nobody_is_there)
{
    int status = 0;
    struct buffer body = BUFFER(1024);
    cr_assert_eq(why_refused("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", &status, &body),
                 WHY_NONE);
    cr_expect_eq(probe_get("127.0.0.1", port, "/", &body, &status).why, WHY_IO);
    cr_expect_eq(probe_get("not-an-address", port, "/", &body, &status).why, WHY_BAD_INPUT);
    buffer_free(&body);
}
