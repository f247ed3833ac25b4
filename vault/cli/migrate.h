/* SPDX-License-Identifier: Apache-2.0 */
/* vault/cli/migrate.h -- `cardkeep seal migrate`: another kind of seal for a running vault.
 *
 * In      the kind; to shares, the custodians.
 * Out     the request that somebody else approves.
 * Never   sees a root.
 * Threads one.
 */
#ifndef VAULT_CLI_MIGRATE_H
#define VAULT_CLI_MIGRATE_H

#include "vault/cli/cli.h"

struct daemon;

enum cli_exit migrate_run(const struct cli_arguments *arguments);

/* `cardkeep init` without custodians: for a vault whose configuration names an HSM.  Waits until
 * the HSM has the root, or says what stands in the way. */
enum cli_exit migrate_init(const struct cli_arguments *arguments, const struct daemon *daemon);

#endif
