/* SPDX-License-Identifier: Apache-2.0 */
/* vault/cli/migrate.h -- `cardkeep seal migrate`: another kind of seal for a running vault.
 *
 * In      the kind.
 * Out     the request that somebody else approves.
 * Never   sees a root.
 * Threads one.
 */
#ifndef VAULT_CLI_MIGRATE_H
#define VAULT_CLI_MIGRATE_H

#include "vault/cli/cli.h"

enum cli_exit migrate_run(const struct cli_arguments *arguments);

#endif
