/* SPDX-License-Identifier: Apache-2.0 */
/* vault/keeper_verify.h -- `cardkeep-vault --verify-store`: does every record open?
 *
 * In      a store, restored or in use; the seal.
 * Out     how many rows of each kind there are and hold; the first that do not, by their keys.
 * Never   writes; keeps or shows what it opens; has a network.
 * Threads one, besides RocksDB's own.
 */
#ifndef VAULT_KEEPER_VERIFY_H
#define VAULT_KEEPER_VERIFY_H

#include <stdint.h>

#include "base/buffer.h"

struct settings;

enum keeper_verdict {
    KEEPER_VERIFY_GOOD, /* All of it holds. */
    KEEPER_VERIFY_BAD,  /* Something does not. */
    KEEPER_VERIFY_SHUT, /* The store or the seal cannot be opened. */
};

/* Called now and then, for a terminal. */
typedef void (*keeper_verify_fn)(const char *kind, uint64_t rows);

/* Confines this process first.  `progress` may be NULL; `out` gets lines for people. */
enum keeper_verdict keeper_verify_run(const struct settings *settings, keeper_verify_fn progress,
                                      struct buffer *out);

#endif
