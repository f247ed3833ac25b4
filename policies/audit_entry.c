/* SPDX-License-Identifier: Apache-2.0 */
#include "policies/audit_entry.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

#include "base/encode.h"
#include "base/json.h"
#include "base/own.h"
#include "base/redact.h"

#define SALT_BYTES 16u

/* Nearly all texts hold nothing to mask and are written as they are. */
static void put_masked(struct json_writer *writer, const char *text, size_t size)
{
    OWNED(buffer_free) struct buffer copy = BUFFER(AUDIT_ENTRY_BYTES_MAX);

    buffer_add(&copy, text, size);
    if (failed(buffer_status(&copy))) {
        json_put_null(writer);
        writer->out->why = copy.why; /* Too long for any entry: the whole write fails. */
        return;
    }
    redact_mask(copy.bytes, copy.size);
    json_put_bytes(writer, copy.bytes, copy.size);
}

/* A text from outside may hold a card number wherever a person, or an attacker, can type (LOG-9).
 * It is masked before it is escaped: an escape could join or part digits. */
static void put(struct json_writer *writer, const char *key, const char *text)
{
    if (text == NULL)
        return;
    struct redact_hit hit;
    size_t size = strlen(text);
    json_key(writer, key);
    if (redact_find((const uint8_t *)text, size, 0, &hit))
        put_masked(writer, text, size);
    else
        json_put_bytes(writer, text, size);
}

/* A text of our own: no filter, so that a hash stays a hash. */
static void put_own(struct json_writer *writer, const char *key, const char *text)
{
    if (text != NULL)
        json_put_member(writer, key, text);
}

static void put_policy(struct json_writer *writer, const struct audit_entry *entry)
{
    if (entry->bundle == NULL && entry->rule == NULL && entry->decision == NULL)
        return;
    json_key(writer, "policy");
    json_begin_object(writer);
    put_own(writer, "bundle", entry->bundle);
    put_own(writer, "rule", entry->rule);
    put_own(writer, "decision", entry->decision);
    json_end_object(writer);
}

static void put_key(struct json_writer *writer, uint64_t id, uint32_t version)
{
    if (id == 0)
        return;
    json_key(writer, "key");
    json_begin_object(writer);
    json_put_member_u64(writer, "id", id);
    json_put_member_u64(writer, "version", version);
    json_end_object(writer);
}

static void put_asked(struct json_writer *writer, const struct audit_entry *entry)
{
    if (entry->asked_by == NULL)
        return;
    json_key(writer, "asked");
    json_begin_object(writer);
    put_own(writer, "by", entry->asked_by);
    put_own(writer, "certificate", entry->asked_certificate);
    json_end_object(writer);
}

static void put_items(struct json_writer *writer, const struct audit_entry *entry)
{
    if (entry->item_count == 0)
        return;
    json_key(writer, "items");
    json_begin_array(writer);
    for (unsigned i = 0; i < entry->item_count; i++) {
        json_begin_object(writer);
        put(writer, "object", entry->items[i].object);
        put_own(writer, "outcome", entry->items[i].outcome);
        put_key(writer, entry->items[i].key_id, entry->items[i].key_version);
        json_end_object(writer);
    }
    json_end_array(writer);
}

/* Base 62 and not hex: sixteen bytes in hex hold 13 digits in a row once in fifty times, and a
 * search for card numbers would then stop at a salt. */
static void put_salt(struct json_writer *writer)
{
    uint8_t salt[SALT_BYTES];
    char text[ENCODE_BASE62_CHARS + 1];

    random_bytes(salt, sizeof salt);
    encode_base62(salt, text);
    json_put_member(writer, "salt", text);
}

STATUS audit_entry_write(const struct audit_entry *entry, uint64_t seq, struct buffer *out)
{
    assert(entry->actor != NULL && entry->origin != NULL);
    assert(entry->event != NULL && entry->outcome != NULL);
    assert(entry->item_count == 0 || entry->items != NULL);
    size_t start = out->size;
    char ts[CLOCK_TEXT_SIZE];
    clock_text(entry->ts_ms, ts);

    struct json_writer writer = json_writer_over(out);
    json_begin_object(&writer);
    json_put_member_u64(&writer, "seq", seq);
    json_put_member(&writer, "ts", ts);
    put(&writer, "actor", entry->actor);
    put(&writer, "on_behalf_of", entry->on_behalf_of);
    put(&writer, "origin", entry->origin);
    put_own(&writer, "event", entry->event);
    put_own(&writer, "outcome", entry->outcome);
    put(&writer, "object", entry->object);
    put(&writer, "tenant", entry->tenant);
    put(&writer, "purpose", entry->purpose);
    put(&writer, "destination", entry->destination);
    put_policy(&writer, entry);
    put_key(&writer, entry->key_id, entry->key_version);
    put_own(&writer, "certificate", entry->certificate);
    put_asked(&writer, entry);
    put(&writer, "request_id", entry->request_id);
    put(&writer, "detail", entry->detail);
    if (entry->count != 0)
        json_put_member_u64(&writer, "count", entry->count);
    put_items(&writer, entry);
    put_salt(&writer);
    json_end_object(&writer);

    TRY(buffer_status(out));
    if (out->size - start > AUDIT_ENTRY_BYTES_MAX) {
        sodium_memzero(out->bytes + start, out->size - start); /* As a buffer keeps its rest. */
        out->size = start;
        return FAIL(WHY_LIMIT);
    }
    return STATUS_OK;
}
