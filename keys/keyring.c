/* SPDX-License-Identifier: Apache-2.0 */
#include "keys/keyring.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "keys/keyring_parts.h"

#define MANIFEST_LABEL "cardkeep/v1/manifest"

STATUS keyring_grow(void **array, size_t thing_size, size_t count, size_t *capacity)
{
    size_t wanted = *capacity == 0 ? 16 : *capacity;

    if (count <= *capacity)
        return STATUS_OK;
    while (wanted < count)
        wanted *= 2;
    void *grown = calloc(wanted, thing_size);
    ENSURE(grown != NULL, WHY_NO_MEMORY);
    if (*array != NULL)
        memcpy(grown, *array, *capacity * thing_size);
    free(*array);
    *array = grown;
    *capacity = wanted;
    return STATUS_OK;
}

void keyring_free(struct keyring **ring)
{
    assert(ring != NULL);
    if (*ring == NULL)
        return;
    for (size_t i = 0; i < (*ring)->entry_count; i++)
        keyring_entry_close(*ring, &(*ring)->entries[i]);
    kdf_free(&(*ring)->root_kdf);
    kdf_free(&(*ring)->manifest_kdf);
    secret_free(&(*ring)->scratch);
    box_free(&(*ring)->box);
    free((*ring)->entries);
    free((*ring)->lanes);
    free((*ring)->page_macs);
    free((*ring)->page_stale);
    free((*ring)->changes);
    free(*ring);
    *ring = NULL;
}

STATUS keyring_root_open(struct keyring *ring, const struct secret *root, struct kdf **out_root,
                         struct kdf **out_manifest)
{
    OWNED(kdf_free) struct kdf *root_kdf = NULL;
    struct buffer context OWNED(buffer_free) = BUFFER(KEYRING_ENVIRONMENT_BYTES_MAX + 2);

    buffer_add_counted(&context, ring->environment);
    TRY(buffer_status(&context));
    TRY(kdf_new(root, &root_kdf));
    struct status status = kdf_derive(root_kdf, MANIFEST_LABEL, context.bytes, context.size,
                                      secret_bytes(ring->scratch), KEYRING_KEY_BYTES);
    if (!failed(status))
        status = kdf_new(ring->scratch, out_manifest);
    sodium_memzero(secret_bytes(ring->scratch), KEYRING_KEY_BYTES);
    TRY(status);
    *out_root = MOVE(root_kdf);
    return STATUS_OK;
}

STATUS keyring_new(const struct secret *root, const char *environment, struct keyring **out_ring)
{
    assert(root != NULL);
    assert(environment != NULL);
    assert(out_ring != NULL);
    size_t size = strlen(environment);
    ENSURE(size >= 1 && size < KEYRING_ENVIRONMENT_BYTES_MAX, WHY_BAD_INPUT);

    struct keyring *ring OWNED(keyring_free) = calloc(1, sizeof *ring);
    ENSURE(ring != NULL, WHY_NO_MEMORY);
    memcpy(ring->environment, environment, size + 1);
    ring->limits =
        (struct keyring_limits){.uses_max = KEYRING_USES_MAX, .opened_max = KEYRING_OPENED_MAX};
    ring->periods = (struct keyring_periods){.kek_ms = KEYRING_KEK_PERIOD_MS,
                                             .dek_ms = KEYRING_EPOCH_MS,
                                             .fingerprint_ms = KEYRING_FINGERPRINT_PERIOD_MS};
    TRY(box_new(&ring->box));
    TRY(secret_new_key(KEYRING_KEY_BYTES, &ring->scratch));
    TRY(keyring_root_open(ring, root, &ring->root_kdf, &ring->manifest_kdf));
    *out_ring = MOVE(ring);
    return STATUS_OK;
}

void keyring_limits_for_test(struct keyring *ring, struct keyring_limits limits)
{
    assert(limits.uses_max >= 1 && limits.uses_max <= KEYRING_USES_MAX);
    assert(limits.opened_max >= 2 && limits.opened_max <= KEYRING_OPENED_MAX);
    ring->limits = limits;
}

static int lane_compare(const struct keyring_lane *lane, const char *tenant,
                        enum key_purpose purpose)
{
    if (lane->purpose != purpose)
        return lane->purpose < purpose ? -1 : 1;
    return strcmp(lane->tenant, tenant);
}

/* Where the lane is, or where it would have to be. */
static size_t lane_search(const struct keyring *ring, const char *tenant, enum key_purpose purpose)
{
    size_t low = 0;
    size_t high = ring->lane_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (lane_compare(&ring->lanes[middle], tenant, purpose) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct keyring_lane *keyring_lane_peek(const struct keyring *ring, const char *tenant,
                                       enum key_purpose purpose)
{
    size_t index = lane_search(ring, tenant, purpose);
    bool known =
        index < ring->lane_count && lane_compare(&ring->lanes[index], tenant, purpose) == 0;

    return known ? &ring->lanes[index] : NULL;
}

STATUS keyring_lane_find(struct keyring *ring, const char *tenant, enum key_purpose purpose,
                         struct keyring_lane **out_lane)
{
    *out_lane = keyring_lane_peek(ring, tenant, purpose);
    if (*out_lane == NULL) {
        size_t index = lane_search(ring, tenant, purpose);
        size_t size = strlen(tenant);
        ENSURE(size < KEYRING_TENANT_BYTES_MAX, WHY_LIMIT);
        void *lanes = ring->lanes;
        struct status status =
            keyring_grow(&lanes, sizeof *ring->lanes, ring->lane_count + 1, &ring->lane_capacity);
        ring->lanes = lanes;
        TRY(status);
        struct keyring_lane *lane = &ring->lanes[index];
        memmove(lane + 1, lane, (ring->lane_count - index) * sizeof *lane);
        *lane = (struct keyring_lane){.purpose = purpose};
        memcpy(lane->tenant, tenant, size + 1);
        ring->lane_count++;
        *out_lane = lane;
    }
    return STATUS_OK;
}

STATUS keyring_use(struct keyring *ring, const char *tenant, enum key_purpose purpose,
                   int64_t now_ms, uint64_t *out_key_id)
{
    assert(ring != NULL);
    assert(ring->loaded);
    assert(tenant != NULL);
    assert(out_key_id != NULL);
    ENSURE(purpose >= KEY_PURPOSE_CARD && purpose < KEY_PURPOSE_COUNT, WHY_BAD_INPUT);
    ENSURE((purpose == KEY_PURPOSE_INDEX) == (tenant[0] == '\0'), WHY_BAD_INPUT);
    if (now_ms == 0)
        now_ms = ring->ticked_ms;
    else if (now_ms < ring->ticked_ms || now_ms - ring->ticked_ms >= KEYRING_TICK_MS)
        TRY(keyring_tick(ring, now_ms));

    struct keyring_lane *lane = NULL;
    TRY(keyring_lane_find(ring, tenant, purpose, &lane));
    struct keyring_entry *entry = keyring_entry_find(ring, lane->active[KEY_LEVEL_DEK]);
    if (entry == NULL || keyring_entry_is_over(ring, entry, now_ms)) {
        TRY(keyring_lane_renew(ring, lane, now_ms));
        entry = keyring_entry_find(ring, lane->active[KEY_LEVEL_DEK]);
        assert(entry != NULL);
    }
    assert(entry->info.state == KEY_STATE_ACTIVE);
    if (keyring_uses_count(&entry->info))
        entry->uses++;
    *out_key_id = entry->info.id;
    return STATUS_OK;
}

static STATUS ring_lend(struct keyring *ring, uint64_t key_id, enum keyring_door door,
                        struct kdf **out_kdf, const struct key_info **out_info)
{
    struct keyring_entry *entry = keyring_entry_find(ring, key_id);

    ENSURE(entry != NULL, WHY_NOT_FOUND);
    ENSURE(entry->info.level == KEY_LEVEL_DEK, WHY_DENIED); /* KEKs wrap keys, and only in here. */
    TRY(keyring_entry_open(ring, entry, door, out_kdf));
    if (out_info != NULL)
        *out_info = &entry->info;
    return STATUS_OK;
}

STATUS keyring_kdf(struct keyring *ring, uint64_t key_id, bool to_encrypt, struct kdf **out_kdf,
                   const struct key_info **out_info)
{
    assert(ring != NULL);
    assert(ring->loaded);
    assert(out_kdf != NULL);
    const struct keyring_entry *entry = keyring_entry_find(ring, key_id);
    ENSURE(entry != NULL, WHY_NOT_FOUND);
    ENSURE(!to_encrypt || entry->info.state == KEY_STATE_ACTIVE, WHY_DENIED);
    return ring_lend(ring, key_id, KEYRING_DOOR_DAILY, out_kdf, out_info);
}

STATUS keyring_kdf_migrating(struct keyring *ring, uint64_t key_id, struct kdf **out_kdf,
                             const struct key_info **out_info)
{
    assert(ring != NULL);
    assert(ring->loaded);
    assert(out_kdf != NULL);
    return ring_lend(ring, key_id, KEYRING_DOOR_MIGRATION, out_kdf, out_info);
}

bool keyring_take_change(struct keyring *ring, struct keyring_change *out_change)
{
    assert(ring != NULL);
    assert(out_change != NULL);
    if (ring->change_next < ring->change_count) {
        *out_change = ring->changes[ring->change_next++];
        return true;
    }
    if (!ring->manifest_due)
        return false;
    *out_change = (struct keyring_change){.event = ""};
    struct status status =
        keyring_manifest_make(ring, ring->generation + 1, out_change->row, &out_change->row_size);
    /* Only where memory has run out; and rows stored without their manifest could never be loaded
     * again. */
    assert(!failed(status));
    ring->generation++;
    ring->manifest_due = false;
    return true;
}

void keyring_stored(struct keyring *ring)
{
    assert(ring->change_next == ring->change_count);
    assert(!ring->manifest_due);
    ring->change_next = 0;
    ring->change_count = 0;
}

void keyring_untake(struct keyring *ring)
{
    ring->manifest_due = ring->manifest_due || ring->change_count > 0;
    ring->change_next = 0;
}

uint64_t keyring_generation(const struct keyring *ring)
{
    return ring->generation;
}

const char *keyring_environment(const struct keyring *ring)
{
    return ring->environment;
}

void keyring_rest(struct keyring *ring)
{
    assert(ring != NULL);
    box_forget(ring->box);
}

struct box *keyring_box(struct keyring *ring)
{
    return ring->box;
}

bool keyring_info_at(const struct keyring *ring, unsigned index, struct key_info *out_info)
{
    assert(ring != NULL);
    assert(out_info != NULL);
    if (index >= ring->entry_count)
        return false;
    *out_info = ring->entries[index].info;
    return true;
}

uint64_t keyring_uses(const struct keyring *ring, uint64_t key_id)
{
    assert(ring != NULL);
    return key_id == 0 || key_id > ring->entry_count ? 0 : ring->entries[key_id - 1].uses;
}
