/* SPDX-License-Identifier: Apache-2.0 */
/* vault/front_pending.h -- the calls that wait for the keeper.
 *
 * In      calls, and the ids of answers.
 * Out     the call that an answer is for, while its client is there.
 * Never   mistakes a late answer for another's: an id is a place and how often it was used.
 * Threads the front's.
 */
#ifndef VAULT_FRONT_PENDING_H
#define VAULT_FRONT_PENDING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/http.h"
#include "base/status.h"
#include "vault/routes.h"

struct front_pending;

STATUS front_pending_new(unsigned count_max, struct front_pending **out_pending);
/* Calls that still wait are left unanswered. */
void front_pending_free(struct front_pending **pending);

/* Defers the call.  Fails with WHY_BUSY when every place is taken. */
STATUS front_pending_add(struct front_pending *pending, struct http_call *call,
                         const struct route *route, uint64_t *out_id);

/* Hands the call over, which must be answered now; NULL when its client is gone, or for an id that
 * was never given. */
struct http_call *front_pending_take(struct front_pending *pending, uint64_t id,
                                     const struct route **out_route);

/* Any call that waits, in the same way; NULL when there is none. */
struct http_call *front_pending_take_any(struct front_pending *pending);

unsigned front_pending_count(const struct front_pending *pending);

#endif
