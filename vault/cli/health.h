/* SPDX-License-Identifier: Apache-2.0 */
/* vault/cli/health.h -- `cardkeep status`: are the vault and the relay ready?
 *
 * In      the command line's configuration.
 * Out     one line each.
 * Never   stops at the first that does not answer.
 * Threads one.
 */
#ifndef VAULT_CLI_HEALTH_H
#define VAULT_CLI_HEALTH_H

#include "vault/cli/cli.h"

enum cli_exit health_status(const struct cli_arguments *arguments);

#endif
