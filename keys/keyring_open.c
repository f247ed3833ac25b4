/* SPDX-License-Identifier: Apache-2.0 */
/* Keys are unwrapped when they are first needed and few of them stay so (HSM-4): a DEK of last year
 * is opened for the cards that are read, and gives its place to the next. */
#include "keys/keyring_parts.h"

#include <assert.h>
#include <sodium.h>

#include "base/own.h"

struct keyring_entry *keyring_entry_find(struct keyring *ring, uint64_t key_id)
{
    if (key_id == 0 || key_id > ring->entry_count)
        return NULL;
    return &ring->entries[key_id - 1];
}

void keyring_entry_close(struct keyring *ring, struct keyring_entry *entry)
{
    kdf_free(&entry->pinned);
    if (entry->opened == 0)
        return;
    struct keyring_opened *opened = &ring->opened[entry->opened - 1];
    assert(opened->key_id == entry->info.id);
    kdf_free(&opened->kdf);
    *opened = (struct keyring_opened){0};
    entry->opened = 0;
}

/* Puts an unwrapped key into a free place, or into that of the key used longest ago. */
static struct kdf *place_take(struct keyring *ring, struct keyring_entry *entry, struct kdf *kdf)
{
    unsigned oldest = 0;

    for (unsigned i = 0; i < ring->limits.opened_max; i++) {
        if (ring->opened[i].used_at < ring->opened[oldest].used_at)
            oldest = i;
    }
    struct keyring_entry *evicted = keyring_entry_find(ring, ring->opened[oldest].key_id);
    if (evicted != NULL)
        keyring_entry_close(ring, evicted);
    ring->opened[oldest] =
        (struct keyring_opened){.kdf = kdf, .key_id = entry->info.id, .used_at = ++ring->look_ups};
    entry->opened = (uint16_t)(oldest + 1);
    return kdf;
}

static bool state_opens(enum key_state state)
{
    return state == KEY_STATE_ACTIVE || state == KEY_STATE_SUSPENDED ||
           state == KEY_STATE_DEACTIVATED;
}

/* Unwraps `entry`, whose parent is at hand. */
static STATUS unwrap_under(struct keyring *ring, struct keyring_entry *entry, struct kdf *parent,
                           struct kdf **out_kdf)
{
    OWNED(kdf_free) struct kdf *kdf = NULL;
    struct status status = keyring_row_unwrap(ring, entry, parent);

    if (!failed(status))
        status = kdf_new(ring->scratch, &kdf);
    sodium_memzero(secret_bytes(ring->scratch), KEYRING_KEY_BYTES);
    if (status.why == WHY_FORGED)
        keyring_trouble_add(ring, entry->info.id, "its key did not open when it was to be used");
    TRY(status);
    *out_kdf = place_take(ring, entry, MOVE(kdf));
    return STATUS_OK;
}

/* The kdf of a key that is open already; NULL where it is not. */
static struct kdf *opened_find(struct keyring *ring, const struct keyring_entry *entry)
{
    if (entry->pinned != NULL)
        return entry->pinned;
    if (entry->opened == 0)
        return NULL;
    struct keyring_opened *opened = &ring->opened[entry->opened - 1];
    assert(opened->key_id == entry->info.id);
    opened->used_at = ++ring->look_ups;
    return opened->kdf;
}

STATUS keyring_entry_open(struct keyring *ring, struct keyring_entry *entry, enum keyring_door door,
                          struct kdf **out_kdf)
{
    bool migrates = door == KEYRING_DOOR_MIGRATION && entry->info.state == KEY_STATE_COMPROMISED;

    ENSURE(state_opens(entry->info.state) || migrates, WHY_DENIED);
    *out_kdf = opened_find(ring, entry);
    if (*out_kdf != NULL)
        return STATUS_OK;
    assert(entry->has_sealed); /* Without its bytes it is pinned, or its state does not open. */

    struct kdf *parent = ring->root_kdf;
    if (entry->info.parent_id != 0) {
        struct keyring_entry *kek = keyring_entry_find(ring, entry->info.parent_id);
        ENSURE(kek != NULL, WHY_FORGED);
        ENSURE(kek->info.level == KEY_LEVEL_KEK, WHY_FORGED);
        ENSURE(state_opens(kek->info.state), WHY_DENIED);
        parent = opened_find(ring, kek);
        if (parent == NULL)
            TRY(unwrap_under(ring, kek, ring->root_kdf, &parent));
    }
    return unwrap_under(ring, entry, parent, out_kdf);
}
