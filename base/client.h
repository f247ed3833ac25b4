/* SPDX-License-Identifier: Apache-2.0 */
/* base/client.h -- outbound HTTPS from the loop, HTTP/1.1 over OpenSSL.
 *
 * In      one request: where to, over which checked addresses, with which trust, by when.
 * Out     the answer, or what is known of why there is none: not a byte was sent, or some were.
 * Never   follows a redirect; reads proxies from the environment; sends one request twice (a re-
 *         used connection that died is not retried once a byte may have left); takes for an
 *         answer what such a connection held before the request was written; leaves a body in
 *         freed memory.
 * Threads the loop's; client_fetch() any.
 */
#ifndef BASE_CLIENT_H
#define BASE_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/loop.h"
#include "base/status.h"

struct tls_pem;
struct client;    /* Connections kept open for re-use. */
struct client_op; /* One request under way. */

enum client_result {
    CLIENT_ANSWERED,  /* A whole, well-formed answer. */
    CLIENT_NOT_SENT,  /* Failed before a byte of the request left. */
    CLIENT_NO_ANSWER, /* Bytes left; no whole answer came. */
    CLIENT_MALFORMED, /* Bytes came that are no HTTP/1.1 answer, end in two places, or too many. */
};

/* Why there is no answer. */
enum client_trouble {
    CLIENT_TROUBLE_NONE,
    CLIENT_TROUBLE_UNREACHABLE, /* Name, address or connection. */
    CLIENT_TROUBLE_TLS,         /* Certificate, host name, version, pin. */
    CLIENT_TROUBLE_TIMEOUT,
    CLIENT_TROUBLE_CLOSED, /* Ended before or within the answer. */
    CLIENT_TROUBLE_PROTOCOL,
};

struct client_request {
    const char *method;
    const char *host; /* For SNI, verification and the Host header. */
    uint16_t port;
    const char *target;         /* Path and query, as to be sent. */
    const char *const *headers; /* Name, value, …, NULL; Content-Length and Host are added. */
    const void *body;           /* Borrowed until done; may be NULL for no body. */
    size_t body_size;
    const char *addresses;   /* "192.0.2.1" or several with commas: dialled instead of resolving;
                                NULL: resolve. */
    const char *authorities; /* PEM bundle; NULL: the system's. */
    const char *certificate; /* Client certificate and key, PEM paths; NULL: none. */
    const char *key;
    /* Instead of the three, from memory; or NULL.  Borrowed while the client lives: what is in it
     * may be exchanged between requests, with another generation. */
    const struct tls_pem *identity;
    const char *pins; /* "sha256//…;sha256//…" of the SPKI, or NULL. */
    bool tls13_only;  /* Otherwise TLS 1.2 and up. */
    int64_t connect_ms;
    int64_t total_ms;
    size_t answer_bytes_max; /* Of the body; headers are bounded at 64 KiB. */
};

/* Lent for the length of the callback; the buffers are wiped behind it. */
struct client_answer {
    enum client_result result;
    enum client_trouble trouble;
    const char *trouble_text; /* For a log; OpenSSL's words among it, never the peer's. */
    int status;
    /* In the order received, names in lower case; header_count pairs. */
    const struct client_header *headers;
    unsigned header_count;
    uint8_t *body; /* May be changed in place. */
    size_t body_size;
    int64_t duration_us;
};
struct client_header {
    char *name;
    char *value;
};

typedef void (*client_done_fn)(void *owner, struct client_answer *answer);

/* At most `connections_max` of them, kept ones too, and `host_max` to one host (one port, trust and
 * pins); what finds all of either busy waits for its turn: behind others of its host, and behind
 * others that wait for the same. */
STATUS client_new(struct loop *loop, unsigned connections_max, unsigned host_max,
                  struct client **out_client);
/* Cancels what is under way (done is not called). */
void client_free(struct client **client);

/* `done` is called exactly once, from the loop, unless cancelled.  Copies texts, borrows the body.
 */
STATUS client_start(struct client *client, const struct client_request *request,
                    client_done_fn done, void *owner, struct client_op **out_op);
void client_cancel(struct client_op **op);

/* The same, waiting: for command lines and tests.  `done` is called before it returns. */
STATUS client_fetch(const struct client_request *request, client_done_fn done, void *owner);

#endif
