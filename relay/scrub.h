/* SPDX-License-Identifier: Apache-2.0 */
/* relay/scrub.h -- the answer guard: takes every value that was inserted out of what comes back.
 *
 * In      the very values that one submission inserted; then the gateway's headers and body.
 * Out     the same without them: each occurrence becomes its token (a number, a name) or asterisks
 *         (a CVV): plain, reversed, with up to two separators between the digits; in hexadecimal or
 *         base64 (three alignments, both alphabets) it becomes zeros in the same coding.  Percent,
 *         HTML and JSON escapes, UTF-16, full-width digits and base64 that holds text are undone
 *         before looking, up to three deep.  What was a bare JSON number gets quotes.
 *         A CVV is replaced only beside a name that means one (cvc, cvv, security_code,
 *         verification_value …), else three digits would be everywhere; so hand over a header as
 *         "name: value".  Numbers shorter than 12 digits (last4, bin8) and names shorter than four
 *         bytes are left alone.
 * Never   lets an inserted number through at any status; keeps the values: it borrows them.
 * Threads any.
 */
#ifndef RELAY_SCRUB_H
#define RELAY_SCRUB_H

#include <stdint.h>

#include "base/buffer.h"
#include "base/secret.h"
#include "base/status.h"

#define SCRUB_VALUES_MAX 24u /* Numbers, CVVs and names of the largest lease. */

enum scrub_kind { SCRUB_NUMBER, SCRUB_CVV, SCRUB_NAME };

struct scrub_value {
    enum scrub_kind kind;
    const struct secret *value; /* Borrowed. */
    const char *token;          /* Put in its place. */
};

struct scrub {
    struct scrub_value values[SCRUB_VALUES_MAX];
    unsigned count;
};

struct needles; /* relay/scrub_needle.h: what is looked for, made of the values. */

/* Appends the cleaned bytes to `out`; `*out_hits` counts what was replaced.  Fails with WHY_LIMIT
 * when `out` is full, or when there are more escapes within escapes than anybody honest writes:
 * nothing of the answer may be passed on then. */
STATUS scrub_bytes(const struct scrub *scrub, const uint8_t *bytes, size_t size, struct buffer *out,
                   unsigned *out_hits);
/* The same with needles that were made before: an answer has many headers and one set of them. */
STATUS scrub_piece(const struct needles *needles, const uint8_t *bytes, size_t size,
                   struct buffer *out, unsigned *out_hits);

#endif
