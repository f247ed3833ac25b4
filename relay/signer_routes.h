/* SPDX-License-Identifier: Apache-2.0 */
/* relay/signer_routes.h -- GET /v1/signer and POST /v1/signer/rotate, as the vault has them.
 *
 * In      a caller with the right key.read or key.rotate.
 * Out     which key signs the relay's log; another one.
 * Never   answers before the entry that names the next key is durable.
 * Threads the loop's.
 */
#ifndef RELAY_SIGNER_ROUTES_H
#define RELAY_SIGNER_ROUTES_H

#include "relay/relay.h"

/* True where the call was for these. */
bool signer_routes_call(struct relay *relay, struct http_call *call);

#endif
