/* SPDX-License-Identifier: Apache-2.0 */
/* base/db_inside.h -- a store from within, for db.c and db_backup.c alone.
 *
 * In      RocksDB's own types.
 * Out     the struct behind base/db.h's pointer.
 * Never   is included by anybody else.
 * Threads as base/db.h says.
 */
#ifndef BASE_DB_INSIDE_H
#define BASE_DB_INSIDE_H

#include <pthread.h>
#include <rocksdb/c.h>
#include <stdatomic.h>

#include "base/db.h"

#define DB_PATH_BYTES_MAX    4096u
#define DB_NAME_BYTES_MAX    48u
#define DB_TROUBLE_BYTES_MAX 256u
#define DB_HANDLES_MAX       (DB_FAMILIES_MAX + 1u) /* RocksDB insists on a family "default". */

struct db {
    char path[DB_PATH_BYTES_MAX];
    char names[DB_FAMILIES_MAX][DB_NAME_BYTES_MAX];
    struct db_family families[DB_FAMILIES_MAX]; /* Their names are those above. */
    struct db_options options;

    /* Held for reading by every use of what stands below it, for writing while db_resume() puts
     * another handle there. */
    pthread_rwlock_t swap;
    rocksdb_t *handle; /* NULL after a db_resume() that failed half-way. */
    rocksdb_column_family_handle_t *handles[DB_HANDLES_MAX];
    unsigned handle_count;

    rocksdb_readoptions_t *get_options;
    rocksdb_readoptions_t *walk_options;
    rocksdb_writeoptions_t *write_options;
    atomic_uint pin_count; /* Iterators and backups under way: they pin the handle. */

    atomic_bool refuses_writes; /* Since a failed commit or any corruption. */
    atomic_bool corrupt;
    atomic_bool troubled; /* Set behind the text, so that who sees it sees a whole text. */
    pthread_mutex_t trouble_lock;
    char trouble[DB_TROUBLE_BYTES_MAX];
};

#endif
