/* SPDX-License-Identifier: Apache-2.0 */
#include "keys/keyring_rotate.h"

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

TestSuite(keyring_rotate, .init = open_ring, .fini = close_ring);

static struct keyring_rotation rotate(const char *tenant, enum key_purpose purpose,
                                      enum key_level level)
{
    struct keyring_rotation rotation = {0};

    cr_assert(!failed(keyring_rotate(ring, tenant, purpose, level, SHELF_NOW_MS + 5, &rotation)));
    return rotation;
}

static enum why rotate_why(const char *tenant, enum key_purpose purpose, enum key_level level)
{
    struct keyring_rotation rotation = {.new_id = 77};
    enum why why = keyring_rotate(ring, tenant, purpose, level, SHELF_NOW_MS + 5, &rotation).why;

    cr_expect_eq(rotation.new_id, 77, "written only on success");
    return why;
}

Test(keyring_rotate, of_a_kek_wraps_the_keys_below_again_and_makes_none)
{
    uint64_t first = shelf_use(ring, "shop", KEY_PURPOSE_CARD, SHELF_NOW_MS);
    uint64_t second = shelf_use(ring, "shop", KEY_PURPOSE_CARD, SHELF_NOW_MS + KEYRING_EPOCH_MS);
    uint64_t other = shelf_use(ring, "zoo", KEY_PURPOSE_CARD, SHELF_NOW_MS);
    uint64_t kek = shelf_info(ring, first).parent_id;
    uint64_t other_kek = shelf_info(ring, other).parent_id;

    (void)shelf_store(&shelf, ring);
    keyring_stored(ring);
    struct keyring_rotation rotation = rotate("shop", KEY_PURPOSE_CARD, KEY_LEVEL_KEK);
    cr_expect_eq(rotation.old_id, kek);
    cr_expect_eq(shelf_info(ring, first).parent_id, rotation.new_id);
    cr_expect_eq(shelf_info(ring, second).parent_id, rotation.new_id);
    cr_expect_eq(shelf_info(ring, other).parent_id, other_kek, "another tenant's");
    cr_expect_eq(shelf_info(ring, kek).state, KEY_STATE_DEACTIVATED);
    cr_expect_eq(keyring_active(ring, "shop", KEY_PURPOSE_CARD, KEY_LEVEL_DEK), second);
    (void)shelf_store(&shelf, ring);
    cr_expect_str_eq(shelf.events, "key.create\nkey.rewrap\nkey.rewrap\nkey.deactivate\n\n");
    cr_expect_eq(shelf_why(&shelf), WHY_NONE);
}

Test(keyring_rotate, of_a_data_key_begins_an_epoch_and_the_old_one_opens)
{
    uint64_t first = shelf_use(ring, "shop", KEY_PURPOSE_CARD, SHELF_NOW_MS);
    struct keyring_rotation rotation = rotate("shop", KEY_PURPOSE_CARD, KEY_LEVEL_DEK);

    cr_expect_eq(rotation.old_id, first);
    cr_expect_eq(shelf_use(ring, "shop", KEY_PURPOSE_CARD, SHELF_NOW_MS + 6), rotation.new_id);
    cr_expect_eq(shelf_kdf_why(ring, first, true), WHY_DENIED);
    cr_expect_eq(shelf_kdf_why(ring, first, false), WHY_NONE);
    cr_expect_eq(keyring_previous(ring, rotation.new_id), first);
    cr_expect_eq(keyring_previous(ring, first), 0);
}

Test(keyring_rotate, leaves_the_former_keys_of_a_lane_to_be_found_after_a_restart)
{
    uint64_t first = shelf_use(ring, "shop", KEY_PURPOSE_FINGERPRINT, SHELF_NOW_MS);
    uint64_t zoo = shelf_use(ring, "zoo", KEY_PURPOSE_FINGERPRINT, SHELF_NOW_MS);
    uint64_t second = rotate("shop", KEY_PURPOSE_FINGERPRINT, KEY_LEVEL_DEK).new_id;
    uint64_t third = rotate("shop", KEY_PURPOSE_FINGERPRINT, KEY_LEVEL_DEK).new_id;

    (void)shelf_store(&shelf, ring);
    keyring_free(&ring);
    ring = shelf_restart(&shelf, SHELF_NOW_MS + 10);
    cr_expect_eq(keyring_active(ring, "shop", KEY_PURPOSE_FINGERPRINT, KEY_LEVEL_DEK), third);
    cr_expect_eq(keyring_newest(ring, "shop", KEY_PURPOSE_FINGERPRINT, KEY_LEVEL_DEK), third);
    cr_expect_eq(keyring_newest(ring, "nobody", KEY_PURPOSE_FINGERPRINT, KEY_LEVEL_DEK), 0);
    cr_expect_eq(keyring_previous(ring, third), second);
    cr_expect_eq(keyring_previous(ring, second), first);
    cr_expect_eq(keyring_previous(ring, first), 0);
    cr_expect_eq(keyring_previous(ring, zoo), 0);
    cr_expect_eq(keyring_active(ring, "nobody", KEY_PURPOSE_CARD, KEY_LEVEL_DEK), 0);
}

Test(keyring_rotate, refuses_what_has_no_successor_and_what_is_not_there)
{
    (void)shelf_use(ring, "", KEY_PURPOSE_INDEX, SHELF_NOW_MS);
    (void)shelf_use(ring, "shop", KEY_PURPOSE_CVV, SHELF_NOW_MS);
    cr_expect_eq(rotate_why("", KEY_PURPOSE_INDEX, KEY_LEVEL_DEK), WHY_CONFLICT);
    cr_expect_eq(rotate_why("shop", KEY_PURPOSE_CARD, KEY_LEVEL_DEK), WHY_NOT_FOUND);
    cr_expect_eq(rotate_why("shop", KEY_PURPOSE_CVV, KEY_LEVEL_KEK), WHY_NOT_FOUND);
    cr_expect_eq(rotate_why("shop", KEY_PURPOSE_COUNT, KEY_LEVEL_DEK), WHY_BAD_INPUT);
    cr_expect_eq(rotate_why("shop", KEY_PURPOSE_CARD, 3), WHY_BAD_INPUT);
    (void)shelf_store(&shelf, ring);
    keyring_stored(ring);
    cr_expect_neq(rotate("", KEY_PURPOSE_INDEX, KEY_LEVEL_KEK).new_id, 0);
    cr_expect_neq(rotate("shop", KEY_PURPOSE_CVV, KEY_LEVEL_DEK).new_id, 0);
}

/* KEY-8, with the clock moved on by years. */
Test(keyring_rotate, ends_every_key_with_a_period_by_the_clock)
{
    uint64_t card = shelf_use(ring, "shop", KEY_PURPOSE_CARD, SHELF_NOW_MS);
    uint64_t kek = shelf_info(ring, card).parent_id;
    uint64_t print = shelf_use(ring, "shop", KEY_PURPOSE_FINGERPRINT, SHELF_NOW_MS);
    int64_t kek_end_ms = SHELF_NOW_MS + KEYRING_KEK_PERIOD_MS;

    cr_assert(!failed(keyring_tick(ring, kek_end_ms - 1)));
    cr_expect_eq(shelf_info(ring, kek).state, KEY_STATE_ACTIVE);
    cr_assert(!failed(keyring_tick(ring, kek_end_ms)));
    cr_expect_eq(shelf_info(ring, kek).state, KEY_STATE_DEACTIVATED);
    cr_expect_neq(shelf_info(ring, card).parent_id, kek, "what hung from it hangs from the next");
    uint64_t next = shelf_use(ring, "shop", KEY_PURPOSE_CARD, kek_end_ms + 1);
    cr_expect_neq(shelf_info(ring, next).parent_id, kek, "it never encrypts again");
    cr_expect_eq(shelf_use(ring, "shop", KEY_PURPOSE_FINGERPRINT, kek_end_ms + 1), print);
    int64_t print_end_ms = SHELF_NOW_MS + KEYRING_FINGERPRINT_PERIOD_MS;
    uint64_t second = shelf_use(ring, "shop", KEY_PURPOSE_FINGERPRINT, print_end_ms);
    cr_expect_neq(second, print);
    cr_expect_eq(keyring_previous(ring, second), print);
    cr_expect_eq(shelf_kdf_why(ring, print, false), WHY_NONE, "for dual look-up");
}

Test(keyring_rotate, takes_its_periods_from_who_sets_them)
{
    const struct keyring_periods periods = {
        .kek_ms = 10 * DAY_MS, .dek_ms = 3600 * 1000, .fingerprint_ms = 20 * DAY_MS};
    const struct keyring_periods none = {0};

    keyring_periods_set(ring, &periods);
    keyring_periods_set(ring, &none); /* Leaves what is there. */
    struct key_info card = shelf_info(ring, shelf_use(ring, "a", KEY_PURPOSE_CARD, SHELF_NOW_MS));
    struct key_info print =
        shelf_info(ring, shelf_use(ring, "a", KEY_PURPOSE_FINGERPRINT, SHELF_NOW_MS));
    cr_expect_eq(card.not_after_encrypt_ms, SHELF_NOW_MS + 3600 * 1000);
    cr_expect_eq(print.not_after_encrypt_ms, SHELF_NOW_MS + 20 * DAY_MS);
    cr_expect_eq(shelf_info(ring, card.parent_id).not_after_encrypt_ms, SHELF_NOW_MS + 10 * DAY_MS);
}

Test(keyring_rotate, tells_what_ends_soon_and_not_what_ends_every_day)
{
    struct key_info due[4];
    uint64_t card = shelf_use(ring, "shop", KEY_PURPOSE_CARD, SHELF_NOW_MS);
    uint64_t kek = shelf_info(ring, card).parent_id;
    int64_t before_ms = SHELF_NOW_MS + KEYRING_KEK_PERIOD_MS - 30 * DAY_MS;

    (void)shelf_use(ring, "shop", KEY_PURPOSE_CVV, SHELF_NOW_MS);
    cr_expect_eq(keyring_due(ring, before_ms - 1, 30 * DAY_MS, due, 4), 0);
    cr_expect_eq(keyring_due(ring, before_ms, 30 * DAY_MS, due, 4), 1);
    cr_expect_eq(due[0].id, kek);
    (void)shelf_use(ring, "", KEY_PURPOSE_INDEX, SHELF_NOW_MS);
    cr_expect_eq(keyring_due(ring, before_ms, 30 * DAY_MS, due, 1), 2, "more than fit are counted");
    (void)rotate("shop", KEY_PURPOSE_CARD, KEY_LEVEL_KEK);
    (void)rotate("", KEY_PURPOSE_INDEX, KEY_LEVEL_KEK);
    cr_expect_eq(keyring_due(ring, before_ms, 30 * DAY_MS, due, 4), 0, "their time is over");
}

Test(keyring_rotate, does_not_use_up_keys_that_hash)
{
    keyring_limits_for_test(ring, (struct keyring_limits){.uses_max = 2, .opened_max = 4});
    uint64_t print = shelf_use(ring, "shop", KEY_PURPOSE_FINGERPRINT, SHELF_NOW_MS);

    for (unsigned i = 0; i < 5; i++)
        cr_expect_eq(shelf_use(ring, "shop", KEY_PURPOSE_FINGERPRINT, SHELF_NOW_MS), print);
}
