/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/escape.h"

#include <assert.h>
#include <string.h>

/* Shorter runs are words and identifiers; a card number makes 18 characters and more. */
#define BASE64_RUN_MIN 16u
/* "&#x", zeros before the number included, and the semicolon. */
#define ENTITY_DIGITS_MAX 10u

/* What one escape stands for: `used` input bytes (0: none here), `count` output bytes. */
struct undone {
    size_t used;
    size_t count;
    uint8_t bytes[4];
};

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* `digits` hex digits; false when they are not all there. */
static bool hex_read(const uint8_t *at, size_t left, size_t digits, uint32_t *out)
{
    if (left < digits)
        return false;
    uint32_t value = 0;
    for (size_t i = 0; i < digits; i++) {
        int digit = hex_value(at[i]);
        if (digit < 0)
            return false;
        value = value * 16 + (uint32_t)digit;
    }
    *out = value;
    return true;
}

/* As UTF-8; what is no character becomes '?'. */
static struct undone character(uint32_t code, size_t used)
{
    struct undone u = {.used = used};

    if (code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
        code = '?';
    if (code < 0x80) {
        u.bytes[u.count++] = (uint8_t)code;
    } else if (code < 0x800) {
        u.bytes[u.count++] = (uint8_t)(0xc0 | (code >> 6));
        u.bytes[u.count++] = (uint8_t)(0x80 | (code & 0x3f));
    } else if (code < 0x10000) {
        u.bytes[u.count++] = (uint8_t)(0xe0 | (code >> 12));
        u.bytes[u.count++] = (uint8_t)(0x80 | ((code >> 6) & 0x3f));
        u.bytes[u.count++] = (uint8_t)(0x80 | (code & 0x3f));
    } else {
        u.bytes[u.count++] = (uint8_t)(0xf0 | (code >> 18));
        u.bytes[u.count++] = (uint8_t)(0x80 | ((code >> 12) & 0x3f));
        u.bytes[u.count++] = (uint8_t)(0x80 | ((code >> 6) & 0x3f));
        u.bytes[u.count++] = (uint8_t)(0x80 | (code & 0x3f));
    }
    return u;
}

static struct undone byte(uint32_t value, size_t used)
{
    return (struct undone){.used = used, .count = 1, .bytes = {(uint8_t)value}};
}

static struct undone percent_undo(const uint8_t *at, size_t left)
{
    uint32_t value;

    if (at[0] != '%' || !hex_read(at + 1, left - 1, 2, &value))
        return (struct undone){0};
    return byte(value, 3);
}

static struct undone backslash_undo(const uint8_t *at, size_t left)
{
    static const char plain[] = "\"\\/'bfnrt";
    static const char meant[] = "\"\\/'\b\f\n\r\t";
    uint32_t code;
    uint32_t low;

    if (at[0] != '\\' || left < 2)
        return (struct undone){0};
    if (at[1] == 'x' && hex_read(at + 2, left - 2, 2, &code))
        return byte(code, 4);
    if (at[1] == 'u' && hex_read(at + 2, left - 2, 4, &code)) {
        if (code >= 0xd800 && code <= 0xdbff && left >= 12 && at[6] == '\\' && at[7] == 'u' &&
            hex_read(at + 8, left - 8, 4, &low) && low >= 0xdc00 && low <= 0xdfff)
            return character(0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00), 12);
        return character(code, 6);
    }
    const char *found = at[1] == '\0' ? NULL : strchr(plain, at[1]);
    if (found == NULL)
        return (struct undone){0};
    return byte((uint8_t)meant[found - plain], 2);
}

static struct undone entity_undo(const uint8_t *at, size_t left)
{
    if (at[0] != '&')
        return (struct undone){0};
    if (left >= 5 && memcmp(at, "&amp;", 5) == 0)
        return byte('&', 5);
    if (left >= 6 && memcmp(at, "&nbsp;", 6) == 0)
        return character(0xa0, 6);
    if (left < 3 || at[1] != '#')
        return (struct undone){0};

    bool is_hex = at[2] == 'x' || at[2] == 'X';
    size_t first = is_hex ? 3 : 2;
    size_t used = first;
    uint32_t code = 0;
    while (used < left && used - first < ENTITY_DIGITS_MAX) {
        int digit = hex_value(at[used]);
        if (digit < 0 || (!is_hex && digit > 9))
            break;
        if (code <= 0x10ffff)
            code = code * (is_hex ? 16 : 10) + (uint32_t)digit;
        used++;
    }
    if (used == first)
        return (struct undone){0};
    if (used < left && at[used] == ';')
        used++;
    struct undone u = character(code, used);
    return u.count <= used ? u : byte('?', used); /* Never longer than what was read. */
}

static struct undone wide_undo(const uint8_t *at, size_t left)
{
    if (at[0] == 0)
        return (struct undone){.used = 1};
    /* U+FF01 to U+FF5E are ASCII's 0x21 to 0x7e. */
    if (left >= 3 && at[0] == 0xef && (at[1] == 0xbc || at[1] == 0xbd) && (at[2] & 0xc0) == 0x80) {
        uint32_t code = 0xf000u | ((at[1] & 0x3fu) << 6) | (at[2] & 0x3fu);
        if (code >= 0xff01 && code <= 0xff5e)
            return byte(code - 0xff01 + 0x21, 3);
    }
    if (left >= 2 && (at[0] == 0xc0 || at[0] == 0xc1) && (at[1] & 0xc0) == 0x80)
        return byte(((at[0] & 1u) << 6) | (at[1] & 0x3fu), 2);
    return (struct undone){0};
}

/* Every byte of every answer is looked up, hence the table: a value and one more, 0 for none. */
static int base64_value(uint8_t c)
{
    static const uint8_t values[256] = {
        ['A'] = 1,  ['B'] = 2,  ['C'] = 3,  ['D'] = 4,  ['E'] = 5,  ['F'] = 6,  ['G'] = 7,
        ['H'] = 8,  ['I'] = 9,  ['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14,
        ['O'] = 15, ['P'] = 16, ['Q'] = 17, ['R'] = 18, ['S'] = 19, ['T'] = 20, ['U'] = 21,
        ['V'] = 22, ['W'] = 23, ['X'] = 24, ['Y'] = 25, ['Z'] = 26, ['a'] = 27, ['b'] = 28,
        ['c'] = 29, ['d'] = 30, ['e'] = 31, ['f'] = 32, ['g'] = 33, ['h'] = 34, ['i'] = 35,
        ['j'] = 36, ['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40, ['o'] = 41, ['p'] = 42,
        ['q'] = 43, ['r'] = 44, ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48, ['w'] = 49,
        ['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54, ['2'] = 55, ['3'] = 56,
        ['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62, ['+'] = 63,
        ['-'] = 63, ['/'] = 64, ['_'] = 64,
    };
    return values[c] - 1;
}

/* True for what a run is made of: its characters, and the line ends of one that is wrapped. */
static bool is_in_run(uint8_t c)
{
    return base64_value(c) >= 0 || c == '\r' || c == '\n';
}

/* A run, line ends inside it included; `size` 0 where there is none.  `seen` counts the line ends
 * behind it too, where none begins. */
struct run {
    size_t size;
    size_t seen;
};

static struct run base64_run(const uint8_t *at, size_t left)
{
    struct run run = {0};

    for (; run.seen < left && is_in_run(at[run.seen]); run.seen++)
        if (base64_value(at[run.seen]) >= 0)
            run.size = run.seen + 1;
    return run;
}

/* Decodes a run; 0 when it is too short or what it holds is no text (most identifiers are not).
 * Where `out` is NULL, it is only looked at. */
static size_t base64_undo(const uint8_t *at, size_t run, uint8_t *out,
                          struct escape_span *out_spans, uint32_t base)
{
    size_t count = 0;
    size_t strange = 0;
    uint32_t bits = 0;
    unsigned bit_count = 0;
    uint32_t last = base; /* The character that the pending bits came from. */

    if (run < BASE64_RUN_MIN)
        return 0;
    for (size_t i = 0; i < run; i++) {
        int value = base64_value(at[i]);
        if (value < 0)
            continue;
        uint32_t place = base + (uint32_t)i;
        bits = ((bits << 6) | (uint32_t)value) & 0xffff;
        bit_count += 6;
        if (bit_count >= 8) {
            bit_count -= 8;
            uint8_t c = (uint8_t)(bits >> bit_count);
            if (c < 0x20 && c != '\t' && c != '\r' && c != '\n')
                return 0;
            strange += c >= 0x7f;
            if (out != NULL)
                out[count] = c;
            if (out_spans != NULL)
                out_spans[count] = (struct escape_span){last, place + 1};
            count++;
        }
        last = bit_count == 0 ? place + 1 : place;
    }
    return strange * 4 <= count ? count : 0;
}

/* Most answers hold no such run: none of them needs a copy to find that out, nor more than every
 * sixteenth byte to be looked at where words are short. */
static bool base64_suspected(const uint8_t *bytes, size_t size)
{
    size_t at = 0;

    while (size - at >= BASE64_RUN_MIN) {
        size_t start = at + BASE64_RUN_MIN;
        while (start > at && is_in_run(bytes[start - 1]))
            start--;
        if (start > at) {
            at = start;
            continue;
        }
        struct run run = base64_run(bytes + at, size - at);
        if (base64_undo(bytes + at, run.size, NULL, NULL, 0) > 0)
            return true;
        at += run.seen;
    }
    return false;
}

static size_t base64_undo_all(const uint8_t *bytes, size_t size, uint8_t *out,
                              struct escape_span *out_spans, bool *out_changed)
{
    size_t count = 0;

    for (size_t at = 0; at < size;) {
        struct run run = base64_run(bytes + at, size - at);
        struct escape_span *spans = out_spans == NULL ? NULL : out_spans + count;
        size_t made = base64_undo(bytes + at, run.size, out + count, spans, (uint32_t)at);
        if (made > 0) {
            *out_changed = true;
            count += made;
            at += run.size;
            continue;
        }
        for (size_t i = 0; i < (run.seen > 0 ? run.seen : 1); i++, at++, count++) {
            out[count] = bytes[at];
            if (out_spans != NULL)
                out_spans[count] = (struct escape_span){(uint32_t)at, (uint32_t)at + 1};
        }
    }
    return count;
}

static struct undone one_undo(enum escape_kind kind, const uint8_t *at, size_t left)
{
    switch (kind) {
    case ESCAPE_PERCENT:
        return percent_undo(at, left);
    case ESCAPE_BACKSLASH:
        return backslash_undo(at, left);
    case ESCAPE_ENTITY:
        return entity_undo(at, left);
    case ESCAPE_WIDE:
        return wide_undo(at, left);
    case ESCAPE_BASE64:
    case ESCAPE_KINDS:
        break;
    }
    return (struct undone){0};
}

bool escape_suspected(enum escape_kind kind, const uint8_t *bytes, size_t size)
{
    if (size == 0)
        return false;
    switch (kind) {
    case ESCAPE_PERCENT:
        return memchr(bytes, '%', size) != NULL;
    case ESCAPE_BACKSLASH:
        return memchr(bytes, '\\', size) != NULL;
    case ESCAPE_ENTITY:
        return memchr(bytes, '&', size) != NULL;
    case ESCAPE_WIDE:
        return memchr(bytes, 0, size) != NULL || memchr(bytes, 0xef, size) != NULL ||
               memchr(bytes, 0xc0, size) != NULL || memchr(bytes, 0xc1, size) != NULL;
    case ESCAPE_BASE64:
        return base64_suspected(bytes, size);
    case ESCAPE_KINDS:
        break;
    }
    return false;
}

size_t escape_undo(enum escape_kind kind, const uint8_t *bytes, size_t size, uint8_t *out,
                   struct escape_span *out_spans, bool *out_changed)
{
    assert(size <= UINT32_MAX);
    assert(kind < ESCAPE_KINDS);

    *out_changed = false;
    if (kind == ESCAPE_BASE64)
        return base64_undo_all(bytes, size, out, out_spans, out_changed);

    size_t count = 0;
    for (size_t at = 0; at < size;) {
        struct undone u = one_undo(kind, bytes + at, size - at);
        if (u.used == 0)
            u = byte(bytes[at], 1);
        else
            *out_changed = true;
        for (size_t i = 0; i < u.count; i++, count++) {
            out[count] = u.bytes[i];
            if (out_spans != NULL)
                out_spans[count] = (struct escape_span){(uint32_t)at, (uint32_t)(at + u.used)};
        }
        at += u.used;
    }
    assert(count <= size);
    return count;
}
