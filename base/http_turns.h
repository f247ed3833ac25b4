/* SPDX-License-Identifier: Apache-2.0 */
/* base/http_turns.h -- calls that are carried out one after the other, for each costs others time.
 *
 * In      calls.
 * Out     the same, in order, when it is their turn.
 * Never   keeps one whose client is gone.
 * Threads the loop's.
 */
#ifndef BASE_HTTP_TURNS_H
#define BASE_HTTP_TURNS_H

#include <stdbool.h>

#include "base/http.h"

#define HTTP_TURNS_WAITING_MAX 256u

/* Zeroed at first. */
struct http_turns {
    struct http_call *waiting[HTTP_TURNS_WAITING_MAX]; /* NULL: its client is gone. */
    unsigned first;
    unsigned count;
    bool taken;
};

enum http_turn {
    HTTP_TURN_NOW,   /* Its turn, until http_turns_next(). */
    HTTP_TURN_LATER, /* It waits: http_turns_next() gives it back. */
    HTTP_TURN_NEVER, /* Too many wait; the caller answers. */
};
enum http_turn http_turns_take(struct http_turns *turns, struct http_call *call);

/* The turn is over; the call whose turn it is now, or NULL. */
struct http_call *http_turns_next(struct http_turns *turns);

#endif
