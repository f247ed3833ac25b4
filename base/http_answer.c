/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <h2o.h>
#include <sodium.h>
#include <string.h>

#include "base/encode.h"
#include "base/http_inside.h"
#include "base/http_refuse.h"
#include "base/json.h"
#include "base/own.h"

#define PROBLEM_BYTES_MAX 4096u

static const char problem_type[] = "application/problem+json";
static const char opaque_type[] = "application/octet-stream"; /* For one that cannot be said. */

/* Marks our own answers for the filter below. */
static h2o_generator_t answer_generator;

const char *http_answer_reason(int status)
{
    static const struct {
        int status;
        const char *reason;
    } reasons[] = {
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {413, "Content Too Large"},
        {415, "Unsupported Media Type"},
        {422, "Unprocessable Content"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
    };
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return "Other";
}

/* Names that are said here or by libh2o, and never twice. */
static bool is_ours(const char *name)
{
    static const char *const ours[] = {
        "connection", "content-length",    "content-type", "date",
        "keep-alive", "request-id",        "server",       "te",
        "trailer",    "transfer-encoding", "upgrade",      "x-content-type-options",
    };
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++)
        if (strcasecmp(name, ours[i]) == 0)
            return true;
    return false;
}

/* A line break in a value would be the start of another header, or of another answer. */
static bool is_one_line(const char *text)
{
    for (; *text != '\0'; text++)
        if (((unsigned char)*text < 0x20 && *text != '\t') || *text == 0x7f)
            return false;
    return true;
}

static void add_header(h2o_req_t *req, const char *name, const char *value)
{
    h2o_iovec_t name_copy = h2o_strdup(&req->pool, name, SIZE_MAX);
    h2o_iovec_t value_copy = h2o_strdup(&req->pool, value, SIZE_MAX);

    h2o_strtolower(name_copy.base, name_copy.len); /* As HTTP/2 demands. */
    h2o_add_header_by_str(&req->pool, &req->res.headers, name_copy.base, name_copy.len, 1, NULL,
                          value_copy.base, value_copy.len);
}

/* A header of every answer: its name and value are lent for as long as the request lives. */
static void add_own(h2o_req_t *req, const char *name, const char *value)
{
    h2o_add_header_by_str(&req->pool, &req->res.headers, name, strlen(name), 1, NULL, value,
                          strlen(value));
}

static void add_headers(h2o_req_t *req, const char *const *headers)
{
    bool cacheable = false;

    for (; headers != NULL && headers[0] != NULL; headers += 2) {
        assert(headers[1] != NULL);
        if (is_ours(headers[0]) || headers[0][0] == '\0' || !is_one_line(headers[0]) ||
            !is_one_line(headers[1]))
            continue;
        cacheable = cacheable || strcasecmp(headers[0], "cache-control") == 0;
        add_header(req, headers[0], headers[1]);
    }
    if (!cacheable)
        add_own(req, "cache-control", "no-store");
    add_own(req, "x-content-type-options", "nosniff");
}

static bool may_have_body(int status)
{
    return status >= 200 && status != 204 && status != 304;
}

/* True where the handler said nothing in headers, and so not when to come again either. */
static bool is_bare(const struct http_call *call, const char *const *headers)
{
    const struct http_server_options *options = &call->server->options;

    return headers == NULL || headers == options->refused_headers ||
           headers == options->overdue_headers;
}

static void send_answer(struct http_call *call, const struct http_answer *answer)
{
    h2o_req_t *req = call->req;
    size_t size = answer->content_type == NULL ? 0 : answer->body_size;

    req->res.status = answer->status;
    req->res.reason = http_answer_reason(answer->status);
    req->res.headers = (h2o_headers_t){0};
    if (answer->content_type != NULL)
        add_header(req, "content-type",
                   is_one_line(answer->content_type) ? answer->content_type : opaque_type);
    add_own(req, "request-id", call->id);
    add_headers(req, answer->headers);
    if (answer->status == 503 && is_bare(call, answer->headers))
        add_header(req, "retry-after", "1");
    req->res.content_length = may_have_body(answer->status) ? size : SIZE_MAX;

    h2o_start_response(req, &answer_generator);
    bool silent = size == 0 || !may_have_body(answer->status) ||
                  h2o_memis(req->method.base, req->method.len, H2O_STRLIT("HEAD"));
    if (silent) {
        h2o_send(req, NULL, 0, H2O_SEND_STATE_FINAL);
        return;
    }
    call->answer_bytes = size;
    h2o_iovec_t body = h2o_strdup(&req->pool, answer->body, size);
    h2o_send(req, &body, 1, H2O_SEND_STATE_FINAL);
}

void http_answer(struct http_call *call, const struct http_answer *answer)
{
    h2o_req_t *req = call->req;
    assert(!call->answered);
    assert(answer->status >= 200);
    assert(answer->status <= 999);

    call->answered = true;
    call->gone = NULL;
    h2o_linklist_unlink(&call->link);
    call->since_ms = clock_monotonic_ms();
    h2o_linklist_insert(&call->server->sending, &call->link);
    if (req->entity.base != NULL)
        sodium_memzero(req->entity.base, req->entity.len);
    http_meter_answer(call->server, answer->status, clock_monotonic_us() - call->begun_us);

    if (answer->close || call->server->stopping)
        req->http1_is_persistent = 0;
    if (answer->close && call->conn->http2)
        call->conn->close_soon = true;
    send_answer(call, answer);
}

void http_answer_problem(struct http_call *call, const struct http_problem *problem,
                         const char *const *headers)
{
    OWNED(buffer_free) struct buffer body = BUFFER(PROBLEM_BYTES_MAX);
    struct json_writer writer = json_writer_over(&body);
    struct http_problem told = *problem;

    told.member = call->server->options.problem_member;
    http_problem_write(&writer, &told, call->id);
    if (failed(buffer_status(&body)))
        buffer_clear(&body); /* The status alone says what matters. */
    http_answer(call, &(struct http_answer){
                          .status = problem->status,
                          .content_type = problem_type,
                          .body = body.bytes,
                          .body_size = body.size,
                          .headers = headers,
                      });
}

/* --- Errors that libh2o answers by itself --- */

/* Puts a problem body in the place of the plain text. */
struct replacement {
    h2o_ostream_t super; /* First, so that the stream is its replacement. */
    h2o_iovec_t body;
};

static void replacement_on_send(h2o_ostream_t *self, h2o_req_t *req, h2o_iovec_t *bufs,
                                size_t count, h2o_send_state_t state)
{
    struct replacement *replacement = (struct replacement *)self;

    if (count == 0) { /* HEAD. */
        h2o_ostream_send_next(self, req, bufs, count, state);
        return;
    }
    h2o_ostream_send_next(self, req, &replacement->body, 1, state);
}

static struct http_problem problem_of(int status)
{
    switch (status) {
    case 413:
        return (struct http_problem){
            .status = status, .code = "too_large", .title = "The body is too large."};
    case 417:
        return (struct http_problem){
            .status = status, .code = "invalid_header", .title = "Expect is not understood."};
    default:
        return (struct http_problem){.status = status,
                                     .code = "invalid_framing",
                                     .title = "The request's framing is not valid."};
    }
}

struct answer_filter {
    h2o_filter_t super; /* First, so that the filter is ours. */
    const char *problem_member;
    const char *const *headers;
};

static const char *their_id(h2o_req_t *req)
{
    ssize_t at = h2o_find_header_by_str(&req->headers, H2O_STRLIT("request-id"), -1);

    if (at < 0)
        return NULL;
    const h2o_iovec_t *value = &req->headers.entries[at].value;
    return h2o_strdup(&req->pool, value->base, value->len).base; /* With a NUL. */
}

static void answer_on_setup(h2o_filter_t *filter, h2o_req_t *req, h2o_ostream_t **slot)
{
    if (req->_generator == &answer_generator || req->res.status < 400) {
        h2o_setup_next_ostream(req, slot);
        return;
    }
    struct http_conn *conn = http_accept_conn(req);
    if (!conn->http2)
        http_linger_arm(conn); /* libh2o answers so in the middle of a body. */
    char id[HTTP_ID_BYTES_MAX + 1];
    http_call_choose_id(their_id(req), id);
    OWNED(buffer_free) struct buffer body = BUFFER(PROBLEM_BYTES_MAX);
    struct json_writer writer = json_writer_over(&body);
    struct http_problem problem = problem_of(req->res.status);
    const struct answer_filter *own = (const struct answer_filter *)filter;
    problem.member = own->problem_member;
    http_problem_write(&writer, &problem, id);

    req->res.headers = (h2o_headers_t){0};
    add_header(req, "content-type", problem_type);
    add_header(req, "request-id", id);
    add_headers(req, own->headers);
    req->res.content_length = body.size;
    struct replacement *replacement =
        (struct replacement *)h2o_add_ostream(req, sizeof *replacement, slot);
    replacement->super.do_send = replacement_on_send;
    replacement->body = h2o_strdup(&req->pool, (const char *)body.bytes, body.size);
    h2o_setup_next_ostream(req, &replacement->super.next);
}

void http_answer_set_up(h2o_pathconf_t *path, const struct http_server_options *options)
{
    struct answer_filter *filter =
        (struct answer_filter *)h2o_create_filter(path, sizeof(struct answer_filter));
    filter->super.on_setup_ostream = answer_on_setup;
    filter->problem_member = options->problem_member;
    filter->headers = options->refused_headers;
}
