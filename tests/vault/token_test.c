/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/token.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/encode.h"
#include "base/redact.h"

static const char base62[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

static bool has_hit(const char *token)
{
    struct redact_hit hit;

    return redact_find((const uint8_t *)token, strlen(token), 0, &hit);
}

Test(token, that_is_opaque_says_whether_it_is_live)
{
    static const uint8_t bits[TOKEN_BITS_BYTES] = "sixteen bytes ..";
    char token[CONTRACT_TOKEN_MAX + 1];

    cr_assert(token_make_opaque(true, bits, token));
    cr_expect_eq(strncmp(token, "tok_", 4), 0);
    cr_expect_eq(strspn(token + 4, base62), 26u);
    cr_expect_eq(strlen(token), 30u);
    cr_expect(token_is_well_formed(token));
    cr_assert(token_make_opaque(false, bits, token));
    cr_expect_eq(strncmp(token, "tok_test_", 9), 0);
    cr_expect_eq(strspn(token + 9, base62), 26u);
    cr_expect_eq(strlen(token), 35u);
    cr_expect(token_is_well_formed(token));
}

Test(token, that_is_opaque_has_the_bits_that_it_was_given)
{
    uint8_t bits[TOKEN_BITS_BYTES];
    uint8_t got[TOKEN_BITS_BYTES];
    char token[CONTRACT_TOKEN_MAX + 1];

    for (unsigned i = 0; i < 100000; i++) {
        random_bytes(bits, sizeof bits);
        bool good = token_make_opaque(i % 2 == 0, bits, token);
        cr_assert_eq(good, !has_hit(token), "%s", token); /* TOK-3. */
        cr_assert(token_opaque_bits(token, got));
        cr_assert_arr_eq(got, bits, sizeof bits);
    }
    token_make_uuid(token);
    cr_expect(!token_opaque_bits(token, got));
}

/* TOK-3: chance alone would not bring one up in a lifetime. */
Test(token, that_would_look_like_a_card_is_not_used)
{
    uint8_t bits[TOKEN_BITS_BYTES];
    char token[CONTRACT_TOKEN_MAX + 1];

    cr_assert(!failed(decode_base62("4242424242424242AAAAAA", bits)));
    cr_expect(!token_make_opaque(true, bits, token));
    cr_expect(has_hit(token));
    bits[15] ^= 1; /* Its last characters alone: the digits stand as they are. */
    cr_expect(!token_make_opaque(false, bits, token));
}

Test(token, that_is_a_uuid_is_of_version_4_and_never_taken_for_a_card)
{
    char token[CONTRACT_TOKEN_MAX + 1];

    for (unsigned i = 0; i < 100000; i++) {
        token_make_uuid(token);
        cr_assert_eq(strlen(token), 36u);
        cr_assert_eq(strspn(token, "0123456789abcdef-"), 36u);
        cr_assert_eq(token[14], '4');
        cr_assert_neq(strchr("89ab", token[19]), NULL);
        cr_assert(token_is_well_formed(token));
        cr_assert(!has_hit(token), "%s", token);
    }
}

/* Fixed bodies, so that what holds once holds always: a CRC folded to 62^4 values misses one error
 * in 15 million. */
Test(token, with_any_one_character_mistyped_is_found)
{
    for (unsigned i = 0; i < 8; i++) {
        uint8_t bits[16];
        char token[CONTRACT_TOKEN_MAX + 1];
        char text[ENCODE_BASE62_CHARS + 1];
        char check[TOKEN_CHECK_CHARS + 1];
        memset(bits, (int)(0x1d * i + 3), sizeof bits);
        encode_base62(bits, text);
        (void)snprintf(token, sizeof token, "tok_test_%s", text);
        token_check(token, check);
        memcpy(token + strlen(token), check, sizeof check);
        cr_assert(token_is_well_formed(token), "%s", token);
        for (size_t at = 0; token[at] != '\0'; at++) {
            char right = token[at];
            for (unsigned c = 1; c <= UINT8_MAX; c++) {
                token[at] = (char)c;
                cr_expect_eq(token_is_well_formed(token), token[at] == right, "%s", token);
            }
            token[at] = right;
        }
    }
}

Test(token, with_two_neighbours_swapped_is_found)
{
    char token[CONTRACT_TOKEN_MAX + 1] = "tok_0123456789ABCDEFGHIJKL";
    char check[TOKEN_CHECK_CHARS + 1];

    token_check(token, check);
    memcpy(token + strlen(token), check, sizeof check);
    cr_assert(token_is_well_formed(token));
    for (size_t at = 0; token[at + 1] != '\0'; at++) {
        char first = token[at];
        if (first == token[at + 1])
            continue;
        token[at] = token[at + 1];
        token[at + 1] = first;
        cr_expect(!token_is_well_formed(token), "%s", token);
        token[at + 1] = token[at];
        token[at] = first;
    }
}

Test(token, check_is_the_crc_32_that_everybody_knows)
{
    uint32_t rest = 0xCBF43926u; /* Of "123456789". */
    char check[TOKEN_CHECK_CHARS + 1];

    token_check("123456789", check);
    for (unsigned i = 0; i < TOKEN_CHECK_CHARS; i++) {
        cr_expect_eq(check[i], base62[rest % 62]);
        rest /= 62;
    }
    cr_expect_eq(check[TOKEN_CHECK_CHARS], '\0');
}

Test(token, that_nothing_here_makes_is_not_well_formed)
{
    static const char *const wrong[] = {
        "",
        "tok_",
        "tok_test_",
        "tok_0123456789ABCDEFGHIJKL",
        "cvv_0123456789ABCDEFGHIJKL0000",
        "00000000-0000-4000-8000-00000000000",
        "00000000-0000-4000-8000-0000000000000",
        "00000000-0000-1000-8000-000000000000",
        "00000000-0000-4000-c000-000000000000",
        "0000000000000-4000-8000-000000000000",
        "0000000A-0000-4000-8000-000000000000",
        "------------------------------------",
        "00000000000",          /* 11 digits */
        "00000000000000000000", /* 20 */
        "0000000000a0",
        " 000000000000",
    };

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        cr_expect(!token_is_well_formed(wrong[i]), "%s", wrong[i]);
    cr_expect(token_is_well_formed("00000000-0000-4000-8000-000000000000"));
    cr_expect(token_is_well_formed("000000000001"));
    char endless[4096];
    memset(endless, '4', sizeof endless - 1);
    endless[sizeof endless - 1] = '\0';
    cr_expect(!token_is_well_formed(endless));
    memcpy(endless, "tok_", 4);
    cr_expect(!token_is_well_formed(endless));
}

/* A right check, but of more than 128 bits. */
Test(token, whose_body_no_16_bytes_give_is_not_well_formed)
{
    char token[CONTRACT_TOKEN_MAX + 1] = "tok_zzzzzzzzzzzzzzzzzzzzzz";
    char check[TOKEN_CHECK_CHARS + 1];

    token_check(token, check);
    memcpy(token + strlen(token), check, sizeof check);
    cr_expect(!token_is_well_formed(token));
}

/* Of a card with `length` digits, of which the mask and the first 8 are all that is given. */
static void shape(unsigned length, const struct policy_tenant *tenant,
                  char out[static CONTRACT_TOKEN_MAX + 1])
{
    struct card_mask mask = {.length = (uint8_t)length, .last4 = "4242"};

    token_make_card_shaped(tenant, &mask, "42424242", out);
}

Test(token, shaped_like_a_card_keeps_what_it_should_and_fails_luhn)
{
    for (unsigned length = 12; length <= 19; length++) {
        for (unsigned choice = 0; choice < 12; choice++) {
            static const unsigned firsts[] = {0, 6, 8};
            struct policy_tenant tenant = {.card_keep_first = firsts[choice % 3],
                                           .card_keep_last = choice / 3 % 2 == 1,
                                           .card_pass_luhn = choice / 6 == 1};
            unsigned most = length <= 14 ? 0 : length == 15 ? 6 : 8;
            unsigned kept = tenant.card_keep_first < most ? tenant.card_keep_first : most;
            for (unsigned round = 0; round < 50; round++) {
                char token[CONTRACT_TOKEN_MAX + 1];
                shape(length, &tenant, token);
                cr_assert_eq(strlen(token), length);
                cr_assert_eq(strspn(token, "0123456789"), length);
                cr_assert_eq(redact_luhn((const uint8_t *)token, length), tenant.card_pass_luhn);
                cr_assert_eq(has_hit(token), tenant.card_pass_luhn && length >= 13);
                cr_assert_eq(strncmp(token, "42424242", kept), 0);
                if (tenant.card_keep_last)
                    cr_assert_str_eq(token + length - 4, "4242");
                cr_assert(token_is_well_formed(token));
            }
        }
    }
}

/* MSK-1 for tokens: digits kept beyond the rule would stay the same from token to token. */
Test(token, shaped_like_a_card_hides_what_the_mask_hides)
{
    static const unsigned hidden_least[] = {
        [12] = 8, [13] = 9, [14] = 10, [15] = 5, [16] = 4, [17] = 5, [18] = 6, [19] = 7};
    const struct policy_tenant tenant = {.card_keep_first = 8, .card_keep_last = true};

    for (unsigned length = 12; length <= 19; length++) {
        char first[CONTRACT_TOKEN_MAX + 1];
        bool moved[20] = {false};
        unsigned hidden = 0;
        shape(length, &tenant, first);
        for (unsigned round = 0; round < 100; round++) {
            char token[CONTRACT_TOKEN_MAX + 1];
            shape(length, &tenant, token);
            for (unsigned i = 0; i < length; i++)
                moved[i] = moved[i] || token[i] != first[i];
        }
        for (unsigned i = 0; i < length; i++)
            hidden += moved[i] ? 1 : 0;
        cr_expect_eq(hidden, hidden_least[length], "%u digits: %u hidden", length, hidden);
    }
}

/* TOK-1.  A card never comes here, so that two cards of one mask cannot be told apart; and what is
 * drawn is drawn fairly: chi-squared with 9 degrees of freedom passes 60 once in 10^9 times. */
Test(token, shaped_like_a_card_draws_its_hidden_digits_fairly)
{
    enum { DRAWS = 20000 };
    static unsigned seen[16][10];
    const struct policy_tenant tenant = {.card_keep_first = 6, .card_keep_last = true};

    for (unsigned i = 0; i < DRAWS; i++) {
        char token[CONTRACT_TOKEN_MAX + 1];
        shape(16, &tenant, token);
        for (unsigned at = 6; at < 12; at++)
            seen[at][token[at] - '0']++;
    }
    for (unsigned at = 6; at < 12; at++) {
        double chi = 0;
        for (unsigned digit = 0; digit < 10; digit++) {
            double off = seen[at][digit] - DRAWS / 10.0;
            chi += off * off / (DRAWS / 10.0);
        }
        cr_expect(chi < 60, "digit %u: %f", at, chi);
    }
}
