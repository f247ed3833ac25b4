/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>

#include "base/encode.h"
#include "base/hash.h"

/* FIPS 180-4's examples. */
#define OF_ABC     "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
#define OF_NOTHING "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static void expect_hash(const char *hex)
{
    uint8_t hash[HASH_BYTES];
    char text[2 * HASH_BYTES + 1];

    hash_end(hash);
    encode_hex(hash, sizeof hash, text);
    cr_expect_str_eq(text, hex);
}

Test(hash, is_sha_256)
{
    hash_begin();
    hash_add("abc", 3);
    expect_hash(OF_ABC);
    hash_begin();
    expect_hash(OF_NOTHING);
}

Test(hash, takes_its_bytes_in_pieces)
{
    hash_begin();
    hash_add("a", 1);
    hash_add("", 0);
    hash_add("bc", 2);
    expect_hash(OF_ABC);
}

Test(hash, begins_anew_whatever_was_under_way)
{
    hash_begin();
    hash_add("what nobody ended", 17);
    hash_begin();
    hash_add("abc", 3);
    expect_hash(OF_ABC);
}

static void *hash_elsewhere(void *owner)
{
    (void)owner;
    hash_begin();
    expect_hash(OF_NOTHING);
    return NULL;
}

Test(hash, is_one_for_each_thread)
{
    pthread_t thread;

    hash_begin();
    hash_add("ab", 2);
    cr_assert_eq(pthread_create(&thread, NULL, hash_elsewhere, NULL), 0);
    cr_assert_eq(pthread_join(thread, NULL), 0);
    hash_add("c", 1);
    expect_hash(OF_ABC);
}
