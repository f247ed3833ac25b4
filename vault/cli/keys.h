/* SPDX-License-Identifier: Apache-2.0 */
/* vault/cli/keys.h -- `cardkeep keys list|show|suspend|…`: a running vault's keys.
 *
 * In      ids and reasons.
 * Out     tables for people, the vault's own JSON with --json.
 * Never   sees a key.
 * Threads one.
 */
#ifndef VAULT_CLI_KEYS_H
#define VAULT_CLI_KEYS_H

#include "base/json.h"
#include "vault/cli/daemon.h"

enum cli_exit keys_list(const struct cli_arguments *arguments);
enum cli_exit keys_show(const struct cli_arguments *arguments);
enum cli_exit keys_suspend(const struct cli_arguments *arguments);
enum cli_exit keys_activate(const struct cli_arguments *arguments);
enum cli_exit keys_deactivate(const struct cli_arguments *arguments);
enum cli_exit keys_compromise(const struct cli_arguments *arguments);
enum cli_exit keys_destroy(const struct cli_arguments *arguments);

/* An answer of the security team's routes, read.  `nodes` belongs to it. */
struct keys_answer {
    struct daemon_answer answer;
    struct json json;
    struct json_node *nodes;
};
void keys_answer_free(struct keys_answer *answer);
/* Asks as the security engineer, or as --as; `body` may be NULL. */
enum cli_exit keys_ask(const struct daemon *daemon, const char *method, const char *target,
                       const struct buffer *body, struct keys_answer *out_answer);
/* Says the answer as it came, and a line feed. */
void keys_say_json(const struct keys_answer *answer);
/* The id of a key as a word: digits only; says the sentence and returns false for another. */
bool keys_id(const char *word, uint64_t *out_id);
/* {"reason": …, "within_seconds": …} of --reason and --within; false, with the sentence said. */
bool keys_body(const struct cli_arguments *arguments, struct buffer *out_body);
/* Lines about a request that waits, and what to do next. */
void keys_say_approval(const struct json *json, uint32_t node);

#endif
