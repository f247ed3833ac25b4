/* SPDX-License-Identifier: Apache-2.0 */
/* base/loop.h -- the event loop of a process that speaks HTTP: libh2o's, with ours around it.
 *
 * In      descriptors to watch, timers, calls posted by other threads.
 * Out     callbacks, all on the loop's thread, none from inside the call that asked for them.
 * Never   blocks; keeps a watch on a descriptor that its owner closed (stop the watch first).
 * Threads the loop's own, but for loop_post() and loop_stop().
 */
#ifndef BASE_LOOP_H
#define BASE_LOOP_H

#include <stdint.h>

#include "base/status.h"

struct loop;
struct loop_watch;
struct loop_timer;

typedef void (*loop_fn)(void *owner);

STATUS loop_new(struct loop **out_loop);
void loop_free(struct loop **loop);

/* Runs until loop_stop(); turns are ended by the callbacks of loop_on_turn_end(). */
void loop_run(struct loop *loop);
/* From any thread or a callback. */
void loop_stop(struct loop *loop);

/* `readable` is called while `fd` has something to read or is at its end; it must do its own
 * recv(). */
STATUS loop_watch(struct loop *loop, int fd, loop_fn readable, void *owner,
                  struct loop_watch **out_watch);
/* Calls `writable` once, when `fd` takes bytes again. */
void loop_watch_writable(struct loop_watch *watch, loop_fn writable);
/* Ends the watch, not the descriptor.  Accepts NULL; leaves NULL. */
void loop_watch_free(struct loop_watch **watch);

/* Calls `fn` once, `delay_ms` from now. */
/* From a timer's own callback the first one set is sure to succeed. */
STATUS loop_timer(struct loop *loop, int64_t delay_ms, loop_fn fn, void *owner,
                  struct loop_timer **out_timer);
/* Before it fired: it will not.  After: it is gone already, so its owner must have forgotten it. */
void loop_timer_cancel(struct loop_timer **timer);

/* Called at the end of every turn of the loop: the place to send what gathered.  At most 8. */
void loop_on_turn_end(struct loop *loop, loop_fn fn, void *owner);

/* From any thread: `fn` runs on the loop's thread soon.  Fails with WHY_NO_MEMORY only. */
STATUS loop_post(struct loop *loop, loop_fn fn, void *owner);

/* libh2o's own, for base/http.c. */
void *loop_h2o(struct loop *loop);

#endif
