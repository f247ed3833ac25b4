/* SPDX-License-Identifier: Apache-2.0 */
#include "keys/kdf.h"

#include <criterion/criterion.h>
#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <sodium.h>
#include <string.h>

#include "base/encode.h"
#include "tests/keys/vectors.h"

static struct kdf *kdf_of(const uint8_t *key, size_t size)
{
    struct secret *secret = NULL;
    struct kdf *kdf = NULL;

    cr_assert(sodium_init() >= 0);
    cr_assert(!failed(secret_new_key(size, &secret)));
    memcpy(secret_bytes(secret), key, size);
    cr_assert(!failed(kdf_new(secret, &kdf)));
    secret_free(&secret);
    return kdf;
}

/* OpenSSL's own KBKDF, keyed anew for each call. */
static void oracle_derive(const uint8_t key[32], const char *label, const uint8_t *context,
                          size_t context_size, uint8_t *out, size_t out_size)
{
    EVP_KDF *kbkdf = EVP_KDF_fetch(NULL, "KBKDF", NULL);
    EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kbkdf);
    uint8_t lent_key[32];
    uint8_t lent_label[64];
    uint8_t lent_context[512];
    char mode[] = "counter";
    char mac[] = "HMAC";
    char digest[] = "SHA256";

    memcpy(lent_key, key, 32);
    memcpy(lent_label, label, strlen(label));
    memcpy(lent_context, context, context_size);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_MODE, mode, 0),
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_MAC, mac, 0),
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, lent_key, 32),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, lent_label, strlen(label)),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, lent_context, context_size),
        OSSL_PARAM_construct_end(),
    };
    cr_assert_eq(EVP_KDF_derive(ctx, out, out_size, params), 1);
    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(kbkdf);
}

Test(kdf, agrees_with_openssl_on_random_keys_and_contexts_of_every_size)
{
    char label[KDF_LABEL_BYTES_MAX + 1];
    uint8_t context[KDF_CONTEXT_BYTES_MAX];
    uint8_t key[32];
    uint8_t ours[KDF_BYTES_MAX];
    uint8_t theirs[KDF_BYTES_MAX];

    for (size_t size = 1; size <= KDF_CONTEXT_BYTES_MAX; size++) {
        size_t out_size = 1 + size % KDF_BYTES_MAX;
        size_t label_size = 1 + size % KDF_LABEL_BYTES_MAX;
        random_bytes(key, sizeof key);
        random_bytes(context, size);
        memset(label, 'a' + (int)(size % 26), label_size);
        label[label_size] = '\0';
        struct kdf *kdf = kdf_of(key, sizeof key);
        cr_assert(!failed(kdf_derive(kdf, label, context, size, ours, out_size)));
        oracle_derive(key, label, context, size, theirs, out_size);
        cr_assert_arr_eq(ours, theirs, out_size, "context of %zu bytes", size);
        kdf_free(&kdf);
    }
}

Test(kdf, agrees_with_the_cavp_vectors_of_nist)
{
    FILE *file = vectors_open("kbkdf_hmac_sha256.txt");
    struct vector key;
    struct vector fixed;
    struct vector derived;
    unsigned count = 0;

    while (vectors_next(file, "key", &key)) {
        cr_assert(vectors_next(file, "fixed", &fixed));
        cr_assert(vectors_next(file, "derived", &derived));
        struct kdf *kdf = kdf_of(key.bytes, key.size);
        /* Their fixed input has no label and context to tell apart, so the counter goes by hand. */
        for (size_t at = 0; at < derived.size; at += 32) {
            const uint8_t counter[4] = {0, 0, 0, (uint8_t)(at / 32 + 1)};
            uint8_t out[32];
            size_t rest = derived.size - at;
            cr_assert(!failed(kdf_hmac(kdf, counter, 4, fixed.bytes, fixed.size, out)));
            cr_assert_arr_eq(out, derived.bytes + at, rest < 32 ? rest : 32);
        }
        kdf_free(&kdf);
        count++;
    }
    cr_assert_eq(count, 4);
    (void)fclose(file);
}

Test(kdf, starts_afresh_with_each_call_on_a_kept_key)
{
    const uint8_t key[32] = {1};
    uint8_t once[64];
    uint8_t again[64];
    struct kdf *kdf = kdf_of(key, sizeof key);

    cr_assert(!failed(kdf_derive(kdf, "label", "context", 7, once, 64)));
    cr_assert(!failed(kdf_hmac(kdf, "other", 5, NULL, 0, again)));
    cr_assert(!failed(kdf_derive(kdf, "label", "context", 7, again, 64)));
    cr_assert_arr_eq(once, again, 64);
    kdf_free(&kdf);
}

Test(kdf, hashes_two_parts_as_their_concatenation)
{
    const uint8_t key[32] = {2};
    uint8_t whole[32];
    uint8_t parts[32];
    struct kdf *kdf = kdf_of(key, sizeof key);

    cr_assert(!failed(kdf_hmac(kdf, "abcdef", 6, NULL, 0, whole)));
    cr_assert(!failed(kdf_hmac(kdf, "abc", 3, "def", 3, parts)));
    cr_assert_arr_eq(whole, parts, 32);
    kdf_free(&kdf);
}

Test(kdf, tells_label_from_context)
{
    const uint8_t key[32] = {3};
    uint8_t one[32];
    uint8_t other[32];
    struct kdf *kdf = kdf_of(key, sizeof key);

    cr_assert(!failed(kdf_derive(kdf, "ab", "c", 1, one, 32)));
    cr_assert(!failed(kdf_derive(kdf, "a", "bc", 2, other, 32)));
    cr_assert_arr_neq(one, other, 32);
    kdf_free(&kdf);
}

Test(kdf, refuses_a_key_under_256_bits)
{
    struct secret *key = NULL;
    struct kdf *kdf = NULL;

    cr_assert(sodium_init() >= 0);
    cr_assert(!failed(secret_new_key(31, &key)));
    cr_assert_eq(kdf_new(key, &kdf).why, WHY_BAD_INPUT);
    cr_assert(kdf == NULL);
    secret_free(&key);
}

Test(kdf, refuses_what_passes_its_bounds)
{
    const uint8_t key[32] = {4};
    static const uint8_t context[KDF_CONTEXT_BYTES_MAX + 1];
    char label[KDF_LABEL_BYTES_MAX + 2];
    uint8_t out[KDF_BYTES_MAX + 1];
    struct kdf *kdf = kdf_of(key, sizeof key);

    memset(label, 'x', sizeof label);
    label[sizeof label - 1] = '\0';
    cr_expect_eq(kdf_derive(kdf, "l", context, sizeof context, out, 32).why, WHY_LIMIT);
    cr_expect_eq(kdf_derive(kdf, label, context, 1, out, 32).why, WHY_LIMIT);
    cr_expect_eq(kdf_derive(kdf, "l", context, 1, out, sizeof out).why, WHY_LIMIT);
    cr_expect_eq(kdf_derive(kdf, "l", context, 1, out, 0).why, WHY_LIMIT);
    kdf_free(&kdf);
    kdf_free(&kdf);
    cr_assert(kdf == NULL, "freeing twice is no harm");
}
