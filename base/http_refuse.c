/* SPDX-License-Identifier: Apache-2.0 */
/* h2o_socket_write() below has the name and signature of libh2o's own and stands in the executable,
 * where the dynamic linker finds it first, as those in base/wipe.c do: it is the only way to what
 * libh2o says of bytes that it cannot read. */
#include "base/http_refuse.h"

#include <assert.h>
#include <dlfcn.h>
#include <h2o.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/encode.h"
#include "base/json.h"
#include "base/own.h"

#define TEXT_BYTES_MAX 4096u

typedef void (*write_fn)(h2o_socket_t *sock, h2o_iovec_t *parts, size_t count, h2o_socket_cb done);

static const struct http_problem invalid_framing = {
    .status = 400,
    .code = "invalid_framing",
    .title = "The request's framing is not valid.",
};
static const struct http_problem too_large = {
    .status = 431,
    .code = "header_too_large",
    .title = "The headers are too large.",
};

static write_fn write_of_libh2o(void)
{
    static _Atomic(write_fn) found;
    write_fn fn = atomic_load_explicit(&found, memory_order_acquire);
    if (fn != NULL)
        return fn;
    void *symbol = dlsym(RTLD_NEXT, "h2o_socket_write");
    assert(symbol != NULL);
    memcpy(&fn, &symbol, sizeof fn); /* ISO C has no cast from an object to a function. */
    atomic_store_explicit(&found, fn, memory_order_release);
    return fn;
}

/* The whole answer, which stays with the connection until it is written. */
static STATUS say(struct http_conn *conn, const struct http_problem *problem)
{
    OWNED(buffer_free) struct buffer body = BUFFER(TEXT_BYTES_MAX);
    struct json_writer writer = json_writer_over(&body);
    struct http_problem told = *problem;
    char id[HTTP_ID_BYTES_MAX + 1];
    char date[sizeof "Mon, 23 Nov 2026 08:00:00 GMT"];
    time_t now = time(NULL);
    struct tm parts;

    random_id("req_", id, sizeof id);
    (void)gmtime_r(&now, &parts);
    (void)strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &parts);
    told.member = conn->server->options.problem_member;
    http_problem_write(&writer, &told, id);
    TRY(buffer_status(&body));
    buffer_clear(&conn->said);
    buffer_format(&conn->said,
                  "HTTP/1.1 %d %s\r\nDate: %s\r\nConnection: close\r\nContent-Length: %zu\r\n"
                  "Server: %s\r\ncontent-type: application/problem+json\r\nrequest-id: %s\r\n"
                  "cache-control: no-store\r\nx-content-type-options: nosniff\r\n\r\n%s",
                  problem->status, http_answer_reason(problem->status), date, body.size,
                  conn->server->name, id, buffer_text(&body));
    TRY(buffer_status(&conn->said));
    http_meter_answer(conn->server, problem->status, 0);
    http_linger_arm(conn);
    return STATUS_OK;
}

/* libh2o's reader takes it for the end of the connection, and closes it in order. */
static void refuse_on_written(h2o_socket_t *sock, const char *error)
{
    struct http_conn *conn = sock->on_close.data;

    conn->refused_read(sock, error != NULL ? error : "refused");
}

void http_refuse(struct http_conn *conn, const struct http_problem *problem)
{
    h2o_socket_t *sock = conn->sock;

    assert(!conn->http2);
    assert(conn->in_flight == 0);
    /* Still writing, it would not come to this answer either. */
    if (conn->refused_read != NULL || h2o_socket_is_writing(sock) || sock->_cb.read == NULL ||
        failed(say(conn, problem))) {
        http_guard_cut(conn);
        return;
    }
    conn->refused_read = sock->_cb.read;
    h2o_socket_read_stop(sock);
    h2o_iovec_t text = h2o_iovec_init(conn->said.bytes, conn->said.size);
    write_of_libh2o()(sock, &text, 1, refuse_on_written);
}

/* More lines than libh2o has room for are no headers to it, and a head that is too long is not
 * parsed to its end. */
static bool is_too_large(const h2o_buffer_t *input, size_t size_max)
{
    const char *at = input->bytes;
    const char *end = input->bytes + input->size;

    for (unsigned count = 0; count <= H2O_MAX_HEADERS + 1; count++) {
        const char *next = memchr(at, '\n', (size_t)(end - at));
        if (next == NULL)
            return input->size > size_max;
        if (next - at < 2) /* The empty line that ends a head. */
            return (size_t)(next - input->bytes) > H2O_MAX_REQLEN;
        at = next + 1;
    }
    return true;
}

void h2o_socket_write(h2o_socket_t *sock, h2o_iovec_t *parts, size_t count, h2o_socket_cb done)
{
    static const char plain[] = "HTTP/1.1 400 Bad Request\r\n"
                                "Content-Type: text/plain; charset=utf-8\r\n"
                                "Connection: close\r\n"
                                "Content-Length: 11\r\n"
                                "\r\n"
                                "Bad Request";
    h2o_iovec_t text;

    if (count == 1 && h2o_memis(parts[0].base, parts[0].len, plain, sizeof plain - 1)) {
        struct http_conn *conn = sock->on_close.data;
        const struct http_problem *problem =
            is_too_large(sock->input, conn->server->options.limits.header_bytes) ? &too_large
                                                                                 : &invalid_framing;
        if (!failed(say(conn, problem))) {
            text = h2o_iovec_init(conn->said.bytes, conn->said.size);
            parts = &text;
        }
    }
    write_of_libh2o()(sock, parts, count, done);
}
