/* SPDX-License-Identifier: Apache-2.0 */
/* keys/shares.h -- a root key in n shares, any k of which give it back (Shamir, over GF(2^8)).
 *
 * In      a root key of 32 bytes; or shares of one.
 * Out     shares as long as the root; or the root, in guarded, read-only memory.
 * Never   says whether a rebuilt root is the right one: fewer shares than the threshold, or of
 *         different sets, give 32 bytes like any others.  Its commitment says that (seal.h).
 * Threads any.
 *
 * Each byte of the root is the value at 0 of a polynomial of its own with k-1 random coefficients;
 * share i holds their values at i.  k-1 shares are consistent with every root alike.
 */
#ifndef KEYS_SHARES_H
#define KEYS_SHARES_H

#include <stdint.h>

#include "base/secret.h"
#include "base/status.h"

#define SHARES_BYTES         32u
#define SHARES_COUNT_MAX     16u
#define SHARES_THRESHOLD_MIN 2u

struct shares_part {
    uint8_t index; /* From 1. */
    const struct secret *value;
};

/* out_values[i] is the share with the index i + 1; the caller owns `count` of them.
 * WHY_BAD_INPUT: the root is not 32 bytes, or not 2 <= threshold <= count <= 16. */
STATUS shares_split(const struct secret *root, unsigned threshold, unsigned count,
                    struct secret **out_values);

/* WHY_BAD_INPUT: fewer than 2 or more than 16, an index that is 0 or above 16, or a share of
 * another size.  WHY_CONFLICT: one index twice. */
STATUS shares_combine(const struct shares_part *parts, unsigned count, struct secret **out_root);

#endif
