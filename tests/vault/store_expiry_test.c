/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/store_expiry.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/own.h"
#include "tests/vault/rows.h"

static struct store_expiry_due found[8];
static unsigned count;

TestSuite(store_expiry, .init = rows_open, .fini = rows_close);

static void key_of(unsigned number, uint8_t out[static STORE_KEY_BYTES])
{
    memset(out, (int)number, STORE_KEY_BYTES);
}

static void put(unsigned number, int64_t due_ms)
{
    uint8_t key[STORE_KEY_BYTES];

    key_of(number, key);
    store_expiry_put(&store, batch, due_ms, key);
}

/* The tokens that are due, by their numbers as text. */
static const char *due(int64_t now_ms, unsigned room)
{
    static char text[64];

    text[0] = '\0';
    cr_assert(!failed(store_expiry_find(&store, now_ms, found, room, &count)));
    for (unsigned i = 0; i < count; i++)
        (void)snprintf(text + strlen(text), sizeof text - strlen(text), "%u ", found[i].key[0]);
    return text;
}

Test(store_expiry, gives_what_is_due_the_oldest_first_and_no_more_than_asked_for)
{
    put(3, 300);
    put(1, 100);
    put(2, 200);
    cr_expect_str_eq(due(1000, 8), "", "not before the commit");
    rows_commit();
    cr_expect_str_eq(due(99, 8), "");
    cr_expect_str_eq(due(100, 8), "1 ");
    cr_expect_eq(found[0].due_ms, 100);
    cr_expect_str_eq(due(299, 8), "1 2 ");
    cr_expect_str_eq(due(1000, 8), "1 2 3 ");
    cr_expect_str_eq(due(1000, 2), "1 2 ");
}

Test(store_expiry, forgets_what_was_taken_back)
{
    uint8_t key[STORE_KEY_BYTES];

    put(1, 100);
    put(2, 100);
    put(4, 0);
    rows_commit();
    key_of(1, key);
    store_expiry_delete(&store, batch, 99, key);
    rows_commit();
    cr_expect_str_eq(due(100, 8), "1 2 ", "of another time, so another row");
    store_expiry_delete(&store, batch, 100, key);
    rows_commit();
    cr_expect_str_eq(due(100, 8), "2 ", "and none was made for the time 0");
}

Test(store_expiry, is_not_swept_with_what_goes_without_a_word)
{
    unsigned swept = 0;

    put(1, 100);
    store_put_expiry(&store, batch, 100, STORE_LEASES, "sixteen bytes ..", 16);
    rows_commit();
    cr_assert(!failed(store_sweep(&store, batch, INT64_MAX, 8, &swept)));
    cr_expect_eq(swept, 1);
    rows_commit();
    cr_expect_str_eq(due(100, 8), "1 ");
}

Test(store_expiry, refuses_a_row_that_is_none)
{
    static const struct {
        uint8_t family;
        size_t size;
    } rows[] = {{STORE_RECORDS, 25}, {STORE_TOKENS, 24}, {STORE_TOKENS, 26}};

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint8_t row[26] = {0x80, [8] = rows[i].family};
        db_batch_put(batch, db, STORE_EXPIRIES, row, rows[i].size, "", 0);
        rows_commit();
        cr_expect_eq(store_expiry_find(&store, 1000, found, 8, &count).why, WHY_FORGED, "%zu", i);
        db_batch_delete(batch, db, STORE_EXPIRIES, row, rows[i].size);
        rows_commit();
    }
}

Test(store_expiry, keeps_marks_that_nobody_else_can_write)
{
    struct buffer row OWNED(buffer_free) = BUFFER(64);
    uint64_t mark = 0;

    cr_expect_eq(store_get_mark(&store, "records", &mark).why, WHY_NOT_FOUND);
    cr_assert(!failed(store_put_mark(&store, batch, "records", 7)));
    cr_assert(!failed(store_get_mark(&store, "records", &mark)));
    rows_commit();
    cr_assert(!failed(store_get_mark(&store, "records", &mark)));
    cr_expect_eq(mark, 7);
    cr_assert(!failed(db_get(db, STORE_META, "records", 7, &row)));
    for (size_t i = 0; i < row.size; i++) {
        row.bytes[i] ^= 1;
        db_batch_put(batch, db, STORE_META, "records", 7, row.bytes, row.size);
        rows_commit();
        cr_expect_eq(store_get_mark(&store, "records", &mark).why, WHY_FORGED, "byte %zu", i);
        row.bytes[i] ^= 1;
    }
    db_batch_put(batch, db, STORE_META, "unpurged", 8, row.bytes, row.size);
    rows_commit();
    cr_expect_eq(store_get_mark(&store, "unpurged", &mark).why, WHY_FORGED, "another's row");
}
