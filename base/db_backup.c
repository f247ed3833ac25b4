/* SPDX-License-Identifier: Apache-2.0 */
#include "base/db_backup.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/db_inside.h"
#include "base/own.h"

/* Reading and writing a whole store must leave the disk to those who wait for a sync. */
#define BACKUP_BYTES_PER_SECOND (128u << 20)

/* The engine with what it stands on. */
struct engine {
    rocksdb_backup_engine_t *handle;
    rocksdb_backup_engine_options_t *options;
    rocksdb_env_t *env;
};

static void engine_close(struct engine *engine)
{
    if (engine->handle != NULL)
        rocksdb_backup_engine_close(engine->handle);
    if (engine->options != NULL)
        rocksdb_backup_engine_options_destroy(engine->options);
    if (engine->env != NULL)
        rocksdb_env_destroy(engine->env);
    *engine = (struct engine){0};
}

/* RocksDB's errors come as text alone. */
static enum why backup_why(const char *error)
{
    if (strncmp(error, "Corruption", 10) == 0)
        return WHY_FORGED;
    if (strncmp(error, "Not found", 9) == 0 || strncmp(error, "NotFound", 8) == 0)
        return WHY_NOT_FOUND;
    if (strstr(error, "No space left") != NULL || strstr(error, "File too large") != NULL ||
        strstr(error, "Disk quota exceeded") != NULL)
        return WHY_LIMIT;
    return WHY_IO;
}

static STATUS backup_failed(char *error, char *reason, size_t reason_size)
{
    enum why why = backup_why(error);

    snprintf(reason, reason_size, "%s", error);
    rocksdb_free(error);
    return FAIL(why);
}

static STATUS engine_open(const char *folder, struct engine *out_engine, char *reason,
                          size_t reason_size)
{
    struct engine engine OWNED(engine_close) = {0};
    char *error = NULL;

    engine.env = rocksdb_create_default_env();
    engine.options = rocksdb_backup_engine_options_create(folder);
    rocksdb_backup_engine_options_set_backup_rate_limit(engine.options, BACKUP_BYTES_PER_SECOND);
    engine.handle = rocksdb_backup_engine_open_opts(engine.options, engine.env, &error);
    if (error != NULL) {
        engine.handle = NULL;
        return backup_failed(error, reason, reason_size);
    }
    *out_engine = engine;
    engine = (struct engine){0};
    return STATUS_OK;
}

static void infos_end(const rocksdb_backup_engine_info_t **infos)
{
    if (*infos != NULL)
        rocksdb_backup_engine_info_destroy(*infos);
}

static struct db_backup info_at(const rocksdb_backup_engine_info_t *infos, int index)
{
    return (struct db_backup){
        .id = rocksdb_backup_engine_info_backup_id(infos, index),
        .created_ms = rocksdb_backup_engine_info_timestamp(infos, index) * 1000,
        .bytes = rocksdb_backup_engine_info_size(infos, index),
        .files = rocksdb_backup_engine_info_number_files(infos, index),
    };
}

/* The handle stays where it is while it is pinned; its lock is not held, so that nobody who wants
 * to open the store again waits for a whole backup. */
static STATUS handle_pin(struct db *db, rocksdb_t **out_handle)
{
    pthread_rwlock_rdlock(&db->swap);
    *out_handle = db->handle;
    if (db->handle != NULL)
        atomic_fetch_add(&db->pin_count, 1);
    pthread_rwlock_unlock(&db->swap);
    ENSURE(*out_handle != NULL, WHY_BUSY);
    return STATUS_OK;
}

STATUS db_backup_create(struct db *db, const char *folder, struct db_backup *out_backup,
                        char *reason, size_t reason_size)
{
    assert(reason_size > 0);
    struct engine engine OWNED(engine_close) = {0};
    OWNED(infos_end) const rocksdb_backup_engine_info_t *infos = NULL;
    rocksdb_t *handle = NULL;
    char *error = NULL;

    reason[0] = '\0';
    TRY(engine_open(folder, &engine, reason, reason_size));
    TRY(handle_pin(db, &handle));
    /* With a flush, so that what is in memory becomes a file that later backups share; without one
     * each of them would copy the whole log. */
    rocksdb_backup_engine_create_new_backup_flush(engine.handle, handle, 1, &error);
    atomic_fetch_sub(&db->pin_count, 1);
    if (error != NULL) /* The engine has taken away what it had made of it. */
        return backup_failed(error, reason, reason_size);
    infos = rocksdb_backup_engine_get_backup_info(engine.handle);
    int count = rocksdb_backup_engine_info_count(infos);
    ENSURE(count > 0, WHY_IO);
    *out_backup = info_at(infos, count - 1);
    return STATUS_OK;
}

/* The engine makes the folders that it misses: it is not let loose on one that is none of its. */
static STATUS folder_check(const char *folder, char *reason, size_t reason_size)
{
    char meta[DB_PATH_BYTES_MAX];

    int length = snprintf(meta, sizeof meta, "%s/meta", folder);
    ENSURE(length > 0 && (size_t)length < sizeof meta, WHY_LIMIT);
    if (access(meta, R_OK | X_OK) == 0)
        return STATUS_OK;
    snprintf(reason, reason_size, "%s: holds no backups", folder);
    return FAIL(WHY_NOT_FOUND);
}

STATUS db_backup_drop(const char *folder, unsigned keep, char *reason, size_t reason_size)
{
    assert(keep > 0);
    struct engine engine OWNED(engine_close) = {0};
    char *error = NULL;

    reason[0] = '\0';
    TRY(folder_check(folder, reason, reason_size));
    TRY(engine_open(folder, &engine, reason, reason_size));
    rocksdb_backup_engine_purge_old_backups(engine.handle, keep, &error);
    return error == NULL ? STATUS_OK : backup_failed(error, reason, reason_size);
}

STATUS db_backup_list(const char *folder, struct db_backup *out, unsigned room, unsigned *out_count,
                      char *reason, size_t reason_size)
{
    struct engine engine OWNED(engine_close) = {0};
    OWNED(infos_end) const rocksdb_backup_engine_info_t *infos = NULL;

    reason[0] = '\0';
    TRY(folder_check(folder, reason, reason_size));
    TRY(engine_open(folder, &engine, reason, reason_size));
    infos = rocksdb_backup_engine_get_backup_info(engine.handle);
    int count = rocksdb_backup_engine_info_count(infos);
    int first = count > (int)room ? count - (int)room : 0;
    for (int i = first; i < count; i++)
        out[i - first] = info_at(infos, i);
    *out_count = (unsigned)(count - first);
    return STATUS_OK;
}

static void descriptor_end(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void folder_end(DIR **dir)
{
    if (*dir != NULL)
        closedir(*dir);
}

/* The engine does not sync what it restores. */
static STATUS folder_sync(const char *path)
{
    OWNED(folder_end) DIR *dir = opendir(path);
    ENSURE(dir != NULL, WHY_IO);
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        ENSURE(entry != NULL || errno == 0, WHY_IO);
        if (entry == NULL)
            break;
        if (entry->d_name[0] == '.')
            continue;
        OWNED(descriptor_end)
        int fd = openat(dirfd(dir), entry->d_name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        ENSURE(fd >= 0, WHY_IO);
        ENSURE(fsync(fd) == 0, WHY_IO);
    }
    ENSURE(fsync(dirfd(dir)) == 0, WHY_IO);
    return STATUS_OK;
}

static bool backup_is_there(const struct engine *engine, uint32_t id)
{
    OWNED(infos_end)
    const rocksdb_backup_engine_info_t *infos =
        rocksdb_backup_engine_get_backup_info(engine->handle);

    for (int i = 0; i < rocksdb_backup_engine_info_count(infos); i++)
        if (rocksdb_backup_engine_info_backup_id(infos, i) == id)
            return true;
    return false;
}

STATUS db_backup_restore(const char *folder, uint32_t id, const char *to, char *reason,
                         size_t reason_size)
{
    struct engine engine OWNED(engine_close) = {0};
    char *error = NULL;

    reason[0] = '\0';
    TRY(folder_check(folder, reason, reason_size));
    TRY(engine_open(folder, &engine, reason, reason_size));
    if (!backup_is_there(&engine, id)) {
        snprintf(reason, reason_size, "%s: holds no whole backup %u", folder, (unsigned)id);
        return FAIL(WHY_NOT_FOUND);
    }
    snprintf(reason, reason_size, "%s: cannot be made, or is not empty", to);
    ENSURE(mkdir(to, 0700) == 0 || (errno == EEXIST && rmdir(to) == 0 && mkdir(to, 0700) == 0),
           WHY_CONFLICT);
    reason[0] = '\0';
    rocksdb_restore_options_t *options = rocksdb_restore_options_create();
    rocksdb_backup_engine_restore_db_from_backup(engine.handle, to, to, options, id, &error);
    rocksdb_restore_options_destroy(options);
    if (error != NULL)
        return backup_failed(error, reason, reason_size);
    return folder_sync(to);
}

uint64_t db_backup_rows(struct db *db, unsigned family)
{
    assert(family < db->options.family_count);
    uint64_t rows = 0;

    pthread_rwlock_rdlock(&db->swap);
    if (db->handle != NULL && rocksdb_property_int_cf(db->handle, db->handles[family],
                                                      "rocksdb.estimate-num-keys", &rows) != 0)
        rows = 0;
    pthread_rwlock_unlock(&db->swap);
    return rows;
}
