/* SPDX-License-Identifier: Apache-2.0 */
/* keys/gf256.h -- the field of 256 elements, modulo x^8 + x^4 + x^3 + x + 1, as AES has it.
 *
 * In      elements, which may be secret; numbers of points, which are not.
 * Out     products, inverses, a polynomial's value at a point and back.
 * Never   looks up a table at a secret place, branches on a secret, or takes longer for one than
 *         for another (tests/keys/constant_time.py has a sanitizer watch it).
 * Threads any.
 */
#ifndef KEYS_GF256_H
#define KEYS_GF256_H

#include <stddef.h>
#include <stdint.h>

/* The sum of two elements is their exclusive or. */
uint8_t gf256_multiply(uint8_t a, uint8_t b);

/* The inverse; 0 for 0, which has none. */
uint8_t gf256_invert(uint8_t a);

/* The polynomial whose `count` coefficients lie `stride` bytes apart, the constant one first, at
 * the point `x`. */
uint8_t gf256_polynomial(const uint8_t *coefficients, size_t stride, unsigned count, uint8_t x);

/* What each of `count` values is multiplied with, so that their sum is the polynomial at 0: for
 * points that are distinct and not 0. */
void gf256_weights(const uint8_t *points, unsigned count, uint8_t *out_weights);

#endif
