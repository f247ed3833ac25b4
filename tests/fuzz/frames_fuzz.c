/* SPDX-License-Identifier: Apache-2.0 */
/* A reader fed with hostile bytes, in one piece and in pieces whose sizes the input's first byte
 * chooses: both must lend the same frames and give up at the same place. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/frames.h"
#include "base/own.h"

#define FRAMES_MAX 256u

struct seen {
    unsigned count;
    enum why end;
    struct frame frames[FRAMES_MAX];
    uint8_t first[FRAMES_MAX]; /* Of each body, and the last: bodies are only lent. */
    uint8_t last[FRAMES_MAX];
};

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void take_all(struct frame_reader *reader, struct seen *seen)
{
    struct frame frame;
    struct status status = frame_reader_next(reader, &frame);
    while (!failed(status) && seen->count < FRAMES_MAX) {
        assert(frame.size <= FRAME_BODY_BYTES_MAX);
        seen->frames[seen->count] = frame;
        seen->first[seen->count] = frame.size > 0 ? frame.body[0] : 0;
        seen->last[seen->count] = frame.size > 0 ? frame.body[frame.size - 1] : 0;
        seen->count++;
        status = frame_reader_next(reader, &frame);
    }
    seen->end = status.why;
    assert(!failed(status) || seen->end == WHY_NOT_FOUND || seen->end == WHY_FORGED);
}

static void read_in_pieces(const uint8_t *bytes, size_t size, size_t piece, struct seen *seen)
{
    OWNED(frame_reader_free) struct frame_reader *reader = NULL;
    assert(!failed(frame_reader_new(&reader)));
    *seen = (struct seen){.end = WHY_NOT_FOUND};
    while (size > 0 && seen->end == WHY_NOT_FOUND) {
        size_t part = piece < size ? piece : size;
        assert(!failed(frame_reader_feed(reader, bytes, part)));
        take_all(reader, seen);
        bytes += part;
        size -= part;
    }
}

/* What a writer makes of the frames read is what they came from. */
static void write_back(const uint8_t *bytes, size_t size, const struct seen *seen)
{
    size_t at = 0;
    for (unsigned i = 0; i < seen->count; i++) {
        const struct frame *frame = &seen->frames[i];
        struct cursor head = cursor_over(bytes + at, size - at);
        assert(cursor_u32(&head) == FRAME_HEAD_BYTES - 4 + frame->size);
        assert(cursor_u8(&head) == FRAME_VERSION);
        assert(cursor_u8(&head) == frame->type);
        assert(cursor_u16(&head) == 0);
        assert(cursor_u64(&head) == frame->id);
        const uint8_t *body = cursor_bytes(&head, frame->size);
        assert(body != NULL);
        assert(frame->size == 0 || seen->first[i] == body[0]);
        assert(frame->size == 0 || seen->last[i] == body[frame->size - 1]);
        at += FRAME_HEAD_BYTES + frame->size;
    }
    assert(at <= size);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static struct seen whole;
    static struct seen pieces;
    if (size < 1)
        return 0;
    size_t piece = 1u + bytes[0];
    bytes++;
    size--;
    read_in_pieces(bytes, size, size + 1, &whole);
    read_in_pieces(bytes, size, piece, &pieces);
    write_back(bytes, size, &whole);
    assert(whole.count == pieces.count);
    assert(whole.count == FRAMES_MAX || whole.end == pieces.end);
    for (unsigned i = 0; i < whole.count; i++) {
        assert(whole.frames[i].id == pieces.frames[i].id);
        assert(whole.frames[i].size == pieces.frames[i].size);
        assert(whole.frames[i].type == pieces.frames[i].type);
        assert(whole.first[i] == pieces.first[i] && whole.last[i] == pieces.last[i]);
    }
    return 0;
}
