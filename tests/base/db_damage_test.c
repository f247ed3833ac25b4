/* SPDX-License-Identifier: Apache-2.0 */
/* What base/db does with changed bytes, a full disk and a kill. */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/base/db_kit.h"

TestSuite(db_damage, .init = make_folder, .fini = drop_folder);

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

Test(db_damage, refuses_a_log_with_any_byte_of_a_row_changed)
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

Test(db_damage, opens_after_a_log_was_cut_short)
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

Test(db_damage, refuses_a_table_row_with_a_byte_changed_and_writes_no_more)
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

Test(db_damage, takes_no_writes_after_a_failed_one_until_resumed)
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

Test(db_damage, loses_nothing_that_was_acknowledged_before_a_kill)
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
