/* SPDX-License-Identifier: Apache-2.0 */
/* relay/sandbox/params.h -- a form body as names and values, Stripe's bracket nesting left in the
 * names.
 *
 * In      application/x-www-form-urlencoded bytes.
 * Out     "payment_method_data[card][number]" -> value, in the order sent.
 * Never   takes a name twice (but for lists, "name[]"), broken percent-encoding or a NUL.
 * Threads one at a time.
 */
#ifndef RELAY_SANDBOX_PARAMS_H
#define RELAY_SANDBOX_PARAMS_H

#include <stdint.h>

#include "base/buffer.h"
#include "base/status.h"

#define PARAMS_MAX       128u
#define PARAMS_BYTES_MAX (1u << 20)

struct param {
    size_t name; /* Where they begin in `text`. */
    size_t value;
};

struct params {
    struct param list[PARAMS_MAX];
    unsigned count;
    struct buffer text; /* Names and values, each with a NUL. */
};

/* WHY_BAD_INPUT: not a form; WHY_LIMIT: too many.  The caller frees it in either case. */
STATUS params_parse(const uint8_t *body, size_t size, struct params *out);
void params_free(struct params *params);

const char *params_name(const struct params *params, unsigned index);
const char *params_value(const struct params *params, unsigned index);
/* NULL when absent. */
const char *params_get(const struct params *params, const char *name);

/* The first name whose part before any bracket is not in `roots` (NULL-terminated); NULL when all
 * are. */
const char *params_unknown(const struct params *params, const char *const *roots);

#endif
