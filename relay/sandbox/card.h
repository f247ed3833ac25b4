/* SPDX-License-Identifier: Apache-2.0 */
/* relay/sandbox/card.h -- what this test gateway thinks of a card.
 *
 * In      a number, an expiry, a security code, as a gateway receives them.
 * Out     approved, declined, or to be completed by the cardholder, with Stripe's codes.
 * Never   approves a number that is not published for tests: a real card is told apart and
 *         declined.
 * Threads any.
 */
#ifndef RELAY_SANDBOX_CARD_H
#define RELAY_SANDBOX_CARD_H

#include <stdbool.h>

#include "relay/sandbox/params.h"

/* In the clear, unlike anywhere else in this tree: here stands the gateway, which only ever sees
 * published test numbers.  card_wipe() ends it all the same. */
struct card {
    char number[32];
    char cvc[8];
    unsigned exp_month;
    unsigned exp_year; /* Four digits. */
};

/* What may be kept and shown. */
struct card_face {
    char brand[16];
    char last4[5];
    unsigned exp_month;
    unsigned exp_year;
};

enum card_outcome { CARD_APPROVED, CARD_DECLINED, CARD_REQUIRES_ACTION };

/* Constant texts; NULL where there is none. */
struct card_verdict {
    enum card_outcome outcome;
    const char *code;
    const char *decline_code;
    const char *message;
    const char *param;
};

void card_wipe(struct card *card);

/* `payment_method_data[card][…]`; false when there is no number.  What does not fit is cut to
 * nothing, and so judged wrong. */
bool card_from_params(const struct params *params, struct card *out);

/* "12/31" or "12/2031"; leaves zeros, which are judged wrong, on anything else. */
void card_expiry(struct card *card, const char *text);

struct card_verdict card_judge(const struct card *card, unsigned year_now);
/* The verdicts that a test asks for by name. */
struct card_verdict card_verdict_of(enum card_outcome outcome);

void card_face_of(const struct card *card, struct card_face *out);

#endif
