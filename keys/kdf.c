/* SPDX-License-Identifier: Apache-2.0 */
#include "keys/kdf.h"

#include <assert.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"

/* counter32 | label | 0x00 | context | bits32 */
#define BLOCK_BYTES_MAX (4u + KDF_LABEL_BYTES_MAX + 1u + KDF_CONTEXT_BYTES_MAX + 4u)

struct kdf {
    EVP_MAC_CTX *hmac; /* Keyed once; initialising it without a key goes back to there. */
};

static void mac_free(EVP_MAC **mac)
{
    EVP_MAC_free(*mac);
    *mac = NULL;
}

void kdf_free(struct kdf **kdf)
{
    assert(kdf != NULL);
    if (*kdf == NULL)
        return;
    EVP_MAC_CTX_free((*kdf)->hmac);
    free(*kdf);
    *kdf = NULL;
}

STATUS kdf_new(const struct secret *key, struct kdf **out_kdf)
{
    assert(key != NULL);
    assert(out_kdf != NULL);
    ENSURE(secret_size(key) >= KDF_KEY_BYTES_MIN, WHY_BAD_INPUT);

    OWNED(kdf_free) struct kdf *kdf = calloc(1, sizeof *kdf);
    ENSURE(kdf != NULL, WHY_NO_MEMORY);
    /* Default library context and properties: OpenSSL's own configuration can put a validated
     * provider there (standards.md 2.4). */
    OWNED(mac_free) EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    ENSURE(mac != NULL, WHY_NO_MEMORY);
    kdf->hmac = EVP_MAC_CTX_new(mac);
    ENSURE(kdf->hmac != NULL, WHY_NO_MEMORY);

    char digest[] = "SHA256";
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };
    ENSURE(EVP_MAC_init(kdf->hmac, secret_peek(key), secret_size(key), params) == 1, WHY_NO_MEMORY);
    *out_kdf = MOVE(kdf);
    return STATUS_OK;
}

STATUS kdf_hmac(struct kdf *kdf, const void *first, size_t first_size, const void *second,
                size_t second_size, uint8_t out[static KDF_HMAC_BYTES])
{
    assert(kdf != NULL);
    assert(first != NULL || first_size == 0);
    assert(second != NULL || second_size == 0);

    size_t written = 0;
    ENSURE(EVP_MAC_init(kdf->hmac, NULL, 0, NULL) == 1, WHY_NO_MEMORY);
    if (first_size > 0)
        ENSURE(EVP_MAC_update(kdf->hmac, first, first_size) == 1, WHY_NO_MEMORY);
    if (second_size > 0)
        ENSURE(EVP_MAC_update(kdf->hmac, second, second_size) == 1, WHY_NO_MEMORY);
    ENSURE(EVP_MAC_final(kdf->hmac, out, &written, KDF_HMAC_BYTES) == 1, WHY_NO_MEMORY);
    assert(written == KDF_HMAC_BYTES);
    return STATUS_OK;
}

static void put_u32(uint8_t *out, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++)
        out[i] = (uint8_t)(value >> (24 - 8 * i));
}

STATUS kdf_derive(struct kdf *kdf, const char *label, const void *context, size_t context_size,
                  uint8_t *out, size_t out_size)
{
    assert(kdf != NULL);
    assert(label != NULL);
    assert(context != NULL || context_size == 0);
    assert(out != NULL);
    size_t label_size = strlen(label);
    ENSURE(label_size <= KDF_LABEL_BYTES_MAX, WHY_LIMIT);
    ENSURE(context_size <= KDF_CONTEXT_BYTES_MAX, WHY_LIMIT);
    ENSURE(out_size >= 1 && out_size <= KDF_BYTES_MAX, WHY_LIMIT);

    uint8_t block[BLOCK_BYTES_MAX];
    memcpy(block + 4, label, label_size);
    size_t size = 4 + label_size;
    block[size++] = 0;
    if (context_size > 0)
        memcpy(block + size, context, context_size);
    size += context_size;
    put_u32(block + size, (uint32_t)(8 * out_size));
    size += 4;

    uint8_t okm[KDF_HMAC_BYTES];
    struct status status = STATUS_OK;
    for (size_t at = 0; at < out_size && !failed(status); at += sizeof okm) {
        put_u32(block, (uint32_t)(at / sizeof okm + 1));
        status = kdf_hmac(kdf, block, size, NULL, 0, okm);
        size_t rest = out_size - at;
        memcpy(out + at, okm, rest < sizeof okm ? rest : sizeof okm);
    }
    sodium_memzero(okm, sizeof okm);
    if (failed(status))
        sodium_memzero(out, out_size);
    return status;
}
