/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/token.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/encode.h"
#include "base/redact.h"

static const char alphabet[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/* CRC-32 (IEEE 802.3), four bits at a time. */
static uint32_t token_crc(const char *text)
{
    static const uint32_t table[16] = {
        0x00000000, 0x1DB71064, 0x3B6E20C8, 0x26D930AC, 0x76DC4190, 0x6B6B51F4,
        0x4DB26158, 0x5005713C, 0xEDB88320, 0xF00F9344, 0xD6D6A3E8, 0xCB61B38C,
        0x9B64C2B0, 0x86D3D2D4, 0xA00AE278, 0xBDBDF21C,
    };
    uint32_t crc = UINT32_MAX;

    for (const char *at = text; *at != '\0'; at++) {
        crc ^= (uint8_t)*at;
        crc = (crc >> 4) ^ table[crc & 15u];
        crc = (crc >> 4) ^ table[crc & 15u];
    }
    return ~crc;
}

void token_check(const char *text, char out[static TOKEN_CHECK_CHARS + 1])
{
    uint32_t rest = token_crc(text);

    for (unsigned i = 0; i < TOKEN_CHECK_CHARS; i++) {
        out[i] = alphabet[rest % 62];
        rest /= 62;
    }
    out[TOKEN_CHECK_CHARS] = '\0';
}

/* TOK-3: what looks for cards in logs and free text must not stumble over tokens.  Of UUIDs, with
 * their many digits and their hyphens, it would over one in thousands. */
static bool token_looks_like_card(const char *token)
{
    struct redact_hit hit;

    return redact_find((const uint8_t *)token, strlen(token), 0, &hit);
}

bool token_make_opaque(bool live, const uint8_t bits[static TOKEN_BITS_BYTES],
                       char out[static CONTRACT_TOKEN_MAX + 1])
{
    char text[ENCODE_BASE62_CHARS + 1];
    char check[TOKEN_CHECK_CHARS + 1];
    char body[CONTRACT_TOKEN_MAX + 1 - TOKEN_CHECK_CHARS];

    encode_base62(bits, text);
    (void)snprintf(body, sizeof body, "%s%s%s", CONTRACT_TOKEN_PREFIX,
                   live ? "" : CONTRACT_TEST_INFIX, text);
    token_check(body, check);
    (void)snprintf(out, CONTRACT_TOKEN_MAX + 1, "%s%s", body, check);
    return !token_looks_like_card(out);
}

/* RFC 9562 section 5.4. */
static void token_draw_uuid(char out[static CONTRACT_TOKEN_MAX + 1])
{
    uint8_t bits[16];
    char hex[33];

    random_bytes(bits, sizeof bits);
    bits[6] = (uint8_t)((bits[6] & 0x0Fu) | 0x40u);
    bits[8] = (uint8_t)((bits[8] & 0x3Fu) | 0x80u);
    encode_hex(bits, sizeof bits, hex);
    (void)snprintf(out, CONTRACT_TOKEN_MAX + 1, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12,
                   hex + 16, hex + 20);
}

void token_make_uuid(char out[static CONTRACT_TOKEN_MAX + 1])
{
    do
        token_draw_uuid(out);
    while (token_looks_like_card(out));
}

/* How many first digits may show beside the last four (standards.md 5.3): of 14 digits or fewer
 * none, and at least five of 15 are hidden. */
static unsigned token_first_max(unsigned length)
{
    return length <= 14 ? 0 : length == 15 ? 6 : 8;
}

void token_make_card_shaped(const struct policy_tenant *tenant, const struct card_mask *mask,
                            const char *first8, char out[static CONTRACT_TOKEN_MAX + 1])
{
    unsigned length = mask->length;
    unsigned first = tenant->card_keep_first;
    unsigned last = tenant->card_keep_last ? 4 : 0;

    assert(length >= CONTRACT_PAN_DIGITS_MIN);
    assert(length <= CONTRACT_PAN_DIGITS_MAX);
    assert(first == 0 || first == 6 || first == 8);
    if (first > token_first_max(length))
        first = token_first_max(length);
    do {
        for (unsigned i = 0; i < length; i++)
            out[i] = (char)('0' + random_below(10));
        out[length] = '\0';
        memcpy(out, first8, first);
        memcpy(out + length - last, mask->last4, last);
    } while (redact_luhn((const uint8_t *)out, length) != tenant->card_pass_luhn);
}

bool token_opaque_bits(const char *token, uint8_t out[static TOKEN_BITS_BYTES])
{
    char check[TOKEN_CHECK_CHARS + 1];
    char body[CONTRACT_TOKEN_MAX + 1];
    size_t size = strlen(token);
    size_t prefix = strlen(CONTRACT_TOKEN_PREFIX);

    if (strncmp(token, CONTRACT_TOKEN_PREFIX, prefix) != 0)
        return false;
    if (strncmp(token + prefix, CONTRACT_TEST_INFIX, strlen(CONTRACT_TEST_INFIX)) == 0)
        prefix += strlen(CONTRACT_TEST_INFIX);
    if (size != prefix + ENCODE_BASE62_CHARS + TOKEN_CHECK_CHARS ||
        failed(decode_base62(token + prefix, out)))
        return false;
    (void)snprintf(body, sizeof body, "%.*s", (int)(size - TOKEN_CHECK_CHARS), token);
    token_check(body, check);
    return strcmp(check, token + size - TOKEN_CHECK_CHARS) == 0;
}

/* In the pattern x is any digit of lower-case hex, and v one of the variant's four. */
static bool token_is_uuid(const char *token)
{
    static const char pattern[] = "xxxxxxxx-xxxx-4xxx-vxxx-xxxxxxxxxxxx";

    for (size_t i = 0; i < sizeof pattern - 1; i++) {
        const char *allowed = pattern[i] == 'x'   ? "0123456789abcdef"
                              : pattern[i] == 'v' ? "89ab"
                              : pattern[i] == '4' ? "4"
                                                  : "-";
        if (token[i] == '\0' || strchr(allowed, token[i]) == NULL)
            return false;
    }
    return token[sizeof pattern - 1] == '\0';
}

bool token_is_well_formed(const char *token)
{
    size_t size = strlen(token);
    uint8_t bits[TOKEN_BITS_BYTES];

    if (strncmp(token, CONTRACT_TOKEN_PREFIX, strlen(CONTRACT_TOKEN_PREFIX)) == 0)
        return token_opaque_bits(token, bits);
    if (strspn(token, "0123456789") == size)
        return size >= CONTRACT_PAN_DIGITS_MIN && size <= CONTRACT_PAN_DIGITS_MAX;
    return token_is_uuid(token);
}
