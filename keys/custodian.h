/* SPDX-License-Identifier: Apache-2.0 */
/* keys/custodian.h -- a custodian's pair of keys (X25519), and a share sealed to it.
 *
 * In      a share and its custodian's public key; or the box and the custodian's own key.
 * Out     the box, which nobody but that custodian opens, not even who made it; or the share.
 * Never   opens a share of another set or place than the one that was expected.
 * Threads any.
 */
#ifndef KEYS_CUSTODIAN_H
#define KEYS_CUSTODIAN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/secret.h"
#include "base/status.h"
#include "keys/share.h"

#define CUSTODIAN_KEY_BYTES 32u
#define CUSTODIAN_BOX_BYTES (SHARE_BYTES + 48u)

/* A new pair. */
STATUS custodian_new(uint8_t out_public[static CUSTODIAN_KEY_BYTES], struct secret **out_key);
/* The public key of a key.  WHY_BAD_INPUT: it is not 32 bytes. */
STATUS custodian_public(const struct secret *key, uint8_t out_public[static CUSTODIAN_KEY_BYTES]);

/* False for those few public keys with which X25519 agrees on nothing. */
bool custodian_public_is_good(const uint8_t public_key[static CUSTODIAN_KEY_BYTES]);

/* WHY_BAD_INPUT: the public key is not good. */
STATUS custodian_seal(const uint8_t public_key[static CUSTODIAN_KEY_BYTES],
                      const struct share *share, uint8_t out_box[static CUSTODIAN_BOX_BYTES]);

/* WHY_FORGED: the box is another custodian's, was changed, or holds a share of another set or
 * place. */
STATUS custodian_open(const struct secret *key, const uint8_t box[static CUSTODIAN_BOX_BYTES],
                      const uint8_t set[static SHARE_SET_BYTES], uint8_t index,
                      struct share *out_share);

#endif
