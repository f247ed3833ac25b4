/* SPDX-License-Identifier: Apache-2.0 */
/* vault/cli/dev.h -- `cardkeep dev init`: everything that a vault, a relay and a test gateway on
 * one machine need to start.
 *
 * In      a folder's name and a first port.
 * Out     DIR/{vault,relay,policies,cli}.yaml, seal.key, tls/, keys/: all of it or nothing.
 * Never   writes into a folder that holds anything; makes anything that is fit for production.
 * Threads one.
 */
#ifndef VAULT_CLI_DEV_H
#define VAULT_CLI_DEV_H

#include "vault/cli/cli.h"

enum cli_exit dev_init(const struct cli_arguments *arguments);

#endif
