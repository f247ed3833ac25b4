/* SPDX-License-Identifier: Apache-2.0 */
#include "policies/inclusion.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/encode.h"
#include "base/own.h"

#define LEAVES_MAX 70u

/* The eight inputs that RFC 6962's implementations share. */
static const char *const inputs[] = {"",
                                     "00",
                                     "10",
                                     "2021",
                                     "3031",
                                     "40414243",
                                     "5051525354555657",
                                     "606162636465666768696a6b6c6d6e6f"};

/* Their paths, as those implementations' tests have them; leaves from 0. */
static const struct known {
    unsigned index;
    unsigned size;
    unsigned count;
    const char *hashes[3];
} known[] = {
    {0, 1, 0, {NULL}},
    {0,
     8,
     3,
     {"96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
      "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
      "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"}},
    {5,
     8,
     3,
     {"bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
      "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
      "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"}},
    {2, 3, 1, {"fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"}},
    {1,
     5,
     3,
     {"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
      "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
      "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"}},
};

static uint8_t leaves[LEAVES_MAX][MERKLE_HASH_BYTES];

static void leaves_number(void)
{
    for (unsigned i = 0; i < LEAVES_MAX; i++) {
        char entry[32];
        int size = snprintf(entry, sizeof entry, "{\"seq\":%u}", i);
        merkle_leaf(entry, (size_t)size, leaves[i]);
    }
}

static struct inclusion_path path_of(unsigned index, unsigned size)
{
    OWNED(inclusion_free) struct inclusion *inclusion = NULL;
    struct inclusion_path path;

    cr_assert(!failed(inclusion_new(index, size, &inclusion)));
    for (unsigned i = 0; i < size; i++) {
        cr_assert_eq(inclusion_path(inclusion, &path).why, WHY_NOT_FOUND);
        inclusion_add(inclusion, leaves[i]);
    }
    inclusion_add(inclusion, leaves[0]); /* One too many changes nothing. */
    cr_assert(!failed(inclusion_path(inclusion, &path)));
    return path;
}

static void root_of(unsigned size, uint8_t *out)
{
    struct merkle_frontier frontier = {0};

    for (unsigned i = 0; i < size; i++)
        merkle_add(&frontier, leaves[i]);
    merkle_root(&frontier, out);
}

Test(inclusion, has_the_paths_of_the_reference_inputs)
{
    for (unsigned i = 0; i < 8; i++) {
        uint8_t entry[16];
        size_t bytes = strlen(inputs[i]) / 2;
        cr_assert(!failed(decode_hex(inputs[i], 2 * bytes, entry, bytes)));
        merkle_leaf(entry, bytes, leaves[i]);
    }
    for (unsigned i = 0; i < sizeof known / sizeof known[0]; i++) {
        struct inclusion_path path = path_of(known[i].index, known[i].size);
        cr_expect_eq(path.count, known[i].count, "path %u", i);
        for (unsigned h = 0; h < known[i].count; h++) {
            char hex[2 * MERKLE_HASH_BYTES + 1];
            encode_hex(path.hashes[h], MERKLE_HASH_BYTES, hex);
            cr_expect_str_eq(hex, known[i].hashes[h], "path %u, hash %u", i, h);
        }
    }
}

Test(inclusion, leads_from_every_leaf_of_every_tree_to_its_root)
{
    leaves_number();
    for (unsigned size = 1; size <= LEAVES_MAX; size++) {
        uint8_t root[MERKLE_HASH_BYTES];
        root_of(size, root);
        for (unsigned index = 0; index < size; index++) {
            struct inclusion_path path = path_of(index, size);
            cr_assert(!failed(inclusion_check(&path, leaves[index], root)), "%u of %u", index,
                      size);
        }
    }
}

Test(inclusion, leads_from_no_other_leaf_place_or_tree)
{
    leaves_number();
    for (unsigned size = 2; size <= 20; size++) {
        uint8_t root[MERKLE_HASH_BYTES];
        root_of(size, root);
        for (unsigned index = 0; index < size; index++) {
            struct inclusion_path path = path_of(index, size);
            for (unsigned other = 0; other <= size; other++) {
                struct inclusion_path moved = path;
                if (other == index)
                    continue;
                cr_expect_eq(inclusion_check(&path, leaves[other], root).why, WHY_FORGED);
                moved.index = other;
                cr_expect_eq(inclusion_check(&moved, leaves[index], root).why, WHY_FORGED);
            }
            root[index % MERKLE_HASH_BYTES] ^= 1;
            cr_expect_eq(inclusion_check(&path, leaves[index], root).why, WHY_FORGED);
            root[index % MERKLE_HASH_BYTES] ^= 1;
        }
    }
}

Test(inclusion, refuses_a_path_that_is_shorter_longer_or_changed)
{
    uint8_t root[MERKLE_HASH_BYTES];

    leaves_number();
    root_of(21, root);
    for (unsigned index = 0; index < 21; index++) {
        struct inclusion_path path = path_of(index, 21);
        path.count--;
        cr_expect_eq(inclusion_check(&path, leaves[index], root).why, WHY_FORGED);
        path.count += 2;
        cr_expect_eq(inclusion_check(&path, leaves[index], root).why, WHY_FORGED);
        path.count--;
        for (unsigned h = 0; h < path.count; h++) {
            path.hashes[h][h] ^= 0x80;
            cr_expect_eq(inclusion_check(&path, leaves[index], root).why, WHY_FORGED);
            path.hashes[h][h] ^= 0x80;
        }
    }
}

Test(inclusion, refuses_a_leaf_that_the_tree_does_not_have)
{
    OWNED(inclusion_free) struct inclusion *inclusion = NULL;

    cr_expect_eq(inclusion_new(0, 0, &inclusion).why, WHY_BAD_INPUT);
    cr_expect_eq(inclusion_new(5, 5, &inclusion).why, WHY_BAD_INPUT);
    cr_expect_null(inclusion);
}
