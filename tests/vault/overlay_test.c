/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/overlay.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static struct overlay turn;

static void open_turn(void)
{
    cr_assert(!failed(overlay_open(&turn)));
}

static void close_turn(void)
{
    overlay_close(&turn);
}

TestSuite(overlay, .init = open_turn, .fini = close_turn);

static enum why put(uint8_t family, const char *key, const char *value)
{
    return overlay_put(&turn, family, key, strlen(key), value, value == NULL ? 0 : strlen(value))
        .why;
}

/* "-" where nothing is known of the key in this turn, NULL where it was deleted. */
static const char *get(uint8_t family, const char *key)
{
    static char text[64];
    const uint8_t *value = NULL;
    size_t size = 0;

    struct status status = overlay_get(&turn, family, key, strlen(key), &value, &size);
    if (failed(status)) {
        cr_expect_eq(status.why, WHY_NOT_FOUND);
        return "-";
    }
    if (value == NULL)
        return NULL;
    (void)snprintf(text, sizeof text, "%.*s", (int)size, (const char *)value);
    return text;
}

Test(overlay, gives_the_newest_value_of_a_key)
{
    cr_expect_str_eq(get(1, "a"), "-");
    cr_assert_eq(put(1, "a", "one"), WHY_NONE);
    cr_assert_eq(put(1, "b", "two"), WHY_NONE);
    cr_expect_str_eq(get(1, "a"), "one");
    cr_assert_eq(put(1, "a", "three"), WHY_NONE);
    cr_expect_str_eq(get(1, "a"), "three");
    cr_expect_str_eq(get(1, "b"), "two");
}

Test(overlay, tells_a_deleted_row_from_one_it_does_not_know_and_from_an_empty_one)
{
    cr_assert_eq(put(1, "a", "one"), WHY_NONE);
    cr_assert_eq(put(1, "a", NULL), WHY_NONE);
    cr_expect_null(get(1, "a"));
    cr_assert_eq(put(1, "a", ""), WHY_NONE);
    cr_expect_str_eq(get(1, "a"), "");
    cr_expect_str_eq(get(1, "b"), "-");
}

Test(overlay, keeps_families_and_keys_that_begin_alike_apart)
{
    cr_assert_eq(put(1, "ab", "one"), WHY_NONE);
    cr_expect_str_eq(get(2, "ab"), "-");
    cr_expect_str_eq(get(1, "a"), "-");
    cr_expect_str_eq(get(1, "abc"), "-");
    cr_assert_eq(put(2, "ab", "two"), WHY_NONE);
    cr_expect_str_eq(get(1, "ab"), "one");
    cr_expect_str_eq(get(2, "ab"), "two");
}

Test(overlay, copies_what_it_is_given)
{
    char key[] = "key";
    char value[] = "value";

    cr_assert(!failed(overlay_put(&turn, 1, key, 3, value, 5)));
    memset(key, 'x', 3);
    memset(value, 'x', 5);
    cr_expect_str_eq(get(1, "key"), "value");
}

Test(overlay, takes_back_what_came_after_a_mark)
{
    cr_assert_eq(put(1, "a", "one"), WHY_NONE);
    cr_assert_eq(put(1, "b", "two"), WHY_NONE);
    uint32_t mark = turn.count;
    cr_assert_eq(put(1, "a", "three"), WHY_NONE);
    cr_assert_eq(put(1, "b", NULL), WHY_NONE);
    cr_assert_eq(put(1, "c", "four"), WHY_NONE);
    overlay_rewind(&turn, mark);
    cr_expect_str_eq(get(1, "a"), "one");
    cr_expect_str_eq(get(1, "b"), "two");
    cr_expect_str_eq(get(1, "c"), "-");
    cr_assert_eq(put(1, "c", "five"), WHY_NONE);
    cr_expect_str_eq(get(1, "c"), "five");
}

Test(overlay, wipes_what_it_takes_back)
{
    cr_assert_eq(put(1, "a", "kept"), WHY_NONE);
    cr_assert_eq(put(1, "b", "taken back"), WHY_NONE);
    overlay_rewind(&turn, 1);
    cr_assert_eq(turn.bytes.size, 5u);
    for (size_t i = 5; i < 5 + sizeof "taken back"; i++)
        cr_expect_eq(turn.bytes.bytes[i], 0);
    overlay_rewind(&turn, 0);
    cr_expect_eq(turn.bytes.size, 0u);
    for (size_t i = 0; i < 5; i++)
        cr_expect_eq(turn.bytes.bytes[i], 0);
    cr_expect_str_eq(get(1, "a"), "-");
}

/* One request that is too large must not fail those that share its turn. */
Test(overlay, takes_rows_again_once_the_one_that_was_too_large_is_taken_back)
{
    turn.bytes.bytes_max = 32;
    cr_assert_eq(put(1, "a", "one"), WHY_NONE);
    cr_expect_eq(put(1, "b", "far more than thirty-two bytes of it"), WHY_LIMIT);
    cr_expect_str_eq(get(1, "a"), "one");
    cr_expect_str_eq(get(1, "b"), "-");
    overlay_rewind(&turn, 1);
    cr_expect_eq(put(1, "b", "two"), WHY_NONE);
    cr_expect_str_eq(get(1, "a"), "one");
    cr_expect_str_eq(get(1, "b"), "two");
}

Test(overlay, finds_each_of_many_rows)
{
    char key[16];
    char value[16];

    for (unsigned i = 0; i < 40000; i++) { /* More than it has buckets. */
        (void)snprintf(key, sizeof key, "%u", i);
        (void)snprintf(value, sizeof value, "v%u", i);
        cr_assert_eq(put((uint8_t)(i % 3), key, value), WHY_NONE);
    }
    for (unsigned i = 0; i < 40000; i++) {
        (void)snprintf(key, sizeof key, "%u", i);
        (void)snprintf(value, sizeof value, "v%u", i);
        cr_assert_str_eq(get((uint8_t)(i % 3), key), value);
    }
    overlay_rewind(&turn, 20000);
    cr_expect_str_eq(get(19999 % 3, "19999"), "v19999");
    cr_expect_str_eq(get(20000 % 3, "20000"), "-");
}

Test(overlay, of_too_many_rows_is_busy_and_keeps_what_it_has)
{
    enum why why = WHY_NONE;
    uint32_t count = 0;

    for (; why == WHY_NONE && count < (2u << 20); count++)
        why = overlay_put(&turn, 1, &count, sizeof count, "v", 1).why;
    cr_expect_eq(why, WHY_BUSY);
    cr_expect_eq(count - 1, turn.count, "the one that was too many is not in it");
    overlay_rewind(&turn, 10);
    cr_expect_eq(put(1, "a", "one"), WHY_NONE, "what is taken back makes room");
    cr_expect_str_eq(get(1, "a"), "one");
}
