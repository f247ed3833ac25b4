/* SPDX-License-Identifier: Apache-2.0 */
/* vault/lease_id.h -- which lease is a submission's: its id, and the key of its row.
 *
 * In      a relay and its submission; or an id as text.
 * Out     16 bytes: the six that a relay's submission begins with, its time in milliseconds, or six
 *         bytes of chance where it is called otherwise; and a keyed hash over relay and submission
 *         (80 bits).
 * Never   the same for two submissions, or for another relay's of that name (RLY-7).
 * Threads the keeper's.
 *
 * So rows made one after the other stand behind each other, as in token_key.h.
 */
#ifndef VAULT_LEASE_ID_H
#define VAULT_LEASE_ID_H

#include "base/encode.h"
#include "vault/store.h"

#define LEASE_ID_TEXT_BYTES (4u + ENCODE_BASE62_CHARS + 1u) /* lse_ and 22 characters. */

STATUS lease_id_of(struct store *store, const char *relay, const char *submission, int64_t now_ms,
                   uint8_t out[static STORE_KEY_BYTES]);

void lease_id_write(const uint8_t id[static STORE_KEY_BYTES], char out[static LEASE_ID_TEXT_BYTES]);
/* WHY_BAD_INPUT: it is none. */
STATUS lease_id_read(const char *text, uint8_t out[static STORE_KEY_BYTES]);

#endif
