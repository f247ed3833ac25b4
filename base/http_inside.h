/* SPDX-License-Identifier: Apache-2.0 */
/* base/http_inside.h -- what the files of base/http share; for nobody else.
 *
 * http.c         the server's life, what a handler may ask
 * http_accept.c  listeners and connections
 * http_call.c    from libh2o's request to a call, and its end
 * http_guard.c   bounds that libh2o lacks
 * http_flood.c   HTTP/2 frames before libh2o reads them
 * http_transit.c bodies and answers of all connections together
 * http_answer.c  answers, libh2o's own errors included
 * http_refuse.c  answers to what never became a request
 * http_linger.c  connections that end while their client still sends
 *
 * Never   is included by anything but these and their tests.
 * Threads the loop's.
 */
#ifndef BASE_HTTP_INSIDE_H
#define BASE_HTTP_INSIDE_H

#include <assert.h>
#include <h2o.h>
#include <netinet/in.h>
#include <stddef.h>

#include "base/buffer.h"
#include "base/http.h"
#include "base/http_frames.h"
#include "base/http_meter.h"
#include "base/metrics.h"

#define HTTP_LISTENERS_MAX    8u
#define HTTP_HEADERS_MAX      100u
#define HTTP_ID_BYTES_MAX     64u
#define HTTP_ADDRESS_SIZE     (INET6_ADDRSTRLEN + 9u) /* "[…]:65535" */
#define HTTP_BODY_BYTES_SPARE (64u * 1024u) /* Read beyond the limit, so as to answer 413. */
#define HTTP_COMPONENT_MAX    24u
#define HTTP_SAID_BYTES_MAX   8192u

struct http_listener {
    struct http_server *server;
    h2o_socket_t *sock; /* NULL when closed. */
    h2o_accept_ctx_t accept;
    struct tls_server *tls; /* NULL: plain HTTP. */
    void *tag;
    bool paused;
};

/* A request of which the last byte is not there yet; `at` because addresses are used again. */
struct http_incoming {
    const h2o_req_t *req; /* For comparing only; NULL: none. */
    struct timeval at;    /* When it began, by libh2o's clock. */
};

/* Stands in the socket's on_close and ends with it. */
struct http_conn {
    h2o_linklist_t link; /* First; server->conns. */
    struct http_server *server;
    struct http_listener *listener;
    h2o_socket_t *sock;
    void *context; /* The SSL_CTX that it began with; held. */
    struct tls_peer peer;
    char address[HTTP_ADDRESS_SIZE];
    struct timeval connected_at; /* By libh2o's clock. */
    bool shaking;                /* Hands: TLS is not done. */
    bool http2;
    h2o_socket_cb read; /* HTTP/2: libh2o's own, behind http_flood_on_read(). */
    struct http_frames frames;
    size_t transit_bytes;    /* Of the last count. */
    size_t body_room;        /* HTTP/2: no body of it is too large before so much came in. */
    uint32_t refused_stream; /* HTTP/2: ended by http_transit.c before it was whole; 0: none. */
    bool cut;                /* Shut down by us: nothing of it reaches a handler any more. */

    unsigned in_flight;
    uint64_t request_count;
    unsigned recent_count;        /* Requests, halved from time to time … */
    unsigned recent_cancel_count; /* … and those that the client took back. */

    int64_t idle_since_ms;
    int64_t partial_since_ms;  /* 0: no request is partly there. */
    struct http_incoming slow; /* HTTP/2: the oldest request still coming in … */
    int64_t slow_since_ms;     /* … and since when it is the oldest. */
    struct http_incoming seen; /* Of the sweep that is going on. */
    bool close_soon;           /* With its last request. */

    struct buffer said;         /* By http_refuse.c. */
    h2o_socket_cb refused_read; /* libh2o's reader of a request that was refused half read. */
    int linger_fd;              /* Keeps the connection when libh2o closes it; or -1. */

    const void *wiped_buffer; /* How far the socket's input was wiped already. */
    size_t wiped_size;
};

struct http_pair {
    const char *name;
    const char *value;
};

/* Lives in the request's pool: it ends when the request does, whoever hangs up first. */
struct http_call {
    h2o_linklist_t link; /* First; server->waiting until it is answered, then server->sending. */
    struct http_server *server;
    struct http_conn *conn;
    h2o_req_t *req;
    uint32_t stream_id; /* HTTP/2's; 0 for HTTP/1.1. */
    int64_t since_ms;   /* When it entered the list that it is in. */
    int64_t begun_us;

    const char *method;
    const char *path;
    const char *query;
    const char *host;
    struct http_pair *headers;
    unsigned header_count;
    char id[HTTP_ID_BYTES_MAX + 1];

    void *owner;
    http_gone_fn gone;
    bool deferred;
    bool answered;
    size_t answer_bytes;
};

static_assert(offsetof(struct http_conn, link) == 0, "http_conn_of() is a cast");
static_assert(offsetof(struct http_call, link) == 0, "http_call_of() is a cast");

static inline struct http_conn *http_conn_of(h2o_linklist_t *link)
{
    return (struct http_conn *)link;
}

static inline struct http_call *http_call_of(h2o_linklist_t *link)
{
    return (struct http_call *)link;
}

struct http_server {
    struct http_server_options options;
    char name[sizeof "cardkeep-" + HTTP_COMPONENT_MAX];
    h2o_globalconf_t config;
    h2o_context_t context;
    bool context_open;
    struct http_listener listeners[HTTP_LISTENERS_MAX];
    unsigned listener_count;

    h2o_linklist_t conns;
    unsigned conn_count;
    h2o_linklist_t lingers;
    unsigned linger_count; /* Those that will linger, too. */
    h2o_linklist_t waiting;
    h2o_linklist_t sending;
    unsigned in_flight;
    size_t transit_new;         /* Bytes that came in since the last count. */
    struct http_conn *reading;  /* HTTP/2 whose input libh2o reads right now. */
    struct http_conn *starting; /* Given to libh2o as HTTP/2, while that has not returned. */
    h2o_socket_cb http2_read;   /* What libh2o reads HTTP/2 with; NULL until it was seen. */
    struct http_call *handing;  /* The call that on_call was given, while it runs. */

    struct loop_timer *tick;
    struct loop_timer *resume; /* Of paused listeners. */
    int64_t rate_second;
    unsigned rate_count;

    bool stopping;
    int64_t stop_by_ms;
    loop_fn stopped; /* NULL once called. */
    void *stopped_owner;

    struct metric *meters[HTTP_METER_COUNT];
    struct metric *seconds;
};

/* http_accept.c */
STATUS http_accept_open(struct http_server *server, struct http_listen *listen, char *error,
                        size_t error_size);
void http_accept_close(struct http_server *server);
struct http_conn *http_accept_conn(const h2o_req_t *req);

/* http_call.c: libh2o's handler. */
int http_call_on_request(struct http_server *server, h2o_req_t *req);
/* The caller's Request-Id (NULL: none) where it is sane, else a new one. */
void http_call_choose_id(const char *theirs, char out[static HTTP_ID_BYTES_MAX + 1]);

/* http_guard.c */
/* NULL when the request may go to its handler; else how it is refused. */
const struct http_problem *http_guard_request(struct http_call *call, bool *out_close);
/* A request that was never answered in full counts as taken back. */
void http_guard_ended(struct http_call *call, bool taken_back);
/* Ends what is over its time; every tick. */
void http_guard_sweep(struct http_server *server, int64_t now_ms);
/* Answers what waits with 503 and cuts every connection. */
void http_guard_cut_all(struct http_server *server);
/* Shuts the connection down; libh2o finds out by itself and cleans up. */
void http_guard_cut(struct http_conn *conn);

/* http_answer.c */
/* For HTTP/1.1's status line; HTTP/2 sends none. */
const char *http_answer_reason(int status);
void http_answer_set_up(h2o_pathconf_t *path, const struct http_server_options *options);

#endif
