/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <h2o.h>

#include "base/http_inside.h"

/* Ends a call whose connection is cut already: libh2o's write fails, and it cleans up. */
static void end_after_cut(struct http_call *call)
{
    http_answer(call, &(struct http_answer){.status = 503, .close = true});
}

static void abort_on_written(h2o_socket_t *sock, const char *error)
{
    struct http_conn *conn = sock->on_close.data;
    struct http_server *server = conn->server;
    (void)error; /* The peer may be gone; it was to be hung up on anyway. */
    http_guard_cut(conn);
    for (h2o_linklist_t *at = server->waiting.next; at != &server->waiting; at = at->next) {
        struct http_call *call = http_call_of(at);
        if (call->conn == conn) { /* HTTP/1.1: there is but one. */
            end_after_cut(call);
            return;
        }
    }
}

static void abort_on_gone(void *owner)
{
    (void)owner; /* Nobody waits for the bytes any more. */
}

void http_abort(struct http_call *call, const void *bytes, size_t size)
{
    assert(call != NULL);
    assert(!call->answered);
    assert(bytes != NULL || size == 0);
    h2o_req_t *req = call->req;
    if (size == 0 || call->conn->http2) {
        http_guard_cut(call->conn);
        end_after_cut(call);
        return;
    }
    h2o_iovec_t copy = h2o_strdup(&req->pool, bytes, size);
    http_defer(call, NULL, abort_on_gone);
    h2o_socket_write(call->conn->sock, &copy, 1, abort_on_written);
}
