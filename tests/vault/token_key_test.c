/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/token_key.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/encode.h"
#include "base/redact.h"
#include "tests/vault/rows.h"

TestSuite(token_key, .init = rows_open, .fini = rows_close);

static struct token_drawn drawn_of(uint64_t number)
{
    struct token_drawn drawn;

    cr_assert(!failed(token_key_draw(&store, "shop", true, number, SHELF_NOW_MS, &drawn)));
    return drawn;
}

static void key_of(const char *tenant, const char *text, uint8_t out[static STORE_KEY_BYTES])
{
    cr_assert(!failed(token_key(&store, tenant, text, SHELF_NOW_MS, out)));
}

Test(token_key, of_an_opaque_token_begins_with_its_number)
{
    static const uint64_t numbers[] = {0, 1, 255, 256, 0x010203040506, (1ull << 48) - 1};
    uint8_t key[STORE_KEY_BYTES];

    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        struct token_drawn drawn = drawn_of(numbers[i]);
        uint64_t number = 0;
        for (unsigned at = 0; at < TOKEN_NUMBER_BYTES; at++)
            number = number << 8 | drawn.key[at];
        cr_expect_eq(number, numbers[i]);
        cr_expect(token_is_well_formed(drawn.text));
        key_of("shop", drawn.text, key);
        cr_expect_arr_eq(key, drawn.key, sizeof key);
    }
}

/* TOK-2: to who has not the key, all 128 bits are chance, though numbers count.  4096 fair coins
 * stray from the middle by 256 (8 standard deviations) once in 10^15 times; so do those by which a
 * token differs from the one before it. */
Test(token_key, is_not_seen_in_an_opaque_token)
{
    enum { COUNT = 4096 };
    unsigned set[128] = {0};
    unsigned changed[128] = {0};
    uint8_t before[16] = {0};

    for (unsigned i = 0; i < COUNT; i++) {
        struct token_drawn drawn = drawn_of(i);
        uint8_t bits[16];
        cr_assert(token_opaque_bits(drawn.text, bits));
        for (unsigned bit = 0; bit < 128; bit++) {
            set[bit] += (bits[bit / 8] >> bit % 8) & 1u;
            changed[bit] += ((bits[bit / 8] ^ before[bit / 8]) >> bit % 8) & 1u;
        }
        memcpy(before, bits, sizeof before);
    }
    for (unsigned bit = 0; bit < 128; bit++) {
        cr_expect(set[bit] > COUNT / 2 - 256 && set[bit] < COUNT / 2 + 256, "bit %u: %u", bit,
                  set[bit]);
        cr_expect(changed[bit] > COUNT / 2 - 256 && changed[bit] < COUNT / 2 + 256, "bit %u: %u",
                  bit, changed[bit]);
    }
}

/* As where a store went back to a state of before, and gives its numbers again. */
Test(token_key, of_one_number_is_never_the_same_twice)
{
    struct token_drawn one = drawn_of(7);
    struct token_drawn other = drawn_of(7);

    cr_expect_str_neq(one.text, other.text);
    cr_expect_neq(memcmp(one.key + TOKEN_NUMBER_BYTES, other.key + TOKEN_NUMBER_BYTES,
                         STORE_KEY_BYTES - TOKEN_NUMBER_BYTES),
                  0);
}

/* TOK-6; and a token that somebody made up lies at a number of chance. */
Test(token_key, is_another_one_for_another_tenant_or_text)
{
    struct token_drawn drawn = drawn_of(7);
    uint8_t key[STORE_KEY_BYTES];
    uint8_t bits[TOKEN_BITS_BYTES];
    char made_up[CONTRACT_TOKEN_MAX + 1];

    key_of("bank", drawn.text, key);
    cr_expect_arr_eq(key, drawn.key, TOKEN_NUMBER_BYTES);
    cr_expect_neq(memcmp(key + TOKEN_NUMBER_BYTES, drawn.key + TOKEN_NUMBER_BYTES,
                         STORE_KEY_BYTES - TOKEN_NUMBER_BYTES),
                  0);
    cr_assert(token_opaque_bits(drawn.text, bits));
    bits[15] ^= 1;
    cr_assert(token_make_opaque(true, bits, made_up));
    key_of("shop", made_up, key);
    cr_expect_neq(memcmp(key, drawn.key, TOKEN_NUMBER_BYTES), 0);
}

Test(token_key, of_any_other_text_is_its_keyed_hash)
{
    char uuid[CONTRACT_TOKEN_MAX + 1];
    uint8_t key[STORE_KEY_BYTES];
    uint8_t hash[STORE_KEY_BYTES];

    token_make_uuid(uuid);
    const char *texts[] = {uuid, "", "tok_", "tok_test_", "no token at all"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        key_of("shop", texts[i], key);
        cr_assert(!failed(store_key(&store, "token", "shop", texts[i], SHELF_NOW_MS, hash)));
        cr_expect_arr_eq(key, hash, sizeof key, "%s", texts[i]);
    }
}

/* TOK-3. */
Test(token_key, draws_no_token_that_is_taken_for_a_card)
{
    struct redact_hit hit;

    for (unsigned i = 0; i < 100000; i++) {
        struct token_drawn drawn = drawn_of(i);
        cr_assert(!redact_find((const uint8_t *)drawn.text, strlen(drawn.text), 0, &hit), "%s",
                  drawn.text);
    }
}
