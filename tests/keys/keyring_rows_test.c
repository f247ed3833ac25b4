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

TestSuite(keyring_rows, .init = open_ring, .fini = close_ring);

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

Test(keyring_rows, does_not_load_two_rows_that_changed_places)
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

Test(keyring_rows, does_not_load_a_set_with_a_row_less_or_more)
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

Test(keyring_rows, does_not_load_one_row_of_an_earlier_time)
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

Test(keyring_rows, does_not_load_with_any_one_byte_changed)
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

Test(keyring_rows, does_not_load_rows_cut_short_or_made_longer)
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

Test(keyring_rows, does_not_load_under_another_root_or_environment)
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
Test(keyring_rows, does_not_unwrap_a_key_whose_attributes_were_changed)
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

Test(keyring_rows, refuses_two_manifests)
{
    uint8_t row[8] = {0};
    struct keyring *fresh = shelf_ring_of("test", 7);

    cr_assert(!failed(keyring_load(fresh, 0, row, sizeof row)));
    cr_assert(!failed(keyring_load(fresh, 0, row, sizeof row)));
    cr_assert_eq(keyring_loaded(fresh, SHELF_NOW_MS).why, WHY_FORGED);
    keyring_free(&fresh);
}

Test(keyring_rows, loads_more_than_one_page_of_rows)
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

Test(keyring_rows, counts_its_manifests_over_restarts)
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

Test(keyring_rows, refuses_an_environment_without_a_name)
{
    struct secret *root = shelf_root(1);
    struct keyring *none = NULL;

    cr_assert_eq(keyring_new(root, "", &none).why, WHY_BAD_INPUT);
    cr_assert(none == NULL);
    secret_free(&root);
}

Test(keyring_rows, refuses_a_root_under_256_bits)
{
    struct secret *root = NULL;
    struct keyring *none = NULL;

    cr_assert(!failed(secret_new_key(16, &root)));
    cr_assert_eq(keyring_new(root, "test", &none).why, WHY_BAD_INPUT);
    secret_free(&root);
}

Test(keyring_rows, names_every_purpose_and_state)
{
    for (enum key_purpose p = KEY_PURPOSE_CARD; p < KEY_PURPOSE_COUNT; p++)
        cr_expect_str_neq(key_purpose_name(p), "unknown");
    for (enum key_state s = KEY_STATE_PRE_ACTIVE; s <= KEY_STATE_DESTROYED; s++)
        cr_expect_str_neq(key_state_name(s), "unknown");
    cr_expect_str_eq(key_purpose_name(KEY_PURPOSE_COUNT), "unknown");
    cr_expect_str_eq(keyring_environment(ring), "test");
}
