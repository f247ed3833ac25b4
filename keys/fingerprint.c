/* SPDX-License-Identifier: Apache-2.0 */
/* Every hash is over parts that carry their length, the use they are for first: no two inputs run
 * into the same bytes, and no hash of one use can be taken for one of another. */
#include "keys/fingerprint.h"

#include <assert.h>
#include <string.h>

#include "base/buffer.h"

#define HEAD_BYTES_MAX  256u
#define LABEL_BYTES_MAX 32u
#define PAN_DIGITS_MIN  12u
#define PAN_DIGITS_MAX  19u

static_assert(FINGERPRINT_BYTES == KDF_HMAC_BYTES, "a fingerprint is one HMAC");

static STATUS pan_hash(struct keyring *ring, struct kdf *kdf, const char *tenant,
                       const struct secret *pan, uint8_t out[static FINGERPRINT_BYTES])
{
    size_t pan_size = secret_size(pan);
    uint8_t room[HEAD_BYTES_MAX + 1] = {0};
    struct buffer head = BUFFER_OVER(room);

    ENSURE(pan_size >= PAN_DIGITS_MIN && pan_size <= PAN_DIGITS_MAX, WHY_BAD_INPUT);
    buffer_add_counted(&head, "cardkeep/v1/fingerprint");
    buffer_add_counted(&head, keyring_environment(ring));
    buffer_add_counted(&head, tenant);
    buffer_add_u16(&head, (uint16_t)pan_size);
    TRY(buffer_status(&head));
    /* The number goes from its secret straight into the HMAC: a second part, not a copy. */
    return kdf_hmac(kdf, head.bytes, head.size, secret_peek(pan), pan_size, out);
}

STATUS fingerprint_make(struct keyring *ring, const char *tenant, const struct secret *pan,
                        int64_t now_ms, uint8_t out[static FINGERPRINT_BYTES])
{
    assert(ring != NULL);
    assert(tenant != NULL);
    assert(pan != NULL);
    size_t pan_size = secret_size(pan);
    ENSURE(pan_size >= PAN_DIGITS_MIN && pan_size <= PAN_DIGITS_MAX, WHY_BAD_INPUT);

    uint64_t key_id = 0;
    struct kdf *kdf = NULL;
    TRY(keyring_use(ring, tenant, KEY_PURPOSE_FINGERPRINT, now_ms, &key_id));
    TRY(keyring_kdf(ring, key_id, true, &kdf, NULL));
    return pan_hash(ring, kdf, tenant, pan, out);
}

STATUS fingerprint_make_former(struct keyring *ring, uint64_t key_id, const char *tenant,
                               const struct secret *pan, uint8_t out[static FINGERPRINT_BYTES])
{
    assert(ring != NULL);
    assert(tenant != NULL);
    assert(pan != NULL);
    struct kdf *kdf = NULL;
    const struct key_info *info = NULL;

    TRY(keyring_kdf_migrating(ring, key_id, &kdf, &info));
    ENSURE(info->purpose == KEY_PURPOSE_FINGERPRINT, WHY_BAD_INPUT);
    ENSURE(strcmp(info->tenant, tenant) == 0, WHY_BAD_INPUT);
    return pan_hash(ring, kdf, tenant, pan, out);
}

STATUS fingerprint_index(struct keyring *ring, const char *label, const void *bytes, size_t size,
                         int64_t now_ms, uint8_t out[static FINGERPRINT_BYTES])
{
    assert(ring != NULL);
    assert(label != NULL);
    assert(strlen(label) >= 1 && strlen(label) <= LABEL_BYTES_MAX);
    assert(bytes != NULL || size == 0);
    uint64_t key_id = 0;
    struct kdf *kdf = NULL;
    TRY(keyring_use(ring, "", KEY_PURPOSE_INDEX, now_ms, &key_id));
    TRY(keyring_kdf(ring, key_id, true, &kdf, NULL));

    uint8_t room[HEAD_BYTES_MAX + 1] = {0};
    struct buffer head = BUFFER_OVER(room);
    buffer_add_counted(&head, "cardkeep/v1/index");
    buffer_add_counted(&head, keyring_environment(ring));
    buffer_add_counted(&head, label);
    buffer_add_u64(&head, size);
    TRY(buffer_status(&head));
    return kdf_hmac(kdf, head.bytes, head.size, bytes, size, out);
}
