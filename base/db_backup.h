/* SPDX-License-Identifier: Apache-2.0 */
/* base/db_backup.h -- copies of a store, taken while it is at work, by RocksDB's backup engine.
 *
 * In      an open store and a folder; later the folder alone.
 * Out     numbered backups that share the files they have in common; a store again.
 * Never   stops a writer; leaves half a backup that counts as one; restores a file whose checksum
 *         is not the one that was written down.
 * Threads any, one at a time for each folder; db_backup_create() beside the store's writer.
 */
#ifndef BASE_DB_BACKUP_H
#define BASE_DB_BACKUP_H

#include <stdint.h>

#include "base/db.h"
#include "base/status.h"

#define DB_BACKUP_REASON_MAX 256u

struct db_backup {
    uint32_t id; /* From 1; never used again within a folder, as long as the newest is there. */
    int64_t created_ms;
    uint64_t bytes; /* Of all its files, the shared ones among them. */
    uint32_t files;
};

/* Takes one.  It holds every batch that was committed before the call.  `folder` must exist.  On
 * failure nothing of it stays, the older ones are as they were, and `reason` says what RocksDB
 * said: WHY_LIMIT (no room), WHY_BUSY (the store is being opened again), WHY_FORGED (corruption),
 * WHY_IO. */
STATUS db_backup_create(struct db *db, const char *folder, struct db_backup *out_backup,
                        char *reason, size_t reason_size);

/* Lets go of all but the newest `keep`, and of what an interrupted one left behind. */
STATUS db_backup_drop(const char *folder, unsigned keep, char *reason, size_t reason_size);

/* The oldest first, at most `room` of them: the newest `room` where there are more.  WHY_NOT_FOUND:
 * the folder holds no backups. */
STATUS db_backup_list(const char *folder, struct db_backup *out, unsigned room, unsigned *out_count,
                      char *reason, size_t reason_size);

/* Makes the store that the backup holds, in the folder `to`, which must be empty or missing, and
 * syncs it.  Every file's checksum is compared.  WHY_NOT_FOUND: no such backup, or not whole;
 * WHY_FORGED: a file is not what was backed up; WHY_LIMIT: no room; WHY_IO. */
STATUS db_backup_restore(const char *folder, uint32_t id, const char *to, char *reason,
                         size_t reason_size);

/* About how many rows a family holds, without reading them. */
uint64_t db_backup_rows(struct db *db, unsigned family);

#endif
