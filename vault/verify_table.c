/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/verify_table.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY 64u

static uint8_t *thing_at(const struct verify_table *table, size_t place)
{
    return table->things + place * table->thing_size;
}

static size_t home_of(const struct verify_table *table, const uint8_t *key)
{
    uint64_t hash = 0;

    memcpy(&hash, key, sizeof hash);
    return (size_t)hash & (table->capacity - 1);
}

/* Where the key is, or the empty place where it would go. */
static size_t place_of(const struct verify_table *table, const uint8_t *key)
{
    size_t place = home_of(table, key);

    while (table->used[place] && memcmp(thing_at(table, place), key, VERIFY_TABLE_KEY_BYTES) != 0)
        place = (place + 1) & (table->capacity - 1);
    return place;
}

static STATUS table_grow(struct verify_table *table)
{
    struct verify_table next = *table;

    next.capacity = table->capacity == 0 ? FIRST_CAPACITY : 2 * table->capacity;
    next.things = calloc(next.capacity, table->thing_size);
    next.used = calloc(next.capacity, 1);
    if (next.things == NULL || next.used == NULL) {
        free(next.things);
        free(next.used);
        return FAIL(WHY_NO_MEMORY);
    }
    for (size_t i = 0; i < table->capacity; i++) {
        if (!table->used[i])
            continue;
        size_t place = place_of(&next, thing_at(table, i));
        memcpy(thing_at(&next, place), thing_at(table, i), table->thing_size);
        next.used[place] = 1;
    }
    verify_table_free(table);
    *table = next;
    return STATUS_OK;
}

STATUS verify_table_put(struct verify_table *table, const void *thing)
{
    assert(table->thing_size >= VERIFY_TABLE_KEY_BYTES);
    if (2 * (table->count + 1) > table->capacity)
        TRY(table_grow(table));
    size_t place = place_of(table, thing);
    if (!table->used[place]) {
        ENSURE(table->count < table->count_max, WHY_LIMIT);
        table->count++;
    }
    memcpy(thing_at(table, place), thing, table->thing_size);
    table->used[place] = 1;
    return STATUS_OK;
}

void *verify_table_find(const struct verify_table *table, const uint8_t *key)
{
    if (table->count == 0)
        return NULL;
    size_t place = place_of(table, key);
    return table->used[place] ? thing_at(table, place) : NULL;
}

void verify_table_drop(struct verify_table *table, const uint8_t *key)
{
    if (table->count == 0)
        return;
    size_t hole = place_of(table, key);
    if (!table->used[hole])
        return;
    /* What was pushed past the hole moves up: look-ups stop at the first empty place. */
    for (size_t i = (hole + 1) & (table->capacity - 1); table->used[i];
         i = (i + 1) & (table->capacity - 1)) {
        size_t from_home = (i - home_of(table, thing_at(table, i))) & (table->capacity - 1);
        size_t from_hole = (i - hole) & (table->capacity - 1);
        if (from_home < from_hole)
            continue;
        memcpy(thing_at(table, hole), thing_at(table, i), table->thing_size);
        hole = i;
    }
    table->used[hole] = 0;
    table->count--;
}

const void *verify_table_at(const struct verify_table *table, size_t place)
{
    assert(place < table->capacity);
    return table->used[place] ? thing_at(table, place) : NULL;
}

void verify_table_free(struct verify_table *table)
{
    free(table->things);
    free(table->used);
    table->things = NULL;
    table->used = NULL;
    table->count = 0;
    table->capacity = 0;
}
