/* SPDX-License-Identifier: Apache-2.0 */
/* vault/keeper_verify.h -- `cardkeep-vault --verify-store`: is every row what was written last?
 *
 * In      a store, restored or in use; the seal; the key that the audit log is signed with.
 * Out     each row that is not, by its family and its key: not authentic, orphaned, missing, or
 *         older than the log in the same store says; and how many rows there are.
 * Never   writes; keeps or shows what it opens; has a network; holds a table of the rows: it walks
 *         each family once and looks up what a row names, so that its memory does not grow with
 *         the store.
 * Threads one, besides RocksDB's own.
 *
 * What it says of the past it has from the log alone, so the log is proved first, and not believed
 * where that fails.
 */
#ifndef VAULT_KEEPER_VERIFY_H
#define VAULT_KEEPER_VERIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

struct note_key;
struct settings;

enum keeper_verdict {
    KEEPER_VERIFY_GOOD, /* All of it holds. */
    KEEPER_VERIFY_BAD,  /* Something does not. */
    KEEPER_VERIFY_SHUT, /* The store or the seal cannot be opened. */
};

/* A row that is not as it was written last.  Lent for the call. */
struct keeper_finding {
    const char *family; /* As the store names it: "tokens". */
    const uint8_t *key;
    size_t key_size;
    const char *kind; /* "unauthentic", "orphaned", "missing", "rolled_back", "unsigned". */
    const char *text; /* One sentence, without a full stop. */
};

struct keeper_verify_options {
    /* All of them may be NULL. */
    const struct note_key *log_keys; /* Of one log, that may have changed its key. */
    unsigned log_key_count;          /* 0: no signature is asked. */
    void (*found)(void *owner, const struct keeper_finding *finding);
    /* Now and then, for a terminal. */
    void (*progress)(void *owner, const char *family, uint64_t rows);
    void *owner;
    int hsm_fd; /* Of a process of vault/hsm.h; -1: there is none. */
};

/* Confines this process first.  `out` gets lines for people: what was looked at, the verdict. */
enum keeper_verdict keeper_verify_run(const struct settings *settings,
                                      const struct keeper_verify_options *options,
                                      struct buffer *out);

#endif
