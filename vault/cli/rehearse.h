/* SPDX-License-Identifier: Apache-2.0 */
/* vault/cli/rehearse.h -- `cardkeep rehearse`: would the shares open the backup?
 *
 * In      a folder of backups; the shares, on standard input.
 * Out     a store made of a backup, opened with them, every row of it read, and gone again; an
 *         entry in the log of the vault that runs.
 * Never   touches the vault's own store; sees a share: the daemon that opens the store reads them.
 * Threads one.
 */
#ifndef VAULT_CLI_REHEARSE_H
#define VAULT_CLI_REHEARSE_H

#include "vault/cli/cli.h"

enum cli_exit rehearse_command(const struct cli_arguments *arguments);

#endif
