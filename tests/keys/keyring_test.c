/* SPDX-License-Identifier: Apache-2.0 */
#include "keys/keyring.h"

#include <string.h>

#include "keys/keyring_parts.h"
#include "tests/keys/shelf.h"

#define DAY_MS (24 * 3600 * 1000LL)

static struct keyring *ring;
static struct shelf shelf;

static void open_ring(void)
{
    ring = shelf_ring();
}

static void close_ring(void)
{
    keyring_free(&ring);
}

TestSuite(keyring, .init = open_ring, .fini = close_ring);

/* 32 bytes that show which key is behind an id. */
static void key_taste(struct keyring *of, uint64_t key_id, uint8_t out[32])
{
    struct kdf *kdf = NULL;
    const struct key_info *info = NULL;

    cr_assert(!failed(keyring_kdf(of, key_id, false, &kdf, &info)));
    cr_assert_eq(info->id, key_id);
    cr_assert(!failed(kdf_derive(kdf, "taste", NULL, 0, out, 32)));
}

static enum why change(uint64_t key_id, enum key_state state)
{
    return keyring_change_state(ring, key_id, state, SHELF_NOW_MS + 5).why;
}

Test(keyring, makes_a_kek_and_a_dek_on_first_use_and_then_gives_the_same_key)
{
    uint64_t key_id = shelf_use(ring, "shop", KEY_PURPOSE_CARD, SHELF_NOW_MS);

    cr_assert_eq(shelf_store(&shelf, ring), 3, "two keys and the manifest");
    cr_assert_str_eq(shelf.events, "key.create\nkey.create\n\n");
    cr_assert_eq(shelf_use(ring, "shop", KEY_PURPOSE_CARD, SHELF_NOW_MS + 1), key_id);
    cr_assert_eq(shelf_store(&shelf, ring), 0, "nothing changed");

    struct key_info dek = shelf_info(ring, key_id);
    struct key_info kek = shelf_info(ring, dek.parent_id);
    cr_expect_eq(dek.level, KEY_LEVEL_DEK);
    cr_expect_eq(dek.purpose, KEY_PURPOSE_CARD);
    cr_expect_eq(dek.state, KEY_STATE_ACTIVE);
    cr_expect_eq(dek.version, 1);
    cr_expect_str_eq(dek.tenant, "shop");
    cr_expect_eq(dek.created_ms, SHELF_NOW_MS);
    cr_expect_eq(dek.not_after_encrypt_ms, SHELF_NOW_MS + KEYRING_EPOCH_MS);
    cr_expect_eq(kek.level, KEY_LEVEL_KEK);
    cr_expect_eq(kek.parent_id, 0);
    cr_expect_eq(kek.not_after_encrypt_ms, SHELF_NOW_MS + KEYRING_KEK_PERIOD_MS);
    struct key_info none;
    cr_expect(!keyring_info_at(ring, 2, &none));
}

Test(keyring, gives_what_was_not_stored_again_until_it_is)
{
    static struct shelf lost;
    uint8_t before[32];
    uint8_t after[32];

    uint64_t key_id = shelf_use(ring, "shop", KEY_PURPOSE_CARD, SHELF_NOW_MS);
    key_taste(ring, key_id, before);
    cr_assert_eq(shelf_store(&lost, ring), 3);
    keyring_untake(ring);
    (void)shelf_use(ring, "", KEY_PURPOSE_INDEX, SHELF_NOW_MS);
    cr_assert_eq(shelf_store(&shelf, ring), 5, "the two keys, two more, and a manifest of all");
    keyring_stored(ring);
    keyring_untake(ring);
    cr_assert_eq(shelf_store(&shelf, ring), 0, "what is stored waits no more");

    cr_assert_eq(shelf_why(&shelf), WHY_NONE);
    struct keyring *other = shelf_ring_of("test", 7);
    cr_assert_eq(shelf_load_into(&shelf, other, SHELF_NOW_MS + 1000), WHY_NONE);
    key_taste(other, key_id, after);
    cr_expect_arr_eq(before, after, sizeof before);
    keyring_free(&other);
}

Test(keyring, gives_each_tenant_and_purpose_a_tree_of_its_own)
{
    const uint64_t ids[] = {
        shelf_use(ring, "a", KEY_PURPOSE_CARD, SHELF_NOW_MS),
        shelf_use(ring, "b", KEY_PURPOSE_CARD, SHELF_NOW_MS),
        shelf_use(ring, "a", KEY_PURPOSE_FINGERPRINT, SHELF_NOW_MS),
        shelf_use(ring, "", KEY_PURPOSE_INDEX, SHELF_NOW_MS),
        shelf_use(ring, "a", KEY_PURPOSE_CVV, SHELF_NOW_MS),
    };
    uint8_t tastes[5][32];

    for (unsigned i = 0; i < 5; i++) {
        key_taste(ring, ids[i], tastes[i]);
        for (unsigned j = 0; j < i; j++) {
            cr_expect_neq(ids[i], ids[j]);
            cr_expect_arr_neq(tastes[i], tastes[j], 32);
            cr_expect(shelf_info(ring, ids[i]).parent_id == 0 ||
                      shelf_info(ring, ids[i]).parent_id != shelf_info(ring, ids[j]).parent_id);
        }
    }
}

Test(keyring, refuses_purposes_and_tenants_that_do_not_fit)
{
    char long_name[KEYRING_TENANT_BYTES_MAX + 1];
    uint64_t id = 0;

    memset(long_name, 'x', sizeof long_name);
    long_name[KEYRING_TENANT_BYTES_MAX] = '\0';
    cr_expect_eq(keyring_use(ring, long_name, KEY_PURPOSE_CARD, SHELF_NOW_MS, &id).why, WHY_LIMIT);
    cr_expect_eq(keyring_use(ring, "", KEY_PURPOSE_CARD, SHELF_NOW_MS, &id).why, WHY_BAD_INPUT);
    cr_expect_eq(keyring_use(ring, "a", KEY_PURPOSE_INDEX, SHELF_NOW_MS, &id).why, WHY_BAD_INPUT);
    cr_expect_eq(keyring_use(ring, "a", KEY_PURPOSE_COUNT, SHELF_NOW_MS, &id).why, WHY_BAD_INPUT);
    cr_expect_eq(shelf_store(&shelf, ring), 0);
    long_name[KEYRING_TENANT_BYTES_MAX - 1] = '\0';
    cr_expect_eq(keyring_use(ring, long_name, KEY_PURPOSE_CARD, SHELF_NOW_MS, &id).why, WHY_NONE);
}

Test(keyring, begins_an_epoch_when_the_uses_are_used_up)
{
    keyring_limits_for_test(ring, (struct keyring_limits){.uses_max = 3, .opened_max = 4});
    uint64_t first = shelf_use(ring, "shop", KEY_PURPOSE_CARD, SHELF_NOW_MS);

    cr_assert_eq(shelf_use(ring, "shop", KEY_PURPOSE_CARD, SHELF_NOW_MS), first);
    cr_assert_eq(shelf_use(ring, "shop", KEY_PURPOSE_CARD, SHELF_NOW_MS), first);
    (void)shelf_store(&shelf, ring);
    uint64_t second = shelf_use(ring, "shop", KEY_PURPOSE_CARD, SHELF_NOW_MS);
    cr_assert_neq(second, first);
    cr_assert_eq(shelf_info(ring, first).state, KEY_STATE_DEACTIVATED);
    cr_assert_eq(shelf_info(ring, second).version, 2);
    cr_assert_eq(shelf_info(ring, second).parent_id, shelf_info(ring, first).parent_id);
    (void)shelf_store(&shelf, ring);
    cr_assert_str_eq(shelf.events, "key.deactivate\nkey.create\n\n");
}

Test(keyring, begins_an_epoch_when_the_time_is_over_and_not_before)
{
    uint64_t first = shelf_use(ring, "shop", KEY_PURPOSE_CARD, SHELF_NOW_MS);

    cr_assert_eq(shelf_use(ring, "shop", KEY_PURPOSE_CARD, SHELF_NOW_MS + KEYRING_EPOCH_MS - 1),
                 first);
    uint64_t second = shelf_use(ring, "shop", KEY_PURPOSE_CARD, SHELF_NOW_MS + KEYRING_EPOCH_MS);
    cr_assert_neq(second, first);
    cr_assert_eq(shelf_kdf_why(ring, first, true), WHY_DENIED, "KEY-8: it never encrypts again");
    cr_assert_eq(shelf_kdf_why(ring, first, false), WHY_NONE);
}

Test(keyring, ends_an_epoch_by_the_clock_in_an_idle_vault)
{
    uint64_t first = shelf_use(ring, "shop", KEY_PURPOSE_CARD, SHELF_NOW_MS);

    cr_assert(!failed(keyring_tick(ring, SHELF_NOW_MS + KEYRING_EPOCH_MS)));
    cr_assert_eq(shelf_info(ring, first).state, KEY_STATE_DEACTIVATED);
    cr_assert_neq(shelf_use(ring, "shop", KEY_PURPOSE_CARD, SHELF_NOW_MS + KEYRING_EPOCH_MS),
                  first);
}

Test(keyring, keeps_fingerprint_and_index_keys_over_epochs_and_restarts)
{
    keyring_limits_for_test(ring, (struct keyring_limits){.uses_max = 1, .opened_max = 4});
    uint64_t fingerprint = shelf_use(ring, "shop", KEY_PURPOSE_FINGERPRINT, SHELF_NOW_MS);
    uint64_t index = shelf_use(ring, "", KEY_PURPOSE_INDEX, SHELF_NOW_MS);
    int64_t later_ms = SHELF_NOW_MS + 700 * DAY_MS;
    uint8_t before[32];
    uint8_t after[32];

    key_taste(ring, fingerprint, before);
    (void)shelf_store(&shelf, ring);
    keyring_free(&ring);
    ring = shelf_restart(&shelf, later_ms);
    for (unsigned i = 0; i < 3; i++) {
        cr_assert_eq(shelf_use(ring, "shop", KEY_PURPOSE_FINGERPRINT, later_ms), fingerprint);
        cr_assert_eq(shelf_use(ring, "", KEY_PURPOSE_INDEX, later_ms), index);
    }
    key_taste(ring, fingerprint, after);
    cr_assert_arr_eq(before, after, 32);
}

Test(keyring, begins_an_epoch_with_each_restart)
{
    uint64_t first = shelf_use(ring, "shop", KEY_PURPOSE_CARD, SHELF_NOW_MS);
    uint8_t before[32];
    uint8_t after[32];

    key_taste(ring, first, before);
    (void)shelf_store(&shelf, ring);
    keyring_free(&ring);
    ring = shelf_restart(&shelf, SHELF_NOW_MS + 1000);
    cr_assert_eq(shelf_info(ring, first).state, KEY_STATE_DEACTIVATED);
    cr_assert_eq(shelf_info(ring, first).changed_ms, SHELF_NOW_MS + 1000);
    cr_assert_eq(shelf_store(&shelf, ring), 2);
    cr_assert_str_eq(shelf.events, "key.deactivate\n\n");
    uint64_t second = shelf_use(ring, "shop", KEY_PURPOSE_CARD, SHELF_NOW_MS + 1000);
    cr_assert_neq(second, first);
    cr_assert_eq(shelf_info(ring, second).version, 2);
    key_taste(ring, first, after);
    cr_assert_arr_eq(before, after, 32, "what it sealed still opens");
    (void)shelf_store(&shelf, ring);
    cr_assert_eq(shelf_why(&shelf), WHY_NONE);
}

Test(keyring, allows_in_each_state_what_the_state_allows)
{
    static const struct {
        enum key_state state;
        enum why to_encrypt;
        enum why to_open;
    } rules[] = {
        {KEY_STATE_SUSPENDED, WHY_DENIED, WHY_NONE},
        {KEY_STATE_ACTIVE, WHY_NONE, WHY_NONE},
        {KEY_STATE_DEACTIVATED, WHY_DENIED, WHY_NONE},
        {KEY_STATE_COMPROMISED, WHY_DENIED, WHY_DENIED},
        {KEY_STATE_DESTROYED, WHY_DENIED, WHY_DENIED},
    };
    uint64_t id = shelf_use(ring, "shop", KEY_PURPOSE_CARD, SHELF_NOW_MS);

    for (unsigned i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        const char *name = key_state_name(rules[i].state);
        cr_assert_eq(change(id, rules[i].state), WHY_NONE, "to %s", name);
        cr_expect_eq(shelf_info(ring, id).state, rules[i].state);
        cr_expect_eq(shelf_kdf_why(ring, id, true), rules[i].to_encrypt, "%s", name);
        cr_expect_eq(shelf_kdf_why(ring, id, false), rules[i].to_open, "%s", name);
        /* And the same after the row went to the store and back. */
        (void)shelf_store(&shelf, ring);
        if (rules[i].state == KEY_STATE_ACTIVE)
            continue; /* A restart would end its epoch. */
        struct keyring *again = shelf_restart(&shelf, SHELF_NOW_MS + 10);
        cr_expect_eq(shelf_info(again, id).state, rules[i].state);
        cr_expect_eq(shelf_kdf_why(again, id, true), rules[i].to_encrypt, "%s", name);
        cr_expect_eq(shelf_kdf_why(again, id, false), rules[i].to_open, "%s", name);
        keyring_free(&again);
    }
    cr_expect_eq(shelf_kdf_why(ring, 99, false), WHY_NOT_FOUND);
    cr_expect_eq(shelf_kdf_why(ring, 0, false), WHY_NOT_FOUND);
}

Test(keyring, refuses_every_transition_that_the_standard_does_not_have)
{
    /* Rows: from active, suspended, deactivated, compromised, destroyed; columns: to pre-active,
     * active, suspended, deactivated, compromised, destroyed. */
    static const enum key_state path[5][3] = {
        {KEY_STATE_ACTIVE},
        {KEY_STATE_SUSPENDED},
        {KEY_STATE_DEACTIVATED},
        {KEY_STATE_COMPROMISED},
        {KEY_STATE_COMPROMISED, KEY_STATE_DESTROYED},
    };
    static const bool allowed[5][6] = {
        {false, false, true, true, true, false},    {false, true, false, true, true, true},
        {false, false, false, false, true, true},   {false, false, false, false, false, true},
        {false, false, false, false, false, false},
    };

    for (unsigned from = 0; from < 5; from++) {
        for (unsigned to = 0; to < 6; to++) {
            uint64_t id = shelf_use(ring, "shop", KEY_PURPOSE_CARD, SHELF_NOW_MS);
            for (unsigned step = 0; path[from][step] != 0; step++) {
                if (path[from][step] != KEY_STATE_ACTIVE)
                    cr_assert_eq(change(id, path[from][step]), WHY_NONE);
            }
            cr_expect_eq(change(id, KEY_STATE_PRE_ACTIVE + to),
                         allowed[from][to] ? WHY_NONE : WHY_CONFLICT, "from %u to %u", from, to);
        }
    }
    cr_expect_eq(change(999, KEY_STATE_SUSPENDED), WHY_NOT_FOUND);
}

Test(keyring, does_not_activate_a_key_whose_place_was_taken)
{
    uint64_t first = shelf_use(ring, "shop", KEY_PURPOSE_CARD, SHELF_NOW_MS);

    cr_assert_eq(change(first, KEY_STATE_SUSPENDED), WHY_NONE);
    cr_assert_neq(shelf_use(ring, "shop", KEY_PURPOSE_CARD, SHELF_NOW_MS), first);
    cr_assert_eq(change(first, KEY_STATE_ACTIVE), WHY_CONFLICT);
}

/* The key bytes of a destroyed key are in no row any more. */
Test(keyring, leaves_no_key_bytes_in_the_row_of_a_destroyed_key)
{
    uint64_t id = shelf_use(ring, "shop", KEY_PURPOSE_CARD, SHELF_NOW_MS);

    (void)shelf_store(&shelf, ring);
    size_t live_size = shelf.rows[id].size;
    cr_assert_eq(change(id, KEY_STATE_DEACTIVATED), WHY_NONE);
    cr_assert_eq(change(id, KEY_STATE_DESTROYED), WHY_NONE);
    (void)shelf_store(&shelf, ring);
    cr_assert_str_eq(shelf.events, "key.deactivate\nkey.destroy\n\n");
    cr_assert_eq(shelf.rows[id].size, live_size - 136, "a wrapped key takes 136 bytes");
    cr_assert_eq(shelf_why(&shelf), WHY_NONE);
}

Test(keyring, does_not_lend_a_kek)
{
    uint64_t id = shelf_use(ring, "shop", KEY_PURPOSE_CARD, SHELF_NOW_MS);
    uint64_t kek = shelf_info(ring, id).parent_id;

    cr_assert_eq(shelf_kdf_why(ring, kek, false), WHY_DENIED);
    cr_assert_eq(shelf_kdf_why(ring, kek, true), WHY_DENIED);
}

Test(keyring, wraps_every_dek_again_when_the_period_of_a_kek_is_over)
{
    enum { EPOCHS = 4 };
    uint64_t ids[EPOCHS];
    uint8_t tastes[EPOCHS][32];
    uint8_t taste[32];
    int64_t later_ms = SHELF_NOW_MS + KEYRING_KEK_PERIOD_MS;

    for (unsigned i = 0; i < EPOCHS; i++) {
        ids[i] = shelf_use(ring, "shop", KEY_PURPOSE_CARD, SHELF_NOW_MS + i * KEYRING_EPOCH_MS);
        key_taste(ring, ids[i], tastes[i]);
    }
    uint64_t old_kek = shelf_info(ring, ids[0]).parent_id;
    (void)shelf_store(&shelf, ring);
    uint64_t last = shelf_use(ring, "shop", KEY_PURPOSE_CARD, later_ms);
    uint64_t new_kek = shelf_info(ring, last).parent_id;
    cr_assert_neq(new_kek, old_kek);
    cr_assert_eq(shelf_info(ring, old_kek).state, KEY_STATE_DEACTIVATED);
    cr_assert_eq(shelf_info(ring, new_kek).version, 2);
    (void)shelf_store(&shelf, ring);
    keyring_free(&ring);

    ring = shelf_restart(&shelf, later_ms + 1);
    for (unsigned i = 0; i < EPOCHS; i++) {
        cr_expect_eq(shelf_info(ring, ids[i]).parent_id, new_kek);
        key_taste(ring, ids[i], taste);
        cr_expect_arr_eq(taste, tastes[i], 32, "the key itself is as it was");
    }
    cr_assert_eq(change(old_kek, KEY_STATE_DESTROYED), WHY_NONE, "nothing hangs from it");
    key_taste(ring, ids[0], taste);
    cr_assert_arr_eq(taste, tastes[0], 32);
}

Test(keyring, replaces_a_compromised_kek_before_it_goes)
{
    uint64_t id = shelf_use(ring, "shop", KEY_PURPOSE_CARD, SHELF_NOW_MS);
    uint64_t kek = shelf_info(ring, id).parent_id;
    uint8_t before[32];
    uint8_t after[32];

    key_taste(ring, id, before);
    cr_assert_eq(change(kek, KEY_STATE_SUSPENDED), WHY_CONFLICT);
    cr_assert_eq(change(kek, KEY_STATE_COMPROMISED), WHY_NONE);
    cr_assert_eq(shelf_info(ring, kek).state, KEY_STATE_COMPROMISED);
    cr_assert_neq(shelf_info(ring, id).parent_id, kek);
    (void)shelf_store(&shelf, ring);
    keyring_free(&ring);
    ring = shelf_restart(&shelf, SHELF_NOW_MS + 10);
    key_taste(ring, id, after);
    cr_assert_arr_eq(before, after, 32);
}

Test(keyring, does_not_destroy_a_kek_from_which_a_key_hangs)
{
    uint64_t id = shelf_use(ring, "shop", KEY_PURPOSE_CARD, SHELF_NOW_MS);
    uint64_t kek = shelf_info(ring, id).parent_id;

    cr_assert_eq(change(kek, KEY_STATE_DEACTIVATED), WHY_NONE);
    /* Its keys went to its successor; as if one had not. */
    keyring_entry_find(ring, id)->info.parent_id = kek;
    cr_expect_eq(change(kek, KEY_STATE_DESTROYED), WHY_CONFLICT);
    cr_expect_eq(change(kek, KEY_STATE_COMPROMISED), WHY_CONFLICT);
}

Test(keyring, opens_more_keys_than_it_keeps_open)
{
    keyring_limits_for_test(ring, (struct keyring_limits){.uses_max = 1, .opened_max = 2});
    uint64_t ids[12];
    uint8_t tastes[12][32];
    uint8_t taste[32];

    for (unsigned i = 0; i < 12; i++) {
        const char tenant[] = {(char)('a' + i % 3), '\0'};
        ids[i] = shelf_use(ring, tenant, KEY_PURPOSE_CARD, SHELF_NOW_MS);
        key_taste(ring, ids[i], tastes[i]);
    }
    for (unsigned i = 0; i < 36; i++) {
        key_taste(ring, ids[i * 5 % 12], taste);
        cr_expect_arr_eq(taste, tastes[i * 5 % 12], 32);
    }
}

/* Wrapping a key again opens its KEK, which takes the place of the key used longest ago: here, of
 * that very key. */
Test(keyring, forgets_where_a_key_was_when_its_kek_pushed_it_out)
{
    keyring_limits_for_test(ring, (struct keyring_limits){.uses_max = 9, .opened_max = 3});
    uint64_t id = shelf_use(ring, "a", KEY_PURPOSE_CARD, SHELF_NOW_MS);
    uint64_t other = shelf_use(ring, "b", KEY_PURPOSE_CARD, SHELF_NOW_MS);
    uint8_t before[32];
    uint8_t after[32];

    key_taste(ring, id, before);   /* Opens the KEK of "a", then the DEK. */
    key_taste(ring, other, after); /* The KEK of "b" into the last place, its DEK into a's KEK's. */
    cr_assert_eq(change(id, KEY_STATE_SUSPENDED), WHY_NONE); /* a's KEK takes the place of id. */
    key_taste(ring, id, after);
    cr_assert_arr_eq(before, after, 32);
    key_taste(ring, other, after);
    cr_assert_arr_neq(before, after, 32);
}

/* CVV keys (SAD-5, SAD-7). */

Test(keyring, keeps_the_bytes_of_cvv_keys_out_of_their_rows)
{
    uint64_t cvv = shelf_use(ring, "shop", KEY_PURPOSE_CVV, SHELF_NOW_MS);
    uint64_t card = shelf_use(ring, "shop", KEY_PURPOSE_CARD, SHELF_NOW_MS);

    (void)shelf_store(&shelf, ring);
    cr_assert_eq(shelf_info(ring, cvv).parent_id, 0);
    cr_assert_eq(shelf.rows[card].size - shelf.rows[cvv].size, 136);
}

Test(keyring, changes_cvv_keys_hourly_and_destroys_them_an_hour_later)
{
    uint64_t first = shelf_use(ring, "shop", KEY_PURPOSE_CVV, SHELF_NOW_MS);
    int64_t epoch_ms = SHELF_NOW_MS + KEYRING_CVV_EPOCH_MS;
    int64_t end_ms = epoch_ms + KEYRING_CVV_KEPT_MS;

    cr_assert_eq(shelf_use(ring, "shop", KEY_PURPOSE_CVV, epoch_ms - 1), first);
    uint64_t second = shelf_use(ring, "shop", KEY_PURPOSE_CVV, epoch_ms);
    cr_assert_neq(second, first);
    cr_assert_eq(shelf_kdf_why(ring, first, true), WHY_DENIED);
    cr_assert_eq(shelf_kdf_why(ring, first, false), WHY_NONE, "its cells live up to an hour");
    cr_assert(!failed(keyring_tick(ring, end_ms - 1)));
    cr_assert_eq(shelf_info(ring, first).state, KEY_STATE_DEACTIVATED);
    cr_assert(!failed(keyring_tick(ring, end_ms)));
    cr_assert_eq(shelf_info(ring, first).state, KEY_STATE_DESTROYED);
    cr_assert_eq(shelf_kdf_why(ring, first, false), WHY_DENIED);
    (void)shelf_store(&shelf, ring);
    cr_assert_eq(shelf_why(&shelf), WHY_NONE);
}

Test(keyring, destroys_cvv_keys_without_a_tick_where_other_keys_are_used)
{
    uint64_t first = shelf_use(ring, "shop", KEY_PURPOSE_CVV, SHELF_NOW_MS);
    int64_t now_ms = SHELF_NOW_MS;

    while (now_ms < SHELF_NOW_MS + KEYRING_CVV_EPOCH_MS + KEYRING_CVV_KEPT_MS + 120000) {
        now_ms += 30000;
        (void)shelf_use(ring, "other", KEY_PURPOSE_FINGERPRINT, now_ms);
    }
    cr_assert_eq(shelf_info(ring, first).state, KEY_STATE_DESTROYED);
}

Test(keyring, marks_the_cvv_keys_of_an_earlier_process_destroyed)
{
    uint64_t id = shelf_use(ring, "shop", KEY_PURPOSE_CVV, SHELF_NOW_MS);

    (void)shelf_store(&shelf, ring);
    keyring_free(&ring);
    ring = shelf_restart(&shelf, SHELF_NOW_MS + 1);
    cr_assert_eq(shelf_info(ring, id).state, KEY_STATE_DESTROYED);
    cr_assert_eq(shelf_kdf_why(ring, id, false), WHY_DENIED);
    cr_assert_eq(shelf_store(&shelf, ring), 2);
    cr_assert_str_eq(shelf.events, "key.destroy\n\n");
}
