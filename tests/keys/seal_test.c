/* SPDX-License-Identifier: Apache-2.0 */
#include "keys/seal.h"

#include <criterion/criterion.h>
#include <sodium.h>
#include <string.h>

#include "base/encode.h"
#include "base/own.h"

static struct secret *root;
static struct buffer row;

static void make_root(struct secret **out)
{
    cr_assert(!failed(secret_new_key(32, out)));
    random_bytes(secret_bytes(*out), 32);
}

static void begin(void)
{
    cr_assert(sodium_init() >= 0);
    make_root(&root);
    row = BUFFER(SEAL_ROW_BYTES_MAX);
}

static void end(void)
{
    secret_free(&root);
    buffer_free(&row);
}

static struct seal_record three_of_five(void)
{
    struct seal_record record = {
        .kind = SEAL_SHARES, .created_ms = 17, .threshold = 3, .count = 5, .set_id = {1, 2, 3}};

    for (unsigned i = 0; i < 5; i++) {
        struct seal_custodian *custodian = &record.custodians[i];
        (void)snprintf(custodian->name, sizeof custodian->name, "custodian-%u", i + 1);
        (void)snprintf(custodian->certificate, sizeof custodian->certificate, "%064u", i);
        memset(custodian->public_key, (int)(10 + i), sizeof custodian->public_key);
        memset(custodian->digest, (int)(20 + i), sizeof custodian->digest);
    }
    return record;
}

TestSuite(seal, .init = begin, .fini = end);

Test(seal, says_what_was_put_in)
{
    struct seal_record put = three_of_five();
    struct seal_record got;

    cr_assert(!failed(seal_encode(&put, root, "test", &row)));
    cr_assert(!failed(seal_decode(row.bytes, row.size, &got)));
    cr_expect_eq(memcmp(&put, &got, sizeof put), 0);
    cr_expect(!failed(seal_check(row.bytes, row.size, root, "test")));
}

Test(seal, of_an_hsm_holds_its_blob)
{
    struct seal_record put = {.kind = SEAL_PKCS11, .created_ms = 1, .blob = {9, 8, 7}};
    struct seal_record got;

    put.blob_size = 3;
    cr_assert(!failed(seal_encode(&put, root, "test", &row)));
    cr_assert(!failed(seal_decode(row.bytes, row.size, &got)));
    cr_expect_eq(got.blob_size, 3);
    cr_expect_eq(memcmp(got.blob, put.blob, 3), 0);
}

Test(seal, knows_its_root_and_no_other)
{
    OWNED(secret_free) struct secret *other = NULL;
    struct seal_record record = three_of_five();

    make_root(&other);
    cr_assert(!failed(seal_encode(&record, root, "test", &row)));
    cr_expect_eq(seal_check(row.bytes, row.size, other, "test").why, WHY_DENIED);
    cr_expect_eq(seal_check(row.bytes, row.size, root, "production").why, WHY_DENIED,
                 "a root of another environment is another root");
}

Test(seal, with_any_bit_flipped_is_found)
{
    struct seal_record record = three_of_five();

    cr_assert(!failed(seal_encode(&record, root, "test", &row)));
    for (size_t i = 0; i < row.size; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            row.bytes[i] ^= (uint8_t)(1u << bit);
            struct status status = seal_check(row.bytes, row.size, root, "test");
            cr_expect(status.why == WHY_FORGED || status.why == WHY_DENIED, "byte %zu", i);
            row.bytes[i] ^= (uint8_t)(1u << bit);
        }
    }
    for (size_t size = 0; size < row.size; size++)
        cr_expect_eq(seal_check(row.bytes, size, root, "test").why, WHY_FORGED, "%zu bytes", size);
}

Test(seal, of_a_shape_that_no_ceremony_makes_is_none)
{
    struct seal_record got;
    struct seal_record one = three_of_five();
    struct seal_record many = three_of_five();
    struct seal_record named = three_of_five();

    one.threshold = 1;
    many.threshold = 6;
    named.kind = SEAL_FILE;
    struct seal_record *const wrong[] = {&one, &many, &named};
    for (size_t i = 0; i < 3; i++) {
        cr_assert(!failed(seal_encode(wrong[i], root, "test", &row)));
        cr_expect_eq(seal_decode(row.bytes, row.size, &got).why, WHY_FORGED, "%zu", i);
    }
}
