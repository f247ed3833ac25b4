/* SPDX-License-Identifier: Apache-2.0 */
/* relay/sandbox/replays.h -- idempotency keys: the same request twice is one payment.
 *
 * In      a key and the digest of what came with it.
 * Out     the answer of the first time; or a conflict, where the second request is another one.
 * Never   grows: the oldest of REPLAYS_MAX make room.
 * Threads one at a time.
 */
#ifndef RELAY_SANDBOX_REPLAYS_H
#define RELAY_SANDBOX_REPLAYS_H

#include <stdint.h>

#include "relay/sandbox/reply.h"

#define REPLAYS_MAX          4096u
#define REPLAYS_DIGEST_BYTES 32u
#define REPLAYS_KEY_MAX      255u

struct replays;

STATUS replays_new(struct replays **out_replays);
void replays_free(struct replays **replays);

/* WHY_NOT_FOUND: the key is new; WHY_CONFLICT: it came with another request.  Otherwise the reply
 * is filled in. */
STATUS replays_find(const struct replays *replays, const char *key,
                    const uint8_t digest[static REPLAYS_DIGEST_BYTES], struct reply *reply);
/* WHY_LIMIT when the key is too long. */
STATUS replays_keep(struct replays *replays, const char *key,
                    const uint8_t digest[static REPLAYS_DIGEST_BYTES], const struct reply *reply);

#endif
