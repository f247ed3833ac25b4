/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buffer.h"

#include <assert.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROOM_BYTES_MIN 512u

/* What holds at every moment: `capacity` bytes and one more are allocated (or none at all), and
 * everything behind `size` is zero.  So growing needs no clearing, and a NUL always follows. */

static void buffer_fail(struct buffer *buffer, enum why why)
{
    if (buffer->why == WHY_NONE)
        buffer->why = why;
}

/* Twice the room, so that adding byte by byte stays linear, but never past the maximum. */
static size_t capacity_for(const struct buffer *buffer, size_t needed)
{
    size_t capacity = buffer->capacity < ROOM_BYTES_MIN ? ROOM_BYTES_MIN : buffer->capacity;
    while (capacity < needed && capacity <= buffer->bytes_max / 2)
        capacity *= 2;
    if (capacity < needed || capacity > buffer->bytes_max)
        capacity = buffer->bytes_max;
    return capacity;
}

/* A realloc() that would leave the old bytes behind is of no use here. */
static bool buffer_grow(struct buffer *buffer, size_t needed)
{
    size_t capacity = capacity_for(buffer, needed);
    uint8_t *bytes = calloc(1, capacity + 1);
    if (bytes == NULL) {
        buffer_fail(buffer, WHY_NO_MEMORY);
        return false;
    }
    if (buffer->bytes != NULL) {
        memcpy(bytes, buffer->bytes, buffer->size);
        sodium_memzero(buffer->bytes, buffer->size);
        free(buffer->bytes);
    }
    buffer->bytes = bytes;
    buffer->capacity = capacity;
    return true;
}

uint8_t *buffer_extend_more(struct buffer *buffer, size_t size)
{
    assert(buffer != NULL);
    assert(buffer->bytes_max < SIZE_MAX);
    if (buffer->why != WHY_NONE)
        return NULL;
    if (buffer->size > buffer->bytes_max || size > buffer->bytes_max - buffer->size) {
        buffer_fail(buffer, WHY_LIMIT);
        return NULL;
    }
    size_t needed = buffer->size + size;
    bool has_room = buffer->bytes != NULL && needed <= buffer->capacity;
    if (!has_room && !buffer_grow(buffer, needed))
        return NULL;
    uint8_t *room = buffer->bytes + buffer->size;
    buffer->size = needed;
    return room;
}

void buffer_add_text(struct buffer *buffer, const char *text)
{
    assert(text != NULL);
    buffer_add(buffer, text, strlen(text));
}

void buffer_add_decimal(struct buffer *buffer, uint64_t value)
{
    char digits[20]; /* Of UINT64_MAX. */
    size_t at = sizeof digits;

    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    buffer_add(buffer, digits + at, sizeof digits - at);
}

void buffer_add_counted(struct buffer *buffer, const char *text)
{
    assert(text != NULL);
    size_t size = strlen(text);
    if (size > UINT16_MAX) {
        buffer_fail(buffer, WHY_LIMIT);
        return;
    }
    buffer_add_u16(buffer, (uint16_t)size);
    buffer_add(buffer, text, size);
}

void buffer_format(struct buffer *buffer, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    assert(size >= 0);
    uint8_t *room = buffer_extend(buffer, (size_t)size);
    if (room == NULL)
        return;
    va_start(args, format);
    int written = vsnprintf((char *)room, (size_t)size + 1, format, args);
    va_end(args);
    assert(written == size);
}

const char *buffer_text(struct buffer *buffer)
{
    assert(buffer != NULL);
    if (buffer->why != WHY_NONE || buffer->bytes == NULL)
        return "";
    return (const char *)buffer->bytes;
}

void buffer_clear(struct buffer *buffer)
{
    assert(buffer != NULL);
    if (buffer->bytes != NULL)
        sodium_memzero(buffer->bytes, buffer->size);
    buffer->size = 0;
    buffer->why = WHY_NONE;
}

void buffer_consume(struct buffer *buffer, size_t size)
{
    assert(buffer != NULL);
    assert(size <= buffer->size);
    if (size == 0)
        return;
    size_t left = buffer->size - size;
    memmove(buffer->bytes, buffer->bytes + size, left);
    sodium_memzero(buffer->bytes + left, size);
    buffer->size = left;
}

STATUS buffer_status(const struct buffer *buffer)
{
    assert(buffer != NULL);
    ENSURE(buffer->why == WHY_NONE, buffer->why);
    return STATUS_OK;
}

void buffer_free(struct buffer *buffer)
{
    assert(buffer != NULL);
    if (buffer->bytes != NULL) {
        sodium_memzero(buffer->bytes, buffer->size);
        free(buffer->bytes);
    }
    *buffer = BUFFER(buffer->bytes_max);
}

struct cursor cursor_over(const void *bytes, size_t size)
{
    assert(bytes != NULL || size == 0);
    /* Never NULL, so that the sums below are sums on a real object. */
    return (struct cursor){.bytes = bytes != NULL ? bytes : "", .size = size};
}

const uint8_t *cursor_bytes(struct cursor *cursor, size_t size)
{
    assert(cursor != NULL);
    assert(cursor->at <= cursor->size);
    if (cursor->bad || size > cursor->size - cursor->at) {
        cursor->bad = true;
        return NULL;
    }
    const uint8_t *bytes = cursor->bytes + cursor->at;
    cursor->at += size;
    return bytes;
}

static uint64_t cursor_number(struct cursor *cursor, unsigned size)
{
    const uint8_t *bytes = cursor_bytes(cursor, size);
    uint64_t value = 0;
    for (unsigned i = 0; bytes != NULL && i < size; i++)
        value = value << 8 | bytes[i];
    return value;
}

uint8_t cursor_u8(struct cursor *cursor)
{
    return (uint8_t)cursor_number(cursor, 1);
}

bool cursor_flag(struct cursor *cursor)
{
    uint8_t value = cursor_u8(cursor);

    if (value > 1)
        cursor->bad = true;
    return value == 1;
}

uint16_t cursor_u16(struct cursor *cursor)
{
    return (uint16_t)cursor_number(cursor, 2);
}

uint32_t cursor_u32(struct cursor *cursor)
{
    return (uint32_t)cursor_number(cursor, 4);
}

uint64_t cursor_u64(struct cursor *cursor)
{
    return cursor_number(cursor, 8);
}

void cursor_text(struct cursor *cursor, char *out, size_t out_size)
{
    assert(out != NULL);
    assert(out_size > 0);
    out[0] = '\0';
    size_t size = cursor_u16(cursor);
    const uint8_t *bytes = cursor_bytes(cursor, size);
    if (bytes == NULL)
        return;
    if (size >= out_size || memchr(bytes, '\0', size) != NULL) {
        cursor->bad = true;
        return;
    }
    memcpy(out, bytes, size);
    out[size] = '\0';
}

bool cursor_done(const struct cursor *cursor)
{
    assert(cursor != NULL);
    return !cursor->bad && cursor->at == cursor->size;
}
