/* SPDX-License-Identifier: Apache-2.0 */
/* base/client_op.h -- one libcurl transfer of base/client.c: set up, filled by libcurl's callbacks.
 *
 * In      a client_request.
 * Out     an easy handle with every rule of client.h set, ready to be performed.
 * Never   performs it; judges how it went.
 * Threads the one that performs it.
 */
#ifndef BASE_CLIENT_OP_H
#define BASE_CLIENT_OP_H

#include <curl/curl.h>
#include <netinet/in.h>

#include "base/client.h"

#define CLIENT_OP_HEADERS_MAX 128u

#define CLIENT_OP_SOCKETS_MAX 1024u

/* One end of a connection. */
struct client_end {
    char address[INET6_ADDRSTRLEN];
    int port;
};

/* The open sockets of one client; a port of 0 where the connection is not made yet. */
struct client_sockets {
    struct client_socket {
        int fd;
        struct client_end local;
        struct client_end peer;
    } list[CLIENT_OP_SOCKETS_MAX];
    unsigned count;
};

/* Of the answer that is coming in: what says where it ends. */
struct client_framing {
    int status;
    unsigned encodings;
    bool has_length;
    int64_t length;
};

struct client_op {
    CURLM *multi; /* NULL for client_fetch(), and once it ended. */
    struct client_op *next;
    struct client_op **link; /* What points here, in the client's list. */
    client_done_fn done;
    void *owner;
    CURL *easy;
    struct curl_slist *headers;
    struct curl_slist *resolve;
    char *addresses; /* NULL: any. */
    /* How often libcurl was about to write the request: it silently repeats one whose re-used
     * connection died, which for a payment must not happen (RLY-6). */
    unsigned sends;
    struct client_sockets *sockets; /* Borrowed; NULL for client_fetch(). */
    bool opened;                    /* A connection of its own. */
    bool stale;                     /* Not begun: the re-used connection was no good. */
    bool asks_head;                 /* HEAD: a length in its answer is of nothing that comes. */
    bool head_ended;
    bool malformed;
    struct client_framing framing;
    struct buffer head; /* name NUL value NUL ... */
    struct buffer body;
    int64_t started_us;
    char error[CURL_ERROR_SIZE];
};

/* Checks the request and copies its texts; the body stays borrowed.  WHY_BAD_INPUT when a text
 * could break the framing, WHY_LIMIT when one is too long. */
STATUS client_op_new(const struct client_request *request, client_done_fn done, void *owner,
                     struct client_op **out_op);
/* Lets it use connections of a client again; `sockets` outlives them. */
STATUS client_op_share(struct client_op *op, struct client_sockets *sockets);
/* Takes it off its client first.  Accepts NULL; leaves NULL. */
void client_op_free(struct client_op **op);
/* Off its client: libcurl will not touch it again. */
void client_op_unlink(struct client_op *op);

/* client_head.c: one line of an answer's head, as libcurl hands it over.  Returns how much was
 * taken; anything else than all ends the transfer. */
size_t client_head_on_line(char *bytes, size_t unit, size_t count, void *owner);

#endif
