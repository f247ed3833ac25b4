/* SPDX-License-Identifier: Apache-2.0 */
/* From stored rows to a ring: rows are only collected until the manifest has vouched for all. */
#include "keys/keyring_parts.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* A row that can be none of ours is kept as a trouble, for keyring_loaded() to fail with. */
static bool row_is_readable(struct keyring *ring, uint64_t row_id, struct status decoded,
                            const struct keyring_entry *entry)
{
    if (row_id > KEYRING_KEYS_MAX)
        keyring_trouble_add(ring, row_id, "no key ever had this number");
    else if (failed(decoded))
        keyring_trouble_add(ring, row_id, "it is not a row as this vault writes them");
    else if (entry->info.id != row_id)
        keyring_trouble_add(ring, row_id, "it holds the row of another key, moved or renamed");
    else
        return true;
    return false;
}

static STATUS entry_add(struct keyring *ring, const struct keyring_entry *entry)
{
    ENSURE(ring->entry_count < KEYRING_KEYS_MAX, WHY_LIMIT);
    void *entries = ring->entries;
    struct status status =
        keyring_grow(&entries, sizeof *ring->entries, ring->entry_count + 1, &ring->entry_capacity);
    ring->entries = entries;
    TRY(status);
    ring->entries[ring->entry_count++] = *entry;
    keyring_sums_toggle(ring, entry->info.id, entry->mac);
    return STATUS_OK;
}

STATUS keyring_load(struct keyring *ring, uint64_t row_id, const void *row, size_t row_size)
{
    assert(ring != NULL);
    assert(row != NULL);
    assert(!ring->loaded);
    struct keyring_entry entry = {0};

    if (row_id == 0) {
        if (ring->manifest_loaded || row_size > KEYRING_ROW_BYTES_MAX) {
            keyring_trouble_add(ring, 0, "the manifest is not one as this vault writes them");
            return STATUS_OK;
        }
        memcpy(ring->manifest, row, row_size);
        ring->manifest_size = row_size;
        ring->manifest_loaded = true;
        return STATUS_OK;
    }
    struct status decoded = row_size <= KEYRING_ROW_BYTES_MAX
                                ? keyring_row_decode(row, row_size, &entry)
                                : FAIL(WHY_FORGED);
    if (!row_is_readable(ring, row_id, decoded, &entry))
        return STATUS_OK;
    TRY(keyring_row_mac(ring->manifest_kdf, row, row_size, entry.mac));
    /* A resumed key of an earlier process has an unknown number of uses behind it. */
    entry.uses = keyring_uses_count(&entry.info) ? ring->limits.uses_max : 0;
    return entry_add(ring, &entry);
}

static int entry_compare(const void *a, const void *b)
{
    const struct keyring_entry *left = a;
    const struct keyring_entry *right = b;

    return (left->info.id > right->info.id) - (left->info.id < right->info.id);
}

/* The rows in their order: the ids are 1, 2, 3, … and no other. */
static bool rows_are_dense(const struct keyring *ring)
{
    for (size_t i = 0; i < ring->entry_count; i++) {
        if (ring->entries[i].info.id != i + 1)
            return false;
    }
    return true;
}

/* Asks the manifest; and where it does not vouch for all, looks who is to blame. */
static STATUS rows_check(struct keyring *ring)
{
    if (ring->entry_count == 0 && ring->trouble_count == 0 && !ring->manifest_loaded)
        return STATUS_OK;
    if (ring->entry_count > 0)
        qsort(ring->entries, ring->entry_count, sizeof *ring->entries, entry_compare);
    if (ring->trouble_count > 0 || !ring->manifest_loaded || !rows_are_dense(ring))
        return keyring_rows_examine(ring);
    for (size_t i = 0; i < ring->entry_count; i++)
        TRY(keyring_page_touch(ring, i));
    struct status status = keyring_manifest_check(ring);
    return status.why == WHY_FORGED ? keyring_rows_examine(ring) : status;
}

static STATUS lanes_make(struct keyring *ring)
{
    for (size_t i = 0; i < ring->entry_count; i++) {
        const struct key_info *info = &ring->entries[i].info;
        struct keyring_lane *lane = NULL;
        TRY(keyring_lane_find(ring, info->tenant, info->purpose, &lane));
        ring->entries[i].previous = lane->newest[info->level];
        lane->newest[info->level] = info->id;
        if (info->version > lane->versions[info->level])
            lane->versions[info->level] = info->version;
        if (info->state == KEY_STATE_ACTIVE)
            lane->active[info->level] = info->id;
    }
    return STATUS_OK;
}

/* What the new process makes of a key of the old one. */
static enum key_state state_after_restart(const struct key_info *info)
{
    if (info->level != KEY_LEVEL_DEK)
        return info->state;
    if (info->purpose == KEY_PURPOSE_CVV)
        return KEY_STATE_DESTROYED; /* It was in that process's memory and is gone. */
    if (info->purpose == KEY_PURPOSE_CARD && info->state == KEY_STATE_ACTIVE)
        return KEY_STATE_DEACTIVATED; /* Its uses were counted in memory. */
    return info->state;
}

STATUS keyring_loaded(struct keyring *ring, int64_t now_ms)
{
    assert(ring != NULL);
    assert(!ring->loaded);
    TRY(rows_check(ring));
    TRY(lanes_make(ring));

    size_t count = ring->entry_count; /* Renewed KEKs are added behind. */
    for (size_t i = 0; i < count; i++) {
        struct keyring_entry *entry = &ring->entries[i];
        enum key_state state = state_after_restart(&entry->info);
        if (state == entry->info.state)
            continue;
        struct keyring_lane *lane = NULL;
        TRY(keyring_lane_find(ring, entry->info.tenant, entry->info.purpose, &lane));
        TRY(keyring_entry_move(ring, lane, entry, state, now_ms));
    }
    ring->ticked_ms = now_ms;
    ring->loaded = true;
    return STATUS_OK;
}
