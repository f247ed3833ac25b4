/* SPDX-License-Identifier: Apache-2.0 */
/* vault/cli/token.h -- `cardkeep token create|show|delete`.
 *
 * In      a card number from standard input or a prompt without echo.
 * Out     its token, or what a token stands for, masked.
 * Never   takes a card number as an argument, or shows one.
 * Threads one.
 */
#ifndef VAULT_CLI_TOKEN_H
#define VAULT_CLI_TOKEN_H

#include "vault/cli/cli.h"

enum cli_exit token_create(const struct cli_arguments *arguments);
enum cli_exit token_show(const struct cli_arguments *arguments);
enum cli_exit token_delete(const struct cli_arguments *arguments);

#endif
