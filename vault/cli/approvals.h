/* SPDX-License-Identifier: Apache-2.0 */
/* vault/cli/approvals.h -- `cardkeep approvals list|approve|cancel`: what two persons agree on.
 *
 * In      the names of requests.
 * Out     what waits, by whom it was asked for, and until when.
 * Never   approves without saying what.
 * Threads one.
 */
#ifndef VAULT_CLI_APPROVALS_H
#define VAULT_CLI_APPROVALS_H

#include "vault/cli/cli.h"

enum cli_exit approvals_list(const struct cli_arguments *arguments);
enum cli_exit approvals_approve(const struct cli_arguments *arguments);
enum cli_exit approvals_cancel(const struct cli_arguments *arguments);

#endif
