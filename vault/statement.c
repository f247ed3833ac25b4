/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/statement.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

static STATUS statement_of_key(struct keeper *keeper, const struct job *job,
                               const struct key_info *key, int64_t now_ms)
{
    char object[32];
    char detail[160];
    struct audit_entry entry = {.event = "key.statement",
                                .object = object,
                                .tenant = job->tenant,
                                .key_id = key->id,
                                .key_version = key->version,
                                .detail = detail};

    (void)snprintf(object, sizeof object, "key/%" PRIu64, key->id);
    (void)snprintf(detail, sizeof detail,
                   "no %s under key %" PRIu64 " remains: %" PRIu64 " scanned, %" PRIu64
                   " moved by " JOBS_PREFIX "%" PRIu64,
                   job->kind == JOB_FINGERPRINT ? "fingerprint" : "record", key->id, job->scanned,
                   job->moved, job->id);
    return keeper_record_own(keeper, &entry, now_ms);
}

/* A key whose state changed since the job began may have taken cards behind the last one that the
 * job looked at: of such a key nothing is stated that was not looked for. */
static STATUS key_is_empty(struct keeper *keeper, const struct job *job, const struct key_info *key,
                           bool *out_empty)
{
    bool any = false;

    if (job->kind == JOB_REENCRYPT && key->changed_ms > job->begun_ms)
        TRY(store_count_behind(&keeper->store, job->last, key->id, &any));
    *out_empty = !any;
    return STATUS_OK;
}

STATUS statement_of_job(struct keeper *keeper, const struct job *job, int64_t now_ms)
{
    struct key_info key;
    unsigned count = 0;

    assert(job->state == JOB_DONE);
    for (uint64_t id = job->newest; id >= 1 && count < STATEMENT_KEYS_MAX; id--) {
        bool known = keyring_info_at(keeper->ring, (unsigned)id - 1, &key);
        assert(known);
        if (!jobs_covers(job, &key) || key.state == KEY_STATE_DESTROYED ||
            key.state == KEY_STATE_ACTIVE)
            continue;
        bool empty = false;
        TRY(key_is_empty(keeper, job, &key, &empty));
        if (!empty)
            continue;
        TRY(statement_of_key(keeper, job, &key, now_ms));
        count++;
    }
    return STATUS_OK;
}
