/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/front_pending.h"

#include <assert.h>
#include <stdlib.h>

#include "base/own.h"

#define NO_PLACE UINT32_MAX

struct place {
    struct front_pending *pending; /* For a call's end, which knows its place alone. */
    struct http_call *call;        /* NULL: free. */
    const struct route *route;
    uint32_t use;  /* How often it was taken: the upper half of the id. */
    uint32_t next; /* The next free place. */
};

struct front_pending {
    struct place *places;
    uint32_t place_count;
    uint32_t free;
    unsigned count;
};

STATUS front_pending_new(unsigned count_max, struct front_pending **out_pending)
{
    assert(count_max > 0);
    assert(count_max < NO_PLACE);
    OWNED(front_pending_free) struct front_pending *pending = calloc(1, sizeof *pending);
    ENSURE(pending != NULL, WHY_NO_MEMORY);
    pending->places = calloc(count_max, sizeof *pending->places);
    ENSURE(pending->places != NULL, WHY_NO_MEMORY);
    pending->place_count = count_max;
    for (uint32_t i = 0; i < count_max; i++) {
        pending->places[i].pending = pending;
        pending->places[i].next = i + 1 < count_max ? i + 1 : NO_PLACE;
    }
    *out_pending = MOVE(pending);
    return STATUS_OK;
}

void front_pending_free(struct front_pending **pending)
{
    struct front_pending *gone = MOVE(*pending);

    if (gone == NULL)
        return;
    free(gone->places);
    free(gone);
}

static struct http_call *place_give_back(struct place *place)
{
    struct front_pending *pending = place->pending;

    place->next = pending->free;
    pending->free = (uint32_t)(place - pending->places);
    assert(pending->count > 0);
    pending->count--;
    return MOVE(place->call);
}

/* The keeper's answer, when it comes, finds nobody. */
static void on_gone(void *owner)
{
    (void)place_give_back(owner);
}

STATUS front_pending_add(struct front_pending *pending, struct http_call *call,
                         const struct route *route, uint64_t *out_id)
{
    ENSURE(pending->free != NO_PLACE, WHY_BUSY);
    uint32_t index = pending->free;
    struct place *place = &pending->places[index];
    assert(place->call == NULL);
    pending->free = place->next;
    pending->count++;
    place->call = call;
    place->route = route;
    place->use++;
    http_defer(call, place, on_gone);
    *out_id = (uint64_t)place->use << 32 | index;
    return STATUS_OK;
}

struct http_call *front_pending_take(struct front_pending *pending, uint64_t id,
                                     const struct route **out_route)
{
    uint32_t index = (uint32_t)id;

    if (index >= pending->place_count)
        return NULL;
    struct place *place = &pending->places[index];
    if (place->call == NULL || place->use != (uint32_t)(id >> 32))
        return NULL;
    *out_route = place->route;
    return place_give_back(place);
}

struct http_call *front_pending_take_any(struct front_pending *pending)
{
    for (uint32_t i = 0; i < pending->place_count && pending->count > 0; i++)
        if (pending->places[i].call != NULL)
            return place_give_back(&pending->places[i]);
    return NULL;
}

unsigned front_pending_count(const struct front_pending *pending)
{
    return pending->count;
}
