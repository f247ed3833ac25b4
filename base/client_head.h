/* SPDX-License-Identifier: Apache-2.0 */
/* base/client_head.h -- the head of an answer, as its bytes come in, in whatever pieces.
 *
 * In      bytes of a peer that nobody vouches for.
 * Out     status, header lines with names in lower case, and where the body ends.
 * Never   takes a head whose end, or whose body's end, two readers could see in two places (RFC
 *         9112 section 6.3): what lies between would be taken for the next answer.
 * Threads one at a time.
 */
#ifndef BASE_CLIENT_HEAD_H
#define BASE_CLIENT_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

#define CLIENT_HEADERS_MAX    128u
#define CLIENT_HEAD_BYTES_MAX (64u * 1024u) /* Of all heads of one answer, 1xx among them. */

enum client_read {
    CLIENT_READ_MORE, /* All was taken, and it is not whole. */
    CLIENT_READ_DONE,
    CLIENT_READ_BAD,
};

/* A line that may come in pieces. */
struct client_line {
    struct buffer partial;
    bool is_over; /* `partial` was handed out. */
};

struct client_text {
    const char *bytes;
    size_t size;
};

struct client_head {
    bool asks_head;        /* In: of an answer to HEAD, a length is of nothing that comes. */
    size_t body_bytes_max; /* In. */
    int status;            /* 0: no status line yet. */
    bool is_old;           /* HTTP/1.0. */
    bool closes;           /* "Connection: close". */
    bool is_chunked;
    bool has_length;
    uint64_t length;
    struct buffer fields; /* name NUL value NUL … */
    unsigned field_count;
    size_t bytes_left; /* Of CLIENT_HEAD_BYTES_MAX. */
    struct client_line line;
};

/* Ready for another answer; keeps the room that it has. */
void client_head_begin(struct client_head *head, bool asks_head, size_t body_bytes_max);
void client_head_free(struct client_head *head);

/* DONE: the head of the answer proper is whole, and what follows `*out_used` is its body's. */
enum client_read client_head_take(struct client_head *head, const uint8_t *bytes, size_t size,
                                  size_t *out_used);
/* No body follows, whatever the head says. */
bool client_head_is_all(const struct client_head *head);
/* No body may follow, and it announces one: who wrote that may yet send it. */
bool client_head_misleads(const struct client_head *head);

/* For client_body.c.  The next line, without its end, which must be CRLF where `strict`; each byte
 * counts against `*left`. */
enum client_read client_head_line(struct client_line *line, const uint8_t *bytes, size_t size,
                                  size_t *left, bool strict, size_t *out_used,
                                  struct client_text *out_text);
/* Is it a header line? */
bool client_head_is_field(const struct client_text *text);

#endif
