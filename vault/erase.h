/* SPDX-License-Identifier: Apache-2.0 */
/* vault/erase.h -- what goes with a token, whoever wants it gone.
 *
 * In      a token's row.
 * Out     in the turn's batch: no record, no same-card row where it was the card's last token, no
 *         row of expiries; and of the token its keyed hash alone, so that its value is never issued
 *         again (TOK-13).
 * Never   records: its caller does.
 * Threads the keeper's one.
 */
#ifndef VAULT_ERASE_H
#define VAULT_ERASE_H

#include "vault/keeper_inside.h"

/* The sealed marks of meta that an erasure leaves. */
#define ERASE_MARK_RECORDS  "records"  /* No record has this number or a higher one, or had it. */
#define ERASE_MARK_UNPURGED "unpurged" /* Since when deleted rows wait for a purge; 0: none do. */

#define ERASE_MARK_PURGED   "purged" /* When the last purge ended. */
#define ERASE_MARK_REVIEW   "review" /* Of which retentions all tokens have their times. */
/* The mark whose key this is; NULL: none's. */
const char *erase_is_mark(const void *key, size_t key_size);

/* Deletes what belongs to the token at `key`, which is not erased yet.  Who asks for it later is
 * told that it is erased; or, where its own time was over, that it has expired. */
STATUS erase_token(struct keeper *keeper, const uint8_t key[static STORE_KEY_BYTES],
                   const struct store_token *token, int64_t now_ms);

/* Notes, once in each batch that deletes, what has to outlive it. */
STATUS erase_note(struct keeper *keeper, int64_t now_ms);

#endif
