/* SPDX-License-Identifier: Apache-2.0 */
/* A new root: built aside, whole, and put in the place of the old one only when nothing can fail
 * any more. */
#include "keys/keyring_parts.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"

struct renewal {
    struct kdf *root;
    struct kdf *manifest;
    struct keyring_entry *entries; /* As they will be. */
    size_t change_count;
};

static void renewal_free(struct renewal *renewal)
{
    kdf_free(&renewal->root);
    kdf_free(&renewal->manifest);
    free(renewal->entries);
}

static bool hangs_from_root(const struct keyring_entry *entry)
{
    return entry->info.parent_id == 0 && entry->has_sealed;
}

/* The manifest key tells two roots apart as well as the roots themselves do. */
static STATUS root_is_another(struct keyring *ring, const struct renewal *renewal)
{
    uint8_t old_taste[KEYRING_MAC_BYTES];
    uint8_t new_taste[KEYRING_MAC_BYTES];

    TRY(kdf_hmac(ring->manifest_kdf, "", 0, "", 0, old_taste));
    TRY(kdf_hmac(renewal->manifest, "", 0, "", 0, new_taste));
    ENSURE(sodium_memcmp(old_taste, new_taste, sizeof old_taste) != 0, WHY_BAD_INPUT);
    return STATUS_OK;
}

static STATUS room_for_changes(struct keyring *ring)
{
    size_t count = ring->change_count;
    void *changes = ring->changes;

    for (size_t i = 0; i < ring->entry_count; i++)
        count += hangs_from_root(&ring->entries[i]) ? 1 : 0;
    struct status status =
        keyring_grow(&changes, sizeof *ring->changes, count, &ring->change_capacity);
    ring->changes = changes;
    return status;
}

/* Straight under the root, so that the state of a KEK does not matter: one that is compromised
 * stays so under the new root, and is not lost with the old one. */
static STATUS kek_rewrap(struct keyring *ring, const struct renewal *renewal,
                         const struct keyring_entry *entry, struct keyring_entry *next)
{
    struct status status = keyring_row_unwrap(ring, entry, ring->root_kdf);

    if (!failed(status))
        status = keyring_row_wrap(ring, &next->info, renewal->root, next->sealed);
    sodium_memzero(secret_bytes(ring->scratch), KEYRING_KEY_BYTES);
    return status;
}

static STATUS entry_renew(struct keyring *ring, struct renewal *renewal, size_t index)
{
    struct keyring_entry *next = &renewal->entries[index];
    struct keyring_change *change = &ring->changes[ring->change_count + renewal->change_count];
    uint8_t row[KEYRING_ROW_BYTES_MAX];
    size_t row_size = 0;

    *next = ring->entries[index];
    if (hangs_from_root(next)) {
        next->info.generation = ring->generation + 1;
        TRY(kek_rewrap(ring, renewal, &ring->entries[index], next));
    }
    TRY(keyring_row_encode(next, row, &row_size));
    TRY(keyring_row_mac(renewal->manifest, row, row_size, next->mac));
    if (!hangs_from_root(next))
        return STATUS_OK; /* Its row stays; only the manifest's MAC of it is another. */
    *change = (struct keyring_change){
        .info = next->info, .event = "key.rewrap", .row_id = next->info.id, .row_size = row_size};
    memcpy(change->row, row, row_size);
    renewal->change_count++;
    return STATUS_OK;
}

STATUS keyring_root_renew(struct keyring *ring, const struct secret *new_root)
{
    assert(ring != NULL);
    assert(ring->loaded);
    assert(new_root != NULL);
    OWNED(renewal_free) struct renewal renewal = {0};

    TRY(keyring_root_open(ring, new_root, &renewal.root, &renewal.manifest));
    TRY(root_is_another(ring, &renewal));
    TRY(room_for_changes(ring));
    renewal.entries = calloc(ring->entry_count + 1, sizeof *renewal.entries);
    ENSURE(renewal.entries != NULL, WHY_NO_MEMORY);
    for (size_t i = 0; i < ring->entry_count; i++)
        TRY(entry_renew(ring, &renewal, i));

    if (ring->entry_count > 0)
        memcpy(ring->entries, renewal.entries, ring->entry_count * sizeof *ring->entries);
    memset(ring->sums, 0, sizeof ring->sums);
    for (size_t i = 0; i < ring->entry_count; i++)
        keyring_sums_toggle(ring, i + 1, ring->entries[i].mac);
    ring->change_count += renewal.change_count;
    ring->manifest_due = ring->entry_count > 0;
    for (size_t page = 0; page < ring->page_count; page++)
        ring->page_stale[page] = true;
    kdf_free(&ring->root_kdf);
    kdf_free(&ring->manifest_kdf);
    ring->root_kdf = MOVE(renewal.root);
    ring->manifest_kdf = MOVE(renewal.manifest);
    return STATUS_OK;
}
