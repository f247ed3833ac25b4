/* SPDX-License-Identifier: Apache-2.0 */
/* vault/jobs_inside.h -- what the files of the jobs share.
 *
 * In      nothing from outside vault/job*.c.
 * Out     what the keeper remembers of its jobs between turns.
 * Never   is included by anything else.
 * Threads the keeper's.
 */
#ifndef VAULT_JOBS_INSIDE_H
#define VAULT_JOBS_INSIDE_H

#include "vault/jobs.h"

/* All times by the clock that does not jump. */
struct jobs {
    bool known; /* The next two are what the store says. */
    uint64_t last_id;
    uint64_t running;  /* The first that runs; 0: none. */
    bool rode;         /* A slice, with the last commit of requests. */
    int64_t commit_us; /* What one takes without, smoothed. */
    int64_t asked_us;  /* When requests were committed last, */
    int64_t sliced_us; /* and a slice of its own. */
    int64_t rate_due_us;
    int64_t rest_us; /* After a failure, nothing before. */
    int64_t schedule_us;
    struct secret *room;
};

/* Reads what there is, where it is not known. */
STATUS jobs_know(struct keeper *keeper);
/* Begins what is due: jobs for keys that are compromised or have a successor. */
STATUS jobs_schedule(struct keeper *keeper, int64_t now_ms);

/* An entry about a job. */
struct job_note {
    const char *event;
    const char *by; /* NULL: `op` says who. */
    struct keeper_op *op;
};
STATUS jobs_record(struct keeper *keeper, const struct job *job, const struct job_note *note,
                   int64_t now_ms);

#endif
