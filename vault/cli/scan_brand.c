/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/cli/scan_find.h"

#define LENGTH(count)      (1u << (count))
#define LENGTHS(low, high) (((1u << ((high) + 1u)) - 1u) & ~((1u << (low)) - 1u))
#define PREFIX_DIGITS_MAX  4u

/* Issuers' ranges, the narrow ones before the broad. */
static const struct {
    unsigned low;
    unsigned high;
    unsigned digits; /* Of `low` and `high`. */
    unsigned lengths;
    const char *brand;
} ranges[] = {
    {4, 4, 1, LENGTH(13) | LENGTH(16) | LENGTH(18) | LENGTH(19), "visa"},
    {51, 55, 2, LENGTH(16), "mastercard"},
    {2221, 2720, 4, LENGTH(16), "mastercard"},
    {34, 34, 2, LENGTH(15), "amex"},
    {37, 37, 2, LENGTH(15), "amex"},
    {6011, 6011, 4, LENGTH(16) | LENGTH(19), "discover"},
    {644, 649, 3, LENGTH(16) | LENGTH(19), "discover"},
    {65, 65, 2, LENGTH(16) | LENGTH(19), "discover"},
    {300, 305, 3, LENGTH(14) | LENGTH(16) | LENGTH(19), "diners"},
    {36, 36, 2, LENGTH(14) | LENGTH(16) | LENGTH(19), "diners"},
    {38, 39, 2, LENGTH(14) | LENGTH(16) | LENGTH(19), "diners"},
    {3528, 3589, 4, LENGTHS(16, 19), "jcb"},
    {1800, 1800, 4, LENGTH(15), "jcb"},
    {2131, 2131, 4, LENGTH(15), "jcb"},
    {62, 62, 2, LENGTHS(14, 19), "unionpay"},
    {81, 81, 2, LENGTHS(14, 19), "unionpay"},
    {2200, 2204, 4, LENGTHS(16, 19), "mir"},
    {508, 508, 3, LENGTH(16), "rupay"},
    {82, 82, 2, LENGTH(16), "rupay"},
    {9792, 9792, 4, LENGTH(16), "troy"},
    {1, 1, 1, LENGTH(15), "uatp"},
    {50, 50, 2, LENGTHS(13, 19), "maestro"}, /* Also Elo and Verve. */
    {56, 59, 2, LENGTHS(13, 19), "maestro"},
    {6, 6, 1, LENGTHS(13, 19), "maestro"}, /* Also RuPay, Elo, Hipercard. */
};

const char *scan_find_brand(const uint8_t *digits, unsigned count)
{
    unsigned prefix[PREFIX_DIGITS_MAX + 1] = {0};
    if (count < 13 || count > 19)
        return NULL;
    for (unsigned i = 0; i < PREFIX_DIGITS_MAX; i++)
        prefix[i + 1] = prefix[i] * 10 + (unsigned)(digits[i] - '0');
    for (unsigned i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        unsigned value = prefix[ranges[i].digits];
        if (value >= ranges[i].low && value <= ranges[i].high &&
            (ranges[i].lengths & LENGTH(count)) != 0)
            return ranges[i].brand;
    }
    return NULL;
}
