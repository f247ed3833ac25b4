/* SPDX-License-Identifier: Apache-2.0 */
/* keys/fingerprint.h -- HMAC-SHA-256 over the whole PAN under the tenant's fingerprint key (UNR-3),
 * and the keyed hashes of the index.
 *
 * In      a PAN in its secret; or text to index.
 * Out     32 bytes that never leave the keeper.
 * Never   takes part of a PAN, an expiry or a CVV.
 * Threads one at a time per keyring.
 */
#ifndef KEYS_FINGERPRINT_H
#define KEYS_FINGERPRINT_H

#include <stdint.h>

#include "base/secret.h"
#include "base/status.h"
#include "keys/keyring.h"

#define FINGERPRINT_BYTES 32u

/* Makes the tenant's key on first use (then changes wait on the ring). */
STATUS fingerprint_make(struct keyring *ring, const char *tenant, const struct secret *pan,
                        int64_t now_ms, uint8_t out[static FINGERPRINT_BYTES]);

/* The same under a key that is not the active one any more, compromised ones included: where a card
 * was known before its fingerprint was made anew.  WHY_NOT_FOUND: no such key; WHY_DENIED: it is
 * destroyed; WHY_BAD_INPUT: it is not this tenant's fingerprint key. */
STATUS fingerprint_make_former(struct keyring *ring, uint64_t key_id, const char *tenant,
                               const struct secret *pan, uint8_t out[static FINGERPRINT_BYTES]);

/* Keyed hash under the index key: `label` separates uses ("token", "row", "request"). */
STATUS fingerprint_index(struct keyring *ring, const char *label, const void *bytes, size_t size,
                         int64_t now_ms, uint8_t out[static FINGERPRINT_BYTES]);

#endif
