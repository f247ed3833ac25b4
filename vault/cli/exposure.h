/* SPDX-License-Identifier: Apache-2.0 */
/* vault/cli/exposure.h -- `cardkeep keys exposure`: the blast radius of a key, out of the log.
 *
 * In      the id of a key and a window of time; the log of a daemon, or of a store offline.
 * Out     every token that was sealed, opened or shown under the key, or under a key that it ever
 *         wrapped, by whom and from where: how many first, then each.
 * Never   believes the log without its signatures.
 * Threads one.
 */
#ifndef VAULT_CLI_EXPOSURE_H
#define VAULT_CLI_EXPOSURE_H

#include "vault/cli/cli.h"

enum cli_exit exposure_run(const struct cli_arguments *arguments);

#endif
