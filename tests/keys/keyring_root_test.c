/* SPDX-License-Identifier: Apache-2.0 */
/* A new root: what it opens, what the old one opens no more, and what stays as it was. */
#include "keys/keyring.h"

#include <string.h>

#include "keys/keyring_parts.h"
#include "tests/keys/shelf.h"

#define OLD_ROOT 7 /* shelf_ring()'s. */
#define NEW_ROOT 9

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

TestSuite(keyring_root, .init = open_ring, .fini = close_ring);

static enum why renew(uint8_t fill)
{
    struct secret *root = shelf_root(fill);
    enum why why = keyring_root_renew(ring, root).why;

    secret_free(&root);
    return why;
}

static enum why why_under(uint8_t fill)
{
    struct keyring *other = shelf_ring_of("test", fill);
    enum why why = shelf_load_into(&shelf, other, SHELF_NOW_MS + 1000);

    keyring_free(&other);
    return why;
}

static void taste(struct keyring *of, uint64_t key_id, uint8_t out[32])
{
    struct kdf *kdf = NULL;

    cr_assert(!failed(keyring_kdf(of, key_id, false, &kdf, NULL)));
    cr_assert(!failed(kdf_derive(kdf, "taste", NULL, 0, out, 32)));
}

Test(keyring_root, of_old_opens_no_row_any_more_and_the_new_one_all)
{
    enum { KEYS = 3 };
    const uint64_t ids[KEYS] = {
        shelf_use(ring, "shop", KEY_PURPOSE_CARD, SHELF_NOW_MS),
        shelf_use(ring, "shop", KEY_PURPOSE_FINGERPRINT, SHELF_NOW_MS),
        shelf_use(ring, "", KEY_PURPOSE_INDEX, SHELF_NOW_MS),
    };
    uint8_t before[KEYS][32];
    uint8_t after[32];

    for (unsigned i = 0; i < KEYS; i++)
        taste(ring, ids[i], before[i]);
    cr_assert_eq(shelf_store(&shelf, ring), 7);
    keyring_stored(ring);
    cr_assert_eq(why_under(OLD_ROOT), WHY_NONE);

    cr_assert_eq(renew(NEW_ROOT), WHY_NONE);
    cr_assert_eq(shelf_store(&shelf, ring), 4, "three KEKs and the manifest, and no DEK");
    cr_assert_str_eq(shelf.events, "key.rewrap\nkey.rewrap\nkey.rewrap\n\n");
    cr_expect_eq(why_under(OLD_ROOT), WHY_FORGED);
    cr_expect_eq(why_under(NEW_ROOT), WHY_NONE);

    struct keyring *again = shelf_ring_of("test", NEW_ROOT);
    cr_assert_eq(shelf_load_into(&shelf, again, SHELF_NOW_MS), WHY_NONE);
    for (unsigned i = 0; i < KEYS; i++) {
        taste(again, ids[i], after);
        cr_expect_arr_eq(after, before[i], 32, "no data key is another");
        taste(ring, ids[i], after);
        cr_expect_arr_eq(after, before[i], 32, "and none was closed");
    }
    keyring_free(&again);
}

/* Not only the manifest is another: each row by itself. */
Test(keyring_root, of_old_unwraps_none_of_the_new_rows)
{
    uint64_t id = shelf_use(ring, "shop", KEY_PURPOSE_CARD, SHELF_NOW_MS);
    uint64_t kek = shelf_info(ring, id).parent_id;
    struct secret *old_root = shelf_root(OLD_ROOT);
    struct kdf *old_kdf = NULL;

    cr_assert(!failed(kdf_new(old_root, &old_kdf)));
    struct keyring_entry *entry = keyring_entry_find(ring, kek);
    cr_expect_eq(keyring_row_unwrap(ring, entry, old_kdf).why, WHY_NONE);
    cr_assert_eq(renew(NEW_ROOT), WHY_NONE);
    cr_expect_eq(keyring_row_unwrap(ring, entry, old_kdf).why, WHY_FORGED);
    cr_expect_eq(keyring_row_unwrap(ring, entry, ring->root_kdf).why, WHY_NONE);
    kdf_free(&old_kdf);
    secret_free(&old_root);
}

Test(keyring_root, takes_keks_of_every_state_along)
{
    uint64_t id = shelf_use(ring, "shop", KEY_PURPOSE_CARD, SHELF_NOW_MS);
    uint64_t compromised = shelf_info(ring, id).parent_id;
    uint8_t before[32];
    uint8_t after[32];

    taste(ring, id, before);
    cr_assert(
        !failed(keyring_change_state(ring, compromised, KEY_STATE_COMPROMISED, SHELF_NOW_MS + 1)));
    uint64_t destroyed = shelf_info(ring, id).parent_id;
    cr_assert(
        !failed(keyring_change_state(ring, destroyed, KEY_STATE_DEACTIVATED, SHELF_NOW_MS + 2)));
    cr_assert(
        !failed(keyring_change_state(ring, destroyed, KEY_STATE_DESTROYED, SHELF_NOW_MS + 3)));
    (void)shelf_store(&shelf, ring);
    cr_assert_eq(renew(NEW_ROOT), WHY_NONE);
    cr_assert_eq(shelf_store(&shelf, ring), 3, "of three KEKs the destroyed one has no key");

    struct keyring *again = shelf_ring_of("test", NEW_ROOT);
    cr_assert_eq(shelf_load_into(&shelf, again, SHELF_NOW_MS), WHY_NONE);
    cr_expect_eq(shelf_info(again, compromised).state, KEY_STATE_COMPROMISED);
    cr_expect_eq(shelf_info(again, destroyed).state, KEY_STATE_DESTROYED);
    taste(again, id, after);
    cr_expect_arr_eq(after, before, 32);
    keyring_free(&again);
}

Test(keyring_root, may_change_while_changes_wait_and_again_after)
{
    uint64_t first = shelf_use(ring, "a", KEY_PURPOSE_CARD, SHELF_NOW_MS);
    cr_assert_eq(renew(NEW_ROOT), WHY_NONE);
    uint64_t second = shelf_use(ring, "b", KEY_PURPOSE_CARD, SHELF_NOW_MS);
    cr_assert_eq(renew(NEW_ROOT + 1), WHY_NONE);
    (void)shelf_store(&shelf, ring);
    cr_expect_eq(why_under(OLD_ROOT), WHY_FORGED);
    cr_expect_eq(why_under(NEW_ROOT), WHY_FORGED);
    cr_expect_eq(why_under(NEW_ROOT + 1), WHY_NONE);
    cr_expect_eq(shelf_kdf_why(ring, first, true), WHY_NONE);
    cr_expect_eq(shelf_kdf_why(ring, second, true), WHY_NONE);
}

/* As with any change: what was taken and not stored comes again. */
Test(keyring_root, comes_again_where_its_batch_was_lost)
{
    static struct shelf lost;

    (void)shelf_use(ring, "a", KEY_PURPOSE_CARD, SHELF_NOW_MS);
    (void)shelf_store(&shelf, ring);
    keyring_stored(ring);
    cr_assert_eq(renew(NEW_ROOT), WHY_NONE);
    cr_assert_eq(shelf_store(&lost, ring), 2);
    cr_assert_eq(why_under(OLD_ROOT), WHY_NONE, "nothing of it was stored");
    keyring_untake(ring);
    cr_assert_eq(shelf_store(&shelf, ring), 2);
    cr_expect_eq(why_under(OLD_ROOT), WHY_FORGED);
    cr_expect_eq(why_under(NEW_ROOT), WHY_NONE);
}

Test(keyring_root, counts_as_new_only_when_it_is_another)
{
    struct secret *narrow = NULL;

    (void)shelf_use(ring, "a", KEY_PURPOSE_CARD, SHELF_NOW_MS);
    (void)shelf_store(&shelf, ring);
    keyring_stored(ring);
    cr_expect_eq(renew(OLD_ROOT), WHY_BAD_INPUT);
    cr_assert(!failed(secret_new_key(16, &narrow)));
    cr_expect_eq(keyring_root_renew(ring, narrow).why, WHY_BAD_INPUT);
    secret_free(&narrow);
    cr_expect_eq(shelf_store(&shelf, ring), 0, "a refused root changes nothing");
    cr_expect_eq(why_under(OLD_ROOT), WHY_NONE);
}

Test(keyring_root, renewed_in_an_empty_ring_leaves_nothing_to_store)
{
    cr_assert_eq(renew(NEW_ROOT), WHY_NONE);
    cr_assert_eq(shelf_store(&shelf, ring), 0);
    (void)shelf_use(ring, "a", KEY_PURPOSE_CARD, SHELF_NOW_MS);
    (void)shelf_store(&shelf, ring);
    cr_expect_eq(why_under(NEW_ROOT), WHY_NONE);
}

/* More keys than a page has: the MACs of all pages are made anew. */
Test(keyring_root, renews_the_manifest_over_every_page)
{
    keyring_limits_for_test(ring, (struct keyring_limits){.uses_max = 1, .opened_max = 4});
    for (unsigned i = 0; i < 600; i++)
        (void)shelf_use(ring, "shop", KEY_PURPOSE_CARD, SHELF_NOW_MS);
    (void)shelf_store(&shelf, ring);
    keyring_stored(ring);
    cr_assert_eq(renew(NEW_ROOT), WHY_NONE);
    cr_assert_eq(shelf_store(&shelf, ring), 2, "one KEK and the manifest");
    cr_expect_eq(why_under(NEW_ROOT), WHY_NONE);
}

Test(keyring_root, stays_where_a_row_does_not_open_under_it)
{
    uint64_t id = shelf_use(ring, "shop", KEY_PURPOSE_CARD, SHELF_NOW_MS);
    (void)shelf_use(ring, "zoo", KEY_PURPOSE_CARD, SHELF_NOW_MS);
    (void)shelf_store(&shelf, ring);
    keyring_stored(ring);
    uint64_t last =
        shelf_info(ring, shelf_use(ring, "zoo", KEY_PURPOSE_CARD, SHELF_NOW_MS)).parent_id;
    keyring_entry_find(ring, last)->sealed[100] ^= 1;
    cr_expect_eq(renew(NEW_ROOT), WHY_FORGED);
    cr_expect_eq(shelf_store(&shelf, ring), 0);
    cr_expect_eq(shelf_kdf_why(ring, id, true), WHY_NONE);
    cr_expect_eq(why_under(OLD_ROOT), WHY_NONE);
}
