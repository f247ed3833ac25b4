/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a key: NIST SP 800-57 part 1 rev. 5 section 7, by hand and by the clock. */
#include "keys/keyring_parts.h"

#include <assert.h>

#include "base/own.h"

#define TO(state) (1u << (state))

/* To which states a key may go from each. */
static const unsigned transitions[] = {
    [KEY_STATE_PRE_ACTIVE] =
        TO(KEY_STATE_ACTIVE) | TO(KEY_STATE_COMPROMISED) | TO(KEY_STATE_DESTROYED),
    [KEY_STATE_ACTIVE] =
        TO(KEY_STATE_SUSPENDED) | TO(KEY_STATE_DEACTIVATED) | TO(KEY_STATE_COMPROMISED),
    [KEY_STATE_SUSPENDED] = TO(KEY_STATE_ACTIVE) | TO(KEY_STATE_DEACTIVATED) |
                            TO(KEY_STATE_COMPROMISED) | TO(KEY_STATE_DESTROYED),
    [KEY_STATE_DEACTIVATED] = TO(KEY_STATE_COMPROMISED) | TO(KEY_STATE_DESTROYED),
    [KEY_STATE_COMPROMISED] = TO(KEY_STATE_DESTROYED),
    [KEY_STATE_DESTROYED] = 0,
};

bool keyring_may_change(enum key_state from, enum key_state to)
{
    assert(from >= KEY_STATE_PRE_ACTIVE && from <= KEY_STATE_DESTROYED);
    return to >= KEY_STATE_PRE_ACTIVE && to <= KEY_STATE_DESTROYED &&
           (transitions[from] & TO(to)) != 0;
}

static bool has_children(const struct keyring *ring, uint64_t key_id)
{
    for (size_t i = 0; i < ring->entry_count; i++) {
        if (ring->entries[i].info.parent_id == key_id && ring->entries[i].has_sealed)
            return true;
    }
    return false;
}

/* A KEK has its successor before it goes, and goes only when nothing hangs from it any more. */
static STATUS kek_change_state(struct keyring *ring, struct keyring_lane *lane, uint64_t key_id,
                               enum key_state state, int64_t now_ms)
{
    ENSURE(state != KEY_STATE_SUSPENDED, WHY_CONFLICT); /* Its DEKs are what can be suspended. */
    if (lane->active[KEY_LEVEL_KEK] == key_id)
        TRY(keyring_kek_renew(ring, lane, true, now_ms));
    ENSURE(state == KEY_STATE_ACTIVE || !has_children(ring, key_id), WHY_CONFLICT);
    struct keyring_entry *entry = keyring_entry_find(ring, key_id);
    if (entry->info.state == state)
        return STATUS_OK; /* It was deactivated by its successor. */
    return keyring_entry_move(ring, lane, entry, state, now_ms);
}

STATUS keyring_change_state(struct keyring *ring, uint64_t key_id, enum key_state state,
                            int64_t now_ms)
{
    assert(ring != NULL);
    assert(ring->loaded);
    struct keyring_entry *entry = keyring_entry_find(ring, key_id);
    ENSURE(entry != NULL, WHY_NOT_FOUND);
    ENSURE(state >= KEY_STATE_PRE_ACTIVE && state <= KEY_STATE_DESTROYED, WHY_BAD_INPUT);
    ENSURE(entry->info.level == KEY_LEVEL_KEK || entry->info.purpose != KEY_PURPOSE_INDEX,
           WHY_CONFLICT);
    ENSURE(keyring_may_change(entry->info.state, state), WHY_CONFLICT);

    struct keyring_lane *lane = NULL;
    TRY(keyring_lane_find(ring, entry->info.tenant, entry->info.purpose, &lane));
    if (state == KEY_STATE_ACTIVE)
        ENSURE(lane->active[entry->info.level] == 0, WHY_CONFLICT);
    if (entry->info.level == KEY_LEVEL_KEK)
        return kek_change_state(ring, lane, key_id, state, now_ms);
    return keyring_entry_move(ring, lane, entry, state, now_ms);
}

/* The state in which the clock wants a key to be. */
static enum key_state state_due(const struct keyring *ring, const struct keyring_entry *entry,
                                int64_t now_ms)
{
    const struct key_info *info = &entry->info;

    if (info->state == KEY_STATE_DESTROYED)
        return info->state;
    if (info->state == KEY_STATE_ACTIVE)
        return keyring_entry_is_over(ring, entry, now_ms) ? KEY_STATE_DEACTIVATED : info->state;
    /* Cells are sealed while a key is active; the last of them has expired by now. */
    bool cells_expired = now_ms - info->changed_ms >= KEYRING_CVV_KEPT_MS;
    if (info->purpose == KEY_PURPOSE_CVV && cells_expired)
        return KEY_STATE_DESTROYED;
    return info->state;
}

STATUS keyring_tick(struct keyring *ring, int64_t now_ms)
{
    assert(ring != NULL);
    assert(ring->loaded);
    size_t count = ring->entry_count;

    for (size_t i = 0; i < count; i++) {
        struct keyring_entry *entry = &ring->entries[i];
        enum key_state state = state_due(ring, entry, now_ms);
        if (state == entry->info.state)
            continue;
        struct keyring_lane *lane = NULL;
        TRY(keyring_lane_find(ring, entry->info.tenant, entry->info.purpose, &lane));
        if (entry->info.level == KEY_LEVEL_KEK)
            TRY(keyring_kek_renew(ring, lane, false, now_ms)); /* Others hang from it. */
        else
            TRY(keyring_entry_move(ring, lane, entry, state, now_ms));
    }
    ring->ticked_ms = now_ms;
    return STATUS_OK;
}

const char *key_purpose_name(enum key_purpose purpose)
{
    switch (purpose) {
    case KEY_PURPOSE_CARD:
        return "card";
    case KEY_PURPOSE_FINGERPRINT:
        return "fingerprint";
    case KEY_PURPOSE_INDEX:
        return "index";
    case KEY_PURPOSE_CVV:
        return "cvv";
    case KEY_PURPOSE_COUNT:
        break;
    }
    return "unknown";
}

const char *key_state_name(enum key_state state)
{
    switch (state) {
    case KEY_STATE_PRE_ACTIVE:
        return "pre-active";
    case KEY_STATE_ACTIVE:
        return "active";
    case KEY_STATE_SUSPENDED:
        return "suspended";
    case KEY_STATE_DEACTIVATED:
        return "deactivated";
    case KEY_STATE_COMPROMISED:
        return "compromised";
    case KEY_STATE_DESTROYED:
        return "destroyed";
    }
    return "unknown";
}
