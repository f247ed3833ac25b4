/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/client_op.h"
#include "base/http.h"

/* Beyond, a length is no length: it fits into an int64_t with room to spare. */
#define LENGTH_DIGITS_MAX 18u
#define NOT_MODIFIED      304

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* "HTTP/1.1 200" and what follows; of it libcurl takes more than was asked for. */
static bool take_status(struct client_op *op, const char *line, size_t size)
{
    struct client_framing *framing = &op->framing;

    *framing = (struct client_framing){0};
    buffer_clear(&op->head); /* What a 1xx brought does not count. */
    op->head_ended = false;
    if (size < 12 || memcmp(line, "HTTP/1.", 7) != 0 || !is_digit(line[7]) || line[8] != ' ')
        return false;
    for (unsigned i = 9; i < 12; i++) {
        if (!is_digit(line[i]))
            return false;
        framing->status = 10 * framing->status + (line[i] - '0');
    }
    return size == 12 || line[12] == ' ';
}

static bool take_length(struct client_framing *framing, const char *value, size_t size)
{
    int64_t length = 0;

    if (size == 0 || size > LENGTH_DIGITS_MAX)
        return false;
    for (size_t i = 0; i < size; i++) {
        if (!is_digit(value[i]))
            return false;
        length = 10 * length + (value[i] - '0');
    }
    bool agrees = !framing->has_length || framing->length == length;
    framing->has_length = true;
    framing->length = length;
    return agrees;
}

/* An answer whose end two readers could see in two places is nobody's answer (RFC 9112 section
 * 6.3): what lies between would be taken for the next one's. */
static bool head_is_clear(const struct client_op *op)
{
    const struct client_framing *framing = &op->framing;

    if (framing->encodings > 1 || (framing->encodings == 1 && framing->has_length))
        return false;
    bool bodiless = op->asks_head || framing->status == NOT_MODIFIED;
    return bodiless || !framing->has_length ||
           (uint64_t)framing->length <= (uint64_t)op->body.bytes_max;
}

struct field {
    const char *name;
    size_t name_size;
    const char *value;
    size_t value_size;
};

static bool field_read(const char *line, size_t size, struct field *out)
{
    const char *colon = memchr(line, ':', size);
    const char *end = line + size;

    if (colon == NULL || memchr(line, 0, size) != NULL)
        return false;
    /* RFC 9110 section 5.5: a bare CR ends the line for some; passed on, what follows it would be a
     * header of the gateway's choice that no list was asked about. */
    if (memchr(line, '\r', size) != NULL)
        return false;
    out->name = line;
    out->name_size = (size_t)(colon - line);
    /* RFC 9112 section 5.1: blanks before the colon are taken away.  With them a name would pass
     * every list of names ("Content-Encoding : gzip"), and still be understood by the next. */
    while (out->name_size > 0 &&
           (line[out->name_size - 1] == ' ' || line[out->name_size - 1] == '\t'))
        out->name_size--;
    out->value = colon + 1;
    while (out->value < end && (*out->value == ' ' || *out->value == '\t'))
        out->value++;
    while (end > out->value && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    out->value_size = (size_t)(end - out->value);
    return http_is_token(out->name, out->name_size);
}

static bool field_is(const struct field *field, const char *name)
{
    return field->name_size == strlen(name) &&
           strncasecmp(field->name, name, field->name_size) == 0;
}

static bool take_field(struct client_op *op, const char *line, size_t size)
{
    struct field field;

    if (!field_read(line, size, &field))
        return false;
    if (field_is(&field, "content-length") &&
        !take_length(&op->framing, field.value, field.value_size))
        return false;
    op->framing.encodings += field_is(&field, "transfer-encoding");
    for (size_t i = 0; i < field.name_size; i++)
        buffer_add_u8(&op->head, (uint8_t)tolower((unsigned char)field.name[i]));
    buffer_add_u8(&op->head, 0);
    buffer_add(&op->head, field.value, field.value_size);
    buffer_add_u8(&op->head, 0);
    return !failed(buffer_status(&op->head));
}

size_t client_head_on_line(char *bytes, size_t unit, size_t count, void *owner)
{
    struct client_op *op = owner;
    size_t size = unit * count;
    size_t used = size;
    bool good = true;

    while (used > 0 && (bytes[used - 1] == '\n' || bytes[used - 1] == '\r'))
        used--;
    if (used >= 5 && memcmp(bytes, "HTTP/", 5) == 0) {
        good = take_status(op, bytes, used);
    } else if (op->head_ended) {
        return size; /* Trailers are dropped: nobody asked for any. */
    } else if (used == 0) {
        op->head_ended = true;
        good = head_is_clear(op);
    } else {
        good = take_field(op, bytes, used);
    }
    op->malformed = !good;
    return good ? size : 0;
}
