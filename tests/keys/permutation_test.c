/* SPDX-License-Identifier: Apache-2.0 */
#include "keys/permutation.h"

#include <criterion/criterion.h>
#include <openssl/evp.h>
#include <sodium.h>
#include <string.h>

static struct kdf *kdf;

static struct kdf *kdf_of(uint8_t fill)
{
    struct secret *secret = NULL;
    struct kdf *made = NULL;

    cr_assert(sodium_init() >= 0);
    cr_assert(!failed(secret_new_key(32, &secret)));
    memset(secret_bytes(secret), fill, 32);
    cr_assert(!failed(kdf_new(secret, &made)));
    secret_free(&secret);
    return made;
}

static void begin(void)
{
    kdf = kdf_of(7);
}

static void end(void)
{
    kdf_free(&kdf);
}

TestSuite(permutation, .init = begin, .fini = end);

static struct permutation *permutation_of(struct kdf *from, const char *label, const char *where)
{
    struct permutation *made = NULL;

    cr_assert(!failed(permutation_new(from, label, where, &made)));
    return made;
}

/* By EVP, with the key derived by itself and a context of its own. */
static void oracle(const char *label, const uint8_t in[16], uint8_t out[32])
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    uint8_t key[32];
    int size = 0;

    cr_assert(!failed(kdf_derive(kdf, label, "here", 4, key, sizeof key)));
    cr_assert_eq(EVP_EncryptInit_ex(ctx, EVP_aes_256_ecb(), NULL, key, NULL), 1);
    cr_assert_eq(EVP_EncryptUpdate(ctx, out, &size, in, 16), 1);
    cr_assert_eq(size, 16);
    EVP_CIPHER_CTX_free(ctx);
}

Test(permutation, is_a_block_of_aes_256_and_its_inverse_undoes_it)
{
    struct permutation *one = permutation_of(kdf, "one", "here");
    uint8_t in[16] = {0};

    for (unsigned i = 0; i < 1000; i++) {
        uint8_t out[16];
        uint8_t expected[32];
        uint8_t back[16];
        in[5] = (uint8_t)i;
        in[4] = (uint8_t)(i >> 8);
        oracle("one", in, expected);
        cr_assert(!failed(permutation_apply(one, in, out)));
        cr_expect_arr_eq(out, expected, 16);
        cr_assert(!failed(permutation_invert(one, out, back)));
        cr_expect_arr_eq(back, in, 16);
    }
    permutation_free(&one);
    cr_expect_null(one);
    permutation_free(&one);
}

Test(permutation, depends_on_key_label_and_environment)
{
    struct kdf *other_key = kdf_of(8);
    struct permutation *made[] = {
        permutation_of(kdf, "one", "here"), permutation_of(kdf, "two", "here"),
        permutation_of(other_key, "one", "here"), permutation_of(kdf, "one", "there")};
    static const uint8_t in[16] = {1};
    uint8_t out[4][16];

    for (unsigned i = 0; i < 4; i++)
        cr_assert(!failed(permutation_apply(made[i], in, out[i])));
    for (unsigned i = 1; i < 4; i++)
        cr_expect_neq(memcmp(out[0], out[i], 16), 0, "%u", i);
    for (unsigned i = 0; i < 4; i++)
        permutation_free(&made[i]);
    kdf_free(&other_key);
}
