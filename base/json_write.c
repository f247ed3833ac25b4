/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include <assert.h>
#include <string.h>

#include "base/encode.h"

struct json_writer json_writer_over(struct buffer *out)
{
    assert(out != NULL);
    return (struct json_writer){.out = out};
}

/* Before every value and key: the comma that separates it from what precedes it. */
static void item_begin(struct json_writer *writer)
{
    assert(writer != NULL);
    if (writer->after_key) {
        writer->after_key = false;
        return;
    }
    if (writer->more[writer->depth])
        buffer_add_u8(writer->out, ',');
    writer->more[writer->depth] = true;
}

static void container_begin(struct json_writer *writer, char open)
{
    item_begin(writer);
    assert(writer->depth < JSON_DEPTH_MAX);
    writer->depth++;
    writer->more[writer->depth] = false;
    buffer_add_u8(writer->out, (uint8_t)open);
}

static void container_end(struct json_writer *writer, char close)
{
    assert(writer->depth > 0);
    assert(!writer->after_key);
    writer->depth--;
    buffer_add_u8(writer->out, (uint8_t)close);
}

void json_begin_object(struct json_writer *writer)
{
    container_begin(writer, '{');
}

void json_end_object(struct json_writer *writer)
{
    container_end(writer, '}');
}

void json_begin_array(struct json_writer *writer)
{
    container_begin(writer, '[');
}

void json_end_array(struct json_writer *writer)
{
    container_end(writer, ']');
}

static void escape_add(struct buffer *out, uint8_t byte)
{
    static const char letters[] = "btnvfr"; /* U+0008 to U+000D; JSON has no \v. */
    if (byte == '"' || byte == '\\')
        buffer_format(out, "\\%c", byte);
    else if (byte >= 0x08 && byte <= 0x0d && byte != 0x0b)
        buffer_format(out, "\\%c", letters[byte - 0x08]);
    else
        buffer_format(out, "\\u%04x", byte);
}

/* Eight bytes at once: nonzero where one of them is zero. */
#define EACH_BYTE(value) (0x0101010101010101u * (value))
#define ZERO_BYTES(word) (((word)-EACH_BYTE(1)) & ~(word)&EACH_BYTE(0x80))

/* How many of the first bytes are ASCII that stands for itself: mostly all. */
static size_t plain_size(const uint8_t *bytes, size_t size)
{
    size_t at = 0;
    for (uint64_t word; size - at >= sizeof word; at += sizeof word) {
        memcpy(&word, bytes + at, sizeof word);
        uint64_t found = (word | (word - EACH_BYTE(0x20))) & EACH_BYTE(0x80);
        found |= ZERO_BYTES(word ^ EACH_BYTE('"')) | ZERO_BYTES(word ^ EACH_BYTE('\\'));
        if (found != 0)
            break; /* Or a byte behind such a one: what follows tells. */
    }
    while (at < size && bytes[at] >= 0x20 && bytes[at] < 0x80 && bytes[at] != '"' &&
           bytes[at] != '\\')
        at++;
    return at;
}

/* Copies runs of what needs no change at once, and all else one by one. */
static void string_add(struct buffer *out, const uint8_t *bytes, size_t size)
{
    buffer_add_u8(out, '"');
    size_t run = 0;
    size_t at = plain_size(bytes, size);
    while (at < size) {
        uint32_t step = json_utf8_size(bytes + at, size - at);
        bool plain =
            step > 1 || (step == 1 && bytes[at] >= 0x20 && bytes[at] != '"' && bytes[at] != '\\');
        if (plain) {
            at += step;
            continue;
        }
        buffer_add(out, bytes + run, at - run);
        if (step == 0)
            buffer_add_text(out, "\xef\xbf\xbd"); /* U+FFFD. */
        else
            escape_add(out, bytes[at]);
        at++;
        run = at;
    }
    if (at > run)
        buffer_add(out, bytes + run, at - run);
    buffer_add_u8(out, '"');
}

void json_key(struct json_writer *writer, const char *key)
{
    assert(key != NULL);
    assert(!writer->after_key);
    item_begin(writer);
    string_add(writer->out, (const uint8_t *)key, strlen(key));
    buffer_add_u8(writer->out, ':');
    writer->after_key = true;
}

void json_put_bytes(struct json_writer *writer, const void *bytes, size_t size)
{
    assert(bytes != NULL || size == 0);
    item_begin(writer);
    string_add(writer->out, bytes, size);
}

void json_put_text(struct json_writer *writer, const char *text)
{
    if (text == NULL)
        json_put_null(writer);
    else
        json_put_bytes(writer, text, strlen(text));
}

void json_put_int(struct json_writer *writer, int64_t value)
{
    item_begin(writer);
    if (value < 0)
        buffer_add_u8(writer->out, '-');
    buffer_add_decimal(writer->out, value < 0 ? -(uint64_t)value : (uint64_t)value);
}

void json_put_raw(struct json_writer *writer, const void *json, size_t size)
{
    assert(json != NULL);
    assert(size > 0);
    item_begin(writer);
    buffer_add(writer->out, json, size);
}

void json_put_bool(struct json_writer *writer, bool value)
{
    const char *text = value ? "true" : "false";
    json_put_raw(writer, text, strlen(text));
}

void json_put_null(struct json_writer *writer)
{
    json_put_raw(writer, "null", 4);
}

void json_put_member(struct json_writer *writer, const char *key, const char *text)
{
    json_key(writer, key);
    json_put_text(writer, text);
}

void json_put_member_int(struct json_writer *writer, const char *key, int64_t value)
{
    json_key(writer, key);
    json_put_int(writer, value);
}

void json_put_member_u64(struct json_writer *writer, const char *key, uint64_t value)
{
    json_key(writer, key);
    item_begin(writer);
    buffer_add_decimal(writer->out, value);
}

void json_put_member_bool(struct json_writer *writer, const char *key, bool value)
{
    json_key(writer, key);
    json_put_bool(writer, value);
}

void json_put_member_time(struct json_writer *writer, const char *key, int64_t ms)
{
    char text[CLOCK_TEXT_SIZE];

    if (ms != 0)
        clock_text(ms, text);
    json_put_member(writer, key, ms == 0 ? NULL : text);
}
