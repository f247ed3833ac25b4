/* SPDX-License-Identifier: Apache-2.0 */
#include "keys/seal.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

#include "base/own.h"
#include "keys/kdf.h"

#define ROW_VERSION       1u
#define MAC_BYTES         KDF_HMAC_BYTES
#define KEY_BYTES         32u
#define COMMITMENT_LABEL  "cardkeep/v1/root-commitment"
#define MAC_LABEL         "cardkeep/v1/seal-row"
#define CONTEXT_BYTES_MAX 128u

const char *seal_kind_name(enum seal_kind kind)
{
    switch (kind) {
    case SEAL_FILE:
        return "file";
    case SEAL_SHARES:
        return "shares";
    case SEAL_PKCS11:
        return "pkcs11";
    case SEAL_KIND_END:
        break;
    }
    return "unknown";
}

/* 32 bytes that follow from the root, for one use and one set. */
static STATUS root_derive(const struct secret *root, const char *label, const char *environment,
                          const uint8_t set_id[static SEAL_SET_BYTES], uint8_t *out)
{
    OWNED(kdf_free) struct kdf *kdf = NULL;
    OWNED(buffer_free) struct buffer context = BUFFER(CONTEXT_BYTES_MAX);

    buffer_add_counted(&context, environment);
    buffer_add(&context, set_id, SEAL_SET_BYTES);
    TRY(buffer_status(&context));
    TRY(kdf_new(root, &kdf));
    return kdf_derive(kdf, label, context.bytes, context.size, out, KEY_BYTES);
}

static STATUS row_mac(const struct secret *root, const char *environment,
                      const struct seal_record *record, const uint8_t *row, size_t size,
                      uint8_t out[static MAC_BYTES])
{
    OWNED(secret_free) struct secret *key = NULL;
    OWNED(kdf_free) struct kdf *kdf = NULL;

    TRY(secret_new_key(KEY_BYTES, &key));
    TRY(root_derive(root, MAC_LABEL, environment, record->set_id, secret_bytes(key)));
    TRY(kdf_new(key, &kdf));
    return kdf_hmac(kdf, NULL, 0, row, size, out);
}

STATUS seal_encode(struct seal_record *record, const struct secret *root, const char *environment,
                   struct buffer *out)
{
    uint8_t mac[MAC_BYTES];

    assert(record->kind >= SEAL_FILE && record->kind < SEAL_KIND_END);
    assert(record->count <= SEAL_CUSTODIANS_MAX);
    assert(record->blob_size <= SEAL_BLOB_BYTES_MAX);
    TRY(root_derive(root, COMMITMENT_LABEL, environment, record->set_id, record->commitment));
    buffer_clear(out);
    buffer_add_u8(out, ROW_VERSION);
    buffer_add_u8(out, (uint8_t)record->kind);
    buffer_add(out, record->set_id, sizeof record->set_id);
    buffer_add(out, record->commitment, sizeof record->commitment);
    buffer_add_u64(out, (uint64_t)record->created_ms);
    buffer_add_u8(out, record->threshold);
    buffer_add_u8(out, record->count);
    for (unsigned i = 0; i < record->count; i++) {
        const struct seal_custodian *custodian = &record->custodians[i];
        buffer_add_counted(out, custodian->name);
        buffer_add_counted(out, custodian->certificate);
        buffer_add(out, custodian->public_key, sizeof custodian->public_key);
        buffer_add(out, custodian->digest, sizeof custodian->digest);
    }
    buffer_add_u16(out, (uint16_t)record->blob_size);
    buffer_add(out, record->blob, record->blob_size);
    TRY(buffer_status(out));
    TRY(row_mac(root, environment, record, out->bytes, out->size, mac));
    buffer_add(out, mac, sizeof mac);
    return buffer_status(out);
}

static void bytes_take(struct cursor *in, uint8_t *out, size_t size)
{
    const uint8_t *bytes = cursor_bytes(in, size);

    if (bytes != NULL)
        memcpy(out, bytes, size);
}

static bool shape_is_sane(const struct seal_record *record)
{
    if (record->kind < SEAL_FILE || record->kind >= SEAL_KIND_END)
        return false;
    if (record->kind != SEAL_SHARES)
        return record->count == 0 && record->threshold == 0;
    return record->threshold >= 2 && record->threshold <= record->count && record->blob_size == 0;
}

STATUS seal_decode(const void *row, size_t size, struct seal_record *out_record)
{
    struct cursor in = cursor_over(row, size);
    struct seal_record record = {0};
    uint8_t mac[MAC_BYTES];

    uint8_t version = cursor_u8(&in);
    record.kind = cursor_u8(&in);
    bytes_take(&in, record.set_id, sizeof record.set_id);
    bytes_take(&in, record.commitment, sizeof record.commitment);
    record.created_ms = (int64_t)cursor_u64(&in);
    record.threshold = cursor_u8(&in);
    record.count = cursor_u8(&in);
    ENSURE(!in.bad && version == ROW_VERSION, WHY_FORGED);
    ENSURE(record.count <= SEAL_CUSTODIANS_MAX, WHY_FORGED);
    for (unsigned i = 0; i < record.count; i++) {
        struct seal_custodian *custodian = &record.custodians[i];
        cursor_text(&in, custodian->name, sizeof custodian->name);
        cursor_text(&in, custodian->certificate, sizeof custodian->certificate);
        bytes_take(&in, custodian->public_key, sizeof custodian->public_key);
        bytes_take(&in, custodian->digest, sizeof custodian->digest);
    }
    record.blob_size = cursor_u16(&in);
    ENSURE(!in.bad && record.blob_size <= SEAL_BLOB_BYTES_MAX, WHY_FORGED);
    bytes_take(&in, record.blob, record.blob_size);
    bytes_take(&in, mac, sizeof mac);
    ENSURE(cursor_done(&in), WHY_FORGED);
    ENSURE(shape_is_sane(&record), WHY_FORGED);
    *out_record = record;
    return STATUS_OK;
}

STATUS seal_check(const void *row, size_t size, const struct secret *root, const char *environment)
{
    struct seal_record record;
    uint8_t commitment[KEY_BYTES];
    uint8_t mac[MAC_BYTES];

    TRY(seal_decode(row, size, &record));
    TRY(root_derive(root, COMMITMENT_LABEL, environment, record.set_id, commitment));
    ENSURE(sodium_memcmp(commitment, record.commitment, sizeof commitment) == 0, WHY_DENIED);
    TRY(row_mac(root, environment, &record, row, size - MAC_BYTES, mac));
    ENSURE(sodium_memcmp(mac, (const uint8_t *)row + size - MAC_BYTES, MAC_BYTES) == 0, WHY_FORGED);
    return STATUS_OK;
}
