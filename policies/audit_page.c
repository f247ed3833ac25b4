/* SPDX-License-Identifier: Apache-2.0 */
#include "policies/audit_page.h"

#include <string.h>

#include "base/json.h"
#include "base/own.h"

#define PAGE_BYTES_FULL (2u << 20) /* No further entry is added beyond this. */
#define SIZE_KEY_BYTES  8u
#define NUMBER_DIGITS   18u

static STATUS page_number(const char *text, size_t size, uint64_t *out)
{
    uint64_t value = 0;

    ENSURE(size > 0 && size <= NUMBER_DIGITS, WHY_BAD_INPUT);
    for (size_t i = 0; i < size; i++) {
        ENSURE(text[i] >= '0' && text[i] <= '9', WHY_BAD_INPUT);
        value = 10 * value + (uint64_t)(text[i] - '0');
    }
    *out = value;
    return STATUS_OK;
}

STATUS audit_page_query(const char *query, uint64_t *out_start, unsigned *out_limit)
{
    uint64_t values[2] = {0, AUDIT_PAGE_ENTRIES_MAX};
    static const char *const names[] = {"start=", "limit="};
    bool seen[2] = {false, false};

    while (*query != '\0') {
        size_t size = strcspn(query, "&");
        unsigned which = strncmp(query, names[0], strlen(names[0])) == 0 ? 0 : 1;
        size_t prefix = strlen(names[which]);
        ENSURE(strncmp(query, names[which], prefix) == 0 && !seen[which], WHY_BAD_INPUT);
        TRY(page_number(query + prefix, size - prefix, &values[which]));
        seen[which] = true;
        query += size;
        if (*query == '&')
            ENSURE(*++query != '\0', WHY_BAD_INPUT);
    }
    ENSURE(values[1] >= 1 && values[1] <= AUDIT_PAGE_ENTRIES_MAX, WHY_BAD_INPUT);
    *out_start = values[0];
    *out_limit = (unsigned)values[1];
    return STATUS_OK;
}

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
