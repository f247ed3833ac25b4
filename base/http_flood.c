/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <h2o.h>
#include <h2o/http2.h>
#include <h2o/http2_internal.h>

#include "base/encode.h"
#include "base/http_flood.h"
#include "base/http_inside.h"

/* What a byte of a header block may be in memory: one that names an entry of the table. */
#define BLOCK_GROWTH 64u

static bool may_be_read(struct http_conn *conn, size_t *out_body_bytes)
{
    const h2o_buffer_t *input = conn->sock->input;
    const h2o_http2_conn_t *http2 = conn->sock->data; /* NULL: libh2o has nothing of it yet. */
    h2o_http2_conn_state_t state = http2 == NULL ? H2O_HTTP2_CONN_STATE_OPEN : http2->state;

    conn->frames.in_block = http2 != NULL && http2->_headers_unparsed != NULL;
    struct http_frames_seen seen =
        http_frames_look(&conn->frames, (const uint8_t *)input->bytes, input->size);
    /* Once it has told the peer to go away, libh2o does not step over a CONTINUATION any more, and
     * would look at the same one for ever. */
    if (seen.bad || (seen.continues && state >= H2O_HTTP2_CONN_STATE_HALF_CLOSED))
        return false;
    *out_body_bytes = seen.data_bytes;
    http_transit_add(conn->server, seen.data_bytes + BLOCK_GROWTH * seen.header_bytes);
    return http_frames_spend(&conn->frames, seen.cost, clock_monotonic_ms());
}

/* libh2o reads nothing any more while its last bytes wait to be taken, and keeps all that comes. */
static void drop_behind_the_end(const struct http_conn *conn)
{
    const h2o_http2_conn_t *http2 = conn->sock->data;

    if (http2->state >= H2O_HTTP2_CONN_STATE_IS_CLOSING)
        h2o_buffer_consume(&conn->sock->input, conn->sock->input->size);
}

/* libh2o refuses a body that is too large as one that was never begun, and may be sent again.  With
 * no limit it gets its 413 from http_transit_trim(), behind what is read at a time. */
static size_t lift_limit(struct http_server *server)
{
    size_t limit = server->config.max_request_entity_size;

    server->config.max_request_entity_size = SIZE_MAX;
    return limit;
}

static void flood_on_read(h2o_socket_t *sock, const char *error)
{
    struct http_conn *conn = sock->on_close.data;
    struct http_server *server = conn->server;
    size_t body_bytes = 0;

    drop_behind_the_end(conn);
    if (error == NULL && !may_be_read(conn, &body_bytes)) {
        http_guard_cut(conn);
        error = h2o_socket_error_closed; /* So that libh2o reads none of it. */
    }
    size_t limit = lift_limit(server);
    server->reading = conn;
    conn->read(sock, error); /* May be the end of the connection. */
    bool open = server->reading == conn;
    server->reading = NULL;
    if (open)
        http_transit_trim(conn, body_bytes);
    server->config.max_request_entity_size = limit;
    http_transit_check(server, false);
}

bool http_flood_reads(const struct http_conn *conn)
{
    h2o_socket_cb read = conn->sock->_cb.read;

    return conn->read != NULL && (read == flood_on_read || read == conn->read);
}

void http_flood_renew(struct http_conn *conn)
{
    if (http_flood_reads(conn))
        conn->sock->_cb.read = flood_on_read;
}

/* libh2o frees its connection at once, and the socket only when TLS has said goodbye. */
static bool lives(const struct http_conn *conn)
{
    const h2o_linklist_t *all = &conn->server->context.http2._conns;
    const h2o_http2_conn_t *http2 = conn->sock->data; /* For its address alone. */

    for (const h2o_linklist_t *at = all->next; at != all; at = at->next)
        if (at == &http2->_conns)
            return true;
    return false;
}

/* Learns what libh2o reads HTTP/2 with, the same for all connections, and stands before it. */
static void stand_before(struct http_conn *conn)
{
    struct http_server *server = conn->server;

    if (!lives(conn))
        return;
    if (conn->sock->_cb.read != NULL)
        server->http2_read = conn->sock->_cb.read;
    conn->read = server->http2_read;
    http_flood_renew(conn);
}

void http_flood_start(struct http_conn *conn)
{
    struct http_server *server = conn->server;
    size_t body_bytes = 0;
    assert(server->starting == NULL);

    conn->sock->data = NULL;
    if (!may_be_read(conn, &body_bytes)) {
        http_meter_count(server, HTTP_METER_CUT);
        h2o_socket_close(conn->sock);
        return;
    }
    size_t limit = lift_limit(server);
    server->starting = conn;
    h2o_http2_accept(&conn->listener->accept, conn->sock, conn->connected_at);
    bool open = server->starting == conn;
    server->starting = NULL;
    if (open) {
        stand_before(conn);
        http_transit_trim(conn, body_bytes);
    }
    server->config.max_request_entity_size = limit;
}

void http_flood_spend(struct http_conn *conn, unsigned cost)
{
    if (!http_frames_spend(&conn->frames, cost, clock_monotonic_ms()))
        http_guard_cut(conn);
}
