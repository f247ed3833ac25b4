/* SPDX-License-Identifier: Apache-2.0 */
/* Every change goes the same way: the next entry is built aside, wrapped with its new attributes,
 * queued as a row, and only then takes the place of the old one.  A failure on the way leaves the
 * ring as it was. */
#include "keys/keyring_parts.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

#include "base/encode.h"
#include "base/own.h"

static const char *const event_by_state[] = {
    [KEY_STATE_PRE_ACTIVE] = "key.create",      [KEY_STATE_ACTIVE] = "key.activate",
    [KEY_STATE_SUSPENDED] = "key.suspend",      [KEY_STATE_DEACTIVATED] = "key.deactivate",
    [KEY_STATE_COMPROMISED] = "key.compromise", [KEY_STATE_DESTROYED] = "key.destroy",
};

bool keyring_uses_count(const struct key_info *info)
{
    return info->level == KEY_LEVEL_DEK &&
           (info->purpose == KEY_PURPOSE_CARD || info->purpose == KEY_PURPOSE_CVV);
}

bool keyring_entry_is_over(const struct keyring *ring, const struct keyring_entry *entry,
                           int64_t now_ms)
{
    if (entry->info.not_after_encrypt_ms == 0)
        return false;
    return now_ms >= entry->info.not_after_encrypt_ms || entry->uses >= ring->limits.uses_max;
}

/* Queues the row of `next` and puts it in the ring at its id, which may be one past the end. */
static STATUS change_commit(struct keyring *ring, struct keyring_entry *next, const char *event)
{
    size_t index = next->info.id - 1;
    void *changes = ring->changes;

    assert(index <= ring->entry_count);
    assert(index < ring->entry_capacity);
    struct status status = keyring_grow(&changes, sizeof *ring->changes, ring->change_count + 1,
                                        &ring->change_capacity);
    ring->changes = changes;
    TRY(status);

    struct keyring_change *change = &ring->changes[ring->change_count];
    *change = (struct keyring_change){.info = next->info, .event = event, .row_id = next->info.id};
    TRY(keyring_row_encode(next, change->row, &change->row_size));
    TRY(keyring_row_mac(ring->manifest_kdf, change->row, change->row_size, next->mac));
    TRY(keyring_page_touch(ring, index));

    if (index < ring->entry_count)
        keyring_sums_toggle(ring, next->info.id, ring->entries[index].mac);
    keyring_sums_toggle(ring, next->info.id, next->mac);
    ring->change_count++;
    ring->manifest_due = true;
    ring->entries[index] = *next;
    if (index == ring->entry_count)
        ring->entry_count++;
    return STATUS_OK;
}

static STATUS parent_open(struct keyring *ring, uint64_t parent_id, struct kdf **out_kdf)
{
    if (parent_id == 0) {
        *out_kdf = ring->root_kdf;
        return STATUS_OK;
    }
    struct keyring_entry *parent = keyring_entry_find(ring, parent_id);
    ENSURE(parent != NULL, WHY_FORGED);
    return keyring_entry_open(ring, parent, KEYRING_DOOR_DAILY, out_kdf);
}

/* To wrap a key under it: KEY-8 and KEY-9, for keys that protect keys. */
static STATUS wrapper_open(struct keyring *ring, uint64_t parent_id, struct kdf **out_kdf)
{
    const struct keyring_entry *parent = keyring_entry_find(ring, parent_id);

    ENSURE(parent == NULL || parent->info.state == KEY_STATE_ACTIVE, WHY_DENIED);
    return parent_open(ring, parent_id, out_kdf);
}

/* Wraps the key of `entry` again, with the attributes and under the parent that `info` says. */
static STATUS sealed_renew(struct keyring *ring, const struct keyring_entry *entry,
                           const struct key_info *info, uint8_t *sealed)
{
    struct kdf *to = NULL;
    struct kdf *from = NULL;

    /* Both at hand before the scratch is in use, as opening needs it; of two keys opened one after
     * the other neither evicts the other. */
    assert(ring->limits.opened_max >= 2);
    TRY(wrapper_open(ring, info->parent_id, &to));
    TRY(parent_open(ring, entry->info.parent_id, &from));
    struct status status = keyring_row_unwrap(ring, entry, from);
    if (!failed(status))
        status = keyring_row_wrap(ring, info, to, sealed);
    sodium_memzero(secret_bytes(ring->scratch), KEYRING_KEY_BYTES);
    return status;
}

static STATUS entry_change(struct keyring *ring, struct keyring_entry *entry,
                           const struct key_info *info, const char *event)
{
    struct keyring_entry next = *entry;

    assert(info->id == entry->info.id);
    next.info = *info;
    next.info.generation = ring->generation + 1;
    if (info->state == KEY_STATE_DESTROYED) {
        next.has_sealed = false;
        sodium_memzero(next.sealed, sizeof next.sealed);
    } else if (entry->has_sealed) {
        TRY(sealed_renew(ring, entry, &next.info, next.sealed));
        /* Opening the parents may have closed this very entry. */
        next.opened = entry->opened;
    }
    TRY(change_commit(ring, &next, event));
    if (info->state == KEY_STATE_DESTROYED)
        keyring_entry_close(ring, entry);
    return STATUS_OK;
}

static int64_t period_ms(const struct keyring *ring, const struct key_info *info)
{
    if (info->level == KEY_LEVEL_KEK)
        return ring->periods.kek_ms;
    switch (info->purpose) {
    case KEY_PURPOSE_CARD:
        return ring->periods.dek_ms;
    case KEY_PURPOSE_FINGERPRINT:
        return ring->periods.fingerprint_ms;
    case KEY_PURPOSE_CVV:
        return KEYRING_CVV_EPOCH_MS;
    case KEY_PURPOSE_INDEX:
    case KEY_PURPOSE_COUNT:
        break;
    }
    return 0;
}

/* Gives a new entry its key: wrapped in its row; or, for a CVV key, pinned and nowhere else. */
static STATUS key_make(struct keyring *ring, struct keyring_entry *entry)
{
    struct kdf *parent = NULL;
    struct status status = STATUS_OK;
    bool pinned = entry->info.purpose == KEY_PURPOSE_CVV;

    if (!pinned)
        TRY(wrapper_open(ring, entry->info.parent_id, &parent));
    random_bytes(secret_bytes(ring->scratch), KEYRING_KEY_BYTES);
    if (pinned)
        status = kdf_new(ring->scratch, &entry->pinned);
    else
        status = keyring_row_wrap(ring, &entry->info, parent, entry->sealed);
    entry->has_sealed = !pinned;
    sodium_memzero(secret_bytes(ring->scratch), KEYRING_KEY_BYTES);
    return status;
}

/* A new active key of the lane.  It stays wrapped: its first use opens it from its row, and so
 * shows that the row is good. */
static STATUS entry_create(struct keyring *ring, struct keyring_lane *lane, enum key_level level,
                           int64_t now_ms)
{
    ENSURE(ring->entry_count < KEYRING_KEYS_MAX, WHY_LIMIT);
    void *entries = ring->entries;
    struct status status =
        keyring_grow(&entries, sizeof *ring->entries, ring->entry_count + 1, &ring->entry_capacity);
    ring->entries = entries;
    TRY(status);

    struct keyring_entry entry = {
        .info = {.id = ring->entry_count + 1,
                 .version = lane->versions[level] + 1,
                 .level = level,
                 .purpose = lane->purpose,
                 .state = KEY_STATE_ACTIVE,
                 .created_ms = now_ms,
                 .changed_ms = now_ms,
                 .generation = ring->generation + 1},
    };
    memcpy(entry.info.tenant, lane->tenant, sizeof entry.info.tenant);
    if (level == KEY_LEVEL_DEK)
        entry.info.parent_id = lane->active[KEY_LEVEL_KEK];
    if (period_ms(ring, &entry.info) != 0)
        entry.info.not_after_encrypt_ms = now_ms + period_ms(ring, &entry.info);
    entry.previous = lane->newest[level];

    status = key_make(ring, &entry);
    if (!failed(status))
        status = change_commit(ring, &entry, "key.create");
    if (failed(status)) {
        kdf_free(&entry.pinned);
        return status;
    }
    lane->active[level] = entry.info.id;
    lane->newest[level] = entry.info.id;
    lane->versions[level]++;
    return STATUS_OK;
}

/* All live keys under `old_id` go under the lane's new KEK: 32 bytes each, and no card. */
static STATUS children_rewrap(struct keyring *ring, const struct keyring_lane *lane,
                              uint64_t old_id)
{
    for (size_t i = 0; i < ring->entry_count; i++) {
        struct keyring_entry *entry = &ring->entries[i];
        if (entry->info.parent_id != old_id || !entry->has_sealed)
            continue;
        struct key_info info = entry->info;
        info.parent_id = lane->active[KEY_LEVEL_KEK];
        TRY(entry_change(ring, entry, &info, "key.rewrap"));
    }
    return STATUS_OK;
}

STATUS keyring_kek_renew(struct keyring *ring, struct keyring_lane *lane, bool always,
                         int64_t now_ms)
{
    uint64_t old_id = lane->active[KEY_LEVEL_KEK];
    struct keyring_entry *old = keyring_entry_find(ring, old_id);

    if (lane->purpose == KEY_PURPOSE_CVV)
        return STATUS_OK;
    if (old != NULL && !always && !keyring_entry_is_over(ring, old, now_ms))
        return STATUS_OK;
    TRY(entry_create(ring, lane, KEY_LEVEL_KEK, now_ms));
    if (old == NULL)
        return STATUS_OK;
    TRY(children_rewrap(ring, lane, old_id));
    old = keyring_entry_find(ring, old_id); /* The array may have moved. */
    struct key_info info = old->info;
    info.state = KEY_STATE_DEACTIVATED;
    info.changed_ms = now_ms;
    return entry_change(ring, old, &info, event_by_state[info.state]);
}

STATUS keyring_entry_move(struct keyring *ring, struct keyring_lane *lane,
                          struct keyring_entry *entry, enum key_state state, int64_t now_ms)
{
    uint64_t id = entry->info.id;
    bool wrapped_by_kek = entry->info.level == KEY_LEVEL_DEK && entry->has_sealed;

    if (wrapped_by_kek && state != KEY_STATE_DESTROYED) {
        /* A changed state is a new wrap, and only an active KEK may wrap. */
        TRY(keyring_kek_renew(ring, lane, false, now_ms));
        entry = keyring_entry_find(ring, id);
    }
    struct key_info info = entry->info;
    info.state = state;
    info.changed_ms = now_ms;
    if (wrapped_by_kek && state != KEY_STATE_DESTROYED)
        info.parent_id = lane->active[KEY_LEVEL_KEK];
    TRY(entry_change(ring, entry, &info, event_by_state[state]));
    if (state == KEY_STATE_ACTIVE)
        lane->active[info.level] = id;
    else if (lane->active[info.level] == id)
        lane->active[info.level] = 0;
    return STATUS_OK;
}

STATUS keyring_lane_renew(struct keyring *ring, struct keyring_lane *lane, int64_t now_ms)
{
    struct keyring_entry *old = keyring_entry_find(ring, lane->active[KEY_LEVEL_DEK]);

    if (old != NULL)
        TRY(keyring_entry_move(ring, lane, old, KEY_STATE_DEACTIVATED, now_ms));
    TRY(keyring_kek_renew(ring, lane, false, now_ms));
    return entry_create(ring, lane, KEY_LEVEL_DEK, now_ms);
}
