/* SPDX-License-Identifier: Apache-2.0 */
/* A key gives its place to the next: by hand or by a schedule of the caller's; and which will have
 * to soon. */
#include "keys/keyring_rotate.h"

#include <assert.h>

#include "keys/keyring_parts.h"

void keyring_periods_set(struct keyring *ring, const struct keyring_periods *periods)
{
    assert(ring != NULL);
    assert(periods->kek_ms >= 0);
    assert(periods->dek_ms >= 0 && periods->dek_ms <= KEYRING_EPOCH_MS);
    assert(periods->fingerprint_ms >= 0);
    if (periods->kek_ms > 0)
        ring->periods.kek_ms = periods->kek_ms;
    if (periods->dek_ms > 0)
        ring->periods.dek_ms = periods->dek_ms;
    if (periods->fingerprint_ms > 0)
        ring->periods.fingerprint_ms = periods->fingerprint_ms;
}

STATUS keyring_rotate(struct keyring *ring, const char *tenant, enum key_purpose purpose,
                      enum key_level level, int64_t now_ms, struct keyring_rotation *out_rotation)
{
    assert(ring != NULL);
    assert(ring->loaded);
    assert(tenant != NULL);
    assert(out_rotation != NULL);
    bool is_kek = level == KEY_LEVEL_KEK;
    ENSURE(is_kek || level == KEY_LEVEL_DEK, WHY_BAD_INPUT);
    ENSURE(purpose >= KEY_PURPOSE_CARD && purpose < KEY_PURPOSE_COUNT, WHY_BAD_INPUT);
    ENSURE(is_kek || purpose != KEY_PURPOSE_INDEX, WHY_CONFLICT);
    struct keyring_lane *lane = keyring_lane_peek(ring, tenant, purpose);
    ENSURE(lane != NULL && lane->newest[level] != 0, WHY_NOT_FOUND);

    struct keyring_rotation rotation = {.old_id = lane->active[level]};
    if (is_kek)
        TRY(keyring_kek_renew(ring, lane, true, now_ms));
    else
        TRY(keyring_lane_renew(ring, lane, now_ms));
    rotation.new_id = lane->active[level];
    assert(rotation.new_id != rotation.old_id);
    *out_rotation = rotation;
    return STATUS_OK;
}

uint64_t keyring_active(const struct keyring *ring, const char *tenant, enum key_purpose purpose,
                        enum key_level level)
{
    assert(ring != NULL);
    assert(level == KEY_LEVEL_KEK || level == KEY_LEVEL_DEK);
    const struct keyring_lane *lane = keyring_lane_peek(ring, tenant, purpose);

    return lane == NULL ? 0 : lane->active[level];
}

uint64_t keyring_newest(const struct keyring *ring, const char *tenant, enum key_purpose purpose,
                        enum key_level level)
{
    assert(ring != NULL);
    assert(level == KEY_LEVEL_KEK || level == KEY_LEVEL_DEK);
    const struct keyring_lane *lane = keyring_lane_peek(ring, tenant, purpose);

    return lane == NULL ? 0 : lane->newest[level];
}

uint64_t keyring_previous(const struct keyring *ring, uint64_t key_id)
{
    assert(ring != NULL);
    assert(key_id >= 1 && key_id <= ring->entry_count);
    return ring->entries[key_id - 1].previous;
}

/* An epoch ends every day, and the next begins with the next card: nobody is told. */
static bool end_is_noticed(const struct key_info *info)
{
    return info->state == KEY_STATE_ACTIVE && info->not_after_encrypt_ms != 0 &&
           !keyring_uses_count(info);
}

unsigned keyring_due(const struct keyring *ring, int64_t now_ms, int64_t horizon_ms,
                     struct key_info *out_infos, unsigned count_max)
{
    assert(ring != NULL);
    assert(horizon_ms >= 0);
    assert(out_infos != NULL || count_max == 0);
    unsigned count = 0;

    for (size_t i = 0; i < ring->entry_count; i++) {
        const struct key_info *info = &ring->entries[i].info;
        if (!end_is_noticed(info) || info->not_after_encrypt_ms - now_ms > horizon_ms)
            continue;
        if (count < count_max)
            out_infos[count] = *info;
        count++;
    }
    return count;
}
