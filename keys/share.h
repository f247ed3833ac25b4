/* SPDX-License-Identifier: Apache-2.0 */
/* keys/share.h -- one custodian's share: what it says about itself, and its 32 bytes.
 *
 * In      a share; or the bytes of one, out of a text (share_text.h) or a box (custodian.h).
 * Out     the bytes; a digest, by which the vault knows a share without keeping it.
 * Never   holds its value outside a secret.
 * Threads any.
 *
 *   u8 version (1) | 8 bytes set | u8 threshold | u8 index | 32 bytes value
 */
#ifndef KEYS_SHARE_H
#define KEYS_SHARE_H

#include <stdint.h>

#include "base/secret.h"
#include "base/status.h"
#include "keys/shares.h"

#define SHARE_SET_BYTES    8u
#define SHARE_BYTES        (3u + SHARE_SET_BYTES + SHARES_BYTES)
#define SHARE_DIGEST_BYTES 32u

struct share {
    uint8_t set[SHARE_SET_BYTES]; /* Which split of which root it is of. */
    uint8_t threshold;
    uint8_t index;
    struct secret *value;
};

/* Frees what it owns, not the struct. */
void share_free(struct share *share);

void share_encode(const struct share *share, uint8_t out[static SHARE_BYTES]);
/* WHY_NOT_FOUND: a version that this program does not know.  WHY_BAD_INPUT: an index or a threshold
 * that no share has. */
STATUS share_decode(const uint8_t bytes[static SHARE_BYTES], struct share *out_share);

/* SHA-256 over a label and all of it. */
void share_digest(const struct share *share, uint8_t out[static SHARE_DIGEST_BYTES]);

#endif
