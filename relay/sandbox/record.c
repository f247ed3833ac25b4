/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/sandbox/record.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/encode.h"
#include "base/json.h"
#include "base/own.h"
#include "base/redact.h"
#include "relay/sandbox/params.h"

#define HEAD_BYTES_MAX   (32u * 1024u)
#define JSON_NODES_MAX   512u
#define SECRET_KEPT_SIZE 8u /* Of an Authorization header: "Bearer s". */

struct entry {
    char time[CLOCK_TEXT_SIZE];
    char method[16];
    struct buffer path; /* Masked, as the next two. */
    struct buffer query;
    struct buffer
        headers; /* A JSON list of pairs: a name may stand twice, and their order matters. */
    struct buffer body;
    size_t body_size; /* As it came. */
    bool form;
    bool json;
};

struct record {
    struct entry entries[RECORD_COUNT_MAX];
    unsigned first; /* The oldest. */
    unsigned count;
};

STATUS record_new(struct record **out_record)
{
    struct record *record = calloc(1, sizeof *record);
    ENSURE(record != NULL, WHY_NO_MEMORY);
    *out_record = record;
    return STATUS_OK;
}

static void entry_free(struct entry *entry)
{
    buffer_free(&entry->path);
    buffer_free(&entry->query);
    buffer_free(&entry->headers);
    buffer_free(&entry->body);
}

void record_clear(struct record *record)
{
    for (unsigned i = 0; i < RECORD_COUNT_MAX; i++) {
        entry_free(&record->entries[i]);
    }
    memset(record, 0, sizeof *record);
}

void record_free(struct record **record)
{
    if (*record == NULL)
        return;
    record_clear(*record);
    free(*record);
    *record = NULL;
}

/* A copy that went through the card-number filter; the caller's to free. */
static struct buffer masked(const char *text)
{
    struct buffer copy = BUFFER(HEAD_BYTES_MAX);
    buffer_add(&copy, text, strlen(text));
    if (copy.size > 0)
        (void)redact_mask(copy.bytes, copy.size);
    return copy;
}

static void masked_put(struct json_writer *writer, const char *text)
{
    OWNED(buffer_free) struct buffer copy = masked(text);
    json_put_bytes(writer, copy.bytes, copy.size);
}

static void headers_write(const struct http_call *call, struct json_writer *writer)
{
    const char *name = NULL;
    const char *value = NULL;
    for (unsigned i = 0; http_header_at(call, i, &name, &value); i++) {
        char start[SECRET_KEPT_SIZE + 4] = {0};
        if (strcasecmp(name, "authorization") == 0) {
            strncpy(start, value, SECRET_KEPT_SIZE);
            memcpy(start + strlen(start), "...", 4);
            value = start;
        }
        json_begin_array(writer);
        json_put_text(writer, name);
        masked_put(writer, value);
        json_end_array(writer);
    }
}

static bool type_is(const struct http_call *call, const char *type)
{
    const char *header = http_header(call, "content-type");
    return header != NULL && strncasecmp(header, type, strlen(type)) == 0;
}

void record_add(struct record *record, struct http_call *call)
{
    assert(call != NULL);
    unsigned place = (record->first + record->count) % RECORD_COUNT_MAX;
    if (record->count == RECORD_COUNT_MAX)
        record->first = (record->first + 1) % RECORD_COUNT_MAX;
    else
        record->count++;
    struct entry *entry = &record->entries[place];
    entry_free(entry);
    *entry = (struct entry){.headers = BUFFER(HEAD_BYTES_MAX), .body = BUFFER(RECORD_BYTES_MAX)};
    clock_text(clock_now_ms(), entry->time);
    entry->form = type_is(call, "application/x-www-form-urlencoded");
    entry->json = type_is(call, "application/json");
    (void)snprintf(entry->method, sizeof entry->method, "%s", http_method(call));
    entry->path = masked(http_path(call));
    entry->query = masked(http_query(call));
    struct json_writer writer = json_writer_over(&entry->headers);
    json_begin_array(&writer);
    headers_write(call, &writer);
    json_end_array(&writer);
    const uint8_t *body = http_body(call, &entry->body_size);
    size_t kept = entry->body_size < RECORD_BYTES_MAX ? entry->body_size : RECORD_BYTES_MAX;
    buffer_add(&entry->body, body, kept);
}

static bool names_code(const char *name)
{
    return strstr(name, "cvc") != NULL || strstr(name, "cvv") != NULL ||
           strstr(name, "security_code") != NULL;
}

static void form_write(const struct entry *entry, struct json_writer *writer)
{
    struct params params OWNED(params_free);
    if (failed(params_parse(entry->body.bytes, entry->body.size, &params))) {
        json_key(writer, "fields");
        json_put_null(writer);
        return;
    }
    json_key(writer, "fields");
    json_begin_array(writer);
    for (unsigned i = 0; i < params.count; i++) {
        const char *name = params_name(&params, i);
        json_begin_array(writer);
        json_put_text(writer, name);
        masked_put(writer, names_code(name) ? "***" : params_value(&params, i));
        json_end_array(writer);
    }
    json_end_array(writer);
}

/* Overwrites the values that follow a key named like a security code.  Keys and values alternate in
 * the nodes, so that one pass finds them at any depth. */
static void codes_mask(struct buffer *copy)
{
    struct json_node nodes[JSON_NODES_MAX];
    struct json json;
    size_t at = 0;
    if (failed(json_read(copy->bytes, copy->size, nodes, JSON_NODES_MAX, &json, &at))) {
        buffer_clear(copy); /* What cannot be read cannot be shown safely. */
        return;
    }
    for (uint32_t i = 0; i + 1 < json.count; i++) {
        char name[32];
        size_t length = 0;
        if (failed(json_string(&json, i, name, sizeof name, &length)) || !names_code(name))
            continue;
        const struct json_node *value = &nodes[i + 1];
        if (value->type == JSON_STRING || value->type == JSON_NUMBER)
            memset(copy->bytes + value->start, '*', value->size);
    }
}

static void json_body_write(const struct entry *entry, struct json_writer *writer)
{
    OWNED(buffer_free) struct buffer copy = BUFFER(RECORD_BYTES_MAX);
    buffer_add(&copy, entry->body.bytes, entry->body.size);
    if (copy.size > 0) {
        codes_mask(&copy);
        (void)redact_mask(copy.bytes, copy.size);
    }
    json_key(writer, "body");
    json_put_bytes(writer, copy.bytes, copy.size);
}

static void reveal_write(const struct entry *entry, struct json_writer *writer)
{
    OWNED(buffer_free) struct buffer text = BUFFER(ENCODE_BASE64_SIZE(RECORD_BYTES_MAX));
    uint8_t *room = buffer_extend(&text, ENCODE_BASE64_SIZE(entry->body.size));
    if (room == NULL)
        return;
    encode_base64(entry->body.bytes, entry->body.size, (char *)room);
    json_put_member(writer, "body_base64", (const char *)room);
}

static void entry_write(const struct entry *entry, bool reveal, struct json_writer *writer)
{
    json_begin_object(writer);
    json_put_member(writer, "received_at", entry->time);
    json_put_member(writer, "method", entry->method);
    json_key(writer, "path");
    json_put_bytes(writer, entry->path.bytes, entry->path.size);
    json_key(writer, "query");
    json_put_bytes(writer, entry->query.bytes, entry->query.size);
    json_key(writer, "headers");
    if (failed(buffer_status(&entry->headers)))
        json_put_null(writer);
    else
        json_put_raw(writer, entry->headers.bytes, entry->headers.size);
    if (entry->form)
        form_write(entry, writer);
    else if (entry->json)
        json_body_write(entry, writer);
    if (reveal)
        reveal_write(entry, writer);
    json_put_member_int(writer, "body_size", (int64_t)entry->body_size);
    json_end_object(writer);
}

void record_write(const struct record *record, bool reveal, struct buffer *out)
{
    struct json_writer writer = json_writer_over(out);
    json_begin_object(&writer);
    json_key(&writer, "requests");
    json_begin_array(&writer);
    for (unsigned i = 0; i < record->count; i++)
        entry_write(&record->entries[(record->first + i) % RECORD_COUNT_MAX], reveal, &writer);
    json_end_array(&writer);
    json_end_object(&writer);
}
