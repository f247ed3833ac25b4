/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/verify_table.h"

#include <criterion/criterion.h>
#include <stdbool.h>
#include <string.h>

struct thing {
    uint8_t key[VERIFY_TABLE_KEY_BYTES];
    unsigned value;
};

/* All that are alike modulo 8 have one home, so that they push one another away from it. */
static struct thing thing_of(unsigned number)
{
    struct thing thing = {.value = number};
    thing.key[0] = (uint8_t)(number % 8);
    memcpy(thing.key + 8, &number, sizeof number);
    return thing;
}

static bool has(const struct verify_table *table, unsigned number)
{
    struct thing wanted = thing_of(number);
    const struct thing *found = verify_table_find(table, wanted.key);
    return found != NULL && found->value == number;
}

Test(verify_table, keeps_what_was_put_and_forgets_what_was_dropped)
{
    struct verify_table table = VERIFY_TABLE(struct thing, 1000);
    cr_expect_not(has(&table, 1));
    for (unsigned i = 0; i < 500; i++) {
        struct thing thing = thing_of(i);
        cr_assert(!failed(verify_table_put(&table, &thing)));
    }
    for (unsigned i = 0; i < 500; i += 3) {
        struct thing thing = thing_of(i);
        verify_table_drop(&table, thing.key);
        verify_table_drop(&table, thing.key);
        for (unsigned j = 0; j < 500; j++)
            cr_expect_eq(has(&table, j), j > i || j % 3 != 0, "%u after %u", j, i);
    }
    size_t seen = 0;
    for (size_t i = 0; i < table.capacity; i++)
        seen += verify_table_at(&table, i) != NULL;
    cr_expect_eq(seen, 333);
    cr_expect_eq(table.count, 333);
    verify_table_free(&table);
    cr_expect_eq(table.count, 0);
}

Test(verify_table, refuses_what_passes_its_bound_and_replaces_what_is_there)
{
    struct verify_table table = VERIFY_TABLE(struct thing, 2);
    struct thing one = thing_of(1);
    struct thing two = thing_of(2);
    struct thing three = thing_of(3);
    cr_assert(!failed(verify_table_put(&table, &one)));
    cr_assert(!failed(verify_table_put(&table, &two)));
    cr_expect_eq(verify_table_put(&table, &three).why, WHY_LIMIT);
    cr_expect_not(has(&table, 3));
    one.value = 7;
    cr_assert(!failed(verify_table_put(&table, &one)));
    const struct thing *found = verify_table_find(&table, one.key);
    cr_assert_not_null(found);
    cr_expect_eq(found->value, 7);
    cr_expect(has(&table, 2));
    verify_table_free(&table);
}
