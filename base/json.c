/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include <assert.h>

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
        ENSURE(c >= 0x20, WHY_BAD_INPUT);
        const uint8_t *rest = reader->bytes + reader->at;
        uint32_t left = reader->size - reader->at;
        uint32_t size = c == '\\' ? json_escape_size(rest, left) : json_utf8_size(rest, left);
        ENSURE(size > 0, WHY_BAD_INPUT);
        node->escaped = node->escaped || c == '\\';
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

/* Merges two sorted chains.  A key's `count`, of no other use, is the index of the next key; 0 ends
 * a chain, as node 0 is never a key. */
static uint32_t keys_merge(struct reader *reader, uint32_t a, uint32_t b)
{
    struct json_node *nodes = reader->nodes;
    uint32_t first = 0;
    uint32_t *link = &first;
    while (a != 0 && b != 0) {
        uint32_t *from = json_compare(reader->bytes, &nodes[a], &nodes[b]) <= 0 ? &a : &b;
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
        if (next != 0 && json_compare(reader->bytes, &nodes[key], &nodes[next]) == 0 &&
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
