/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/client_inside.h"
#include "base/encode.h"
#include "base/own.h"

static void conn_on_writable(void *owner);
static void conn_on_readable(void *owner);

/* --- Life --- */

static void conn_hang_up(struct client_conn *conn)
{
    loop_watch_free(&conn->watch);
    /* Else OpenSSL takes the end for a sign that its session is no good. */
    if (conn->ssl != NULL)
        SSL_set_shutdown(conn->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(conn->ssl);
    conn->ssl = NULL;
    if (conn->fd >= 0)
        (void)close(conn->fd);
    conn->fd = -1;
}

void client_conn_free(struct client_conn **conn_at)
{
    struct client_conn *conn = *conn_at;

    if (conn == NULL)
        return;
    assert(conn->op == NULL);
    conn_hang_up(conn);
    conn->client->conn_count--;
    conn->site->conn_count--;
    client_trust_leave(&conn->site);
    free(conn);
    *conn_at = NULL;
}

void client_conn_open(struct client_op *op)
{
    struct client *client = op->client;
    int64_t now_ms = clock_monotonic_ms();
    struct client_conn *conn = calloc(1, sizeof *conn);

    if (conn == NULL) {
        client_end(op, CLIENT_NOT_SENT, CLIENT_TROUBLE_UNREACHABLE, "memory ran out");
        return;
    }
    client->conn_count++;
    conn->client = client;
    conn->site = op->site;
    conn->site->users++;
    conn->site->conn_count++;
    conn->fd = -1;
    conn->op = op;
    op->conn = conn;
    op->state = OP_DIALLING;
    op->connect_due_ms = now_ms + op->connect_ms;
    client_due(op, op->connect_due_ms);
    if (op->any_address)
        client_lookup_start(op);
    else
        client_conn_dial(conn);
}

/* --- Dial --- */

static void conn_shake(struct client_conn *conn);

static void conn_begin_tls(struct client_conn *conn)
{
    struct client_op *op = conn->op;
    char text[CLIENT_TEXT_SIZE] = "TLS cannot be begun";

    conn->state = CONN_SHAKING;
    client_due(op, op->connect_due_ms);
    if (!client_trust_ssl(conn, clock_monotonic_ms(), text) ||
        SSL_set_fd(conn->ssl, conn->fd) != 1) {
        client_end(op, CLIENT_NOT_SENT, CLIENT_TROUBLE_TLS, text);
        return;
    }
    conn_shake(conn);
}

/* False with errno. */
static bool conn_connect(struct client_conn *conn, const struct sockaddr_storage *address,
                         socklen_t size)
{
    const int yes = 1;

    conn->fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (conn->fd < 0)
        return false;
    (void)setsockopt(conn->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (connect(conn->fd, (const struct sockaddr *)address, size) != 0 && errno != EINPROGRESS)
        return false;
    struct status status =
        loop_watch(conn->client->loop, conn->fd, conn_on_readable, conn, &conn->watch);
    errno = ENOMEM;
    return !failed(status);
}

static void note_failure(struct client_op *op, const char *address, int error)
{
    const char *reason = strerrordesc_np(error);

    (void)snprintf(op->text, sizeof op->text, "%s: %s", address,
                   reason == NULL ? "it cannot be reached" : reason);
}

/* An address that is silent has its share of the time and no more. */
void client_conn_dial(struct client_conn *conn)
{
    struct client_op *op = conn->op;
    int64_t now_ms = clock_monotonic_ms();
    struct sockaddr_storage address;
    socklen_t size = 0;

    for (unsigned count = client_lookup_count(op); count > 0; count--) {
        conn_hang_up(conn);
        if (!client_lookup_next(op, &address, &size, conn->peer)) {
            (void)snprintf(op->text, sizeof op->text, "what is to be dialled is no address");
            continue;
        }
        if (!conn_connect(conn, &address, size)) {
            note_failure(op, conn->peer, errno);
            continue;
        }
        conn->state = CONN_DIALLING;
        client_due(op, now_ms + (op->connect_due_ms - now_ms) / count);
        loop_watch_writable(conn->watch, conn_on_writable);
        return;
    }
    client_end(op, CLIENT_NOT_SENT, CLIENT_TROUBLE_UNREACHABLE,
               op->text[0] == '\0' ? "there is no address to dial" : NULL);
}

static void conn_dialled(struct client_conn *conn)
{
    int error = 0;
    socklen_t size = sizeof error;

    if (getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
        error = errno;
    if (error == 0) {
        conn_begin_tls(conn);
        return;
    }
    note_failure(conn->op, conn->peer, error);
    client_conn_dial(conn);
}

/* --- Handshake --- */

static void conn_write(struct client_conn *conn);

static void conn_begin_request(struct client_conn *conn)
{
    conn->state = CONN_BUSY;
    conn->op->state = OP_BUSY;
    client_due(conn->op, conn->op->total_due_ms);
    conn_write(conn);
}

static void conn_shake(struct client_conn *conn)
{
    char text[CLIENT_TEXT_SIZE] = "";

    ERR_clear_error();
    int rc = SSL_do_handshake(conn->ssl);
    if (rc != 1) {
        int error = SSL_get_error(conn->ssl, rc);
        if (error == SSL_ERROR_WANT_READ)
            return;
        if (error == SSL_ERROR_WANT_WRITE) {
            loop_watch_writable(conn->watch, conn_on_writable);
            return;
        }
        client_trust_explain(conn, text);
    } else if (client_trust_judge(conn, text)) {
        conn_begin_request(conn);
        return;
    }
    client_end(conn->op, CLIENT_NOT_SENT, CLIENT_TROUBLE_TLS, text);
}

/* --- Read --- */

static void conn_closed(struct client_conn *conn, int error)
{
    char text[CLIENT_TEXT_SIZE] = "";
    const char *reason = ERR_reason_error_string(ERR_peek_error());

    if (error == SSL_ERROR_ZERO_RETURN || reason == NULL)
        reason = "by the peer";
    (void)snprintf(text, sizeof text, "the connection ended before the answer did (%s)", reason);
    ERR_clear_error();
    client_end(conn->op, CLIENT_NO_ANSWER, CLIENT_TROUBLE_CLOSED, text);
}

static bool is_written(const struct client_op *op)
{
    return op->written == op->request.size + op->body_size;
}

/* Whatever is left over, or still to be written, would be the next request's trouble. */
static bool may_be_kept(const struct client_conn *conn, size_t spare_bytes)
{
    const struct client_op *op = conn->op;

    return spare_bytes == 0 && is_written(op) && !op->head.closes && !op->head.is_old &&
           !client_head_misleads(&op->head) && op->answer.step == CLIENT_BODY_OVER &&
           SSL_get_shutdown(conn->ssl) == 0;
}

/* False: the transfer is over. */
static bool conn_take(struct client_conn *conn, size_t size)
{
    struct client_op *op = conn->op;
    uint8_t *room = conn->client->room;
    size_t used = 0;
    enum client_read read = client_body_take(&op->head, &op->answer, room, size, &used);

    sodium_memzero(room, size);
    if (read == CLIENT_READ_MORE)
        return true;
    if (read == CLIENT_READ_DONE)
        client_answered(op, may_be_kept(conn, size - used));
    else
        client_end(op, CLIENT_MALFORMED, CLIENT_TROUBLE_PROTOCOL,
                   "what came is no answer in HTTP/1.1, or too long");
    return false;
}

/* Until there is no more; also while the request is being written, for some answer before they
 * have read it.  False: the transfer is over. */
static bool conn_read(struct client_conn *conn)
{
    struct client_op *op = conn->op;
    size_t size = 0;
    int rc = 0;

    do {
        ERR_clear_error();
        rc = SSL_read_ex(conn->ssl, conn->client->room, CLIENT_ROOM_BYTES, &size);
        if (rc == 1 && !conn_take(conn, size))
            return false;
    } while (rc == 1);
    int error = SSL_get_error(conn->ssl, rc);
    if (error == SSL_ERROR_WANT_WRITE)
        loop_watch_writable(conn->watch, conn_on_writable);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
        return true;
    if (error == SSL_ERROR_ZERO_RETURN && client_body_ends(&op->answer))
        client_answered(op, false);
    else
        conn_closed(conn, error);
    return false;
}

/* --- Write --- */

/* The next piece of head and body, as much as one record holds: where both fit they go as one.
 * `*out_bytes` is in the room, or in the body itself. */
static size_t next_piece(const struct client_op *op, uint8_t *room, const uint8_t **out_bytes)
{
    size_t of_head = op->written < op->request.size ? op->request.size - op->written : 0;
    size_t of_body = op->request.size + op->body_size - op->written - of_head;
    const uint8_t *body = op->body_size == 0 ? NULL : op->body + (op->body_size - of_body);

    *out_bytes = body;
    if (of_head == 0)
        return of_body < CLIENT_ROOM_BYTES ? of_body : CLIENT_ROOM_BYTES;
    if (of_head > CLIENT_ROOM_BYTES)
        of_head = CLIENT_ROOM_BYTES;
    if (of_body > CLIENT_ROOM_BYTES - of_head)
        of_body = CLIENT_ROOM_BYTES - of_head;
    memcpy(room, op->request.bytes + op->written, of_head);
    if (of_body > 0)
        memcpy(room + of_head, body, of_body);
    *out_bytes = room;
    return of_head + of_body;
}

/* From the first SSL_write() on the request counts as sent, whatever that says: OpenSSL may have
 * let whole records go before it failed (RLY-6). */
static void conn_write(struct client_conn *conn)
{
    struct client_op *op = conn->op;
    uint8_t *room = conn->client->room;
    const uint8_t *bytes = NULL;

    for (size_t size = 0; (size = next_piece(op, room, &bytes)) > 0;) {
        size_t written = 0;
        op->is_sent = true;
        ERR_clear_error();
        int rc = SSL_write_ex(conn->ssl, bytes, size, &written);
        if (bytes == room)
            sodium_memzero(room, size); /* Encrypted by now, also where it has to wait. */
        if (rc == 1) {
            op->written += written;
            continue;
        }
        int error = SSL_get_error(conn->ssl, rc);
        if (error == SSL_ERROR_WANT_WRITE)
            loop_watch_writable(conn->watch, conn_on_writable);
        else if (conn_read(conn)) { /* It may have answered before it hung up. */
            /* A ticket of several records, of which some came, goes before what is written. */
            if (error == SSL_ERROR_WANT_READ && !SSL_in_init(conn->ssl))
                continue;
            if (error != SSL_ERROR_WANT_READ)
                conn_closed(conn, error);
        }
        return;
    }
}

void client_conn_use(struct client_conn *conn, struct client_op *op)
{
    assert(conn->state == CONN_IDLE);
    assert(conn->op == NULL);
    assert(!op->is_sent);
    conn->op = op;
    op->conn = conn;
    conn_begin_request(conn);
}

/* --- While nothing is asked --- */

bool client_conn_is_quiet(struct client_conn *conn)
{
    uint8_t byte = 0;
    size_t size = 0;

    ERR_clear_error();
    int rc = SSL_read_ex(conn->ssl, &byte, sizeof byte, &size);
    return rc != 1 && SSL_get_error(conn->ssl, rc) == SSL_ERROR_WANT_READ;
}

bool client_conn_is_empty(struct client_conn *conn)
{
    return !SSL_has_pending(conn->ssl) && !SSL_in_init(conn->ssl) &&
           strcmp(SSL_rstate_string(conn->ssl), "RH") == 0;
}

/* --- Events --- */

static void conn_on_readable(void *owner)
{
    struct client_conn *conn = owner;
    struct client *client = conn->client;

    switch (conn->state) {
    case CONN_DIALLING: /* How that ended is asked when it takes bytes. */
        return;
    case CONN_SHAKING:
        conn_shake(conn);
        break;
    case CONN_BUSY:
        if (conn_read(conn) && !is_written(conn->op))
            conn_write(conn); /* It may have waited for what came. */
        break;
    case CONN_IDLE:
        if (client_conn_is_quiet(conn))
            return;
        client_idle_take(conn);
        client_conn_free(&conn);
        break;
    }
    client_settle(client);
}

static void conn_on_writable(void *owner)
{
    struct client_conn *conn = owner;
    struct client *client = conn->client;

    switch (conn->state) {
    case CONN_DIALLING:
        conn_dialled(conn);
        break;
    case CONN_SHAKING:
        conn_shake(conn);
        break;
    case CONN_BUSY:
        if (is_written(conn->op))
            (void)conn_read(conn); /* Which had something to say in between. */
        else
            conn_write(conn);
        break;
    case CONN_IDLE: /* It was asked for by a transfer that is over. */
        return;
    }
    client_settle(client);
}
