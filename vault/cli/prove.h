/* SPDX-License-Identifier: Apache-2.0 */
/* vault/cli/prove.h -- `cardkeep keys prove`: that a key is no more, for whoever was not there.
 *
 * In      the id of a key, and the log of a daemon or of a store; or a proof, from anywhere.
 * Out     proofs (policies/proof.h) of the entries that say so; or what one says, once it holds.
 * Never   writes over a file; says anything of a proof that does not hold.
 * Threads one.
 */
#ifndef VAULT_CLI_PROVE_H
#define VAULT_CLI_PROVE_H

#include "vault/cli/cli.h"

enum cli_exit prove_run(const struct cli_arguments *arguments);

#endif
