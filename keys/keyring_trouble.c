/* SPDX-License-Identifier: Apache-2.0 */
/* Which row is wrong, and how: only asked once the manifest did not vouch for them all, so that it
 * may take its time.  A row with a key in it answers for itself, as it opens only with every
 * attribute as it was wrapped; the sums of the manifest find the one that opens and is of an
 * earlier time, or has no key in it. */
#include "keys/keyring_parts.h"

#include <assert.h>
#include <sodium.h>

#include "base/own.h"

static bool trouble_is_known(const struct keyring *ring, uint64_t id)
{
    for (unsigned i = 0; i < ring->trouble_count; i++) {
        if (ring->troubles[i].id == id)
            return true;
    }
    return false;
}

void keyring_trouble_add(struct keyring *ring, uint64_t id, const char *sentence)
{
    if (trouble_is_known(ring, id) || ring->trouble_count == KEYRING_TROUBLES_MAX)
        return;
    ring->troubles[ring->trouble_count++] =
        (struct keyring_trouble){.id = id, .sentence = sentence};
}

bool keyring_trouble_at(const struct keyring *ring, unsigned index,
                        struct keyring_trouble *out_trouble)
{
    assert(ring != NULL);
    assert(out_trouble != NULL);
    if (index >= ring->trouble_count)
        return false;
    *out_trouble = ring->troubles[index];
    return true;
}

/* By id, among rows in the order of their ids that may have gaps; NULL where there is none. */
static const struct keyring_entry *row_find(const struct keyring *ring, uint64_t id)
{
    size_t low = 0;
    size_t high = ring->entry_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (ring->entries[middle].info.id < id)
            low = middle + 1;
        else
            high = middle;
    }
    bool found = low < ring->entry_count && ring->entries[low].info.id == id;
    return found ? &ring->entries[low] : NULL;
}

/* WHY_FORGED: it does not open. */
static STATUS row_open(struct keyring *ring, const struct keyring_entry *entry, struct kdf *parent,
                       struct kdf **out_kdf)
{
    struct status status = keyring_row_unwrap(ring, entry, parent);

    if (!failed(status) && out_kdf != NULL)
        status = kdf_new(ring->scratch, out_kdf);
    sodium_memzero(secret_bytes(ring->scratch), KEYRING_KEY_BYTES);
    return status;
}

static STATUS row_judge(struct keyring *ring, const struct keyring_entry *entry, struct kdf *parent,
                        struct kdf **out_kdf)
{
    struct status status = row_open(ring, entry, parent, out_kdf);

    if (status.why != WHY_FORGED)
        return status;
    keyring_trouble_add(ring, entry->info.id,
                        "its key does not open with what the row says: it was altered, or is of a "
                        "time when another key was above it");
    return STATUS_OK;
}

/* A KEK by itself, and every row under it. */
static STATUS kek_judge(struct keyring *ring, const struct keyring_entry *kek, bool *out_opened)
{
    OWNED(kdf_free) struct kdf *kdf = NULL;

    TRY(row_judge(ring, kek, ring->root_kdf, &kdf));
    *out_opened = kdf != NULL;
    for (size_t i = 0; kdf != NULL && i < ring->entry_count; i++) {
        const struct keyring_entry *entry = &ring->entries[i];
        if (entry->info.parent_id == kek->info.id && entry->has_sealed)
            TRY(row_judge(ring, entry, kdf, NULL));
    }
    return STATUS_OK;
}

/* What hangs from a key that is there and cannot have wrapped it. */
static void parent_judge(struct keyring *ring, const struct keyring_entry *entry)
{
    if (!entry->has_sealed || entry->info.parent_id == 0)
        return;
    const struct keyring_entry *parent = row_find(ring, entry->info.parent_id);
    if (parent != NULL && (parent->info.level != KEY_LEVEL_KEK || !parent->has_sealed))
        keyring_trouble_add(ring, entry->info.id,
                            "the key above it is destroyed or wraps no keys: the row was altered, "
                            "or put back from an earlier copy");
}

/* Each row with a key in it; *out_foreign where there are some and none opens. */
static STATUS rows_judge(struct keyring *ring, bool *out_foreign)
{
    unsigned keks = 0;
    unsigned opened = 0;

    for (size_t i = 0; i < ring->entry_count; i++) {
        const struct keyring_entry *entry = &ring->entries[i];
        parent_judge(ring, entry);
        if (entry->info.level != KEY_LEVEL_KEK || !entry->has_sealed)
            continue;
        bool opens = false;
        TRY(kek_judge(ring, entry, &opens));
        keks++;
        opened += opens ? 1 : 0;
    }
    *out_foreign = keks > 0 && opened == 0;
    return STATUS_OK;
}

static void missing_name(struct keyring *ring, uint64_t count)
{
    for (uint64_t id = 1; id <= count && ring->trouble_count < KEYRING_TROUBLES_MAX; id++) {
        if (row_find(ring, id) == NULL)
            keyring_trouble_add(ring, id, "its row is missing");
    }
}

/* Against a manifest that is authentic: of this moment, or of an earlier one. */
static void manifest_compare(struct keyring *ring, const struct keyring_manifest *manifest)
{
    bool older = false;

    missing_name(ring, manifest->count);
    for (size_t i = 0; i < ring->entry_count; i++) {
        const struct key_info *info = &ring->entries[i].info;
        if (trouble_is_known(ring, info->id))
            continue;
        /* What opened is authentic, and with it the generation that it says. */
        if (info->generation > manifest->generation && ring->entries[i].has_sealed)
            older = true;
        else if (info->generation > manifest->generation)
            keyring_trouble_add(ring, info->id,
                                "it is newer than the manifest: it was altered, or the manifest "
                                "was put back from an earlier copy");
        else if (info->id > manifest->count)
            keyring_trouble_add(ring, info->id, "no key ever had this number");
    }
    if (older)
        keyring_trouble_add(ring, 0,
                            "the manifest is older than rows that it is over: it was put back from "
                            "an earlier copy");
    uint64_t suspect = keyring_manifest_suspect(ring, manifest);
    if (suspect != 0 && !older && row_find(ring, suspect) != NULL)
        keyring_trouble_add(ring, suspect,
                            "it is not the row that was stored last: it was put back from an "
                            "earlier copy, or altered");
}

STATUS keyring_rows_examine(struct keyring *ring)
{
    struct keyring_manifest manifest = {0};
    bool foreign = false;

    struct status status =
        ring->manifest_loaded ? keyring_manifest_read(ring, &manifest) : FAIL(WHY_NOT_FOUND);
    if (failed(status) && status.why != WHY_FORGED && status.why != WHY_NOT_FOUND)
        return status;
    TRY(rows_judge(ring, &foreign));
    if (failed(status) && foreign) {
        ring->trouble_count = 0; /* They are all the same one. */
        keyring_trouble_add(ring, 0,
                            "no key opens under this root: the rows are another vault's or another "
                            "environment's, or the root is");
        return FAIL(WHY_FORGED);
    }
    if (failed(status)) {
        keyring_trouble_add(ring, 0,
                            status.why == WHY_NOT_FOUND ? "the manifest is missing"
                                                        : "the manifest was altered");
        size_t count = ring->entry_count;
        missing_name(ring, count == 0 ? 0 : ring->entries[count - 1].info.id);
        return FAIL(WHY_FORGED);
    }
    manifest_compare(ring, &manifest);
    if (ring->trouble_count == 0)
        keyring_trouble_add(ring, 0,
                            "more than one row was put back from an earlier copy, or altered");
    return FAIL(WHY_FORGED);
}
