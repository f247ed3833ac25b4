/* SPDX-License-Identifier: Apache-2.0 */
#include "base/http_refuse.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <h2o.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/encode.h"

/* At one time; beyond, a client that still sends sees a reset. */
#define LINGERS_MAX 64u
/* How long a client may go on sending. */
#define LINGER_MS      5000
#define BYTES_PER_CALL (1u << 20)

struct http_linger {
    h2o_linklist_t link; /* First. */
    struct http_server *server;
    struct loop_watch *watch;
    int fd;
    int64_t until_ms;
};

static_assert(offsetof(struct http_linger, link) == 0, "first_linger() is a cast");

void http_linger_arm(struct http_conn *conn)
{
    struct http_server *server = conn->server;

    if (conn->linger_fd >= 0 || server->linger_count >= LINGERS_MAX)
        return;
    conn->linger_fd = fcntl(h2o_socket_get_fd(conn->sock), F_DUPFD_CLOEXEC, 0);
    if (conn->linger_fd >= 0)
        server->linger_count++;
}

static void let_go(struct http_server *server, int fd)
{
    assert(server->linger_count > 0);
    server->linger_count--;
    close(fd);
}

static void linger_end(struct http_linger *linger)
{
    loop_watch_free(&linger->watch);
    let_go(linger->server, linger->fd);
    h2o_linklist_unlink(&linger->link);
    free(linger);
}

/* Throws away what comes, without copying it. */
static void linger_on_readable(void *owner)
{
    struct http_linger *linger = owner;
    ssize_t size = recv(linger->fd, NULL, BYTES_PER_CALL, MSG_TRUNC | MSG_DONTWAIT);

    if (size == 0 || (size < 0 && errno != EAGAIN && errno != EINTR))
        linger_end(linger);
}

void http_linger_begin(struct http_conn *conn)
{
    struct http_server *server = conn->server;
    int fd = conn->linger_fd;

    if (fd < 0)
        return;
    conn->linger_fd = -1;
    struct http_linger *linger = conn->cut || server->stopping || shutdown(fd, SHUT_WR) != 0
                                     ? NULL
                                     : calloc(1, sizeof *linger);
    if (linger == NULL) {
        let_go(server, fd);
        return;
    }
    linger->server = server;
    linger->fd = fd;
    linger->until_ms = clock_monotonic_ms() + LINGER_MS;
    h2o_linklist_insert(&server->lingers, &linger->link);
    if (failed(loop_watch(server->options.loop, fd, linger_on_readable, linger, &linger->watch)))
        linger_end(linger);
}

void http_linger_sweep(struct http_server *server, int64_t now_ms)
{
    while (!h2o_linklist_is_empty(&server->lingers)) {
        struct http_linger *linger = (struct http_linger *)server->lingers.next;
        if (linger->until_ms > now_ms) /* They are in the order of their ends. */
            return;
        linger_end(linger);
    }
}
