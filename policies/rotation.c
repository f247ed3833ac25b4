/* SPDX-License-Identifier: Apache-2.0 */
#include "policies/rotation.h"

#include <assert.h>
#include <string.h>

#include "base/encode.h"
#include "base/json.h"
#include "base/own.h"

#define ROW_VERSION   1u
#define ROW_BYTES_MAX (32u + 2u * SUCCESSION_KEY_MAX)

/* The row: u8 version, u64 seq, u64 until, counted key, counted next key. */
STATUS rotation_load(struct db *db, unsigned state_family, struct rotation *out_rotation)
{
    struct buffer row OWNED(buffer_free) = BUFFER(ROW_BYTES_MAX);
    struct rotation rotation = {.under_way = true};
    char from[SUCCESSION_KEY_MAX];
    char to[SUCCESSION_KEY_MAX];

    struct status status = db_get(db, state_family, ROTATION_ROW, strlen(ROTATION_ROW), &row);
    if (status.why == WHY_NOT_FOUND) {
        *out_rotation = (struct rotation){0};
        return STATUS_OK;
    }
    TRY(status);
    struct cursor in = cursor_over(row.bytes, row.size);
    uint8_t version = cursor_u8(&in);
    rotation.seq = cursor_u64(&in);
    rotation.until_ms = (int64_t)cursor_u64(&in);
    cursor_text(&in, from, sizeof from);
    cursor_text(&in, to, sizeof to);
    ENSURE(cursor_done(&in) && version == ROW_VERSION && rotation.until_ms >= 0, WHY_FORGED);
    ENSURE(!failed(note_key_parse(from, &rotation.from)), WHY_FORGED);
    ENSURE(!failed(note_key_parse(to, &rotation.to)), WHY_FORGED);
    *out_rotation = rotation;
    return STATUS_OK;
}

STATUS rotation_keep(const struct rotation *rotation, struct db *db, struct db_batch *batch,
                     unsigned state_family)
{
    struct buffer row OWNED(buffer_free) = BUFFER(ROW_BYTES_MAX);
    char key[SUCCESSION_KEY_MAX];

    if (!rotation->under_way) {
        db_batch_delete(batch, db, state_family, ROTATION_ROW, strlen(ROTATION_ROW));
        return STATUS_OK;
    }
    buffer_add_u8(&row, ROW_VERSION);
    buffer_add_u64(&row, rotation->seq);
    buffer_add_u64(&row, (uint64_t)rotation->until_ms);
    note_key_text(&rotation->from, key, sizeof key);
    buffer_add_counted(&row, key);
    note_key_text(&rotation->to, key, sizeof key);
    buffer_add_counted(&row, key);
    TRY(buffer_status(&row));
    db_batch_put(batch, db, state_family, ROTATION_ROW, strlen(ROTATION_ROW), row.bytes, row.size);
    return STATUS_OK;
}

static bool same_key(const struct note_key *a, const struct note_key *b)
{
    return memcmp(a->public_key, b->public_key, sizeof a->public_key) == 0;
}

enum rotation_step rotation_next(const struct rotation *rotation, const struct signer_keys *keys,
                                 uint64_t signed_size, int64_t now_ms)
{
    const struct succession *succession = &keys->succession;

    if (!rotation->under_way)
        return keys->both ? ROTATION_AGAIN : ROTATION_REST;
    if (same_key(&rotation->to, &succession->from))
        return ROTATION_END;
    if (!keys->has_next)
        return ROTATION_MAKE;
    if (!same_key(&rotation->to, &succession->to) || !same_key(&rotation->from, &succession->from))
        return ROTATION_AGAIN;
    if (signed_size <= rotation->seq)
        return ROTATION_REST; /* The entry is not under the old key's signature yet. */
    if (!keys->both)
        return ROTATION_OVERLAP;
    return now_ms >= rotation->until_ms ? ROTATION_RETIRE : ROTATION_REST;
}

void rotation_entry(const struct signer_keys *keys, char *object, char *detail,
                    struct audit_entry *entry)
{
    assert(keys->has_next);
    note_key_text(&keys->succession.to, object, SUCCESSION_KEY_MAX);
    succession_detail(&keys->succession, detail);
    entry->event = SUCCESSION_EVENT;
    entry->outcome = "ok";
    entry->object = object;
    entry->detail = detail;
}

void rotation_retire_entry(const struct rotation *rotation, char *object, struct audit_entry *entry)
{
    assert(rotation->under_way);
    note_key_text(&rotation->from, object, SUCCESSION_KEY_MAX);
    entry->event = SUCCESSION_RETIRE_EVENT;
    entry->outcome = "ok";
    entry->object = object;
    entry->detail = "it is overwritten and signs no more";
}

int64_t rotation_due_ms(const struct signer_keys *keys, const struct rotation_times *times)
{
    return keys->since_ms + times->period_ms;
}

static void put_time(struct json_writer *writer, const char *name, int64_t ms)
{
    char text[CLOCK_TEXT_SIZE];

    clock_text(ms, text);
    json_put_member(writer, name, text);
}

void rotation_write(const struct rotation *rotation, const struct signer_keys *keys,
                    const struct rotation_times *times, struct buffer *out)
{
    struct json_writer writer = json_writer_over(out);
    char key[SUCCESSION_KEY_MAX];
    bool under_way = rotation->under_way && !same_key(&rotation->to, &keys->succession.from);

    json_begin_object(&writer);
    note_key_text(&keys->succession.from, key, sizeof key);
    json_put_member(&writer, "key", key);
    put_time(&writer, "created_at", keys->since_ms);
    put_time(&writer, "due_at", rotation_due_ms(keys, times));
    json_put_member(&writer, "state", !under_way ? "alone" : keys->both ? "both" : "announced");
    if (under_way) {
        note_key_text(&rotation->to, key, sizeof key);
        json_put_member(&writer, "next", key);
        put_time(&writer, "overlap_until", rotation->until_ms);
    } else {
        json_put_member(&writer, "next", NULL);
        json_put_member(&writer, "overlap_until", NULL);
    }
    json_end_object(&writer);
}
