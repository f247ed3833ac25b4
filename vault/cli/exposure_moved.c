/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/cli/exposure_moved.h"

#include <stdio.h>
#include <string.h>

/* A job moves to the key that is active at that moment: those that run while this one is active are
 * of interest. */
static void touch(struct exposure_moved *moved, struct exposure_job *job)
{
    if (moved->is_active && !job->ended && strcmp(job->tenant, moved->tenant) == 0)
        job->touched = true;
}

static void key_take(struct exposure_moved *moved, const struct json *json, const char *event)
{
    char object[32];

    if (log_walk_key(json, 0) != moved->key_id)
        return;
    log_walk_text(json, 0, "object", object, sizeof object);
    if (strcmp(event, "key.create") == 0 && strcmp(object, "card") == 0)
        log_walk_text(json, 0, "tenant", moved->tenant, sizeof moved->tenant);
    if (strcmp(event, "key.create") == 0 || strcmp(event, "key.activate") == 0)
        moved->is_active = true;
    else if (strcmp(event, "key.suspend") == 0 || strcmp(event, "key.deactivate") == 0 ||
             strcmp(event, "key.compromise") == 0 || strcmp(event, "key.destroy") == 0)
        moved->is_active = false;
    for (unsigned i = 0; i < moved->job_count; i++)
        touch(moved, &moved->jobs[i]);
}

/* The job's place; else a free one, or that of a job that is of no interest any more. */
static struct exposure_job *job_place(struct exposure_moved *moved, const char *name)
{
    for (unsigned i = 0; i < moved->job_count; i++)
        if (strcmp(moved->jobs[i].name, name) == 0)
            return &moved->jobs[i];
    struct exposure_job *place = NULL;
    if (moved->job_count < EXPOSURE_JOBS_MAX)
        place = &moved->jobs[moved->job_count++];
    for (unsigned i = 0; place == NULL && i < moved->job_count; i++)
        if (moved->jobs[i].ended && !moved->jobs[i].touched)
            place = &moved->jobs[i];
    if (place == NULL) {
        moved->full = true;
        return NULL;
    }
    *place = (struct exposure_job){0};
    (void)snprintf(place->name, sizeof place->name, "%s", name);
    return place;
}

static void job_take(struct exposure_moved *moved, const struct json *json, const char *event)
{
    char name[32];

    log_walk_text(json, 0, "object", name, sizeof name);
    struct exposure_job *job = job_place(moved, name);
    if (job == NULL)
        return;
    log_walk_text(json, 0, "tenant", job->tenant, sizeof job->tenant);
    log_walk_text(json, 0, "detail", job->detail, sizeof job->detail);
    job->from_key = log_walk_key(json, 0);
    job->ended = false;
    touch(moved, job);
    job->ended = strcmp(event, "job.end") == 0;
}

bool exposure_moved_counts(const struct exposure_moved *moved, const struct exposure_job *job)
{
    return job->touched && job->from_key != moved->key_id;
}

void exposure_moved_take(struct exposure_moved *moved, const struct json *json, const char *event)
{
    if (strncmp(event, "key.", 4) == 0)
        key_take(moved, json, event);
    else if (strncmp(event, "job.", 4) == 0)
        job_take(moved, json, event);
}
