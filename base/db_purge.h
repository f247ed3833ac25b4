/* SPDX-License-Identifier: Apache-2.0 */
/* base/db_purge.h -- makes deletions real.
 *
 * In      an open store, and families of which rows were deleted or written over.
 * Out     files that hold no byte of those rows: a deletion is a mark only, and what it marks lives
 *         on in tables, logs and manifests until they are written anew.
 * Never   stops a writer; says that it is done while a file is there that held such a row.
 * Threads any, one at a time, beside the store's writer.  Blocks for as long as it takes to write
 *         the families anew.
 */
#ifndef BASE_DB_PURGE_H
#define BASE_DB_PURGE_H

#include <stddef.h>

#include "base/db.h"

struct db_purge_want {
    unsigned families;   /* A bit for each: 1 << number. */
    int64_t patience_ms; /* For those who hold on to an old file: a walk, a backup. */
};

struct db_purge {
    unsigned tables;    /* Files of rows that are gone. */
    unsigned logs;      /* Write-ahead logs that are. */
    unsigned manifests; /* And lists of files, which hold rows' keys. */
};

/* On success no file stays that was there before the call and held anything of these families.  On
 * failure `reason` says why: WHY_BUSY (the store is being opened again, or somebody holds on to an
 * old file), WHY_IO. */
STATUS db_purge(struct db *db, const struct db_purge_want *want, struct db_purge *out_purge,
                char *reason, size_t reason_size);

#endif
