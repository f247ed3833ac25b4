/* SPDX-License-Identifier: Apache-2.0 */
#include "base/db.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <rocksdb/c.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/db_inside.h"
#include "base/db_tune.h"
#include "base/own.h"

/* A reader beside a writer can find a file gone that the writer has just merged away. */
#define DB_READ_ONLY_ATTEMPTS 3u

struct db_batch {
    rocksdb_writebatch_t *rows;
    bool incomplete; /* A row came while the store was not open: it must never be committed. */
};

struct db_iterator {
    struct db *db;
    rocksdb_iterator_t *walk;
};

static void options_end(rocksdb_options_t **options)
{
    if (*options != NULL)
        rocksdb_options_destroy(*options);
}

static void cache_end(rocksdb_cache_t **cache)
{
    rocksdb_cache_destroy(*cache);
}

/* RocksDB's errors come as text alone. */
static enum why why_of(const char *error)
{
    if (strncmp(error, "Corruption", 10) == 0)
        return WHY_FORGED;
    if (strstr(error, "While lock file") != NULL || strstr(error, "lock hold by") != NULL)
        return WHY_BUSY;
    return WHY_IO;
}

/* Takes an error text of RocksDB's.  Keeps the first one since all was well: later ones are mostly
 * its echo. */
static STATUS trouble_note(struct db *db, char *error)
{
    enum why why = why_of(error);
    pthread_mutex_lock(&db->trouble_lock);
    if (!atomic_load(&db->troubled)) {
        snprintf(db->trouble, sizeof db->trouble, "%s", error);
        atomic_store(&db->troubled, true);
    }
    pthread_mutex_unlock(&db->trouble_lock);
    if (why == WHY_FORGED) {
        atomic_store(&db->corrupt, true);
        atomic_store(&db->refuses_writes, true);
    }
    rocksdb_free(error);
    return FAIL(why);
}

/* Opening */

static bool is_left_over(const char *name)
{
    static const char head[] = "OPTIONS-";
    static const char tail[] = ".dbtmp";
    size_t size = strlen(name);

    return strncmp(name, head, strlen(head)) == 0 && size > strlen(tail) &&
           strcmp(name + size - strlen(tail), tail) == 0;
}

/* At each opening, and for each new family, RocksDB writes down its options, has no word for the
 * level of its log that db_tune.c sets, and leaves the file there for ever. */
static void left_over_remove(const char *path)
{
    DIR *folder = opendir(path);

    if (folder == NULL)
        return;
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder))
        if (is_left_over(entry->d_name))
            (void)unlinkat(dirfd(folder), entry->d_name, 0); /* At the next opening, then. */
    closedir(folder);
}

/* Opens the handle and the families' handles; yields RocksDB's error, or NULL. */
static char *handle_open(struct db *db)
{
    rocksdb_options_t *per_family[DB_HANDLES_MAX] = {0};
    const char *names[DB_HANDLES_MAX] = {0};
    unsigned count = db->options.family_count;
    OWNED(cache_end) rocksdb_cache_t *cache = rocksdb_cache_create_lru(db->options.cache_bytes);
    OWNED(options_end) rocksdb_options_t *options = db_tune_store(&db->options);
    bool has_default = false;

    for (unsigned i = 0; i < count; i++) {
        names[i] = db->families[i].name;
        per_family[i] = db_tune_family(&db->families[i], cache);
        has_default = has_default || strcmp(names[i], "default") == 0;
    }
    if (!has_default) {
        names[count] = "default";
        per_family[count++] = db_tune_family(&(struct db_family){0}, cache);
    }

    char *error = NULL;
    const rocksdb_options_t *const *lent = (const rocksdb_options_t *const *)per_family;
    for (unsigned attempt = 0; attempt < DB_READ_ONLY_ATTEMPTS; attempt++) {
        rocksdb_free(error);
        error = NULL;
        if (!db->options.read_only) {
            db->handle = rocksdb_open_column_families(options, db->path, (int)count, names, lent,
                                                      db->handles, &error);
            break;
        }
        db->handle = rocksdb_open_for_read_only_column_families(
            options, db->path, (int)count, names, lent, db->handles, 0, &error);
        if (error == NULL)
            break;
    }
    db->handle_count = error == NULL ? count : 0;
    if (error != NULL)
        db->handle = NULL;
    for (unsigned i = 0; i < count; i++)
        rocksdb_options_destroy(per_family[i]);
    return error;
}

/* The families' handles go first, or an assertion of RocksDB's ends the process. */
static void handle_close(struct db *db)
{
    for (unsigned i = 0; i < db->handle_count; i++)
        rocksdb_column_family_handle_destroy(db->handles[i]);
    db->handle_count = 0;
    if (db->handle != NULL)
        rocksdb_close(db->handle);
    db->handle = NULL;
}

/* The file CURRENT is what makes a folder a store. */
static bool store_exists(const char *path)
{
    char current[DB_PATH_BYTES_MAX + 16];
    snprintf(current, sizeof current, "%s/CURRENT", path);
    return access(current, F_OK) == 0;
}

static STATUS folder_make(const char *path, char *reason, size_t reason_size)
{
    if (mkdir(path, 0700) == 0 || errno == EEXIST)
        return STATUS_OK;
    snprintf(reason, reason_size, "%s: cannot be made: %s", path, strerror(errno));
    return FAIL(WHY_IO);
}

static STATUS db_new(const char *path, const struct db_options *options, struct db **out_db)
{
    ENSURE(strlen(path) < DB_PATH_BYTES_MAX, WHY_LIMIT);
    OWNED(db_close) struct db *db = calloc(1, sizeof *db);
    ENSURE(db != NULL, WHY_NO_MEMORY);
    pthread_rwlock_init(&db->swap, NULL);
    pthread_mutex_init(&db->trouble_lock, NULL);

    snprintf(db->path, sizeof db->path, "%s", path);
    db->options = *options;
    db->options.families = db->families;
    for (unsigned i = 0; i < options->family_count; i++) {
        assert(strlen(options->families[i].name) < DB_NAME_BYTES_MAX);
        snprintf(db->names[i], DB_NAME_BYTES_MAX, "%s", options->families[i].name);
        db->families[i] = options->families[i];
        db->families[i].name = db->names[i];
    }

    db->get_options = db_tune_get();
    db->walk_options = db_tune_walk();
    db->write_options = db_tune_write();
    *out_db = MOVE(db);
    return STATUS_OK;
}

STATUS db_open(const char *path, const struct db_options *options, struct db **out_db, char *reason,
               size_t reason_size)
{
    assert(path != NULL);
    assert(options->family_count <= DB_FAMILIES_MAX);
    assert(!options->read_only || !options->create);
    assert(reason_size > 0);

    reason[0] = '\0';
    if (options->create)
        TRY(folder_make(path, reason, reason_size));
    if (!options->create && !store_exists(path)) {
        snprintf(reason, reason_size, "%s: holds no store", path);
        return FAIL(WHY_NOT_FOUND);
    }

    OWNED(db_close) struct db *db = NULL;
    TRY(db_new(path, options, &db));
    char *error = handle_open(db);
    if (error != NULL) {
        enum why why = why_of(error);
        snprintf(reason, reason_size, "%s", error);
        rocksdb_free(error);
        return FAIL(why);
    }
    if (!options->read_only)
        left_over_remove(path);
    /* From here on a store is there: a lost folder must not come back as a new, empty one. */
    db->options.create = false;
    *out_db = MOVE(db);
    return STATUS_OK;
}

void db_close(struct db **db)
{
    if (*db == NULL)
        return;
    assert(atomic_load(&(*db)->pin_count) == 0);
    handle_close(*db);
    if ((*db)->get_options != NULL) {
        rocksdb_readoptions_destroy((*db)->get_options);
        rocksdb_readoptions_destroy((*db)->walk_options);
        rocksdb_writeoptions_destroy((*db)->write_options);
    }
    pthread_rwlock_destroy(&(*db)->swap);
    pthread_mutex_destroy(&(*db)->trouble_lock);
    free(*db);
    *db = NULL;
}

/* Reading */

static void lock_end(pthread_rwlock_t **lock)
{
    pthread_rwlock_unlock(*lock);
}

static void pinned_end(rocksdb_pinnableslice_t **pinned)
{
    if (*pinned != NULL)
        rocksdb_pinnableslice_destroy(*pinned);
}

STATUS db_get(struct db *db, unsigned family, const void *key, size_t key_size, struct buffer *out)
{
    assert(family < db->options.family_count);
    assert(out != NULL);

    buffer_clear(out);
    OWNED(lock_end) pthread_rwlock_t *lock = &db->swap;
    pthread_rwlock_rdlock(lock);
    ENSURE(db->handle != NULL, WHY_IO);

    char *error = NULL;
    OWNED(pinned_end)
    rocksdb_pinnableslice_t *pinned = rocksdb_get_pinned_cf(
        db->handle, db->get_options, db->handles[family], key, key_size, &error);
    if (error != NULL)
        return trouble_note(db, error);
    ENSURE(pinned != NULL, WHY_NOT_FOUND);
    size_t size = 0;
    const char *value = rocksdb_pinnableslice_value(pinned, &size);
    buffer_add(out, value, size);
    return buffer_status(out);
}

/* Writing */

STATUS db_batch_new(struct db_batch **out_batch)
{
    OWNED(db_batch_free) struct db_batch *batch = calloc(1, sizeof *batch);
    ENSURE(batch != NULL, WHY_NO_MEMORY);
    batch->rows = rocksdb_writebatch_create();
    *out_batch = MOVE(batch);
    return STATUS_OK;
}

void db_batch_free(struct db_batch **batch)
{
    if (*batch == NULL)
        return;
    if ((*batch)->rows != NULL)
        rocksdb_writebatch_destroy((*batch)->rows);
    free(*batch);
    *batch = NULL;
}

/* A save point before each row (three numbers) is what db_batch_rewind() goes back over. */
static bool batch_row_begin(struct db_batch *batch, const struct db *db)
{
    batch->incomplete = batch->incomplete || db->handle == NULL;
    if (db->handle != NULL)
        rocksdb_writebatch_set_save_point(batch->rows);
    return db->handle != NULL;
}

void db_batch_put(struct db_batch *batch, struct db *db, unsigned family, const void *key,
                  size_t key_size, const void *value, size_t value_size)
{
    assert(family < db->options.family_count);

    OWNED(lock_end) pthread_rwlock_t *lock = &db->swap;
    pthread_rwlock_rdlock(lock);
    if (!batch_row_begin(batch, db))
        return;
    rocksdb_writebatch_put_cf(batch->rows, db->handles[family], key, key_size, value, value_size);
}

void db_batch_delete(struct db_batch *batch, struct db *db, unsigned family, const void *key,
                     size_t key_size)
{
    assert(family < db->options.family_count);

    OWNED(lock_end) pthread_rwlock_t *lock = &db->swap;
    pthread_rwlock_rdlock(lock);
    if (!batch_row_begin(batch, db))
        return;
    rocksdb_writebatch_delete_cf(batch->rows, db->handles[family], key, key_size);
}

void db_batch_rewind(struct db_batch *batch, unsigned count)
{
    assert(count <= db_batch_count(batch));
    for (unsigned left = db_batch_count(batch); left > count; left--) {
        char *error = NULL;
        rocksdb_writebatch_rollback_to_save_point(batch->rows, &error);
        assert(error == NULL); /* There is one save point for each row. */
    }
}

unsigned db_batch_count(const struct db_batch *batch)
{
    return (unsigned)rocksdb_writebatch_count(batch->rows);
}

void db_batch_clear(struct db_batch *batch)
{
    rocksdb_writebatch_clear(batch->rows);
    batch->incomplete = false;
}

STATUS db_commit(struct db *db, struct db_batch *batch)
{
    assert(!db->options.read_only);
    ENSURE(!atomic_load(&db->corrupt), WHY_FORGED);
    ENSURE(!atomic_load(&db->refuses_writes), WHY_IO);
    ENSURE(!batch->incomplete, WHY_IO);
    if (db_batch_count(batch) == 0)
        return STATUS_OK;

    OWNED(lock_end) pthread_rwlock_t *lock = &db->swap;
    pthread_rwlock_rdlock(lock);
    ENSURE(db->handle != NULL, WHY_IO);
    rocksdb_set_perf_level(rocksdb_disable); /* Of this thread: unless told it counts each step. */
    char *error = NULL;
    rocksdb_write(db->handle, db->write_options, batch->rows, &error);
    if (error == NULL)
        return STATUS_OK;
    atomic_store(&db->refuses_writes, true);
    return trouble_note(db, error);
}

/* Sets aside and gives back as much room as replaying the log may fill.  So a store whose disk is
 * still full is not closed: it goes on answering reads. */
static STATUS room_probe(const struct db *db)
{
    char path[DB_PATH_BYTES_MAX + 16];
    snprintf(path, sizeof path, "%s/room.probe", db->path);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ENSURE(fd >= 0, WHY_IO);
    int rc = posix_fallocate(fd, 0, (off_t)db->options.wal_bytes_max + 4096);
    bool synced = fsync(fd) == 0;
    close(fd);
    unlink(path);
    ENSURE(rc == 0, WHY_IO);
    ENSURE(synced, WHY_IO);
    return STATUS_OK;
}

/* The C API of RocksDB 7.8 cannot resume a store, so it is closed and opened again. */
STATUS db_resume(struct db *db)
{
    assert(!db->options.read_only);
    ENSURE(!atomic_load(&db->corrupt), WHY_FORGED);
    if (!atomic_load(&db->refuses_writes))
        return STATUS_OK;
    TRY(room_probe(db));

    OWNED(lock_end) pthread_rwlock_t *lock = &db->swap;
    pthread_rwlock_wrlock(lock);
    ENSURE(atomic_load(&db->pin_count) == 0, WHY_BUSY);
    handle_close(db);
    char *error = handle_open(db);
    if (error != NULL)
        return trouble_note(db, error);
    atomic_store(&db->troubled, false);
    atomic_store(&db->refuses_writes, false);
    return STATUS_OK;
}

const char *db_trouble(const struct db *db)
{
    return atomic_load(&db->troubled) ? db->trouble : "";
}

/* Walking */

STATUS db_iterate(struct db *db, unsigned family, const void *from, size_t from_size,
                  struct db_iterator **out_iterator)
{
    assert(family < db->options.family_count);

    OWNED(lock_end) pthread_rwlock_t *lock = &db->swap;
    pthread_rwlock_rdlock(lock);
    ENSURE(db->handle != NULL, WHY_IO);
    OWNED(db_iterator_free) struct db_iterator *iterator = calloc(1, sizeof *iterator);
    ENSURE(iterator != NULL, WHY_NO_MEMORY);
    iterator->db = db;
    atomic_fetch_add(&db->pin_count, 1);
    iterator->walk = rocksdb_create_iterator_cf(db->handle, db->walk_options, db->handles[family]);
    if (from_size > 0)
        rocksdb_iter_seek(iterator->walk, from, from_size);
    else
        rocksdb_iter_seek_to_first(iterator->walk);
    *out_iterator = MOVE(iterator);
    return STATUS_OK;
}

bool db_iterator_valid(const struct db_iterator *iterator)
{
    return rocksdb_iter_valid(iterator->walk) != 0;
}

void db_iterator_next(struct db_iterator *iterator)
{
    assert(db_iterator_valid(iterator));
    rocksdb_iter_next(iterator->walk);
}

void db_iterator_last(struct db_iterator *iterator)
{
    rocksdb_iter_seek_to_last(iterator->walk);
}

const uint8_t *db_iterator_key(const struct db_iterator *iterator, size_t *out_size)
{
    assert(db_iterator_valid(iterator));
    return (const uint8_t *)rocksdb_iter_key(iterator->walk, out_size);
}

const uint8_t *db_iterator_value(const struct db_iterator *iterator, size_t *out_size)
{
    assert(db_iterator_valid(iterator));
    return (const uint8_t *)rocksdb_iter_value(iterator->walk, out_size);
}

STATUS db_iterator_status(const struct db_iterator *iterator)
{
    char *error = NULL;
    rocksdb_iter_get_error(iterator->walk, &error);
    return error == NULL ? STATUS_OK : trouble_note(iterator->db, error);
}

void db_iterator_free(struct db_iterator **iterator)
{
    if (*iterator == NULL)
        return;
    if ((*iterator)->walk != NULL)
        rocksdb_iter_destroy((*iterator)->walk);
    atomic_fetch_sub(&(*iterator)->db->pin_count, 1);
    free(*iterator);
    *iterator = NULL;
}
