/* SPDX-License-Identifier: Apache-2.0 */
/* keys/permutation.h -- 16 bytes that may count, turned into 16 that look drawn at random, and
 * back: one block of AES-256 (FIPS 197) under a key derived from another.
 *
 * In      a derivation, a label that says what for, and where (KEY-3).
 * Out     for every block another one; without the key not to be told from chance.
 * Never   hides that two blocks are equal: who needs that puts randomness into the block.
 * Threads one at a time per permutation.
 *
 * Its key is in OpenSSL's two ciphers, on OpenSSL's heap and cleansed when freed, as kdf.h has it.
 */
#ifndef KEYS_PERMUTATION_H
#define KEYS_PERMUTATION_H

#include <stdint.h>

#include "base/status.h"
#include "keys/kdf.h"

#define PERMUTATION_BYTES 16u

struct permutation;

/* `kdf` is only used, and may go afterwards.  WHY_LIMIT as kdf_derive(), whose context is
 * `environment`. */
STATUS permutation_new(struct kdf *kdf, const char *label, const char *environment,
                       struct permutation **out_permutation);
void permutation_free(struct permutation **permutation);

STATUS permutation_apply(struct permutation *permutation,
                         const uint8_t in[static PERMUTATION_BYTES],
                         uint8_t out[static PERMUTATION_BYTES]);
STATUS permutation_invert(struct permutation *permutation,
                          const uint8_t in[static PERMUTATION_BYTES],
                          uint8_t out[static PERMUTATION_BYTES]);

#endif
