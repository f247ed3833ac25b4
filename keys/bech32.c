/* SPDX-License-Identifier: Apache-2.0 */
#include "keys/bech32.h"

#include <assert.h>
#include <sodium.h>
#include <stdbool.h>
#include <string.h>

#include "base/own.h"

#define SYMBOLS        32u
#define SYMBOL_BITS    5u
#define CHECKSUM_FINAL 0x2bc830a3u /* BIP-350's constant; BIP-173 had 1. */

static const char alphabet[SYMBOLS + 1] = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";

void bech32_wipe(struct bech32 *code)
{
    sodium_memzero(code, sizeof *code);
}

static bool is_upper(char c)
{
    return (unsigned char)(c - 'A') < 26u; /* One comparison, and so no branch. */
}

static bool is_lower(char c)
{
    return (unsigned char)(c - 'a') < 26u;
}

static char lowered(char c)
{
    return (char)(is_upper(c) ? c - 'A' + 'a' : c);
}

/* The whole alphabet is gone through, so that the time says nothing about a share's character. */
uint8_t bech32_symbol(char character)
{
    unsigned folded = (unsigned char)character;
    unsigned found = BECH32_NO_SYMBOL;

    folded |= 0x20u & (0u - (unsigned)is_upper(character));
    for (unsigned i = 0; i < SYMBOLS; i++) {
        unsigned difference = folded ^ (unsigned char)alphabet[i];
        unsigned same = ((difference - 1u) >> 8) & 0xffu; /* 0xff where there is no difference. */
        found = (found & ~same) | (i & same);
    }
    return (uint8_t)found;
}

/* One symbol into the remainder, as BIP-173 has it. */
static uint32_t remainder_add(uint32_t remainder, uint8_t symbol)
{
    static const uint32_t generator[SYMBOL_BITS] = {0x3b6a57b2u, 0x26508e6du, 0x1ea119fau,
                                                    0x3d4233ddu, 0x2a1462b3u};
    uint32_t top = remainder >> 25;

    remainder = ((remainder & 0x1ffffffu) << SYMBOL_BITS) ^ symbol;
    for (unsigned i = 0; i < SYMBOL_BITS; i++)
        remainder ^= generator[i] & (0u - ((top >> i) & 1u));
    return remainder;
}

static uint32_t remainder_of_prefix(const char *prefix)
{
    uint32_t remainder = 1;

    for (const char *at = prefix; *at != '\0'; at++)
        remainder = remainder_add(remainder, (uint8_t)((unsigned char)*at >> SYMBOL_BITS));
    remainder = remainder_add(remainder, 0);
    for (const char *at = prefix; *at != '\0'; at++)
        remainder = remainder_add(remainder, (uint8_t)*at & (SYMBOLS - 1u));
    return remainder;
}

/* The character of a symbol, by the same way round the alphabet. */
static char character_of(uint8_t symbol)
{
    unsigned found = 0;

    for (unsigned i = 0; i < SYMBOLS; i++) {
        unsigned same = (((i ^ symbol) - 1u) >> 8) & 0xffu;
        found |= (unsigned char)alphabet[i] & same;
    }
    return (char)found;
}

STATUS bech32_encode(const struct bech32 *code, char out[static BECH32_CHARS_MAX + 1])
{
    size_t prefix = strlen(code->prefix);
    uint32_t remainder = remainder_of_prefix(code->prefix);

    assert(prefix > 0);
    ENSURE(prefix + 1 + code->symbol_count + BECH32_CHECKSUM_CHARS <= BECH32_CHARS_MAX, WHY_LIMIT);
    memcpy(out, code->prefix, prefix);
    char *at = out + prefix;
    *at++ = '1';
    for (size_t i = 0; i < code->symbol_count; i++) {
        remainder = remainder_add(remainder, code->symbols[i]);
        *at++ = character_of(code->symbols[i]);
    }
    for (unsigned i = 0; i < BECH32_CHECKSUM_CHARS; i++)
        remainder = remainder_add(remainder, 0);
    remainder ^= CHECKSUM_FINAL;
    for (unsigned i = BECH32_CHECKSUM_CHARS; i-- > 0;)
        *at++ = character_of((remainder >> (SYMBOL_BITS * i)) & (SYMBOLS - 1u));
    *at = '\0';
    return STATUS_OK;
}

/* Where the part behind the prefix begins; 0 where the text is no Bech32 of any kind. */
static size_t symbols_begin(const char *text, size_t size)
{
    bool upper = false;
    bool lower = false;
    size_t begin = 0;

    if (size > BECH32_CHARS_MAX)
        return 0;
    for (size_t i = 0; i < size; i++) {
        if (text[i] < 33 || text[i] > 126)
            return 0;
        upper = upper || is_upper(text[i]);
        lower = lower || is_lower(text[i]);
        if (text[i] == '1')
            begin = i + 1; /* The last one; there is none in the alphabet. */
    }
    bool good = begin >= 2 && size - begin >= BECH32_CHECKSUM_CHARS && !(upper && lower);
    return good ? begin : 0;
}

STATUS bech32_decode(const char *text, size_t size, struct bech32 *out_code)
{
    struct bech32 code OWNED(bech32_wipe) = {0};
    size_t begin = symbols_begin(text, size);

    ENSURE(begin > 0, WHY_BAD_INPUT);
    assert(begin - 1 <= BECH32_PREFIX_MAX);
    for (size_t i = 0; i + 1 < begin; i++)
        code.prefix[i] = lowered(text[i]);
    uint32_t remainder = remainder_of_prefix(code.prefix);
    for (size_t i = begin; i < size; i++) {
        code.symbols[i - begin] = bech32_symbol(text[i]);
        ENSURE(code.symbols[i - begin] != BECH32_NO_SYMBOL, WHY_BAD_INPUT);
        remainder = remainder_add(remainder, code.symbols[i - begin]);
    }
    ENSURE(remainder == CHECKSUM_FINAL, WHY_FORGED);
    code.symbol_count = size - begin - BECH32_CHECKSUM_CHARS;
    memset(code.symbols + code.symbol_count, 0, BECH32_CHECKSUM_CHARS);
    *out_code = code;
    return STATUS_OK;
}

/* The remainder is linear: a wrong symbol adds its difference, carried on by what stands behind it,
 * whatever all the others are. */
STATUS bech32_locate(const char *text, size_t size, size_t *out_at)
{
    char prefix[BECH32_PREFIX_MAX + 1] = "";
    size_t begin = symbols_begin(text, size);

    ENSURE(begin > 0, WHY_NOT_FOUND);
    for (size_t i = 0; i + 1 < begin; i++)
        prefix[i] = lowered(text[i]);
    uint32_t wrong = remainder_of_prefix(prefix);
    for (size_t i = begin; i < size; i++) {
        ENSURE(bech32_symbol(text[i]) != BECH32_NO_SYMBOL, WHY_NOT_FOUND);
        wrong = remainder_add(wrong, bech32_symbol(text[i]));
    }
    wrong ^= CHECKSUM_FINAL;
    for (uint8_t difference = 1; difference < SYMBOLS; difference++) {
        uint32_t carried = difference;
        for (size_t at = size; at-- > begin;) {
            if (carried == wrong) {
                *out_at = at;
                return STATUS_OK;
            }
            carried = remainder_add(carried, 0);
        }
    }
    return FAIL(WHY_NOT_FOUND);
}

STATUS bech32_pack(const uint8_t *bytes, size_t size, struct bech32 *code)
{
    uint32_t held = 0;
    unsigned bits = 0;
    size_t count = 0;

    ENSURE((size * 8 + SYMBOL_BITS - 1) / SYMBOL_BITS <= BECH32_CHARS_MAX, WHY_LIMIT);
    for (size_t i = 0; i < size; i++) {
        held = ((held << 8) | bytes[i]) & 0xfffu;
        for (bits += 8; bits >= SYMBOL_BITS; bits -= SYMBOL_BITS)
            code->symbols[count++] = (held >> (bits - SYMBOL_BITS)) & (SYMBOLS - 1u);
    }
    if (bits > 0)
        code->symbols[count++] = (held << (SYMBOL_BITS - bits)) & (SYMBOLS - 1u);
    code->symbol_count = count;
    return STATUS_OK;
}

STATUS bech32_unpack(const struct bech32 *code, uint8_t *out, size_t size)
{
    uint32_t held = 0;
    unsigned bits = 0;
    size_t count = 0;

    ENSURE(code->symbol_count == (size * 8 + SYMBOL_BITS - 1) / SYMBOL_BITS, WHY_BAD_INPUT);
    for (size_t i = 0; i < code->symbol_count; i++) {
        held = ((held << SYMBOL_BITS) | code->symbols[i]) & 0xfffu;
        bits += SYMBOL_BITS;
        if (bits >= 8) {
            bits -= 8;
            out[count++] = (uint8_t)(held >> bits);
        }
    }
    assert(count == size);
    ENSURE((held & ((1u << bits) - 1u)) == 0, WHY_BAD_INPUT);
    return STATUS_OK;
}
