/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/brand.h"

#include <assert.h>
#include <stddef.h>

/* The place in this table is stored in records: add at the end, never reorder. */
enum brand_id {
    BRAND_UNKNOWN,
    BRAND_VISA,
    BRAND_MASTERCARD,
    BRAND_AMERICAN_EXPRESS,
    BRAND_DISCOVER,
    BRAND_DINERS_CLUB,
    BRAND_JCB,
    BRAND_UNIONPAY,
    BRAND_MAESTRO,
    BRAND_MIR,
    BRAND_RUPAY,
    BRAND_ELO,
    BRAND_HIPERCARD,
    BRAND_HIPER,
    BRAND_VERVE,
    BRAND_TROY,
    BRAND_UATP,
    BRAND_COUNT
};

static const struct brand brands[BRAND_COUNT] = {
    [BRAND_UNKNOWN] = {"unknown", 0},
    [BRAND_VISA] = {"visa", 3},
    [BRAND_MASTERCARD] = {"mastercard", 3},
    [BRAND_AMERICAN_EXPRESS] = {"american_express", 4},
    [BRAND_DISCOVER] = {"discover", 3},
    [BRAND_DINERS_CLUB] = {"diners_club", 3},
    [BRAND_JCB] = {"jcb", 3},
    [BRAND_UNIONPAY] = {"unionpay", 3},
    [BRAND_MAESTRO] = {"maestro", 3},
    [BRAND_MIR] = {"mir", 3},
    [BRAND_RUPAY] = {"rupay", 3},
    [BRAND_ELO] = {"elo", 3},
    [BRAND_HIPERCARD] = {"hipercard", 3},
    [BRAND_HIPER] = {"hiper", 3},
    [BRAND_VERVE] = {"verve", 3},
    [BRAND_TROY] = {"troy", 3},
    [BRAND_UATP] = {"uatp", 0},
};

/* A range of prefixes of one length: 51 to 55 is {51, 55, 2}.  Longer prefixes win; among equals
 * the first row does.  Lengths are not looked at: a brand is advice, and issuers stray. */
struct brand_range {
    uint32_t first;
    uint32_t last;
    unsigned digits;
    enum brand_id brand;
};

static const struct brand_range ranges[] = {
    {4, 4, 1, BRAND_VISA},
    {51, 55, 2, BRAND_MASTERCARD},
    {2221, 2720, 4, BRAND_MASTERCARD},
    {34, 34, 2, BRAND_AMERICAN_EXPRESS},
    {37, 37, 2, BRAND_AMERICAN_EXPRESS},
    {6011, 6011, 4, BRAND_DISCOVER},
    {644, 649, 3, BRAND_DISCOVER},
    {65, 65, 2, BRAND_DISCOVER},
    {300, 305, 3, BRAND_DINERS_CLUB},
    {36, 36, 2, BRAND_DINERS_CLUB},
    {38, 39, 2, BRAND_DINERS_CLUB},
    {3528, 3589, 4, BRAND_JCB},
    {1800, 1800, 4, BRAND_JCB},
    {2131, 2131, 4, BRAND_JCB},
    {62, 62, 2, BRAND_UNIONPAY},
    {81, 81, 2, BRAND_UNIONPAY},
    {50, 50, 2, BRAND_MAESTRO},
    {56, 59, 2, BRAND_MAESTRO},
    {63, 63, 2, BRAND_MAESTRO},
    {67, 67, 2, BRAND_MAESTRO},
    {6, 6, 1, BRAND_MAESTRO},
    {2200, 2204, 4, BRAND_MIR},
    {60, 60, 2, BRAND_RUPAY},
    {82, 82, 2, BRAND_RUPAY},
    {508, 508, 3, BRAND_RUPAY},
    {506699, 506778, 6, BRAND_ELO},
    {509000, 509999, 6, BRAND_ELO},
    {650031, 650051, 6, BRAND_ELO},
    {655000, 655058, 6, BRAND_ELO},
    {606282, 606282, 6, BRAND_HIPERCARD},
    {637095, 637095, 6, BRAND_HIPER},
    {637568, 637568, 6, BRAND_HIPER},
    {637599, 637599, 6, BRAND_HIPER},
    {637609, 637609, 6, BRAND_HIPER},
    {637612, 637612, 6, BRAND_HIPER},
    {5060, 5061, 4, BRAND_VERVE},
    {5078, 5079, 4, BRAND_VERVE},
    {9792, 9792, 4, BRAND_TROY},
    {1, 1, 1, BRAND_UATP},
};

static uint32_t brand_prefix(const uint8_t *digits, unsigned count)
{
    uint32_t value = 0;

    for (unsigned i = 0; i < count; i++)
        value = value * 10 + (uint32_t)(digits[i] - '0');
    return value;
}

const struct brand *brand_find(const uint8_t *digits, unsigned count)
{
    const struct brand_range *best = NULL;

    assert(digits != NULL);
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        const struct brand_range *range = &ranges[i];
        if (range->digits > count || (best != NULL && best->digits >= range->digits))
            continue;
        uint32_t prefix = brand_prefix(digits, range->digits);
        if (prefix >= range->first && prefix <= range->last)
            best = range;
    }
    return &brands[best == NULL ? BRAND_UNKNOWN : best->brand];
}

uint8_t brand_number(const struct brand *brand)
{
    ptrdiff_t number = brand - brands;

    assert(number >= 0);
    assert(number < BRAND_COUNT);
    return (uint8_t)number;
}

const struct brand *brand_by_number(uint8_t number)
{
    return &brands[number < BRAND_COUNT ? number : BRAND_UNKNOWN];
}
