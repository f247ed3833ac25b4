/* SPDX-License-Identifier: Apache-2.0 */
/* relay/sandbox/payments.h -- what Stripe does with a payment intent, for tests.
 *
 * In      one request's parameters.
 * Out     a reply, and the intent in its new state.
 * Never   lets a state change that Stripe would refuse.
 * Threads one at a time.
 */
#ifndef RELAY_SANDBOX_PAYMENTS_H
#define RELAY_SANDBOX_PAYMENTS_H

#include "relay/sandbox/intent.h"
#include "relay/sandbox/params.h"
#include "relay/sandbox/reply.h"

struct payments_request {
    struct intent_store *store;
    const struct params *params;
    const char *id; /* From the path; "" where it has none. */
    const struct card_verdict
        *verdict; /* What a test asked for; NULL: as the card's number says. */
    int64_t now_s;
    unsigned year_now;
};

void payments_create(const struct payments_request *request, struct reply *reply);
void payments_show(const struct payments_request *request, struct reply *reply);
void payments_confirm(const struct payments_request *request, struct reply *reply);
void payments_capture(const struct payments_request *request, struct reply *reply);
void payments_cancel(const struct payments_request *request, struct reply *reply);
void payments_refund(const struct payments_request *request, struct reply *reply);
void payments_show_refund(const struct payments_request *request, struct reply *reply);

#endif
