/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include <assert.h>
#include <string.h>

/* What may stand at the place where the reader is. */
enum expect {
    EXPECT_VALUE,
    EXPECT_VALUE_OR_END, /* Behind '['. */
    EXPECT_KEY,
    EXPECT_KEY_OR_END, /* Behind '{'. */
    EXPECT_COMMA_OR_END,
    EXPECT_NOTHING,
};

struct reader {
    const uint8_t *bytes;
    uint32_t size;
    uint32_t at;
    uint32_t node_max;
    uint32_t node_count;
    unsigned depth;
    struct json_node *nodes;
    uint32_t open[JSON_DEPTH_MAX]; /* The containers around `at`, outermost first. */
    enum expect expect;
};

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

/* Steps over the escape that begins at the backslash, and stays there when it is none. */
static STATUS escape_skip(struct reader *reader)
{
    const uint8_t *bytes = reader->bytes + reader->at;
    uint32_t left = reader->size - reader->at;
    ENSURE(left >= 2, WHY_BAD_INPUT);
    if (bytes[1] != 'u') {
        ENSURE(bytes[1] != '\0' && strchr("\"\\/bfnrt", bytes[1]) != NULL, WHY_BAD_INPUT);
        reader->at += 2;
        return STATUS_OK;
    }
    uint32_t unit = unit_read(bytes + 2, left - 2);
    ENSURE(unit != UNIT_BAD, WHY_BAD_INPUT);
    ENSURE(!is_low_surrogate(unit), WHY_BAD_INPUT);
    if (is_high_surrogate(unit)) {
        ENSURE(left >= 12, WHY_BAD_INPUT);
        ENSURE(bytes[6] == '\\' && bytes[7] == 'u', WHY_BAD_INPUT);
        ENSURE(is_low_surrogate(unit_read(bytes + 8, 4)), WHY_BAD_INPUT);
        reader->at += 6;
    }
    reader->at += 6;
    return STATUS_OK;
}

static STATUS node_add(struct reader *reader, enum json_type type, struct json_node **out_node)
{
    ENSURE(reader->node_count < reader->node_max, WHY_LIMIT);
    struct json_node *node = &reader->nodes[reader->node_count++];
    *node = (struct json_node){.type = type, .start = reader->at, .next = reader->node_count};
    *out_node = node;
    return STATUS_OK;
}

static STATUS string_read(struct reader *reader)
{
    struct json_node *node = NULL;
    TRY(node_add(reader, JSON_STRING, &node));
    reader->at++;
    node->start = reader->at;
    for (;;) {
        ENSURE(reader->at < reader->size, WHY_BAD_INPUT);
        uint8_t c = reader->bytes[reader->at];
        if (c == '"')
            break;
        if (c == '\\') {
            node->escaped = true;
            TRY(escape_skip(reader));
            continue;
        }
        ENSURE(c >= 0x20, WHY_BAD_INPUT);
        uint32_t size = json_utf8_size(reader->bytes + reader->at, reader->size - reader->at);
        ENSURE(size > 0, WHY_BAD_INPUT);
        reader->at += size;
    }
    node->size = reader->at - node->start;
    reader->at++;
    return STATUS_OK;
}

/* The byte where the reader is; -1 at the end. */
static int peek(const struct reader *reader)
{
    return reader->at < reader->size ? reader->bytes[reader->at] : -1;
}

static bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}

static STATUS digits_skip(struct reader *reader)
{
    ENSURE(is_digit(peek(reader)), WHY_BAD_INPUT);
    while (is_digit(peek(reader)))
        reader->at++;
    return STATUS_OK;
}

/* RFC 8259 section 6: [ minus ] int [ frac ] [ exp ]. */
static STATUS number_read(struct reader *reader)
{
    struct json_node *node = NULL;
    TRY(node_add(reader, JSON_NUMBER, &node));
    if (peek(reader) == '-')
        reader->at++;
    if (peek(reader) == '0')
        reader->at++;
    else
        TRY(digits_skip(reader));
    if (peek(reader) == '.') {
        reader->at++;
        TRY(digits_skip(reader));
    }
    if (peek(reader) == 'e' || peek(reader) == 'E') {
        reader->at++;
        if (peek(reader) == '+' || peek(reader) == '-')
            reader->at++;
        TRY(digits_skip(reader));
    }
    node->size = reader->at - node->start;
    return STATUS_OK;
}

static STATUS word_read(struct reader *reader, enum json_type type, const char *word)
{
    struct json_node *node = NULL;
    TRY(node_add(reader, type, &node));
    for (const char *at = word; *at != '\0'; at++) {
        ENSURE(peek(reader) == *at, WHY_BAD_INPUT);
        reader->at++;
    }
    node->size = reader->at - node->start;
    return STATUS_OK;
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

/* An order of keys by what they mean: any will do, so the length comes first and settles most. */
static int key_compare(const uint8_t *bytes, const struct json_node *a, const struct json_node *b)
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

/* Merges two sorted chains.  A key's `count`, of no other use, is the index of the next key; 0 ends
 * a chain, as node 0 is never a key. */
static uint32_t keys_merge(struct reader *reader, uint32_t a, uint32_t b)
{
    struct json_node *nodes = reader->nodes;
    uint32_t first = 0;
    uint32_t *link = &first;
    while (a != 0 && b != 0) {
        uint32_t *from = key_compare(reader->bytes, &nodes[a], &nodes[b]) <= 0 ? &a : &b;
        *link = *from;
        link = &nodes[*link].count;
        *from = *link;
    }
    *link = a != 0 ? a : b;
    return first;
}

/* Sorts an object's keys, since comparing each with each would let one body of a few megabytes hold
 * a processor for minutes.  Merge sort, bottom up: chain i has 2^i keys or none. */
static uint32_t keys_sort(struct reader *reader, uint32_t object)
{
    uint32_t chains[32] = {0};
    uint32_t key = object + 1;
    for (uint32_t i = 0; i < reader->nodes[object].count; i++) {
        uint32_t next = reader->nodes[key + 1].next;
        uint32_t chain = key;
        unsigned level = 0;
        for (; chains[level] != 0; level++) {
            chain = keys_merge(reader, chains[level], chain);
            chains[level] = 0;
        }
        chains[level] = chain;
        key = next;
    }
    uint32_t all = 0;
    for (unsigned level = 0; level < 32; level++)
        all = keys_merge(reader, chains[level], all);
    return all;
}

/* Equal keys lie side by side once sorted, and in the order in which they came. */
static STATUS keys_check(struct reader *reader, uint32_t object)
{
    struct json_node *nodes = reader->nodes;
    uint32_t wrong_at = UINT32_MAX;
    uint32_t key = keys_sort(reader, object);
    while (key != 0) {
        uint32_t next = nodes[key].count;
        nodes[key].count = 0;
        if (next != 0 && key_compare(reader->bytes, &nodes[key], &nodes[next]) == 0 &&
            nodes[next].start - 1 < wrong_at)
            wrong_at = nodes[next].start - 1;
        key = next;
    }
    if (wrong_at != UINT32_MAX) {
        reader->at = wrong_at;
        return FAIL(WHY_BAD_INPUT);
    }
    return STATUS_OK;
}

static STATUS container_open(struct reader *reader, enum json_type type)
{
    ENSURE(reader->depth < JSON_DEPTH_MAX, WHY_LIMIT);
    struct json_node *node = NULL;
    TRY(node_add(reader, type, &node));
    reader->open[reader->depth++] = reader->node_count - 1;
    reader->expect = type == JSON_OBJECT ? EXPECT_KEY_OR_END : EXPECT_VALUE_OR_END;
    reader->at++;
    return STATUS_OK;
}

static void value_end(struct reader *reader)
{
    reader->expect = EXPECT_NOTHING;
    if (reader->depth > 0) {
        reader->nodes[reader->open[reader->depth - 1]].count++;
        reader->expect = EXPECT_COMMA_OR_END;
    }
}

static STATUS container_close(struct reader *reader)
{
    uint32_t index = reader->open[reader->depth - 1];
    struct json_node *node = &reader->nodes[index];
    if (node->type == JSON_OBJECT && node->count > 1)
        TRY(keys_check(reader, index));
    reader->at++;
    node->size = reader->at - node->start;
    node->next = reader->node_count;
    reader->depth--;
    value_end(reader);
    return STATUS_OK;
}

static STATUS value_read(struct reader *reader)
{
    int c = peek(reader);
    if (c == '{')
        return container_open(reader, JSON_OBJECT);
    if (c == '[')
        return container_open(reader, JSON_ARRAY);
    if (c == '"')
        TRY(string_read(reader));
    else if (c == '-' || is_digit(c))
        TRY(number_read(reader));
    else if (c == 't')
        TRY(word_read(reader, JSON_TRUE, "true"));
    else if (c == 'f')
        TRY(word_read(reader, JSON_FALSE, "false"));
    else if (c == 'n')
        TRY(word_read(reader, JSON_NULL, "null"));
    else
        return FAIL(WHY_BAD_INPUT);
    value_end(reader);
    return STATUS_OK;
}

static void space_skip(struct reader *reader)
{
    for (int c = peek(reader); c == ' ' || c == '\t' || c == '\n' || c == '\r'; c = peek(reader))
        reader->at++;
}

static STATUS key_read(struct reader *reader)
{
    ENSURE(peek(reader) == '"', WHY_BAD_INPUT);
    TRY(string_read(reader));
    space_skip(reader);
    ENSURE(peek(reader) == ':', WHY_BAD_INPUT);
    reader->at++;
    reader->expect = EXPECT_VALUE;
    return STATUS_OK;
}

static bool in_object(const struct reader *reader)
{
    return reader->depth > 0 && reader->nodes[reader->open[reader->depth - 1]].type == JSON_OBJECT;
}

static STATUS reader_step(struct reader *reader)
{
    int end = in_object(reader) ? '}' : ']';
    switch (reader->expect) {
    case EXPECT_KEY_OR_END:
        if (peek(reader) == end)
            return container_close(reader);
        return key_read(reader);
    case EXPECT_KEY:
        return key_read(reader);
    case EXPECT_VALUE_OR_END:
        if (peek(reader) == end)
            return container_close(reader);
        return value_read(reader);
    case EXPECT_VALUE:
        return value_read(reader);
    case EXPECT_COMMA_OR_END:
        if (peek(reader) == end)
            return container_close(reader);
        ENSURE(peek(reader) == ',', WHY_BAD_INPUT);
        reader->at++;
        reader->expect = in_object(reader) ? EXPECT_KEY : EXPECT_VALUE;
        return STATUS_OK;
    case EXPECT_NOTHING:
        break;
    }
    return FAIL(WHY_BAD_INPUT);
}

STATUS json_read(const uint8_t *bytes, size_t size, struct json_node *nodes, uint32_t node_max,
                 struct json *out_json, size_t *out_at)
{
    assert(bytes != NULL || size == 0);
    assert(nodes != NULL || node_max == 0);
    assert(out_json != NULL);
    assert(out_at != NULL);
    *out_at = 0;
    ENSURE(size < UINT32_MAX, WHY_LIMIT);
    struct reader reader = {
        .bytes = bytes, .size = (uint32_t)size, .nodes = nodes, .node_max = node_max};
    struct status status = STATUS_OK;
    space_skip(&reader);
    /* Each step reads a byte at least, so there are no more steps than bytes. */
    while (!failed(status) && (reader.expect != EXPECT_NOTHING || reader.at < reader.size)) {
        status = reader_step(&reader);
        if (!failed(status))
            space_skip(&reader);
    }
    *out_at = reader.at;
    TRY(status);
    *out_json =
        (struct json){.bytes = bytes, .size = size, .nodes = nodes, .count = reader.node_count};
    return STATUS_OK;
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
    if (!found->escaped)
        return strlen(text) == found->size &&
               memcmp(json->bytes + found->start, text, found->size) == 0;
    struct text bytes = text_over(json->bytes, found);
    int byte = text_next(&bytes);
    for (; byte > 0 && (uint8_t)*text == byte; text++)
        byte = text_next(&bytes);
    return byte < 0 && *text == '\0';
}

STATUS json_string(const struct json *json, uint32_t node, char *out, size_t out_size,
                   size_t *out_length)
{
    assert(out != NULL);
    const struct json_node *found = node_of(json, node, JSON_STRING);
    ENSURE(found != NULL, WHY_BAD_INPUT);
    size_t length = 0;
    struct text text = text_over(json->bytes, found);
    for (int byte = text_next(&text); byte >= 0; byte = text_next(&text)) {
        ENSURE(byte != 0, WHY_BAD_INPUT);
        length++;
    }
    ENSURE(length < out_size, WHY_LIMIT);
    text = text_over(json->bytes, found);
    for (size_t i = 0; i < length; i++)
        out[i] = (char)text_next(&text);
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
        ENSURE(is_digit(digits[i]), WHY_BAD_INPUT);
        ENSURE(!__builtin_mul_overflow(value, 10, &value), WHY_BAD_INPUT);
        ENSURE(!__builtin_sub_overflow(value, digits[i] - '0', &value), WHY_BAD_INPUT);
    }
    ENSURE(negative || value != INT64_MIN, WHY_BAD_INPUT);
    *out_value = negative ? value : -value;
    return STATUS_OK;
}
