/* SPDX-License-Identifier: Apache-2.0 */
/* vault/front_answer.h -- what the keeper said, as HTTP.
 *
 * In      an answer's frame, and the route that it is the answer to.
 * Out     status, headers and JSON.
 * Never   keeps a card: a lease's body is wiped once it was handed over.
 * Threads the front's.
 */
#ifndef VAULT_FRONT_ANSWER_H
#define VAULT_FRONT_ANSWER_H

#include "base/frames.h"
#include "base/http.h"
#include "base/status.h"
#include "vault/routes.h"

#define FRONT_ANSWER_BYTES_MAX (16u << 20)

/* What an answer is made of; `body` belongs to its caller. */
struct front_answer {
    int status;
    const char *content_type; /* NULL: no body. */
    char content_type_text[64];
    struct buffer body;
    bool replayed;
    bool is_problem; /* Then it is `problem` that is to be answered. */
    struct problem problem;
};

/* Fails with WHY_FORGED when the frame is no answer to such a request, or as a buffer does. */
STATUS front_answer_read(const struct route *route, const struct frame *frame,
                         struct front_answer *out_answer);
void front_answer_clear(struct front_answer *answer);

/* Answers the call; where front_answer_read() fails, with 503, and the failure is returned.
 * `epoch` is what relays are told in CONTRACT_HEADER_EPOCH, or "". */
STATUS front_answer(struct http_call *call, const struct route *route, const struct frame *frame,
                    const char *epoch);

/* Answers with a problem. */
void front_answer_problem(struct http_call *call, const struct problem *problem);
/* The same, of a code alone. */
void front_answer_code(struct http_call *call, enum problem_code code);
/* The path is one, the method not: 405, and which are. */
void front_answer_no_method(struct http_call *call, const char *allow);

#endif
