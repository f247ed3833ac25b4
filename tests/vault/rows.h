/* SPDX-License-Identifier: Apache-2.0 */
/* tests/vault/rows.h -- a store on RocksDB in a folder of its own, with a ring, for tests.
 *
 * In      nothing.
 * Out     an open store, and a batch for its rows.
 * Never   leaves its folder behind.
 * Threads one.
 */
#ifndef TESTS_VAULT_ROWS_H
#define TESTS_VAULT_ROWS_H

#include <criterion/criterion.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/db.h"
#include "tests/keys/shelf.h"
#include "vault/store.h"

static char rows_folder[64];
static struct db *db;
static struct db_batch *batch;
static struct keyring *ring;
static struct store store;

static inline void rows_db_open(void)
{
    char path[96];
    char reason[256] = "";
    struct db_options options = {.families = store_families,
                                 .family_count = STORE_FAMILY_COUNT,
                                 .cache_bytes = 1u << 20,
                                 .wal_bytes_max = 1u << 20,
                                 .create = true};

    (void)snprintf(path, sizeof path, "%s/store", rows_folder);
    cr_assert(!failed(db_open(path, &options, &db, reason, sizeof reason)), "%s", reason);
}

static inline void rows_open(void)
{
    (void)snprintf(rows_folder, sizeof rows_folder, "/tmp/cardkeep-store-XXXXXX");
    cr_assert_not_null(mkdtemp(rows_folder));
    rows_db_open();
    ring = shelf_ring();
    cr_assert(!failed(db_batch_new(&batch)));
    cr_assert(!failed(store_open(&store, db, ring)));
}

static inline int rows_remove_one(const char *path, const struct stat *info, int type,
                                  struct FTW *walk)
{
    (void)info;
    (void)type;
    (void)walk;
    return remove(path);
}

static inline void rows_close(void)
{
    store_close(&store);
    db_batch_free(&batch);
    keyring_free(&ring);
    db_close(&db);
    (void)nftw(rows_folder, rows_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* The turn's end: rows are in the engine, and in the engine only. */
static inline void rows_commit(void)
{
    cr_assert(!failed(db_commit(db, batch)), "%s", db_trouble(db));
    db_batch_clear(batch);
    overlay_rewind(&store.turn, 0);
}

/* Another process opens the same rows. */
static inline void rows_restart(void)
{
    store_close(&store);
    db_close(&db);
    rows_db_open();
    cr_assert(!failed(store_open(&store, db, ring)));
}

#endif
