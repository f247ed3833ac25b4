/* SPDX-License-Identifier: Apache-2.0 */
/* vault/keeper_text.h -- a request of text, read by the keeper itself: the routes of the security
 * team, of which there are many and few requests.
 *
 * In      a frame of message_text_encode()'s.
 * Out     its object or its query, field by field; an answer of JSON.
 * Never   leaves what a body held: shares come in one.
 * Threads the keeper's one.
 */
#ifndef VAULT_KEEPER_TEXT_H
#define VAULT_KEEPER_TEXT_H

#include "base/json.h"
#include "vault/read_object.h"
#include "vault/steps.h"

#define KEEPER_TEXT_NODES  512u
#define KEEPER_TEXT_PARAMS 8u

struct keeper_text {
    struct message_text head; /* Its body is not lent any more: `body` is. */
    struct buffer body;       /* A copy, which read_object_take() may blank. */
    struct json json;
    struct json_node nodes[KEEPER_TEXT_NODES];
};

/* Copies what the front sent.  Close it also where this fails: OWNED(keeper_text_close). */
STATUS keeper_text_open(struct cursor *in, struct keeper_text *out_text);
void keeper_text_close(struct keeper_text *text);

/* The body as an object of `names` (NULL-terminated), of which each may be absent.  No body is an
 * empty object, and a query is refused.  Fails where *out_object could not be made; problems of
 * fields stick in op->problem, as read_object.h has it. */
STATUS keeper_text_object(struct keeper_op *op, struct keeper_text *text, const char *const *names,
                          struct read_object *out_object);
/* FAIL(WHY_BAD_INPUT) where a field was refused: the end of reading an object. */
STATUS keeper_text_judge(const struct read_object *object);

/* The query as `name=value&…` of `names` (NULL-terminated): values of [A-Za-z0-9._:+-], each once,
 * "" where absent.  A body is refused. */
struct keeper_text_param {
    char value[CONTRACT_TOKEN_MAX + 1];
};
STATUS keeper_text_params(struct keeper_op *op, struct keeper_text *text, const char *const *names,
                          struct keeper_text_param *out_params);

/* The path's segment as `prefix` and a number from 1 on ("job_17").  WHY_NOT_FOUND. */
STATUS keeper_text_id(const struct keeper_text *text, const char *prefix, uint64_t *out_id);

/* Answers with `body`, which is JSON.  A buffer that overflowed is a failure. */
STATUS keeper_answer_text(struct keeper_op *op, unsigned status, const struct buffer *body);

#endif
