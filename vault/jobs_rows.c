/* SPDX-License-Identifier: Apache-2.0 */
/* A job's row: version u8 | kind u8 | state u8 | suite u8 | key, keep, newest, cursor, last,
 * scanned, moved u64 | rate u32 | begun, changed u64 | tenant, by, reason, detail, counted. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/own.h"
#include "keys/keyring_rotate.h"
#include "vault/jobs_inside.h"

#define JOB_VERSION   1u
#define JOB_BYTES_MAX 512u

const char *jobs_kind_name(enum job_kind kind)
{
    return kind == JOB_FINGERPRINT ? "fingerprint" : "re-encryption";
}

const char *jobs_state_name(enum job_state state)
{
    static const char *const names[] = {[JOB_RUNNING] = "running",
                                        [JOB_PAUSED] = "paused",
                                        [JOB_DONE] = "done",
                                        [JOB_FAILED] = "failed"};

    return names[state];
}

static bool job_is_sane(const struct job *job)
{
    return (job->kind == JOB_REENCRYPT || job->kind == JOB_FINGERPRINT) &&
           job->state >= JOB_RUNNING && job->state <= JOB_FAILED &&
           (job->suite == ENVELOPE_AES_256_GCM || job->suite == ENVELOPE_XCHACHA20_POLY1305);
}

static STATUS job_decode(struct cursor *in, uint64_t id, struct job *out_job)
{
    struct job job = {.id = id};

    ENSURE(cursor_u8(in) == JOB_VERSION, WHY_FORGED);
    job.kind = (enum job_kind)cursor_u8(in);
    job.state = (enum job_state)cursor_u8(in);
    job.suite = (enum envelope_suite)cursor_u8(in);
    job.key_id = cursor_u64(in);
    job.keep = cursor_u64(in);
    job.newest = cursor_u64(in);
    job.cursor = cursor_u64(in);
    job.last = cursor_u64(in);
    job.scanned = cursor_u64(in);
    job.moved = cursor_u64(in);
    job.rate = cursor_u32(in);
    job.begun_ms = (int64_t)cursor_u64(in);
    job.changed_ms = (int64_t)cursor_u64(in);
    cursor_text(in, job.tenant, sizeof job.tenant);
    cursor_text(in, job.by, sizeof job.by);
    cursor_text(in, job.reason, sizeof job.reason);
    cursor_text(in, job.detail, sizeof job.detail);
    ENSURE(cursor_done(in), WHY_FORGED);
    ENSURE(job_is_sane(&job), WHY_FORGED);
    *out_job = job;
    return STATUS_OK;
}

STATUS jobs_get(struct keeper *keeper, uint64_t id, struct job *out_job)
{
    const struct store_job_key key = {.kind = STORE_JOB_RUN, .id = id};
    struct cursor in;

    TRY(store_get_job(&keeper->store, &key, &in));
    return job_decode(&in, id, out_job);
}

STATUS jobs_next(struct keeper *keeper, uint64_t id, struct job *out_job)
{
    const struct store_job_key key = {.kind = STORE_JOB_RUN, .id = id};
    uint64_t next = 0;

    TRY(store_next_job(&keeper->store, &key, &next));
    return jobs_get(keeper, next, out_job);
}

STATUS jobs_put(struct keeper *keeper, const struct job *job)
{
    const struct store_job_key key = {.kind = STORE_JOB_RUN, .id = job->id};
    struct buffer out OWNED(buffer_free) = BUFFER(JOB_BYTES_MAX);

    assert(job->id != 0);
    buffer_add_u8(&out, JOB_VERSION);
    buffer_add_u8(&out, (uint8_t)job->kind);
    buffer_add_u8(&out, (uint8_t)job->state);
    buffer_add_u8(&out, (uint8_t)job->suite);
    buffer_add_u64(&out, job->key_id);
    buffer_add_u64(&out, job->keep);
    buffer_add_u64(&out, job->newest);
    buffer_add_u64(&out, job->cursor);
    buffer_add_u64(&out, job->last);
    buffer_add_u64(&out, job->scanned);
    buffer_add_u64(&out, job->moved);
    buffer_add_u32(&out, job->rate);
    buffer_add_u64(&out, (uint64_t)job->begun_ms);
    buffer_add_u64(&out, (uint64_t)job->changed_ms);
    buffer_add_counted(&out, job->tenant);
    buffer_add_counted(&out, job->by);
    buffer_add_counted(&out, job->reason);
    buffer_add_counted(&out, job->detail);
    TRY(buffer_status(&out));
    return store_put_job(&keeper->store, keeper->batch, &key, &out);
}

static enum key_purpose job_purpose(const struct job *job)
{
    return job->kind == JOB_FINGERPRINT ? KEY_PURPOSE_FINGERPRINT : KEY_PURPOSE_CARD;
}

bool jobs_covers(const struct job *job, const struct key_info *key)
{
    if (key->level != KEY_LEVEL_DEK || key->purpose != job_purpose(job) ||
        strcmp(key->tenant, job->tenant) != 0)
        return false;
    if (job->key_id != 0)
        return key->id == job->key_id;
    return key->id != job->keep && key->id <= job->newest;
}

STATUS jobs_begin(struct keeper *keeper, struct job *job, int64_t now_ms)
{
    struct job other = {0};
    unsigned open = 0;

    TRY(jobs_know(keeper));
    for (;;) {
        struct status status = jobs_next(keeper, other.id, &other);
        if (status.why == WHY_NOT_FOUND)
            break;
        TRY(status);
        open += other.state == JOB_DONE ? 0 : 1;
    }
    ENSURE(open < JOBS_RUNNING_MAX, WHY_LIMIT);
    job->id = ++keeper->jobs->last_id;
    job->state = JOB_RUNNING;
    job->keep = keyring_active(keeper->ring, job->tenant, job_purpose(job), KEY_LEVEL_DEK);
    job->newest = keyring_newest(keeper->ring, job->tenant, job_purpose(job), KEY_LEVEL_DEK);
    job->last = keeper->next_record - 1;
    job->begun_ms = now_ms;
    job->changed_ms = now_ms;
    keeper->jobs->known = false;
    return jobs_put(keeper, job);
}

STATUS jobs_find_proof(struct keeper *keeper, const struct key_info *key, struct job *out_job)
{
    struct job job = {0};

    for (;;) {
        TRY(jobs_next(keeper, job.id, &job));
        /* A key that was active again since may have new records. */
        if (job.state == JOB_DONE && jobs_covers(&job, key) && job.begun_ms >= key->changed_ms)
            break;
    }
    *out_job = job;
    return STATUS_OK;
}

STATUS jobs_record(struct keeper *keeper, const struct job *job, const struct job_note *note,
                   int64_t now_ms)
{
    char object[32];
    char detail[192];
    struct audit_entry entry = {.event = note->event,
                                .actor = note->by,
                                .object = object,
                                .outcome = job->state == JOB_FAILED ? "failed" : NULL,
                                .tenant = job->tenant,
                                .key_id = job->key_id,
                                .detail = detail};

    (void)snprintf(object, sizeof object, JOBS_PREFIX "%llu", (unsigned long long)job->id);
    (void)snprintf(detail, sizeof detail, "%s, %s: %llu scanned, %llu moved%s%s",
                   jobs_kind_name(job->kind), jobs_state_name(job->state),
                   (unsigned long long)job->scanned, (unsigned long long)job->moved,
                   job->detail[0] == '\0' ? "" : "; ", job->detail);
    if (note->op != NULL)
        return keeper_record(note->op, &entry);
    return keeper_record_own(keeper, &entry, now_ms);
}
