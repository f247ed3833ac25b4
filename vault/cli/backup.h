/* SPDX-License-Identifier: Apache-2.0 */
/* vault/cli/backup.h -- `cardkeep backup create|list|verify|restore`.
 *
 * In      a running daemon (create), or a folder of backups; the verifier key of the log in them.
 * Out     backups, what they hold, and stores made from them.
 * Never   opens a record: the seal is the vault's (cardkeep-vault --verify-store); shows a store
 *         under its name before all that can be proven without the seal was proven.
 * Threads one.
 */
#ifndef VAULT_CLI_BACKUP_H
#define VAULT_CLI_BACKUP_H

#include "vault/cli/cli.h"

enum cli_exit backup_create_command(const struct cli_arguments *arguments);
enum cli_exit backup_list_command(const struct cli_arguments *arguments);
enum cli_exit backup_verify_command(const struct cli_arguments *arguments);
enum cli_exit backup_restore_command(const struct cli_arguments *arguments);

#endif
