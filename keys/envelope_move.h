/* SPDX-License-Identifier: Apache-2.0 */
/* keys/envelope_move.h -- from one key, or one suite, to another, in the same place.
 *
 * In      an envelope that opens, be it under a compromised key.
 * Out     the same plaintext, padded as it was, in a new envelope.
 * Never   lets the plaintext out of locked memory; is called but by jobs that move what is under a
 *         key away from it.
 * Threads one at a time per keyring.
 */
#ifndef KEYS_ENVELOPE_MOVE_H
#define KEYS_ENVELOPE_MOVE_H

#include "base/secret.h"
#include "keys/envelope.h"

struct envelope_moved {
    const uint8_t *sealed;
    size_t sealed_size;
    uint64_t key_id; /* Under which it goes. */
    enum envelope_suite suite;
};

/* Appends the new envelope to `out`.  `room` is for the plaintext: ENVELOPE_PLAIN_BYTES_MAX in
 * guarded memory, zero again afterwards.  Fails as opening and sealing do. */
STATUS envelope_move(struct keyring *ring, const struct envelope_place *place,
                     const struct envelope_moved *moved, struct secret *room, struct buffer *out);

#endif
