/* SPDX-License-Identifier: Apache-2.0 */
/* base/client_trust.h -- whom base/client believes, as what, and where it uses connections again.
 *
 * In      what a request says of authorities, identity, pins, host and port.
 * Out     a site for it; an SSL that verifies all that is to be; what of it failed.
 * Never   takes what was verified for one host, trust or pin for another's.
 * Threads the loop's.
 */
#ifndef BASE_CLIENT_TRUST_H
#define BASE_CLIENT_TRUST_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/status.h"
#include "base/tls_files.h"

#define CLIENT_SITES_MAX  512u /* That are remembered while nothing goes to them. */
#define CLIENT_TRUSTS_MAX 64u
#define CLIENT_TEXT_SIZE  192u

struct client;
struct client_conn;
struct client_op;
struct client_request;

TAILQ_HEAD(client_op_queue, client_op);
TAILQ_HEAD(client_conn_queue, client_conn);

/* Whom to believe and as what to appear.  Kept while its client lives: reading the host's
 * authorities takes milliseconds. */
struct client_trust {
    LIST_ENTRY(client_trust) all;
    char *authorities; /* Paths; NULL as in client.h. */
    char *certificate;
    char *key;
    const struct tls_pem *identity; /* For comparing only; NULL: the paths. */
    bool tls13_only;
    unsigned site_count; /* That refer to it. */

    SSL_CTX *context; /* NULL: to be made. */
    int64_t made_ms;
    bool is_doubted;     /* A handshake under it failed for an authority that it did not know. */
    bool is_changed;     /* What it is made of did since the generation began. */
    uint64_t generation; /* Of what it is made of: a connection of another is not used again. */
    uint64_t identity_generation;
    struct tls_stamp stamp; /* Of the files that were read. */
    int64_t looked_ms;
};

/* What a connection must have been made for to be used again. */
struct client_site {
    LIST_ENTRY(client_site) all;
    char *host;
    uint16_t port;
    char *pins; /* NULL: any key that a trusted certificate has. */
    struct client_trust *trust;
    unsigned users; /* Requests and connections. */
    unsigned conn_count;
    struct client_conn_queue idle; /* Of the client's: the one that is so longest first. */
    struct client_op_queue waiting;
    TAILQ_ENTRY(client_site) turn_link; /* While a request waits. */
    SSL_SESSION *session;               /* To be resumed; NULL: none. */
    int64_t session_ms;                 /* When the chain was judged that it stands for. */
    uint64_t session_generation;        /* The trust's, then. */
};

STATUS client_trust_site(struct client *client, const struct client_request *request,
                         int64_t now_ms, struct client_site **out_site);
void client_trust_leave(struct client_site **site);
void client_trust_close(struct client *client);
/* Gives it an SSL, with all that is to be verified set, after a look at the files.  False: `text`
 * says why not. */
bool client_trust_ssl(struct client_conn *conn, int64_t now_ms, char text[static CLIENT_TEXT_SIZE]);
/* After the handshake: is it whom we want?  False: `text` says why not. */
bool client_trust_judge(struct client_conn *conn, char text[static CLIENT_TEXT_SIZE]);
/* Why a handshake failed, in OpenSSL's words. */
void client_trust_explain(struct client_conn *conn, char text[static CLIENT_TEXT_SIZE]);

#endif
