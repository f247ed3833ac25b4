/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/cli/scan_find.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "base/redact.h"

#define DIGITS_MIN        13u
#define DIGITS_MAX        19u
#define TEXT_BYTES_MAX    (2u * DIGITS_MAX) /* With separators. */
#define GROUP_FIRST       4u
#define GROUP_MIN         3u
#define GROUP_MAX         7u
#define BASE64_CHARS_MIN  20u /* Thirteen digits at the worst alignment. */
#define BASE64_CHARS_MAX  32768u
#define BASE64_CHARS_KEPT 128u /* From one piece of a long run to the next. */
#define BCD_BYTES_MIN     6u
#define BCD_BYTES_MAX     10u
#define CHANCE_BYTES      64u
#define CHANCE_VALUES_MIN 44u /* Of 64 random bytes about 57 differ; of a record's far fewer. */

struct scan_find {
    /* The window under way. */
    const uint8_t *bytes;
    size_t size;
    size_t from;
    size_t until;
    scan_hit_fn on_hit;
    void *owner;

    /* A run of base64: six bits each, and where in the window each stood. */
    uint8_t sextets[BASE64_CHARS_MAX];
    size_t places[BASE64_CHARS_MAX];
    size_t count;
    size_t fresh; /* What begins before this sextet was reported with the run's last piece. */
    uint8_t decoded[BASE64_CHARS_MAX];
};

static const char *const form_names[] = {[SCAN_FORM_DIGITS] = "digits",
                                         [SCAN_FORM_UTF16] = "utf-16",
                                         [SCAN_FORM_BCD] = "bcd",
                                         [SCAN_FORM_BASE64] = "base64"};

const char *scan_find_form_name(enum scan_form form)
{
    return form_names[form];
}

STATUS scan_find_new(struct scan_find **out_find)
{
    struct scan_find *find = calloc(1, sizeof *find);
    ENSURE(find != NULL, WHY_NO_MEMORY);
    *out_find = find;
    return STATUS_OK;
}

void scan_find_free(struct scan_find **find)
{
    if (*find == NULL)
        return;
    free(*find);
    *find = NULL;
}

static bool is_digit(uint8_t byte)
{
    return byte >= '0' && byte <= '9';
}

/* True, and reported, when the digits are a card's. */
static bool digits_try(struct scan_find *find, const uint8_t *digits, unsigned count,
                       struct scan_hit *hit)
{
    const char *brand = scan_find_brand(digits, count);
    if (brand == NULL || !redact_luhn(digits, count))
        return false;
    hit->brand = brand;
    hit->digits = count;
    memcpy(hit->last4, digits + count - 4, 4);
    hit->last4[4] = '\0';
    if (hit->offset >= find->from && hit->offset < find->until)
        find->on_hit(find->owner, hit);
    return true;
}

/* One number that begins at `text`, where a digit stands with none before it.  Any digits in a row;
 * or groups with one kind of separator, the first of four digits, as cards print them.  Returns how
 * many bytes it has; 0 for none. */
static size_t number_try(struct scan_find *find, const uint8_t *text, size_t size,
                         struct scan_hit *hit)
{
    uint8_t digits[DIGITS_MAX];
    unsigned count = 0;
    unsigned group = 0;
    unsigned groups = 0;
    uint8_t separator = 0;
    for (size_t at = 0; at < size; at++) {
        if (is_digit(text[at])) {
            if (count == DIGITS_MAX)
                return 0;
            digits[count++] = text[at];
            group++;
            bool ends = at + 1 == size || !is_digit(text[at + 1]);
            if (ends && count >= DIGITS_MIN && digits_try(find, digits, count, hit))
                return at + 1;
            continue;
        }
        bool separates = (text[at] == ' ' || text[at] == '-') && at + 1 < size &&
                         is_digit(text[at + 1]) && (separator == 0 || separator == text[at]);
        bool grouped = groups == 0 ? group == GROUP_FIRST : group >= GROUP_MIN;
        if (!separates || !grouped || group > GROUP_MAX)
            return 0;
        separator = text[at];
        groups++;
        group = 0;
    }
    return 0;
}

static void digits_find(struct scan_find *find)
{
    for (size_t at = 0; at < find->size; at++) {
        if (!is_digit(find->bytes[at]) || (at > 0 && is_digit(find->bytes[at - 1])))
            continue;
        struct scan_hit hit = {.offset = at, .form = SCAN_FORM_DIGITS};
        size_t left = find->size - at;
        size_t used =
            number_try(find, find->bytes + at, left < TEXT_BYTES_MAX ? left : TEXT_BYTES_MAX, &hit);
        at += used > 0 ? used - 1 : 0;
    }
}

/* Every other byte zero: little-endian, and big-endian as well, for only the zeros between the
 * characters are looked at. */
static void utf16_find(struct scan_find *find)
{
    const uint8_t *bytes = find->bytes;
    for (size_t at = 0; at + 2 * DIGITS_MIN - 1 <= find->size; at++) {
        if (!is_digit(bytes[at]) || bytes[at + 1] != 0 || !is_digit(bytes[at + 2]))
            continue;
        if (at >= 2 && bytes[at - 1] == 0 && is_digit(bytes[at - 2]))
            continue;
        uint8_t text[TEXT_BYTES_MAX];
        size_t size = 0;
        for (size_t from = at; from < find->size && size < sizeof text; from += 2) {
            text[size++] = bytes[from];
            if (from + 1 < find->size && bytes[from + 1] != 0)
                break;
        }
        struct scan_hit hit = {.offset = at, .form = SCAN_FORM_UTF16};
        (void)number_try(find, text, size, &hit);
    }
}

static bool is_bcd(uint8_t byte)
{
    return (byte >> 4) <= 9 && (byte & 15) <= 9;
}

static bool is_text(uint8_t byte)
{
    return (byte >= 0x20 && byte < 0x7f) || byte == '\n' || byte == '\r' || byte == '\t';
}

/* Letters, digits and spaces are all "BCD": in the midst of text it is text. */
static bool within_text(const struct scan_find *find, size_t start, size_t end)
{
    size_t first = start > 0 ? start - 1 : start;
    size_t last = end < find->size ? end + 1 : end;
    for (size_t at = first; at < last; at++)
        if (!is_text(find->bytes[at]))
            return false;
    return true;
}

static bool looks_random(const struct scan_find *find, size_t at)
{
    bool seen[256] = {false};
    unsigned values = 0;
    size_t first = at > CHANCE_BYTES / 2 ? at - CHANCE_BYTES / 2 : 0;
    size_t last = first + CHANCE_BYTES < find->size ? first + CHANCE_BYTES : find->size;
    for (size_t i = first; i < last; i++) {
        values += !seen[find->bytes[i]];
        seen[find->bytes[i]] = true;
    }
    return values >= CHANCE_VALUES_MIN;
}

/* A whole run of BCD bytes; an odd count of digits is filled with F behind or 0 before. */
static void bcd_try(struct scan_find *find, size_t start, size_t end)
{
    uint8_t digits[2 * BCD_BYTES_MAX + 1];
    unsigned count = 0;
    for (size_t at = start; at < end; at++) {
        digits[count++] = (uint8_t)('0' + (find->bytes[at] >> 4));
        digits[count++] = (uint8_t)('0' + (find->bytes[at] & 15));
    }
    if (end < find->size && (find->bytes[end] & 15) == 15 && (find->bytes[end] >> 4) <= 9)
        digits[count++] = (uint8_t)('0' + (find->bytes[end] >> 4));
    unsigned skip = digits[0] == '0' ? 1 : 0;
    struct scan_hit hit = {
        .offset = start, .form = SCAN_FORM_BCD, .chance = looks_random(find, start)};
    (void)digits_try(find, digits + skip, count - skip, &hit);
}

static void bcd_find(struct scan_find *find)
{
    size_t end = 0;
    for (size_t start = 0; start < find->size; start = end + 1) {
        end = start;
        while (end < find->size && is_bcd(find->bytes[end]))
            end++;
        size_t size = end - start;
        if (size >= BCD_BYTES_MIN && size <= BCD_BYTES_MAX && !within_text(find, start, end))
            bcd_try(find, start, end);
    }
}

/* 0 to 63 in either alphabet; -1 for what is none. */
static int sextet_of(uint8_t byte)
{
    if (byte >= 'A' && byte <= 'Z')
        return byte - 'A';
    if (byte >= 'a' && byte <= 'z')
        return byte - 'a' + 26;
    if (byte >= '0' && byte <= '9')
        return byte - '0' + 52;
    if (byte == '+' || byte == '-')
        return 62;
    return byte == '/' || byte == '_' ? 63 : -1;
}

/* Searches the run at one of four alignments: which one the writer had is not known. */
static void base64_try(struct scan_find *find, size_t shift, size_t limit)
{
    size_t size = 0;
    for (size_t at = shift; at + 1 < find->count; at += 4) {
        const uint8_t *s = find->sextets + at;
        size_t left = find->count - at;
        find->decoded[size++] = (uint8_t)(s[0] << 2 | s[1] >> 4);
        if (left > 2)
            find->decoded[size++] = (uint8_t)(s[1] << 4 | s[2] >> 2);
        if (left > 3)
            find->decoded[size++] = (uint8_t)(s[2] << 6 | s[3]);
    }
    for (size_t at = 0; at < size; at++) {
        if (!is_digit(find->decoded[at]) || (at > 0 && is_digit(find->decoded[at - 1])))
            continue;
        size_t place = shift + at / 3 * 4;
        struct scan_hit hit = {.offset = find->places[place], .form = SCAN_FORM_BASE64};
        size_t left = size - at;
        size_t most = left < TEXT_BYTES_MAX ? left : TEXT_BYTES_MAX;
        if (place >= find->fresh && place < limit)
            at += number_try(find, find->decoded + at, most, &hit);
    }
}

/* What begins at or after `limit` is left to the next piece. */
static void base64_end(struct scan_find *find, size_t limit)
{
    if (find->count >= BASE64_CHARS_MIN)
        for (size_t shift = 0; shift < 4; shift++)
            base64_try(find, shift, limit);
}

static void base64_find(struct scan_find *find)
{
    find->count = 0;
    find->fresh = 0;
    for (size_t at = 0; at < find->size; at++) {
        int sextet = sextet_of(find->bytes[at]);
        if (sextet < 0) {
            bool breaks_line = find->bytes[at] == '\n' || find->bytes[at] == '\r';
            if (breaks_line && find->count > 0)
                continue; /* As in PEM and MIME. */
            base64_end(find, find->count);
            find->count = 0;
            find->fresh = 0;
            continue;
        }
        if (find->count == BASE64_CHARS_MAX) {
            size_t gone = BASE64_CHARS_MAX - BASE64_CHARS_KEPT;
            base64_end(find, gone + BASE64_CHARS_KEPT / 2);
            memmove(find->sextets, find->sextets + gone, BASE64_CHARS_KEPT);
            memmove(find->places, find->places + gone, BASE64_CHARS_KEPT * sizeof find->places[0]);
            find->count = BASE64_CHARS_KEPT;
            find->fresh = BASE64_CHARS_KEPT / 2;
        }
        find->places[find->count] = at;
        find->sextets[find->count++] = (uint8_t)sextet;
    }
    base64_end(find, find->count);
}

void scan_find_window(struct scan_find *find, const struct scan_window *window, scan_hit_fn on_hit,
                      void *owner)
{
    assert(window->from <= window->until);
    assert(window->until <= window->size);
    assert(on_hit != NULL);
    find->bytes = window->bytes;
    find->size = window->size;
    find->from = window->from;
    find->until = window->until;
    find->on_hit = on_hit;
    find->owner = owner;
    digits_find(find);
    utf16_find(find);
    bcd_find(find);
    base64_find(find);
}
