/* SPDX-License-Identifier: Apache-2.0 */
/* vault/cli/store_check.h -- `cardkeep store check`: is every row what was written last?
 *
 * In      a vault's configuration; the signer's .pub file.
 * Out     what `cardkeep-vault --verify-store` finds: it alone holds the keys, so it is run, with
 *         this program's output as its own.
 * Never   links a key or a row; asks a running daemon.
 * Threads one.
 */
#ifndef VAULT_CLI_STORE_CHECK_H
#define VAULT_CLI_STORE_CHECK_H

#include "vault/cli/cli.h"

/* Runs the daemon that was installed with this program, with these words (NULL-terminated); its
 * standard input is this one's. */
enum cli_exit store_check_spawn(const char *const *own_words);

enum cli_exit store_check_command(const struct cli_arguments *arguments);

#endif
