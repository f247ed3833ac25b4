/* SPDX-License-Identifier: Apache-2.0 */
/* base/client_body.h -- an answer's body, by its length, in chunks, or to the connection's end.
 *
 * In      the bytes behind a head.
 * Out     the body, without chunks' sizes, their extensions and trailers.
 * Never   takes more than the head's bound; takes chunks that another reader could end elsewhere.
 * Threads one at a time.
 */
#ifndef BASE_CLIENT_BODY_H
#define BASE_CLIENT_BODY_H

#include "base/client_head.h"

/* Of an answer: chunks' extensions, and trailers. */
#define CLIENT_EXTENSION_BYTES_MAX (16u * 1024u)
#define CLIENT_TRAILER_BYTES_MAX   (16u * 1024u)

enum client_body_step {
    CLIENT_BODY_HEAD, /* The head is not whole yet. */
    CLIENT_BODY_LENGTH,
    CLIENT_BODY_TO_END,
    CLIENT_BODY_SIZE,  /* The line that says how long a chunk is. */
    CLIENT_BODY_CHUNK, /* Its bytes. */
    CLIENT_BODY_CRLF,  /* What ends them. */
    CLIENT_BODY_TRAILERS,
    CLIENT_BODY_OVER,
};

struct client_body {
    enum client_body_step step;
    uint64_t left; /* Of the body or the chunk. */
    struct buffer bytes;
    struct client_line line;
    size_t extension_left;
    size_t trailer_left;
};

/* Ready for another answer; keeps the room that it has. */
void client_body_begin(struct client_body *body, size_t bytes_max);
void client_body_free(struct client_body *body);

/* Head and body of one answer.  DONE: what follows `*out_used` is not its. */
enum client_read client_body_take(struct client_head *head, struct client_body *body,
                                  const uint8_t *bytes, size_t size, size_t *out_used);
/* The peer said, in due form, that nothing more comes.  True: then it is whole. */
bool client_body_ends(const struct client_body *body);

#endif
