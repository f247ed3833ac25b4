/* SPDX-License-Identifier: Apache-2.0 */
/* vault/request.h -- one HTTP request on its way to the keeper.
 *
 * In      what the front took from a call: its caller, its path's token, its query, its body.
 * Out     the JSON of its body; and what is wrong with it, the first thing only.
 * Never   copies the body: readers take what is secret out of it and blank it there.
 * Threads the front's.
 */
#ifndef VAULT_REQUEST_H
#define VAULT_REQUEST_H

#include "base/buffer.h"
#include "base/json.h"
#include "vault/message.h"

/* A thousand cards with all their fields and some metadata. */
#define REQUEST_NODES_MAX 65536u

struct front_tls;

struct request {
    struct message_caller caller;       /* Its problem is the request's. */
    const char *certificate;            /* SHA-256 of the caller's in hex; "" for none. */
    char token[CONTRACT_TOKEN_MAX + 1]; /* Of the path; "" for one that cannot be. */
    const char *query;
    const char *content_type;     /* NULL: none was sent. */
    const char *content_encoding; /* The same. */
    uint8_t *body;
    size_t body_size;
    int64_t now_ms;
    struct front_tls *tls;   /* The listener that it came by. */
    struct json_node *nodes; /* REQUEST_NODES_MAX of them, used by one request at a time. */
};

/* Reads the request and writes the body of its frame: the caller, then what the request is about,
 * or nothing of that where the caller's problem is set. */
typedef void (*request_read_fn)(struct request *request, struct buffer *out);

/* True while nothing is wrong. */
bool request_is_good(const struct request *request);

/* Notes a problem, unless there is one already; `field` and `detail` may be NULL. */
void request_refuse(struct request *request, enum problem_code code, const char *field,
                    const char *detail);

/* The body as JSON, lent until the next request; false, with the problem noted, when it is none. */
bool request_json(struct request *request, struct json *out_json);

/* Fills the caller's idempotency key from its header (NULL: none). */
void request_set_idempotency(struct request *request, const char *value);

/* For routes that take no body and no query. */
void request_refuse_extras(struct request *request, bool query_taken);

/* A request_read_fn for what is said by method and path alone. */
void request_read_nothing(struct request *request, struct buffer *out);

/* For what the keeper reads itself: the certificate, the path's segment, the query and the body,
 * which must be JSON where there is one. */
void request_read_text(struct request *request, struct buffer *out);

#endif
