/* SPDX-License-Identifier: Apache-2.0 */
/* keys/bech32.h -- Bech32m (BIP-350): bytes as text that a person can type, with a checksum.
 *
 * In      bytes and a human-readable prefix; or text without white space, in one case.
 * Out     text of at most 90 characters, in which up to four wrong ones are always noticed; or the
 *         bytes; or the place of a single wrong character.
 * Never   mends what was typed; allocates; looks up a table at a secret place.
 * Threads any.
 */
#ifndef KEYS_BECH32_H
#define KEYS_BECH32_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#define BECH32_CHARS_MAX      90u
#define BECH32_PREFIX_MAX     83u
#define BECH32_CHECKSUM_CHARS 6u
#define BECH32_NO_SYMBOL      255u

/* One text, taken apart: what its prefix is, and five bits for each character behind it. */
struct bech32 {
    char prefix[BECH32_PREFIX_MAX + 1]; /* Lower-case. */
    uint8_t symbols[BECH32_CHARS_MAX];  /* The checksum is not among them. */
    size_t symbol_count;
};

/* For those that hold a secret: `struct bech32 code OWNED(bech32_wipe)`. */
void bech32_wipe(struct bech32 *code);

/* WHY_LIMIT: it would be longer than 90 characters.  `out` gets a NUL. */
STATUS bech32_encode(const struct bech32 *code, char out[static BECH32_CHARS_MAX + 1]);

/* WHY_BAD_INPUT: it is no such text, whatever its checksum.  WHY_FORGED: the checksum is wrong. */
STATUS bech32_decode(const char *text, size_t size, struct bech32 *out_code);

/* The one place at which another character makes the checksum right: of a text that
 * bech32_decode() refused with WHY_FORGED.  WHY_NOT_FOUND: there is none, so that more than one
 * character is wrong.  With up to three wrong characters no right one is named. */
STATUS bech32_locate(const char *text, size_t size, size_t *out_at);

/* Five bits of a character in either case, or BECH32_NO_SYMBOL. */
uint8_t bech32_symbol(char character);

/* Bytes to symbols and back; the bits that are left over are 0, or it is WHY_BAD_INPUT, as is
 * another number of bytes than `size`. */
STATUS bech32_pack(const uint8_t *bytes, size_t size, struct bech32 *code);
STATUS bech32_unpack(const struct bech32 *code, uint8_t *out, size_t size);

#endif
