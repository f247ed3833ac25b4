/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <h2o.h>
#include <h2o/http1.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/encode.h"
#include "base/http_flood.h"
#include "base/http_inside.h"
#include "base/http_refuse.h"

#define ACCEPTS_PER_TURN 16u
#define BACKLOG          1024
/* How long a listener rests when descriptors ran out. */
#define SHORTAGE_MS 100
/* For so long an idle connection's place is its own, when all are taken. */
#define PLACE_MS 1000
/* What a peer may have waiting in the kernel, and so what one turn reads of it. */
#define RECEIVE_BYTES (128 * 1024)
/* As of a frame (base/http_frames.h): a new key, and often an answer. */
#define KEY_UPDATE_COST 32u

struct http_conn *http_accept_conn(const h2o_req_t *req)
{
    return req->conn->callbacks->get_socket(req->conn)->on_close.data;
}

static void accept_on_close(void *owner)
{
    struct http_conn *conn = owner;
    struct http_server *server = conn->server;

    assert(conn->in_flight == 0);
    if (server->starting == conn)
        server->starting = NULL;
    if (server->reading == conn)
        server->reading = NULL;
    h2o_linklist_unlink(&conn->link);
    assert(server->conn_count > 0);
    server->conn_count--;
    http_meter_open(server, -1);
    http_linger_begin(conn);
    buffer_free(&conn->said);
    SSL_CTX_free(conn->context);
    free(conn);
}

/* SSL_CTX' info callback: the only public way from libh2o's connection to its SSL.  libh2o's BIO
 * holds the socket, and the socket our record. */
static void accept_on_tls(const SSL *ssl, int where, int value)
{
    (void)value;
    h2o_socket_t *sock = BIO_get_data(SSL_get_rbio(ssl));
    struct http_conn *conn = sock->on_close.data;
    if ((where & SSL_CB_LOOP) != 0 && !conn->shaking && SSL_get_state(ssl) == TLS_ST_SR_KEY_UPDATE)
        http_flood_spend(conn, KEY_UPDATE_COST);
    if ((where & SSL_CB_HANDSHAKE_DONE) == 0)
        return;
    /* It takes a const SSL; what is read from it needs one that is not, and changes nothing. */
    SSL *open = NULL;
    memcpy(&open, &ssl, sizeof(SSL *));
    tls_peer_read(open, &conn->peer);
    const uint8_t *protocol = NULL;
    unsigned size = 0;
    SSL_get0_alpn_selected(ssl, &protocol, &size);
    conn->http2 = size == 2 && memcmp(protocol, "h2", 2) == 0;
}

static void address_text(const struct sockaddr_storage *address, char out[HTTP_ADDRESS_SIZE])
{
    char host[INET6_ADDRSTRLEN] = "";

    if (address->ss_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, address, sizeof v4);
        inet_ntop(AF_INET, &v4.sin_addr, host, sizeof host);
        snprintf(out, HTTP_ADDRESS_SIZE, "%s:%u", host, ntohs(v4.sin_port));
    } else if (address->ss_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, address, sizeof v6);
        inet_ntop(AF_INET6, &v6.sin6_addr, host, sizeof host);
        snprintf(out, HTTP_ADDRESS_SIZE, "[%s]:%u", host, ntohs(v6.sin6_port));
    }
}

/* What libh2o's own accept does, with a place for http_flood.c; time is up in http_guard.c. */
static void accept_on_handshake(h2o_socket_t *sock, const char *error)
{
    struct http_conn *conn = sock->on_close.data;

    if (error != NULL) {
        h2o_socket_close(sock);
        return;
    }
    conn->shaking = false;
    if (conn->http2)
        http_flood_start(conn);
    else
        h2o_http1_accept(&conn->listener->accept, sock, conn->connected_at);
}

static bool may_go(const struct http_conn *conn, int64_t now_ms, bool has_asked)
{
    return !conn->cut && conn->in_flight == 0 && (conn->request_count > 0) == has_asked &&
           now_ms - conn->idle_since_ms >= PLACE_MS;
}

/* Whoever holds a place and does nothing with it makes room: first those who never asked anything,
 * the oldest before the others.  Its place is free when libh2o has seen that it was cut. */
static void make_room(struct http_server *server)
{
    int64_t now_ms = clock_monotonic_ms();

    for (unsigned has_asked = 0; has_asked < 2; has_asked++)
        for (h2o_linklist_t *at = server->conns.next; at != &server->conns; at = at->next)
            if (may_go(http_conn_of(at), now_ms, has_asked == 1)) {
                http_guard_cut(http_conn_of(at));
                return;
            }
}

static void conn_begin(struct http_listener *listener, h2o_socket_t *sock)
{
    struct http_server *server = listener->server;
    struct http_conn *conn = NULL;

    if (server->conn_count >= server->options.limits.connections)
        make_room(server);
    else
        conn = calloc(1, sizeof *conn);
    if (conn == NULL) {
        http_meter_count(server, HTTP_METER_SHED);
        h2o_socket_close(sock);
        return;
    }
    conn->server = server;
    conn->listener = listener;
    conn->sock = sock;
    conn->said = BUFFER(HTTP_SAID_BYTES_MAX);
    conn->linger_fd = -1;
    conn->idle_since_ms = clock_monotonic_ms();
    struct sockaddr_storage address = {0};
    if (h2o_socket_getpeername(sock, (struct sockaddr *)&address) > 0)
        address_text(&address, conn->address);
    h2o_linklist_insert(&server->conns, &conn->link);
    server->conn_count++;
    http_meter_count(server, HTTP_METER_CONNECTIONS);
    http_meter_open(server, 1);
    sock->on_close.cb = accept_on_close;
    sock->on_close.data = conn;
    gettimeofday(&conn->connected_at, NULL);
    if (listener->tls == NULL) {
        h2o_http1_accept(&listener->accept, sock, conn->connected_at);
        return;
    }
    /* The one in force, which may be another than before; it is held, for libh2o looks into it
     * again when the first bytes are there. */
    SSL_CTX *context = tls_server_context(listener->tls);
    SSL_CTX_set_info_callback(context, accept_on_tls);
    (void)SSL_CTX_up_ref(context);
    conn->context = context;
    conn->shaking = true;
    http_frames_begin(&conn->frames, conn->idle_since_ms);
    h2o_socket_ssl_handshake(sock, context, NULL, accept_on_handshake);
}

static void accept_on_readable(h2o_socket_t *sock, const char *error);

static void accept_on_resume(void *owner)
{
    struct http_server *server = owner;

    server->resume = NULL;
    for (unsigned i = 0; i < server->listener_count; i++) {
        struct http_listener *listener = &server->listeners[i];
        if (listener->sock != NULL && listener->paused)
            h2o_socket_read_start(listener->sock, accept_on_readable);
        listener->paused = false;
    }
}

/* Leaves new connections in the kernel's backlog for a while. */
static void pause_listeners(struct http_server *server, int64_t pause_ms)
{
    if (server->resume != NULL)
        return;
    struct status status =
        loop_timer(server->options.loop, pause_ms, accept_on_resume, server, &server->resume);
    if (failed(status))
        return; /* Then they are asked again at once: busy, but right. */
    for (unsigned i = 0; i < server->listener_count; i++) {
        if (server->listeners[i].sock == NULL)
            continue;
        server->listeners[i].paused = true;
        h2o_socket_read_stop(server->listeners[i].sock);
    }
}

/* False when this second has had its share. */
static bool within_rate(struct http_server *server)
{
    unsigned rate_max = server->options.limits.connections_per_second;
    int64_t now_ms = clock_monotonic_ms();

    if (rate_max == 0)
        return true;
    if (now_ms / 1000 != server->rate_second) {
        server->rate_second = now_ms / 1000;
        server->rate_count = 0;
    }
    if (server->rate_count < rate_max) {
        server->rate_count++;
        return true;
    }
    pause_listeners(server, 1000 - now_ms % 1000);
    return false;
}

static void accept_on_readable(h2o_socket_t *sock, const char *error)
{
    struct http_listener *listener = sock->data;

    if (error != NULL)
        return;
    for (unsigned i = 0; i < ACCEPTS_PER_TURN; i++) {
        if (!within_rate(listener->server))
            return;
        errno = 0;
        h2o_socket_t *peer = h2o_evloop_socket_accept(sock);
        if (peer != NULL) {
            conn_begin(listener, peer);
            continue;
        }
        /* What waits in the backlog would wake the loop again and again. */
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            pause_listeners(listener->server, SHORTAGE_MS);
        return;
    }
}

static STATUS address_read(const struct http_listen *where, struct sockaddr_storage *out_address,
                           socklen_t *out_size)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(where->port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(where->port)};

    if (inet_pton(AF_INET, where->address, &v4.sin_addr) == 1) {
        memcpy(out_address, &v4, sizeof v4);
        *out_size = sizeof v4;
        return STATUS_OK;
    }
    ENSURE(inet_pton(AF_INET6, where->address, &v6.sin6_addr) == 1, WHY_BAD_INPUT);
    memcpy(out_address, &v6, sizeof v6);
    *out_size = sizeof v6;
    return STATUS_OK;
}

/* A sentence for whoever started us; `code` is errno's. */
static STATUS refuse(const struct http_listen *where, int code, char *error, size_t error_size)
{
    const char *advice = "";
    if (code == EADDRINUSE)
        advice = "is in use by another process; stop that one or choose another port";
    else if (code == EADDRNOTAVAIL)
        advice = "is not an address of this machine; use one that is, or 0.0.0.0";
    else if (code == EACCES)
        advice = "is not allowed to this user; choose a port above 1023";
    else
        advice = strerror(code);
    snprintf(error, error_size, "%s:%u %s", where->address, where->port, advice);
    return FAIL(code == EADDRINUSE ? WHY_BUSY : WHY_IO);
}

static uint16_t bound_port(int fd)
{
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof address;

    int rc = getsockname(fd, (struct sockaddr *)&address, &size);
    assert(rc == 0);
    in_port_t port = 0; /* At the same place for both families. */
    memcpy(&port, (const char *)&address + offsetof(struct sockaddr_in, sin_port), sizeof port);
    return ntohs(port);
}

static STATUS socket_open(const struct http_listen *where, int *out_fd, char *error,
                          size_t error_size)
{
    struct sockaddr_storage address = {0};
    socklen_t size = 0;
    struct status status = address_read(where, &address, &size);
    if (failed(status)) {
        snprintf(error, error_size, "%s is not an IP address; write one like 127.0.0.1 or ::1",
                 where->address);
        return status;
    }
    int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int on = 1;
    int receive_bytes = RECEIVE_BYTES;
    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes) == 0 &&
        bind(fd, (const struct sockaddr *)&address, size) == 0 && listen(fd, BACKLOG) == 0) {
        *out_fd = fd;
        return STATUS_OK;
    }
    int code = errno;
    if (fd >= 0)
        close(fd);
    return refuse(where, code, error, error_size);
}

STATUS http_accept_open(struct http_server *server, struct http_listen *where, char *error,
                        size_t error_size)
{
    assert(server->listener_count < HTTP_LISTENERS_MAX);
    int fd = -1;
    TRY(socket_open(where, &fd, error, error_size));
    where->bound_port = bound_port(fd);

    struct http_listener *listener = &server->listeners[server->listener_count++];
    listener->server = server;
    listener->tag = where->tag;
    listener->accept.ctx = &server->context;
    listener->accept.hosts = server->config.hosts;
    listener->tls = where->tls;
    listener->sock = h2o_evloop_socket_create(server->context.loop, fd, H2O_SOCKET_FLAG_DONT_READ);
    listener->sock->data = listener;
    h2o_socket_read_start(listener->sock, accept_on_readable);
    return STATUS_OK;
}

void http_accept_close(struct http_server *server)
{
    for (unsigned i = 0; i < server->listener_count; i++) {
        if (server->listeners[i].sock == NULL)
            continue;
        h2o_socket_close(server->listeners[i].sock);
        server->listeners[i].sock = NULL;
    }
    loop_timer_cancel(&server->resume);
}
