/* SPDX-License-Identifier: Apache-2.0 */
/* vault/brand.h -- which network's card a number looks like.  Advice, never a decision.
 *
 * In      a number's first digits and its length.
 * Out     a brand by the longest matching prefix (standards.md 5.2), "unknown" where there is none.
 * Never   refuses a number.
 * Threads any.
 */
#ifndef VAULT_BRAND_H
#define VAULT_BRAND_H

#include <stdint.h>

struct brand {
    const char *name;     /* "visa", "american_express", … */
    unsigned code_digits; /* Of its verification code; 0 where it may be 3 or 4. */
};

/* `digits` are ASCII, `count` of them. */
const struct brand *brand_find(const uint8_t *digits, unsigned count);

/* A brand's number in stored records, and back; unknown numbers give "unknown". */
uint8_t brand_number(const struct brand *brand);
const struct brand *brand_by_number(uint8_t number);

#endif
