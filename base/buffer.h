/* SPDX-License-Identifier: Apache-2.0 */
/* base/buffer.h -- bytes that grow up to a named maximum and are wiped when they go.
 *
 * In      bytes and text, piece by piece.
 * Out     one run of bytes.  A failure sticks: add without checking, ask buffer_status() once.
 * Never   leaves what it held on the heap: growing and freeing wipe.
 * Threads one at a time.
 */
#ifndef BASE_BUFFER_H
#define BASE_BUFFER_H

#include <endian.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/status.h"

/* Plain data, so that it can stand on the stack: `struct buffer b OWNED(buffer_free) =
 * BUFFER(max);` */
struct buffer {
    uint8_t *bytes;
    size_t size;
    size_t capacity;
    size_t bytes_max;
    enum why why; /* The first failure; WHY_NONE while all is well. */
};

#define BUFFER(max) ((struct buffer){.bytes_max = (max)})
/* Over a zeroed array of the caller's, for small things that are no secret: nothing to free. */
#define BUFFER_OVER(array)                                                                         \
    ((struct buffer){                                                                              \
        .bytes = (array), .capacity = sizeof(array) - 1, .bytes_max = sizeof(array) - 1})

/* buffer_extend() where there is no room yet. */
uint8_t *buffer_extend_more(struct buffer *buffer, size_t size);

/* Room for `size` more bytes, zeroed and already counted in; NULL after a failure.  In the header,
 * with the small additions: nearly every byte of every answer, row and entry comes by here. */
static inline uint8_t *buffer_extend(struct buffer *buffer, size_t size)
{
    /* Nothing is allocated where the capacity is 0, and it is never beyond bytes_max. */
    if (buffer->why != WHY_NONE || buffer->size >= buffer->capacity ||
        size > buffer->capacity - buffer->size)
        return buffer_extend_more(buffer, size);
    uint8_t *room = buffer->bytes + buffer->size;
    buffer->size += size;
    return room;
}

static inline void buffer_add(struct buffer *buffer, const void *bytes, size_t size)
{
    uint8_t *room = buffer_extend(buffer, size);
    if (room != NULL && size > 0)
        memcpy(room, bytes, size);
}

static inline void buffer_add_u8(struct buffer *buffer, uint8_t value)
{
    uint8_t *room = buffer_extend(buffer, 1);
    if (room != NULL)
        *room = value;
}

/* Big-endian, as everything that we store or send. */
static inline void buffer_add_u16(struct buffer *buffer, uint16_t value)
{
    uint16_t big = htobe16(value);
    buffer_add(buffer, &big, sizeof big);
}

static inline void buffer_add_u32(struct buffer *buffer, uint32_t value)
{
    uint32_t big = htobe32(value);
    buffer_add(buffer, &big, sizeof big);
}

static inline void buffer_add_u64(struct buffer *buffer, uint64_t value)
{
    uint64_t big = htobe64(value);
    buffer_add(buffer, &big, sizeof big);
}

void buffer_add_text(struct buffer *buffer, const char *text);
void buffer_add_decimal(struct buffer *buffer, uint64_t value);
void buffer_format(struct buffer *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The content as a C string (a NUL is kept behind it); "" after a failure or when empty. */
const char *buffer_text(struct buffer *buffer);

/* Forgets and wipes the content, keeps the room, clears the failure. */
void buffer_clear(struct buffer *buffer);

/* Drops and wipes the first `size` bytes. */
void buffer_consume(struct buffer *buffer, size_t size);

/* WHY_LIMIT when bytes_max was passed, WHY_NO_MEMORY when memory ran out. */
STATUS buffer_status(const struct buffer *buffer);

/* Wipes and frees the content, not the struct. */
void buffer_free(struct buffer *buffer);

/* Reads big-endian fields one after another; the first one that does not fit makes all later ones
 * zero and sticks, so that a decoder checks once. */
struct cursor {
    const uint8_t *bytes;
    size_t size;
    size_t at;
    bool bad;
};

struct cursor cursor_over(const void *bytes, size_t size);
uint8_t cursor_u8(struct cursor *cursor);
uint16_t cursor_u16(struct cursor *cursor);
uint32_t cursor_u32(struct cursor *cursor);
uint64_t cursor_u64(struct cursor *cursor);
/* One byte, 0 or 1; bad when it is another. */
bool cursor_flag(struct cursor *cursor);
/* Lends the next `size` bytes; NULL when they are not there. */
const uint8_t *cursor_bytes(struct cursor *cursor, size_t size);
/* Copies a text stored as u16 length and bytes into `out` with a NUL; bad when it does not fit or
 * holds a NUL. */
void cursor_text(struct cursor *cursor, char *out, size_t out_size);
/* True when nothing went wrong and nothing is left over. */
bool cursor_done(const struct cursor *cursor);
/* The writing twin of cursor_text(). */
void buffer_add_counted(struct buffer *buffer, const char *text);

#endif
