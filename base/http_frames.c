/* SPDX-License-Identifier: Apache-2.0 */
#include "base/http_frames.h"

#include <assert.h>
#include <string.h>

/* RFC 9113 section 4.1: length (3 bytes), type, flags, stream (4). */
#define FRAME_HEADER_BYTES 9u
/* What libh2o allows; it ends the connection over a longer one. */
#define FRAME_BYTES_MAX 16384u
/* A DATA frame with less than this, and more to follow, brings a body hardly further. */
#define DATA_BYTES_MIN 64u
/* Header blocks are decoded into about so much more work. */
#define BLOCK_BYTES_PER_COST 256u

#define FLAG_END_STREAM      0x1u
#define FLAG_END_HEADERS     0x4u

enum frame_type {
    FRAME_DATA,
    FRAME_HEADERS,
    FRAME_PRIORITY,
    FRAME_RST_STREAM,
    FRAME_SETTINGS,
    FRAME_PUSH_PROMISE,
    FRAME_PING,
    FRAME_GOAWAY,
    FRAME_WINDOW_UPDATE,
    FRAME_CONTINUATION,
    FRAME_TYPE_COUNT
};

#define PREFACE_BYTES (sizeof "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" - 1)

struct frame {
    uint32_t size; /* Of the payload. */
    uint8_t type;
    uint8_t flags;
};

/* What one costs, other than by its bytes.  DATA: see data_cost(). */
static uint32_t type_cost(uint8_t type)
{
    static const uint8_t costs[FRAME_TYPE_COUNT] = {
        [FRAME_HEADERS] = 4,       /* Earned again by its answer. */
        [FRAME_PRIORITY] = 4,      /* Rebuilds a tree. */
        [FRAME_RST_STREAM] = 16,   /* Undoes work (CVE-2023-44487). */
        [FRAME_SETTINGS] = 16,     /* Is answered; touches every stream. */
        [FRAME_PUSH_PROMISE] = 16, /* Never a client's. */
        [FRAME_PING] = 4,          /* Is answered. */
        [FRAME_GOAWAY] = 16,       [FRAME_WINDOW_UPDATE] = 1, [FRAME_CONTINUATION] = 4,
    };
    return type < FRAME_TYPE_COUNT ? costs[type] : 4; /* libh2o prints a line. */
}

static uint32_t data_cost(const struct frame *frame)
{
    return frame->size < DATA_BYTES_MIN && (frame->flags & FLAG_END_STREAM) == 0 ? 1 : 0;
}

/* A block is bounded while it comes in: libh2o keeps it all, and each byte may become a header. */
static void look_at_block(struct http_frames *frames, const struct frame *frame,
                          struct http_frames_seen *seen)
{
    if (frame->type == FRAME_HEADERS) {
        frames->block_bytes = 0;
        frames->block_frames = 0;
    }
    frames->block_bytes += frame->size;
    frames->block_frames++;
    frames->in_block = (frame->flags & FLAG_END_HEADERS) == 0;
    seen->header_bytes += frame->size;
    seen->cost += frame->size / BLOCK_BYTES_PER_COST;
    seen->continues = seen->continues || frame->type == FRAME_CONTINUATION;
    if (frames->block_bytes > HTTP_BLOCK_BYTES_MAX || frames->block_frames > HTTP_BLOCK_FRAMES_MAX)
        seen->bad = true;
}

static void look_at_frame(struct http_frames *frames, const struct frame *frame,
                          struct http_frames_seen *seen)
{
    /* RFC 9113 section 6.10: nothing else while a block is not whole. */
    if (frames->in_block != (frame->type == FRAME_CONTINUATION)) {
        seen->bad = true;
        return;
    }
    if (frame->type == FRAME_HEADERS || frame->type == FRAME_CONTINUATION)
        look_at_block(frames, frame, seen);
    if (frame->type == FRAME_DATA) {
        seen->data_bytes += frame->size;
        seen->cost += data_cost(frame);
        return;
    }
    seen->cost += type_cost(frame->type);
}

struct http_frames_seen http_frames_look(struct http_frames *frames, const uint8_t *bytes,
                                         size_t size)
{
    struct http_frames_seen seen = {0};
    size_t at = 0;

    if (!frames->open) {
        if (size < PREFACE_BYTES)
            return seen;
        frames->open = true;
        at = PREFACE_BYTES; /* libh2o compares it. */
    }
    while (!seen.bad && size - at >= FRAME_HEADER_BYTES) {
        const uint8_t *head = bytes + at;
        struct frame frame = {
            .size = (uint32_t)head[0] << 16 | (uint32_t)head[1] << 8 | head[2],
            .type = head[3],
            .flags = head[4],
        };
        if (frame.size > FRAME_BYTES_MAX)
            break; /* libh2o says so. */
        if (frame.size > size - at - FRAME_HEADER_BYTES)
            break;
        look_at_frame(frames, &frame, &seen);
        at += FRAME_HEADER_BYTES + frame.size;
    }
    return seen;
}

void http_frames_begin(struct http_frames *frames, int64_t now_ms)
{
    *frames = (struct http_frames){.spare = HTTP_FRAMES_SPARE_MAX, .spare_at_ms = now_ms};
}

static void earn(struct http_frames *frames, int64_t amount)
{
    int64_t spare = frames->spare + amount;
    frames->spare = (int32_t)(spare < HTTP_FRAMES_SPARE_MAX ? spare : HTTP_FRAMES_SPARE_MAX);
}

bool http_frames_spend(struct http_frames *frames, uint32_t cost, int64_t now_ms)
{
    assert(now_ms >= frames->spare_at_ms);
    int64_t earned = (now_ms - frames->spare_at_ms) * HTTP_FRAMES_PER_SECOND / 1000;

    if (earned > 0) {
        earn(frames, earned);
        frames->spare_at_ms = now_ms;
    }
    if (frames->spare < 0 || cost > (uint32_t)frames->spare) {
        frames->spare = -1;
        return false;
    }
    frames->spare -= (int32_t)cost;
    return true;
}

void http_frames_earn(struct http_frames *frames, size_t answer_bytes)
{
    if (frames->spare >= 0)
        earn(frames, HTTP_FRAMES_PER_ANSWER + (int64_t)(answer_bytes / HTTP_FRAMES_BYTES));
}
