/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/lease_id.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/encode.h"
#include "tests/vault/rows.h"

TestSuite(lease_id, .init = rows_open, .fini = rows_close);

static void id_of(const char *relay, const char *submission, uint8_t out[static STORE_KEY_BYTES])
{
    cr_assert(!failed(lease_id_of(&store, relay, submission, SHELF_NOW_MS, out)));
}

Test(lease_id, lies_in_the_order_of_the_relay_s_submissions)
{
    char submission[64];
    uint8_t before[STORE_KEY_BYTES];
    uint8_t id[STORE_KEY_BYTES];
    uint8_t said[16];

    random_ordered_id(CONTRACT_SUBMISSION_PREFIX, submission, sizeof submission);
    id_of("relay", submission, before);
    for (unsigned i = 0; i < 200000; i++) /* Past the next millisecond, by their counting alone. */
        random_ordered_id(CONTRACT_SUBMISSION_PREFIX, submission, sizeof submission);
    id_of("relay", submission, id);
    cr_expect_gt(memcmp(id, before, 6), 0);
    cr_assert(!failed(decode_id(CONTRACT_SUBMISSION_PREFIX, submission, said)));
    cr_expect_arr_eq(id, said, 6, "its time");
}

/* RLY-7: 80 bits of a keyed hash tell apart what came in the same millisecond, and relays. */
Test(lease_id, is_one_submission_s_of_one_relay)
{
    static const char *const submissions[] = {"sub_0Uxb5PKpcyH8TtNnIDmrAN",
                                              "sub_0Uxb5PKpcyH8TtNnIDmrAO",
                                              "sub_0Uxb5PKpcyH8TtNnIDmrA",
                                              "sub_0Uxb5PKpcyH8TtNnIDmrAN0",
                                              "sub_zzzzzzzzzzzzzzzzzzzzzz",
                                              "order-1",
                                              "order-2",
                                              ""};
    enum { COUNT = 2 * sizeof submissions / sizeof submissions[0] };
    uint8_t ids[COUNT][STORE_KEY_BYTES];
    uint8_t again[STORE_KEY_BYTES];

    for (unsigned i = 0; i < COUNT; i++) {
        const char *relay = i % 2 == 0 ? "relay" : "relay-2";
        id_of(relay, submissions[i / 2], ids[i]);
        id_of(relay, submissions[i / 2], again);
        cr_expect_arr_eq(ids[i], again, sizeof again);
        for (unsigned j = 0; j < i; j++)
            cr_expect_neq(memcmp(ids[i] + 6, ids[j] + 6, STORE_KEY_BYTES - 6), 0, "%u and %u", i,
                          j);
    }
    for (unsigned i = 0; i < COUNT; i++) {
        char text[LEASE_ID_TEXT_BYTES];
        lease_id_write(ids[i], text);
        cr_assert(!failed(lease_id_read(text, again)), "%s", text);
        cr_expect_arr_eq(ids[i], again, sizeof again);
    }
    cr_expect_arr_eq(ids[0], ids[1], 6, "both of one time");
    cr_expect_arr_neq(ids[10], ids[11], 6, "names without a time lie anywhere");
}
