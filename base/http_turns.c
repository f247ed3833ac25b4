/* SPDX-License-Identifier: Apache-2.0 */
#include "base/http_turns.h"

#include <assert.h>

static void turns_on_gone(void *owner)
{
    struct http_call **place = owner;
    *place = NULL;
}

enum http_turn http_turns_take(struct http_turns *turns, struct http_call *call)
{
    if (!turns->taken) {
        turns->taken = true;
        return HTTP_TURN_NOW;
    }
    if (turns->count == HTTP_TURNS_WAITING_MAX)
        return HTTP_TURN_NEVER;
    unsigned last = (turns->first + turns->count) % HTTP_TURNS_WAITING_MAX;
    turns->waiting[last] = call;
    turns->count++;
    http_defer(call, &turns->waiting[last], turns_on_gone);
    return HTTP_TURN_LATER;
}

struct http_call *http_turns_next(struct http_turns *turns)
{
    assert(turns->taken);
    while (turns->count > 0) {
        struct http_call *call = turns->waiting[turns->first];
        turns->first = (turns->first + 1) % HTTP_TURNS_WAITING_MAX;
        turns->count--;
        if (call != NULL)
            return call;
    }
    turns->taken = false;
    return NULL;
}
