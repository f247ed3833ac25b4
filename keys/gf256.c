/* SPDX-License-Identifier: Apache-2.0 */
#include "keys/gf256.h"

#include <assert.h>

#define BITS      8u
#define REDUCTION 0x1bu /* x^8 is x^4 + x^3 + x + 1. */

uint8_t gf256_multiply(uint8_t a, uint8_t b)
{
    unsigned shifted = a;
    unsigned rest = b;
    unsigned product = 0;

    for (unsigned bit = 0; bit < BITS; bit++) {
        product ^= shifted & (0u - (rest & 1u));
        shifted = ((shifted << 1) & 0xffu) ^ (REDUCTION & (0u - (shifted >> 7)));
        rest >>= 1;
    }
    return (uint8_t)product;
}

/* a^254, as the group has 255 elements. */
uint8_t gf256_invert(uint8_t a)
{
    uint8_t square = a;
    uint8_t inverse = 1;

    for (unsigned bit = 1; bit < BITS; bit++) {
        square = gf256_multiply(square, square);
        inverse = gf256_multiply(inverse, square);
    }
    return inverse;
}

uint8_t gf256_polynomial(const uint8_t *coefficients, size_t stride, unsigned count, uint8_t x)
{
    uint8_t value = 0;

    assert(count > 0);
    for (unsigned i = count; i-- > 0;)
        value = gf256_multiply(value, x) ^ coefficients[i * stride];
    return value;
}

/* Lagrange's, at 0: the product of p / (p - own) over the other points; minus is plus. */
void gf256_weights(const uint8_t *points, unsigned count, uint8_t *out_weights)
{
    for (unsigned own = 0; own < count; own++) {
        uint8_t weight = 1;
        for (unsigned other = 0; other < count; other++) {
            if (other == own)
                continue;
            assert(points[other] != points[own]);
            weight = gf256_multiply(weight, points[other]);
            weight = gf256_multiply(weight, gf256_invert(points[other] ^ points[own]));
        }
        out_weights[own] = weight;
    }
}
