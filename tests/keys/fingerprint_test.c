/* SPDX-License-Identifier: Apache-2.0 */
#include "keys/fingerprint.h"

#include <string.h>

#include "keys/keyring_parts.h"
#include "tests/keys/shelf.h"

static const char visa[] = "4242424242424242"; /* Published test numbers. */
static const char other[] = "4111111111111111";

static struct keyring *ring;

static void open_ring(void)
{
    ring = shelf_ring();
}

static void close_ring(void)
{
    keyring_free(&ring);
}

TestSuite(fingerprint, .init = open_ring, .fini = close_ring);

static enum why make(const char *tenant, const char *digits, uint8_t out[32])
{
    struct secret *pan = NULL;

    cr_assert(!failed(secret_new_key(strlen(digits), &pan)));
    memcpy(secret_bytes(pan), digits, strlen(digits));
    enum why why = fingerprint_make(ring, tenant, pan, SHELF_NOW_MS, out).why;
    secret_free(&pan);
    return why;
}

static void index_make(const char *label, const char *text, uint8_t out[32])
{
    cr_assert(!failed(fingerprint_index(ring, label, text, strlen(text), SHELF_NOW_MS, out)));
}

Test(fingerprint, is_the_same_for_the_same_card_and_tenant_alone)
{
    uint8_t first[32];
    uint8_t again[32];

    cr_assert_eq(make("shop", visa, first), WHY_NONE);
    cr_assert_eq(make("shop", visa, again), WHY_NONE);
    cr_expect_arr_eq(first, again, 32);
    cr_assert_eq(make("shop", other, again), WHY_NONE);
    cr_expect_arr_neq(first, again, 32);
    cr_assert_eq(make("shop2", visa, again), WHY_NONE);
    cr_expect_arr_neq(first, again, 32);
}

Test(fingerprint, is_the_same_after_a_restart)
{
    static struct shelf shelf;
    uint8_t first[32];
    uint8_t again[32];

    cr_assert_eq(make("shop", visa, first), WHY_NONE);
    cr_assert_eq(shelf_store(&shelf, ring), 3, "its key waits to be stored");
    keyring_free(&ring);
    ring = shelf_restart(&shelf, SHELF_NOW_MS + 1000);
    cr_assert_eq(make("shop", visa, again), WHY_NONE);
    cr_assert_arr_eq(first, again, 32);
}

Test(fingerprint, is_that_of_the_whole_number)
{
    uint8_t whole[32];
    uint8_t changed[32];
    char digits[sizeof visa];

    cr_assert_eq(make("shop", visa, whole), WHY_NONE);
    for (unsigned i = 0; i < sizeof visa - 1; i++) {
        memcpy(digits, visa, sizeof visa);
        digits[i] = digits[i] == '9' ? '0' : (char)(digits[i] + 1);
        cr_assert_eq(make("shop", digits, changed), WHY_NONE);
        cr_expect_arr_neq(whole, changed, 32, "digit %u", i);
    }
}

Test(fingerprint, is_not_made_of_a_part_of_a_number)
{
    uint8_t out[32];

    cr_expect_eq(make("shop", "4242", out), WHY_BAD_INPUT);
    cr_expect_eq(make("shop", "42424242424", out), WHY_BAD_INPUT);
    cr_expect_eq(make("shop", "42424242424242424242", out), WHY_BAD_INPUT);
}

Test(fingerprint, has_keys_of_its_own)
{
    struct key_info info;
    uint8_t out[32];

    cr_assert_eq(make("shop", visa, out), WHY_NONE);
    index_make("token", "text", out);
    for (unsigned i = 0; keyring_info_at(ring, i, &info); i++)
        cr_expect(info.purpose == KEY_PURPOSE_FINGERPRINT || info.purpose == KEY_PURPOSE_INDEX);
}

/* Who seals a row has no clock: its key is no older than its ring. */
Test(fingerprint, of_the_index_needs_no_clock)
{
    struct key_info info;
    uint8_t out[32];

    cr_assert(!failed(fingerprint_index(ring, "row", "text", 4, 0, out)));
    for (unsigned i = 0; keyring_info_at(ring, i, &info); i++)
        cr_expect_eq(info.created_ms, SHELF_NOW_MS);
}

Test(fingerprint, of_the_index_differs_by_label_and_by_where_the_label_ends)
{
    uint8_t a[32];
    uint8_t b[32];

    index_make("token", "text", a);
    index_make("token", "text", b);
    cr_expect_arr_eq(a, b, 32);
    index_make("row", "text", b);
    cr_expect_arr_neq(a, b, 32);
    index_make("toke", "ntext", b);
    cr_expect_arr_neq(a, b, 32);
    index_make("token", "", b);
    cr_expect_arr_neq(a, b, 32);
}

/* KEY-3: the very same keys, already unwrapped, in a ring of another environment. */
Test(fingerprint, differs_by_environment)
{
    uint8_t here[2][32];
    uint8_t there[2][32];

    cr_assert_eq(make("shop", visa, here[0]), WHY_NONE);
    index_make("token", "text", here[1]);
    memcpy(ring->environment, "live", 5);
    cr_assert_eq(make("shop", visa, there[0]), WHY_NONE);
    index_make("token", "text", there[1]);
    cr_expect_arr_neq(here[0], there[0], 32);
    cr_expect_arr_neq(here[1], there[1], 32);
}

static enum why make_former(uint64_t key_id, const char *tenant, uint8_t out[32])
{
    struct secret *pan = NULL;

    cr_assert(!failed(secret_new_key(strlen(visa), &pan)));
    memcpy(secret_bytes(pan), visa, strlen(visa));
    enum why why = fingerprint_make_former(ring, key_id, tenant, pan, out).why;
    secret_free(&pan);
    return why;
}

/* For dual look-up: what the old key said of a card can be asked until the key is destroyed. */
Test(fingerprint, under_a_former_key_is_what_it_was)
{
    struct keyring_rotation rotation = {0};
    uint8_t before[32];
    uint8_t after[32];

    cr_assert_eq(make("shop", visa, before), WHY_NONE);
    cr_assert(!failed(keyring_rotate(ring, "shop", KEY_PURPOSE_FINGERPRINT, KEY_LEVEL_DEK,
                                     SHELF_NOW_MS, &rotation)));
    cr_assert_eq(make("shop", visa, after), WHY_NONE);
    cr_expect_arr_neq(before, after, 32);
    cr_assert_eq(make_former(rotation.old_id, "shop", after), WHY_NONE);
    cr_expect_arr_eq(before, after, 32);
    cr_expect_eq(make_former(rotation.old_id, "zoo", after), WHY_BAD_INPUT);
    cr_expect_eq(
        make_former(shelf_use(ring, "shop", KEY_PURPOSE_CARD, SHELF_NOW_MS), "shop", after),
        WHY_BAD_INPUT);
    cr_expect_eq(make_former(99, "shop", after), WHY_NOT_FOUND);
    for (enum key_state state = KEY_STATE_COMPROMISED; state <= KEY_STATE_DESTROYED; state++) {
        memset(after, 0, sizeof after);
        cr_assert(!failed(keyring_change_state(ring, rotation.old_id, state, SHELF_NOW_MS)));
        if (state == KEY_STATE_COMPROMISED) {
            cr_assert_eq(make_former(rotation.old_id, "shop", after), WHY_NONE);
            cr_expect_arr_eq(before, after, 32);
        } else
            cr_expect_eq(make_former(rotation.old_id, "shop", after), WHY_DENIED);
    }
}
