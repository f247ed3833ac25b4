/* SPDX-License-Identifier: Apache-2.0 */
/* base/encode.h -- bytes as text and back: hex, base64, base62, percent; times; random ids.
 *
 * In      bytes, or text from outside.
 * Out     text with a NUL, or bytes; decoders are strict and refuse what they would not write.
 * Never   allocates.
 * Threads any; random blocks are per thread.
 */
#ifndef BASE_ENCODE_H
#define BASE_ENCODE_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/* Lower-case; `out` has room for 2 * size + 1. */
void encode_hex(const void *bytes, size_t size, char *out);
STATUS decode_hex(const char *text, size_t text_size, uint8_t *out, size_t out_size);

/* Standard alphabet, padded (RFC 4648 section 4); room for ENCODE_BASE64_SIZE(size) with the NUL.
 */
#define ENCODE_BASE64_SIZE(size) ((((size) + 2u) / 3u) * 4u + 1u)
void encode_base64(const void *bytes, size_t size, char *out);
/* Fails with WHY_BAD_INPUT on anything but canonical base64, WHY_LIMIT when out_max is passed. */
STATUS decode_base64(const char *text, size_t text_size, uint8_t *out, size_t out_max,
                     size_t *out_size);

/* 128 bits as exactly 22 characters of 0-9A-Za-z, most significant first. */
#define ENCODE_BASE62_CHARS 22u
void encode_base62(const uint8_t bytes[static 16], char out[static ENCODE_BASE62_CHARS + 1]);
/* Exactly 22 characters back to 128 bits.  WHY_BAD_INPUT on any other character, or on more than
 * 128 bits. */
STATUS decode_base62(const char *text, uint8_t out[static 16]);

/* CSPRNG, from blocks of 4 KiB that are wiped as they are used; failure ends the process (KEY-6).
 * A child made by fork() begins a block of its own. */
void random_bytes(void *out, size_t size);
/* Uniform in [0, bound). */
uint32_t random_below(uint32_t bound);

/* prefix + 22 characters of base62; `out_size` must hold it. */
void random_id(const char *prefix, char *out, size_t out_size);
/* The same, by its bytes behind all that this thread made before: 48 bits of milliseconds and 16
 * that count, as a UUID of version 7 has them (RFC 9562), then 64 random ones.  Rows under such ids
 * lie one behind the other. */
void random_ordered_id(const char *prefix, char *out, size_t out_size);

/* The 128 bits of such an id.  WHY_BAD_INPUT on anything that is none. */
STATUS decode_id(const char *prefix, const char *text, uint8_t out[static 16]);

/* Wall clock, UTC, milliseconds since 1970. */
int64_t clock_now_ms(void);
/* Monotonic milliseconds, for deadlines; microseconds, for measuring. */
int64_t clock_monotonic_ms(void);
int64_t clock_monotonic_us(void);

/* RFC 3339 in UTC with milliseconds: 2026-11-23T08:00:00.000Z. */
#define CLOCK_TEXT_SIZE 25u
void clock_text(int64_t ms, char out[static CLOCK_TEXT_SIZE]);
/* Accepts Z or a numeric offset, and 0 to 9 fraction digits. */
STATUS clock_parse(const char *text, size_t size, int64_t *out_ms);

#endif
