/* SPDX-License-Identifier: Apache-2.0 */
/* base/db.h -- an ordered store of bytes in families, on RocksDB.
 *
 * In      keys and values that are sealed, random or public already.
 * Out     the same, durable once db_commit() returned.
 * Never   lets a RocksDB type through; answers without checking checksums; goes on after
 *         corruption.
 * Threads one writer at a time; readers any.
 */
#ifndef BASE_DB_H
#define BASE_DB_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/status.h"

#define DB_FAMILIES_MAX 16u

struct db;
struct db_batch;
struct db_iterator;

/* A family's place in the table given to db_open() is its number from then on. */
struct db_family {
    const char *name;
    /* Small memtables and bloom filters. */
    bool random_keys;
    /* Of keys that count upwards, or do for the most part: bloom filters, for those that do not. */
    bool filtered;
};

struct db_options {
    const struct db_family *families;
    unsigned family_count;
    uint64_t cache_bytes;
    uint64_t wal_bytes_max; /* Bounds the time of a restart. */
    bool read_only;         /* For offline verification: also beside a running writer. */
    bool create;            /* Make it where it is missing. */
};

/* Opens the store in the folder `path` (made with mode 0700).  On failure `reason` says what
 * RocksDB said: WHY_NOT_FOUND (no store), WHY_BUSY (another process has it), WHY_FORGED
 * (corruption), WHY_IO. */
STATUS db_open(const char *path, const struct db_options *options, struct db **out_db, char *reason,
               size_t reason_size);
/* Waits for RocksDB's own threads; accepts NULL. */
void db_close(struct db **db);

/* Appends the value to `out` (which is cleared first).  WHY_NOT_FOUND when absent. */
STATUS db_get(struct db *db, unsigned family, const void *key, size_t key_size, struct buffer *out);

STATUS db_batch_new(struct db_batch **out_batch);
void db_batch_free(struct db_batch **batch);
void db_batch_put(struct db_batch *batch, struct db *db, unsigned family, const void *key,
                  size_t key_size, const void *value, size_t value_size);
void db_batch_delete(struct db_batch *batch, struct db *db, unsigned family, const void *key,
                     size_t key_size);
/* Drops every row from mark `count` on (as db_batch_count() said): takes one operation back. */
void db_batch_rewind(struct db_batch *batch, unsigned count);
unsigned db_batch_count(const struct db_batch *batch);
void db_batch_clear(struct db_batch *batch);

/* Writes the batch atomically and syncs the log before it returns.  After a failure the store takes
 * no more writes until db_resume() succeeds; the batch is as it was. */
STATUS db_commit(struct db *db, struct db_batch *batch);

/* Tries to leave the failed state (disk full, input/output error) that db_commit() reported. */
STATUS db_resume(struct db *db);
/* What was wrong last, in RocksDB's words; "" when nothing. */
const char *db_trouble(const struct db *db);

/* Walks a family in key order from `from` (or its first key).  The iterator sees one moment. */
STATUS db_iterate(struct db *db, unsigned family, const void *from, size_t from_size,
                  struct db_iterator **out_iterator);
bool db_iterator_valid(const struct db_iterator *iterator);
void db_iterator_next(struct db_iterator *iterator);
/* Jumps to the last key of the family; not valid when it is empty. */
void db_iterator_last(struct db_iterator *iterator);
/* Lent until the iterator moves. */
const uint8_t *db_iterator_key(const struct db_iterator *iterator, size_t *out_size);
const uint8_t *db_iterator_value(const struct db_iterator *iterator, size_t *out_size);
/* Fails when the walk ended for another reason than the end (a bad checksum, say). */
STATUS db_iterator_status(const struct db_iterator *iterator);
void db_iterator_free(struct db_iterator **iterator);

#endif
