/* SPDX-License-Identifier: Apache-2.0 */
#include "policies/merkle.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/encode.h"
#include "base/own.h"

/* The eight inputs that RFC 6962's implementations share, and the roots of their prefixes. */
static const char *const inputs[] = {"",
                                     "00",
                                     "10",
                                     "2021",
                                     "3031",
                                     "40414243",
                                     "5051525354555657",
                                     "606162636465666768696a6b6c6d6e6f"};
static const char *const roots[] = {
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"};

static void add_entry(struct merkle_frontier *frontier, const void *entry, size_t size)
{
    uint8_t leaf[MERKLE_HASH_BYTES];
    merkle_leaf(entry, size, leaf);
    merkle_add(frontier, leaf);
}

static void add_numbered(struct merkle_frontier *frontier, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        char entry[32];
        int size = snprintf(entry, sizeof entry, "{\"seq\":%u}", i);
        add_entry(frontier, entry, (size_t)size);
    }
}

/* Section 2.1 as it is written, over leaf hashes: slow, and no kin to the frontier. */
static void root_by_definition(uint8_t (*leaves)[MERKLE_HASH_BYTES], unsigned count, uint8_t *out)
{
    if (count == 1) {
        memcpy(out, leaves[0], MERKLE_HASH_BYTES);
        return;
    }
    unsigned left = 1;
    while (2 * left < count)
        left *= 2;
    uint8_t halves[2][MERKLE_HASH_BYTES];
    root_by_definition(leaves, left, halves[0]);
    root_by_definition(leaves + left, count - left, halves[1]);
    /* The root of two leaves is a node: the node's hash without asking for it by name. */
    struct merkle_frontier pair = {0};
    merkle_add(&pair, halves[0]);
    merkle_add(&pair, halves[1]);
    merkle_root(&pair, out);
}

Test(merkle, has_the_roots_of_the_reference_inputs)
{
    struct merkle_frontier frontier = {0};
    for (unsigned size = 0; size <= 8; size++) {
        uint8_t root[MERKLE_HASH_BYTES];
        char hex[2 * MERKLE_HASH_BYTES + 1];
        merkle_root(&frontier, root);
        encode_hex(root, sizeof root, hex);
        cr_assert_str_eq(hex, roots[size], "size %u", size);
        if (size == 8)
            break;
        uint8_t entry[16];
        size_t bytes = strlen(inputs[size]) / 2;
        cr_assert(!failed(decode_hex(inputs[size], 2 * bytes, entry, bytes)));
        add_entry(&frontier, entry, bytes);
    }
}

Test(merkle, has_the_leaf_and_roots_of_the_worked_vector)
{
    uint8_t hash[MERKLE_HASH_BYTES];
    char text[80];

    merkle_leaf("{\"seq\":3}", 9, hash);
    encode_hex(hash, sizeof hash, text);
    cr_assert_str_eq(text, "dbcc42d7596b3d629f1861d1e2097b97b5462eccae789dfcf997fea9b0690899");

    struct merkle_frontier three = {0};
    add_numbered(&three, 3);
    merkle_root(&three, hash);
    encode_base64(hash, sizeof hash, text);
    cr_assert_str_eq(text, "PbZ2Ze6owm3jQWaMHTGZ9h3kt4CoKFaaiYzkjCjZMfM=");

    struct merkle_frontier five = {0};
    add_numbered(&five, 5);
    merkle_root(&five, hash);
    encode_base64(hash, sizeof hash, text);
    cr_assert_str_eq(text, "FH3Ed0eaO2miSx/2Abb8YoT98V/VCr/rDPcOqONyLB0=");
}

Test(merkle, agrees_with_the_definition_at_every_size)
{
    static uint8_t leaves[130][MERKLE_HASH_BYTES];
    struct merkle_frontier frontier = {0};

    for (unsigned size = 1; size <= 130; size++) {
        uint8_t by_frontier[MERKLE_HASH_BYTES];
        uint8_t by_definition[MERKLE_HASH_BYTES];
        merkle_leaf(&size, sizeof size, leaves[size - 1]);
        merkle_add(&frontier, leaves[size - 1]);
        merkle_root(&frontier, by_frontier);
        root_by_definition(leaves, size, by_definition);
        cr_assert_arr_eq(by_frontier, by_definition, MERKLE_HASH_BYTES, "size %u", size);
    }
}

Test(merkle, goes_on_from_a_frontier_that_was_stored)
{
    for (unsigned size = 0; size < 40; size++) {
        OWNED(buffer_free) struct buffer stored = BUFFER(4096);
        struct merkle_frontier whole = {0};
        struct merkle_frontier again = {0};
        uint8_t roots_of[2][MERKLE_HASH_BYTES];

        add_numbered(&whole, size);
        merkle_frontier_encode(&whole, &stored);
        cr_assert_eq(stored.size, 8 + MERKLE_HASH_BYTES * (size_t)__builtin_popcount(size));
        cr_assert(!failed(merkle_frontier_decode(stored.bytes, stored.size, &again)));
        add_entry(&whole, "more", 4);
        add_entry(&again, "more", 4);
        merkle_root(&whole, roots_of[0]);
        merkle_root(&again, roots_of[1]);
        cr_assert_arr_eq(roots_of[0], roots_of[1], MERKLE_HASH_BYTES);
    }
}

Test(merkle, refuses_a_stored_frontier_of_another_length)
{
    OWNED(buffer_free) struct buffer stored = BUFFER(4096);
    struct merkle_frontier frontier = {0};

    add_numbered(&frontier, 7);
    merkle_frontier_encode(&frontier, &stored);
    for (size_t size = 0; size < stored.size; size++)
        cr_expect_eq(merkle_frontier_decode(stored.bytes, size, &frontier).why, WHY_BAD_INPUT);
    buffer_add_u8(&stored, 0);
    cr_assert_eq(merkle_frontier_decode(stored.bytes, stored.size, &frontier).why, WHY_BAD_INPUT);
}

Test(merkle, has_another_root_with_any_bit_of_a_stored_frontier_changed)
{
    OWNED(buffer_free) struct buffer stored = BUFFER(4096);
    struct merkle_frontier frontier = {0};
    uint8_t root[MERKLE_HASH_BYTES];

    add_numbered(&frontier, 5);
    merkle_root(&frontier, root);
    merkle_frontier_encode(&frontier, &stored);
    for (size_t bit = 0; bit < 8 * stored.size; bit++) {
        struct merkle_frontier changed = {0};
        uint8_t changed_root[MERKLE_HASH_BYTES];
        stored.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (!failed(merkle_frontier_decode(stored.bytes, stored.size, &changed))) {
            merkle_root(&changed, changed_root);
            /* A size with as many bits may lead to the same nodes: then the size says it. */
            bool same_root = memcmp(root, changed_root, sizeof root) == 0;
            cr_expect(!same_root || changed.size != 5, "bit %zu", bit);
        }
        stored.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}
