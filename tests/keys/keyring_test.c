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
    int64_t later_ms = SHELF_NOW_MS + 900 * DAY_MS;
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

/* Substitution (KEY-11). */

/* Two tenants, both with two DEKs, on the shelf; `old` is the shelf before the last epoch. */
static void fill(struct shelf *old)
{
    for (unsigned epoch = 0; epoch < 2; epoch++) {
        int64_t now_ms = SHELF_NOW_MS + epoch * KEYRING_EPOCH_MS;
        (void)shelf_use(ring, "a", KEY_PURPOSE_CARD, now_ms);
        (void)shelf_use(ring, "b", KEY_PURPOSE_CARD, now_ms);
        (void)shelf_use(ring, "b", KEY_PURPOSE_CVV, now_ms);
        (void)shelf_store(&shelf, ring);
        if (epoch == 0)
            *old = shelf;
    }
    cr_assert_eq(shelf_why(&shelf), WHY_NONE);
    cr_assert_eq(shelf_why(old), WHY_NONE);
}

static struct shelf earlier;

static unsigned row_count(void)
{
    unsigned count = 0;

    while (shelf.rows[count].size != 0)
        count++;
    return count;
}

Test(keyring, does_not_load_two_rows_that_changed_places)
{
    fill(&earlier);
    for (unsigned a = 1; a < row_count(); a++) {
        for (unsigned b = 1; b < a; b++) {
            struct shelf_row row = shelf.rows[a];
            shelf.rows[a] = shelf.rows[b];
            shelf.rows[b] = row;
            cr_expect_eq(shelf_why(&shelf), WHY_FORGED, "%u and %u", a, b);
            shelf.rows[b] = shelf.rows[a];
            shelf.rows[a] = row;
        }
    }
    cr_assert_eq(shelf_why(&shelf), WHY_NONE);
}

Test(keyring, does_not_load_a_set_with_a_row_less_or_more)
{
    fill(&earlier);
    unsigned count = row_count();
    for (unsigned id = 0; id < count; id++) {
        struct shelf_row row = shelf.rows[id];
        shelf.rows[id].size = 0;
        cr_expect_eq(shelf_why(&shelf), WHY_FORGED, "without %u", id);
        shelf.rows[id] = row;
    }
    shelf.rows[count] = shelf.rows[1];
    cr_expect_eq(shelf_why(&shelf), WHY_FORGED, "the same row under one more id");
    shelf.rows[count].bytes[8] = (uint8_t)count; /* The last byte of the id in the row. */
    cr_expect_eq(shelf_why(&shelf), WHY_FORGED, "renamed to fit there");
}

Test(keyring, does_not_load_one_row_of_an_earlier_time)
{
    fill(&earlier);
    unsigned rolled_back = 0;
    for (unsigned id = 0; id < row_count(); id++) {
        const struct shelf_row *old = &earlier.rows[id];
        struct shelf_row row = shelf.rows[id];
        if (old->size == 0 ||
            (old->size == row.size && memcmp(old->bytes, row.bytes, row.size) == 0))
            continue;
        shelf.rows[id] = *old;
        cr_expect_eq(shelf_why(&shelf), WHY_FORGED, "row %u", id);
        shelf.rows[id] = row;
        rolled_back++;
    }
    cr_assert_geq(rolled_back, 4, "two DEKs, a CVV key and the manifest had changed");
}

Test(keyring, does_not_load_with_any_one_byte_changed)
{
    (void)shelf_use(ring, "a", KEY_PURPOSE_CARD, SHELF_NOW_MS);
    (void)shelf_use(ring, "a", KEY_PURPOSE_CVV, SHELF_NOW_MS);
    (void)shelf_store(&shelf, ring);
    for (unsigned id = 0; id < row_count(); id++) {
        for (size_t at = 0; at < shelf.rows[id].size; at++) {
            shelf.rows[id].bytes[at] ^= 0x01;
            cr_expect_eq(shelf_why(&shelf), WHY_FORGED, "row %u byte %zu", id, at);
            shelf.rows[id].bytes[at] ^= 0x01;
        }
    }
    cr_assert_eq(shelf_why(&shelf), WHY_NONE);
}

Test(keyring, does_not_load_rows_cut_short_or_made_longer)
{
    fill(&earlier);
    for (unsigned id = 0; id < row_count(); id++) {
        size_t size = shelf.rows[id].size;
        shelf.rows[id].size = size - 1;
        cr_expect_eq(shelf_why(&shelf), WHY_FORGED);
        shelf.rows[id].size = size + 1;
        cr_expect_eq(shelf_why(&shelf), WHY_FORGED);
        shelf.rows[id].size = size;
    }
}

Test(keyring, does_not_load_under_another_root_or_environment)
{
    (void)shelf_use(ring, "a", KEY_PURPOSE_CARD, SHELF_NOW_MS);
    (void)shelf_store(&shelf, ring);
    struct keyring *other_root = shelf_ring_of("test", 8);
    struct keyring *live = shelf_ring_of("live", 7);
    cr_expect_eq(shelf_load_into(&shelf, other_root, SHELF_NOW_MS), WHY_FORGED);
    cr_expect_eq(shelf_load_into(&shelf, live, SHELF_NOW_MS), WHY_FORGED);
    keyring_free(&other_root);
    keyring_free(&live);
}

/* The manifest vouches for the rows; but a wrapped key does so for its own attributes as well,
 * which are therefore changed here where no manifest sees it. */
Test(keyring, does_not_unwrap_a_key_whose_attributes_were_changed)
{
    enum { CHANGES = 8 };
    uint64_t id = shelf_use(ring, "a", KEY_PURPOSE_CARD, SHELF_NOW_MS);
    struct keyring_entry *entry = keyring_entry_find(ring, id);
    const struct keyring_entry good = *entry;
    struct keyring_entry changed[CHANGES];

    for (unsigned i = 0; i < CHANGES; i++)
        changed[i] = good;
    changed[0].info.version++;
    changed[1].info.purpose = KEY_PURPOSE_FINGERPRINT;
    changed[2].info.state = KEY_STATE_DEACTIVATED;
    changed[3].info.tenant[0] = 'b';
    changed[4].info.created_ms++;
    changed[5].info.changed_ms++;
    changed[6].info.not_after_encrypt_ms++;
    changed[7].info.id++;
    for (unsigned i = 0; i < CHANGES; i++) {
        *entry = changed[i];
        cr_expect_eq(shelf_kdf_why(ring, id, false), WHY_FORGED, "change %u", i);
    }
    *entry = good;
    cr_expect_eq(shelf_kdf_why(ring, id, false), WHY_NONE);
    keyring_entry_close(ring, entry);
    memcpy(ring->environment, "live", 5);
    cr_expect_eq(shelf_kdf_why(ring, id, false), WHY_FORGED, "KEY-3");
}

Test(keyring, refuses_two_manifests)
{
    uint8_t row[8] = {0};
    struct keyring *fresh = shelf_ring_of("test", 7);

    cr_assert(!failed(keyring_load(fresh, 0, row, sizeof row)));
    cr_assert_eq(keyring_load(fresh, 0, row, sizeof row).why, WHY_FORGED);
    cr_assert_eq(keyring_loaded(fresh, SHELF_NOW_MS).why, WHY_FORGED);
    keyring_free(&fresh);
}

Test(keyring, loads_more_than_one_page_of_rows)
{
    keyring_limits_for_test(ring, (struct keyring_limits){.uses_max = 1, .opened_max = 4});
    uint64_t first = shelf_use(ring, "shop", KEY_PURPOSE_CARD, SHELF_NOW_MS);

    for (unsigned i = 0; i < 600; i++) {
        (void)shelf_use(ring, "shop", KEY_PURPOSE_CARD, SHELF_NOW_MS);
        if (i % 7 == 0)
            (void)shelf_store(&shelf, ring); /* Some pages fresh, some not. */
    }
    (void)shelf_store(&shelf, ring);
    cr_assert_eq(shelf_why(&shelf), WHY_NONE);
    shelf.rows[300].bytes[shelf.rows[300].size - 1] ^= 1;
    cr_assert_eq(shelf_why(&shelf), WHY_FORGED);
    shelf.rows[300].bytes[shelf.rows[300].size - 1] ^= 1;
    keyring_free(&ring);
    ring = shelf_restart(&shelf, SHELF_NOW_MS);
    cr_assert_eq(shelf_kdf_why(ring, first, false), WHY_NONE);
}

Test(keyring, counts_its_manifests_over_restarts)
{
    (void)shelf_use(ring, "a", KEY_PURPOSE_CARD, SHELF_NOW_MS);
    cr_assert_eq(keyring_generation(ring), 0);
    (void)shelf_store(&shelf, ring);
    cr_assert_eq(keyring_generation(ring), 1);
    keyring_free(&ring);
    ring = shelf_restart(&shelf, SHELF_NOW_MS);
    cr_assert_eq(keyring_generation(ring), 1);
    (void)shelf_store(&shelf, ring);
    cr_assert_eq(keyring_generation(ring), 2, "the restart deactivated a key");
}

Test(keyring, refuses_an_environment_without_a_name)
{
    struct secret *root = shelf_root(1);
    struct keyring *none = NULL;

    cr_assert_eq(keyring_new(root, "", &none).why, WHY_BAD_INPUT);
    cr_assert(none == NULL);
    secret_free(&root);
}

Test(keyring, refuses_a_root_under_256_bits)
{
    struct secret *root = NULL;
    struct keyring *none = NULL;

    cr_assert(!failed(secret_new_key(16, &root)));
    cr_assert_eq(keyring_new(root, "test", &none).why, WHY_BAD_INPUT);
    secret_free(&root);
}

Test(keyring, names_every_purpose_and_state)
{
    for (enum key_purpose p = KEY_PURPOSE_CARD; p < KEY_PURPOSE_COUNT; p++)
        cr_expect_str_neq(key_purpose_name(p), "unknown");
    for (enum key_state s = KEY_STATE_PRE_ACTIVE; s <= KEY_STATE_DESTROYED; s++)
        cr_expect_str_neq(key_state_name(s), "unknown");
    cr_expect_str_eq(key_purpose_name(KEY_PURPOSE_COUNT), "unknown");
    cr_expect_str_eq(keyring_environment(ring), "test");
}
