/* SPDX-License-Identifier: Apache-2.0 */
/* What strings mean, and the look-ups that ask for it. */
#include "base/json.h"

#include <assert.h>
#include <string.h>

static bool is_continuation(uint8_t byte)
{
    return (byte & 0xc0) == 0x80;
}

/* The ranges of Unicode's table 3-7, which leave out overlong forms, surrogates and what lies
 * behind U+10FFFF by narrowing the second byte. */
uint32_t json_utf8_size(const uint8_t *bytes, size_t size)
{
    assert(bytes != NULL || size == 0);
    if (size == 0)
        return 0;
    uint8_t first = bytes[0];
    if (first < 0x80)
        return 1;
    if (first < 0xc2 || first > 0xf4)
        return 0;
    uint32_t wanted = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (size < wanted)
        return 0;
    uint8_t second_min = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
    uint8_t second_max = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
    if (bytes[1] < second_min || bytes[1] > second_max)
        return 0;
    for (uint32_t i = 2; i < wanted; i++) {
        if (!is_continuation(bytes[i]))
            return 0;
    }
    return wanted;
}

/* Four hexadecimal digits; a value over 0xFFFF where they are not. */
#define UNIT_BAD UINT32_MAX

static uint32_t unit_read(const uint8_t *bytes, size_t size)
{
    if (size < 4)
        return UNIT_BAD;
    uint32_t unit = 0;
    for (unsigned i = 0; i < 4; i++) {
        uint8_t c = bytes[i];
        unsigned digit;
        if (c >= '0' && c <= '9')
            digit = c - '0';
        else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
            digit = (c | 0x20u) - 'a' + 10;
        else
            return UNIT_BAD;
        unit = unit << 4 | digit;
    }
    return unit;
}

static bool is_high_surrogate(uint32_t unit)
{
    return unit >= 0xd800 && unit <= 0xdbff;
}

static bool is_low_surrogate(uint32_t unit)
{
    return unit >= 0xdc00 && unit <= 0xdfff;
}

uint32_t json_escape_size(const uint8_t *bytes, size_t size)
{
    assert(bytes != NULL || size == 0);
    if (size < 2 || bytes[0] != '\\')
        return 0;
    if (bytes[1] != 'u')
        return bytes[1] != '\0' && strchr("\"\\/bfnrt", bytes[1]) != NULL ? 2 : 0;
    uint32_t unit = unit_read(bytes + 2, size - 2);
    if (unit == UNIT_BAD || is_low_surrogate(unit))
        return 0;
    if (!is_high_surrogate(unit))
        return 6;
    if (size < 12 || bytes[6] != '\\' || bytes[7] != 'u')
        return 0;
    return is_low_surrogate(unit_read(bytes + 8, 4)) ? 12 : 0;
}

/* A string's bytes one by one, escapes resolved.  The string was found valid before. */
struct text {
    const uint8_t *at;
    const uint8_t *end;
    uint8_t held[4]; /* The bytes of a resolved escape, last one first. */
    unsigned held_count;
};

static struct text text_over(const uint8_t *bytes, const struct json_node *node)
{
    return (struct text){.at = bytes + node->start, .end = bytes + node->start + node->size};
}

/* Puts the UTF-8 of `code` into `held`. */
static void text_hold(struct text *text, uint32_t code)
{
    static const uint8_t lead[] = {0x00, 0xc0, 0xe0, 0xf0};
    unsigned more = code < 0x80 ? 0 : code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    for (unsigned i = 0; i < more; i++) {
        text->held[i] = (uint8_t)(0x80 | (code & 0x3f));
        code >>= 6;
    }
    text->held[more] = (uint8_t)(lead[more] | code);
    text->held_count = more + 1;
}

static uint32_t escaped_code(struct text *text)
{
    uint8_t kind = text->at[1];
    text->at += 2;
    switch (kind) {
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    case 'u':
        break;
    default:
        return kind;
    }
    uint32_t unit = unit_read(text->at, 4);
    text->at += 4;
    if (!is_high_surrogate(unit))
        return unit;
    uint32_t low = unit_read(text->at + 2, 4);
    text->at += 6;
    return 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
}

/* The next byte; -1 at the end. */
static int text_next(struct text *text)
{
    if (text->held_count > 0)
        return text->held[--text->held_count];
    if (text->at == text->end)
        return -1;
    if (*text->at != '\\')
        return *text->at++;
    text_hold(text, escaped_code(text));
    return text->held[--text->held_count];
}

/* Any order will do, so the length comes first and settles most. */
int json_compare(const uint8_t *bytes, const struct json_node *a, const struct json_node *b)
{
    if (!a->escaped && !b->escaped) {
        if (a->size != b->size)
            return a->size < b->size ? -1 : 1;
        return a->size == 0 ? 0 : memcmp(bytes + a->start, bytes + b->start, a->size);
    }
    struct text text_a = text_over(bytes, a);
    struct text text_b = text_over(bytes, b);
    int order = 0; /* By the first byte that differs; counts only where the lengths are equal. */
    for (;;) {
        int byte_a = text_next(&text_a);
        int byte_b = text_next(&text_b);
        if (byte_a < 0 || byte_b < 0)
            return byte_a < 0 && byte_b < 0 ? order : byte_a < 0 ? -1 : 1;
        if (order == 0 && byte_a != byte_b)
            order = byte_a < byte_b ? -1 : 1;
    }
}

/* JSON_NONE and what lies behind the last node are nobody's. */
static const struct json_node *node_of(const struct json *json, uint32_t node, enum json_type type)
{
    assert(json != NULL);
    if (node >= json->count || json->nodes[node].type != type)
        return NULL;
    return &json->nodes[node];
}

uint32_t json_first(const struct json *json, uint32_t node)
{
    const struct json_node *found = node_of(json, node, JSON_ARRAY);
    if (found == NULL)
        found = node_of(json, node, JSON_OBJECT);
    return found == NULL || found->count == 0 ? JSON_NONE : node + 1;
}

uint32_t json_member(const struct json *json, uint32_t object, const char *name)
{
    assert(name != NULL);
    const struct json_node *found = node_of(json, object, JSON_OBJECT);
    if (found == NULL)
        return JSON_NONE;
    uint32_t key = object + 1;
    for (uint32_t i = 0; i < found->count; i++) {
        if (json_equals(json, key, name))
            return key + 1;
        key = json->nodes[key + 1].next;
    }
    return JSON_NONE;
}

bool json_equals(const struct json *json, uint32_t node, const char *text)
{
    assert(text != NULL);
    const struct json_node *found = node_of(json, node, JSON_STRING);
    if (found == NULL)
        return false;
    const char *start = (const char *)json->bytes + found->start;
    if (!found->escaped && found->size == 0)
        return *text == '\0';
    if (!found->escaped) /* The first byte settles most of it. */
        return *text == *start && strncmp(text, start, found->size) == 0 &&
               text[found->size] == '\0';
    struct text bytes = text_over(json->bytes, found);
    int byte = text_next(&bytes);
    for (; byte > 0 && (uint8_t)*text == byte; text++)
        byte = text_next(&bytes);
    return byte < 0 && *text == '\0';
}

static STATUS escaped_read(const struct json *json, const struct json_node *node, char *out,
                           size_t out_size, size_t *out_length)
{
    size_t length = 0;
    struct text text = text_over(json->bytes, node);
    for (int byte = text_next(&text); byte >= 0; byte = text_next(&text)) {
        ENSURE(byte != 0, WHY_BAD_INPUT);
        length++;
    }
    ENSURE(length < out_size, WHY_LIMIT);
    text = text_over(json->bytes, node);
    for (size_t i = 0; i < length; i++)
        out[i] = (char)text_next(&text);
    *out_length = length;
    return STATUS_OK;
}

STATUS json_read_text(const struct json *json, uint32_t node, char *out, size_t out_size,
                      size_t *out_length)
{
    assert(out != NULL);
    const struct json_node *found = node_of(json, node, JSON_STRING);
    ENSURE(found != NULL, WHY_BAD_INPUT);
    size_t length = found->size;
    if (found->escaped) {
        TRY(escaped_read(json, found, out, out_size, &length));
    } else {
        ENSURE(length < out_size, WHY_LIMIT);
        memcpy(out, json->bytes + found->start, length);
    }
    out[length] = '\0';
    if (out_length != NULL)
        *out_length = length;
    return STATUS_OK;
}

STATUS json_int(const struct json *json, uint32_t node, int64_t *out_value)
{
    assert(out_value != NULL);
    const struct json_node *found = node_of(json, node, JSON_NUMBER);
    ENSURE(found != NULL, WHY_BAD_INPUT);
    const uint8_t *digits = json->bytes + found->start;
    bool negative = digits[0] == '-';
    int64_t value = 0; /* Counted downwards, where there is one number more. */
    for (uint32_t i = negative ? 1 : 0; i < found->size; i++) {
        ENSURE(digits[i] >= '0' && digits[i] <= '9', WHY_BAD_INPUT);
        ENSURE(!__builtin_mul_overflow(value, 10, &value), WHY_BAD_INPUT);
        ENSURE(!__builtin_sub_overflow(value, digits[i] - '0', &value), WHY_BAD_INPUT);
    }
    ENSURE(negative || value != INT64_MIN, WHY_BAD_INPUT);
    *out_value = negative ? value : -value;
    return STATUS_OK;
}
