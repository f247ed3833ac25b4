/* SPDX-License-Identifier: Apache-2.0 */
/* vault/cli/signer.h -- `cardkeep signer show|rotate`: which key signs a daemon's audit log.
 *
 * In      vault or relay.
 * Out     the key, since when and until when; the next one.
 * Never   sees a seed.
 * Threads one.
 */
#ifndef VAULT_CLI_SIGNER_H
#define VAULT_CLI_SIGNER_H

#include "vault/cli/cli.h"

enum cli_exit signer_show_command(const struct cli_arguments *arguments);
enum cli_exit signer_rotate_command(const struct cli_arguments *arguments);

#endif
