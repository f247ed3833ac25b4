/* SPDX-License-Identifier: Apache-2.0 */
/* vault/cli/scan.h -- `cardkeep scan`: card numbers in files and folders.
 *
 * In      paths.
 * Out     one line for each find; exit code 1 when there was one, or when something could not be
 *         read.
 * Never   follows a link inside a folder; leaves anything out without naming or counting it.
 * Threads one.
 */
#ifndef VAULT_CLI_SCAN_H
#define VAULT_CLI_SCAN_H

#include "vault/cli/cli.h"

enum cli_exit scan_run(const struct cli_arguments *arguments);

#endif
