/* SPDX-License-Identifier: Apache-2.0 */
/* tests/support/echo.h -- base/http on a thread of its own, with paths that say what to do.
 *
 * In      requests: /echo answers the body; /what the request as text; /peer who the client is;
 *         /later echoes after 20 ms; /never not at all; /split tries to split the answer; /large
 *         answers ECHO_LARGE_BYTES; /close closes behind its answer; others 404 by a problem.
 * Out     answers, and counts.
 * Never   fails quietly: asserts.
 * Threads any, one at a time; the counters any.
 */
#ifndef TESTS_SUPPORT_ECHO_H
#define TESTS_SUPPORT_ECHO_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/http.h"
#include "tests/support/pki.h"

#define ECHO_LARGE_BYTES (8u * 1024u * 1024u)

struct echo {
    struct pki *pki; /* Issues to clients; NULL for plain HTTP. */
    struct pki_files client;
    uint16_t port;
    struct loop *loop;
    struct http_server *server;
    struct tls_server *tls;
    pthread_t thread;
    bool running;
    atomic_uint calls;
    atomic_uint gone;
};

enum echo_kind { ECHO_PLAIN, ECHO_TLS };

void echo_start(struct echo *echo, enum echo_kind kind, const struct http_limits *limits);
/* Asks the server to stop within `patience_ms`; returns when it has. */
void echo_stop(struct echo *echo, int64_t patience_ms);
/* Stops it, if need be, and frees all. */
void echo_free(struct echo *echo);
/* Connections, as the loop's thread sees them. */
unsigned echo_connections(struct echo *echo);

#endif
