/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/store.h"

#include "base/own.h"
#include "keys/envelope.h"
#include "tests/vault/rows.h"

#define NOW_MS 1700000000000

TestSuite(store_count, .init = rows_open, .fini = rows_close);

static uint64_t key_of(const char *tenant)
{
    uint64_t id = 0;

    cr_assert(!failed(keyring_use(ring, tenant, KEY_PURPOSE_CARD, NOW_MS, &id)));
    return id;
}

static void seal(const char *tenant, uint64_t key_id, const char *purpose, struct buffer *out)
{
    struct envelope_place place = {.tenant = tenant, .purpose = purpose};

    cr_assert(!failed(envelope_seal(ring, key_id, ENVELOPE_AES_256_GCM, &place,
                                    (const uint8_t *)"x", 1, 1, out)));
}

/* A record whose two envelopes may be under keys of two tenants, as none of ours ever is. */
static void put(uint64_t record_id, const char *view_of, const char *card_of)
{
    OWNED(buffer_free) struct buffer view = BUFFER(1024);
    OWNED(buffer_free) struct buffer card = BUFFER(1024);

    seal(view_of, key_of(view_of), "view", &view);
    seal(card_of, key_of(card_of), "card", &card);
    cr_assert(!failed(store_put_record(&store, batch, record_id, &view, &card)));
}

static uint64_t found_under(uint64_t key_id)
{
    uint64_t found = 0;
    uint64_t scanned = 0;

    cr_assert(!failed(store_count_under(&store, key_id, 100, &found, &scanned)));
    cr_assert_eq(scanned, 5);
    return found;
}

Test(store_count, counts_records_of_which_either_envelope_names_the_key)
{
    put(1, "a", "a");
    put(2, "a", "b");
    put(3, "b", "a");
    put(4, "b", "b");
    put(900, "b", "b");
    rows_commit();
    cr_expect_eq(found_under(key_of("a")), 3);
    cr_expect_eq(found_under(key_of("b")), 4);
    cr_expect_eq(found_under(key_of("c")), 0);
}

Test(store_count, refuses_to_walk_over_more_than_it_may)
{
    uint64_t found = 7;
    uint64_t scanned = 7;

    for (uint64_t id = 1; id <= 5; id++)
        put(id, "a", "a");
    rows_commit();
    cr_expect(!failed(store_count_under(&store, 1, 5, &found, &scanned)));
    cr_expect_eq(scanned, 5);
    found = scanned = 7;
    cr_expect_eq(store_count_under(&store, 1, 4, &found, &scanned).why, WHY_LIMIT);
    cr_expect_eq(found + scanned, 14);
}

Test(store_count, counts_nothing_where_a_record_is_none)
{
    static const uint8_t key[8] = {[7] = 9};
    static const char *const rows[] = {"", "x", "\x00", "\xff\xff", "\x00\x01x", "\x00\x00"};
    static const size_t sizes[] = {0, 1, 1, 2, 3, 2};
    uint64_t found = 0;
    uint64_t scanned = 0;

    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        db_batch_put(batch, db, STORE_RECORDS, key, sizeof key, rows[i], sizes[i]);
        rows_commit();
        cr_expect(failed(store_count_under(&store, 1, 100, &found, &scanned)), "row %u", i);
    }
}
