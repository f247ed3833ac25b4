/* SPDX-License-Identifier: Apache-2.0 */
/* base/tls.h -- OpenSSL contexts for listeners, and who is at the other end.
 *
 * In      PEM files.
 * Out     a context: TLS 1.2 (AEAD and forward secrecy only) and 1.3, no compression, no
 * renegotiation, no early data, plaintext buffers wiped by OpenSSL (SSL_OP_CLEANSE_PLAINTEXT).
 * Never   has a switch to look away.
 * Threads one.
 */
#ifndef BASE_TLS_H
#define BASE_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/tls_files.h"

#define TLS_NAME_BYTES_MAX 256u

struct tls_server;

/* A client as its certificate names it.  A certificate that is absent, expired, not yet valid, or
 * not by a trusted issuer does not end the handshake (the client would see a bare reset); it gives
 * verified == false, and whoever answers must refuse (401) and record it. */
struct tls_peer {
    bool present;                 /* It showed a certificate. */
    bool verified;                /* And it held, when the connection was made. */
    int64_t not_after_ms;         /* To be asked again at each request: see tls_peer_valid(). */
    char uri[TLS_NAME_BYTES_MAX]; /* The only URI SAN, "" when there is none or more than one. */
    char subject[TLS_NAME_BYTES_MAX]; /* RFC 2253, for people. */
    char sha256[65];                  /* Hex of the certificate's digest. */
    char trouble[96];                 /* Why it does not hold, in OpenSSL's words; "". */
};

/* `clients` is the CA bundle that clients must chain to, or NULL for a listener without client
 * certificates.  `error` gets a sentence that names the file and what to do. */
STATUS tls_server_new(const char *certificate, const char *key, const char *clients,
                      struct tls_server **out_tls, char *error, size_t error_size);
void tls_server_free(struct tls_server **tls);

/* Reads the files again, for connections that come from now on; those that are open keep what they
 * began with, and no session of before is resumed.  Where the new ones are no good, or do not hold
 * now, the old stay in force: WHY_BAD_INPUT with a sentence. */
STATUS tls_server_renew(struct tls_server *tls, int64_t now_ms, char *error, size_t error_size);
const struct tls_files *tls_server_files(const struct tls_server *tls);
const struct tls_facts *tls_server_facts(const struct tls_server *tls);

/* True when the peer was verified and its certificate has not run out since. */
bool tls_peer_valid(const struct tls_peer *peer, int64_t now_ms);

/* The SSL_CTX that is in force, for base/http_accept.c; asked for at each connection. */
void *tls_server_context(struct tls_server *tls);

/* Reads the peer's certificate from an SSL into *out_peer; for base/http.c. */
void tls_peer_read(void *ssl, struct tls_peer *out_peer);

#endif
