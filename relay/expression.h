/* SPDX-License-Identifier: Apache-2.0 */
/* relay/expression.h -- `{{ tok_….exp | yymm }}` and bare tokens.
 *
 * In      a slot's value, as the caller wrote it.
 * Out     which token, which field, which filters; later the text that they make of a leased card.
 * Never   guesses: what is not understood is WHY_BAD_INPUT.  Inserted text is never looked at
 *         again.
 * Threads any.
 */
#ifndef RELAY_EXPRESSION_H
#define RELAY_EXPRESSION_H

#include <stdbool.h>
#include <stddef.h>

#include "base/secret.h"
#include "base/status.h"

#define EXPRESSION_TOKEN_MAX   64u
#define EXPRESSION_FILTERS_MAX 4u

enum expression_field {
    EXPRESSION_NUMBER,
    EXPRESSION_EXP_MONTH,
    EXPRESSION_EXP_YEAR,
    EXPRESSION_EXP,
    EXPRESSION_CVV,
    EXPRESSION_CARDHOLDER_NAME,
};

enum expression_filter {
    EXPRESSION_M,
    EXPRESSION_MM,
    EXPRESSION_YY,
    EXPRESSION_YYYY,
    EXPRESSION_MMYY,
    EXPRESSION_MM_SLASH_YY,
    EXPRESSION_MM_SLASH_YYYY,
    EXPRESSION_YYYY_DASH_MM,
    EXPRESSION_YYMM,
    EXPRESSION_LAST4,
    EXPRESSION_BIN6,
    EXPRESSION_BIN8,
    EXPRESSION_BASE64,
    EXPRESSION_UPPER,
};

/* What a slot takes when the value is a bare token: field and filters ("number", "exp | yyyy"). */
struct expression_default {
    enum expression_field field;
    enum expression_filter filters[EXPRESSION_FILTERS_MAX];
    unsigned filter_count;
};

struct expression {
    char token[EXPRESSION_TOKEN_MAX + 1];
    bool is_cvv_token; /* cvv_… */
    enum expression_field field;
    enum expression_filter filters[EXPRESSION_FILTERS_MAX];
    unsigned filter_count;
};

/* A card as leased; borrowed texts and secrets.  A missing part is NULL or 0. */
struct expression_card {
    const struct secret *number;
    const struct secret *cvv;
    const struct secret *cardholder_name;
    unsigned exp_month;
    unsigned exp_year;
};

/* "number", "exp | yyyy": from a profile.  Filters must fit the field and come in the order shape
 * or cut, upper, base64; `exp` needs a shape. */
STATUS expression_parse_default(const char *text, struct expression_default *out);

/* True when the text is shaped like a token: tok_, cvv_ or a UUID; a token's prefix anywhere in
 * `bytes` is what expression_find_token() finds (for the refusal of tokens outside slots: tok_/cvv_
 * with at least 20 characters of base62 behind the prefix, or "{{"). */
bool expression_is_token(const char *text, size_t size);
bool expression_find_token(const void *bytes, size_t size);

/* Parses a whole slot value: a bare token (then `takes` says the rest) or one expression and
 * nothing around it.  An expression without a field has the slot's; one with the slot's field and
 * no filters has the slot's filters.  12 to 19 digits that fail the check digit are a card-shaped
 * token where a number is due.  A cvv_ token makes a cvv and nothing else. */
STATUS expression_parse(const char *text, size_t size, const struct expression_default *takes,
                        struct expression *out);

/* Makes the value in a new secret.  WHY_NOT_FOUND when the card lacks the field (no CVV leased, no
 * name), WHY_BAD_INPUT when a filter does not fit the field. */
STATUS expression_make(const struct expression *expression, const struct expression_card *card,
                       struct secret **out_value);

#endif
