/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>

#include "tests/base/db_kit.h"

TestSuite(db, .init = make_folder, .fini = drop_folder);

Test(db, keeps_what_was_committed_across_a_restart)
{
    struct db *db = open_store();
    OWNED(db_batch_free) struct db_batch *batch = NULL;
    cr_assert(!failed(db_batch_new(&batch)));
    put(db, batch, ROWS, "one", "first");
    put(db, batch, INDEX, "0123456789", "second");
    cr_assert(!failed(db_commit(db, batch)));
    cr_expect_eq(db_batch_count(batch), 2, "the batch is as it was");
    db_close(&db);
    cr_expect_null(db);
    for (int round = 0; round < 2; round++) { /* From the log, then from the table file. */
        db = open_store();
        expect_row(db, ROWS, "one", "first");
        expect_row(db, INDEX, "0123456789", "second");
        expect_row(db, ROWS, "0123456789", NULL);
        cr_expect_str_eq(db_trouble(db), "");
        db_close(&db);
    }
}

Test(db, makes_its_folder_for_its_user_alone)
{
    struct db *db = open_store();
    struct stat info;
    cr_assert_eq(stat(store, &info), 0);
    cr_expect_eq(info.st_mode & 0777, 0700);
    db_close(&db);
}

/* RocksDB asserts on a full disk in the midst of its text log (see db_tune.c). */
Test(db, writes_no_text_log)
{
    struct db *db = open_store();
    cr_assert_eq(store_row(db, ROWS, "a", "1"), WHY_NONE);
    db_close(&db);
    char path[128];
    struct stat info;
    snprintf(path, sizeof path, "%s/LOG", store);
    cr_assert_eq(stat(path, &info), 0);
    cr_expect_eq(info.st_size, 0);
}

Test(db, makes_no_store_unless_asked_to)
{
    struct db *db = NULL;
    cr_expect_eq(open_with(options_of(false), &db), WHY_NOT_FOUND);
    cr_expect_null(db);
    cr_expect_not_null(strstr(reason, "no store"));
    struct stat info;
    cr_expect_neq(stat(store, &info), 0);
}

Test(db, opens_once_at_a_time)
{
    struct db *db = open_store();
    struct db *other = NULL;
    cr_expect_eq(open_with(options_of(true), &other), WHY_BUSY, "%s", reason);
    cr_expect_null(other);
    db_close(&db);
}

Test(db, is_read_beside_its_writer_but_not_written)
{
    struct db *db = open_store();
    cr_assert_eq(store_row(db, ROWS, "a", "1"), WHY_NONE);
    cr_assert_eq(store_row(db, INDEX, "abcdefgh", "2"), WHY_NONE);
    struct db_options options = options_of(false);
    options.read_only = true;
    struct db *reader = NULL;
    enum why why = open_with(options, &reader);
    cr_assert_eq(why, WHY_NONE, "%s", reason);
    expect_row(reader, ROWS, "a", "1");
    expect_row(reader, INDEX, "abcdefgh", "2");
    cr_assert_eq(store_row(db, ROWS, "b", "3"), WHY_NONE, "the writer goes on");
    expect_row(reader, ROWS, "b", NULL);
    db_close(&reader);
    db_close(&db);
}

Test(db, adds_a_family_to_an_older_store)
{
    struct db_options options = options_of(true);
    options.family_count = 1;
    struct db *db = NULL;
    cr_assert_eq(open_with(options, &db), WHY_NONE);
    cr_assert_eq(store_row(db, ROWS, "a", "1"), WHY_NONE);
    db_close(&db);
    db = open_store();
    expect_row(db, ROWS, "a", "1");
    cr_expect_eq(store_row(db, INDEX, "abcdefgh", "2"), WHY_NONE);
    db_close(&db);
}

Test(db, clears_the_buffer_and_refuses_a_value_that_does_not_fit)
{
    struct db *db = open_store();
    cr_assert_eq(store_row(db, ROWS, "a", "0123456789"), WHY_NONE);
    struct buffer out OWNED(buffer_free) = BUFFER(16);
    buffer_add_text(&out, "before");
    cr_expect_eq(look_up(db, ROWS, "a", &out), WHY_NONE);
    cr_expect_str_eq(buffer_text(&out), "0123456789");
    struct buffer small OWNED(buffer_free) = BUFFER(4);
    cr_expect_eq(look_up(db, ROWS, "a", &small), WHY_LIMIT);
    cr_expect_eq(look_up(db, ROWS, "absent", &out), WHY_NOT_FOUND);
    cr_expect_eq(out.size, 0);
    db_close(&db);
}

Test(db, tells_a_key_from_its_beginning)
{
    struct db *db = open_store();
    cr_assert_eq(store_row(db, INDEX, "abcdefgh", "1"), WHY_NONE);
    expect_row(db, INDEX, "abc", NULL);
    expect_row(db, INDEX, "", NULL);
    expect_row(db, INDEX, "abcdefghi", NULL);
    db_close(&db);
}

Test(db, deletes_rows)
{
    struct db *db = open_store();
    cr_assert_eq(store_row(db, ROWS, "a", "1"), WHY_NONE);
    cr_assert_eq(store_row(db, INDEX, "abcdefgh", "1"), WHY_NONE);
    OWNED(db_batch_free) struct db_batch *batch = NULL;
    cr_assert(!failed(db_batch_new(&batch)));
    db_batch_delete(batch, db, ROWS, "a", 1);
    db_batch_delete(batch, db, INDEX, "abcdefgh", 8);
    expect_row(db, ROWS, "a", "1");
    cr_assert(!failed(db_commit(db, batch)));
    expect_row(db, ROWS, "a", NULL);
    expect_row(db, INDEX, "abcdefgh", NULL);
    db_close(&db);
}

Test(db, takes_one_operation_of_a_batch_back)
{
    struct db *db = open_store();
    OWNED(db_batch_free) struct db_batch *batch = NULL;
    cr_assert(!failed(db_batch_new(&batch)));
    put(db, batch, ROWS, "kept", "1");
    unsigned mark = db_batch_count(batch);
    cr_expect_eq(mark, 1);
    put(db, batch, ROWS, "kept", "2");
    put(db, batch, INDEX, "abcdefgh", "3");
    db_batch_delete(batch, db, ROWS, "kept", 4);
    cr_expect_eq(db_batch_count(batch), 4);
    db_batch_rewind(batch, mark);
    cr_expect_eq(db_batch_count(batch), 1);
    put(db, batch, ROWS, "after", "4");
    cr_assert(!failed(db_commit(db, batch)));
    expect_row(db, ROWS, "kept", "1");
    expect_row(db, ROWS, "after", "4");
    expect_row(db, INDEX, "abcdefgh", NULL);

    db_batch_clear(batch);
    cr_expect_eq(db_batch_count(batch), 0);
    put(db, batch, ROWS, "gone", "5");
    db_batch_rewind(batch, 0);
    cr_expect(!failed(db_commit(db, batch)), "an empty batch is no failure");
    expect_row(db, ROWS, "gone", NULL);
    db_close(&db);
}

/* The keys in order, one after another; `last` starts at the last one. */
static void expect_walk(struct db *db, unsigned family, const char *from, const char *keys)
{
    OWNED(db_iterator_free) struct db_iterator *walk = NULL;
    cr_assert(!failed(db_iterate(db, family, from, strlen(from), &walk)));
    char seen[256] = "";
    size_t used = 0;
    for (; db_iterator_valid(walk); db_iterator_next(walk)) {
        size_t size = 0;
        const uint8_t *key = db_iterator_key(walk, &size);
        used += (size_t)snprintf(seen + used, sizeof seen - used, "%.*s ", (int)size,
                                 (const char *)key);
    }
    cr_expect(!failed(db_iterator_status(walk)));
    cr_expect_str_eq(seen, keys);
}

Test(db, walks_each_family_in_key_order)
{
    struct db *db = open_store();
    static const char *const keys[] = {"mmmm0001", "aaaa0002", "zzzz0001", "aaaa0001"};
    for (unsigned i = 0; i < 4; i++) {
        cr_assert_eq(store_row(db, ROWS, keys[i], "v"), WHY_NONE);
        cr_assert_eq(store_row(db, INDEX, keys[i], "v"), WHY_NONE);
    }
    for (int round = 0; round < 2; round++) { /* In memtables, then in table files. */
        for (unsigned family = ROWS; family <= INDEX; family++) {
            expect_walk(db, family, "", "aaaa0001 aaaa0002 mmmm0001 zzzz0001 ");
            expect_walk(db, family, "aaaa0002", "aaaa0002 mmmm0001 zzzz0001 ");
            expect_walk(db, family, "b", "mmmm0001 zzzz0001 ");
            expect_walk(db, family, "zzzz0002", "");
        }
        db_close(&db);
        db = open_store();
    }
    db_close(&db);
}

Test(db, jumps_to_the_last_key_and_shows_its_value)
{
    struct db *db = open_store();
    OWNED(db_iterator_free) struct db_iterator *empty = NULL;
    cr_assert(!failed(db_iterate(db, ROWS, NULL, 0, &empty)));
    db_iterator_last(empty);
    cr_expect(!db_iterator_valid(empty));
    cr_assert_eq(store_row(db, ROWS, "a", "first"), WHY_NONE);
    cr_assert_eq(store_row(db, ROWS, "b", "last"), WHY_NONE);
    db_iterator_last(empty);
    cr_expect(!db_iterator_valid(empty), "it sees the moment at which it was made");
    db_iterator_free(&empty);

    OWNED(db_iterator_free) struct db_iterator *walk = NULL;
    cr_assert(!failed(db_iterate(db, ROWS, NULL, 0, &walk)));
    db_iterator_last(walk);
    cr_assert(db_iterator_valid(walk));
    size_t size = 0;
    cr_assert_arr_eq(db_iterator_value(walk, &size), "last", 4);
    cr_expect_eq(size, 4);
    db_iterator_free(&walk);
    db_close(&db);
}

Test(db, leaves_no_options_behind)
{
    for (unsigned i = 0; i < 3; i++) {
        struct db *db = open_store();
        DIR *files = opendir(store);
        cr_assert(files != NULL);
        for (struct dirent *entry = readdir(files); entry != NULL; entry = readdir(files))
            cr_expect_eq(strstr(entry->d_name, ".dbtmp"), NULL, "%s", entry->d_name);
        closedir(files);
        db_close(&db);
    }
}
