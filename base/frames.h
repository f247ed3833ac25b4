/* SPDX-License-Identifier: Apache-2.0 */
/* base/frames.h -- length-prefixed messages over a stream socket pair, many to a read and a write.
 *
 * In      bodies of up to FRAME_BODY_BYTES_MAX bytes, with a type and an id.
 * Out     the same on the other side, whole and in order.
 *         Wire: u32 size of what follows | u8 version | u8 type | u16 zero | u64 id | body,
 *         big-endian.
 * Never   trusts a length; keeps a frame's bytes once it was read past or written: both are wiped.
 * Threads one at a time for each reader or writer.
 */
#ifndef BASE_FRAMES_H
#define BASE_FRAMES_H

#include <stdint.h>

#include "base/buffer.h"
#include "base/status.h"

#define FRAME_VERSION        1u
#define FRAME_HEAD_BYTES     16u
#define FRAME_BODY_BYTES_MAX (4u << 20)

struct frame {
    uint64_t id;
    const uint8_t *body; /* Lent until the next call on its reader. */
    uint32_t size;
    uint8_t type;
};

struct frame_reader;
struct frame_writer;

STATUS frame_reader_new(struct frame_reader **out_reader);
void frame_reader_free(struct frame_reader **reader);

/* One recv() from `fd`.  Fails with WHY_BUSY when nothing waits on a non-blocking socket,
 * WHY_NOT_FOUND when the peer is gone (also when half a frame was left), WHY_LIMIT when so many
 * whole frames wait to be taken that no room is left, WHY_IO otherwise. */
STATUS frame_reader_fill(struct frame_reader *reader, int fd);

/* As frame_reader_fill(), from memory: for fuzzing and tests. */
STATUS frame_reader_feed(struct frame_reader *reader, const void *bytes, size_t size);

/* Lends the next whole frame.  Fails with WHY_NOT_FOUND when none is whole yet, WHY_FORGED when
 * the stream cannot be a peer's (wrong version, size out of bounds): give the peer up then. */
STATUS frame_reader_next(struct frame_reader *reader, struct frame *out_frame);

/* `bytes_max` bounds what may wait unsent, heads included. */
STATUS frame_writer_new(size_t bytes_max, struct frame_writer **out_writer);
void frame_writer_free(struct frame_writer **writer);

/* Opens a frame and lends the buffer to add its body to; frame_end() must follow.
 * frame_end() fails with WHY_BUSY when the writer is full, WHY_LIMIT when the body is too large
 * (also for the writer when empty), or as the buffer did, and then takes the whole frame back: none
 * of it will be sent. */
struct buffer *frame_begin(struct frame_writer *writer, uint8_t type, uint64_t id);
STATUS frame_end(struct frame_writer *writer);
/* Forgets the frame that is open, in the place of frame_end(). */
void frame_drop(struct frame_writer *writer);

/* Bytes that wait. */
size_t frame_writer_waiting(const struct frame_writer *writer);

/* Sends what waits with as few calls as the socket takes.  Non-blocking sockets: WHY_BUSY means
 * that some is left and that the socket is full.  WHY_NOT_FOUND: the peer is gone. */
STATUS frame_flush(struct frame_writer *writer, int fd);

#endif
