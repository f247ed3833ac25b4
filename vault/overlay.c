/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/overlay.h"

#include <assert.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define OVERLAY_BUCKETS  16384u
#define OVERLAY_NONE     UINT32_MAX
#define OVERLAY_ROWS_MAX (1u << 20)

struct overlay_row {
    uint32_t next; /* Older row in the same bucket. */
    uint32_t bucket;
    size_t key_at;
    size_t value_at;
    uint32_t key_size;
    uint32_t value_size;
    uint8_t family;
    bool deleted;
};

STATUS overlay_open(struct overlay *out_overlay)
{
    *out_overlay = (struct overlay){.bytes = BUFFER(OVERLAY_BYTES_MAX)};
    out_overlay->buckets = calloc(OVERLAY_BUCKETS, sizeof *out_overlay->buckets);
    ENSURE(out_overlay->buckets != NULL, WHY_NO_MEMORY);
    for (unsigned i = 0; i < OVERLAY_BUCKETS; i++)
        out_overlay->buckets[i] = OVERLAY_NONE;
    return STATUS_OK;
}

void overlay_close(struct overlay *overlay)
{
    buffer_free(&overlay->bytes);
    free(overlay->rows);
    free(overlay->buckets);
    *overlay = (struct overlay){0};
}

/* FNV-1a: the keys are keyed hashes or counters, so nobody outside can choose collisions. */
static uint32_t overlay_bucket(uint8_t family, const uint8_t *key, size_t size)
{
    uint32_t hash = 2166136261u ^ family;

    for (size_t i = 0; i < size; i++)
        hash = (hash ^ key[i]) * 16777619u;
    return hash % OVERLAY_BUCKETS;
}

static STATUS overlay_grow(struct overlay *overlay)
{
    if (overlay->count < overlay->capacity)
        return STATUS_OK;
    uint32_t capacity = overlay->capacity == 0 ? 1024 : overlay->capacity * 2;
    ENSURE(capacity <= OVERLAY_ROWS_MAX, WHY_BUSY);
    struct overlay_row *rows = reallocarray(overlay->rows, capacity, sizeof *rows);
    ENSURE(rows != NULL, WHY_NO_MEMORY);
    overlay->rows = rows;
    overlay->capacity = capacity;
    return STATUS_OK;
}

STATUS overlay_put(struct overlay *overlay, uint8_t family, const void *key, size_t key_size,
                   const void *value, size_t value_size)
{
    TRY(overlay_grow(overlay));
    uint32_t bucket = overlay_bucket(family, key, key_size);
    struct overlay_row row = {
        .next = overlay->buckets[bucket],
        .bucket = bucket,
        .key_at = overlay->bytes.size,
        .value_at = overlay->bytes.size + key_size,
        .key_size = (uint32_t)key_size,
        .value_size = (uint32_t)value_size,
        .family = family,
        .deleted = value == NULL,
    };
    buffer_add(&overlay->bytes, key, key_size);
    buffer_add(&overlay->bytes, value, value_size);
    TRY(buffer_status(&overlay->bytes));
    overlay->buckets[bucket] = overlay->count;
    overlay->rows[overlay->count++] = row;
    return STATUS_OK;
}

STATUS overlay_get(const struct overlay *overlay, uint8_t family, const void *key, size_t key_size,
                   const uint8_t **out_value, size_t *out_size)
{
    uint32_t at = overlay->buckets[overlay_bucket(family, key, key_size)];

    while (at != OVERLAY_NONE) {
        const struct overlay_row *row = &overlay->rows[at];
        if (row->family == family && row->key_size == key_size &&
            memcmp(overlay->bytes.bytes + row->key_at, key, key_size) == 0) {
            *out_value = row->deleted ? NULL : overlay->bytes.bytes + row->value_at;
            *out_size = row->value_size;
            return STATUS_OK;
        }
        at = row->next;
    }
    return FAIL(WHY_NOT_FOUND);
}

void overlay_rewind(struct overlay *overlay, uint32_t count)
{
    assert(count <= overlay->count);
    while (overlay->count > count) {
        const struct overlay_row *row = &overlay->rows[--overlay->count];
        assert(overlay->buckets[row->bucket] == overlay->count);
        overlay->buckets[row->bucket] = row->next;
    }
    /* A row that did not fit fails only who brought it: what is left may grow again. */
    struct buffer *bytes = &overlay->bytes;
    const struct overlay_row *last = count == 0 ? NULL : &overlay->rows[count - 1];
    size_t kept = last == NULL ? 0 : last->value_at + last->value_size;
    if (bytes->size > kept)
        sodium_memzero(bytes->bytes + kept, bytes->size - kept);
    bytes->size = kept;
    bytes->why = WHY_NONE;
}
