/* SPDX-License-Identifier: Apache-2.0 */
/* tests/base/db_kit.h -- a store in a folder of its own, for the tests of base/db.
 *
 * In      rows as texts.
 * Out     a store, opened and filled.
 * Never   leaves its folder behind.
 * Threads one.
 */
#ifndef TESTS_BASE_DB_KIT_H
#define TESTS_BASE_DB_KIT_H

#include <criterion/criterion.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

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

static inline int remove_one(const char *path, const struct stat *info, int type, struct FTW *walk)
{
    (void)info;
    (void)type;
    (void)walk;
    return remove(path);
}

static inline void make_folder(void)
{
    snprintf(folder, sizeof folder, "/tmp/db_test.XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    snprintf(store, sizeof store, "%s/store", folder);
}

static inline void drop_folder(void)
{
    nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static inline struct db_options options_of(bool create)
{
    return (struct db_options){.families = families,
                               .family_count = FAMILY_COUNT,
                               .cache_bytes = 1u << 20,
                               .wal_bytes_max = 1u << 20,
                               .create = create};
}

static inline enum why open_with(struct db_options options, struct db **out_db)
{
    return db_open(store, &options, out_db, reason, sizeof reason).why;
}

static inline struct db *open_store(void)
{
    struct db *db = NULL;
    enum why why = open_with(options_of(true), &db);
    cr_assert_eq(why, WHY_NONE, "%s", reason);
    return db;
}

static inline void put(struct db *db, struct db_batch *batch, unsigned family, const char *key,
                       const char *value)
{
    db_batch_put(batch, db, family, key, strlen(key), value, strlen(value));
}

/* One row, one commit. */
static inline enum why store_row(struct db *db, unsigned family, const char *key, const char *value)
{
    OWNED(db_batch_free) struct db_batch *batch = NULL;
    cr_assert(!failed(db_batch_new(&batch)));
    put(db, batch, family, key, value);
    return db_commit(db, batch).why;
}

static inline enum why look_up(struct db *db, unsigned family, const char *key, struct buffer *out)
{
    return db_get(db, family, key, strlen(key), out).why;
}

/* Expects `value`, or nothing there for NULL. */
static inline void expect_row(struct db *db, unsigned family, const char *key, const char *value)
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

#endif
