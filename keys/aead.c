/* SPDX-License-Identifier: Apache-2.0 */
#include "keys/aead.h"

#include <assert.h>
#include <limits.h>
#include <openssl/evp.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"

#define GCM_NONCE_BYTES     12u
#define XCHACHA_NONCE_BYTES 24u

static_assert(XCHACHA_NONCE_BYTES == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES, "nonce size");
static_assert(AEAD_TAG_BYTES == crypto_aead_xchacha20poly1305_ietf_ABYTES, "tag size");
static_assert(AEAD_KEY_BYTES == crypto_aead_xchacha20poly1305_ietf_KEYBYTES, "key size");

struct aead {
    EVP_CIPHER *gcm;     /* Fetched once: a fetch per message costs more than the message. */
    EVP_CIPHER_CTX *ctx; /* Reused by every message, its cipher set once: to set it again would free
                            and allocate all that it holds. */
    bool keyed;          /* It knows the last message's key. */
};

void aead_free(struct aead **aead)
{
    assert(aead != NULL);
    if (*aead == NULL)
        return;
    EVP_CIPHER_CTX_free((*aead)->ctx);
    EVP_CIPHER_free((*aead)->gcm);
    free(*aead);
    *aead = NULL;
}

STATUS aead_new(struct aead **out_aead)
{
    assert(out_aead != NULL);
    OWNED(aead_free) struct aead *aead = calloc(1, sizeof *aead);
    ENSURE(aead != NULL, WHY_NO_MEMORY);
    /* Default context and properties, for the same reason as in kdf.c. */
    aead->gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    ENSURE(aead->gcm != NULL, WHY_NO_MEMORY);
    aead->ctx = EVP_CIPHER_CTX_new();
    ENSURE(aead->ctx != NULL, WHY_NO_MEMORY);
    ENSURE(EVP_EncryptInit_ex2(aead->ctx, aead->gcm, NULL, NULL, NULL) == 1, WHY_NO_MEMORY);
    *out_aead = MOVE(aead);
    return STATUS_OK;
}

size_t aead_nonce_bytes(unsigned suite)
{
    if (suite == AEAD_AES_256_GCM)
        return GCM_NONCE_BYTES;
    return suite == AEAD_XCHACHA20_POLY1305 ? XCHACHA_NONCE_BYTES : 0;
}

static STATUS gcm_seal(struct aead *aead, const struct aead_input *input, const uint8_t *plain,
                       size_t size, uint8_t *out)
{
    EVP_CIPHER_CTX *ctx = aead->ctx;
    int written = 0;

    ENSURE(EVP_EncryptInit_ex2(ctx, NULL, input->key, input->nonce, NULL) == 1, WHY_NO_MEMORY);
    if (input->associated_size > 0)
        ENSURE(EVP_EncryptUpdate(ctx, NULL, &written, input->associated,
                                 (int)input->associated_size) == 1,
               WHY_NO_MEMORY);
    if (size > 0)
        ENSURE(EVP_EncryptUpdate(ctx, out, &written, plain, (int)size) == 1, WHY_NO_MEMORY);
    ENSURE(EVP_EncryptFinal_ex(ctx, out + size, &written) == 1, WHY_NO_MEMORY);
    assert(written == 0);
    int rc = EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG_BYTES, out + size);
    ENSURE(rc == 1, WHY_NO_MEMORY);
    return STATUS_OK;
}

static STATUS gcm_open(struct aead *aead, const struct aead_input *input, const uint8_t *sealed,
                       size_t size, uint8_t *out)
{
    EVP_CIPHER_CTX *ctx = aead->ctx;
    uint8_t tag[AEAD_TAG_BYTES]; /* A copy, as the call below takes it without const. */
    int written = 0;

    memcpy(tag, sealed + size, sizeof tag);
    ENSURE(EVP_DecryptInit_ex2(ctx, NULL, input->key, input->nonce, NULL) == 1, WHY_NO_MEMORY);
    if (input->associated_size > 0)
        ENSURE(EVP_DecryptUpdate(ctx, NULL, &written, input->associated,
                                 (int)input->associated_size) == 1,
               WHY_NO_MEMORY);
    if (size > 0)
        ENSURE(EVP_DecryptUpdate(ctx, out, &written, sealed, (int)size) == 1, WHY_NO_MEMORY);
    ENSURE(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, AEAD_TAG_BYTES, tag) == 1,
           WHY_NO_MEMORY);
    ENSURE(EVP_DecryptFinal_ex(ctx, out + size, &written) > 0, WHY_FORGED);
    return STATUS_OK;
}

void aead_forget(struct aead *aead)
{
    static const uint8_t nothing[AEAD_KEY_BYTES];

    assert(aead != NULL);
    if (!aead->keyed)
        return;
    aead->keyed = false;
    int rc = EVP_EncryptInit_ex2(aead->ctx, NULL, nothing, nothing, NULL);
    assert(rc == 1); /* Keys are of one size, and nothing is allocated. */
}

STATUS aead_seal(struct aead *aead, const struct aead_input *input, const uint8_t *plain,
                 size_t size, uint8_t *out)
{
    assert(aead != NULL);
    assert(input != NULL);
    assert(size <= INT_MAX - AEAD_TAG_BYTES);
    assert(aead_nonce_bytes(input->suite) > 0);
    if (input->suite == AEAD_AES_256_GCM) {
        aead->keyed = true;
        return gcm_seal(aead, input, plain, size, out);
    }
    int rc = crypto_aead_xchacha20poly1305_ietf_encrypt(out, NULL, plain, size, input->associated,
                                                        input->associated_size, NULL, input->nonce,
                                                        input->key);
    ENSURE(rc == 0, WHY_NO_MEMORY);
    return STATUS_OK;
}

STATUS aead_open(struct aead *aead, const struct aead_input *input, const uint8_t *sealed,
                 size_t sealed_size, uint8_t *out)
{
    assert(aead != NULL);
    assert(input != NULL);
    assert(aead_nonce_bytes(input->suite) > 0);
    ENSURE(sealed_size >= AEAD_TAG_BYTES && sealed_size <= INT_MAX, WHY_FORGED);

    size_t size = sealed_size - AEAD_TAG_BYTES;
    struct status status = STATUS_OK;
    if (input->suite == AEAD_AES_256_GCM) {
        aead->keyed = true;
        status = gcm_open(aead, input, sealed, size, out);
    } else if (crypto_aead_xchacha20poly1305_ietf_decrypt(out, NULL, NULL, sealed, sealed_size,
                                                          input->associated, input->associated_size,
                                                          input->nonce, input->key) != 0) {
        status = FAIL(WHY_FORGED);
    }
    if (failed(status)) /* GCM has decrypted by the time it finds the tag wrong. */
        sodium_memzero(out, size);
    return status;
}
