/* SPDX-License-Identifier: Apache-2.0 */
#include "keys/shares.h"

#include <criterion/criterion.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/encode.h"

static struct secret *root_of(uint8_t first)
{
    struct secret *root = NULL;

    cr_assert(sodium_init() >= 0);
    cr_assert(!failed(secret_new_key(SHARES_BYTES, &root)));
    for (unsigned i = 0; i < SHARES_BYTES; i++)
        secret_bytes(root)[i] = (uint8_t)(first * (i + 1));
    return root;
}

static void shares_end(struct secret **values, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        secret_free(&values[i]);
}

static bool same(const struct secret *a, const struct secret *b)
{
    return secret_size(a) == secret_size(b) &&
           sodium_memcmp(secret_peek(a), secret_peek(b), secret_size(a)) == 0;
}

/* The shares whose bits are set in `chosen`. */
static bool subset_gives_back(struct secret **values, unsigned chosen, const struct secret *root)
{
    struct shares_part parts[SHARES_COUNT_MAX];
    struct secret *rebuilt = NULL;
    unsigned count = 0;

    for (unsigned i = 0; i < SHARES_COUNT_MAX; i++)
        if ((chosen >> i) & 1u)
            parts[count++] = (struct shares_part){(uint8_t)(i + 1), values[i]};
    cr_assert(!failed(shares_combine(parts, count, &rebuilt)));
    bool good = same(rebuilt, root);
    secret_free(&rebuilt);
    return good;
}

/* Every subset of every split: with the threshold's number or more the root, with fewer never. */
static void every_subset(unsigned threshold, unsigned count)
{
    struct secret *values[SHARES_COUNT_MAX] = {NULL};
    struct secret *root = root_of((uint8_t)(17 * threshold + count));

    cr_assert(!failed(shares_split(root, threshold, count, values)));
    for (unsigned chosen = 0; chosen < 1u << count; chosen++) {
        unsigned size = (unsigned)__builtin_popcount(chosen);
        if (size >= 2)
            cr_assert_eq(subset_gives_back(values, chosen, root), size >= threshold,
                         "%u of %u, shares %04x", threshold, count, chosen);
    }
    shares_end(values, count);
    secret_free(&root);
}

Test(shares, open_with_any_k_and_never_with_fewer)
{
    for (unsigned count = 2; count <= 7; count++)
        for (unsigned threshold = 2; threshold <= count; threshold++)
            every_subset(threshold, count);
}

Test(shares, open_at_both_ends_of_what_may_be_asked_for)
{
    static const unsigned thresholds[] = {2, 9, 16};

    for (unsigned i = 0; i < 3; i++) {
        struct secret *values[SHARES_COUNT_MAX] = {NULL};
        struct secret *root = root_of(3);
        unsigned least = (1u << thresholds[i]) - 1u;
        cr_assert(!failed(shares_split(root, thresholds[i], 16, values)));
        cr_assert(subset_gives_back(values, least, root));
        cr_assert(subset_gives_back(values, least << (16 - thresholds[i]), root));
        cr_assert(thresholds[i] == 2 || !subset_gives_back(values, least >> 1, root));
        shares_end(values, 16);
        secret_free(&root);
    }
}

Test(shares, differ_with_every_split_of_the_same_root)
{
    struct secret *once[3] = {NULL};
    struct secret *again[3] = {NULL};
    struct secret *root = root_of(5);

    cr_assert(!failed(shares_split(root, 2, 3, once)));
    cr_assert(!failed(shares_split(root, 2, 3, again)));
    for (unsigned i = 0; i < 3; i++) {
        cr_assert_not(same(once[i], again[i]));
        cr_assert_not(same(once[i], root));
    }
    /* One of each set: a root, and not this one. */
    struct shares_part parts[2] = {{1, once[0]}, {2, again[1]}};
    struct secret *rebuilt = NULL;
    cr_assert(!failed(shares_combine(parts, 2, &rebuilt)));
    cr_assert_not(same(rebuilt, root));
    secret_free(&rebuilt);
    shares_end(once, 3);
    shares_end(again, 3);
    secret_free(&root);
}

Test(shares, refuse_numbers_that_protect_nothing)
{
    static const struct {
        unsigned threshold, count;
    } rows[] = {{0, 3}, {1, 3}, {4, 3}, {2, 17}, {17, 17}, {2, 1}, {0, 0}};
    struct secret *values[SHARES_COUNT_MAX] = {NULL};
    struct secret *root = root_of(1);

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        cr_expect_eq(shares_split(root, rows[i].threshold, rows[i].count, values).why,
                     WHY_BAD_INPUT, "%u of %u", rows[i].threshold, rows[i].count);
    cr_assert(values[0] == NULL);
    secret_free(&root);
}

Test(shares, refuse_a_root_or_a_share_of_another_size)
{
    struct secret *values[SHARES_COUNT_MAX] = {NULL};
    struct secret *root = root_of(1);
    struct secret *stub = NULL;
    struct secret *rebuilt = NULL;

    cr_assert(!failed(secret_new_key(SHARES_BYTES - 1, &stub)));
    cr_expect_eq(shares_split(stub, 2, 3, values).why, WHY_BAD_INPUT);
    struct shares_part parts[2] = {{1, root}, {2, stub}};
    cr_expect_eq(shares_combine(parts, 2, &rebuilt).why, WHY_BAD_INPUT);
    cr_assert(rebuilt == NULL);
    secret_free(&stub);
    secret_free(&root);
}

Test(shares, refuse_an_index_of_0_one_above_16_and_one_that_comes_twice)
{
    struct secret *root = root_of(1);
    struct secret *rebuilt = NULL;
    struct shares_part parts[SHARES_COUNT_MAX + 1];

    for (unsigned i = 0; i <= SHARES_COUNT_MAX; i++)
        parts[i] = (struct shares_part){(uint8_t)(i + 1), root};
    cr_expect_eq(shares_combine(parts, 1, &rebuilt).why, WHY_BAD_INPUT, "one alone");
    cr_expect_eq(shares_combine(parts, 17, &rebuilt).why, WHY_BAD_INPUT, "seventeen");
    parts[1].index = 0;
    cr_expect_eq(shares_combine(parts, 3, &rebuilt).why, WHY_BAD_INPUT, "index 0");
    parts[1].index = 17;
    cr_expect_eq(shares_combine(parts, 3, &rebuilt).why, WHY_BAD_INPUT, "index 17");
    parts[1].index = 3;
    cr_expect_eq(shares_combine(parts, 3, &rebuilt).why, WHY_CONFLICT, "index 3 twice");
    cr_assert(rebuilt == NULL);
    secret_free(&root);
}

/* --- What k-1 shares say about the root: nothing, as far as counting goes --- */

#define SPLITS 40000u
#define CELLS  65536u
/* Chi-square, by Wilson and Hilferty's approximation: a correct build passes beyond one of these
 * bounds about once in 10^10 draws (6.4 standard deviations), and ten are drawn below. */
#define BYTE_LEAST 135.6
#define BYTE_MOST  427.6
#define PAIR_LEAST 63244.0
#define PAIR_MOST  67879.0

static double chi_square(const uint32_t *cells, unsigned count, double expected)
{
    double sum = 0;

    for (unsigned i = 0; i < count; i++)
        sum += ((double)cells[i] - expected) * ((double)cells[i] - expected) / expected;
    return sum;
}

struct tally {
    uint32_t bytes[3][256]; /* Of each share alone. */
    uint32_t pairs[CELLS];  /* Of the first two together: k-1 of 3. */
};

/* Whatever the root is, the shares of any k-1 custodians are distributed alike: evenly over all
 * that they can be, and so nothing of the root is in them. */
static void root_leaves_no_trace(uint8_t first)
{
    struct tally *tally = calloc(1, sizeof *tally);
    struct secret *root = root_of(first);
    struct secret *values[3] = {NULL};

    cr_assert(tally != NULL);
    for (unsigned split = 0; split < SPLITS; split++) {
        cr_assert(!failed(shares_split(root, 3, 3, values)));
        for (unsigned i = 0; i < SHARES_BYTES; i++) {
            unsigned y1 = secret_peek(values[0])[i];
            unsigned y2 = secret_peek(values[1])[i];
            tally->pairs[y1 << 8 | y2]++;
            for (unsigned share = 0; share < 3; share++)
                tally->bytes[share][secret_peek(values[share])[i]]++;
        }
        shares_end(values, 3);
    }
    double drawn = (double)SPLITS * SHARES_BYTES;
    for (unsigned share = 0; share < 3; share++) {
        double sum = chi_square(tally->bytes[share], 256, drawn / 256);
        cr_expect(sum > BYTE_LEAST && sum < BYTE_MOST, "share %u of root %u: %f", share + 1, first,
                  sum);
    }
    double sum = chi_square(tally->pairs, CELLS, drawn / CELLS);
    cr_expect(sum > PAIR_LEAST && sum < PAIR_MOST, "two shares of root %u: %f", first, sum);
    secret_free(&root);
    free(tally);
}

Test(shares, are_spread_evenly_whatever_the_root_is)
{
    root_leaves_no_trace(0);
    root_leaves_no_trace(255);
}
