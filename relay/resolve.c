/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/resolve.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/encode.h"
#include "base/own.h"
#include "base/work.h"

#define THREADS 2u

/* One destination's; there is at most one look-up of it under way. */
struct place {
    struct work work; /* First, so that a work pointer is a place pointer. */

    /* Handed back and forth with the work. */
    const struct settings_destination *to;
    char found[ADDRESS_LIST_MAX];
    struct status status;

    /* The loop thread's alone. */
    bool under_way;
    char addresses[ADDRESS_LIST_MAX];
    int64_t fresh_until_ms; /* 0: not known. */
    struct resolve_waiter *waiters;
};

struct resolver {
    const struct settings *settings;
    struct work_pool *pool;
    struct place *places; /* One for each destination, in their order. */
};

static struct place *place_of(struct resolver *resolver, const struct settings_destination *to)
{
    ptrdiff_t index = to - resolver->settings->destinations;

    assert(index >= 0 && (unsigned)index < resolver->settings->destination_count);
    return &resolver->places[index];
}

/* Worker thread. */
static void resolve_on_worker(struct work *work)
{
    struct place *place = (struct place *)work;
    const struct settings_destination *to = place->to;

    place->status =
        address_resolve(to->destination.host, to->ranges, to->range_count, place->found);
}

/* Loop thread. */
static void resolve_on_loop(struct work *work)
{
    struct place *place = (struct place *)work;
    struct resolve_waiter *waiters = MOVE(place->waiters);
    struct status status = place->status;

    place->under_way = false;
    if (!failed(status)) {
        memcpy(place->addresses, place->found, sizeof place->addresses);
        place->fresh_until_ms = clock_monotonic_ms() + RESOLVE_KEEP_MS;
    }
    while (waiters != NULL) {
        struct resolve_waiter *waiter = waiters;
        waiters = waiter->next; /* `done` may free it. */
        waiter->done(waiter->owner, status, failed(status) ? NULL : place->addresses);
    }
}

STATUS resolve_new(struct loop *loop, const struct settings *settings,
                   struct resolver **out_resolver)
{
    struct work_options options = {
        .loop = loop, .thread_count = THREADS, .queue_max = SETTINGS_DESTINATIONS_MAX};

    OWNED(resolve_free) struct resolver *resolver = calloc(1, sizeof *resolver);
    ENSURE(resolver != NULL, WHY_NO_MEMORY);
    resolver->settings = settings;
    resolver->places = calloc(settings->destination_count + 1, sizeof *resolver->places);
    ENSURE(resolver->places != NULL, WHY_NO_MEMORY);
    for (unsigned i = 0; i < settings->destination_count; i++) {
        resolver->places[i].to = &settings->destinations[i];
        resolver->places[i].work = (struct work){.run = resolve_on_worker, .done = resolve_on_loop};
    }
    TRY(work_pool_new(&options, &resolver->pool));
    *out_resolver = MOVE(resolver);
    return STATUS_OK;
}

void resolve_free(struct resolver **resolver)
{
    if (*resolver == NULL)
        return;
    work_pool_free(&(*resolver)->pool);
    free((*resolver)->places);
    free(*resolver);
    *resolver = NULL;
}

const char *resolve_peek(struct resolver *resolver, const struct settings_destination *to)
{
    const struct place *place = place_of(resolver, to);

    return place->fresh_until_ms > clock_monotonic_ms() ? place->addresses : NULL;
}

STATUS resolve_start(struct resolver *resolver, const struct settings_destination *to,
                     struct resolve_waiter *waiter)
{
    struct place *place = place_of(resolver, to);

    if (!place->under_way) {
        TRY(work_submit(resolver->pool, &place->work));
        place->under_way = true;
    }
    waiter->next = place->waiters;
    place->waiters = waiter;
    return STATUS_OK;
}

void resolve_forget(struct resolver *resolver, const struct settings_destination *to)
{
    place_of(resolver, to)->fresh_until_ms = 0;
}
