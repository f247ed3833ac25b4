/* SPDX-License-Identifier: Apache-2.0 */
/* base/backup.h -- a daemon's backups: taken on a thread of their own, when asked and by the clock.
 *
 * In      a store that is at work, and where its backups go.
 * Out     backups as base/db_backup.h takes them, each with a file of facts beside it (what the
 *         store held when it was begun); what became of the last one.
 * Never   holds up the thread that asks; mixes the backups of two logs in one folder.
 * Threads the owner's one; the copying has its own.
 *
 * In the folder, besides what RocksDB keeps there: `origin` (the log's name), `lock`, and
 * facts/ID.json.
 */
#ifndef BASE_BACKUP_H
#define BASE_BACKUP_H

#include <stdbool.h>

#include "base/buffer.h"
#include "base/db_backup.h"

#define BACKUP_LIST_MAX       256u
#define BACKUP_FACTS_MAX      (32u << 10)
#define BACKUP_CHECKPOINT_MAX (16u << 10)
#define BACKUP_CODE_MAX       24u

struct backup;

struct backup_options {
    const char *folder; /* Made where it is missing; its parent must be there. */
    const char *origin;
    unsigned keep;    /* How many stay. */
    int64_t every_ms; /* 0: only when asked. */
};

/* What the store holds at least when a backup is begun. */
struct backup_facts {
    uint64_t records;       /* About. */
    uint64_t entries;       /* Of the audit log. */
    const char *checkpoint; /* Its newest signed note; "": none. */
    bool alone;             /* Once it is there all older ones go, whatever `keep` says. */
};

struct backup_result {
    bool good;
    char code[BACKUP_CODE_MAX]; /* "ok", or what is wrong: no_space, foreign_folder, … */
    char detail[DB_BACKUP_REASON_MAX];
    int64_t started_ms;
    int64_t ended_ms;
    struct db_backup backup; /* The rest where it is good. */
    uint64_t added_bytes;    /* Beyond what older backups held already. */
    uint64_t entries;
};

/* Copies the options; `db` is lent and must outlive it. */
STATUS backup_new(const struct backup_options *options, struct db *db, struct backup **out_backup);
/* Waits for the one under way. */
void backup_free(struct backup **backup);

/* Begins one.  WHY_BUSY: one is under way. */
STATUS backup_start(struct backup *backup, const struct backup_facts *facts, int64_t now_ms);
bool backup_is_running(const struct backup *backup);
/* By the clock: never while one is under way. */
bool backup_is_due(const struct backup *backup, int64_t now_ms);

/* Readable when one has ended: then backup_collect() lends its result, else NULL. */
int backup_fd(const struct backup *backup);
const struct backup_result *backup_collect(struct backup *backup);

/* Of the one that ended last; NULL: none did, or one is under way. */
const struct backup_result *backup_last(const struct backup *backup);

/* {"configured", "running", "last": null or {…}}, for the API; NULL: none are configured. */
void backup_write(const struct backup *backup, struct buffer *out);

/* The facts file of a backup, as JSON.  WHY_NOT_FOUND: it has none. */
STATUS backup_facts_read(const char *folder, uint32_t id, struct buffer *out);

#endif
