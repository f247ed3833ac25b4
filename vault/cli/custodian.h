/* SPDX-License-Identifier: Apache-2.0 */
/* vault/cli/custodian.h -- `cardkeep custodian`: what somebody does who holds a share.
 *
 * In      a key file of the custodian's own; what it typed.
 * Out     its public key; its duty accepted; its share, shown once; the proof that it was read.
 * Never   takes a share or a key from the command line; writes a share into a file.
 * Threads one.
 */
#ifndef VAULT_CLI_CUSTODIAN_H
#define VAULT_CLI_CUSTODIAN_H

#include "vault/cli/cli.h"

enum cli_exit custodian_key_command(const struct cli_arguments *arguments);
enum cli_exit custodian_accept_command(const struct cli_arguments *arguments);
enum cli_exit custodian_collect_command(const struct cli_arguments *arguments);
enum cli_exit custodian_confirm_command(const struct cli_arguments *arguments);

#endif
