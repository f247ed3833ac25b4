/* SPDX-License-Identifier: Apache-2.0 */
/* relay/escape.h -- takes one layer of escaping off, and remembers where each byte came from.
 *
 * In      bytes as somebody sent them, and one kind of escape.
 * Out     the same bytes without that kind, and for each of them its range in the input.
 * Never   fails: what is no whole escape stays as it stands.  Writes more bytes than it read.
 * Threads any.
 */
#ifndef RELAY_ESCAPE_H
#define RELAY_ESCAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum escape_kind {
    ESCAPE_PERCENT,   /* %34 */
    ESCAPE_BACKSLASH, /* \u0034 \x34 \n \/, surrogate pairs joined */
    ESCAPE_ENTITY,    /* &#52; &#x34; &amp; &nbsp; the semicolon may be missing */
    ESCAPE_WIDE,      /* UTF-16's zero bytes, full-width forms, two-byte overlong UTF-8 */
    ESCAPE_BASE64,    /* Runs of 16 and more characters, either alphabet, that hold text. */
    ESCAPE_KINDS
};

/* Where a byte came from: [start, end) of the input. */
struct escape_span {
    uint32_t start;
    uint32_t end;
};

/* True when a byte that begins an escape of this kind is there at all; of base64, a run of text. */
bool escape_suspected(enum escape_kind kind, const uint8_t *bytes, size_t size);

/* `out` and, unless NULL, `out_spans` have room for `size` elements; `size` fits in 32 bits.
 * Returns how many were written; *out_changed says whether there was anything to undo. */
size_t escape_undo(enum escape_kind kind, const uint8_t *bytes, size_t size, uint8_t *out,
                   struct escape_span *out_spans, bool *out_changed);

#endif
