/* SPDX-License-Identifier: Apache-2.0 */
/* vault/cli/ceremony.h -- `cardkeep init`, `unseal`, `seal`, `rekey`: what opens the vault.
 *
 * In      a running vault; a share that is typed.
 * Out     ceremonies that begin or are cancelled; a vault that is open, or sealed.
 * Never   takes a share from the command line.
 * Threads one.
 */
#ifndef VAULT_CLI_CEREMONY_H
#define VAULT_CLI_CEREMONY_H

#include "base/json.h"
#include "vault/cli/cli.h"
#include "vault/cli/daemon.h"

#define CEREMONY_NODES_MAX 512u
#define CEREMONY_TEXT_MAX  320u

/* An answer of the vault's, read. */
struct ceremony_answer {
    struct daemon_answer raw;
    struct json_node nodes[CEREMONY_NODES_MAX];
    struct json json;
};
void ceremony_answer_free(struct ceremony_answer *answer);

/* Asks as the security team's person, or as --as says.  `tail` follows /v1/seal: "", "/accept".
 * The sentence is said where this is not CLI_DONE. */
enum cli_exit ceremony_ask(const struct daemon *daemon, const char *tail, const struct buffer *body,
                           struct ceremony_answer *out);
/* A member's text, "" where there is none. */
void ceremony_text(const struct json *json, uint32_t object, const char *name,
                   char out[static CEREMONY_TEXT_MAX]);
/* Which ceremony is meant: --ceremony, else the one that is under way. */
enum cli_exit ceremony_name(const struct cli_arguments *arguments, const struct daemon *daemon,
                            char out[static CEREMONY_TEXT_MAX]);
/* {"threshold": …, "custodians": [the words], …}, with "to" where that is not NULL; false, with the
 * sentence said. */
bool ceremony_plan(const struct cli_arguments *arguments, const char *to, struct buffer *body);
/* Shows what the answer says of the ceremony, or all of it as JSON. */
void ceremony_show(const struct cli_arguments *arguments, const struct ceremony_answer *answer);

enum cli_exit ceremony_init_command(const struct cli_arguments *arguments);
enum cli_exit ceremony_rekey_command(const struct cli_arguments *arguments);
enum cli_exit ceremony_unseal_command(const struct cli_arguments *arguments);
enum cli_exit ceremony_seal_command(const struct cli_arguments *arguments);
enum cli_exit ceremony_seal_show_command(const struct cli_arguments *arguments);
enum cli_exit ceremony_seal_cancel_command(const struct cli_arguments *arguments);

#endif
