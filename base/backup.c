/* SPDX-License-Identifier: Apache-2.0 */
#include "base/backup.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/encode.h"
#include "base/json.h"
#include "base/own.h"

#define PATH_BYTES_MAX   4096u
#define ORIGIN_BYTES_MAX 256u
/* After a failure the clock does not wait a whole day. */
#define AGAIN_MS (15 * 60 * 1000LL)

struct backup {
    char folder[PATH_BYTES_MAX];
    char origin[ORIGIN_BYTES_MAX];
    unsigned keep;
    int64_t every_ms;
    struct db *db;
    int fd;
    bool running;
    bool has_run;
    int64_t due_ms;
    pthread_t thread;

    /* The thread's while it runs. */
    struct backup_facts facts;
    char checkpoint[BACKUP_CHECKPOINT_MAX];
    struct backup_result result;
};

static void descriptor_end(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void walk_end(FTS **walk)
{
    if (*walk != NULL)
        fts_close(*walk);
}

/* --- On the thread --- */

static STATUS refuse(struct backup *backup, enum why why, const char *code, const char *detail)
{
    struct backup_result *result = &backup->result;

    (void)snprintf(result->code, sizeof result->code, "%s", code);
    if (detail != NULL)
        (void)snprintf(result->detail, sizeof result->detail, "%s", detail);
    return FAIL(why);
}

static STATUS refuse_errno(struct backup *backup, const char *what)
{
    char detail[DB_BACKUP_REASON_MAX];
    bool full = errno == ENOSPC || errno == EDQUOT || errno == EFBIG;

    (void)snprintf(detail, sizeof detail, "%s: %s", what, strerror(errno));
    return refuse(backup, full ? WHY_LIMIT : WHY_IO, full ? "no_space" : "io", detail);
}

/* The failure of db_backup.h's functions, which left their words in the detail. */
static STATUS refuse_engine(struct backup *backup, struct status status)
{
    const char *code = status.why == WHY_LIMIT    ? "no_space"
                       : status.why == WHY_FORGED ? "corrupt"
                       : status.why == WHY_BUSY   ? "busy"
                                                  : "io";
    return refuse(backup, status.why, code, NULL);
}

static uint64_t bytes_in(const char *folder)
{
    char path[PATH_BYTES_MAX];
    char *const roots[] = {path, NULL};
    uint64_t bytes = 0;

    (void)snprintf(path, sizeof path, "%s", folder);
    OWNED(walk_end) FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    for (FTSENT *at = walk == NULL ? NULL : fts_read(walk); at != NULL; at = fts_read(walk))
        if (at->fts_info == FTS_F)
            bytes += (uint64_t)at->fts_statp->st_size;
    return bytes;
}

/* Whole or not at all. */
static STATUS file_replace(struct backup *backup, int folder, const char *name, const void *bytes,
                           size_t size)
{
    char temporary[80];

    (void)snprintf(temporary, sizeof temporary, "%s.new", name);
    OWNED(descriptor_end)
    int fd = openat(folder, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return refuse_errno(backup, name);
    if (write(fd, bytes, size) != (ssize_t)size || fsync(fd) != 0 ||
        renameat(folder, temporary, folder, name) != 0 || fsync(folder) != 0) {
        struct status status = refuse_errno(backup, name);
        (void)unlinkat(folder, temporary, 0);
        return status;
    }
    return STATUS_OK;
}

static STATUS origin_check(struct backup *backup, int folder)
{
    char found[ORIGIN_BYTES_MAX] = "";
    OWNED(descriptor_end) int fd = openat(folder, "origin", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

    if (fd < 0 && errno == ENOENT)
        return file_replace(backup, folder, "origin", backup->origin, strlen(backup->origin));
    if (fd < 0 || read(fd, found, sizeof found - 1) < 0)
        return refuse_errno(backup, "origin");
    if (strcmp(found, backup->origin) != 0)
        return refuse(backup, WHY_CONFLICT, "foreign_folder",
                      "the folder holds the backups of another log");
    return STATUS_OK;
}

/* The folder, its lock held by *out_lock, known to be this log's. */
static STATUS folder_open(struct backup *backup, int *out_folder, int *out_lock)
{
    if (mkdir(backup->folder, 0700) != 0 && errno != EEXIST)
        return refuse_errno(backup, backup->folder);
    *out_folder = open(backup->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*out_folder < 0)
        return refuse_errno(backup, backup->folder);
    *out_lock = openat(*out_folder, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (*out_lock < 0)
        return refuse_errno(backup, "lock");
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fcntl(*out_lock, F_SETLK, &whole) != 0)
        return refuse(backup, WHY_BUSY, "busy", "another process works in the folder");
    TRY(origin_check(backup, *out_folder));
    if ((mkdirat(*out_folder, "facts", 0700) != 0 && errno != EEXIST) || fsync(*out_folder) != 0)
        return refuse_errno(backup, "facts");
    return STATUS_OK;
}

static STATUS facts_write(struct backup *backup, int folder)
{
    struct buffer text OWNED(buffer_free) = BUFFER(BACKUP_FACTS_MAX);
    struct json_writer writer = json_writer_over(&text);
    const struct backup_result *result = &backup->result;
    char time[CLOCK_TEXT_SIZE];
    char name[64];
    OWNED(descriptor_end) int facts = openat(folder, "facts", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (facts < 0)
        return refuse_errno(backup, "facts");
    clock_text(result->started_ms, time);
    json_begin_object(&writer);
    json_put_member_int(&writer, "id", result->backup.id);
    json_put_member(&writer, "origin", backup->origin);
    json_put_member(&writer, "started_at", time);
    json_put_member_int(&writer, "records", (int64_t)backup->facts.records);
    json_put_member_int(&writer, "entries", (int64_t)backup->facts.entries);
    json_put_member_int(&writer, "bytes", (int64_t)result->backup.bytes);
    json_put_member_int(&writer, "added_bytes", (int64_t)result->added_bytes);
    json_put_member(&writer, "checkpoint", backup->checkpoint);
    json_end_object(&writer);
    buffer_add_text(&text, "\n");
    TRY(buffer_status(&text));
    (void)snprintf(name, sizeof name, "%u.json", (unsigned)result->backup.id);
    return file_replace(backup, facts, name, text.bytes, text.size);
}

/* Facts of backups that are gone go too. */
static void facts_tidy(const struct backup *backup, int folder)
{
    struct db_backup kept[BACKUP_LIST_MAX];
    char reason[DB_BACKUP_REASON_MAX];
    char name[64];
    unsigned count = 0;

    if (failed(
            db_backup_list(backup->folder, kept, BACKUP_LIST_MAX, &count, reason, sizeof reason)) ||
        count == 0)
        return;
    for (uint32_t id = kept[0].id; id-- > 1;) {
        (void)snprintf(name, sizeof name, "facts/%u.json", (unsigned)id);
        if (unlinkat(folder, name, 0) != 0)
            return; /* Those before it went with an earlier one. */
    }
}

static STATUS backup_take(struct backup *backup)
{
    OWNED(descriptor_end) int folder = -1;
    OWNED(descriptor_end) int lock = -1;
    struct backup_result *result = &backup->result;

    TRY(folder_open(backup, &folder, &lock));
    uint64_t before = bytes_in(backup->folder);
    struct status status = db_backup_create(backup->db, backup->folder, &result->backup,
                                            result->detail, sizeof result->detail);
    if (failed(status))
        return refuse_engine(backup, status);
    uint64_t after = bytes_in(backup->folder);
    result->added_bytes = after > before ? after - before : 0;
    if (result->added_bytes > result->backup.bytes)
        result->added_bytes = result->backup.bytes; /* The rest is what lists its files. */
    result->entries = backup->facts.entries;
    TRY(facts_write(backup, folder));
    unsigned keep = backup->facts.alone ? 1 : backup->keep;
    status = db_backup_drop(backup->folder, keep, result->detail, sizeof result->detail);
    if (failed(status))
        return refuse_engine(backup, status);
    facts_tidy(backup, folder);
    return STATUS_OK;
}

static void *backup_run(void *owner)
{
    static const uint64_t one = 1;
    struct backup *backup = owner;
    struct status status = backup_take(backup);

    backup->result.good = !failed(status);
    if (!failed(status))
        (void)snprintf(backup->result.code, sizeof backup->result.code, "ok");
    else if (backup->result.code[0] == '\0')
        (void)snprintf(backup->result.code, sizeof backup->result.code, "%s", "failed");
    backup->result.ended_ms = clock_now_ms();
    /* An eventfd takes a first 1 always. */
    ssize_t written = write(backup->fd, &one, sizeof one);
    assert(written == sizeof one);
    return NULL;
}

/* --- On the owner's --- */

/* A restart does not begin the clock anew. */
static int64_t first_due(const struct backup *backup)
{
    struct db_backup newest;
    char reason[DB_BACKUP_REASON_MAX];
    unsigned count = 0;

    if (failed(db_backup_list(backup->folder, &newest, 1, &count, reason, sizeof reason)) ||
        count == 0)
        return 0;
    return newest.created_ms + backup->every_ms;
}

STATUS backup_new(const struct backup_options *options, struct db *db, struct backup **out_backup)
{
    assert(options->keep > 0);
    assert(options->folder != NULL);
    ENSURE(strlen(options->folder) < PATH_BYTES_MAX - 64, WHY_LIMIT);
    ENSURE(strlen(options->origin) < ORIGIN_BYTES_MAX, WHY_LIMIT);
    OWNED(backup_free) struct backup *backup = calloc(1, sizeof *backup);
    ENSURE(backup != NULL, WHY_NO_MEMORY);

    backup->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    ENSURE(backup->fd >= 0, WHY_IO);
    (void)snprintf(backup->folder, sizeof backup->folder, "%s", options->folder);
    (void)snprintf(backup->origin, sizeof backup->origin, "%s", options->origin);
    backup->keep = options->keep;
    backup->every_ms = options->every_ms;
    backup->db = db;
    if (backup->every_ms > 0)
        backup->due_ms = first_due(backup);
    *out_backup = MOVE(backup);
    return STATUS_OK;
}

void backup_free(struct backup **backup)
{
    if (*backup == NULL)
        return;
    if ((*backup)->running)
        (void)pthread_join((*backup)->thread, NULL);
    descriptor_end(&(*backup)->fd);
    free(*backup);
    *backup = NULL;
}

STATUS backup_start(struct backup *backup, const struct backup_facts *facts, int64_t now_ms)
{
    sigset_t all;
    sigset_t before;

    ENSURE(!backup->running, WHY_BUSY);
    ENSURE(strlen(facts->checkpoint) < sizeof backup->checkpoint, WHY_LIMIT);
    backup->result = (struct backup_result){.started_ms = now_ms};
    backup->facts = *facts;
    (void)snprintf(backup->checkpoint, sizeof backup->checkpoint, "%s", facts->checkpoint);
    backup->facts.checkpoint = backup->checkpoint;
    sigfillset(&all);
    ENSURE(pthread_sigmask(SIG_BLOCK, &all, &before) == 0, WHY_IO);
    int rc = pthread_create(&backup->thread, NULL, backup_run, backup);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    ENSURE(rc == 0, WHY_NO_MEMORY);
    backup->running = true;
    return STATUS_OK;
}

bool backup_is_running(const struct backup *backup)
{
    return backup->running;
}

bool backup_is_due(const struct backup *backup, int64_t now_ms)
{
    return backup->every_ms > 0 && !backup->running && now_ms >= backup->due_ms;
}

int backup_fd(const struct backup *backup)
{
    return backup->fd;
}

const struct backup_result *backup_collect(struct backup *backup)
{
    uint64_t ended = 0;

    if (!backup->running || read(backup->fd, &ended, sizeof ended) != sizeof ended)
        return NULL;
    (void)pthread_join(backup->thread, NULL);
    backup->running = false;
    backup->has_run = true;
    int64_t wait_ms = backup->every_ms;
    if (!backup->result.good && wait_ms > AGAIN_MS)
        wait_ms = AGAIN_MS;
    backup->due_ms = backup->result.started_ms + wait_ms;
    return &backup->result;
}

static void write_time(struct json_writer *writer, const char *name, int64_t ms)
{
    char text[CLOCK_TEXT_SIZE];

    clock_text(ms, text);
    json_put_member(writer, name, text);
}

static void write_last(const struct backup_result *result, struct json_writer *writer)
{
    json_begin_object(writer);
    json_put_member(writer, "state", result->good ? "done" : "failed");
    json_put_member(writer, "code", result->code);
    json_put_member(writer, "detail", result->good ? "" : result->detail);
    write_time(writer, "started_at", result->started_ms);
    write_time(writer, "ended_at", result->ended_ms);
    if (result->good) {
        json_put_member_int(writer, "id", result->backup.id);
        json_put_member_int(writer, "bytes", (int64_t)result->backup.bytes);
        json_put_member_int(writer, "added_bytes", (int64_t)result->added_bytes);
        json_put_member_int(writer, "files", result->backup.files);
        json_put_member_int(writer, "entries", (int64_t)result->entries);
    }
    json_end_object(writer);
}

const struct backup_result *backup_last(const struct backup *backup)
{
    return backup->running || !backup->has_run ? NULL : &backup->result;
}

void backup_write(const struct backup *backup, struct buffer *out)
{
    struct json_writer writer = json_writer_over(out);

    json_begin_object(&writer);
    json_put_member_bool(&writer, "configured", backup != NULL);
    json_put_member_bool(&writer, "running", backup != NULL && backup->running);
    json_key(&writer, "last");
    /* While one runs its result is the thread's. */
    if (backup == NULL || backup->running || !backup->has_run)
        json_put_null(&writer);
    else
        write_last(&backup->result, &writer);
    json_end_object(&writer);
}

STATUS backup_facts_read(const char *folder, uint32_t id, struct buffer *out)
{
    char path[PATH_BYTES_MAX];

    int length = snprintf(path, sizeof path, "%s/facts/%u.json", folder, (unsigned)id);
    ENSURE(length > 0 && (size_t)length < sizeof path, WHY_LIMIT);
    OWNED(descriptor_end) int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    ENSURE(fd >= 0 || errno != ENOENT, WHY_NOT_FOUND);
    ENSURE(fd >= 0, WHY_IO);
    buffer_clear(out);
    uint8_t *room = buffer_extend(out, BACKUP_FACTS_MAX);
    ENSURE(room != NULL, WHY_NO_MEMORY);
    ssize_t size = read(fd, room, BACKUP_FACTS_MAX);
    ENSURE(size >= 0, WHY_IO);
    out->size = (size_t)size;
    return STATUS_OK;
}
