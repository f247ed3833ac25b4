/* SPDX-License-Identifier: Apache-2.0 */
#include "base/frames.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/own.h"

#define ROOM_BYTES_START (64u << 10)
#define ROOM_BYTES_MAX   (FRAME_HEAD_BYTES + FRAME_BODY_BYTES_MAX)

/* What the size field does not count: itself. */
#define SIZE_FIELD_BYTES 4u
#define REST_BYTES_MIN   (FRAME_HEAD_BYTES - SIZE_FIELD_BYTES)
#define REST_BYTES_MAX   (REST_BYTES_MIN + FRAME_BODY_BYTES_MAX)

/* Bytes outside [start, end) are zero: a frame is wiped when the call after the one that lent it
 * comes.  Frames are stepped over and not moved away one by one, so that many in one read cost no
 * more than one. */
struct frame_reader {
    uint8_t *bytes;
    size_t capacity;
    size_t start;
    size_t end;
    size_t lent_size; /* Of the frame at `start` that the caller is reading. */
};

STATUS frame_reader_new(struct frame_reader **out_reader)
{
    assert(out_reader != NULL);
    OWNED(frame_reader_free) struct frame_reader *reader = calloc(1, sizeof *reader);
    ENSURE(reader != NULL, WHY_NO_MEMORY);
    reader->bytes = calloc(1, ROOM_BYTES_START);
    ENSURE(reader->bytes != NULL, WHY_NO_MEMORY);
    reader->capacity = ROOM_BYTES_START;
    *out_reader = MOVE(reader);
    return STATUS_OK;
}

void frame_reader_free(struct frame_reader **reader)
{
    assert(reader != NULL);
    struct frame_reader *gone = MOVE(*reader);
    if (gone == NULL)
        return;
    if (gone->bytes != NULL) {
        sodium_memzero(gone->bytes + gone->start, gone->end - gone->start);
        free(gone->bytes);
    }
    free(gone);
}

static void lent_take_back(struct frame_reader *reader)
{
    sodium_memzero(reader->bytes + reader->start, reader->lent_size);
    reader->start += reader->lent_size;
    reader->lent_size = 0;
    if (reader->start == reader->end) {
        reader->start = 0;
        reader->end = 0;
    }
}

/* Moves what is left to the front. */
static void reader_compact(struct frame_reader *reader)
{
    size_t left = reader->end - reader->start;
    memmove(reader->bytes, reader->bytes + reader->start, left);
    sodium_memzero(reader->bytes + left, reader->end - left);
    reader->start = 0;
    reader->end = left;
}

/* Twice the room, only once it is full of bytes that did come: what a head announces is no reason
 * to allocate. */
static STATUS reader_grow(struct frame_reader *reader)
{
    ENSURE(reader->capacity < ROOM_BYTES_MAX, WHY_LIMIT);
    size_t capacity = 2 * reader->capacity;
    if (capacity > ROOM_BYTES_MAX)
        capacity = ROOM_BYTES_MAX;
    uint8_t *bytes = calloc(1, capacity);
    ENSURE(bytes != NULL, WHY_NO_MEMORY);
    memcpy(bytes, reader->bytes, reader->end);
    sodium_memzero(reader->bytes, reader->end);
    free(reader->bytes);
    reader->bytes = bytes;
    reader->capacity = capacity;
    return STATUS_OK;
}

/* Sees to it that at least one byte has room, and most often much more: a caller who takes all
 * whole frames leaves but part of one, so moving it is cheaper than many short reads. */
static STATUS reader_make_room(struct frame_reader *reader)
{
    if (reader->start > 0 && reader->capacity - reader->end < reader->capacity / 4)
        reader_compact(reader);
    if (reader->end == reader->capacity)
        TRY(reader_grow(reader));
    return STATUS_OK;
}

/* Of a send() or recv(): a peer that ended before it took all is gone as one that ended after. */
static enum why socket_why(int error)
{
    if (error == EAGAIN || error == EWOULDBLOCK)
        return WHY_BUSY;
    return error == EPIPE || error == ECONNRESET ? WHY_NOT_FOUND : WHY_IO;
}

STATUS frame_reader_fill(struct frame_reader *reader, int fd)
{
    assert(reader != NULL);
    assert(fd >= 0);
    lent_take_back(reader);
    TRY(reader_make_room(reader));
    ssize_t got;
    do
        got = recv(fd, reader->bytes + reader->end, reader->capacity - reader->end, 0);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return FAIL(socket_why(errno));
    ENSURE(got > 0, WHY_NOT_FOUND);
    reader->end += (size_t)got;
    return STATUS_OK;
}

STATUS frame_reader_feed(struct frame_reader *reader, const void *bytes, size_t size)
{
    assert(reader != NULL);
    assert(bytes != NULL || size == 0);
    lent_take_back(reader);
    const uint8_t *from = bytes;
    ENSURE(size <= ROOM_BYTES_MAX - (reader->end - reader->start), WHY_LIMIT);
    while (size > 0) {
        TRY(reader_make_room(reader));
        size_t part = reader->capacity - reader->end;
        if (part > size)
            part = size;
        memcpy(reader->bytes + reader->end, from, part);
        reader->end += part;
        from += part;
        size -= part;
    }
    return STATUS_OK;
}

STATUS frame_reader_next(struct frame_reader *reader, struct frame *out_frame)
{
    assert(reader != NULL);
    assert(out_frame != NULL);
    lent_take_back(reader);
    size_t waiting = reader->end - reader->start;
    ENSURE(waiting >= FRAME_HEAD_BYTES, WHY_NOT_FOUND);

    /* A head that fails stays where it is, so that every later call fails too. */
    struct cursor head = cursor_over(reader->bytes + reader->start, FRAME_HEAD_BYTES);
    uint32_t rest_size = cursor_u32(&head);
    uint8_t version = cursor_u8(&head);
    uint8_t type = cursor_u8(&head);
    uint16_t zero = cursor_u16(&head);
    uint64_t id = cursor_u64(&head);
    assert(cursor_done(&head));
    ENSURE(rest_size >= REST_BYTES_MIN, WHY_FORGED);
    ENSURE(rest_size <= REST_BYTES_MAX, WHY_FORGED);
    ENSURE(version == FRAME_VERSION, WHY_FORGED);
    ENSURE(zero == 0, WHY_FORGED);
    ENSURE(waiting - SIZE_FIELD_BYTES >= rest_size, WHY_NOT_FOUND);

    reader->lent_size = SIZE_FIELD_BYTES + rest_size;
    *out_frame = (struct frame){
        .id = id,
        .body = reader->bytes + reader->start + FRAME_HEAD_BYTES,
        .size = rest_size - REST_BYTES_MIN,
        .type = type,
    };
    return STATUS_OK;
}

/* A body is put together apart from what waits, so that whatever its author does to the buffer lent
 * to them touches no other frame. */
struct frame_writer {
    struct buffer queue; /* Sent bytes, wiped; then those that wait. */
    size_t sent_size;
    size_t waiting_max;
    struct buffer body;
    uint64_t id;
    uint8_t type;
    bool is_open;
};

STATUS frame_writer_new(size_t bytes_max, struct frame_writer **out_writer)
{
    assert(out_writer != NULL);
    assert(bytes_max >= FRAME_HEAD_BYTES);
    assert(bytes_max < SIZE_MAX / 4);
    struct frame_writer *writer = calloc(1, sizeof *writer);
    ENSURE(writer != NULL, WHY_NO_MEMORY);
    /* Twice, for sent bytes are cleared out only once they are half of all. */
    writer->queue = BUFFER(2 * bytes_max);
    writer->waiting_max = bytes_max;
    writer->body = BUFFER(FRAME_BODY_BYTES_MAX);
    *out_writer = writer;
    return STATUS_OK;
}

void frame_writer_free(struct frame_writer **writer)
{
    assert(writer != NULL);
    struct frame_writer *gone = MOVE(*writer);
    if (gone == NULL)
        return;
    buffer_free(&gone->queue);
    buffer_free(&gone->body);
    free(gone);
}

struct buffer *frame_begin(struct frame_writer *writer, uint8_t type, uint64_t id)
{
    assert(writer != NULL);
    assert(!writer->is_open);
    assert(writer->body.size == 0);
    writer->is_open = true;
    writer->type = type;
    writer->id = id;
    return &writer->body;
}

/* The room for the whole frame is made at once, so that it is queued whole or not at all. */
static STATUS frame_queue(struct frame_writer *writer)
{
    const struct buffer *body = &writer->body;
    TRY(buffer_status(body));
    size_t size = FRAME_HEAD_BYTES + body->size;
    ENSURE(size <= writer->waiting_max, WHY_LIMIT);
    ENSURE(size <= writer->waiting_max - frame_writer_waiting(writer), WHY_BUSY);
    uint8_t *room = buffer_extend(&writer->queue, size);
    if (room == NULL) {
        struct status status = buffer_status(&writer->queue);
        writer->queue.why = WHY_NONE; /* The frames that wait are whole and may go on. */
        return status;
    }
    uint32_t rest_size = (uint32_t)(REST_BYTES_MIN + body->size);
    for (unsigned i = 0; i < 4; i++)
        room[i] = (uint8_t)(rest_size >> (24 - 8 * i));
    room[4] = FRAME_VERSION;
    room[5] = writer->type;
    for (unsigned i = 0; i < 8; i++)
        room[8 + i] = (uint8_t)(writer->id >> (56 - 8 * i));
    if (body->size > 0)
        memcpy(room + FRAME_HEAD_BYTES, body->bytes, body->size);
    return STATUS_OK;
}

void frame_drop(struct frame_writer *writer)
{
    assert(writer->is_open);
    buffer_clear(&writer->body);
    writer->is_open = false;
}

STATUS frame_end(struct frame_writer *writer)
{
    assert(writer != NULL);
    assert(writer->is_open);
    struct status status = frame_queue(writer);
    buffer_clear(&writer->body);
    writer->is_open = false;
    return status;
}

size_t frame_writer_waiting(const struct frame_writer *writer)
{
    assert(writer != NULL);
    return writer->queue.size - writer->sent_size;
}

static void sent_count(struct frame_writer *writer, size_t size)
{
    sodium_memzero(writer->queue.bytes + writer->sent_size, size);
    writer->sent_size += size;
    if (writer->sent_size < writer->queue.size - writer->sent_size)
        return;
    buffer_consume(&writer->queue, writer->sent_size);
    writer->sent_size = 0;
}

STATUS frame_flush(struct frame_writer *writer, int fd)
{
    assert(writer != NULL);
    assert(fd >= 0);
    while (frame_writer_waiting(writer) > 0) {
        ssize_t sent = send(fd, writer->queue.bytes + writer->sent_size,
                            frame_writer_waiting(writer), MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return FAIL(socket_why(errno));
        sent_count(writer, (size_t)sent);
    }
    return STATUS_OK;
}
