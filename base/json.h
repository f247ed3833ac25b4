/* SPDX-License-Identifier: Apache-2.0 */
/* base/json.h -- a strict RFC 8259 reader that copies nothing, and a writer.
 *
 * In      UTF-8 bytes, which stay where they are.
 * Out     nodes that name byte ranges; refused: duplicate keys, depth over JSON_DEPTH_MAX, invalid
 *         UTF-8, lone surrogates, control characters, trailing bytes, more nodes than given room.
 * Never   allocates; copies a value on its own.
 * Threads any.
 *
 * Shares names with <jansson.h>: no file can include both.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <stdint.h>

#include "base/buffer.h"
#include "base/status.h"

#define JSON_DEPTH_MAX 32u
#define JSON_NONE      UINT32_MAX

enum json_type {
    JSON_NULL,
    JSON_FALSE,
    JSON_TRUE,
    JSON_NUMBER,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT,
};

/* An array's values and an object's members follow it directly; a member is its key's node (a
 * string) and then its value's.  `next` steps over everything inside. */
struct json_node {
    enum json_type type;
    uint32_t start; /* In the bytes; for a string, behind the opening quote. */
    uint32_t size;  /* For a string, without the quotes. */
    uint32_t count; /* Values of an array, members of an object. */
    uint32_t next;  /* Index of the node behind this one and all that is inside it. */
    bool escaped;   /* A string that holds a backslash. */
};

struct json {
    const uint8_t *bytes;
    size_t size;
    const struct json_node *nodes; /* nodes[0] is the value itself. */
    uint32_t count;
};

/* Reads `size` bytes into at most `node_max` of the caller's nodes.  `out_json` lends both.
 * Fails with WHY_BAD_INPUT, and then *out_at is the offset of the first byte that is wrong, or with
 * WHY_LIMIT (depth, nodes). */
STATUS json_read(const uint8_t *bytes, size_t size, struct json_node *nodes, uint32_t node_max,
                 struct json *out_json, size_t *out_at);

/* In what follows a node may also be JSON_NONE or of another type: then nothing is found, nothing
 * is equal and nothing can be copied, so that look-ups can be chained and checked once. */

/* The value of a member by its (unescaped) name; JSON_NONE when absent. */
uint32_t json_member(const struct json *json, uint32_t object, const char *name);

/* First value or key inside an array or object; JSON_NONE when empty.  The one after it at the same
 * level is nodes[at].next, `count` times. */
uint32_t json_first(const struct json *json, uint32_t node);

/* True when the string (key or value) is `text`, escapes resolved. */
bool json_equals(const struct json *json, uint32_t node, const char *text);

/* Copies a string, escapes resolved, with a NUL.  Fails with WHY_BAD_INPUT when it is no string or
 * holds U+0000, WHY_LIMIT when it does not fit into out_size.  out_length may be NULL. */
STATUS json_read_text(const struct json *json, uint32_t node, char *out, size_t out_size,
                      size_t *out_length);
/* The same.  Inline, for libjansson exports a function of this name. */
static inline STATUS json_string(const struct json *json, uint32_t node, char *out, size_t out_size,
                                 size_t *out_length)
{
    return json_read_text(json, node, out, out_size, out_length);
}

/* An integer without fraction or exponent.  Fails with WHY_BAD_INPUT otherwise. */
STATUS json_int(const struct json *json, uint32_t node, int64_t *out_value);

/* Size of the UTF-8 character that `bytes` begin with; 0 when that is none, or cut short. */
uint32_t json_utf8_size(const uint8_t *bytes, size_t size);

/* Size of the escape (both halves of a surrogate pair) that `bytes` begin with; 0 as above. */
uint32_t json_escape_size(const uint8_t *bytes, size_t size);
/* An order of strings by what they mean, escapes resolved; 0 when they are equal. */
int json_compare(const uint8_t *bytes, const struct json_node *a, const struct json_node *b);

/* Writes into a buffer; commas and escapes are its business.  Nesting up to JSON_DEPTH_MAX. */
struct json_writer {
    struct buffer *out;
    unsigned depth;
    bool more[JSON_DEPTH_MAX + 1];
    bool after_key;
};

struct json_writer json_writer_over(struct buffer *out);
void json_begin_object(struct json_writer *writer);
void json_end_object(struct json_writer *writer);
void json_begin_array(struct json_writer *writer);
void json_end_array(struct json_writer *writer);
void json_key(struct json_writer *writer, const char *key);
/* NULL is written as null. */
void json_put_text(struct json_writer *writer, const char *text);
/* Bytes that must be UTF-8; what is not becomes U+FFFD. */
void json_put_bytes(struct json_writer *writer, const void *bytes, size_t size);
void json_put_int(struct json_writer *writer, int64_t value);
void json_put_bool(struct json_writer *writer, bool value);
void json_put_null(struct json_writer *writer);
/* Text that is JSON already. */
void json_put_raw(struct json_writer *writer, const void *json, size_t size);
/* A key and its value at once. */
void json_put_member(struct json_writer *writer, const char *key, const char *text);
void json_put_member_int(struct json_writer *writer, const char *key, int64_t value);
void json_put_member_u64(struct json_writer *writer, const char *key, uint64_t value);
/* Milliseconds since 1970 as RFC 3339 has them; null where they are 0. */
void json_put_member_time(struct json_writer *writer, const char *key, int64_t ms);
void json_put_member_bool(struct json_writer *writer, const char *key, bool value);

#endif
