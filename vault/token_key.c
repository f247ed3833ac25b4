/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/token_key.h"

#include <assert.h>
#include <string.h>

#include "base/encode.h"
#include "keys/permutation.h"

#define NUMBER_BITS (8u * TOKEN_NUMBER_BYTES)

static_assert(PERMUTATION_BYTES == TOKEN_BITS_BYTES, "a token is one block");
static_assert(TOKEN_NUMBER_BYTES < STORE_KEY_BYTES, "what is left is the hash");

/* Kept with the store, which goes when the vault is sealed; the index key lives as long as it. */
static STATUS order_of(struct store *store, int64_t now_ms, struct permutation **out)
{
    uint64_t key_id = 0;
    struct kdf *kdf = NULL;

    if (store->token_order == NULL) {
        TRY(keyring_use(store->ring, "", KEY_PURPOSE_INDEX, now_ms, &key_id));
        TRY(keyring_kdf(store->ring, key_id, true, &kdf, NULL));
        TRY(permutation_new(kdf, "cardkeep/v1/token-order", keyring_environment(store->ring),
                            &store->token_order));
    }
    *out = store->token_order;
    return STATUS_OK;
}

static void key_join(const uint8_t *plain, const uint8_t *hash, uint8_t out[static STORE_KEY_BYTES])
{
    memcpy(out, plain, TOKEN_NUMBER_BYTES);
    memcpy(out + TOKEN_NUMBER_BYTES, hash, STORE_KEY_BYTES - TOKEN_NUMBER_BYTES);
}

STATUS token_key(struct store *store, const char *tenant, const char *text, int64_t now_ms,
                 uint8_t out[static STORE_KEY_BYTES])
{
    uint8_t bits[TOKEN_BITS_BYTES];
    uint8_t plain[PERMUTATION_BYTES];
    uint8_t hash[STORE_KEY_BYTES];
    struct permutation *order = NULL;

    TRY(store_key(store, "token", tenant, text, now_ms, hash));
    memcpy(out, hash, STORE_KEY_BYTES);
    if (!token_opaque_bits(text, bits))
        return STATUS_OK;
    TRY(order_of(store, now_ms, &order));
    TRY(permutation_invert(order, bits, plain));
    key_join(plain, hash, out);
    return STATUS_OK;
}

STATUS token_key_draw(struct store *store, const char *tenant, bool live, uint64_t number,
                      int64_t now_ms, struct token_drawn *out_drawn)
{
    uint8_t bits[TOKEN_BITS_BYTES];
    uint8_t plain[PERMUTATION_BYTES];
    uint8_t hash[STORE_KEY_BYTES];
    struct permutation *order = NULL;

    assert(number >> NUMBER_BITS == 0);
    TRY(order_of(store, now_ms, &order));
    do {
        for (unsigned i = 0; i < TOKEN_NUMBER_BYTES; i++)
            plain[i] = (uint8_t)(number >> (NUMBER_BITS - 8 - 8 * i));
        random_bytes(plain + TOKEN_NUMBER_BYTES, sizeof plain - TOKEN_NUMBER_BYTES);
        TRY(permutation_apply(order, plain, bits));
    } while (!token_make_opaque(live, bits, out_drawn->text));
    TRY(store_key(store, "token", tenant, out_drawn->text, now_ms, hash));
    key_join(plain, hash, out_drawn->key);
    return STATUS_OK;
}
