/* SPDX-License-Identifier: Apache-2.0 */
#include "base/db_purge.h"

#include <assert.h>
#include <dirent.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/db_inside.h"
#include "base/encode.h"
#include "base/own.h"

#define LOOK_MS 20 /* RocksDB removes old files on threads of its own, and tells nobody. */
/* RocksDB begins a new manifest once its old one is as long as db_tune.c says, with the next change
 * of the store's files: each of these is one. */
#define CHANGES_MAX       512u
#define FORCE_BOTTOM      2 /* BottommostLevelCompaction::kForce: also what lies deepest already. */
#define FILES_MAX         65536u
#define NAME_BYTES_MAX    32u
#define DEFAULT_ROW       "purge" /* In RocksDB's own family, which nobody else uses. */
#define DEFAULT_ROW_BYTES (sizeof DEFAULT_ROW - 1)

struct names {
    char (*of)[NAME_BYTES_MAX];
    unsigned count;
};

struct purge {
    struct db *db;
    rocksdb_t *handle;
    unsigned families;
    int64_t end_ms;    /* By the clock that does not jump. */
    struct names logs; /* Those that are there when it begins. */
    struct names tables;
    struct names manifests;
    char *reason;
    size_t reason_size;
};

static void names_free(struct names *names)
{
    free(names->of);
    *names = (struct names){0};
}

static void purge_end(struct purge *purge)
{
    names_free(&purge->logs);
    names_free(&purge->tables);
    names_free(&purge->manifests);
    if (purge->handle != NULL)
        atomic_fetch_sub(&purge->db->pin_count, 1);
}

static void folder_end(DIR **folder)
{
    if (*folder != NULL)
        closedir(*folder);
}

static void files_end(const rocksdb_livefiles_t **files)
{
    if (*files != NULL)
        rocksdb_livefiles_destroy(*files);
}

static STATUS refuse(struct purge *purge, enum why why, const char *what)
{
    (void)snprintf(purge->reason, purge->reason_size, "%s", what);
    return FAIL(why);
}

static STATUS refuse_error(struct purge *purge, char *error)
{
    struct status status = refuse(purge, WHY_IO, error);

    rocksdb_free(error);
    return status;
}

static STATUS names_add(struct names *names, const char *name)
{
    ENSURE(names->count < FILES_MAX, WHY_LIMIT);
    ENSURE(strlen(name) < NAME_BYTES_MAX, WHY_LIMIT);
    void *grown = realloc(names->of, (names->count + 1) * sizeof *names->of);
    ENSURE(grown != NULL, WHY_NO_MEMORY);
    names->of = grown;
    (void)snprintf(names->of[names->count++], NAME_BYTES_MAX, "%s", name);
    return STATUS_OK;
}

static bool names_have(const struct names *names, const char *name)
{
    for (unsigned i = 0; i < names->count; i++)
        if (strcmp(names->of[i], name) == 0)
            return true;
    return false;
}

static bool is_numbered(const char *name, const char *tail)
{
    size_t digits = strspn(name, "0123456789");

    return digits > 0 && strcmp(name + digits, tail) == 0;
}

static STATUS files_list(const struct purge *purge, const char *tail, struct names *out_names)
{
    OWNED(folder_end) DIR *folder = opendir(purge->db->path);

    ENSURE(folder != NULL, WHY_IO);
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder))
        if (is_numbered(entry->d_name, tail))
            TRY(names_add(out_names, entry->d_name));
    return STATUS_OK;
}

static bool purge_covers(const struct purge *purge, const char *family)
{
    for (unsigned i = 0; i < purge->db->options.family_count; i++)
        if (strcmp(purge->db->families[i].name, family) == 0)
            return (purge->families & 1u << i) != 0;
    return false;
}

/* Of the tables in use those of the families to be purged, or those of all others.  RocksDB's names
 * of tables begin with a slash. */
static STATUS tables_in_use(const struct purge *purge, bool covered, struct names *out_names)
{
    OWNED(files_end) const rocksdb_livefiles_t *files = rocksdb_livefiles(purge->handle);

    for (int i = 0; i < rocksdb_livefiles_count(files); i++)
        if (purge_covers(purge, rocksdb_livefiles_column_family_name(files, i)) == covered)
            TRY(names_add(out_names, rocksdb_livefiles_name(files, i) + 1));
    return STATUS_OK;
}

static STATUS handle_pin(struct purge *purge)
{
    struct db *db = purge->db;

    pthread_rwlock_rdlock(&db->swap);
    purge->handle = db->handle;
    if (db->handle != NULL)
        atomic_fetch_add(&db->pin_count, 1);
    pthread_rwlock_unlock(&db->swap);
    return purge->handle != NULL ? STATUS_OK
                                 : refuse(purge, WHY_BUSY, "the store is being opened again");
}

static STATUS family_flush(struct purge *purge, unsigned family)
{
    rocksdb_flushoptions_t *options = rocksdb_flushoptions_create();
    char *error = NULL;

    rocksdb_flushoptions_set_wait(options, 1);
    rocksdb_flush_cf(purge->handle, options, purge->db->handles[family], &error);
    rocksdb_flushoptions_destroy(options);
    return error == NULL ? STATUS_OK : refuse_error(purge, error);
}

/* A row of no meaning in RocksDB's own family: the log that is being written holds something, so
 * that RocksDB begins another with the next flush. */
static STATUS default_touch(struct purge *purge)
{
    rocksdb_column_family_handle_t *family = purge->db->handles[purge->db->handle_count - 1];
    char *error = NULL;

    rocksdb_put_cf(purge->handle, purge->db->write_options, family, DEFAULT_ROW, DEFAULT_ROW_BYTES,
                   "", 0, &error);
    return error == NULL ? STATUS_OK : refuse_error(purge, error);
}

static STATUS rows_flush(struct purge *purge)
{
    TRY(default_touch(purge));
    for (unsigned i = 0; i < purge->db->handle_count; i++)
        TRY(family_flush(purge, i));
    return STATUS_OK;
}

static void tables_rewrite(struct purge *purge)
{
    rocksdb_compactoptions_t *options = rocksdb_compactoptions_create();

    rocksdb_compactoptions_set_bottommost_level_compaction(options, FORCE_BOTTOM);
    /* What others write has to be merged meanwhile, or they would be slowed down. */
    rocksdb_compactoptions_set_exclusive_manual_compaction(options, 0);
    for (unsigned i = 0; i < purge->db->options.family_count; i++)
        if ((purge->families & 1u << i) != 0)
            rocksdb_compact_range_cf_opt(purge->handle, purge->db->handles[i], options, NULL, 0,
                                         NULL, 0);
    rocksdb_compactoptions_destroy(options);
}

/* Lists of files hold the first and last key of each. */
static STATUS manifest_name(struct purge *purge, char out[static NAME_BYTES_MAX])
{
    char path[DB_PATH_BYTES_MAX + 16];
    char text[NAME_BYTES_MAX] = "";

    (void)snprintf(path, sizeof path, "%s/CURRENT", purge->db->path);
    FILE *file = fopen(path, "re");
    ENSURE(file != NULL, WHY_IO);
    bool good = fgets(text, sizeof text, file) != NULL;
    (void)fclose(file);
    ENSURE(good, WHY_IO);
    text[strcspn(text, "\n")] = '\0';
    memcpy(out, text, sizeof text);
    return STATUS_OK;
}

static STATUS manifest_renew(struct purge *purge)
{
    char before[NAME_BYTES_MAX];
    char now[NAME_BYTES_MAX];
    unsigned family = purge->db->handle_count - 1;

    TRY(manifest_name(purge, before));
    TRY(names_add(&purge->manifests, before));
    for (unsigned i = 0; i < CHANGES_MAX; i++) {
        TRY(default_touch(purge));
        TRY(family_flush(purge, family));
        TRY(manifest_name(purge, now));
        if (strcmp(before, now) != 0)
            return STATUS_OK;
    }
    return refuse(purge, WHY_IO, "RocksDB began no new manifest");
}

/* With something in it: the log that an earlier start left empty stays until the next one. */
static bool is_there(const struct purge *purge, const char *name)
{
    char path[DB_PATH_BYTES_MAX + NAME_BYTES_MAX + 2];
    struct stat info;

    (void)snprintf(path, sizeof path, "%s/%s", purge->db->path, name);
    return stat(path, &info) == 0 && info.st_size > 0;
}

/* Old files go once nobody reads them. */
static STATUS files_await(struct purge *purge, const struct names *names)
{
    for (unsigned i = 0; i < names->count; i++)
        while (is_there(purge, names->of[i])) {
            if (clock_monotonic_ms() > purge->end_ms) {
                (void)snprintf(purge->reason, purge->reason_size, "%s is still there",
                               names->of[i]);
                return FAIL(WHY_BUSY);
            }
            (void)poll(NULL, 0, LOOK_MS);
        }
    return STATUS_OK;
}

/* Every table that was there before, whoever made it, but those that other families use.  A
 * compaction says nothing of its failure: but then it leaves what it was to write anew. */
static STATUS tables_await(struct purge *purge, unsigned *out_count)
{
    struct names covered OWNED(names_free) = {0};
    struct names others OWNED(names_free) = {0};
    struct names gone OWNED(names_free) = {0};

    TRY(tables_in_use(purge, true, &covered));
    TRY(tables_in_use(purge, false, &others));
    for (unsigned i = 0; i < purge->tables.count; i++) {
        const char *name = purge->tables.of[i];
        if (names_have(&covered, name)) {
            (void)snprintf(purge->reason, purge->reason_size, "%s was not written anew", name);
            return FAIL(WHY_IO);
        }
        if (!names_have(&others, name))
            TRY(names_add(&gone, name));
    }
    *out_count = gone.count;
    return files_await(purge, &gone);
}

STATUS db_purge(struct db *db, const struct db_purge_want *want, struct db_purge *out_purge,
                char *reason, size_t reason_size)
{
    assert(!db->options.read_only);
    assert(reason_size > 0);
    assert(want->families >> db->options.family_count == 0);
    unsigned table_count = 0;
    struct purge purge OWNED(purge_end) = {
        .db = db,
        .families = want->families,
        .end_ms = clock_monotonic_ms() + want->patience_ms,
        .reason = reason,
        .reason_size = reason_size,
    };

    reason[0] = '\0';
    TRY(handle_pin(&purge));
    TRY(files_list(&purge, ".log", &purge.logs));
    TRY(rows_flush(&purge));
    TRY(files_list(&purge, ".sst", &purge.tables)); /* With what the flush made. */
    tables_rewrite(&purge);
    TRY(manifest_renew(&purge));
    TRY(tables_await(&purge, &table_count));
    TRY(files_await(&purge, &purge.logs));
    TRY(files_await(&purge, &purge.manifests));
    *out_purge = (struct db_purge){
        .tables = table_count, .logs = purge.logs.count, .manifests = purge.manifests.count};
    return STATUS_OK;
}
