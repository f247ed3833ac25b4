/* SPDX-License-Identifier: Apache-2.0 */
/* Splits and joins bytes that MemorySanitizer was told to take for uninitialised.  It follows such
 * bytes through all arithmetic, and stops the program where a branch or an address depends on one:
 * which is where the time would.  With an argument a table is used once, for it to notice. */
#include <sanitizer/msan_interface.h>
#include <stdio.h>

#include "keys/bech32.h"
#include "keys/gf256.h"

#define COUNT 5u

static volatile uint8_t table[256];

int main(int argc, char **argv)
{
    uint8_t coefficients[3] = {0xa7, 0x31, 0x05};
    uint8_t points[COUNT];
    uint8_t weights[COUNT];
    uint8_t secret = 0;
    char character = 'q';

    (void)argv;
    __msan_allocated_memory(coefficients, sizeof coefficients);
    for (unsigned i = 0; i < COUNT; i++)
        points[i] = (uint8_t)(i + 1);
    gf256_weights(points, COUNT, weights);
    for (unsigned i = 0; i < COUNT; i++)
        secret ^= gf256_multiply(gf256_polynomial(coefficients, 1, 3, points[i]), weights[i]);
    secret ^= gf256_multiply(secret, secret) ^ gf256_invert(secret);
    __msan_allocated_memory(&character, sizeof character);
    secret ^= bech32_symbol(character);
    if (argc > 1)
        secret ^= table[secret];
    if (__msan_test_shadow(&secret, sizeof secret) != 0)
        return 3; /* What came out was not followed, and so nothing was watched. */
    (void)puts("no branch and no address depends on a secret");
    return 0;
}
