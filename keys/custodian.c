/* SPDX-License-Identifier: Apache-2.0 */
/* libsodium's sealed box: a new X25519 pair for each, XSalsa20-Poly1305; its nonce is a hash of
 * both public keys.  The share in it names its set and its place, so that one box cannot stand for
 * another. */
#include "keys/custodian.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

#include "base/own.h"

_Static_assert(CUSTODIAN_KEY_BYTES == crypto_box_PUBLICKEYBYTES, "a public key");
_Static_assert(CUSTODIAN_KEY_BYTES == crypto_box_SECRETKEYBYTES, "a key");
_Static_assert(CUSTODIAN_BOX_BYTES == SHARE_BYTES + crypto_box_SEALBYTES, "a box");

STATUS custodian_new(uint8_t out_public[static CUSTODIAN_KEY_BYTES], struct secret **out_key)
{
    OWNED(secret_free) struct secret *key = NULL;

    TRY(secret_new_key(CUSTODIAN_KEY_BYTES, &key));
    ENSURE(crypto_box_keypair(out_public, secret_bytes(key)) == 0, WHY_IO);
    secret_protect(key);
    *out_key = MOVE(key);
    return STATUS_OK;
}

STATUS custodian_public(const struct secret *key, uint8_t out_public[static CUSTODIAN_KEY_BYTES])
{
    ENSURE(secret_size(key) == CUSTODIAN_KEY_BYTES, WHY_BAD_INPUT);
    ENSURE(crypto_scalarmult_base(out_public, secret_peek(key)) == 0, WHY_BAD_INPUT);
    return STATUS_OK;
}

bool custodian_public_is_good(const uint8_t public_key[static CUSTODIAN_KEY_BYTES])
{
    uint8_t box[crypto_box_SEALBYTES];

    return crypto_box_seal(box, (const uint8_t *)"", 0, public_key) == 0;
}

STATUS custodian_seal(const uint8_t public_key[static CUSTODIAN_KEY_BYTES],
                      const struct share *share, uint8_t out_box[static CUSTODIAN_BOX_BYTES])
{
    OWNED(secret_free) struct secret *plain = NULL;

    TRY(secret_new_key(SHARE_BYTES, &plain));
    share_encode(share, secret_bytes(plain));
    ENSURE(crypto_box_seal(out_box, secret_peek(plain), SHARE_BYTES, public_key) == 0,
           WHY_BAD_INPUT);
    return STATUS_OK;
}

STATUS custodian_open(const struct secret *key, const uint8_t box[static CUSTODIAN_BOX_BYTES],
                      const uint8_t set[static SHARE_SET_BYTES], uint8_t index,
                      struct share *out_share)
{
    OWNED(secret_free) struct secret *plain = NULL;
    struct share share OWNED(share_free) = {0};
    uint8_t public_key[CUSTODIAN_KEY_BYTES];

    TRY(custodian_public(key, public_key));
    TRY(secret_new_key(SHARE_BYTES, &plain));
    ENSURE(crypto_box_seal_open(secret_bytes(plain), box, CUSTODIAN_BOX_BYTES, public_key,
                                secret_peek(key)) == 0,
           WHY_FORGED);
    struct status status = share_decode(secret_peek(plain), &share);
    ENSURE(status.why != WHY_NOT_FOUND && status.why != WHY_BAD_INPUT, WHY_FORGED);
    TRY(status);
    ENSURE(sodium_memcmp(share.set, set, SHARE_SET_BYTES) == 0, WHY_FORGED);
    ENSURE(share.index == index, WHY_FORGED);
    *out_share = share;
    share.value = NULL;
    return STATUS_OK;
}
