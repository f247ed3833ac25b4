/* SPDX-License-Identifier: Apache-2.0 */
/* vault/store_expiry.h -- which token goes by itself, and when.
 *
 * In      a token's key and its time.
 * Out     a row of the family `expiries`: u64 time with its highest bit set, u8 family, key.  Those
 *         of tokens so stand behind all others, which store_sweep() takes away without a word.
 * Never   decides that a token goes: retention.h does.
 * Threads the keeper's.
 */
#ifndef VAULT_STORE_EXPIRY_H
#define VAULT_STORE_EXPIRY_H

#include "vault/store.h"

#define STORE_EXPIRY_DUE_MAX 256u

struct store_expiry_due {
    int64_t due_ms;
    uint8_t key[STORE_KEY_BYTES];
};

#define STORE_EXPIRY_ROW_BYTES (8u + 1u + STORE_KEY_BYTES)
/* A row's key, and back.  WHY_FORGED: it is of no token. */
void store_expiry_encode(const struct store_expiry_due *due,
                         uint8_t out[static STORE_EXPIRY_ROW_BYTES]);
STATUS store_expiry_decode(const uint8_t *row, size_t size, struct store_expiry_due *out_due);

/* Neither does anything where `due_ms` is 0. */
void store_expiry_put(struct store *store, struct db_batch *batch, int64_t due_ms,
                      const uint8_t key[static STORE_KEY_BYTES]);
void store_expiry_delete(struct store *store, struct db_batch *batch, int64_t due_ms,
                         const uint8_t key[static STORE_KEY_BYTES]);

/* Those that are due, the oldest first, at most `room` of them.  What this turn put or deleted is
 * not seen.  WHY_FORGED: a row that is none. */
STATUS store_expiry_find(struct store *store, int64_t now_ms, struct store_expiry_due *out,
                         unsigned room, unsigned *out_count);

#endif
