/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/brand.h"

#include <criterion/criterion.h>

#include "tests/vault/cards.h"

static const char *name_of(const char *digits)
{
    return brand_find((const uint8_t *)digits, (unsigned)strlen(digits))->name;
}

Test(brand, of_every_published_number_is_known)
{
    for (size_t i = 0; i < PUBLISHED_COUNT; i++)
        cr_expect_str_eq(name_of(published[i].number), published[i].brand, "%s",
                         published[i].number);
}

Test(brand, ranges_end_where_the_networks_say)
{
    static const struct card edges[] = {
        {"2220999", "unknown"},    {"2221000", "mastercard"}, {"2720999", "mastercard"},
        {"2721000", "unknown"},    {"5099999", "elo"},        {"5100000", "mastercard"},
        {"5599999", "mastercard"}, {"5600000", "maestro"},    {"3400000", "american_express"},
        {"3500000", "unknown"},    {"3527999", "unknown"},    {"3528000", "jcb"},
        {"3589999", "jcb"},        {"3590000", "unknown"},    {"3059999", "diners_club"},
        {"3060000", "unknown"},    {"2199999", "unknown"},    {"2200000", "mir"},
        {"2204999", "mir"},        {"2205000", "unknown"},    {"6439999", "maestro"},
        {"6440000", "discover"},   {"6499999", "discover"},   {"6500000", "discover"},
        {"5066980", "maestro"},    {"5066990", "elo"},        {"5067780", "elo"},
        {"5067790", "maestro"},    {"9791999", "unknown"},    {"9792000", "troy"},
        {"9999000", "unknown"},    {"0000000", "unknown"},    {"1800000", "jcb"},
        {"2131000", "jcb"},        {"1000000", "uatp"},       {"5060000", "verve"},
    };

    for (size_t i = 0; i < sizeof edges / sizeof edges[0]; i++)
        cr_expect_str_eq(name_of(edges[i].number), edges[i].brand, "%s is %s", edges[i].number,
                         name_of(edges[i].number));
}

Test(brand, is_that_of_the_longest_prefix)
{
    static const struct card nested[] = {
        {"6", "maestro"},   {"60", "rupay"},   {"6011", "discover"}, {"606282", "hipercard"},
        {"62", "unionpay"}, {"63", "maestro"}, {"637095", "hiper"},  {"65", "discover"},
        {"650031", "elo"},  {"50", "maestro"}, {"508", "rupay"},     {"5061", "verve"},
        {"506699", "elo"},  {"509000", "elo"},
    };

    for (size_t i = 0; i < sizeof nested / sizeof nested[0]; i++) {
        cr_expect_str_eq(name_of(nested[i].number), nested[i].brand, "%s", nested[i].number);
    }
}

Test(brand, is_unknown_without_digits)
{
    cr_expect_str_eq(name_of(""), "unknown");
    cr_expect_str_eq(name_of("3"), "unknown", "34 and 36 are not of one network");
}

/* The numbers stand in sealed records: a change here is a change of what they say. */
Test(brand, numbers_never_change)
{
    static const char *const names[] = {
        "unknown",   "visa",        "mastercard", "american_express",
        "discover",  "diners_club", "jcb",        "unionpay",
        "maestro",   "mir",         "rupay",      "elo",
        "hipercard", "hiper",       "verve",      "troy",
        "uatp",
    };
    unsigned count = sizeof names / sizeof names[0];

    for (unsigned i = 0; i <= UINT8_MAX; i++) {
        const struct brand *brand = brand_by_number((uint8_t)i);
        cr_expect_str_eq(brand->name, i < count ? names[i] : "unknown");
        cr_expect_eq(brand_number(brand), i < count ? i : 0);
    }
}

Test(brand, codes_have_four_digits_on_american_express_only)
{
    for (unsigned i = 0; i <= UINT8_MAX; i++) {
        const struct brand *brand = brand_by_number((uint8_t)i);
        bool open = strcmp(brand->name, "unknown") == 0 || strcmp(brand->name, "uatp") == 0;
        unsigned wanted = open ? 0 : strcmp(brand->name, "american_express") == 0 ? 4 : 3;
        cr_expect_eq(brand->code_digits, wanted, "%s", brand->name);
    }
}
