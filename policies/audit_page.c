/* SPDX-License-Identifier: Apache-2.0 */
#include "policies/audit_page.h"

#include "base/json.h"
#include "base/own.h"

#define PAGE_BYTES_FULL (2u << 20) /* No further entry is added beyond this. */
#define SIZE_KEY_BYTES  8u

static STATUS page_checkpoints(struct db *db, const struct audit_families *families, uint64_t start,
                               uint64_t end, struct json_writer *writer)
{
    OWNED(db_iterator_free) struct db_iterator *at = NULL;
    uint8_t from[SIZE_KEY_BYTES];

    for (unsigned i = 0; i < SIZE_KEY_BYTES; i++)
        from[i] = (uint8_t)((start + 1) >> (56 - 8 * i));
    json_key(writer, "checkpoints");
    json_begin_array(writer);
    TRY(db_iterate(db, families->checkpoints, from, sizeof from, &at));
    for (; db_iterator_valid(at); db_iterator_next(at)) {
        size_t key_size = 0;
        size_t size = 0;
        const uint8_t *key = db_iterator_key(at, &key_size);
        struct cursor cursor = cursor_over(key, key_size);
        if (cursor_u64(&cursor) > end)
            break;
        if (key_size != SIZE_KEY_BYTES)
            continue; /* The frontier beside a note. */
        const uint8_t *note = db_iterator_value(at, &size);
        json_put_bytes(writer, note, size);
    }
    json_end_array(writer);
    return db_iterator_status(at);
}

STATUS audit_page_write(struct audit_log *log, struct db *db, const struct audit_families *families,
                        uint64_t start, unsigned limit, struct buffer *out)
{
    struct buffer entry OWNED(buffer_free) = BUFFER(AUDIT_ENTRY_BYTES_MAX);
    struct json_writer writer = json_writer_over(out);
    uint64_t size = audit_log_size(log);
    uint64_t at = start;

    json_begin_object(&writer);
    json_put_member_int(&writer, "size", (int64_t)size);
    json_put_member_int(&writer, "start", (int64_t)start);
    json_key(&writer, "entries");
    json_begin_array(&writer);
    for (; at < size && at - start < limit && out->size <= PAGE_BYTES_FULL; at++) {
        TRY(audit_log_entry(log, at, &entry));
        json_put_bytes(&writer, entry.bytes, entry.size);
        buffer_clear(&entry);
    }
    json_end_array(&writer);
    TRY(page_checkpoints(db, families, start, at, &writer));
    json_end_object(&writer);
    return buffer_status(out);
}
