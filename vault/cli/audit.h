/* SPDX-License-Identifier: Apache-2.0 */
/* vault/cli/audit.h -- `cardkeep audit verify|tail`: over a store on disk, or a running daemon.
 *
 * In      entries and signed checkpoints; the verifier key, which must come from elsewhere.
 * Out     whether the log is whole; its newest entries.
 * Never   believes a daemon about its own log: everything is hashed and checked here.
 * Threads one.
 */
#ifndef VAULT_CLI_AUDIT_H
#define VAULT_CLI_AUDIT_H

#include "policies/audit_verify.h"
#include "vault/cli/audit_fetch.h"
#include "vault/cli/cli.h"

enum cli_exit audit_verify_command(const struct cli_arguments *arguments);
enum cli_exit audit_tail_command(const struct cli_arguments *arguments);

#define AUDIT_VERIFIERS_MAX 4u

/* The first line of a `.pub` file; false, with the sentence said, where there is none. */
bool audit_verifier_read(const char *path, struct note_key *out_key);
/* All lines: the keys of one log that changed its signing key, of which one is enough. */
bool audit_verifiers_read(const char *path, struct note_key out_keys[static AUDIT_VERIFIERS_MAX],
                          struct audit_trust *out_trust);
/* The log of either daemon's store.  CLI_DONE whenever there is a verdict, good or not; else the
 * sentence is said. */
enum cli_exit audit_store_verify(const char *folder, const char *origin,
                                 const struct audit_trust *trust,
                                 struct audit_verdict *out_verdict);
/* Gives all entries and checkpoints of a store, in order, to the callbacks of `give`; its daemon is
 * not asked. */
enum cli_exit audit_store_walk(const char *folder, const struct audit_fetch *give);

#endif
