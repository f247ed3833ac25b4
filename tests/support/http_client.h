/* SPDX-License-Identifier: Apache-2.0 */
/* tests/support/http_client.h -- the other end: libcurl for those who behave, raw bytes for those
 * who do not.
 *
 * In      a request, or any bytes.
 * Out     what came back.
 * Never   verifies more than a test needs.
 * Threads any; one exchange belongs to one thread.
 */
#ifndef TESTS_SUPPORT_HTTP_CLIENT_H
#define TESTS_SUPPORT_HTTP_CLIENT_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/support/echo.h"

#define REPLY_BYTES_MAX (256u * 1024u)

struct ask {
    const char *path;
    const char *method; /* NULL: GET, or POST when there is a body. */
    const void *body;
    size_t body_size;
    const char *const *headers; /* "Name: value", …, NULL. */
    bool http2;
    bool anonymous;             /* Without a client certificate. */
    const struct pki_files *as; /* Another one than the usual. */
    long timeout_ms;            /* 0: 5 s. */
};

struct reply {
    int failure; /* libcurl's code; 0 is none. */
    long status;
    long version; /* 1 or 2. */
    char headers[4096];
    char body[REPLY_BYTES_MAX];
    size_t body_size;
};

/* Asks over a connection of its own.  The answer is static: the next one overwrites it. */
const struct reply *ask_echo(struct echo *echo, const struct ask *ask);

/* A connection for bytes as they come. */
struct wire {
    int fd;
    SSL *ssl; /* NULL: plain. */
    SSL_CTX *context;
};

struct wire_options {
    const char *alpn;           /* "h2" or "http/1.1"; NULL: none. */
    const struct pki_files *as; /* NULL: anonymous. */
    SSL_SESSION *session;       /* To be resumed, or NULL. */
    int version;                /* TLS1_2_VERSION …; 0: any. */
};

/* False when the server hung up during the handshake. */
bool wire_open(struct wire *wire, struct echo *echo, const struct wire_options *options);
bool wire_send(struct wire *wire, const void *bytes, size_t size);
/* Reads until the peer is silent for `wait_ms`, has closed, or `size` is full; NUL-terminates.
 * *out_closed says whether it closed. */
size_t wire_receive(struct wire *wire, void *bytes, size_t size, int wait_ms, bool *out_closed);
void wire_close(struct wire *wire);

/* HTTP/2 frames (RFC 9113), appended; they return the new size. */
size_t frame_preface(uint8_t *out);
size_t frame_add(uint8_t *out, size_t at, uint8_t type, uint8_t flags, uint32_t stream,
                 const void *payload, size_t size);
/* HEADERS for a GET or, with `body_follows`, a POST of `path`. */
size_t frame_add_request(uint8_t *out, size_t at, uint32_t stream, const char *path,
                         bool body_follows);

#endif
