/* SPDX-License-Identifier: Apache-2.0 */
/* vault/cli/log_walk.h -- the vault's whole log, entry by entry, from a daemon or from a store; and
 * whether it is whole, as `audit verify` would say.
 *
 * In      --store DIR with --verifier KEY and --origin NAME, or a running daemon.
 * Out     entries and checkpoints in order.
 * Never   ends well over a log that is not what was signed.
 * Threads one.
 */
#ifndef VAULT_CLI_LOG_WALK_H
#define VAULT_CLI_LOG_WALK_H

#include <stdint.h>

#include "base/json.h"
#include "vault/cli/audit.h"

struct log_walk {
    const struct cli_arguments *arguments;
    audit_fetch_fn on_entry;
    audit_fetch_fn on_checkpoint; /* NULL: not wanted. */
    void *owner;
};

/* The keys that the log's checkpoints are held against, of which one is enough, and its origin. */
struct log_signer {
    struct note_key keys[AUDIT_VERIFIERS_MAX];
    struct audit_trust trust;
    char origin[NOTE_NAME_BYTES_MAX];
};
enum cli_exit log_walk_signer(const struct cli_arguments *arguments, struct log_signer *out_signer);

/* CLI_DONE: all was given, and all of it that is signed is good.  Else the sentence is said. */
enum cli_exit log_walk_run(const struct log_walk *walk);

#define LOG_WALK_NODES 16384u
/* Reads an entry; false where it is none. */
struct log_entry {
    struct json json;
    struct json_node nodes[LOG_WALK_NODES];
};
bool log_walk_read(const char *text, size_t size, struct log_entry *out_entry);
/* A member's text, without control characters; "" where there is none. */
void log_walk_text(const struct json *json, uint32_t object, const char *name, char *out,
                   size_t out_size);
/* The id of an object's key; 0 where it names none. */
uint64_t log_walk_key(const struct json *json, uint32_t object);

#endif
