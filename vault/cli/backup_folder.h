/* SPDX-License-Identifier: Apache-2.0 */
/* vault/cli/backup_folder.h -- a folder of backups, read offline.
 *
 * In      the folder, and which of its backups.
 * Out     what it holds; one of them as a store, in a folder that goes away if nobody takes it.
 * Never   writes into the folder of backups.
 * Threads one.
 */
#ifndef VAULT_CLI_BACKUP_FOLDER_H
#define VAULT_CLI_BACKUP_FOLDER_H

#include <limits.h>
#include <stdint.h>

#include "base/backup.h"
#include "policies/audit_verify.h"
#include "vault/cli/cli.h"

/* A backup with the facts that lie beside it. */
struct backup_folder_row {
    struct db_backup backup;
    bool has_facts; /* Else what follows is empty: it was interrupted behind its last file. */
    char origin[NOTE_NAME_BYTES_MAX];
    int64_t records;
    int64_t entries;
    int64_t added_bytes;
    uint64_t signed_size; /* Of the checkpoint; its signature is for `verify`. */
    char signed_root[2 * MERKLE_HASH_BYTES + 1];
};

/* The oldest first; the sentence is said unless CLI_DONE. */
enum cli_exit backup_folder_list(const char *folder, struct backup_folder_row *out, unsigned room,
                                 unsigned *out_count);

/* A store made from a backup. */
struct backup_folder_store {
    uint32_t id;
    char path[PATH_MAX]; /* Removed by backup_folder_end(), unless "". */
    char origin[NOTE_NAME_BYTES_MAX];
    struct audit_verdict verdict;
};

/* Makes the store of --id (or the newest) of --from in a new folder beside `beside`, and verifies
 * its log with --verifier.  CLI_FOUND, with the sentence said, where a file or the log is not what
 * it was. */
enum cli_exit backup_folder_open(const struct cli_arguments *arguments, const char *beside,
                                 struct backup_folder_store *out_store);
void backup_folder_end(struct backup_folder_store *store);

#endif
