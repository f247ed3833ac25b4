/* SPDX-License-Identifier: Apache-2.0 */
/* vault/card.h -- is this a card, as far as one can tell without asking its issuer?
 *
 * In      a number with its expiry and code, as the caller sent them.
 * Out     the number as digits only, and what may be shown of it; or the problem, by field.
 * Never   asks for more than length, check digit and date; lets track or PIN data through (SAD-3).
 * Threads any.
 */
#ifndef VAULT_CARD_H
#define VAULT_CARD_H

#include <stdint.h>

#include "base/secret.h"
#include "policies/policy.h"
#include "vault/brand.h"
#include "vault/problem.h"

/* What may be shown of a card (MSK-1): `bin` is "" for numbers of 14 digits or fewer. */
struct card_mask {
    uint8_t length;
    char bin[7];
    char last4[5];
    const struct brand *brand;
    bool luhn_passed;
};

/* Takes spaces and hyphens out of `number` in place and checks what is left under the tenant's Luhn
 * rule. False, with *out_problem at `/number`, when it is not acceptable. */
bool card_check_number(struct secret *number, const struct policy_tenant *tenant,
                       struct card_mask *out_mask, struct problem *out_problem);

/* Month 1-12, year 2000-2099, not in the past: a card is good to the end of its month, anywhere on
 * earth. */
bool card_check_expiry(unsigned month, unsigned year, int64_t now_ms, struct problem *out_problem);

/* 3 or 4 digits, and as many as the brand has. */
bool card_check_cvv(const struct secret *cvv, const struct brand *brand,
                    struct problem *out_problem);

#endif
