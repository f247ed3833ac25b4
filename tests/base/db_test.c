/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/db.h"
#include "base/own.h"

enum { ROWS, INDEX, FAMILY_COUNT };

static const struct db_family families[] = {
    [ROWS] = {.name = "rows"},
    [INDEX] = {.name = "index", .random_keys = true},
};

static char folder[64];
static char store[96];
static char reason[256];

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *walk)
{
    (void)info;
    (void)type;
    (void)walk;
    return remove(path);
}

static void make_folder(void)
{
    snprintf(folder, sizeof folder, "/tmp/db_test.XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    snprintf(store, sizeof store, "%s/store", folder);
}

static void drop_folder(void)
{
    nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

TestSuite(db, .init = make_folder, .fini = drop_folder);

static struct db_options options_of(bool create)
{
    return (struct db_options){.families = families,
                               .family_count = FAMILY_COUNT,
                               .cache_bytes = 1u << 20,
                               .wal_bytes_max = 1u << 20,
                               .create = create};
}

static enum why open_with(struct db_options options, struct db **out_db)
{
    return db_open(store, &options, out_db, reason, sizeof reason).why;
}

static struct db *open_store(void)
{
    struct db *db = NULL;
    enum why why = open_with(options_of(true), &db);
    cr_assert_eq(why, WHY_NONE, "%s", reason);
    return db;
}

static void put(struct db *db, struct db_batch *batch, unsigned family, const char *key,
                const char *value)
{
    db_batch_put(batch, db, family, key, strlen(key), value, strlen(value));
}

/* One row, one commit. */
static enum why store_row(struct db *db, unsigned family, const char *key, const char *value)
{
    OWNED(db_batch_free) struct db_batch *batch = NULL;
    cr_assert(!failed(db_batch_new(&batch)));
    put(db, batch, family, key, value);
    return db_commit(db, batch).why;
}

static enum why look_up(struct db *db, unsigned family, const char *key, struct buffer *out)
{
    return db_get(db, family, key, strlen(key), out).why;
}

/* Expects `value`, or nothing there for NULL. */
static void expect_row(struct db *db, unsigned family, const char *key, const char *value)
{
    struct buffer out OWNED(buffer_free) = BUFFER(4096);
    enum why why = look_up(db, family, key, &out);
    if (value == NULL) {
        cr_expect_eq(why, WHY_NOT_FOUND, "%s: %d", key, why);
        return;
    }
    cr_expect_eq(why, WHY_NONE, "%s: %d %s", key, why, db_trouble(db));
    cr_expect_str_eq(buffer_text(&out), value);
}

/* The store's one file whose name ends so and that holds bytes. */
static void find_file(const char *end, char *out, size_t out_size)
{
    DIR *listing = opendir(store);
    cr_assert_not_null(listing);
    out[0] = '\0';
    for (struct dirent *entry = readdir(listing); entry != NULL; entry = readdir(listing)) {
        const char *found = strstr(entry->d_name, end);
        char path[512];
        struct stat info;
        snprintf(path, sizeof path, "%s/%s", store, entry->d_name);
        if (found != NULL && found[strlen(end)] == '\0' && stat(path, &info) == 0 &&
            info.st_size > 0)
            snprintf(out, out_size, "%s", path);
    }
    closedir(listing);
    cr_assert_neq(out[0], '\0', "no %s", end);
}

static size_t read_file(const char *path, uint8_t *out, size_t out_size)
{
    int fd = open(path, O_RDONLY);
    cr_assert(fd >= 0);
    ssize_t size = read(fd, out, out_size);
    close(fd);
    cr_assert(size > 0 && (size_t)size < out_size);
    return (size_t)size;
}

static void write_byte(const char *path, size_t at, uint8_t value)
{
    int fd = open(path, O_WRONLY);
    cr_assert(fd >= 0);
    cr_assert_eq(pwrite(fd, &value, 1, (off_t)at), 1);
    close(fd);
}

static size_t find_bytes(const uint8_t *bytes, size_t size, const char *text)
{
    const uint8_t *found = memmem(bytes, size, text, strlen(text));
    cr_assert_not_null(found);
    return (size_t)(found - bytes);
}

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

Test(db, finds_nothing_under_a_key_too_short_to_be_random)
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

/* One row on disk in a log only; its bytes in `out`, its path in `path`. */
static size_t make_log(const char *value, char *path, size_t path_size, uint8_t *out, size_t size)
{
    struct db *db = open_store();
    cr_assert_eq(store_row(db, ROWS, "k1", value), WHY_NONE);
    cr_assert_eq(store_row(db, ROWS, "k2", "behind it"), WHY_NONE);
    db_close(&db);
    find_file(".log", path, path_size);
    return read_file(path, out, size);
}

Test(db, refuses_a_log_with_any_byte_of_a_row_changed)
{
    char path[512];
    uint8_t bytes[4096];
    static const char value[] = "payload";
    size_t size = make_log(value, path, sizeof path, bytes, sizeof bytes);
    size_t at = find_bytes(bytes, size, value);
    for (size_t i = 0; i < strlen(value); i++) {
        write_byte(path, at + i, bytes[at + i] ^ 1u);
        struct db *db = NULL;
        cr_expect_eq(open_with(options_of(false), &db), WHY_FORGED, "byte %zu: %s", i, reason);
        cr_expect_null(db);
        write_byte(path, at + i, bytes[at + i]);
    }
    struct db *db = NULL;
    cr_assert_eq(open_with(options_of(false), &db), WHY_NONE, "%s", reason);
    expect_row(db, ROWS, "k1", value);
    expect_row(db, ROWS, "k2", "behind it");
    db_close(&db);
}

Test(db, opens_after_a_log_was_cut_short)
{
    char path[512];
    uint8_t bytes[4096];
    size_t size = make_log("whole", path, sizeof path, bytes, sizeof bytes);
    cr_assert_eq(truncate(path, (off_t)size - 3), 0);
    struct db *db = NULL;
    cr_assert_eq(open_with(options_of(false), &db), WHY_NONE, "%s", reason);
    expect_row(db, ROWS, "k1", "whole");
    expect_row(db, ROWS, "k2", NULL);
    db_close(&db);
}

Test(db, refuses_a_table_row_with_a_byte_changed_and_writes_no_more)
{
    char path[512];
    static uint8_t bytes[65536];
    struct db *db = open_store();
    cr_assert_eq(store_row(db, ROWS, "k1", "payload"), WHY_NONE);
    db_close(&db);
    db = open_store(); /* Replaying the log wrote a table file. */
    db_close(&db);
    find_file(".sst", path, sizeof path);
    size_t size = read_file(path, bytes, sizeof bytes);
    size_t at = find_bytes(bytes, size, "payload");
    write_byte(path, at, bytes[at] ^ 1u);

    db = open_store();
    struct buffer out OWNED(buffer_free) = BUFFER(64);
    cr_expect_eq(look_up(db, ROWS, "k1", &out), WHY_FORGED);
    cr_expect_not_null(strstr(db_trouble(db), "Corruption"), "%s", db_trouble(db));
    cr_expect_eq(store_row(db, ROWS, "k2", "v"), WHY_FORGED);
    cr_expect_eq(db_resume(db).why, WHY_FORGED);

    OWNED(db_iterator_free) struct db_iterator *walk = NULL;
    cr_assert(!failed(db_iterate(db, ROWS, NULL, 0, &walk)));
    cr_expect(!db_iterator_valid(walk));
    cr_expect_eq(db_iterator_status(walk).why, WHY_FORGED);
    db_iterator_free(&walk);
    db_close(&db);
}

/* No file of this process can grow past `bytes`: what a full disk looks like from here. */
static void limit_files(rlim_t bytes)
{
    struct rlimit limit;
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    cr_assert_eq(sigaction(SIGXFSZ, &ignore, NULL), 0);
}

Test(db, takes_no_writes_after_a_failed_one_until_resumed)
{
    struct db *db = open_store();
    cr_assert_eq(store_row(db, ROWS, "a", "before"), WHY_NONE);
    char *big = calloc(1, 65536);
    cr_assert_not_null(big);
    memset(big, 'x', 65535);
    limit_files(8192);
    OWNED(db_batch_free) struct db_batch *batch = NULL;
    cr_assert(!failed(db_batch_new(&batch)));
    put(db, batch, ROWS, "big", big);
    cr_expect_eq(db_commit(db, batch).why, WHY_IO);
    cr_expect_eq(db_batch_count(batch), 1, "the batch is as it was");
    cr_expect_neq(db_trouble(db)[0], '\0');
    cr_expect_eq(store_row(db, ROWS, "b", "small"), WHY_IO);
    cr_expect_eq(db_resume(db).why, WHY_IO, "the disk is still full");
    expect_row(db, ROWS, "a", "before");

    limit_files(RLIM_INFINITY);
    cr_expect_eq(store_row(db, ROWS, "b", "small"), WHY_IO, "only db_resume() ends it");
    OWNED(db_iterator_free) struct db_iterator *walk = NULL;
    cr_assert(!failed(db_iterate(db, ROWS, NULL, 0, &walk)));
    cr_expect_eq(db_resume(db).why, WHY_BUSY, "an iterator is open");
    db_iterator_free(&walk);
    cr_assert_eq(db_resume(db).why, WHY_NONE, "%s", db_trouble(db));
    cr_expect_str_eq(db_trouble(db), "");
    expect_row(db, ROWS, "a", "before");
    cr_expect_eq(db_commit(db, batch).why, WHY_NONE, "the same batch, again");
    struct buffer out OWNED(buffer_free) = BUFFER(65536);
    cr_expect_eq(look_up(db, ROWS, "big", &out), WHY_NONE);
    cr_expect_eq(out.size, strlen(big));
    free(big);
    db_close(&db);
}

/* Writes numbered rows for ever and says each number once it is durable.  A child of a test's: it
 * must not use Criterion's connection, so it asserts nothing and leaves where something fails. */
static void write_until_killed(int out_fd)
{
    struct db *db = NULL;
    struct db_batch *batch = NULL;
    if (open_with(options_of(true), &db) != WHY_NONE || failed(db_batch_new(&batch)))
        _exit(1);
    for (unsigned i = 0;; i++) {
        char key[16];
        snprintf(key, sizeof key, "%08u", i);
        db_batch_clear(batch);
        put(db, batch, ROWS, key, "row");
        put(db, batch, INDEX, key, "row");
        if (failed(db_commit(db, batch)) || write(out_fd, &i, sizeof i) != sizeof i)
            _exit(1);
    }
}

Test(db, loses_nothing_that_was_acknowledged_before_a_kill)
{
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0)
        write_until_killed(ends[1]);
    close(ends[1]);
    unsigned last = 0;
    for (unsigned i = 0; i < 100; i++)
        cr_assert_eq(read(ends[0], &last, sizeof last), sizeof last);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    while (read(ends[0], &last, sizeof last) == sizeof last)
        ;
    struct db *db = open_store();
    for (unsigned i = 0; i <= last; i++) {
        char key[16];
        snprintf(key, sizeof key, "%08u", i);
        expect_row(db, ROWS, key, "row");
        expect_row(db, INDEX, key, "row");
    }
    db_close(&db);
}
