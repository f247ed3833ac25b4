/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <h2o.h>
#include <poll.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "base/encode.h"
#include "base/http_flood.h"
#include "base/http_inside.h"
#include "base/http_refuse.h"

/* CVE-2023-44487: a connection that takes back this many requests, and half of all it sent. */
#define CANCELS_MAX 100u
/* What libh2o allows an HTTP/2 connection. */
#define STREAMS_OPEN_MAX 100u
/* After so many requests the past counts half. */
#define RECENT_COUNT_MAX 2000u

static const struct http_problem invalid_framing = {
    .status = 400,
    .code = "invalid_framing",
    .title = "The request's framing is not valid.",
};
static const struct http_problem invalid_header = {
    .status = 400,
    .code = "invalid_header",
    .title = "A header is not valid.",
    .detail = "It stands twice, or holds a character that it must not.",
};
static const struct http_problem header_too_large = {
    .status = 431,
    .code = "header_too_large",
    .title = "The headers are too large.",
};
static const struct http_problem too_large = {
    .status = 413,
    .code = "too_large",
    .title = "The body is too large.",
};
static const struct http_problem busy = {
    .status = 503,
    .code = "busy",
    .title = "Too many requests are under way.",
    .detail = "Try again a little later.",
};
static const struct http_problem late = {
    .status = 408,
    .code = "deadline",
    .title = "The request took too long.",
};
static const struct http_problem overdue = {
    .status = 503,
    .code = "busy",
    .title = "There was no answer in time.",
    .detail = "The request may have been carried out; repeat it with the same Idempotency-Key.",
};

/* --- Rapid resets --- */

/* Streams that were opened and reset before they became a request are not seen here, but their
 * numbers are missing. */
static void count_missing(struct http_call *call)
{
    struct http_conn *conn = call->conn;
    uint64_t opened = ((uint64_t)call->stream_id + 1) / 2;
    uint64_t known = conn->request_count + STREAMS_OPEN_MAX; /* As many may still come in. */

    if (opened > known + CANCELS_MAX && opened >= 2 * known)
        http_guard_cut(conn);
}

void http_guard_cut(struct http_conn *conn)
{
    if (conn->cut)
        return;
    conn->cut = true;
    http_meter_count(conn->server, HTTP_METER_CUT);
    shutdown(h2o_socket_get_fd(conn->sock), SHUT_RDWR);
}

void http_guard_ended(struct http_call *call, bool taken_back)
{
    struct http_conn *conn = call->conn;

    if (conn->recent_count > RECENT_COUNT_MAX) {
        conn->recent_count /= 2;
        conn->recent_cancel_count /= 2;
    }
    if (!taken_back) {
        http_frames_earn(&conn->frames, call->req->bytes_sent);
        return;
    }
    conn->recent_cancel_count++;
    if (conn->recent_cancel_count > CANCELS_MAX &&
        2 * conn->recent_cancel_count >= conn->recent_count)
        http_guard_cut(conn);
}

/* --- Before the handler --- */

/* The headers of an HTTP/1.1 head that decide where a request ends. */
struct framing {
    unsigned length_count;
    unsigned encoding_count;
    unsigned host_count;
};

static bool name_is(const char *line, size_t size, const char *name)
{
    size_t name_size = strlen(name);
    return size > name_size && line[name_size] == ':' && strncasecmp(line, name, name_size) == 0;
}

/* Counts in one header line, which is without its CRLF; false when it is no clean header. */
static bool framing_line(struct framing *framing, const char *line, size_t size)
{
    if (line[0] == ' ' || line[0] == '\t') /* A folded line (RFC 9112 section 5.2). */
        return false;
    framing->length_count += name_is(line, size, "content-length");
    framing->encoding_count += name_is(line, size, "transfer-encoding");
    framing->host_count += name_is(line, size, "host");
    return memchr(line, '\n', size) == NULL && memchr(line, '\r', size) == NULL;
}

/* libh2o takes the framing headers out and decides by itself which of two it believes; a proxy in
 * front may believe the other one (request smuggling).  The raw head is still in the input. */
static bool framing_is_clear(const h2o_req_t *req, const h2o_buffer_t *input)
{
    struct framing framing = {0};
    const char *line = input->bytes;
    const char *end = input->bytes + input->size;
    unsigned line_count = 0;

    while (line < end && (*line == '\r' || *line == '\n')) /* Allowed before a request line. */
        line++;
    for (;; line_count++) {
        const char *crlf = memmem(line, (size_t)(end - line), "\r\n", 2);
        if (crlf == NULL)
            return false;
        if (crlf == line)
            break;
        bool clean = line_count == 0 ? memchr(line, '\n', (size_t)(crlf - line)) == NULL
                                     : framing_line(&framing, line, (size_t)(crlf - line));
        if (!clean)
            return false;
        line = crlf + 2;
    }
    if (framing.length_count + framing.encoding_count > 1 || framing.host_count > 1)
        return false;
    if (req->version < 0x101) /* HTTP/1.0 knows no chunks and needs no Host. */
        return framing.encoding_count == 0;
    return framing.host_count == 1;
}

bool http_is_token(const char *text, size_t size)
{
    static const char marks[] = "!#$%&'*+-.^_`|~";

    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        bool good = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                    (c != '\0' && strchr(marks, c) != NULL);
        if (!good)
            return false;
    }
    return size > 0;
}

static bool is_visible(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (text[i] <= 0x20 || text[i] >= 0x7f)
            return false;
    return true;
}

static bool is_value(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

/* The bit of a header that may stand once only; 0 for others. */
static unsigned once_bit(const h2o_iovec_t *name)
{
    static const char *const once[] = {
        "authorization",
        "cardkeep-dry-run",
        "cardkeep-on-behalf-of",
        "cardkeep-purpose",
        "content-encoding",
        "content-type",
        "expect",
        "host",
        "idempotency-key",
        "request-id",
        "traceparent",
    };
    for (unsigned i = 0; i < sizeof once / sizeof once[0]; i++)
        if (name->len == strlen(once[i]) && memcmp(name->base, once[i], name->len) == 0)
            return 1u << i;
    return 0;
}

static const struct http_problem *check_headers(const struct http_call *call)
{
    const h2o_req_t *req = call->req;
    size_t size = req->path.len + req->method.len + req->authority.len;
    unsigned seen = 0;

    if (req->headers.size > HTTP_HEADERS_MAX)
        return &header_too_large;
    for (size_t i = 0; i < req->headers.size; i++) {
        const h2o_header_t *header = &req->headers.entries[i];
        unsigned bit = once_bit(header->name);
        size += header->name->len + header->value.len;
        if ((seen & bit) != 0 || !http_is_token(header->name->base, header->name->len) ||
            !is_value(header->value.base, header->value.len))
            return &invalid_header;
        seen |= bit;
    }
    return size > call->server->options.limits.header_bytes ? &header_too_large : NULL;
}

/* libh2o takes no notice when an answer could not be written, and goes on with the requests that it
 * has read already: they would be carried out for nobody. */
static bool is_gone(const struct http_conn *conn)
{
    struct pollfd poll_fd = {.fd = h2o_socket_get_fd(conn->sock)};

    return conn->request_count > 1 && poll(&poll_fd, 1, 0) == 1 &&
           (poll_fd.revents & (POLLERR | POLLHUP)) != 0;
}

const struct http_problem *http_guard_request(struct http_call *call, bool *out_close)
{
    const struct http_limits *limits = &call->server->options.limits;
    const h2o_req_t *req = call->req;
    struct http_conn *conn = call->conn;

    *out_close = true;
    if (conn->http2)
        count_missing(call);
    if (!conn->http2 && is_gone(conn))
        http_guard_cut(conn);
    if (conn->cut)
        return &busy;
    if (!conn->http2 && !framing_is_clear(req, conn->sock->input))
        return &invalid_framing;
    if (!http_is_token(req->method.base, req->method.len) || req->path.len == 0 ||
        req->path.base[0] != '/' || !is_visible(req->path.base, req->path.len))
        return &invalid_framing;
    *out_close = false;
    if (conn->http2 && call->stream_id == conn->refused_stream)
        return &busy;
    const struct http_problem *problem = check_headers(call);
    if (problem != NULL)
        return problem;
    if (req->entity.len > limits->body_bytes)
        return &too_large;
    if (call->server->in_flight > limits->in_flight ||
        conn->in_flight > limits->in_flight_per_connection)
        return &busy;
    return NULL;
}

/* --- Time --- */

/* Gives up on a handler: it is told as if the client had left, and the client is told to retry. */
static void give_up(struct http_call *call, const struct http_problem *problem)
{
    http_gone_fn gone = call->gone;

    call->gone = NULL;
    if (gone != NULL)
        gone(call->owner);
    http_answer_problem(call, problem, call->server->options.overdue_headers);
}

static struct http_call *first_call(h2o_linklist_t *list)
{
    if (h2o_linklist_is_empty(list))
        return NULL;
    return http_call_of(list->next);
}

/* Both lists are in the order in which their calls came in, so that only the first can be due. */
static void sweep_calls(struct http_server *server, int64_t due_ms)
{
    struct http_call *call = first_call(&server->waiting);

    for (; call != NULL && call->since_ms < due_ms; call = first_call(&server->waiting))
        give_up(call, &overdue);
    call = first_call(&server->sending);
    for (; call != NULL && call->since_ms < due_ms; call = first_call(&server->sending)) {
        h2o_linklist_unlink(&call->link);
        http_guard_cut(call->conn); /* It does not take its answer. */
    }
}

static bool is_earlier(const struct timeval *one, const struct timeval *other)
{
    if (one->tv_sec != other->tv_sec)
        return one->tv_sec < other->tv_sec;
    return one->tv_usec < other->tv_usec;
}

/* Notes a stream that is still coming in, if it is the oldest of its connection. */
static int guard_on_http2_request(h2o_req_t *req, void *owner)
{
    (void)owner;
    struct http_incoming *seen = &http_accept_conn(req)->seen;
    const struct timeval *at = &req->timestamps.request_begin_at;

    /* Not begun (a mere PRIORITY frame), or whole. */
    if (at->tv_sec == 0 || req->processed_at.at.tv_sec != 0)
        return 0;
    if (seen->req == NULL || is_earlier(at, &seen->at))
        *seen = (struct http_incoming){.req = req, .at = *at};
    return 0;
}

static bool same_incoming(const struct http_incoming *one, const struct http_incoming *other)
{
    return one->req == other->req && one->at.tv_sec == other->at.tv_sec &&
           one->at.tv_usec == other->at.tv_usec;
}

/* A body that trickles in over HTTP/2: libh2o has no bound for it.  While a stream is the oldest of
 * its connection that is not whole, its time runs. */
static void sweep_slow(struct http_conn *conn, int64_t now_ms)
{
    if (!same_incoming(&conn->seen, &conn->slow)) {
        conn->slow = conn->seen;
        conn->slow_since_ms = now_ms;
    }
    conn->seen = (struct http_incoming){0};
    if (conn->slow.req != NULL &&
        now_ms - conn->slow_since_ms > conn->server->options.limits.request_ms)
        http_guard_cut(conn);
}

/* HTTP/2 has other requests under way, and no place for an answer to half of one. */
static void end_partial(struct http_conn *conn)
{
    if (conn->http2 || conn->cut)
        http_guard_cut(conn);
    else
        http_refuse(conn, &late);
}

static void sweep_conn(struct http_conn *conn, int64_t now_ms)
{
    const struct http_limits *limits = &conn->server->options.limits;

    if (conn->shaking) {
        if (now_ms - conn->idle_since_ms > limits->request_ms)
            http_guard_cut(conn);
        return;
    }
    http_flood_renew(conn);
    sweep_slow(conn, now_ms);
    /* While an HTTP/1.1 request is being answered, the input holds that one. */
    bool partial = conn->sock->input->size != 0 && (conn->http2 || conn->in_flight == 0);
    if (!partial)
        conn->partial_since_ms = 0;
    else if (conn->partial_since_ms == 0)
        conn->partial_since_ms = now_ms;
    else if (now_ms - conn->partial_since_ms > limits->request_ms)
        end_partial(conn);

    /* HTTP/2 is told to go away by libh2o's own idle timer first. */
    int64_t idle_ms = conn->http2 ? limits->idle_ms + limits->request_ms : limits->idle_ms;
    if (!partial && conn->in_flight == 0 && conn->slow.req == NULL &&
        now_ms - conn->idle_since_ms > idle_ms)
        http_guard_cut(conn);
}

void http_guard_sweep(struct http_server *server, int64_t now_ms)
{
    sweep_calls(server, now_ms - server->options.limits.answer_ms);
    server->config.http2.callbacks.foreach_request(&server->context, guard_on_http2_request, NULL);
    for (h2o_linklist_t *link = server->conns.next; link != &server->conns; link = link->next)
        sweep_conn(http_conn_of(link), now_ms);
    http_transit_check(server, true);
    http_linger_sweep(server, now_ms);
}

/* --- The end --- */

void http_guard_cut_all(struct http_server *server)
{
    for (struct http_call *call = first_call(&server->waiting); call != NULL;
         call = first_call(&server->waiting)) {
        call->req->http1_is_persistent = 0;
        give_up(call, &overdue); /* It was begun: what became of it is not known here. */
    }
    for (h2o_linklist_t *link = server->conns.next; link != &server->conns; link = link->next)
        http_guard_cut(http_conn_of(link));
}
