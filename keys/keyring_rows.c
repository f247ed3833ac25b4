/* SPDX-License-Identifier: Apache-2.0 */
/* A row is: version u8 | id u64 | parent u64 | version of the key u32 | level u8 | purpose u8 |
 * state u8 | tenant, counted | created u64 | changed u64 | not after u64 | generation u64 | size
 * u16 | box of the key.  The box is sealed for the place "environment, then every byte before the
 * box", so that a row whose attributes were edited does not open; the manifest catches whole rows
 * that were swapped, removed or put back from an older copy. */
#include "keys/keyring_parts.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

#include "base/own.h"

#define ROW_VERSION 2u
#define WRAP_LABEL  "cardkeep/v1/wrap"

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
    buffer_add_u64(out, info->generation);
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
    info->generation = cursor_u64(&cursor);
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
