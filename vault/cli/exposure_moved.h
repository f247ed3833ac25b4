/* SPDX-License-Identifier: Apache-2.0 */
/* vault/cli/exposure_moved.h -- jobs that may have moved records under a key.
 *
 * In      the log's entries, in order.
 * Out     each job of the key's tenant that ran while the key was active, with what it emptied:
 *         tokens of those records were sealed under another key, and lie under this one.
 * Never   guesses which of them: the log has a job's counts, and not its records.
 * Threads one.
 */
#ifndef VAULT_CLI_EXPOSURE_MOVED_H
#define VAULT_CLI_EXPOSURE_MOVED_H

#include "vault/cli/log_walk.h"

#define EXPOSURE_JOBS_MAX 1024u

struct exposure_moved {
    uint64_t key_id;
    char tenant[128];
    bool is_active; /* It takes records. */
    struct exposure_job {
        char name[32];
        uint64_t from_key; /* 0: all that came before. */
        char detail[192];
        char tenant[128];
        bool ended;
        bool touched; /* It ran while the key was active: only these count. */
    } jobs[EXPOSURE_JOBS_MAX];
    unsigned job_count;
    bool full;
};

/* The job is one of those meant: it ran then, and did not empty this very key. */
bool exposure_moved_counts(const struct exposure_moved *moved, const struct exposure_job *job);

/* An entry whose event begins with "key." or "job.". */
void exposure_moved_take(struct exposure_moved *moved, const struct json *json, const char *event);

#endif
