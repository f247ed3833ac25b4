/* SPDX-License-Identifier: Apache-2.0 */
/* vault/token_key.h -- where a token's row stands, as its text says; and opaque tokens, which are
 * made so that rows made one after the other stand behind each other.
 *
 * In      a tenant and a token's text; or the number of a record that is to have a token.
 * Out     a key of the family `tokens`: the number in an opaque token, or six bytes of chance in
 *         all others, and a keyed hash over tenant and text (80 bits).
 * Never   tells anybody the number: it stands in the token under a permutation of the index key's,
 *         together with 80 random bits.  One number is so never twice the same token, also not
 *         where a store went back to a state of before.
 * Threads the keeper's.
 *
 * Rows whose keys count cost a third of those whose keys are drawn (limits.md 3).
 */
#ifndef VAULT_TOKEN_KEY_H
#define VAULT_TOKEN_KEY_H

#include "vault/store.h"
#include "vault/token.h"

#define TOKEN_NUMBER_BYTES 6u

STATUS token_key(struct store *store, const char *tenant, const char *text, int64_t now_ms,
                 uint8_t out[static STORE_KEY_BYTES]);

/* An opaque token for record `number` of this tenant, and its key. */
struct token_drawn {
    char text[CONTRACT_TOKEN_MAX + 1];
    uint8_t key[STORE_KEY_BYTES];
};
STATUS token_key_draw(struct store *store, const char *tenant, bool live, uint64_t number,
                      int64_t now_ms, struct token_drawn *out_drawn);

#endif
