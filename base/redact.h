/* SPDX-License-Identifier: Apache-2.0 */
/* base/redact.h -- finds long digit runs that carry a valid check digit, and masks them.
 *
 * In      any bytes.
 * Out     where such a run stands, or the same bytes with it masked.  A run is 13 to 19 ASCII
 *         digits, single spaces or hyphens between them allowed, that neither begins nor ends
 *         within unseparated digits, and whose last digit is right by ISO/IEC 7812-1 annex B
 *         (Luhn).
 * Never   allocates; logs what it found.
 * Threads any.
 */
#ifndef BASE_REDACT_H
#define BASE_REDACT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct redact_hit {
    size_t start;    /* First digit. */
    size_t size;     /* Bytes up to and with the last digit, separators included. */
    unsigned digits; /* How many of them are digits. */
};

/* True when `digits` (ASCII, nothing else) ends in the right check digit. */
bool redact_luhn(const uint8_t *digits, size_t count);

/* The first hit that begins at or after `from`, and of those the longest; false when there is none.
 * Go on from `start + 1`: another hit may overlap this one. */
bool redact_find(const uint8_t *bytes, size_t size, size_t from, struct redact_hit *out_hit);

/* Overwrites every digit of every hit but its last four with '*', until there is no hit left;
 * returns how many there were. */
unsigned redact_mask(uint8_t *bytes, size_t size);

/* True for data shaped like a magnetic stripe: track 1 (%B…^…^…) or track 2 (;digits=digits…) with
 * or without its sentinels, anywhere in the bytes (SAD-3). */
bool redact_is_track(const uint8_t *bytes, size_t size);

#endif
