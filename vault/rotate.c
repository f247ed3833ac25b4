/* SPDX-License-Identifier: Apache-2.0 */
/* POST /v1/rotations: a key gets its successor, and what is under it moves. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/own.h"
#include "keys/keyring_rotate.h"
#include "vault/jobs_view.h"
#include "vault/keeper_text.h"

#define ROTATE_BYTES_MAX 4096u

enum { ROTATE_KEK, ROTATE_DEK, ROTATE_FINGERPRINT, ROTATE_NONE };
static const char *const whats[] = {"kek", "dek", "fingerprint", NULL};
static const char *const reasons[] = {"scheduled", "custodian-left", "compromise", NULL};
static const char *const suites[] = {"aes-256-gcm", "xchacha20-poly1305", NULL};

struct rotate {
    unsigned what;
    unsigned reason;
    char tenant[64];
    struct job job; /* Of those that need one. */
};

static STATUS rotate_read(struct keeper_op *op, struct cursor *in, struct rotate *out)
{
    enum { WHAT, TENANT, REASON, KEY, SUITE, RATE };
    static const char *const names[] = {[WHAT] = "what",
                                        [TENANT] = "tenant",
                                        [REASON] = "reason",
                                        [KEY] = "key",
                                        [SUITE] = "suite",
                                        [RATE] = "rate",
                                        NULL};
    const struct read_object_range key = {KEY, 1, UINT32_MAX, PROBLEM_INVALID_FIELD};
    const struct read_object_range rate = {RATE, 1, JOBS_RATE_MAX, PROBLEM_INVALID_FIELD};
    struct keeper_text text OWNED(keeper_text_close) = {0};
    struct read_object object;

    TRY(keeper_text_open(in, &text));
    TRY(keeper_text_object(op, &text, names, &object));
    read_object_need(&object, WHAT);
    out->what = read_object_choice(&object, WHAT, whats, ROTATE_NONE);
    read_object_text(&object, TENANT, out->tenant, sizeof out->tenant);
    out->reason = read_object_choice(&object, REASON, reasons, 0);
    if (out->what != ROTATE_KEK)
        read_object_need(&object, TENANT);
    out->job.key_id = (uint64_t)read_object_int(&object, &key);
    out->job.rate = (uint32_t)read_object_int(&object, &rate);
    out->job.suite = read_object_choice(&object, SUITE, suites, 0) == 0
                         ? ENVELOPE_AES_256_GCM
                         : ENVELOPE_XCHACHA20_POLY1305;
    if (out->what == ROTATE_KEK && (out->job.key_id != 0 || out->job.rate != 0))
        read_object_refuse(&object, out->job.key_id != 0 ? KEY : RATE, PROBLEM_INVALID_FIELD,
                           "The rotation of a KEK moves no record: it is over with its answer.");
    return keeper_text_judge(&object);
}

/* Of one tenant, or of all where none is named: each KEK that is active now. */
static STATUS rotate_keks(struct keeper_op *op, const struct rotate *rotate, unsigned *out_count)
{
    struct keyring *ring = op->keeper->ring;
    struct key_info info;
    unsigned known = 0;

    while (keyring_info_at(ring, known, &info))
        known++;
    *out_count = 0;
    for (unsigned i = 0; i < known; i++) {
        struct keyring_rotation rotation;
        (void)keyring_info_at(ring, i, &info);
        if (info.level != KEY_LEVEL_KEK || info.state != KEY_STATE_ACTIVE ||
            (rotate->tenant[0] != '\0' && strcmp(info.tenant, rotate->tenant) != 0))
            continue;
        TRY(keyring_rotate(ring, info.tenant, info.purpose, KEY_LEVEL_KEK, op->now_ms, &rotation));
        (*out_count)++;
    }
    ENSURE(*out_count > 0, WHY_NOT_FOUND);
    return STATUS_OK;
}

static STATUS rotate_record(struct keeper_op *op, const struct rotate *rotate, unsigned count)
{
    char detail[96];
    struct audit_entry entry = {.event = "key.rotate",
                                .object = whats[rotate->what],
                                .tenant = rotate->tenant[0] == '\0' ? NULL : rotate->tenant,
                                .detail = detail};

    (void)snprintf(detail, sizeof detail, "%s: %u keys have a successor", reasons[rotate->reason],
                   count);
    return keeper_record(op, &entry);
}

static STATUS rotate_answer_keks(struct keeper_op *op, unsigned count)
{
    struct buffer body OWNED(buffer_free) = BUFFER(ROTATE_BYTES_MAX);
    struct json_writer writer = json_writer_over(&body);

    json_begin_object(&writer);
    json_put_member(&writer, "what", "kek");
    json_put_member_int(&writer, "rotated", count);
    json_end_object(&writer);
    return keeper_answer_text(op, 200, &body);
}

/* A key that encrypts still, or any of the lane where none is named, gives its place away first. */
static STATUS rotate_lane(struct keeper_op *op, struct rotate *rotate, unsigned *out_count)
{
    struct keyring *ring = op->keeper->ring;
    bool print = rotate->what == ROTATE_FINGERPRINT;
    enum key_purpose purpose = print ? KEY_PURPOSE_FINGERPRINT : KEY_PURPOSE_CARD;
    struct keyring_rotation rotation = {0};
    struct key_info info = {0};

    rotate->job.kind = print ? JOB_FINGERPRINT : JOB_REENCRYPT;
    *out_count = 0;
    if (rotate->job.key_id != 0) {
        if (!keyring_info_at(ring, (unsigned)rotate->job.key_id - 1, &info) ||
            info.level != KEY_LEVEL_DEK || info.purpose != purpose ||
            strcmp(info.tenant, rotate->tenant) != 0)
            return keeper_refuse(op, PROBLEM_INVALID_FIELD, "/key",
                                 "This tenant has no such key of this kind.");
        if (info.state == KEY_STATE_DESTROYED)
            return keeper_refuse(op, PROBLEM_STATE_CONFLICT, "/key", "It is destroyed already.");
        if (info.state != KEY_STATE_ACTIVE)
            return STATUS_OK;
    }
    *out_count = 1;
    return keyring_rotate(ring, rotate->tenant, purpose, KEY_LEVEL_DEK, op->now_ms, &rotation);
}

static STATUS rotate_begin(struct keeper_op *op, struct rotate *rotate)
{
    struct buffer body OWNED(buffer_free) = BUFFER(ROTATE_BYTES_MAX);
    struct json_writer writer = json_writer_over(&body);
    const struct job_note note = {.event = "job.begin", .op = op};
    struct job *job = &rotate->job;

    (void)snprintf(job->tenant, sizeof job->tenant, "%s", rotate->tenant);
    (void)snprintf(job->by, sizeof job->by, "%s", op->principal->name);
    (void)snprintf(job->reason, sizeof job->reason, "%s", reasons[rotate->reason]);
    struct status status = jobs_begin(op->keeper, job, op->now_ms);
    if (status.why == WHY_LIMIT)
        return keeper_refuse(op, PROBLEM_BUSY, NULL, "Too many jobs are under way.");
    TRY(status);
    TRY(jobs_record(op->keeper, job, &note, op->now_ms));
    jobs_view_put(job, &writer);
    return keeper_answer_text(op, 202, &body);
}

STATUS rotate_run(struct keeper_op *op, struct cursor *in)
{
    struct rotate rotate = {0};
    unsigned count = 0;

    TRY(rotate_read(op, in, &rotate));
    op->keeper->keys_by_hand = true;
    struct status status = rotate.what == ROTATE_KEK ? rotate_keks(op, &rotate, &count)
                                                     : rotate_lane(op, &rotate, &count);
    if (status.why == WHY_NOT_FOUND)
        return keeper_refuse(op, PROBLEM_INVALID_FIELD, "/tenant",
                             "There is no key of this kind to rotate.");
    TRY(status);
    TRY(rotate_record(op, &rotate, count));
    if (rotate.what == ROTATE_KEK)
        return rotate_answer_keks(op, count);
    return rotate_begin(op, &rotate);
}
