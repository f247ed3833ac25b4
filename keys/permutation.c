/* SPDX-License-Identifier: Apache-2.0 */
#include "keys/permutation.h"

#include <assert.h>
#include <openssl/evp.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"

#define KEY_BYTES 32u

/* Keyed once: a block of ECB leaves nothing behind that the next one would have to undo. */
struct permutation {
    EVP_CIPHER_CTX *apply;
    EVP_CIPHER_CTX *invert;
};

void permutation_free(struct permutation **permutation)
{
    assert(permutation != NULL);
    if (*permutation == NULL)
        return;
    EVP_CIPHER_CTX_free((*permutation)->apply);
    EVP_CIPHER_CTX_free((*permutation)->invert);
    free(*permutation);
    *permutation = NULL;
}

static STATUS direction_new(const uint8_t *key, int encrypt, EVP_CIPHER_CTX **out_ctx)
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();

    ENSURE(ctx != NULL, WHY_NO_MEMORY);
    *out_ctx = ctx; /* Freed with the whole. */
    ENSURE(EVP_CipherInit_ex2(ctx, EVP_aes_256_ecb(), key, NULL, encrypt, NULL) == 1,
           WHY_NO_MEMORY);
    ENSURE(EVP_CIPHER_CTX_set_padding(ctx, 0) == 1, WHY_NO_MEMORY);
    return STATUS_OK;
}

STATUS permutation_new(struct kdf *kdf, const char *label, const char *environment,
                       struct permutation **out_permutation)
{
    uint8_t key[KEY_BYTES];

    OWNED(permutation_free) struct permutation *permutation = calloc(1, sizeof *permutation);
    ENSURE(permutation != NULL, WHY_NO_MEMORY);
    TRY(kdf_derive(kdf, label, environment, strlen(environment), key, sizeof key));
    struct status status = direction_new(key, 1, &permutation->apply);
    if (!failed(status))
        status = direction_new(key, 0, &permutation->invert);
    sodium_memzero(key, sizeof key);
    TRY(status);
    *out_permutation = MOVE(permutation);
    return STATUS_OK;
}

static STATUS block(EVP_CIPHER_CTX *ctx, const uint8_t *in, uint8_t *out)
{
    int written = 0;

    ENSURE(EVP_CipherUpdate(ctx, out, &written, in, (int)PERMUTATION_BYTES) == 1, WHY_NO_MEMORY);
    ENSURE(written == (int)PERMUTATION_BYTES, WHY_NO_MEMORY);
    return STATUS_OK;
}

STATUS permutation_apply(struct permutation *permutation,
                         const uint8_t in[static PERMUTATION_BYTES],
                         uint8_t out[static PERMUTATION_BYTES])
{
    assert(permutation != NULL);
    return block(permutation->apply, in, out);
}

STATUS permutation_invert(struct permutation *permutation,
                          const uint8_t in[static PERMUTATION_BYTES],
                          uint8_t out[static PERMUTATION_BYTES])
{
    assert(permutation != NULL);
    return block(permutation->invert, in, out);
}
