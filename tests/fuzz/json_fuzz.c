/* SPDX-License-Identifier: Apache-2.0 */
/* base/json.h against Jansson: both accept or both refuse, and what they accept is the same tree.
 * Where they are meant to differ:
 *
 *   ours refuses     depth over JSON_DEPTH_MAX, more nodes than there is room for: limit_check()
 *                    NUL behind a value, which Jansson takes for the end
 *                    copying a string with U+0000 in it: compare_string()
 *   theirs refuses   numbers that no C type holds, U+0000 in keys: is_theirs_alone() */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/own.h"
#include "tests/base/jansson_apart.h"

#define NODES_MAX 4096u
#define TEXT_MAX  65536u

static struct json_node nodes[NODES_MAX];
static struct json json;
static char text[TEXT_MAX];

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* U+0000 cannot be copied, only be there: theirs must have it too. */
static void compare_string(uint32_t at, const char *theirs, size_t theirs_size)
{
    size_t length = 0;
    struct status status = json_read_text(&json, at, text, sizeof text, &length);
    if (failed(status)) {
        assert(status.why == WHY_BAD_INPUT);
        assert(memchr(theirs, '\0', theirs_size) != NULL);
        return;
    }
    assert(length == theirs_size);
    assert(memcmp(text, theirs, length) == 0);
    assert(text[length] == '\0');
    assert(json_equals(&json, at, text));
}

static void compare_number(uint32_t at, const json_t *theirs)
{
    int64_t value = 0;
    bool is_int = !failed(json_int(&json, at, &value));
    assert(is_int == (theirs->type == JSON_INTEGER));
    assert(!is_int || value == json_integer_value(theirs));
}

static void compare_scalar(uint32_t at, json_t *theirs)
{
    switch (nodes[at].type) {
    case JSON_NULL:
        assert(theirs->type == JANSSON_NULL);
        break;
    case JSON_FALSE:
        assert(theirs->type == JANSSON_FALSE);
        break;
    case JSON_TRUE:
        assert(theirs->type == JANSSON_TRUE);
        break;
    case JSON_NUMBER:
        compare_number(at, theirs);
        break;
    case JSON_STRING:
        assert(theirs->type == JANSSON_STRING);
        compare_string(at, json_string_value(theirs), json_string_length(theirs));
        break;
    case JSON_ARRAY:
    case JSON_OBJECT:
        abort();
    }
}

/* Walks both trees with a stack of what is still to be compared: nodes in order, so that each of
 * ours meets theirs exactly once. */
struct pair {
    uint32_t at;
    json_t *theirs;
};

static unsigned push_array(struct pair *stack, unsigned depth, struct pair pair)
{
    assert(pair.theirs->type == JANSSON_ARRAY);
    assert(json_array_size(pair.theirs) == nodes[pair.at].count);
    uint32_t at = json_first(&json, pair.at);
    for (uint32_t i = 0; i < nodes[pair.at].count; i++) {
        assert(depth < NODES_MAX);
        stack[depth++] = (struct pair){.at = at, .theirs = json_array_get(pair.theirs, i)};
        at = nodes[at].next;
    }
    return depth;
}

static unsigned push_object(struct pair *stack, unsigned depth, struct pair pair)
{
    assert(pair.theirs->type == JANSSON_OBJECT);
    assert(json_object_size(pair.theirs) == nodes[pair.at].count);
    uint32_t key = json_first(&json, pair.at);
    for (uint32_t i = 0; i < nodes[pair.at].count; i++) {
        assert(depth < NODES_MAX);
        assert(!failed(json_read_text(&json, key, text, sizeof text, NULL)));
        assert(json_member(&json, pair.at, text) == key + 1);
        json_t *theirs = json_object_get(pair.theirs, text);
        assert(theirs != NULL);
        stack[depth++] = (struct pair){.at = key + 1, .theirs = theirs};
        key = nodes[key + 1].next;
    }
    return depth;
}

static void compare(json_t *theirs)
{
    static struct pair stack[NODES_MAX];
    unsigned depth = 0;
    stack[depth++] = (struct pair){.at = 0, .theirs = theirs};
    while (depth > 0) {
        struct pair pair = stack[--depth];
        assert(pair.at < json.count);
        if (nodes[pair.at].type == JSON_ARRAY)
            depth = push_array(stack, depth, pair);
        else if (nodes[pair.at].type == JSON_OBJECT)
            depth = push_object(stack, depth, pair);
        else
            compare_scalar(pair.at, pair.theirs);
    }
}

/* What Jansson refuses for reasons of its own: numbers that C types cannot hold, U+0000 in keys. */
static bool is_theirs_alone(const json_error_t *error)
{
    enum json_error_code code = json_error_code(error);
    return code == json_error_numeric_overflow || code == json_error_null_byte_in_key;
}

/* A limit is one of two: brackets too deep, or more bytes than there are nodes. */
static void limit_check(const uint8_t *bytes, size_t size)
{
    size_t depth = 0;
    size_t deepest = 0;
    bool quoted = false;

    for (size_t i = 0; i < size; i++) {
        if (quoted && bytes[i] == '\\')
            i++;
        else if (bytes[i] == '"')
            quoted = !quoted;
        else if (!quoted && (bytes[i] == '[' || bytes[i] == '{'))
            deepest = ++depth > deepest ? depth : deepest;
        else if (!quoted && (bytes[i] == ']' || bytes[i] == '}') && depth > 0)
            depth--;
    }
    assert(deepest > JSON_DEPTH_MAX || size > NODES_MAX);
}

/* Strings are in one order, and equal where their texts are. */
static void compare_order(void)
{
    static char other[TEXT_MAX];
    const struct json_node *last = NULL;
    uint32_t last_at = 0;

    for (uint32_t i = 0; i < json.count; i++) {
        if (nodes[i].type != JSON_STRING)
            continue;
        assert(json_compare(json.bytes, &nodes[i], &nodes[i]) == 0);
        if (last != NULL && !failed(json_read_text(&json, i, text, sizeof text, NULL)) &&
            !failed(json_read_text(&json, last_at, other, sizeof other, NULL))) {
            int order = json_compare(json.bytes, last, &nodes[i]);
            int back = json_compare(json.bytes, &nodes[i], last);
            assert((order == 0) == (strcmp(other, text) == 0));
            assert((order < 0) == (back > 0) && (order == 0) == (back == 0));
        }
        last = &nodes[i];
        last_at = i;
    }
}

/* Any bytes at all can be written as a string, and Jansson reads it. */
static void write_any(const uint8_t *bytes, size_t size)
{
    OWNED(buffer_free) struct buffer out = BUFFER(8 * TEXT_MAX);
    struct json_writer writer = json_writer_over(&out);
    json_error_t error;

    json_put_bytes(&writer, bytes, size);
    assert(!failed(buffer_status(&out)));
    json_t *theirs =
        json_loadb((const char *)out.bytes, out.size, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    assert(theirs != NULL && theirs->type == JANSSON_STRING);
    bool whole = true; /* Or else there are U+FFFD in it. */
    for (size_t i = 0; i < size && whole;) {
        uint32_t length = json_utf8_size(bytes + i, size - i);
        whole = length > 0;
        i += length;
    }
    assert(!whole || (json_string_length(theirs) == size &&
                      (size == 0 || memcmp(json_string_value(theirs), bytes, size) == 0)));
    json_decref(theirs);
}

/* What was accepted can be written, and reads back the same. */
static void write_back(void)
{
    for (uint32_t i = 0; i < json.count; i++) {
        if (failed(json_read_text(&json, i, text, sizeof text, NULL)))
            continue;
        OWNED(buffer_free) struct buffer out = BUFFER(8 * TEXT_MAX);
        struct json_writer writer = json_writer_over(&out);
        json_put_text(&writer, text);
        assert(!failed(buffer_status(&out)));
        struct json_node node;
        struct json back;
        size_t at;
        assert(!failed(json_read(out.bytes, out.size, &node, 1, &back, &at)));
        assert(json_equals(&back, 0, text));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    if (size >= TEXT_MAX)
        return 0;
    size_t at = 0;
    struct status status = json_read(bytes, size, nodes, NODES_MAX, &json, &at);
    assert(at <= size);
    write_any(bytes, size);
    if (status.why == WHY_LIMIT) {
        limit_check(bytes, size);
        return 0;
    }
    /* Jansson takes a NUL behind a value for the end; JSON has no place for one. */
    if (size > 0 && memchr(bytes, '\0', size) != NULL) {
        assert(failed(status));
        return 0;
    }
    json_error_t error;
    size_t flags = JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL;
    json_t *theirs = json_loadb((const char *)bytes, size, flags, &error);
    if (theirs == NULL) {
        assert(failed(status) || is_theirs_alone(&error));
    } else {
        assert(!failed(status));
        compare(theirs);
        compare_order();
        write_back();
    }
    json_decref(theirs);
    return 0;
}
