/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/card.h"

#include <criterion/criterion.h>

#include "base/encode.h"
#include "base/own.h"
#include "tests/vault/cards.h"

static const struct policy_tenant strict = {
    .luhn = POLICY_LUHN_REQUIRE, .luhn_off_prefixes = {62, 81}, .luhn_off_prefix_count = 2};
static const struct policy_tenant warned = {
    .luhn = POLICY_LUHN_WARN, .luhn_off_prefixes = {62, 81}, .luhn_off_prefix_count = 2};
static const struct policy_tenant lenient = {.luhn = POLICY_LUHN_OFF};

TestSuite(card, .init = pool_open, .fini = pool_close);

/* The code that a number is refused with; PROBLEM_NONE, and its mask, where it is taken. */
static enum problem_code check_bytes(const void *bytes, size_t size,
                                     const struct policy_tenant *tenant, struct card_mask *out_mask)
{
    OWNED(secret_free) struct secret *number = secret_of(bytes, size);
    struct problem problem = PROBLEM_NOTHING;

    bool taken = card_check_number(number, tenant, out_mask, &problem);
    cr_expect_eq(taken, problem.code == PROBLEM_NONE);
    if (taken) {
        cr_expect_eq(secret_size(number), out_mask->length);
        for (size_t i = 0; i < secret_size(number); i++)
            cr_expect(secret_peek(number)[i] >= '0' && secret_peek(number)[i] <= '9');
    } else {
        cr_expect_str_eq(problem.field, "/number");
    }
    return problem.code;
}

static enum problem_code check(const char *text, const struct policy_tenant *tenant,
                               struct card_mask *out_mask)
{
    return check_bytes(text, strlen(text), tenant, out_mask);
}

Test(card, of_every_published_number_is_taken_and_masked)
{
    for (size_t i = 0; i < PUBLISHED_COUNT; i++) {
        const char *number = published[i].number;
        size_t length = strlen(number);
        struct card_mask mask = {0};
        cr_assert_eq(check(number, &strict, &mask), PROBLEM_NONE, "%s", number);
        cr_expect_eq(mask.length, length);
        cr_expect_str_eq(mask.last4, number + length - 4);
        cr_expect_eq(strlen(mask.bin), length <= 14 ? 0u : 6u, "%s", number);
        cr_expect_eq(strncmp(mask.bin, number, strlen(mask.bin)), 0);
        cr_expect_str_eq(mask.brand->name, published[i].brand);
        cr_expect(mask.luhn_passed);
    }
}

Test(card, has_12_to_19_digits)
{
    for (size_t length = 10; length <= 20; length++) {
        char number[40];
        struct card_mask mask = {.length = 77};
        bool good = length >= 12 && length <= 19;
        card_make("9999", length, true, number);
        cr_expect_eq(check(number, &strict, &mask), good ? PROBLEM_NONE : PROBLEM_INVALID_NUMBER,
                     "%zu digits", length);
        cr_expect_eq(mask.length, good ? length : 77, "a mask is written only for a card");
    }
    struct card_mask mask;
    cr_expect_eq(check("", &lenient, &mask), PROBLEM_INVALID_NUMBER);
    cr_expect_eq(check(" - ", &lenient, &mask), PROBLEM_INVALID_NUMBER);
}

Test(card, number_is_refused_with_its_count_of_digits_and_nothing_else_of_it)
{
    OWNED(secret_free) struct secret *number = secret_of("4242 4242 424", 13);
    struct card_mask mask;
    struct problem problem;

    cr_assert(!card_check_number(number, &strict, &mask, &problem));
    cr_expect_str_eq(problem.detail, "It has 11 digits; 12 to 19 are accepted.");
}

Test(card, number_loses_its_spaces_and_hyphens)
{
    static const char *const spellings[] = {"4242 4242 4242 4242",     "4242-4242-4242-4242",
                                            " 4242424242424242 ",      "4 2 4 2 4 2 4 2 4242 4242",
                                            "4242--4242  4242- -4242", "424242-4242424242"};

    for (size_t i = 0; i < sizeof spellings / sizeof spellings[0]; i++) {
        OWNED(secret_free) struct secret *number = secret_of(spellings[i], strlen(spellings[i]));
        struct card_mask mask;
        struct problem problem;
        cr_assert(card_check_number(number, &strict, &mask, &problem), "%s", spellings[i]);
        cr_assert_eq(secret_size(number), 16u);
        cr_expect_arr_eq(secret_peek(number), "4242424242424242", 16);
    }
}

Test(card, number_holds_ascii_digits_only)
{
    static const char visa[] = "4242424242424242";
    struct card_mask mask;

    for (unsigned byte = 0; byte <= UINT8_MAX; byte++) {
        char text[sizeof visa + 1];
        bool fine = (byte >= '0' && byte <= '9') || byte == ' ' || byte == '-';
        memcpy(text, visa, 8);
        text[8] = (char)byte;
        memcpy(text + 9, visa + 8, 8);
        enum problem_code code = check_bytes(text, 17, &lenient, &mask);
        cr_expect_eq(code, fine ? PROBLEM_NONE : PROBLEM_INVALID_NUMBER, "byte %02x", byte);
    }
    /* Arabic-Indic four and two; full-width four; a space of no width. */
    cr_expect_eq(check("\xd9\xa4\xd9\xa2"
                       "4242424242"
                       "4242",
                       &lenient, &mask),
                 PROBLEM_INVALID_NUMBER);
    cr_expect_eq(check("\xef\xbc\x94"
                       "242424242424242",
                       &lenient, &mask),
                 PROBLEM_INVALID_NUMBER);
    cr_expect_eq(check("4242\xe2\x80\x8b"
                       "424242424242",
                       &lenient, &mask),
                 PROBLEM_INVALID_NUMBER);
}

Test(card, luhn_is_required_warned_of_or_off_as_the_tenant_says)
{
    struct card_mask mask;

    cr_expect_eq(check("4242424242424241", &strict, &mask), PROBLEM_INVALID_NUMBER);
    cr_expect_eq(check("4242424242424241", &warned, &mask), PROBLEM_NONE);
    cr_expect(!mask.luhn_passed, "the outcome is kept");
    cr_expect_eq(check("4242424242424241", &lenient, &mask), PROBLEM_NONE);
    cr_expect(!mask.luhn_passed);
    cr_expect_eq(check("4242424242424242", &lenient, &mask), PROBLEM_NONE);
    cr_expect(mask.luhn_passed);
}

Test(card, luhn_is_off_for_the_prefixes_that_the_tenant_names)
{
    static const char *const prefixes[] = {"62", "81", "4", "60", "80", "26", "18", "612"};
    struct card_mask mask;

    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        char number[40];
        card_make(prefixes[i], 16, false, number);
        cr_expect_eq(check(number, &strict, &mask), i < 2 ? PROBLEM_NONE : PROBLEM_INVALID_NUMBER,
                     "%s", number);
    }
    cr_expect_eq(check("6200000000000004", &strict, &mask), PROBLEM_NONE);
}

Test(card, with_any_one_digit_mistyped_is_refused)
{
    static const struct policy_tenant everywhere = {.luhn = POLICY_LUHN_REQUIRE};
    static const char visa[] = "4242424242424242";
    struct card_mask mask;

    for (unsigned at = 0; at < 16; at++) {
        for (char digit = '0'; digit <= '9'; digit++) {
            char number[sizeof visa];
            memcpy(number, visa, sizeof visa);
            number[at] = digit;
            cr_expect_eq(check(number, &everywhere, &mask),
                         digit == visa[at] ? PROBLEM_NONE : PROBLEM_INVALID_NUMBER);
        }
    }
}

Test(card, track_data_is_refused_as_such)
{
    static const char *const tracks[] = {
        ";4242424242424242=30121011234567890?",
        "4242424242424242=3012101",
        "%B4242424242424242^DOE/JANE^3012101000000000?",
        "B4242424242424242^DOE/JANE^3012",
    };

    for (size_t i = 0; i < sizeof tracks / sizeof tracks[0]; i++) {
        struct card_mask mask;
        cr_expect_eq(check(tracks[i], &lenient, &mask), PROBLEM_TRACK_DATA_REFUSED, "%s",
                     tracks[i]);
    }
}

/* MSK-1, over every length: what shows, and what does not (standards.md 5.3). */
Test(card, mask_shows_six_and_four_at_most_and_of_short_numbers_four)
{
    static const size_t hidden_least[] = {
        [12] = 8, [13] = 9, [14] = 10, [15] = 5, [16] = 6, [17] = 7, [18] = 8, [19] = 9};

    for (size_t length = 12; length <= 19; length++) {
        for (unsigned round = 0; round < 200; round++) {
            char number[20] = {0};
            struct card_mask mask;
            for (size_t i = 0; i < length; i++)
                number[i] = (char)('0' + random_below(10));
            cr_assert_eq(check(number, &lenient, &mask), PROBLEM_NONE);
            cr_expect_eq(length - strlen(mask.bin) - strlen(mask.last4), hidden_least[length]);
            cr_expect_eq(strncmp(number, mask.bin, strlen(mask.bin)), 0);
            cr_expect_str_eq(number + length - 4, mask.last4);
        }
    }
}

static enum problem_code expiry(unsigned month, unsigned year, const char *now)
{
    int64_t now_ms = 0;
    struct problem problem = PROBLEM_NOTHING;

    cr_assert(!failed(clock_parse(now, strlen(now), &now_ms)));
    bool good = card_check_expiry(month, year, now_ms, &problem);
    cr_expect_eq(good, problem.code == PROBLEM_NONE);
    if (!good)
        cr_expect(strcmp(problem.field, "/exp_month") == 0 ||
                  strcmp(problem.field, "/exp_year") == 0);
    return problem.code;
}

Test(card, is_good_until_its_month_has_ended_everywhere)
{
    cr_expect_eq(expiry(11, 2026, "2026-11-01T00:00:00Z"), PROBLEM_NONE);
    cr_expect_eq(expiry(11, 2026, "2026-11-30T23:59:59.999Z"), PROBLEM_NONE);
    cr_expect_eq(expiry(11, 2026, "2026-12-01T11:59:59.999Z"), PROBLEM_NONE, "at UTC-12");
    cr_expect_eq(expiry(11, 2026, "2026-12-01T12:00:00Z"), PROBLEM_INVALID_EXPIRY);
    cr_expect_eq(expiry(12, 2026, "2027-01-01T11:59:59Z"), PROBLEM_NONE);
    cr_expect_eq(expiry(12, 2026, "2027-01-01T12:00:00Z"), PROBLEM_INVALID_EXPIRY);
    cr_expect_eq(expiry(1, 2027, "2026-12-31T12:00:00Z"), PROBLEM_NONE);
    cr_expect_eq(expiry(12, 2025, "2026-11-01T12:00:00Z"), PROBLEM_INVALID_EXPIRY);
    cr_expect_eq(expiry(1, 2026, "2026-11-01T12:00:00Z"), PROBLEM_INVALID_EXPIRY);
    cr_expect_eq(expiry(2, 2028, "2028-02-29T23:00:00Z"), PROBLEM_NONE);
}

Test(card, expires_in_a_month_of_a_year_of_this_century)
{
    static const char now[] = "2026-11-23T08:00:00Z";

    cr_expect_eq(expiry(0, 2030, now), PROBLEM_INVALID_EXPIRY);
    cr_expect_eq(expiry(13, 2030, now), PROBLEM_INVALID_EXPIRY);
    cr_expect_eq(expiry(UINT8_MAX, 2030, now), PROBLEM_INVALID_EXPIRY);
    cr_expect_eq(expiry(12, 30, now), PROBLEM_INVALID_EXPIRY);
    cr_expect_eq(expiry(12, 1999, "1990-01-01T00:00:00Z"), PROBLEM_INVALID_EXPIRY);
    cr_expect_eq(expiry(12, 2099, now), PROBLEM_NONE);
    cr_expect_eq(expiry(1, 2100, now), PROBLEM_INVALID_EXPIRY);
}

static bool cvv_good(const char *text, const char *number)
{
    OWNED(secret_free) struct secret *cvv = secret_of(text, strlen(text));
    struct problem problem = PROBLEM_NOTHING;
    const struct brand *brand = brand_find((const uint8_t *)number, (unsigned)strlen(number));

    bool good = card_check_cvv(cvv, brand, &problem);
    cr_expect_eq(problem.code, good ? PROBLEM_NONE : PROBLEM_INVALID_CVV);
    if (!good) {
        cr_expect_str_eq(problem.field, "/cvv");
        cr_expect(text[0] == '\0' || strstr(problem.detail, text) == NULL, "%s", problem.detail);
    }
    return good;
}

Test(card, code_has_as_many_digits_as_its_brand)
{
    cr_expect(cvv_good("737", "4242424242424242"));
    cr_expect(!cvv_good("7373", "4242424242424242"));
    cr_expect(cvv_good("7373", "378282246310005"));
    cr_expect(!cvv_good("737", "378282246310005"));
    cr_expect(cvv_good("737", "9999"), "of an unknown brand it may be either");
    cr_expect(cvv_good("7373", "9999"));
}

Test(card, code_is_three_or_four_ascii_digits)
{
    static const char *const wrong[] = {"",    "7",   "73",  "73737", " 73",   "73 ",
                                        "73a", "-73", "7.3", "+73",   "737\n", "\xd9\xa4\x37"};

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        cr_expect(!cvv_good(wrong[i], "9999"), "%s", wrong[i]);
}
