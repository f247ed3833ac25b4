/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <h2o.h>
#include <h2o/http2.h>
#include <h2o/http2_internal.h>
#include <string.h>

#include "base/http_flood.h"
#include "base/http_inside.h"

/* Counted anew after so much of the limit came in, which is how far it may be passed. */
#define COUNTS_PER_LIMIT 16u
/* What libh2o lets an HTTP/2 connection have. */
#define STREAMS_MAX 100u
/* A header in memory, besides its text. */
#define HEADER_BYTES 112u
/* RFC 9113: an empty DATA frame. */
#define FRAME_HEADER_BYTES 9u
#define FLAG_END_STREAM    0x1u

static h2o_http2_stream_t *stream_of(h2o_req_t *req)
{
    void *stream = (uint8_t *)req - offsetof(h2o_http2_stream_t, req);

    return stream;
}

static size_t stream_bytes(const h2o_http2_stream_t *stream)
{
    size_t size = stream->req.headers.size * HEADER_BYTES;
    return size + (stream->_req_body == NULL ? 0 : stream->_req_body->size);
}

static int transit_on_request(h2o_req_t *req, void *owner)
{
    (void)owner;
    http_accept_conn(req)->transit_bytes += stream_bytes(stream_of(req));
    return 0;
}

static size_t count(struct http_server *server)
{
    size_t size = 0;

    for (h2o_linklist_t *at = server->conns.next; at != &server->conns; at = at->next) {
        struct http_conn *conn = http_conn_of(at);
        /* HTTP/1.1 keeps a body there, until its answer. */
        conn->transit_bytes = conn->cut ? 0 : conn->sock->input->size;
    }
    server->config.http2.callbacks.foreach_request(&server->context, transit_on_request, NULL);
    for (h2o_linklist_t *at = server->sending.next; at != &server->sending; at = at->next)
        http_call_of(at)->conn->transit_bytes += http_call_of(at)->answer_bytes;
    for (h2o_linklist_t *at = server->conns.next; at != &server->conns; at = at->next)
        size += http_conn_of(at)->transit_bytes;
    return size;
}

static struct http_conn *largest(struct http_server *server)
{
    struct http_conn *found = NULL;

    for (h2o_linklist_t *at = server->conns.next; at != &server->conns; at = at->next) {
        struct http_conn *conn = http_conn_of(at);
        if (!conn->cut && (found == NULL || conn->transit_bytes > found->transit_bytes))
            found = conn;
    }
    return found;
}

/* The largest body of one connection that is still coming in. */
struct search {
    const struct http_conn *conn;
    h2o_http2_stream_t *found; /* NULL: none. */
};

static int search_on_request(h2o_req_t *req, void *owner)
{
    struct search *search = owner;
    h2o_http2_stream_t *stream = stream_of(req);

    if (http_accept_conn(req) == search->conn &&
        stream->state == H2O_HTTP2_STREAM_STATE_RECV_BODY &&
        (search->found == NULL || stream_bytes(stream) > stream_bytes(search->found)))
        search->found = stream;
    return 0;
}

static h2o_http2_stream_t *largest_incoming(struct http_conn *conn)
{
    struct search search = {.conn = conn};
    struct http_server *server = conn->server;

    server->config.http2.callbacks.foreach_request(&server->context, search_on_request, &search);
    return search.found;
}

/* Gives libh2o the end of a body that has none yet, so that it is answered like any other; what the
 * peer still sends of it is refused by libh2o. */
static void end_body(struct http_conn *conn, h2o_http2_stream_t *stream)
{
    uint32_t id = stream->stream_id;
    const uint8_t frame[FRAME_HEADER_BYTES] = {0,
                                               0,
                                               0,
                                               0,
                                               FLAG_END_STREAM,
                                               (uint8_t)(id >> 24),
                                               (uint8_t)(id >> 16),
                                               (uint8_t)(id >> 8),
                                               (uint8_t)id};
    h2o_buffer_t **input = &conn->sock->input;

    h2o_buffer_reserve(input, sizeof frame);
    memmove((*input)->bytes + sizeof frame, (*input)->bytes, (*input)->size);
    memcpy((*input)->bytes, frame, sizeof frame);
    (*input)->size += sizeof frame;
    stream->_expected_content_length = SIZE_MAX;
    conn->read(conn->sock, NULL);
}

/* Between two frames, and only while somebody reads, a frame may be put in. */
static bool takes_frames(const struct http_conn *conn)
{
    if (!conn->http2 || conn->shaking || !http_flood_reads(conn))
        return false;
    const h2o_http2_conn_t *http2 = conn->sock->data;
    return http2 != NULL && http2->state == H2O_HTTP2_CONN_STATE_OPEN &&
           http2->_headers_unparsed == NULL;
}

/* What it was about to free counts as free. */
static size_t refuse(struct http_conn *conn)
{
    size_t size = conn->transit_bytes;
    h2o_http2_stream_t *stream = takes_frames(conn) ? largest_incoming(conn) : NULL;

    if (stream != NULL && stream_bytes(stream) >= size / STREAMS_MAX) {
        size = stream_bytes(stream);
        conn->transit_bytes -= size;
        conn->refused_stream = stream->stream_id;
        end_body(conn, stream);
        return size;
    }
    conn->transit_bytes = 0;
    http_guard_cut(conn);
    return size;
}

void http_transit_trim(struct http_conn *conn, size_t size)
{
    size_t limit = conn->server->options.limits.body_bytes;

    if (size <= conn->body_room) {
        conn->body_room -= size;
        return;
    }
    conn->body_room = 0;
    if (!takes_frames(conn))
        return; /* Next time. */
    h2o_http2_stream_t *stream = largest_incoming(conn);
    size_t found = stream == NULL || stream->_req_body == NULL ? 0 : stream->_req_body->size;
    if (found <= limit)
        conn->body_room = limit - found;
    else
        end_body(conn, stream); /* May be the end of the connection. */
}

void http_transit_add(struct http_server *server, size_t size)
{
    server->transit_new += size;
}

void http_transit_check(struct http_server *server, bool now)
{
    size_t limit = server->options.limits.transit_bytes;

    if (!now && server->transit_new < limit / COUNTS_PER_LIMIT)
        return;
    server->transit_new = 0;
    size_t size = count(server);
    while (size > limit) {
        struct http_conn *conn = largest(server);
        if (conn == NULL || conn->transit_bytes == 0)
            return;
        size -= refuse(conn);
    }
}
