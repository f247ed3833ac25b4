/* SPDX-License-Identifier: Apache-2.0 */
#include "keys/aead.h"

#include <criterion/criterion.h>
#include <sodium.h>
#include <string.h>

#include "tests/keys/vectors.h"

static struct aead *aead;

static void open_aead(void)
{
    cr_assert(sodium_init() >= 0);
    cr_assert(!failed(aead_new(&aead)));
}

static void close_aead(void)
{
    aead_free(&aead);
}

TestSuite(aead, .init = open_aead, .fini = close_aead);

static unsigned vectors_check(const char *name, enum aead_suite suite)
{
    FILE *file = vectors_open(name);
    struct vector key;
    struct vector nonce;
    struct vector ad;
    struct vector plain;
    struct vector sealed;
    uint8_t out[VECTOR_BYTES_MAX];
    unsigned count = 0;

    while (vectors_next(file, "key", &key)) {
        cr_assert(vectors_next(file, "nonce", &nonce));
        cr_assert(vectors_next(file, "ad", &ad));
        cr_assert(vectors_next(file, "plain", &plain));
        cr_assert(vectors_next(file, "sealed", &sealed));
        cr_assert_eq(key.size, AEAD_KEY_BYTES);
        cr_assert_eq(nonce.size, aead_nonce_bytes(suite));
        cr_assert_eq(sealed.size, plain.size + AEAD_TAG_BYTES);
        struct aead_input input = {.suite = suite,
                                   .key = key.bytes,
                                   .nonce = nonce.bytes,
                                   .associated = ad.bytes,
                                   .associated_size = ad.size};
        cr_assert(!failed(aead_seal(aead, &input, plain.bytes, plain.size, out)));
        cr_expect_arr_eq(out, sealed.bytes, sealed.size, "sealing, vector %u", count);
        cr_assert(!failed(aead_open(aead, &input, sealed.bytes, sealed.size, out)));
        cr_expect_arr_eq(out, plain.bytes, plain.size, "opening, vector %u", count);
        count++;
    }
    (void)fclose(file);
    return count;
}

Test(aead, agrees_with_the_vectors_of_gcm)
{
    cr_assert_eq(vectors_check("aes_256_gcm.txt", AEAD_AES_256_GCM), 5);
}

Test(aead, agrees_with_the_vector_of_xchacha20_poly1305)
{
    cr_assert_eq(vectors_check("xchacha20_poly1305.txt", AEAD_XCHACHA20_POLY1305), 1);
}

Test(aead, releases_nothing_where_a_tag_is_wrong)
{
    static const uint8_t key[AEAD_KEY_BYTES] = {1};
    static const uint8_t nonce[AEAD_NONCE_BYTES_MAX] = {2};
    static const uint8_t zeros[8];
    const enum aead_suite suites[] = {AEAD_AES_256_GCM, AEAD_XCHACHA20_POLY1305};

    for (unsigned i = 0; i < 2; i++) {
        struct aead_input input = {.suite = suites[i], .key = key, .nonce = nonce};
        uint8_t sealed[8 + AEAD_TAG_BYTES];
        uint8_t out[8];
        cr_assert(!failed(aead_seal(aead, &input, (const uint8_t *)"sentence", 8, sealed)));
        for (size_t at = 0; at < sizeof sealed; at++) {
            sealed[at] ^= 1;
            memset(out, 0, sizeof out);
            cr_expect_eq(aead_open(aead, &input, sealed, sizeof sealed, out).why, WHY_FORGED);
            cr_expect_arr_eq(out, zeros, sizeof out, "suite %u byte %zu", i, at);
            sealed[at] ^= 1;
        }
        cr_assert(!failed(aead_open(aead, &input, sealed, sizeof sealed, out)));
        cr_expect_arr_eq(out, "sentence", 8);
    }
}

Test(aead, refuses_what_is_shorter_than_a_tag)
{
    static const uint8_t key[AEAD_KEY_BYTES];
    static const uint8_t nonce[AEAD_NONCE_BYTES_MAX];
    static const uint8_t sealed[AEAD_TAG_BYTES];
    struct aead_input input = {.suite = AEAD_AES_256_GCM, .key = key, .nonce = nonce};
    uint8_t out[1];

    cr_assert_eq(aead_open(aead, &input, sealed, sizeof sealed - 1, out).why, WHY_FORGED);
}

Test(aead, knows_two_suites_and_no_other)
{
    unsigned known = 0;

    for (unsigned suite = 0; suite < 256; suite++)
        known += aead_nonce_bytes(suite) != 0;
    cr_assert_eq(known, 2);
    cr_assert_eq(aead_nonce_bytes(AEAD_AES_256_GCM), 12);
    cr_assert_eq(aead_nonce_bytes(AEAD_XCHACHA20_POLY1305), 24);
}
