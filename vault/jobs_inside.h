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
    bool known; /* What follows is what the store says. */
    uint64_t last_id;
    struct jobs_running {
        uint64_t id;
        int64_t due_us; /* Of its next slice, by its rate. */
    } running[JOBS_RUNNING_MAX];
    unsigned running_count;
    unsigned turn;     /* They take turns: a slow one holds up no other. */
    bool rode;         /* A slice, with the last commit of requests. */
    int64_t commit_us; /* What one takes without, smoothed. */
    int64_t asked_us;  /* When requests were committed last, */
    int64_t sliced_us; /* and a slice of its own. */
    int64_t rest_us;   /* After a failure, nothing before. */
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
