/* SPDX-License-Identifier: Apache-2.0 */
/* vault/cli/inventory.h -- `cardkeep keys inventory`: the cryptographic architecture, whole.
 *
 * In      the vault's inventory and all its keys; the relay's certificates.
 * Out     a report for people; with --json one object, as keys/inventory.schema.json has it.
 * Never   leaves a key out.
 * Threads one.
 */
#ifndef VAULT_CLI_INVENTORY_H
#define VAULT_CLI_INVENTORY_H

#include "vault/cli/cli.h"

enum cli_exit inventory_run(const struct cli_arguments *arguments);

#endif
