/* SPDX-License-Identifier: Apache-2.0 */
/* vault/cli/help.h -- `cardkeep help`, with examples that can be pasted.
 *
 * In      a noun, or none.
 * Out     text on stdout.
 * Never   needs a daemon or a configuration.
 * Threads one.
 */
#ifndef VAULT_CLI_HELP_H
#define VAULT_CLI_HELP_H

#include "vault/cli/cli.h"

enum cli_exit help_run(const struct cli_arguments *arguments);

#endif
