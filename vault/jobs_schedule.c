/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs that nobody has to ask for: a compromised key is emptied, and so is a fingerprint key that
 * has a successor.  Card keys of the past are not: they open what they sealed until somebody wants
 * otherwise. */
#include <stdio.h>
#include <string.h>

#include "vault/jobs_inside.h"

static bool key_is_due(const struct key_info *key)
{
    if (key->level != KEY_LEVEL_DEK)
        return false;
    if (key->state == KEY_STATE_COMPROMISED)
        return key->purpose == KEY_PURPOSE_CARD || key->purpose == KEY_PURPOSE_FINGERPRINT;
    return key->state == KEY_STATE_DEACTIVATED && key->purpose == KEY_PURPOSE_FINGERPRINT;
}

/* Under way, paused or failed for people to look at, or done. */
static STATUS key_is_attended(struct keeper *keeper, const struct key_info *key, bool *out_attended)
{
    struct job job = {0};

    *out_attended = false;
    for (;;) {
        struct status status = jobs_next(keeper, job.id, &job);
        if (status.why == WHY_NOT_FOUND)
            return STATUS_OK;
        TRY(status);
        if (!jobs_covers(&job, key))
            continue;
        if (job.state == JOB_DONE && job.begun_ms < key->changed_ms)
            continue;
        *out_attended = true;
        return STATUS_OK;
    }
}

STATUS jobs_schedule(struct keeper *keeper, int64_t now_ms)
{
    struct key_info key;

    for (unsigned i = 0; keyring_info_at(keeper->ring, i, &key); i++) {
        bool attended = false;
        if (!key_is_due(&key))
            continue;
        TRY(key_is_attended(keeper, &key, &attended));
        if (attended)
            continue;
        struct job job = {
            .kind = key.purpose == KEY_PURPOSE_FINGERPRINT ? JOB_FINGERPRINT : JOB_REENCRYPT,
            .suite = ENVELOPE_AES_256_GCM,
            .key_id = key.id,
            .by = "schedule",
        };
        const struct job_note note = {.event = "job.begin", .by = "schedule"};
        (void)snprintf(job.tenant, sizeof job.tenant, "%s", key.tenant);
        (void)snprintf(job.reason, sizeof job.reason, "%s",
                       key.state == KEY_STATE_COMPROMISED ? "compromise" : "scheduled");
        struct status status = jobs_begin(keeper, &job, now_ms);
        if (status.why == WHY_LIMIT)
            return STATUS_OK; /* Once some have ended. */
        TRY(status);
        return jobs_record(keeper, &job, &note,
                           now_ms); /* One at a time, to be seen by the next. */
    }
    return STATUS_OK;
}
