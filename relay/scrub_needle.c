/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/scrub_needle.h"

#include <assert.h>
#include <string.h>

#include "base/encode.h"
#include "base/own.h"
#include "vault/contract.h"

/* A name of 128 bytes in base64 is 172, the longest that is inserted. */
#define VALUE_BYTES_MAX 192u
/* Each value makes its shapes, each of at most twice its size, and fills. */
#define TEXT_BYTES_MAX (SCRUB_VALUES_MAX * NEEDLE_SHAPES_MAX * 4u * (VALUE_BYTES_MAX + 4u))
/* A shorter number is a cut one (last4, bin8), which may be shown. */
#define NUMBER_BYTES_MIN CONTRACT_PAN_DIGITS_MIN
/* A shorter name would be found in half of all words. */
#define NAME_BYTES_MIN 4u
/* How far a name that means a security code may stand from the code. */
#define BESIDE_NAME_MAX  40u
#define BESIDE_MARKS_MAX 12u

/* Names that mean a security code, without what separates their words. */
static const char *const code_names[] = {"cvc",
                                         "cvv",
                                         "cvn",
                                         "csc",
                                         "cv2",
                                         "cid",
                                         "securitycode",
                                         "verificationvalue",
                                         "verificationcode",
                                         "cardcode"};

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool is_alnum(uint8_t c)
{
    return is_digit(c) || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c - 'A' + 'a') : c;
}

/* What may stand for the first byte of a needle, as needle_match() takes it. */
static uint8_t other_first(const struct needle *needle, uint8_t c)
{
    if (c == ' ')
        return '+';
    if (needle->fold && c >= 'a' && c <= 'z')
        return (uint8_t)(c - 'a' + 'A');
    return needle->fold ? lower(c) : c;
}

/* Bytes of the separator that stands at `at`, 0 for none: any ASCII character that is no letter or
 * digit, and the blanks and dashes of Unicode. */
static size_t gap_size(const uint8_t *at, size_t left)
{
    if (left >= 1 && at[0] < 0x80)
        return is_alnum(at[0]) ? 0 : 1;
    if (left >= 2 && at[0] == 0xc2 && (at[1] == 0xa0 || at[1] == 0xad))
        return 2;
    if (left >= 3 && at[0] == 0xe2 && (at[1] == 0x80 || at[1] == 0x81))
        return 3;
    if (left >= 3 && at[0] == 0xef && at[1] == 0xbb && at[2] == 0xbf)
        return 3;
    return 0;
}

static size_t gaps_size(enum needle_gap gap, const uint8_t *at, size_t left)
{
    size_t used = 0;

    if (gap == NEEDLE_GAP_NONE)
        return 0;
    for (unsigned i = 0; i < 2 && used < left; i++) {
        if (gap == NEEDLE_GAP_LINE && at[used] != '\r' && at[used] != '\n')
            break;
        size_t size = gap_size(at + used, left - used);
        if (size == 0)
            break;
        used += size;
    }
    return used;
}

static bool is_one_of(const char *set, uint8_t c)
{
    return c != '\0' && strchr(set, c) != NULL;
}

/* Letters of a name, and what may stand between its words. */
static bool is_name_part(uint8_t c)
{
    return is_alnum(c) || c == '_' || c == '-' || c == '.' || c == ' ';
}

static bool name_means_code(const uint8_t *name, size_t size)
{
    char plain[BESIDE_NAME_MAX + 1];
    size_t count = 0;

    for (size_t i = 0; i < size && count < BESIDE_NAME_MAX; i++)
        if (is_alnum(name[i]))
            plain[count++] = (char)lower(name[i]);
    plain[count] = '\0';
    for (unsigned i = 0; i < sizeof code_names / sizeof *code_names; i++)
        if (strstr(plain, code_names[i]) != NULL)
            return true;
    return false;
}

/* `"cvc": "123"`, `cvc=123`, `<cvc>123`, `the CVC you sent (123)`: over quotes and the like, then a
 * name.  A comma, a brace or an ampersand in between belongs to another field. */
static bool stands_behind_name(const uint8_t *bytes, size_t at)
{
    size_t end = at;
    while (end > 0 && at - end < BESIDE_MARKS_MAX &&
           is_one_of("\":= '>])([\t\r\n#", bytes[end - 1]))
        end--;
    size_t start = end;
    while (start > 0 && end - start < BESIDE_NAME_MAX && is_name_part(bytes[start - 1]))
        start--;
    return name_means_code(bytes + start, end - start);
}

/* `123 is no valid CVC`: only within running text. */
static bool stands_before_name(const uint8_t *bytes, size_t size, size_t at)
{
    size_t start = at;
    while (start < size && start - at < 2 && is_one_of(" ')", bytes[start]))
        start++;
    size_t end = start;
    while (end < size && end - start < BESIDE_NAME_MAX && is_name_part(bytes[end]))
        end++;
    return start > at && name_means_code(bytes + start, end - start);
}

/* True when `c` next to a needle makes it a part of something longer: letters and digits, for plain
 * codes only digits ("CVC123"). */
static bool continues(const struct needle *needle, uint8_t c)
{
    return needle->beside && !needle->filled ? is_digit(c) : is_alnum(c);
}

/* A code of three digits is in every second answer by chance, as an amount, a status, a time; an
 * amount taken for it and starred out would be worse than the code.  So a code counts only beside a
 * name that means one. */
static bool surroundings_fit(const struct needle *needle, const uint8_t *bytes, size_t size,
                             size_t at, size_t used)
{
    if (needle->word && at > 0 && continues(needle, bytes[at - 1]))
        return false;
    if (needle->word && at + used < size && continues(needle, bytes[at + used]))
        return false;
    return !needle->beside || stands_behind_name(bytes, at) ||
           stands_before_name(bytes, size, at + used);
}

size_t needle_match(const struct needles *needles, const struct needle *needle,
                    const uint8_t *bytes, size_t size, size_t at)
{
    const uint8_t *wanted = needles->text.bytes + needle->start;
    size_t used = 0;

    for (uint32_t i = 0; i < needle->size; i++) {
        if (i > 0)
            used += gaps_size(needle->gap, bytes + at + used, size - at - used);
        if (at + used >= size)
            return 0;
        uint8_t c = bytes[at + used];
        /* A form writes a blank as '+'. */
        if (c != wanted[i] && !(needle->fold && lower(c) == lower(wanted[i])) &&
            !(c == '+' && wanted[i] == ' '))
            return 0;
        used++;
    }
    return surroundings_fit(needle, bytes, size, at, used) ? used : 0;
}

/* Takes a needle whose bytes stand at the end of the text already. */
static void needle_add(struct needles *needles, struct needle needle)
{
    assert(needles->count < sizeof needles->list / sizeof *needles->list);
    if (needles->text.why != WHY_NONE || needle.size == 0)
        return;
    uint8_t first = needles->text.bytes[needle.start];
    needle.first[0] = first;
    needle.first[1] = other_first(&needle, first);
    needles->starts[needle.first[0]] = 1;
    needles->starts[needle.first[1]] = 1;
    needles->list[needles->count++] = needle;
}

static void plain_add(struct needles *needles, struct needle needle, const uint8_t *bytes,
                      size_t size)
{
    needle.start = (uint32_t)needles->text.size;
    needle.size = (uint32_t)size;
    buffer_add(&needles->text, bytes, size);
    needle_add(needles, needle);
}

static void reversed_add(struct needles *needles, struct needle needle, const uint8_t *bytes,
                         size_t size)
{
    needle.start = (uint32_t)needles->text.size;
    needle.size = (uint32_t)size;
    for (size_t i = size; i > 0; i--)
        buffer_add_u8(&needles->text, bytes[i - 1]);
    needle_add(needles, needle);
}

/* Hex is filled with the hex of zeros: what decodes it goes on working. */
static void hex_add(struct needles *needles, struct needle needle, const uint8_t *bytes,
                    size_t size)
{
    char hex[2 * VALUE_BYTES_MAX + 1];

    needle.filled = true;
    needle.start = (uint32_t)needles->text.size;
    needle.size = (uint32_t)(2 * size);
    encode_hex(bytes, size, hex);
    buffer_add(&needles->text, hex, 2 * size);
    for (size_t i = 0; i < size; i++)
        buffer_add_text(&needles->text, "30");
    explicit_bzero(hex, sizeof hex);
    needle_add(needles, needle);
}

/* Base64 of `skip` bytes that we do not know and then the value: the characters that the value
 * alone decides.  Those at the edges hold bits of the neighbours, and of the value no more than the
 * constant half of its first digit and the lower half of its last, which may be shown. */
static void base64_add(struct needles *needles, struct needle needle, const uint8_t *bytes,
                       size_t size, unsigned skip, bool url)
{
    uint8_t plain[VALUE_BYTES_MAX + 2] = {0};
    char coded[ENCODE_BASE64_SIZE(sizeof plain)];
    size_t first = (skip * 8u + 5u) / 6u;
    size_t end = (skip + size) * 8u / 6u;

    needle.filled = true;
    needle.start = (uint32_t)needles->text.size;
    needle.size = (uint32_t)(end - first);
    memcpy(plain + skip, bytes, size);
    for (unsigned pass = 0; pass < 2; pass++) {
        encode_base64(plain, skip + size, coded);
        for (size_t i = 0; url && i < end; i++)
            coded[i] = coded[i] == '+' ? '-' : coded[i] == '/' ? '_' : coded[i];
        buffer_add(&needles->text, coded + first, end - first);
        memset(plain + skip, '0', size); /* The second pass makes the fill. */
    }
    explicit_bzero(plain, sizeof plain);
    explicit_bzero(coded, sizeof coded);
    needle_add(needles, needle);
}

static bool is_all_digits(const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (!is_digit(bytes[i]))
            return false;
    return true;
}

/* A number, or what a filter made of one (its base64): then it is looked for as text. */
static void number_add(struct needles *needles, unsigned value, const uint8_t *bytes, size_t size)
{
    if (size < NUMBER_BYTES_MIN)
        return;
    enum needle_gap gap = is_all_digits(bytes, size) ? NEEDLE_GAP_ANY : NEEDLE_GAP_LINE;
    const struct needle spaced = {.value = value, .gap = gap};
    const struct needle wrapped = {.value = value, .gap = NEEDLE_GAP_LINE};
    const struct needle hex = {.value = value, .gap = NEEDLE_GAP_ANY, .fold = true};
    plain_add(needles, spaced, bytes, size);
    reversed_add(needles, spaced, bytes, size);
    hex_add(needles, hex, bytes, size);
    /* Digits make none of the two characters in which the alphabets differ. */
    for (unsigned skip = 0; skip < 3; skip++)
        base64_add(needles, wrapped, bytes, size, skip, false);
}

static void code_add(struct needles *needles, unsigned value, const uint8_t *bytes, size_t size)
{
    if (size == 0)
        return;
    const struct needle beside = {.value = value, .word = true, .beside = true};
    plain_add(needles, beside, bytes, size);
    hex_add(needles, beside, bytes, size);
    base64_add(needles, beside, bytes, size, 0, false);
}

static void name_add(struct needles *needles, unsigned value, const uint8_t *bytes, size_t size)
{
    if (size < NAME_BYTES_MIN)
        return;
    const struct needle word = {.value = value, .fold = true, .word = true};
    const struct needle hex = {.value = value, .fold = true};
    const struct needle wrapped = {.value = value, .gap = NEEDLE_GAP_LINE};
    plain_add(needles, word, bytes, size);
    hex_add(needles, hex, bytes, size);
    for (unsigned skip = 0; skip < 3; skip++) {
        base64_add(needles, wrapped, bytes, size, skip, false);
        base64_add(needles, wrapped, bytes, size, skip, true);
    }
}

STATUS needles_make(const struct scrub *scrub, struct needles *out_needles)
{
    assert(scrub->count <= SCRUB_VALUES_MAX);
    out_needles->scrub = scrub;
    out_needles->text = BUFFER(TEXT_BYTES_MAX);

    for (unsigned i = 0; i < scrub->count; i++) {
        const uint8_t *bytes = secret_peek(scrub->values[i].value);
        size_t size = secret_size(scrub->values[i].value);
        ENSURE(size <= VALUE_BYTES_MAX, WHY_LIMIT);
        if (scrub->values[i].kind == SCRUB_NUMBER)
            number_add(out_needles, i, bytes, size);
        else if (scrub->values[i].kind == SCRUB_CVV)
            code_add(out_needles, i, bytes, size);
        else
            name_add(out_needles, i, bytes, size);
    }
    return buffer_status(&out_needles->text);
}

void needles_free(struct needles *needles)
{
    buffer_free(&needles->text);
    needles->count = 0;
}
