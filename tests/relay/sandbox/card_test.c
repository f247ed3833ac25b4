/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/sandbox/card.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/redact.h"

#define YEAR 2026u

static struct card good_card(const char *number)
{
    struct card card = {.cvc = "123", .exp_month = 12, .exp_year = YEAR + 5};
    memcpy(card.number, number, strlen(number) + 1);
    return card;
}

static const char *decline_of(const struct card *card)
{
    struct card_verdict verdict = card_judge(card, YEAR);
    if (verdict.outcome == CARD_APPROVED)
        return "approved";
    return verdict.decline_code != NULL ? verdict.decline_code : verdict.code;
}

Test(card, approves_published_numbers_and_declines_the_declining_one)
{
    struct card card = good_card("4242424242424242");
    cr_expect_str_eq(decline_of(&card), "approved");
    card = good_card("6200000000000004"); /* Without a right check digit, as some are issued. */
    cr_expect_str_eq(decline_of(&card), "approved");
    card = good_card("4000000000000002");
    cr_expect_str_eq(decline_of(&card), "generic_decline");
}

Test(card, tells_a_real_card_from_a_test_number)
{
    struct card card = good_card("4242424242424242");
    /* The next number of the range with a right check digit: computed, so that it stands nowhere.
     */
    card.number[14] = '5';
    for (card.number[15] = '0'; !redact_luhn((const uint8_t *)card.number, 16); card.number[15]++)
        ;
    cr_expect_str_eq(decline_of(&card), "test_mode_live_card");
}

Test(card, refuses_each_field_that_is_wrong_by_its_name)
{
    struct card card = good_card("4242424242424241");
    cr_expect_str_eq(decline_of(&card), "incorrect_number");
    card = good_card("42424242");
    cr_expect_str_eq(decline_of(&card), "invalid_number");
    card = good_card("4242 4242 4242 4242");
    cr_expect_str_eq(decline_of(&card), "invalid_number");
    card = good_card("4242424242424242");
    card.exp_month = 13;
    cr_expect_str_eq(decline_of(&card), "invalid_expiry_month");
    card.exp_month = 12;
    card.exp_year = YEAR - 1;
    cr_expect_str_eq(decline_of(&card), "invalid_expiry_year");
    card.exp_year = YEAR;
    cr_expect_str_eq(decline_of(&card), "approved");
    memcpy(card.cvc, "12", 3);
    cr_expect_str_eq(decline_of(&card), "invalid_cvc");
    memcpy(card.cvc, "12a", 4);
    cr_expect_str_eq(decline_of(&card), "invalid_cvc");
    card.cvc[0] = '\0';
    cr_expect_str_eq(decline_of(&card), "approved");
}

Test(card, reads_both_ways_to_write_an_expiry)
{
    struct card card = {0};
    card_expiry(&card, "03/31");
    cr_expect_eq(card.exp_month, 3);
    cr_expect_eq(card.exp_year, 2031);
    card_expiry(&card, "11/2032");
    cr_expect_eq(card.exp_month, 11);
    cr_expect_eq(card.exp_year, 2032);
    card = (struct card){0};
    card_expiry(&card, "1131");
    cr_expect_eq(card.exp_month, 0);
}

Test(card, shows_a_brand_and_four_digits)
{
    struct card card = good_card("378282246310005");
    struct card_face face;
    card_face_of(&card, &face);
    cr_expect_str_eq(face.brand, "amex");
    cr_expect_str_eq(face.last4, "0005");
    card = good_card("123");
    card_face_of(&card, &face);
    cr_expect_str_eq(face.last4, "", "a short number shows nothing");
}
