/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <h2o.h>
#include <sodium.h>
#include <string.h>

#include "base/encode.h"
#include "base/http_inside.h"
#include "base/http_refuse.h"
#include "base/redact.h"

/* RFC 9113 section 4.1: length (3 bytes), type, flags, stream (4). */
#define FRAME_HEADER_BYTES 9u
#define FRAME_TYPE_DATA    0u

/* libh2o's texts have no NUL; ours live in the request's pool, which is wiped when recycled. */
static const char *text_copy(h2o_mem_pool_t *pool, const char *bytes, size_t size)
{
    return h2o_strdup(pool, bytes, size).base;
}

static void copy_target(struct http_call *call)
{
    h2o_req_t *req = call->req;
    const char *path = req->path.base;
    size_t size = req->path.len;
    size_t query_at = req->query_at < size ? req->query_at : size;

    call->method = text_copy(&req->pool, req->method.base, req->method.len);
    call->path = text_copy(&req->pool, path, query_at);
    call->query =
        query_at == size ? "" : text_copy(&req->pool, path + query_at + 1, size - query_at - 1);
    call->host = text_copy(&req->pool, req->authority.base, req->authority.len);
}

static void copy_headers(struct http_call *call)
{
    h2o_req_t *req = call->req;
    size_t count = req->headers.size < HTTP_HEADERS_MAX ? req->headers.size : HTTP_HEADERS_MAX;

    if (count == 0)
        return;
    call->headers = h2o_mem_alloc_pool(&req->pool, count * sizeof *call->headers);
    for (size_t i = 0; i < count; i++) {
        const h2o_header_t *header = &req->headers.entries[i];
        call->headers[i].name = text_copy(&req->pool, header->name->base, header->name->len);
        call->headers[i].value = text_copy(&req->pool, header->value.base, header->value.len);
    }
    call->header_count = (unsigned)count;
}

static bool id_is_sane(const char *id)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    size_t size = strlen(id);
    return size >= 1 && size <= HTTP_ID_BYTES_MAX && strspn(id, allowed) == size;
}

/* An id is answered and logged, and HTTP/2 keeps it in the connection's header table. */
static bool id_is_harmless(const char *id)
{
    struct redact_hit hit;
    return !redact_find((const uint8_t *)id, strlen(id), 0, &hit);
}

void http_call_choose_id(const char *theirs, char out[static HTTP_ID_BYTES_MAX + 1])
{
    if (theirs != NULL && id_is_sane(theirs) && id_is_harmless(theirs))
        memcpy(out, theirs, strlen(theirs) + 1);
    else
        random_id("req_", out, HTTP_ID_BYTES_MAX + 1);
}

/* Bytes of the frame at the start of the input that are body of this very stream.  libh2o has
 * copied them by now and steps over them, unread, when the handler is done. */
static size_t own_frame_size(const struct http_call *call, const h2o_buffer_t *input)
{
    const uint8_t *frame = (const uint8_t *)input->bytes;

    if (input->size < FRAME_HEADER_BYTES || frame[3] != FRAME_TYPE_DATA)
        return 0;
    uint32_t size = (uint32_t)frame[0] << 16 | (uint32_t)frame[1] << 8 | frame[2];
    uint32_t id =
        (uint32_t)frame[5] << 24 | (uint32_t)frame[6] << 16 | (uint32_t)frame[7] << 8 | frame[8];
    if (id != call->stream_id || size > input->size - FRAME_HEADER_BYTES)
        return 0;
    return size;
}

/* Wipes what the socket's input still holds of requests that libh2o has read already.  What was
 * wiped before is skipped, so that many requests in one buffer cost no more than its size. */
static void wipe_input(struct http_call *call)
{
    struct http_conn *conn = call->conn;
    h2o_buffer_t *input = conn->sock->input;

    if (input->bytes == NULL)
        return;
    size_t consumed = (size_t)(input->bytes - input->_buf);
    size_t from = 0;
    if (conn->wiped_buffer == input && conn->wiped_size <= consumed)
        from = conn->wiped_size;
    sodium_memzero(input->_buf + from, consumed - from);
    conn->wiped_buffer = input;
    conn->wiped_size = consumed;
    if (conn->http2)
        sodium_memzero(input->bytes + FRAME_HEADER_BYTES, own_frame_size(call, input));
}

/* True when the client has, or had in its window, everything of the answer. */
static bool answered_in_full(const struct http_call *call)
{
    const h2o_req_t *req = call->req;

    if (!call->answered)
        return false;
    return req->res.content_length == SIZE_MAX || req->bytes_sent >= req->res.content_length ||
           h2o_memis(req->method.base, req->method.len, H2O_STRLIT("HEAD"));
}

static void call_on_dispose(void *memory)
{
    struct http_call *call = memory;
    struct http_server *server = call->server;
    struct http_conn *conn = call->conn;

    if (server->handing == call)
        server->handing = NULL;
    if (h2o_linklist_is_linked(&call->link)) /* The sweep may have given it up. */
        h2o_linklist_unlink(&call->link);
    assert(conn->in_flight > 0);
    assert(server->in_flight > 0);
    conn->in_flight--;
    server->in_flight--;
    conn->idle_since_ms = clock_monotonic_ms();
    conn->partial_since_ms = 0;
    http_guard_ended(call, !answered_in_full(call));
    if (!call->answered) {
        http_meter_count(server, HTTP_METER_CANCELLED);
        /* HTTP/2 has freed, and so wiped, the body before it comes here. */
        if (!conn->http2 && call->req->entity.base != NULL)
            sodium_memzero(call->req->entity.base, call->req->entity.len);
    }
    if (conn->close_soon && conn->in_flight == 0)
        http_guard_cut(conn);
    void *owner = call->owner;
    http_gone_fn gone = call->gone;
    sodium_memzero(call, sizeof *call);
    if (gone != NULL)
        gone(owner);
}

static uint32_t stream_id_of(h2o_req_t *req)
{
    /* What libh2o would log; the number itself is in its private structs. */
    h2o_iovec_t text = req->conn->callbacks->log_.http2.stream_id(req);
    uint32_t id = 0;

    for (size_t i = 0; i < text.len; i++)
        id = 10 * id + (uint32_t)(text.base[i] - '0');
    return id;
}

static struct http_call *call_begin(struct http_server *server, h2o_req_t *req)
{
    struct http_call *call = h2o_mem_alloc_shared(&req->pool, sizeof *call, call_on_dispose);

    memset(call, 0, sizeof *call);
    call->server = server;
    call->conn = http_accept_conn(req);
    call->req = req;
    call->begun_us = clock_monotonic_us();
    call->since_ms = call->begun_us / 1000;
    h2o_linklist_insert(&server->waiting, &call->link);
    server->in_flight++;
    call->conn->in_flight++;
    call->conn->request_count++;
    call->conn->recent_count++;
    call->conn->partial_since_ms = 0;
    if (call->conn->http2)
        call->stream_id = stream_id_of(req);
    return call;
}

int http_call_on_request(struct http_server *server, h2o_req_t *req)
{
    struct http_call *call = call_begin(server, req);
    copy_target(call);
    copy_headers(call);
    http_call_choose_id(http_header(call, "request-id"), call->id);
    wipe_input(call);

    bool close = false;
    const struct http_problem *problem = http_guard_request(call, &close);
    if (problem != NULL) {
        req->http1_is_persistent = req->http1_is_persistent && !close;
        if (close && !call->conn->http2)
            http_linger_arm(call->conn);
        http_answer_problem(call, problem, server->options.refused_headers);
        return 0;
    }
    server->handing = call;
    server->options.on_call(server->options.owner, call);
    /* Neither answered nor deferred, nobody would ever answer it. */
    assert(server->handing != call || call->answered || call->deferred);
    server->handing = NULL;
    return 0;
}
