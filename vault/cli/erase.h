/* SPDX-License-Identifier: Apache-2.0 */
/* vault/cli/erase.h -- `cardkeep erase token|tenant|epoch|show` and `cardkeep retention report`.
 *
 * In      what is to be erased; nothing of a card.
 * Out     the request that waits for a second person, or the report; CLI_FOUND where bytes were
 *         found that are to be gone, or records that are kept for longer than their time.
 * Never   says that something is gone before the vault's search has ended.
 * Threads one.
 */
#ifndef VAULT_CLI_ERASE_H
#define VAULT_CLI_ERASE_H

#include "vault/cli/cli.h"

enum cli_exit erase_token_run(const struct cli_arguments *arguments);
enum cli_exit erase_tenant_run(const struct cli_arguments *arguments);
enum cli_exit erase_epoch_run(const struct cli_arguments *arguments);
enum cli_exit erase_show_run(const struct cli_arguments *arguments);
enum cli_exit erase_retention_run(const struct cli_arguments *arguments);

#endif
