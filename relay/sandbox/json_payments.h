/* SPDX-License-Identifier: Apache-2.0 */
/* relay/sandbox/json_payments.h -- the same gateway over a small JSON surface.
 *
 * In      {"card": {"number", "expiry", "security_code", "name"}, "amount", "currency",
 *         "reference"}
 * Out     201 {"id", "object": "payment", "status", …}; a decline is 402 with an error object.
 * Never   takes a field that it does not know.
 * Threads one at a time.
 */
#ifndef RELAY_SANDBOX_JSON_PAYMENTS_H
#define RELAY_SANDBOX_JSON_PAYMENTS_H

#include "relay/sandbox/card.h"
#include "relay/sandbox/reply.h"

struct json_payments_request {
    struct intent_store *store;
    const uint8_t *body;
    size_t body_size;
    const struct card_verdict
        *verdict; /* What a test asked for; NULL: as the card's number says. */
    int64_t now_s;
    unsigned year_now;
};

/* *out_card is the card as received, for `echo`; the caller wipes it. */
void json_payments_create(const struct json_payments_request *request, struct card *out_card,
                          struct reply *reply);

#endif
