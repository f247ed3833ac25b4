/* SPDX-License-Identifier: Apache-2.0 */
#include "base/db_purge.h"

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>

#include "base/encode.h"
#include "base/markers.h"
#include "tests/base/db_kit.h"

#define ROW_COUNT 600u
#define EVERY     (1u << ROWS | 1u << INDEX)

/* A row's key and value are markers of their own: random, and twice as long as one. */
struct row {
    uint8_t key[MARKERS_BYTES];
    uint8_t value[2 * MARKERS_BYTES];
};

static struct row rows[FAMILY_COUNT][ROW_COUNT];
static struct db *db;
static int64_t patience_ms = 60000;

static void write_rows(unsigned from, unsigned to, bool remove)
{
    OWNED(db_batch_free) struct db_batch *batch = NULL;
    cr_assert(!failed(db_batch_new(&batch)));
    for (unsigned family = 0; family < FAMILY_COUNT; family++)
        for (unsigned i = from; i < to; i++) {
            struct row *row = &rows[family][i];
            if (remove)
                db_batch_delete(batch, db, family, row->key, sizeof row->key);
            else
                db_batch_put(batch, db, family, row->key, sizeof row->key, row->value,
                             sizeof row->value);
        }
    cr_assert(!failed(db_commit(db, batch)));
}

static void prepare(void)
{
    make_folder();
    db = open_store();
    random_bytes(rows, sizeof rows);
}

static void finish(void)
{
    db_close(&db);
    drop_folder();
}

TestSuite(db_purge, .init = prepare, .fini = finish, .timeout = 120);

/* How many markers of these rows the store's files hold.  Values are there as they are; a table
 * leaves out the bytes that a key shares with the one before it, so that of random keys a log has
 * all and a table many. */
static unsigned seen(unsigned from, unsigned to, bool keys)
{
    OWNED(markers_free) struct markers *markers = NULL;
    struct markers_found found = {0};
    cr_assert(!failed(markers_new(&markers)));
    for (unsigned family = 0; family < FAMILY_COUNT; family++)
        for (unsigned i = from; i < to; i++) {
            const struct row *row = &rows[family][i];
            cr_assert(!failed(markers_add(markers, keys ? row->key : row->value)));
        }
    cr_assert(!failed(markers_scan(markers, store, &found)));
    return found.markers;
}

static enum why purge(unsigned which, struct db_purge *out)
{
    struct db_purge_want want = {.families = which, .patience_ms = patience_ms};
    return db_purge(db, &want, out, reason, sizeof reason).why;
}

Test(db_purge, leaves_no_byte_of_deleted_rows_and_every_byte_of_the_others)
{
    struct db_purge done = {0};
    const unsigned all = FAMILY_COUNT * ROW_COUNT / 2;
    write_rows(0, ROW_COUNT, false);
    write_rows(0, ROW_COUNT / 2, true);
    cr_expect_eq(seen(0, ROW_COUNT / 2, false), all, "a deletion alone takes nothing away");
    cr_assert_eq(purge(EVERY, &done), WHY_NONE, "%s", reason);
    cr_expect_eq(seen(0, ROW_COUNT / 2, false), 0, "values");
    cr_expect_eq(seen(0, ROW_COUNT / 2, true), 0, "keys");
    /* Of the others no value is missing, so that the search is known to see. */
    cr_expect_eq(seen(ROW_COUNT / 2, ROW_COUNT, false), all);
    cr_expect_gt(seen(ROW_COUNT / 2, ROW_COUNT, true), 0);
    cr_expect_geq(done.tables, 2);
    cr_expect_geq(done.logs, 1);
    cr_expect_eq(done.manifests, 1);
}

Test(db_purge, reaches_rows_that_lie_at_the_bottom_since_long)
{
    struct db_purge done = {0};
    write_rows(0, ROW_COUNT, false);
    cr_assert_eq(purge(EVERY, &done), WHY_NONE, "%s", reason);
    db_close(&db); /* Another start, another log, another manifest. */
    db = open_store();
    write_rows(0, ROW_COUNT / 2, true);
    cr_assert_eq(purge(EVERY, &done), WHY_NONE, "%s", reason);
    cr_expect_eq(seen(0, ROW_COUNT / 2, false), 0);
    cr_expect_eq(seen(0, ROW_COUNT / 2, true), 0);
    cr_expect_eq(seen(ROW_COUNT / 2, ROW_COUNT, false), FAMILY_COUNT * ROW_COUNT / 2);
}

Test(db_purge, takes_what_was_written_over_too)
{
    struct db_purge done = {0};
    static struct row old[FAMILY_COUNT][ROW_COUNT];
    write_rows(0, ROW_COUNT, false);
    memcpy(old, rows, sizeof old);
    for (unsigned family = 0; family < FAMILY_COUNT; family++)
        for (unsigned i = 0; i < ROW_COUNT; i++)
            random_bytes(rows[family][i].value, sizeof rows[family][i].value);
    write_rows(0, ROW_COUNT, false);
    cr_assert_eq(purge(EVERY, &done), WHY_NONE, "%s", reason);
    cr_expect_eq(seen(0, ROW_COUNT, false), FAMILY_COUNT * ROW_COUNT);
    memcpy(rows, old, sizeof rows);
    cr_expect_eq(seen(0, ROW_COUNT, false), 0);
}

Test(db_purge, leaves_the_families_that_it_was_not_told_of)
{
    struct db_purge done = {0};
    write_rows(0, ROW_COUNT, false);
    cr_assert_eq(purge(EVERY, &done), WHY_NONE);
    write_rows(0, ROW_COUNT, true);
    cr_assert_eq(purge(1u << ROWS, &done), WHY_NONE, "%s", reason);
    cr_expect_eq(seen(0, ROW_COUNT, false), ROW_COUNT, "the other family's");
}

Test(db_purge, says_who_keeps_it_from_ending_and_ends_when_asked_again)
{
    struct db_purge done = {0};
    OWNED(db_iterator_free) struct db_iterator *walk = NULL;
    write_rows(0, ROW_COUNT, false);
    cr_assert_eq(purge(EVERY, &done), WHY_NONE);
    write_rows(0, ROW_COUNT, true);
    cr_assert(!failed(db_iterate(db, ROWS, NULL, 0, &walk)));
    patience_ms = 300;
    cr_expect_eq(purge(EVERY, &done), WHY_BUSY);
    cr_expect_not_null(strstr(reason, "is still there"), "%s", reason);
    db_iterator_free(&walk);
    patience_ms = 60000;
    cr_assert_eq(purge(EVERY, &done), WHY_NONE, "%s", reason);
    cr_expect_eq(seen(0, ROW_COUNT, false), 0);
}

static atomic_bool writing;

static void *write_on(void *owner)
{
    unsigned *count = owner;
    for (; atomic_load(&writing); (*count)++) {
        char key[32];
        snprintf(key, sizeof key, "key-%08u", *count);
        cr_assert_eq(store_row(db, *count % 2 == 0 ? ROWS : INDEX, key, "beside"), WHY_NONE);
    }
    return NULL;
}

Test(db_purge, works_beside_a_writer_of_whose_rows_none_is_lost)
{
    struct db_purge done = {0};
    pthread_t writer;
    unsigned count = 0;
    write_rows(0, ROW_COUNT, false);
    write_rows(0, ROW_COUNT, true);
    atomic_store(&writing, true);
    cr_assert_eq(pthread_create(&writer, NULL, write_on, &count), 0);
    enum why why = purge(EVERY, &done);
    atomic_store(&writing, false);
    cr_assert_eq(pthread_join(writer, NULL), 0);
    cr_assert_eq(why, WHY_NONE, "%s", reason);
    cr_expect_eq(seen(0, ROW_COUNT, false), 0);
    cr_expect_gt(count, 0);
    for (unsigned i = 0; i < count; i++) {
        char key[32];
        snprintf(key, sizeof key, "key-%08u", i);
        expect_row(db, i % 2 == 0 ? ROWS : INDEX, key, "beside");
    }
}

Test(db_purge, does_not_say_done_where_the_disk_takes_nothing_more)
{
    struct db_purge done = {0};
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    struct rlimit limit;
    write_rows(0, ROW_COUNT, false);
    write_rows(0, ROW_COUNT / 2, true);
    cr_assert_eq(sigaction(SIGXFSZ, &ignore, NULL), 0);
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = 2048;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    cr_expect_eq(purge(EVERY, &done), WHY_IO);
    cr_expect_str_neq(reason, "");
    limit.rlim_cur = limit.rlim_max;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
}
