/* SPDX-License-Identifier: Apache-2.0 */
#include "keys/custodian.h"

#include "tests/keys/share_kit.h"

struct custody {
    uint8_t public_key[CUSTODIAN_KEY_BYTES];
    struct secret *key;
    struct share share;
    uint8_t box[CUSTODIAN_BOX_BYTES];
};

static struct custody custody_new(void)
{
    struct custody custody = {.share = share_drawn(4)};

    cr_assert(!failed(custodian_new(custody.public_key, &custody.key)));
    cr_assert(!failed(custodian_seal(custody.public_key, &custody.share, custody.box)));
    return custody;
}

static void custody_end(struct custody *custody)
{
    secret_free(&custody->key);
    share_free(&custody->share);
}

static enum why opened(const struct custody *custody, const struct secret *key, const uint8_t *set,
                       uint8_t index)
{
    struct share share = {0};
    enum why why = custodian_open(key, custody->box, set, index, &share).why;

    if (why == WHY_NONE && !share_same(&share, &custody->share))
        why = WHY_COUNT; /* Opened, and another one. */
    share_free(&share);
    return why;
}

Test(custodian, opens_what_was_sealed_to_it)
{
    struct custody custody = custody_new();
    uint8_t again[CUSTODIAN_KEY_BYTES];

    cr_assert_eq(opened(&custody, custody.key, custody.share.set, 4), WHY_NONE);
    cr_assert(!failed(custodian_public(custody.key, again)));
    cr_assert_arr_eq(again, custody.public_key, sizeof again);
    custody_end(&custody);
}

Test(custodian, does_not_open_what_was_sealed_to_another)
{
    struct custody custody = custody_new();
    struct custody other = custody_new();

    cr_assert_eq(opened(&custody, other.key, custody.share.set, 4), WHY_FORGED);
    custody_end(&custody);
    custody_end(&other);
}

Test(custodian, refuses_a_share_of_another_set_or_place)
{
    struct custody custody = custody_new();
    uint8_t set[SHARE_SET_BYTES];

    cr_assert_eq(opened(&custody, custody.key, custody.share.set, 5), WHY_FORGED);
    for (unsigned i = 0; i < SHARE_SET_BYTES; i++) {
        memcpy(set, custody.share.set, sizeof set);
        set[i] ^= 1;
        cr_assert_eq(opened(&custody, custody.key, set, 4), WHY_FORGED);
    }
    custody_end(&custody);
}

Test(custodian, notices_every_bit_of_a_box)
{
    struct custody custody = custody_new();

    for (size_t bit = 0; bit < 8 * sizeof custody.box; bit++) {
        custody.box[bit / 8] ^= (uint8_t)(1u << bit % 8);
        /* X25519 ignores the highest bit of a public key, but the nonce is made of all of it. */
        cr_assert_eq(opened(&custody, custody.key, custody.share.set, 4), WHY_FORGED, "bit %zu",
                     bit);
        custody.box[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    cr_assert_eq(opened(&custody, custody.key, custody.share.set, 4), WHY_NONE);
    custody_end(&custody);
}

Test(custodian, seals_to_no_public_key_that_agrees_on_nothing)
{
    struct share share = share_drawn(1);
    uint8_t zero[CUSTODIAN_KEY_BYTES] = {0};
    uint8_t box[CUSTODIAN_BOX_BYTES];

    cr_assert_eq(custodian_seal(zero, &share, box).why, WHY_BAD_INPUT);
    cr_assert_not(custodian_public_is_good(zero));
    zero[0] = 9;
    cr_assert(custodian_public_is_good(zero));
    share_free(&share);
}

Test(custodian, seals_one_share_into_another_box_each_time)
{
    struct custody custody = custody_new();
    uint8_t again[CUSTODIAN_BOX_BYTES];

    cr_assert(!failed(custodian_seal(custody.public_key, &custody.share, again)));
    cr_assert_neq(memcmp(again, custody.box, sizeof again), 0);
    custody_end(&custody);
}

Test(custodian, takes_no_key_of_another_size)
{
    struct secret *stub = NULL;
    uint8_t out[CUSTODIAN_KEY_BYTES];

    cr_assert(sodium_init() >= 0);
    cr_assert(!failed(secret_new_key(31, &stub)));
    cr_assert_eq(custodian_public(stub, out).why, WHY_BAD_INPUT);
    secret_free(&stub);
}
