/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include <stdio.h>
#include <string.h>

#include "base/redact.h"

/* Published test numbers, one a length and brand. */
static const char *const published[] = {
    "4242424242424242", "4000056655665556",   "4111111111111111",    "4222222222222",
    "5555555555554444", "2223003122003222",   "378282246310005",     "6011111111111117",
    "36227206271667",   "3566002020360505",   "6205500000000000004", "8171999900000000021",
    "50339619890917",   "586824160825533338", "2202208311110010",
};
#define PUBLISHED_COUNT (sizeof published / sizeof published[0])

static const uint8_t *bytes_of(const char *text)
{
    return (const uint8_t *)text;
}

static unsigned hits_in(const char *text)
{
    unsigned count = 0;
    struct redact_hit hit;
    for (size_t at = 0; redact_find(bytes_of(text), strlen(text), at, &hit); at = hit.start + 1)
        count++;
    return count;
}

/* `text` masked, and how many hits it had. */
static const char *masked(const char *text, unsigned *out_count)
{
    static char copy[256];
    cr_assert(strlen(text) < sizeof copy);
    memcpy(copy, text, strlen(text) + 1);
    *out_count = redact_mask((uint8_t *)copy, strlen(copy));
    return copy;
}

Test(redact, knows_right_check_digits)
{
    for (size_t i = 0; i < PUBLISHED_COUNT; i++) {
        char digits[20];
        size_t count = strlen(published[i]);
        memcpy(digits, published[i], count + 1);
        cr_expect(redact_luhn(bytes_of(digits), count), "%zu", i);
        for (size_t at = 0; at < count; at++) {
            char right = digits[at];
            for (char other = '0'; other <= '9'; other++) {
                digits[at] = other;
                cr_expect_eq(redact_luhn(bytes_of(digits), count), other == right,
                             "number %zu, digit %zu", i, at);
            }
            digits[at] = right;
        }
    }
    cr_assert(!redact_luhn(bytes_of("4242424242424241"), 16));
    cr_assert(!redact_luhn(NULL, 0));
    cr_assert(!redact_luhn(bytes_of("0"), 1));
    cr_assert(!redact_luhn(bytes_of("42424242a4242424"), 16));
}

Test(redact, finds_a_number_wherever_it_stands)
{
    static const char *const around[][2] = {{"", ""},       {"x", "y"},     {"{\"pan\":\"", "\"}"},
                                            {"a=", "&b=1"}, {" ", " "},     {"-", "-"},
                                            {"\xff", "\0"}, {"12.", ".34"}, {"1  ", "  2"}};
    for (size_t i = 0; i < PUBLISHED_COUNT; i++) {
        for (size_t j = 0; j < sizeof around / sizeof around[0]; j++) {
            char text[64];
            struct redact_hit hit;
            snprintf(text, sizeof text, "%s%s%s", around[j][0], published[i], around[j][1]);
            cr_assert(redact_find(bytes_of(text), strlen(text), 0, &hit), "%zu in %zu", i, j);
            cr_expect_eq(hit.start, strlen(around[j][0]));
            cr_expect_eq(hit.size, strlen(published[i]));
            cr_expect_eq(hit.digits, strlen(published[i]));
            cr_expect(!redact_find(bytes_of(text), strlen(text), hit.start + 1, &hit));
        }
    }
}

Test(redact, finds_a_number_with_single_spaces_or_hyphens)
{
    struct redact_hit hit;
    static const char *const spaced[] = {"4242 4242 4242 4242", "4242-4242-4242-4242",
                                         "4242 4242-42424242",  "4-2-4-2-4 242424242 4 2",
                                         "3782 822463 10005",   "6205 5000 0000 0000 004"};
    for (size_t i = 0; i < sizeof spaced / sizeof spaced[0]; i++) {
        cr_assert(redact_find(bytes_of(spaced[i]), strlen(spaced[i]), 0, &hit), "%s", spaced[i]);
        cr_expect_eq(hit.start, 0u);
        cr_expect_eq(hit.size, strlen(spaced[i]), "%s", spaced[i]);
    }
    cr_assert_eq(hit.digits, 19u);
    cr_assert_eq(hits_in("4242  4242 4242 4242"), 0u);
    cr_assert_eq(hits_in("4242 -4242 4242 4242"), 0u);
    cr_assert_eq(hits_in("4242.4242.4242.4242"), 0u);
}

Test(redact, leaves_other_digits_alone)
{
    static const char *const harmless[] = {
        "",
        "4242424242424241",
        "424242424242",
        "2026-11-23T08:00:00.000Z",
        "no digits at all",
        "tok_0aB9",
    };
    for (size_t i = 0; i < sizeof harmless / sizeof harmless[0]; i++) {
        unsigned count = 1;
        cr_expect_str_eq(masked(harmless[i], &count), harmless[i]);
        cr_expect_eq(count, 0u);
    }
    /* Within longer digits, before and behind. */
    char text[64];
    snprintf(text, sizeof text, "%s%s", "0000", "4242424242424242");
    cr_assert_eq(hits_in(text), 0u);
    snprintf(text, sizeof text, "%s%s", "4242424242424242", "0000");
    cr_assert_eq(hits_in(text), 0u);
}

Test(redact, finds_a_number_beside_other_groups_of_digits)
{
    static const char *const texts[] = {"4242424242424242 737", "4242424242424242 2026",
                                        "7 4242424242424242", "2026-11-23 4242424242424242 9"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        unsigned count = 0;
        const char *text = masked(texts[i], &count);
        cr_expect(count > 0, "%s", texts[i]);
        cr_expect(strstr(text, "************") != NULL, "%s became %s", texts[i], text);
    }
}

Test(redact, masks_all_but_the_last_four)
{
    unsigned count = 0;
    cr_assert_str_eq(masked("pan=4242424242424242&x", &count), "pan=************4242&x");
    cr_assert_eq(count, 1u);
    cr_assert_str_eq(masked("4222222222222", &count), "*********2222");
    cr_assert_str_eq(masked("4242 4242 4242 4242", &count), "**** **** **** 4242");
    cr_assert_str_eq(masked("6205 5000 0000 0000 004", &count), "**** **** **** ***0 004");
    cr_assert_str_eq(masked("378282246310005,5555555555554444", &count),
                     "***********0005,************4444");
    cr_assert_eq(count, 2u);
}

Test(redact, masks_nothing_twice)
{
    for (size_t i = 0; i < PUBLISHED_COUNT; i++) {
        unsigned count = 0;
        char once[64];
        snprintf(once, sizeof once, "%s", masked(published[i], &count));
        cr_assert_eq(count, 1u);
        cr_assert_str_eq(masked(once, &count), once);
        cr_assert_eq(count, 0u);
    }
}

/* Three groups, so made that the first and second have a right check digit, and the second and
 * third too: the digits in the middle belong to both. */
/* What the first hit leaves clear is a group of its own then, and a run with those behind it. */
Test(redact, masks_until_there_is_nothing_left_to_find)
{
    unsigned count = 0;
    const char *text = masked("4242424242424242 1000 0000 3", &count);
    cr_expect_eq(count, 2u);
    cr_expect_str_eq(text, "**************** **** *000 3");
    cr_expect_eq(hits_in(text), 0u);
}

Test(redact, masks_both_of_two_that_overlap)
{
    char text[32] = "4000000 0000000 0000000";
    for (text[14] = '0'; text[14] <= '9'; text[14]++) {
        char digits[15] = "40000000000000";
        digits[13] = text[14];
        if (redact_luhn(bytes_of(digits), 14))
            break;
    }
    for (text[22] = '0'; text[22] <= '9'; text[22]++) {
        char digits[15] = "0000000"
                          "0000000";
        digits[6] = text[14];
        digits[13] = text[22];
        if (redact_luhn(bytes_of(digits), 14))
            break;
    }
    cr_assert_eq(hits_in(text), 2u, "%s", text);
    unsigned count = 0;
    const char *result = masked(text, &count);
    cr_assert_eq(count, 2u);
    cr_assert(strncmp(result, "******* ******* ***", 19) == 0, "%s", result);
}

Test(redact, sees_magnetic_stripes)
{
    static const char *const tracks[] = {
        "%B4242424242424242^DOE/JANE^25121010000000001?",
        "B4242424242424242^DOE/JANE^2512",
        "xx%B4242 4242 4242 4242^DOE/JANE^2512",
        "%B4242424242424242^^2512",
        ";4242424242424242=25121010000000001?",
        "4242424242424242=2512",
        "data: ;4242424242424242=2512101?",
        "6205500000000000004=2512",
    };
    for (size_t i = 0; i < sizeof tracks / sizeof tracks[0]; i++)
        cr_expect(redact_is_track(bytes_of(tracks[i]), strlen(tracks[i])), "%s", tracks[i]);
}

Test(redact, sees_no_magnetic_stripe_in_other_data)
{
    static const char *const others[] = {
        "",
        "4242424242424242",
        "4242424242424242=",
        "4242424242424242=251",
        "4242424242424242 = 2512",
        "id=4242424242424242&exp=2512",
        "42424242424=2512",
        "B4242424242424242^DOE/JANE",
        "BIC^A^B^",
        "B4242424242424242^a name far longer than a stripe holds^2512",
    };
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        cr_expect(!redact_is_track(bytes_of(others[i]), strlen(others[i])), "%s", others[i]);
}
