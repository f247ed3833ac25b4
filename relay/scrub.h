/* SPDX-License-Identifier: Apache-2.0 */
/* relay/scrub.h -- the answer guard: takes every value that was inserted out of what comes back.
 *
 * In      the very values that one submission inserted; then the gateway's headers and body.
 * Out     the same without them: each occurrence becomes its token (a card number) or asterisks (a
 * CVV), in plain, with separators (spaces, hyphens), percent-encoded, HTML- and JSON-escaped
 * (\u0034…), base64 (three alignments, both alphabets), hexadecimal, reversed nothing else.  A CVV
 * is replaced only as a whole JSON or form value or between non-digits beside a field named like
 * one (cvc, cvv, security_code, verification_value …), else three digits would be everywhere; say
 * so where it is done. Never   lets an inserted number through at any status; keeps the values: it
 * borrows them. Threads any.
 */
#ifndef RELAY_SCRUB_H
#define RELAY_SCRUB_H

#include <stdint.h>

#include "base/buffer.h"
#include "base/secret.h"
#include "base/status.h"

#define SCRUB_VALUES_MAX 16u

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

/* Appends the cleaned bytes to `out`; `*out_hits` counts what was replaced.  WHY_LIMIT when `out`
 * is full: nothing of the answer may be passed on then. */
STATUS scrub_bytes(const struct scrub *scrub, const uint8_t *bytes, size_t size, struct buffer *out,
                   unsigned *out_hits);

#endif
