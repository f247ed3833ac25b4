/* SPDX-License-Identifier: Apache-2.0 */
#include "keys/gf256.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#define ELEMENTS 256u

/* School arithmetic: the product of two polynomials over GF(2), then long division. */
static uint8_t product_slow(unsigned a, unsigned b)
{
    unsigned product = 0;

    for (unsigned i = 0; i < 8; i++)
        if ((b >> i) & 1u)
            product ^= a << i;
    for (unsigned i = 14; i >= 8; i--)
        if ((product >> i) & 1u)
            product ^= 0x11bu << (i - 8);
    return (uint8_t)product;
}

Test(gf256, multiplies_every_pair_as_long_division_does)
{
    for (unsigned a = 0; a < ELEMENTS; a++)
        for (unsigned b = 0; b < ELEMENTS; b++)
            cr_assert_eq(gf256_multiply((uint8_t)a, (uint8_t)b), product_slow(a, b), "%u * %u", a,
                         b);
}

Test(gf256, agrees_with_the_products_that_fips_197_prints)
{
    cr_assert_eq(gf256_multiply(0x57, 0x83), 0xc1);
    cr_assert_eq(gf256_multiply(0x57, 0x13), 0xfe);
}

Test(gf256, inverts_every_element_but_0)
{
    cr_assert_eq(gf256_invert(0), 0);
    for (unsigned a = 1; a < ELEMENTS; a++)
        cr_assert_eq(gf256_multiply((uint8_t)a, gf256_invert((uint8_t)a)), 1, "%u", a);
}

Test(gf256, gives_a_polynomial_s_value_at_0_back_from_any_points)
{
    const uint8_t coefficients[4] = {0xa7, 0x00, 0x31, 0xff};
    uint8_t points[4];
    uint8_t weights[4];

    /* Every four distinct points of 1 to 8. */
    for (unsigned chosen = 0; chosen < ELEMENTS; chosen++) {
        unsigned count = 0;
        uint8_t value = 0;
        if (__builtin_popcount(chosen) != 4)
            continue;
        for (unsigned i = 0; i < 8; i++)
            if ((chosen >> i) & 1u)
                points[count++] = (uint8_t)(i + 1);
        gf256_weights(points, 4, weights);
        for (unsigned i = 0; i < 4; i++)
            value ^= gf256_multiply(weights[i], gf256_polynomial(coefficients, 1, 4, points[i]));
        cr_assert_eq(value, 0xa7, "points %02x", chosen);
    }
}

/* What k-1 shares say about a secret byte, exhaustively. */
Test(gf256, leaves_every_secret_equally_consistent_with_one_share_of_two)
{
    for (unsigned x = 1; x <= 16; x++)
        for (unsigned secret = 0; secret < ELEMENTS; secret++) {
            uint8_t seen[ELEMENTS] = {0};
            for (unsigned drawn = 0; drawn < ELEMENTS; drawn++) {
                uint8_t coefficients[2] = {(uint8_t)secret, (uint8_t)drawn};
                seen[gf256_polynomial(coefficients, 1, 2, (uint8_t)x)]++;
            }
            for (unsigned value = 0; value < ELEMENTS; value++)
                cr_assert_eq(seen[value], 1, "share %u is %u, secret %u", x, value, secret);
        }
}

/* Every pair of shares and every secret is made by exactly one polynomial. */
static void pair_says_nothing(uint8_t x1, uint8_t x2)
{
    uint8_t *seen = calloc(ELEMENTS * ELEMENTS, 1);

    cr_assert(seen != NULL);
    for (unsigned secret = 0; secret < ELEMENTS; secret++) {
        memset(seen, 0, (size_t)ELEMENTS * ELEMENTS);
        for (unsigned drawn = 0; drawn < ELEMENTS * ELEMENTS; drawn++) {
            uint8_t coefficients[3] = {(uint8_t)secret, (uint8_t)drawn, (uint8_t)(drawn >> 8)};
            uint8_t y1 = gf256_polynomial(coefficients, 1, 3, x1);
            uint8_t y2 = gf256_polynomial(coefficients, 1, 3, x2);
            seen[(unsigned)y1 << 8 | y2]++;
        }
        for (unsigned pair = 0; pair < ELEMENTS * ELEMENTS; pair++)
            cr_assert_eq(seen[pair], 1, "shares %u and %u are %04x, secret %u: %u times", x1, x2,
                         pair, secret, seen[pair]);
    }
    free(seen);
}

Test(gf256, leaves_every_secret_equally_consistent_with_two_shares_of_three)
{
    pair_says_nothing(1, 2);
    pair_says_nothing(4, 15);
}
