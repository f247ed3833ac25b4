/* SPDX-License-Identifier: Apache-2.0 */
/* vault/token.h -- makes token values.  Here a token is born.
 *
 * In      randomness; for opaque tokens 16 bytes that nobody can tell from it (token_key.h); for
 *         card-shaped ones the few digits of the card that its mask shows anyway.
 * Out     opaque `tok_[test_]` + 22 characters of base62 (128 bits) + 4 check characters; a
 *         version 4 UUID; or digits shaped like a card.
 * Never   receives a card (TOK-1): two cards with one mask are the same to it.
 * Threads any.
 */
#ifndef VAULT_TOKEN_H
#define VAULT_TOKEN_H

#include <stdbool.h>
#include <stdint.h>

#include "policies/policy.h"
#include "vault/card.h"
#include "vault/contract.h"

#define TOKEN_CHECK_CHARS 4u
#define TOKEN_BITS_BYTES  16u

/* False: these bits would look like a card somewhere (TOK-3), and are not to be used. */
bool token_make_opaque(bool live, const uint8_t bits[static TOKEN_BITS_BYTES],
                       char out[static CONTRACT_TOKEN_MAX + 1]);
/* Those of an opaque token; false where the text is none. */
bool token_opaque_bits(const char *token, uint8_t out[static TOKEN_BITS_BYTES]);
void token_make_uuid(char out[static CONTRACT_TOKEN_MAX + 1]);
/* Same length as the card; first 0, 6 or 8 and last 0 or 4 digits kept as the tenant says, but of
 * 15 digits the first 6 at most and of fewer none; the rest drawn; its check digit is wrong unless
 * the tenant asked in writing for a right one. */
void token_make_card_shaped(const struct policy_tenant *tenant, const struct card_mask *mask,
                            const char *first8, char out[static CONTRACT_TOKEN_MAX + 1]);

/* True when the text could have been made here: spares the store a look-up, tells typing errors
 * apart. */
bool token_is_well_formed(const char *token);

/* The 4 check characters over any text (a CRC: against typing errors, not against malice). */
void token_check(const char *text, char out[static TOKEN_CHECK_CHARS + 1]);

#endif
