/* SPDX-License-Identifier: Apache-2.0 */
/* base/work.h -- runs a job on a worker thread and brings it home to the loop thread.
 *
 * In      jobs.
 * Out     the same jobs, run, in any order (one thread: in theirs).
 * Never   touches what is in a job.
 * Threads A job belongs to one thread at a time: to the loop until work_submit() accepts it, to one
 *         worker while `run` runs, to the loop again from `done` on.  The queue hands it over, so
 * that nothing inside a job needs a lock.
 */
#ifndef BASE_WORK_H
#define BASE_WORK_H

#include "base/loop.h"
#include "base/status.h"

struct work_pool;

struct work {
    void (*run)(struct work *work);  /* Worker thread.  May block.  May not fail: it records. */
    void (*done)(struct work *work); /* Loop thread, exactly once, never inside work_submit(). */
    struct work *next;               /* The pool's. */
};

/* A pool may be given `run_all` instead of each job's `run`: then one worker takes everything that
 * waits at once, as a list by `next`, so that one sync can serve them all. */
typedef void (*work_run_all_fn)(void *owner, struct work *list);

struct work_options {
    struct loop *loop; /* Where `done` is called. */
    unsigned thread_count;
    unsigned queue_max;
    work_run_all_fn run_all; /* NULL, or thread_count must be 1. */
    /* Of run_all: from the start of a round of more than two jobs to that of the next at least, so
     * that where many come many share what a round costs; where few come nobody waits.  0: each
     * round takes what is there. */
    int64_t pace_us;
    void *owner; /* For run_all. */
};

STATUS work_pool_new(const struct work_options *options, struct work_pool **out_pool);
/* Ends when every accepted job ran and came home. */
void work_pool_free(struct work_pool **pool);

/* Takes `work` until its `done` is called.  Fails with WHY_BUSY when the queue is full; the caller
 * then still owns it. */
STATUS work_submit(struct work_pool *pool, struct work *work);

#endif
