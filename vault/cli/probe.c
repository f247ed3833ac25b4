/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/cli/probe.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/own.h"

#define WAIT_SECONDS     5
#define REQUEST_SIZE     512u
#define ANSWER_BYTES_MAX (4u << 20)

static void descriptor_close(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

static STATUS probe_dial(const char *host, uint16_t port, int *out_fd)
{
    struct sockaddr_storage address = {0};
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    socklen_t size = sizeof v4;
    if (inet_pton(AF_INET, host, &v4.sin_addr) == 1) {
        memcpy(&address, &v4, sizeof v4);
    } else {
        ENSURE(inet_pton(AF_INET6, host, &v6.sin6_addr) == 1, WHY_BAD_INPUT);
        memcpy(&address, &v6, sizeof v6);
        size = sizeof v6;
    }
    OWNED(descriptor_close) int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ENSURE(fd >= 0, WHY_IO);
    struct timeval wait = {.tv_sec = WAIT_SECONDS}; /* Of connecting too, for a blocking socket. */
    ENSURE(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait) == 0, WHY_IO);
    ENSURE(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait) == 0, WHY_IO);
    ENSURE(connect(fd, (const struct sockaddr *)&address, size) == 0, WHY_IO);
    *out_fd = fd;
    fd = -1;
    return STATUS_OK;
}

static STATUS answer_read(int fd, struct buffer *out)
{
    for (;;) {
        char block[4096];
        ssize_t count = recv(fd, block, sizeof block, 0);
        if (count < 0 && errno == EINTR)
            continue;
        ENSURE(count >= 0, errno == EAGAIN || errno == EWOULDBLOCK ? WHY_TIMEOUT : WHY_IO);
        if (count == 0)
            return buffer_status(out);
        buffer_add(out, block, (size_t)count);
        TRY(buffer_status(out));
    }
}

/* The value of Content-Length; SIZE_MAX when there is none.  Our daemons always send one. */
static size_t length_of(const char *head, const char *end)
{
    static const char name[] = "\r\ncontent-length:";
    for (const char *at = head; at + sizeof name < end; at++) {
        if (strncasecmp(at, name, sizeof name - 1) != 0)
            continue;
        size_t value = 0;
        for (at += sizeof name - 1; *at == ' '; at++)
            ;
        for (; *at >= '0' && *at <= '9' && value <= ANSWER_BYTES_MAX; at++)
            value = value * 10 + (size_t)(*at - '0');
        return value;
    }
    return SIZE_MAX;
}

static STATUS answer_parse(struct buffer *answer, struct buffer *out_body, int *out_status)
{
    const char *text = buffer_text(answer);
    const char *end = strstr(text, "\r\n\r\n");
    ENSURE(end != NULL && strncmp(text, "HTTP/1.1 ", 9) == 0, WHY_FORGED);
    int status = 0;
    for (unsigned i = 9; i < 12; i++) {
        ENSURE(text[i] >= '0' && text[i] <= '9', WHY_FORGED);
        status = status * 10 + (text[i] - '0');
    }
    const uint8_t *body = (const uint8_t *)end + 4;
    size_t size = answer->size - (size_t)(body - answer->bytes);
    ENSURE(length_of(text, end + 2) == size, WHY_FORGED);
    buffer_add(out_body, body, size);
    *out_status = status;
    return buffer_status(out_body);
}

STATUS probe_get(const char *host, uint16_t port, const char *target, struct buffer *out_body,
                 int *out_status)
{
    assert(target[0] == '/');
    OWNED(descriptor_close) int fd = -1;
    TRY(probe_dial(host, port, &fd));
    char request[REQUEST_SIZE];
    int size = snprintf(request, sizeof request,
                        "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", target, host);
    ENSURE(size > 0 && (size_t)size < sizeof request, WHY_LIMIT);
    ENSURE(send(fd, request, (size_t)size, MSG_NOSIGNAL) == size, WHY_IO);
    OWNED(buffer_free) struct buffer answer = BUFFER(ANSWER_BYTES_MAX);
    TRY(answer_read(fd, &answer));
    return answer_parse(&answer, out_body, out_status);
}
