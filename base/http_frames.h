/* SPDX-License-Identifier: Apache-2.0 */
/* base/http_frames.h -- HTTP/2 frames as they come in, before libh2o reads them.
 *
 * In      a client's bytes (RFC 9113 section 4.1), from the beginning of a frame on.
 * Out     what they cost, and whether they may be read at all.
 * Never   looks into a frame further than its length, type, flags and stream.
 * Threads the loop's.
 *
 * libh2o takes any number of frames that carry nothing, and answers many of them.  Here each has a
 * price, and a connection so much to spend: some at once, some each second, some for each answer
 * that it was given.
 */
#ifndef BASE_HTTP_FRAMES_H
#define BASE_HTTP_FRAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HTTP_FRAMES_SPARE_MAX  4096
#define HTTP_FRAMES_PER_SECOND 512
/* For each answer, and for so many bytes of it: windows are opened by frames too. */
#define HTTP_FRAMES_PER_ANSWER 8
#define HTTP_FRAMES_BYTES      4096u
/* A header block as it is sent; decoded it may be much larger. */
#define HTTP_BLOCK_BYTES_MAX  (64u * 1024u)
#define HTTP_BLOCK_FRAMES_MAX 32u

struct http_frames {
    bool open;     /* The preface is there. */
    bool in_block; /* A header block is not whole. */
    uint32_t block_bytes;
    uint32_t block_frames;
    int32_t spare; /* What it may still spend; below 0: nothing. */
    int64_t spare_at_ms;
};

void http_frames_begin(struct http_frames *frames, int64_t now_ms);

/* What a look at some input found. */
struct http_frames_seen {
    bool bad;            /* Must not be read: a block without bounds, or no HTTP/2 at all. */
    bool continues;      /* There is a CONTINUATION among them. */
    uint32_t cost;       /* In all. */
    size_t data_bytes;   /* In DATA. */
    size_t header_bytes; /* In header blocks. */
};

/* Looks at the whole frames in `bytes`; the next look begins behind them. */
struct http_frames_seen http_frames_look(struct http_frames *frames, const uint8_t *bytes,
                                         size_t size);

/* False when that is more than there is. */
bool http_frames_spend(struct http_frames *frames, uint32_t cost, int64_t now_ms);
void http_frames_earn(struct http_frames *frames, size_t answer_bytes);

#endif
