/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/key_view.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/encode.h"
#include "base/own.h"

#define KEY_BITS 256

STATUS key_view_find(const struct keeper *keeper, uint64_t key_id, struct key_info *out_info)
{
    ENSURE(key_id >= 1 && key_id <= UINT32_MAX, WHY_NOT_FOUND);
    ENSURE(keyring_info_at(keeper->ring, (unsigned)(key_id - 1), out_info), WHY_NOT_FOUND);
    return STATUS_OK;
}

static const char *view_type(const struct key_info *info)
{
    if (info->level == KEY_LEVEL_KEK)
        return "key-wrapping";
    return info->purpose == KEY_PURPOSE_CARD || info->purpose == KEY_PURPOSE_CVV ? "data-encryption"
                                                                                 : "keyed-hash";
}

static const char *view_algorithm(const struct key_info *info)
{
    if (info->level == KEY_LEVEL_DEK &&
        (info->purpose == KEY_PURPOSE_FINGERPRINT || info->purpose == KEY_PURPOSE_INDEX))
        return "HMAC-SHA-256";
    return "AES-256-GCM under KBKDF-HMAC-SHA-256";
}

/* Where the key's bytes are. */
static void view_holder(const struct key_info *info, char *out, size_t out_size)
{
    if (info->state == KEY_STATE_DESTROYED)
        (void)snprintf(out, out_size, "nobody");
    else if (info->purpose == KEY_PURPOSE_CVV)
        (void)snprintf(out, out_size, "memory of the keeper");
    else if (info->parent_id == 0)
        (void)snprintf(out, out_size, "store, wrapped by the root key");
    else
        (void)snprintf(out, out_size, "store, wrapped by key %" PRIu64, info->parent_id);
}

void key_view_put(const struct keeper *keeper, const struct key_info *info, struct json_writer *out)
{
    char holder[64];

    view_holder(info, holder, sizeof holder);
    json_begin_object(out);
    json_put_member_u64(out, "id", info->id);
    json_put_member_u64(out, "version", info->version);
    json_put_member(out, "level", info->level == KEY_LEVEL_KEK ? "kek" : "dek");
    json_put_member(out, "type", view_type(info));
    json_put_member(out, "algorithm", view_algorithm(info));
    json_put_member_int(out, "bits", KEY_BITS);
    json_put_member(out, "purpose", key_purpose_name(info->purpose));
    json_put_member(out, "tenant", info->tenant[0] == '\0' ? NULL : info->tenant);
    json_put_member(out, "state", key_state_name(info->state));
    json_put_member_bool(out, "held", approve_holds(keeper, info->id));
    json_key(out, "parent");
    if (info->parent_id == 0)
        json_put_null(out);
    else
        json_put_int(out, (int64_t)info->parent_id);
    json_put_member_time(out, "created_at", info->created_ms);
    json_put_member_time(out, "activates_at", info->created_ms);
    json_put_member_time(out, "changed_at", info->changed_ms);
    json_put_member_time(out, "expires_at", info->not_after_encrypt_ms);
    json_put_member_u64(out, "uses", keyring_uses(keeper->ring, info->id));
    json_put_member(out, "holder", holder);
    json_end_object(out);
}
