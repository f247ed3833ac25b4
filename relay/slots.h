/* SPDX-License-Identifier: Apache-2.0 */
/* relay/slots.h -- finds the declared slots of a request and what stands in them; fills them later.
 *
 * In      a request's target, headers, content type and body, before anything is leased.
 * Out     the slots that hold a token or expression, by byte range; or the first thing to refuse,
 *         as a problem code and a field; later the request's body with the values in place,
 *         escaped as the surface wants.
 * Never   looks for slots in inserted values; changes a byte outside the slots' ranges; lets a
 *         slot take another kind of value than it declares (a number must not end up in a name).
 * Threads any.
 */
#ifndef RELAY_SLOTS_H
#define RELAY_SLOTS_H

#include <stdint.h>

#include "base/buffer.h"
#include "base/status.h"
#include "relay/expression.h"
#include "relay/profile.h"
#include "vault/contract.h"

#define SLOTS_MAX 32u

enum slot_surface { SLOT_FORM, SLOT_JSON };

struct slot {
    enum slot_surface surface;
    uint32_t start; /* Of the value in the body; for JSON, inside the quotes. */
    uint32_t size;
    const char *place; /* As declared; lent by the profile. */
    struct expression expression;
};

struct slots {
    struct slot list[SLOTS_MAX]; /* In the order of `start`. */
    unsigned count;
};

struct slots_problem {
    enum problem_code code; /* INVALID_JSON, INVALID_EXPRESSION, TOKEN_OUTSIDE_SLOT,
                               CARD_IN_FREE_TEXT, INVALID_FIELD (duplicate field, too many slots,
                               broken percent-encoding) or UNSUPPORTED_MEDIA_TYPE */
    char field[160];        /* Pointer or field name, "" when it is the target or a header. */
    char detail[160];       /* What is wrong with it, "" where the code says all. */
};

struct slots_request {
    const char *target;           /* Path and query at the gateway. */
    const char *content_type;     /* NULL when absent. */
    const char *content_encoding; /* The same. */
    const char *const *headers;   /* Those that will be forwarded: name, value, …, NULL. */
    const uint8_t *body;
    size_t body_size;
};

/* WHY_BAD_INPUT with *out_problem when the request must be refused, WHY_NO_MEMORY.  A raw card
 * number in any slot and a raw code in a cvv slot are refused (CARD_IN_FREE_TEXT): slots take
 * tokens.  Dates and names that are no token stand as they are, and so does a JSON null.  Tokens
 * (tok_, cvv_, "{{") anywhere else, under whatever escapes, are refused; a body of another content
 * type, in a charset that is not UTF-8, or under a content coding passes only while it shows none.
 * A request without slots is fine. */
STATUS slots_find(const struct profile *profile, const struct slots_request *request,
                  struct slots *out_slots, struct slots_problem *out_problem);

/* Where this token stands first; "" where it does not. */
const char *slots_place(const struct slots *slots, const char *token);

/* One value for each slot, in the same order.  Appends the filled body.  Fails with WHY_LIMIT or
 * WHY_NO_MEMORY as `out_body` does. */
STATUS slots_fill(const struct slots *slots, const struct secret *const *values,
                  const uint8_t *body, size_t body_size, struct buffer *out_body);

#endif
