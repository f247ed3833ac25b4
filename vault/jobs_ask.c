/* SPDX-License-Identifier: Apache-2.0 */
/* GET /v1/jobs and /v1/jobs/{id}; POST /v1/jobs/{id}/pause, /resume and /rate. */
#include <stdio.h>

#include "base/encode.h"
#include "base/own.h"
#include "vault/jobs_view.h"
#include "vault/keeper_text.h"

#define JOBS_LIST_MAX       200u
#define JOBS_LIST_BYTES_MAX (256u * 1024u)
#define JOBS_ONE_BYTES_MAX  4096u

void jobs_view_put(const struct job *job, struct json_writer *out)
{
    char id[32];

    (void)snprintf(id, sizeof id, JOBS_PREFIX "%llu", (unsigned long long)job->id);
    json_begin_object(out);
    json_put_member(out, "job", id);
    json_put_member(out, "kind", jobs_kind_name(job->kind));
    json_put_member(out, "state", jobs_state_name(job->state));
    json_put_member(out, "tenant", job->tenant);
    json_key(out, "key");
    if (job->key_id == 0)
        json_put_null(out);
    else
        json_put_int(out, (int64_t)job->key_id);
    json_put_member(out, "suite",
                    job->suite == ENVELOPE_AES_256_GCM ? "aes-256-gcm" : "xchacha20-poly1305");
    json_put_member_u64(out, "position", job->state == JOB_DONE ? job->last : job->cursor);
    json_put_member_u64(out, "end", job->last);
    json_put_member_u64(out, "scanned", job->scanned);
    json_put_member_u64(out, "moved", job->moved);
    json_key(out, "rate");
    if (job->rate == 0)
        json_put_null(out);
    else
        json_put_int(out, job->rate);
    json_put_member(out, "reason", job->reason);
    json_put_member(out, "by", job->by);
    json_put_member_time(out, "begun_at", job->begun_ms);
    json_put_member_time(out, "changed_at", job->changed_ms);
    json_put_member(out, "detail", job->detail[0] == '\0' ? NULL : job->detail);
    json_end_object(out);
}

/* The newest may be behind the bound: who has that many asks with `after`. */
STATUS jobs_list(struct keeper_op *op, struct cursor *in)
{
    struct keeper_text text OWNED(keeper_text_close) = {0};
    struct buffer body OWNED(buffer_free) = BUFFER(JOBS_LIST_BYTES_MAX);
    struct json_writer writer = json_writer_over(&body);
    static const char *const names[] = {"after", NULL};
    struct keeper_text_param params[1];
    struct job job = {0};
    unsigned count = 0;

    TRY(keeper_text_open(in, &text));
    TRY(keeper_text_params(op, &text, names, params));
    TRY(key_list_number(op, params[0].value, NULL, &job.id));
    json_begin_object(&writer);
    json_key(&writer, "jobs");
    json_begin_array(&writer);
    for (; count < JOBS_LIST_MAX; count++) {
        struct status status = jobs_next(op->keeper, job.id, &job);
        if (status.why == WHY_NOT_FOUND)
            break;
        TRY(status);
        jobs_view_put(&job, &writer);
    }
    json_end_array(&writer);
    json_put_member_bool(&writer, "more", count == JOBS_LIST_MAX);
    json_end_object(&writer);
    return keeper_answer_text(op, 200, &body);
}

static STATUS job_answer(struct keeper_op *op, const struct job *job)
{
    struct buffer body OWNED(buffer_free) = BUFFER(JOBS_ONE_BYTES_MAX);
    struct json_writer writer = json_writer_over(&body);

    jobs_view_put(job, &writer);
    return keeper_answer_text(op, 200, &body);
}

static STATUS job_find(struct keeper_op *op, const struct keeper_text *text, struct job *out_job)
{
    uint64_t id = 0;

    TRY(keeper_text_id(text, JOBS_PREFIX, &id));
    (void)snprintf(op->object, sizeof op->object, "%s", text->head.segment);
    return jobs_get(op->keeper, id, out_job);
}

STATUS jobs_show(struct keeper_op *op, struct cursor *in)
{
    struct keeper_text text OWNED(keeper_text_close) = {0};
    static const char *const names[] = {NULL};
    struct keeper_text_param params[1];
    struct job job;

    TRY(keeper_text_open(in, &text));
    TRY(keeper_text_params(op, &text, names, params));
    TRY(job_find(op, &text, &job));
    return job_answer(op, &job);
}

static STATUS job_change(struct keeper_op *op, struct job *job, const char *event)
{
    const struct job_note note = {.event = event, .op = op};

    job->changed_ms = op->now_ms;
    op->keeper->jobs->known = false;
    TRY(jobs_put(op->keeper, job));
    TRY(jobs_record(op->keeper, job, &note, op->now_ms));
    return job_answer(op, job);
}

/* Nothing but the path says what is wanted. */
static STATUS job_read_bare(struct keeper_op *op, struct cursor *in, struct job *out_job)
{
    struct keeper_text text OWNED(keeper_text_close) = {0};
    static const char *const names[] = {NULL};
    struct read_object object;

    TRY(keeper_text_open(in, &text));
    TRY(keeper_text_object(op, &text, names, &object));
    TRY(keeper_text_judge(&object));
    TRY(jobs_know(op->keeper));
    return job_find(op, &text, out_job);
}

STATUS jobs_pause(struct keeper_op *op, struct cursor *in)
{
    struct job job;

    TRY(job_read_bare(op, in, &job));
    if (job.state != JOB_RUNNING)
        return keeper_refuse(op, PROBLEM_STATE_CONFLICT, NULL, "Only a running job is paused.");
    job.state = JOB_PAUSED;
    return job_change(op, &job, "job.pause");
}

STATUS jobs_resume(struct keeper_op *op, struct cursor *in)
{
    struct job job;

    TRY(job_read_bare(op, in, &job));
    if (job.state != JOB_PAUSED && job.state != JOB_FAILED)
        return keeper_refuse(op, PROBLEM_STATE_CONFLICT, NULL,
                             "Only a paused job is resumed, or one that failed.");
    job.state = JOB_RUNNING;
    job.detail[0] = '\0';
    return job_change(op, &job, "job.resume");
}

STATUS jobs_rate(struct keeper_op *op, struct cursor *in)
{
    enum { RATE };
    static const char *const names[] = {[RATE] = "rate", NULL};
    const struct read_object_range range = {RATE, 0, JOBS_RATE_MAX, PROBLEM_INVALID_FIELD};
    struct keeper_text text OWNED(keeper_text_close) = {0};
    struct read_object object;
    struct job job;

    TRY(keeper_text_open(in, &text));
    TRY(keeper_text_object(op, &text, names, &object));
    read_object_need(&object, RATE);
    uint32_t rate = (uint32_t)read_object_int(&object, &range);
    TRY(keeper_text_judge(&object));
    TRY(jobs_know(op->keeper));
    TRY(job_find(op, &text, &job));
    if (job.state == JOB_DONE)
        return keeper_refuse(op, PROBLEM_STATE_CONFLICT, NULL, "This job has ended.");
    job.rate = rate;
    return job_change(op, &job, "job.rate");
}
