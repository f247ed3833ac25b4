/* SPDX-License-Identifier: Apache-2.0 */
#include "base/client_body.h"

#include <assert.h>

#define SIZE_DIGITS_MAX     16u
#define SIZE_LINE_BYTES_MAX 4096u

void client_body_begin(struct client_body *body, size_t bytes_max)
{
    struct buffer bytes = body->bytes;
    struct buffer partial = body->line.partial;

    bytes.bytes_max = bytes_max;
    if (bytes.capacity > bytes_max)
        buffer_free(&bytes);
    partial.bytes_max = 2 * SIZE_LINE_BYTES_MAX + CLIENT_TRAILER_BYTES_MAX;
    buffer_clear(&bytes);
    buffer_clear(&partial);
    *body = (struct client_body){.bytes = bytes,
                                 .line = {.partial = partial},
                                 .extension_left = CLIENT_EXTENSION_BYTES_MAX,
                                 .trailer_left = CLIENT_TRAILER_BYTES_MAX};
}

void client_body_free(struct client_body *body)
{
    buffer_free(&body->bytes);
    buffer_free(&body->line.partial);
}

static void body_choose(struct client_body *body, const struct client_head *head)
{
    body->left = head->length;
    if (client_head_is_all(head))
        body->step = CLIENT_BODY_OVER;
    else if (head->is_chunked)
        body->step = CLIENT_BODY_SIZE;
    else if (!head->has_length)
        body->step = CLIENT_BODY_TO_END;
    else
        body->step = head->length == 0 ? CLIENT_BODY_OVER : CLIENT_BODY_LENGTH;
}

static bool body_add(struct client_body *body, const uint8_t *bytes, size_t size)
{
    buffer_add(&body->bytes, bytes, size);
    return !failed(buffer_status(&body->bytes));
}

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* "1a" or "1a;name=value": what follows the number is dropped, and there may not be much of it. */
static bool take_size(struct client_body *body, const struct client_text *text)
{
    uint64_t size = 0;
    size_t at = 0;

    for (; at < text->size && digit_of(text->bytes[at]) >= 0; at++) {
        if (at == SIZE_DIGITS_MAX)
            return false;
        size = size << 4 | (unsigned)digit_of(text->bytes[at]);
    }
    if (at == 0 || size > body->bytes.bytes_max - body->bytes.size)
        return false;
    size_t rest = text->size - at;
    if (rest > body->extension_left)
        return false;
    body->extension_left -= rest;
    while (at < text->size && (text->bytes[at] == ' ' || text->bytes[at] == '\t'))
        at++;
    if (at < text->size && text->bytes[at] != ';')
        return false;
    for (; at < text->size; at++)
        if (text->bytes[at] == '\r' || text->bytes[at] == '\0')
            return false;
    body->left = size;
    body->step = size == 0 ? CLIENT_BODY_TRAILERS : CLIENT_BODY_CHUNK;
    return true;
}

/* One line of what frames the chunks. */
static enum client_read take_line(struct client_body *body, const uint8_t *bytes, size_t size,
                                  size_t *out_used)
{
    size_t of_size = SIZE_LINE_BYTES_MAX - body->line.partial.size * !body->line.is_over;
    bool is_trailer = body->step == CLIENT_BODY_TRAILERS;
    struct client_text text;
    enum client_read read =
        client_head_line(&body->line, bytes, size, is_trailer ? &body->trailer_left : &of_size,
                         true, out_used, &text);

    if (read != CLIENT_READ_DONE)
        return read;
    if (body->step == CLIENT_BODY_SIZE)
        return take_size(body, &text) ? CLIENT_READ_MORE : CLIENT_READ_BAD;
    if (body->step == CLIENT_BODY_CRLF) {
        body->step = CLIENT_BODY_SIZE;
        return text.size == 0 ? CLIENT_READ_MORE : CLIENT_READ_BAD;
    }
    if (text.size > 0)
        return client_head_is_field(&text) ? CLIENT_READ_MORE : CLIENT_READ_BAD;
    body->step = CLIENT_BODY_OVER;
    return CLIENT_READ_MORE;
}

/* Of what belongs to the body itself. */
static enum client_read take_bytes(struct client_body *body, const uint8_t *bytes, size_t size,
                                   size_t *out_used)
{
    bool counts = body->step != CLIENT_BODY_TO_END;

    *out_used = counts && size > body->left ? (size_t)body->left : size;
    if (!body_add(body, bytes, *out_used))
        return CLIENT_READ_BAD;
    if (!counts)
        return CLIENT_READ_MORE;
    body->left -= *out_used;
    if (body->left == 0)
        body->step = body->step == CLIENT_BODY_CHUNK ? CLIENT_BODY_CRLF : CLIENT_BODY_OVER;
    return CLIENT_READ_MORE;
}

/* As much of `bytes` as one step of the body takes. */
static enum client_read take_step(struct client_head *head, struct client_body *body,
                                  const uint8_t *bytes, size_t size, size_t *out_used)
{
    enum client_read read = CLIENT_READ_MORE;

    switch (body->step) {
    case CLIENT_BODY_HEAD:
        read = client_head_take(head, bytes, size, out_used);
        if (read != CLIENT_READ_DONE)
            return read;
        body_choose(body, head);
        return CLIENT_READ_MORE;
    case CLIENT_BODY_LENGTH:
    case CLIENT_BODY_TO_END:
    case CLIENT_BODY_CHUNK:
        return take_bytes(body, bytes, size, out_used);
    case CLIENT_BODY_SIZE:
    case CLIENT_BODY_CRLF:
    case CLIENT_BODY_TRAILERS:
        return take_line(body, bytes, size, out_used);
    case CLIENT_BODY_OVER:
        break;
    }
    return CLIENT_READ_DONE;
}

enum client_read client_body_take(struct client_head *head, struct client_body *body,
                                  const uint8_t *bytes, size_t size, size_t *out_used)
{
    enum client_read read = CLIENT_READ_MORE;
    size_t used = 0;

    assert(body->step != CLIENT_BODY_OVER);
    *out_used = 0;
    while (read == CLIENT_READ_MORE && *out_used < size && body->step != CLIENT_BODY_OVER) {
        used = 0;
        read = take_step(head, body, bytes + *out_used, size - *out_used, &used);
        *out_used += used;
    }
    if (read == CLIENT_READ_MORE && body->step == CLIENT_BODY_OVER)
        return CLIENT_READ_DONE;
    return read;
}

bool client_body_ends(const struct client_body *body)
{
    return body->step == CLIENT_BODY_TO_END;
}
