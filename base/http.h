/* SPDX-License-Identifier: Apache-2.0 */
/* base/http.h -- an HTTP/1.1 and HTTP/2 server on libh2o, with the bounds that libh2o lacks.
 *
 * In      connections.
 * Out     whole requests, one callback each, answered now or later.
 * Never   leaves a request's or an answer's bytes in recycled memory (base/wipe.c); spills a body
 *         to disk; lets a peer hold a place without a deadline.
 * Threads the loop's.
 *
 * Bounds: connections, connections per second, streams in flight (per connection and in all),
 * header bytes, body bytes (413, also on HTTP/2), bodies and answers of all connections together
 * (503), time for a head and a body (408; on HTTP/2 the connection ends), for an answer (503
 * `busy`), for taking it and for idling, rapid resets (CVE-2023-44487), HTTP/2 frames that carry
 * nothing (base/http_frames.h), HTTP/1.1 heads with conflicting framing (400).  Answers made here
 * by itself are problem bodies.  A refusal in the middle of an upload reaches its client: the
 * connection is read on, for some seconds, before it is closed.
 */
#ifndef BASE_HTTP_H
#define BASE_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/loop.h"
#include "base/status.h"
#include "base/tls.h"

struct http_server;
struct http_call; /* One request, until it is answered or its client is gone. */

typedef void (*http_call_fn)(void *owner, struct http_call *call);
/* The client vanished: the call ends with the return of this. */
typedef void (*http_gone_fn)(void *call_owner);

struct http_limits {
    /* In all; a newcomer beyond is closed at once, and so is the oldest that does nothing. */
    unsigned connections;
    unsigned connections_per_second; /* 0: no bound. */
    unsigned in_flight;              /* Requests being answered, in all; beyond: 503 busy. */
    unsigned in_flight_per_connection;
    size_t header_bytes; /* Names and values added up; beyond: 431. */
    size_t body_bytes;   /* Beyond: 413. */
    /* Bodies on their way in and answers on their way out, in all; beyond, the largest is refused:
     * 503 busy, or its connection ends. */
    size_t transit_bytes;
    int64_t request_ms; /* From the first byte of a request to its last; beyond: 408. */
    int64_t answer_ms;  /* From a whole request to its answer; beyond: 503 `busy`. */
    int64_t idle_ms;    /* A connection without a request. */
};

/* 4096, 0, 8192, 128, 16 KiB, 64 KiB, 128 MiB, 10 s, 60 s, 60 s. */
struct http_limits http_limits_default(void);

struct http_server_options {
    struct loop *loop;
    struct http_limits limits;
    http_call_fn on_call;
    void *owner;
    const char *component; /* For metrics and the Server header: "vault", "relay", "sandbox". */
    /* Points descriptor 2 at /dev/null, for libh2o writes there whatever a peer makes it write.  To
     * be set by a process whose log has a descriptor of its own: after log_open(). */
    bool silence_stderr;
    /* Where its clients look for an error: problems repeat code and title in an object of this
     * name.  NULL: nowhere. */
    const char *problem_member;
    /* Headers of the answers made here by itself: to requests that were never handed on, and to
     * those that were given up on.  Lists of name, value, …, NULL; NULL: none. */
    const char *const *refused_headers;
    const char *const *overdue_headers;
};

STATUS http_server_new(const struct http_server_options *options, struct http_server **out_server);

/* Listens; `tls` NULL is plain HTTP.  `tag` comes back from http_tag().  Port 0 takes a free one.
 * `error` gets a sentence for people ("127.0.0.1:8443 is in use by another process; …").
 * Callable before the loop runs only.  Sockets are CLOEXEC and SO_REUSEADDR. */
struct http_listen {
    const char *address;
    uint16_t port;
    struct tls_server *tls;
    void *tag;
    uint16_t bound_port; /* Filled in. */
};
STATUS http_server_listen(struct http_server *server, struct http_listen *listen, char *error,
                          size_t error_size);

/* Stops accepting, tells HTTP/2 peers to go away, lets what is under way end for at most
 * `patience_ms`, then calls `done` once.  The server may be freed from then on. */
void http_server_stop(struct http_server *server, int64_t patience_ms, loop_fn done, void *owner);
void http_server_free(struct http_server **server);

unsigned http_server_connections(const struct http_server *server);

/* What came in; everything is lent until the call is answered or gone. */
const char *http_method(const struct http_call *call);
/* Path without the query, percent-encoding untouched, NUL-terminated; always begins with '/'. */
const char *http_path(const struct http_call *call);
/* Behind the '?', "" when there is none. */
const char *http_query(const struct http_call *call);
/* A header's value by its lower-case name, NULL when absent.  Two of one name: the call was refused
 * for those that may stand once only (content-type, idempotency-key, authorization, host …). */
const char *http_header(const struct http_call *call, const char *name);
/* The same by index, in the order sent, for forwarding; false at the end. */
bool http_header_at(const struct http_call *call, unsigned index, const char **out_name,
                    const char **out_value);
/* The body in place; its reader may overwrite it, and should: it is wiped when the call ends. */
uint8_t *http_body(struct http_call *call, size_t *out_size);
const struct tls_peer *http_peer(const struct http_call *call);
/* "127.0.0.1:54321". */
const char *http_peer_address(const struct http_call *call);
void *http_tag(const struct http_call *call);
/* The caller's Request-Id if it was sane (1-64 of A-Za-z0-9._-, nothing like a card's number), else
 * a new req_…; sent back by itself. */
const char *http_request_id(const struct http_call *call);

/* For an answer that comes later: `gone` is called with `call_owner` if the client leaves first;
 * the call must not be used from then on. */
void http_defer(struct http_call *call, void *call_owner, http_gone_fn gone);

/* Answers and ends the call.  Copies what it is given.  Content-Length, Request-Id, Date,
 * Cache-Control: no-store and X-Content-Type-Options: nosniff are added.  `headers` is a list of
 * name, value, …, NULL. */
struct http_answer {
    int status;
    const char *content_type; /* NULL: no body. */
    const void *body;
    size_t body_size;
    const char *const *headers; /* NULL: none. */
    bool close;                 /* Close the connection behind it. */
};
void http_answer(struct http_call *call, const struct http_answer *answer);

/* Cuts the connection without an answer; on HTTP/1.1 `bytes` (of size 0: none) go out before, as
 * they are.  For test gateways, which must be able to be as bad as gateways are. */
void http_abort(struct http_call *call, const void *bytes, size_t size);

/* Answers with an RFC 9457 problem body: {"type","title","status","code",["field"],["detail"],
 * ["rule"],"request_id"}. */
struct http_problem {
    int status;
    const char *code;
    const char *title;
    const char *field;  /* JSON pointer, or NULL. */
    const char *detail; /* A sentence, or NULL; never input. */
    const char *rule;   /* Id of the deciding policy rule, or NULL. */
    const char *member; /* As in struct http_server_options, which sets it; or NULL. */
};
void http_answer_problem(struct http_call *call, const struct http_problem *problem,
                         const char *const *headers);
/* Letters, digits and what else a token may hold, and at least one (RFC 9110 section 5.6.2). */
bool http_is_token(const char *text, size_t size);
/* The same body as text, for batch results: no request_id. */
struct json_writer;
void http_problem_write(struct json_writer *writer, const struct http_problem *problem,
                        const char *request_id);

#endif
