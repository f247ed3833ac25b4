/* SPDX-License-Identifier: Apache-2.0 */
/* base/db_tune.h -- RocksDB's settings, and why each is as it is.  For base/db.c alone.
 *
 * In      what the store's owner may choose.
 * Out     RocksDB's option objects, the caller's to destroy.
 * Never   opens anything.
 * Threads any.
 */
#ifndef BASE_DB_TUNE_H
#define BASE_DB_TUNE_H

#include <rocksdb/c.h>

#include "base/db.h"

rocksdb_options_t *db_tune_store(const struct db_options *options);

/* `cache` is shared by all families and stays the caller's. */
rocksdb_options_t *db_tune_family(const struct db_family *family, rocksdb_cache_t *cache);

rocksdb_readoptions_t *db_tune_get(void);
rocksdb_readoptions_t *db_tune_walk(void);
rocksdb_writeoptions_t *db_tune_write(void);

#endif
