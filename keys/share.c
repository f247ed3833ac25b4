/* SPDX-License-Identifier: Apache-2.0 */
#include "keys/share.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

#include "base/own.h"

#define VERSION 1u
#define LABEL   "cardkeep share 1"

void share_free(struct share *share)
{
    secret_free(&share->value);
    *share = (struct share){0};
}

void share_encode(const struct share *share, uint8_t out[static SHARE_BYTES])
{
    assert(secret_size(share->value) == SHARES_BYTES);
    out[0] = VERSION;
    memcpy(out + 1, share->set, SHARE_SET_BYTES);
    out[1 + SHARE_SET_BYTES] = share->threshold;
    out[2 + SHARE_SET_BYTES] = share->index;
    memcpy(out + 3 + SHARE_SET_BYTES, secret_peek(share->value), SHARES_BYTES);
}

STATUS share_decode(const uint8_t bytes[static SHARE_BYTES], struct share *out_share)
{
    struct share share OWNED(share_free) = {
        .threshold = bytes[1 + SHARE_SET_BYTES],
        .index = bytes[2 + SHARE_SET_BYTES],
    };

    ENSURE(bytes[0] == VERSION, WHY_NOT_FOUND);
    ENSURE(share.threshold >= SHARES_THRESHOLD_MIN, WHY_BAD_INPUT);
    ENSURE(share.threshold <= SHARES_COUNT_MAX, WHY_BAD_INPUT);
    ENSURE(share.index > 0 && share.index <= SHARES_COUNT_MAX, WHY_BAD_INPUT);
    memcpy(share.set, bytes + 1, SHARE_SET_BYTES);
    TRY(secret_new_key(SHARES_BYTES, &share.value));
    memcpy(secret_bytes(share.value), bytes + 3 + SHARE_SET_BYTES, SHARES_BYTES);
    secret_protect(share.value);
    *out_share = share;
    share.value = NULL;
    return STATUS_OK;
}

void share_digest(const struct share *share, uint8_t out[static SHARE_DIGEST_BYTES])
{
    crypto_hash_sha256_state state;
    uint8_t bytes[SHARE_BYTES];

    share_encode(share, bytes);
    (void)crypto_hash_sha256_init(&state);
    (void)crypto_hash_sha256_update(&state, (const uint8_t *)LABEL, sizeof LABEL);
    (void)crypto_hash_sha256_update(&state, bytes, sizeof bytes);
    (void)crypto_hash_sha256_final(&state, out);
    sodium_memzero(bytes, sizeof bytes);
    sodium_memzero(&state, sizeof state);
}
