/* SPDX-License-Identifier: Apache-2.0 */
/* relay/forward.h -- which headers of a request go on to the gateway, and which of its answer's
 * come back.
 *
 * In      headers as the caller or the gateway sent them.
 * Out     a list for base/client.h, and yes or no.
 * Never   passes framing, hop-by-hop, client-address or our own headers; a cookie; an encoding that
 *         the answer guard could not see through.
 * Threads any.
 */
#ifndef RELAY_FORWARD_H
#define RELAY_FORWARD_H

#include <stdbool.h>

#include "base/buffer.h"
#include "base/status.h"
#include "relay/profile.h"

#define FORWARD_HEADERS_MAX 64u
#define FORWARD_BYTES_MAX   (32u * 1024u)

/* Headers that gather; forward_end() makes the list. */
struct forward {
    struct buffer texts; /* name NUL value NUL ... */
    const char *headers[2 * FORWARD_HEADERS_MAX + 1];
    unsigned count;
};

void forward_begin(struct forward *forward);
void forward_free(struct forward *forward);

/* Adds a header of the caller's if it may pass.  `connection` is the request's Connection header,
 * whose names are hop-by-hop too, or NULL. */
void forward_add(struct forward *forward, const struct profile *profile, const char *connection,
                 const char *name, const char *value);
/* Adds what is ours to say: the idempotency key (NULL: none) under the gateway's name for it, and
 * that no encoding is taken.  WHY_LIMIT when there are too many or too long. */
STATUS forward_end(struct forward *forward, const struct profile *profile,
                   const char *idempotency_key);

/* Whether a header of the gateway's answer (lower case) passes to the caller. */
bool forward_answer_passes(const char *name);

#endif
