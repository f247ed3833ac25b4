/* SPDX-License-Identifier: Apache-2.0 */
/* relay/audit_routes.h -- the relay's own log, for auditors: GET checkpoint and entries.
 *
 * In      calls on the API's listener.
 * Out     the newest signed note; entries with the notes among them.  Reading entries is an entry.
 * Never   answers a caller without the right audit.read.
 * Threads the loop's.
 */
#ifndef RELAY_AUDIT_ROUTES_H
#define RELAY_AUDIT_ROUTES_H

#include "relay/relay.h"

/* False when the call's path is none of these; else answers, now or later. */
bool audit_routes_call(struct relay *relay, struct http_call *call);

#endif
