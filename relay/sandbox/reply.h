/* SPDX-License-Identifier: Apache-2.0 */
/* relay/sandbox/reply.h -- one answer in the making, and Stripe's error objects.
 *
 * In      what became of a request.
 * Out     a status and a JSON body.
 * Never   repeats what the request held, unless a test asks for just that (`echo`).
 * Threads one at a time.
 */
#ifndef RELAY_SANDBOX_REPLY_H
#define RELAY_SANDBOX_REPLY_H

#include <stdbool.h>

#include "base/buffer.h"
#include "relay/sandbox/intent.h"

#define REPLY_BYTES_MAX (64u * 1024u)

struct reply {
    int status;
    struct buffer body;
    bool began;    /* Execution began: Stripe keeps such an answer under its idempotency key. */
    bool replayed; /* It was kept, and is given again. */
};

struct reply_error {
    int status;
    const char *type; /* "card_error", "invalid_request_error", "idempotency_error", "api_error" */
    const char *code; /* NULL: none; likewise what follows. */
    const char *decline_code;
    const char *message;
    const char *param;
    const struct intent *intent;
};

/* Empty, with status 200. */
struct reply reply_new(void);
void reply_free(struct reply *reply);

void reply_fail(struct reply *reply, const struct reply_error *error);
/* 400 about one parameter; `code` may be NULL. */
void reply_bad_param(struct reply *reply, const char *code, const char *param, const char *message);
void reply_intent(struct reply *reply, const struct intent *intent);

#endif
