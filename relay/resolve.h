/* SPDX-License-Identifier: Apache-2.0 */
/* relay/resolve.h -- the checked addresses of each destination, kept for a short while.
 *
 * In      destinations of the settings.
 * Out     the list to dial, by callback; look-ups of one destination are shared.
 * Never   blocks the loop; hands out an address that address.h refused.
 * Threads the loop's.
 */
#ifndef RELAY_RESOLVE_H
#define RELAY_RESOLVE_H

#include "base/loop.h"
#include "base/status.h"
#include "relay/settings.h"

#define RESOLVE_KEEP_MS 30000

struct resolver;

/* `addresses` is lent for the length of the call, NULL unless `status` is good. */
typedef void (*resolve_done_fn)(void *owner, struct status status, const char *addresses);

/* Lives with its owner until `done`. */
struct resolve_waiter {
    resolve_done_fn done;
    void *owner;
    struct resolve_waiter *next; /* The resolver's. */
};

STATUS resolve_new(struct loop *loop, const struct settings *settings,
                   struct resolver **out_resolver);
void resolve_free(struct resolver **resolver);

/* The list where it is known and fresh, else NULL.  Lent until the loop's turn ends. */
const char *resolve_peek(struct resolver *resolver, const struct settings_destination *to);
/* Looks it up; `done` is called once, later.  Fails with WHY_BUSY when too many are under way. */
STATUS resolve_start(struct resolver *resolver, const struct settings_destination *to,
                     struct resolve_waiter *waiter);
/* The addresses did not answer: the next one asks anew. */
void resolve_forget(struct resolver *resolver, const struct settings_destination *to);

#endif
