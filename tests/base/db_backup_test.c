/* SPDX-License-Identifier: Apache-2.0 */
#include "base/db_backup.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/base/db_kit.h"

static char backups[96];
static char back[96];

static void prepare(void)
{
    make_folder();
    snprintf(backups, sizeof backups, "%s/backups", folder);
    snprintf(back, sizeof back, "%s/back", folder);
    cr_assert_eq(mkdir(backups, 0700), 0);
}

TestSuite(db_backup, .init = prepare, .fini = drop_folder);

static struct db_backup take(struct db *db)
{
    struct db_backup made = {0};
    struct status status = db_backup_create(db, backups, &made, reason, sizeof reason);
    cr_assert(!failed(status), "%s", reason);
    return made;
}

static enum why restore(uint32_t id)
{
    return db_backup_restore(backups, id, back, reason, sizeof reason).why;
}

static struct db *open_restored(void)
{
    struct db *db = NULL;
    struct db_options options = options_of(false);
    cr_assert(!failed(db_open(back, &options, &db, reason, sizeof reason)), "%s", reason);
    return db;
}

static unsigned count_of(struct db_backup out[static 8])
{
    unsigned count = 0;
    cr_assert(!failed(db_backup_list(backups, out, 8, &count, reason, sizeof reason)), "%s",
              reason);
    return count;
}

/* The path of some table file that the backups share. */
static void table_path(char *out, size_t size)
{
    char shared[160];
    snprintf(shared, sizeof shared, "%s/shared_checksum", backups);
    DIR *dir = opendir(shared);
    cr_assert_not_null(dir);
    out[0] = '\0';
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
        if (strstr(entry->d_name, ".sst") != NULL)
            snprintf(out, size, "%s/%s", shared, entry->d_name);
    closedir(dir);
    cr_assert_neq(out[0], '\0');
}

Test(db_backup, gives_back_what_was_committed_before_it)
{
    struct db *db = open_store();
    cr_assert_eq(store_row(db, ROWS, "a", "one"), WHY_NONE);
    cr_assert_eq(store_row(db, INDEX, "random-key-1", "two"), WHY_NONE);
    struct db_backup first = take(db);
    cr_assert_eq(store_row(db, ROWS, "a", "changed"), WHY_NONE);
    struct db_backup second = take(db);
    cr_expect_eq(store_row(db, ROWS, "b", "later"), WHY_NONE, "the store goes on");
    db_close(&db);
    cr_expect_eq(second.id, first.id + 1);

    cr_assert_eq(restore(first.id), WHY_NONE, "%s", reason);
    db = open_restored();
    expect_row(db, ROWS, "a", "one");
    expect_row(db, INDEX, "random-key-1", "two");
    expect_row(db, ROWS, "b", NULL);
    db_close(&db);
    nftw(back, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    cr_assert_eq(restore(second.id), WHY_NONE, "%s", reason);
    db = open_restored();
    expect_row(db, ROWS, "a", "changed");
    db_close(&db);
}

Test(db_backup, lists_the_newest_and_lets_go_of_the_others)
{
    struct db_backup found[8];
    unsigned count = 0;
    struct db *db = open_store();
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(store_row(db, ROWS, "a", i % 2 == 0 ? "even" : "odd"), WHY_NONE);
        (void)take(db);
    }
    db_close(&db);
    cr_assert_eq(count_of(found), 4);
    cr_expect_eq(found[0].id, 1);
    cr_expect_gt(found[3].bytes, 0);
    cr_expect_gt(found[3].files, 0);
    cr_expect_gt(found[3].created_ms, 0);
    cr_assert(!failed(db_backup_list(backups, found, 2, &count, reason, sizeof reason)));
    cr_expect_eq(count, 2);
    cr_expect_eq(found[0].id, 3, "the newest two");
    cr_assert(!failed(db_backup_drop(backups, 2, reason, sizeof reason)));
    cr_assert_eq(count_of(found), 2);
    cr_expect_eq(found[0].id, 3);
    cr_expect_eq(restore(1), WHY_NOT_FOUND);
    cr_expect_eq(restore(4), WHY_NONE, "%s", reason);
}

Test(db_backup, does_not_restore_a_changed_or_missing_file)
{
    char path[512];
    char byte = 0;
    struct db *db = open_store();
    cr_assert_eq(store_row(db, ROWS, "a", "some value of some length"), WHY_NONE);
    struct db_backup made = take(db);
    db_close(&db);
    table_path(path, sizeof path);
    int fd = open(path, O_RDWR);
    cr_assert_geq(fd, 0);
    cr_assert_eq(pread(fd, &byte, 1, 20), 1);
    byte ^= 1;
    cr_assert_eq(pwrite(fd, &byte, 1, 20), 1);
    close(fd);
    cr_expect_eq(restore(made.id), WHY_FORGED, "%s", reason);
    cr_expect_not_null(strstr(reason, "checksum"), "%s", reason);

    nftw(back, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    cr_assert_eq(unlink(path), 0);
    cr_expect_neq(restore(made.id), WHY_NONE);
}

Test(db_backup, does_not_restore_over_anything)
{
    struct db *db = open_store();
    cr_assert_eq(store_row(db, ROWS, "a", "one"), WHY_NONE);
    struct db_backup made = take(db);
    db_close(&db);
    cr_assert_eq(mkdir(back, 0700), 0);
    char file[128];
    snprintf(file, sizeof file, "%s/somebody's", back);
    int fd = open(file, O_WRONLY | O_CREAT, 0600);
    cr_assert_geq(fd, 0);
    close(fd);
    cr_expect_eq(restore(made.id), WHY_CONFLICT);
    cr_expect_eq(access(file, F_OK), 0);
    cr_assert_eq(unlink(file), 0);
    cr_expect_eq(restore(made.id), WHY_NONE, "an empty folder will do: %s", reason);
}

Test(db_backup, leaves_a_folder_alone_that_holds_no_backups)
{
    struct db_backup found[8];
    unsigned count = 0;
    cr_expect_eq(db_backup_list(backups, found, 8, &count, reason, sizeof reason).why,
                 WHY_NOT_FOUND);
    cr_expect_eq(restore(1), WHY_NOT_FOUND);
    cr_expect_eq(rmdir(backups), 0, "it is empty still");
}

static unsigned file_count;

static int count_one(const char *path, const struct stat *info, int type, struct FTW *walk)
{
    (void)path;
    (void)info;
    (void)walk;
    file_count += type == FTW_F ? 1 : 0;
    return 0;
}

Test(db_backup, leaves_nothing_of_one_that_the_disk_has_no_room_for)
{
    struct db_backup found[8];
    struct db_backup made;
    struct rlimit limit;
    static char big[200000];
    struct db *db = open_store();
    cr_assert_eq(store_row(db, ROWS, "a", "one"), WHY_NONE);
    (void)take(db);
    memset(big, 'x', sizeof big - 1);
    cr_assert_eq(store_row(db, ROWS, "big", big), WHY_NONE);
    (void)take(db); /* Its table is there now, and the log behind it empty. */
    cr_assert(!failed(db_backup_drop(backups, 1, reason, sizeof reason)));
    nftw(backups, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    cr_assert_eq(mkdir(backups, 0700), 0);

    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = 100000;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    cr_assert_eq(sigaction(SIGXFSZ, &ignore, NULL), 0);
    cr_expect_eq(db_backup_create(db, backups, &made, reason, sizeof reason).why, WHY_LIMIT, "%s",
                 reason);
    cr_expect_eq(count_of(found), 0);
    cr_assert_eq(nftw(backups, count_one, 16, FTW_PHYS), 0);
    cr_expect_eq(file_count, 0);
    cr_expect_eq(store_row(db, ROWS, "b", "two"), WHY_NONE, "the store is none the worse");

    limit.rlim_cur = RLIM_INFINITY;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    made = take(db);
    db_close(&db);
    cr_expect_eq(restore(made.id), WHY_NONE, "%s", reason);
}

Test(db_backup, counts_rows_without_reading_them)
{
    struct db *db = open_store();
    cr_expect_eq(db_backup_rows(db, ROWS), 0);
    cr_assert_eq(store_row(db, ROWS, "a", "one"), WHY_NONE);
    cr_assert_eq(store_row(db, ROWS, "b", "two"), WHY_NONE);
    cr_expect_eq(db_backup_rows(db, ROWS), 2);
    cr_expect_eq(db_backup_rows(db, INDEX), 0);
    db_close(&db);
}
