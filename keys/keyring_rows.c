/* SPDX-License-Identifier: Apache-2.0 */
/* A row is: version u8 | id u64 | parent u64 | version of the key u32 | level u8 | purpose u8 |
 * state u8 | tenant, counted | created u64 | changed u64 | not after u64 | size u16 | box of the
 * key.  The box is sealed for the place "environment, then every byte before the box", so that a
 * row whose attributes were edited does not open; the manifest catches whole rows that were
 * swapped, removed or put back from an older copy. */
#include "keys/keyring_parts.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

#include "base/own.h"

#define ROW_VERSION      1u
#define MANIFEST_VERSION 1u
#define MANIFEST_BYTES   (1u + 8u + 8u + KEYRING_MAC_BYTES)
#define WRAP_LABEL       "cardkeep/v1/wrap"

/* First byte of everything under the manifest key, so that no MAC can stand for another. */
enum mac_domain { MAC_ROW = 1, MAC_PAGE = 2, MAC_MANIFEST = 3 };

static void attributes_add(struct buffer *out, const struct key_info *info)
{
    buffer_add_u8(out, ROW_VERSION);
    buffer_add_u64(out, info->id);
    buffer_add_u64(out, info->parent_id);
    buffer_add_u32(out, info->version);
    buffer_add_u8(out, (uint8_t)info->level);
    buffer_add_u8(out, (uint8_t)info->purpose);
    buffer_add_u8(out, (uint8_t)info->state);
    buffer_add_counted(out, info->tenant);
    buffer_add_u64(out, (uint64_t)info->created_ms);
    buffer_add_u64(out, (uint64_t)info->changed_ms);
    buffer_add_u64(out, (uint64_t)info->not_after_encrypt_ms);
}

/* The place of a wrapped key; `bytes` lends what the returned place points to. */
static STATUS place_make(const struct keyring *ring, const struct key_info *info,
                         struct buffer *bytes, struct box_place *out_place)
{
    buffer_add_counted(bytes, ring->environment);
    attributes_add(bytes, info);
    TRY(buffer_status(bytes));
    *out_place = (struct box_place){
        .label = WRAP_LABEL, .bytes = bytes->bytes, .size = bytes->size, .key_id = info->parent_id};
    return STATUS_OK;
}

STATUS keyring_row_wrap(struct keyring *ring, const struct key_info *info, struct kdf *parent,
                        uint8_t sealed[static KEYRING_SEALED_BYTES])
{
    assert(info->id != 0);
    assert(info->parent_id != info->id);
    OWNED(buffer_free) struct buffer bytes = BUFFER(BOX_PLACE_BYTES_MAX);
    OWNED(buffer_free) struct buffer out = BUFFER(KEYRING_SEALED_BYTES);
    struct box_place place;
    TRY(place_make(ring, info, &bytes, &place));

    struct box_plain key = {
        .bytes = secret_peek(ring->scratch),
        .size = KEYRING_KEY_BYTES,
        .padded = KEYRING_KEY_BYTES,
    };
    struct status status = box_seal(ring->box, parent, AEAD_AES_256_GCM, &place, &key, &out);
    box_forget(ring->box);
    TRY(status);
    TRY(buffer_status(&out));
    assert(out.size == KEYRING_SEALED_BYTES);
    memcpy(sealed, out.bytes, KEYRING_SEALED_BYTES);
    return STATUS_OK;
}

STATUS keyring_row_unwrap(struct keyring *ring, const struct keyring_entry *entry,
                          struct kdf *parent)
{
    assert(entry->has_sealed);
    OWNED(buffer_free) struct buffer bytes = BUFFER(BOX_PLACE_BYTES_MAX);
    struct box_place place;
    TRY(place_make(ring, &entry->info, &bytes, &place));

    size_t size = 0;
    struct box_sealed sealed = {.bytes = entry->sealed, .size = sizeof entry->sealed};
    struct status status = box_open(ring->box, parent, &place, sealed, secret_bytes(ring->scratch),
                                    KEYRING_KEY_BYTES, &size);
    box_forget(ring->box);
    TRY(status);
    ENSURE(size == KEYRING_KEY_BYTES, WHY_FORGED);
    return STATUS_OK;
}

STATUS keyring_row_encode(const struct keyring_entry *entry,
                          uint8_t row[static KEYRING_ROW_BYTES_MAX], size_t *out_size)
{
    OWNED(buffer_free) struct buffer out = BUFFER(KEYRING_ROW_BYTES_MAX);

    attributes_add(&out, &entry->info);
    buffer_add_u16(&out, entry->has_sealed ? (uint16_t)sizeof entry->sealed : 0);
    if (entry->has_sealed)
        buffer_add(&out, entry->sealed, sizeof entry->sealed);
    TRY(buffer_status(&out));
    memcpy(row, out.bytes, out.size);
    *out_size = out.size;
    return STATUS_OK;
}

static bool info_is_sane(const struct key_info *info)
{
    if (info->id == 0 || info->parent_id == info->id || info->version == 0)
        return false;
    if (info->level != KEY_LEVEL_KEK && info->level != KEY_LEVEL_DEK)
        return false;
    if (info->purpose < KEY_PURPOSE_CARD || info->purpose >= KEY_PURPOSE_COUNT)
        return false;
    if (info->state < KEY_STATE_PRE_ACTIVE || info->state > KEY_STATE_DESTROYED)
        return false;
    /* Only the root, and so only one step, stands above a KEK; and a CVV key has no parent. */
    bool under_root = info->level == KEY_LEVEL_KEK || info->purpose == KEY_PURPOSE_CVV;
    return under_root == (info->parent_id == 0);
}

STATUS keyring_row_decode(const void *row, size_t row_size, struct keyring_entry *out_entry)
{
    struct keyring_entry entry = {0};
    struct key_info *info = &entry.info;
    struct cursor cursor = cursor_over(row, row_size);

    uint8_t version = cursor_u8(&cursor);
    info->id = cursor_u64(&cursor);
    info->parent_id = cursor_u64(&cursor);
    info->version = cursor_u32(&cursor);
    info->level = cursor_u8(&cursor);
    info->purpose = cursor_u8(&cursor);
    info->state = cursor_u8(&cursor);
    cursor_text(&cursor, info->tenant, sizeof info->tenant);
    info->created_ms = (int64_t)cursor_u64(&cursor);
    info->changed_ms = (int64_t)cursor_u64(&cursor);
    info->not_after_encrypt_ms = (int64_t)cursor_u64(&cursor);
    size_t sealed_size = cursor_u16(&cursor);
    const uint8_t *sealed = cursor_bytes(&cursor, sealed_size);
    ENSURE(cursor_done(&cursor), WHY_FORGED);
    ENSURE(version == ROW_VERSION, WHY_FORGED);
    ENSURE(info_is_sane(info), WHY_FORGED);

    bool gone = info->state == KEY_STATE_DESTROYED || info->purpose == KEY_PURPOSE_CVV;
    ENSURE(sealed_size == (gone ? 0 : KEYRING_SEALED_BYTES), WHY_FORGED);
    if (!gone)
        memcpy(entry.sealed, sealed, sealed_size);
    entry.has_sealed = !gone;
    *out_entry = entry;
    return STATUS_OK;
}

STATUS keyring_row_mac(struct kdf *manifest, const uint8_t *row, size_t row_size,
                       uint8_t mac[static KEYRING_MAC_BYTES])
{
    const uint8_t domain = MAC_ROW;
    return kdf_hmac(manifest, &domain, sizeof domain, row, row_size, mac);
}

STATUS keyring_page_touch(struct keyring *ring, size_t entry_index)
{
    size_t page = entry_index / KEYRING_PAGE_KEYS;
    size_t macs_capacity = ring->page_capacity;
    size_t stale_capacity = ring->page_capacity;
    void *macs = ring->page_macs;
    void *stale = ring->page_stale;

    assert(page <= ring->page_count);
    struct status status = keyring_grow(&macs, sizeof *ring->page_macs, page + 1, &macs_capacity);
    ring->page_macs = macs;
    TRY(status);
    status = keyring_grow(&stale, sizeof *ring->page_stale, page + 1, &stale_capacity);
    ring->page_stale = stale;
    TRY(status);
    ring->page_capacity = stale_capacity;
    if (page == ring->page_count)
        ring->page_count++;
    ring->page_stale[page] = true;
    return STATUS_OK;
}

static STATUS page_refresh(struct keyring *ring, size_t page)
{
    const uint8_t domain = MAC_PAGE;
    uint8_t macs[KEYRING_PAGE_KEYS * KEYRING_MAC_BYTES];
    size_t first = page * KEYRING_PAGE_KEYS;
    size_t count = 0;

    while (count < KEYRING_PAGE_KEYS && first + count < ring->entry_count) {
        memcpy(macs + count * KEYRING_MAC_BYTES, ring->entries[first + count].mac,
               KEYRING_MAC_BYTES);
        count++;
    }
    TRY(kdf_hmac(ring->manifest_kdf, &domain, sizeof domain, macs, count * KEYRING_MAC_BYTES,
                 ring->page_macs[page]));
    ring->page_stale[page] = false;
    return STATUS_OK;
}

STATUS keyring_manifest_make(struct keyring *ring, uint64_t generation,
                             uint8_t row[static KEYRING_ROW_BYTES_MAX], size_t *out_size)
{
    OWNED(buffer_free) struct buffer head = BUFFER(64);
    for (size_t page = 0; page < ring->page_count; page++) {
        if (ring->page_stale[page])
            TRY(page_refresh(ring, page));
    }
    /* The domain goes into the MAC and not into the row. */
    buffer_add_u8(&head, MAC_MANIFEST);
    buffer_add_u8(&head, MANIFEST_VERSION);
    buffer_add_u64(&head, generation);
    buffer_add_u64(&head, ring->entry_count);
    TRY(buffer_status(&head));
    assert(head.size - 1 + KEYRING_MAC_BYTES == MANIFEST_BYTES);

    memcpy(row, head.bytes + 1, head.size - 1);
    TRY(kdf_hmac(ring->manifest_kdf, head.bytes, head.size, ring->page_macs,
                 ring->page_count * KEYRING_MAC_BYTES, row + head.size - 1));
    *out_size = MANIFEST_BYTES;
    return STATUS_OK;
}

STATUS keyring_manifest_check(struct keyring *ring)
{
    ENSURE(ring->manifest_size == MANIFEST_BYTES, WHY_FORGED);
    struct cursor cursor = cursor_over(ring->manifest + 1, 8);
    uint64_t generation = cursor_u64(&cursor);

    uint8_t expected[KEYRING_ROW_BYTES_MAX];
    size_t size = 0;
    TRY(keyring_manifest_make(ring, generation, expected, &size));
    assert(size == MANIFEST_BYTES);
    ENSURE(sodium_memcmp(expected, ring->manifest, size) == 0, WHY_FORGED);
    ring->generation = generation;
    return STATUS_OK;
}
