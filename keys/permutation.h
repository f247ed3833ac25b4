/* SPDX-License-Identifier: Apache-2.0 */
/* keys/permutation.h -- 16 bytes that may count, turned into 16 that look drawn at random, and
 * back: one block of AES-256 (FIPS 197) under a key derived from another.
 *
 * In      a derivation, and a label that says what for.
 * Out     for every block another one; without the key not to be told from chance.
 * Never   hides that two blocks are equal: who needs that puts randomness into the block.
 * Threads one at a time per permutation.
 */
#ifndef KEYS_PERMUTATION_H
#define KEYS_PERMUTATION_H

#include <stdint.h>

#include "base/status.h"
#include "keys/kdf.h"

#define PERMUTATION_BYTES 16u

struct permutation;

/* `kdf` is only used, and may go afterwards. */
STATUS permutation_new(struct kdf *kdf, const char *label, struct permutation **out_permutation);
void permutation_free(struct permutation **permutation);

STATUS permutation_apply(struct permutation *permutation,
                         const uint8_t in[static PERMUTATION_BYTES],
                         uint8_t out[static PERMUTATION_BYTES]);
STATUS permutation_invert(struct permutation *permutation,
                          const uint8_t in[static PERMUTATION_BYTES],
                          uint8_t out[static PERMUTATION_BYTES]);

#endif
