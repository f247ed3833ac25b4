/* SPDX-License-Identifier: Apache-2.0 */
#include "base/client_head.h"

#include <assert.h>
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/http.h"

/* Beyond, a length is no length: it fits into an int64_t with room to spare. */
#define LENGTH_DIGITS_MAX 18u
#define STATUS_SIZE       12u /* "HTTP/1.1 200" */
#define SWITCHING         101
#define NO_CONTENT        204
#define NOT_MODIFIED      304

static const char version[] = "HTTP/1.";

void client_head_begin(struct client_head *head, bool asks_head, size_t body_bytes_max)
{
    struct buffer fields = head->fields;
    struct buffer partial = head->line.partial;

    fields.bytes_max = partial.bytes_max = 2 * CLIENT_HEAD_BYTES_MAX;
    buffer_clear(&fields);
    buffer_clear(&partial);
    *head = (struct client_head){.asks_head = asks_head,
                                 .body_bytes_max = body_bytes_max,
                                 .fields = fields,
                                 .bytes_left = CLIENT_HEAD_BYTES_MAX,
                                 .line = {.partial = partial}};
}

void client_head_free(struct client_head *head)
{
    buffer_free(&head->fields);
    buffer_free(&head->line.partial);
}

/* --- Lines --- */

enum client_read client_head_line(struct client_line *line, const uint8_t *bytes, size_t size,
                                  size_t *left, bool strict, size_t *out_used,
                                  struct client_text *out_text)
{
    const uint8_t *end = size == 0 ? NULL : memchr(bytes, '\n', size);
    size_t used = end == NULL ? size : (size_t)(end - bytes) + 1;

    if (line->is_over)
        buffer_clear(&line->partial);
    line->is_over = false;
    if (used > *left)
        return CLIENT_READ_BAD;
    *left -= used;
    *out_used = used;
    *out_text = (struct client_text){.bytes = (const char *)bytes, .size = used};
    if (end == NULL || line->partial.size > 0) {
        buffer_add(&line->partial, bytes, used);
        if (failed(buffer_status(&line->partial)))
            return CLIENT_READ_BAD;
        *out_text =
            (struct client_text){.bytes = buffer_text(&line->partial), .size = line->partial.size};
    }
    if (end == NULL)
        return CLIENT_READ_MORE;
    line->is_over = true;
    out_text->size--;
    bool has_return = out_text->size > 0 && out_text->bytes[out_text->size - 1] == '\r';
    out_text->size -= has_return;
    return has_return || !strict ? CLIENT_READ_DONE : CLIENT_READ_BAD;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* What begins in another way is no HTTP, and need not be waited for. */
static bool may_be_status(const struct client_text *text)
{
    size_t size = text->size < sizeof version - 1 ? text->size : sizeof version - 1;

    return memcmp(text->bytes, version, size) == 0;
}

/* "HTTP/1.1 200" and what follows. */
static bool take_status(struct client_head *head, const struct client_text *text)
{
    const char *line = text->bytes;

    if (text->size < STATUS_SIZE || !may_be_status(text) || (line[7] != '0' && line[7] != '1') ||
        line[8] != ' ')
        return false;
    head->is_old = line[7] == '0';
    for (unsigned i = 9; i < STATUS_SIZE; i++) {
        if (!is_digit(line[i]))
            return false;
        head->status = 10 * head->status + (line[i] - '0');
    }
    /* Nobody asked for another protocol. */
    return head->status >= 100 && head->status != SWITCHING &&
           (text->size == STATUS_SIZE || line[STATUS_SIZE] == ' ');
}

/* --- Fields --- */

struct field {
    struct client_text name;
    struct client_text value;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static void trim(struct client_text *text)
{
    while (text->size > 0 && is_blank(text->bytes[0])) {
        text->bytes++;
        text->size--;
    }
    while (text->size > 0 && is_blank(text->bytes[text->size - 1]))
        text->size--;
}

static bool field_read(const struct client_text *text, struct field *out)
{
    const char *colon = memchr(text->bytes, ':', text->size);

    if (colon == NULL || memchr(text->bytes, 0, text->size) != NULL)
        return false;
    /* RFC 9110 section 5.5: a bare CR ends the line for some; passed on, what follows it would be a
     * header of the gateway's choice that no list was asked about. */
    if (memchr(text->bytes, '\r', text->size) != NULL)
        return false;
    size_t name_size = (size_t)(colon - text->bytes);
    out->name = (struct client_text){.bytes = text->bytes, .size = name_size};
    /* RFC 9112 section 5.1: blanks before the colon are taken away.  With them a name would pass
     * every list of names ("Content-Encoding : gzip"), and still be understood by the next. */
    while (out->name.size > 0 && is_blank(out->name.bytes[out->name.size - 1]))
        out->name.size--;
    out->value = (struct client_text){.bytes = colon + 1, .size = text->size - name_size - 1};
    trim(&out->value);
    /* A line that begins with a blank went on from the one before, long ago (section 5.2). */
    return http_is_token(out->name.bytes, out->name.size);
}

bool client_head_is_field(const struct client_text *text)
{
    struct field field;

    return field_read(text, &field);
}

static bool text_is(const struct client_text *text, const char *other)
{
    return text->size == strlen(other) && strncasecmp(text->bytes, other, text->size) == 0;
}

static bool take_length(struct client_head *head, const struct client_text *value)
{
    uint64_t length = 0;

    if (value->size == 0 || value->size > LENGTH_DIGITS_MAX)
        return false;
    for (size_t i = 0; i < value->size; i++) {
        if (!is_digit(value->bytes[i]))
            return false;
        length = 10 * length + (uint64_t)(value->bytes[i] - '0');
    }
    bool agrees = !head->has_length || head->length == length;
    head->has_length = true;
    head->length = length;
    return agrees;
}

/* Other codings were not asked for: there is no "TE" in a request. */
static bool take_encoding(struct client_head *head, const struct client_text *value)
{
    bool first = !head->is_chunked;

    head->is_chunked = true;
    return first && !head->is_old && text_is(value, "chunked");
}

static void take_connection(struct client_head *head, const struct client_text *value)
{
    for (size_t at = 0; at < value->size;) {
        const char *comma = memchr(value->bytes + at, ',', value->size - at);
        size_t size = comma == NULL ? value->size - at : (size_t)(comma - value->bytes) - at;
        struct client_text item = {.bytes = value->bytes + at, .size = size};
        trim(&item);
        head->closes = head->closes || text_is(&item, "close");
        at += size + 1;
    }
}

static bool take_field(struct client_head *head, const struct client_text *text)
{
    struct field field;

    if (!field_read(text, &field) || ++head->field_count > CLIENT_HEADERS_MAX)
        return false;
    if (text_is(&field.name, "content-length") && !take_length(head, &field.value))
        return false;
    if (text_is(&field.name, "transfer-encoding") && !take_encoding(head, &field.value))
        return false;
    if (text_is(&field.name, "connection"))
        take_connection(head, &field.value);
    char *room = (char *)buffer_extend(&head->fields, field.name.size + field.value.size + 2);
    if (room == NULL)
        return false;
    for (size_t i = 0; i < field.name.size; i++)
        *room++ = (char)tolower((unsigned char)field.name.bytes[i]);
    *room++ = '\0';
    memcpy(room, field.value.bytes, field.value.size);
    room[field.value.size] = '\0';
    return true;
}

/* --- The whole --- */

bool client_head_is_all(const struct client_head *head)
{
    return head->asks_head || head->status == NO_CONTENT || head->status == NOT_MODIFIED;
}

bool client_head_misleads(const struct client_head *head)
{
    if (head->asks_head)
        return false;
    if (head->status == NO_CONTENT)
        return head->is_chunked || (head->has_length && head->length > 0);
    return head->status == NOT_MODIFIED && head->is_chunked;
}

/* An answer whose end two readers could see in two places is nobody's answer. */
static bool head_is_clear(const struct client_head *head)
{
    if (head->is_chunked && head->has_length)
        return false;
    bool bodiless = head->asks_head || head->status == NOT_MODIFIED;
    return bodiless || !head->has_length || head->length <= head->body_bytes_max;
}

/* What a 1xx brought does not count. */
static void head_forget(struct client_head *head)
{
    size_t left = head->bytes_left;
    bool is_over = head->line.is_over;
    struct buffer partial = head->line.partial; /* It may be what is being looked at. */

    head->line.partial = (struct buffer){0};
    client_head_begin(head, head->asks_head, head->body_bytes_max);
    head->line = (struct client_line){.partial = partial, .is_over = is_over};
    head->bytes_left = left;
}

static enum client_read head_take_line(struct client_head *head, const struct client_text *text)
{
    if (head->status == 0)
        return take_status(head, text) ? CLIENT_READ_MORE : CLIENT_READ_BAD;
    if (text->size > 0)
        return take_field(head, text) ? CLIENT_READ_MORE : CLIENT_READ_BAD;
    if (head->status < 200) {
        head_forget(head);
        return CLIENT_READ_MORE;
    }
    return head_is_clear(head) ? CLIENT_READ_DONE : CLIENT_READ_BAD;
}

enum client_read client_head_take(struct client_head *head, const uint8_t *bytes, size_t size,
                                  size_t *out_used)
{
    enum client_read read = CLIENT_READ_MORE;
    struct client_text text;
    size_t used = 0;

    assert(head->bytes_left <= CLIENT_HEAD_BYTES_MAX);
    *out_used = 0;
    while (read == CLIENT_READ_MORE && *out_used < size) {
        read = client_head_line(&head->line, bytes + *out_used, size - *out_used, &head->bytes_left,
                                false, &used, &text);
        if (read == CLIENT_READ_BAD)
            return read;
        *out_used += used;
        if (read == CLIENT_READ_MORE)
            return head->status != 0 || may_be_status(&text) ? read : CLIENT_READ_BAD;
        read = head_take_line(head, &text);
    }
    return read;
}
