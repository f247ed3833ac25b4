/* SPDX-License-Identifier: Apache-2.0 */
/* Requests, jobs and erasures against the log: a request that was ended and waits again could be
 * carried out twice, a job that ended and runs again would state its counts anew, and what an
 * erasure has reported to be gone is gone. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vault/approve.h"
#include "vault/approve_parts.h"
#include "vault/erasure.h"
#include "vault/jobs.h"
#include "vault/verify.h"

#define IDS_MAX (1u << 20)

/* How the log names each kind, and the state that each of its events leaves. */
static const struct kind {
    enum store_job kind;
    const char *prefix;
} kinds[VERIFY_JOB_KINDS] = {
    {STORE_JOB_APPROVAL, "apr_"},
    {STORE_JOB_RUN, JOBS_PREFIX},
    {STORE_JOB_ERASURE, ERASURE_ID_PREFIX},
};

static const struct {
    const char *event;
    unsigned state;
} said[] = {
    {"approval.ask", APPROVE_WAITING},
    {"approval.approve", APPROVE_DONE},
    {"approval.cancel", APPROVE_CANCELLED},
    {"approval.expire", APPROVE_EXPIRED},
    {"job.begin", JOB_RUNNING},
    {"job.progress", JOB_RUNNING},
    {"job.pause", JOB_PAUSED},
    {"job.resume", JOB_RUNNING},
    {"job.fail", JOB_FAILED},
    {"job.end", JOB_DONE},
    {"erasure.begin", ERASURE_RUNNING},
    {"erasure.report", ERASURE_DONE},
};

/* The number that a text of our own begins with; 0: none. */
static uint64_t number_of(const char *text)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < 19 && text[i] >= '0' && text[i] <= '9'; i++)
        value = 10 * value + (uint64_t)(text[i] - '0');
    return value;
}

static STATUS said_at(struct verify_said_list *list, uint64_t id, struct verify_said **out)
{
    ENSURE(id >= 1 && id <= IDS_MAX, WHY_LIMIT);
    if (id > list->count) {
        size_t count = 2 * (size_t)id;
        struct verify_said *grown = reallocarray(list->said, count, sizeof *grown);
        ENSURE(grown != NULL, WHY_NO_MEMORY);
        memset(grown + list->count, 0, (count - list->count) * sizeof *grown);
        list->said = grown;
        list->count = count;
    }
    *out = &list->said[id - 1];
    return STATUS_OK;
}

STATUS verify_jobs_entry(struct verify *verify, const struct verify_job_entry *entry)
{
    struct verify_said *last = NULL;

    for (size_t k = 0; k < VERIFY_JOB_KINDS; k++) {
        size_t size = strlen(kinds[k].prefix);
        if (strncmp(entry->object, kinds[k].prefix, size) != 0)
            continue;
        struct status status = said_at(&verify->said[k], number_of(entry->object + size), &last);
        if (status.why == WHY_LIMIT)
            return STATUS_OK; /* No id of ours. */
        TRY(status);
        for (size_t i = 0; i < sizeof said / sizeof said[0]; i++) {
            if (strcmp(entry->event, said[i].event) != 0)
                continue;
            const char *scanned = strstr(entry->detail, ": ");
            last->state = said[i].state;
            last->seq = entry->seq;
            last->scanned = scanned == NULL ? 0 : number_of(scanned + 2);
            if (said[i].state == ERASURE_DONE && kinds[k].kind == STORE_JOB_ERASURE && !entry->ok)
                last->state = ERASURE_FOUND;
        }
    }
    return STATUS_OK;
}

/* The row's state, and how far it has come. */
static STATUS row_state(struct verify *verify, enum store_job kind, uint64_t id,
                        struct verify_said *out)
{
    struct keeper *keeper = &verify->keeper;
    struct approve_request request;
    struct erasure erasure;
    struct job job;

    *out = (struct verify_said){0};
    if (kind == STORE_JOB_APPROVAL) {
        TRY(approve_get(keeper, id, &request));
        out->state = request.state;
    } else if (kind == STORE_JOB_ERASURE) {
        TRY(erasure_get(keeper, id, &erasure));
        out->state = erasure.state;
    } else {
        TRY(jobs_get(keeper, id, &job));
        out->state = job.state;
        out->scanned = job.scanned;
    }
    return STATUS_OK;
}

static void row_compare(struct verify *verify, const struct kind *kind, uint64_t id,
                        const struct verify_said *last)
{
    uint8_t key[STORE_JOB_KEY_BYTES] = {(uint8_t)kind->kind};
    struct verify_place place = {STORE_JOBS, key, sizeof key};
    struct verify_said now;

    for (unsigned at = 0; at < 8; at++)
        key[1 + at] = (uint8_t)(id >> (56 - 8 * at));
    struct status status = row_state(verify, kind->kind, id, &now);
    if (status.why == WHY_NOT_FOUND)
        verify_find(verify, &place, VERIFY_MISSING,
                    "the log has it at entry %" PRIu64 ", and its row is gone", last->seq);
    else if (!failed(status) && now.state != last->state)
        verify_find(verify, &place, VERIFY_ROLLED_BACK,
                    "the log says at entry %" PRIu64 " that it is in another state", last->seq);
    else if (!failed(status) && now.scanned < last->scanned)
        verify_find(verify, &place, VERIFY_ROLLED_BACK,
                    "the log says at entry %" PRIu64 " that it had come further", last->seq);
}

/* What is not authentic is named where its turn comes. */
STATUS verify_jobs_end(struct verify *verify)
{
    for (size_t k = 0; k < VERIFY_JOB_KINDS; k++)
        for (size_t i = 0; i < verify->said[k].count; i++)
            if (verify->said[k].said[i].state != 0)
                row_compare(verify, &kinds[k], i + 1, &verify->said[k].said[i]);
    return STATUS_OK;
}

/* Those whose records are all gone, for the records' turn. */
STATUS verify_jobs_erasures(struct verify *verify)
{
    struct erasure row = {0};

    for (;;) {
        struct status status = erasure_next(&verify->keeper, row.id, &row);
        if (failed(status)) /* A row that is no erasure is named where its turn comes. */
            return status.why == WHY_NOT_FOUND || status.why == WHY_FORGED ? STATUS_OK : status;
        if (row.kind == ERASURE_TOKEN || row.phase <= ERASURE_RECORDS)
            continue;
        void *grown =
            reallocarray(verify->erased, verify->erased_count + 1, sizeof *verify->erased);
        ENSURE(grown != NULL, WHY_NO_MEMORY);
        verify->erased = grown;
        struct verify_erased *erased = &verify->erased[verify->erased_count++];
        *erased = (struct verify_erased){
            .id = row.id, .record_bound = row.record_bound, .key_id = row.key_id};
        (void)snprintf(erased->tenant, sizeof erased->tenant, "%s", row.tenant);
    }
}

uint64_t verify_jobs_erased(const struct verify *verify, uint64_t record_id, uint64_t key_id,
                            const char *tenant)
{
    for (size_t i = 0; i < verify->erased_count; i++) {
        const struct verify_erased *erased = &verify->erased[i];
        bool covered =
            erased->key_id != 0 ? erased->key_id == key_id : strcmp(erased->tenant, tenant) == 0;
        if (covered && record_id < erased->record_bound)
            return erased->id;
    }
    return 0;
}

/* Samples are there while their erasure runs, and no longer. */
static const char *samples_wrong(struct verify *verify, uint64_t id)
{
    static struct erasure_samples samples; /* Large, and of one thread. */
    struct erasure row;

    if (failed(erasure_get_samples(&verify->keeper, id, &samples)))
        return "they are no samples that can be read";
    struct status status = erasure_get(&verify->keeper, id, &row);
    if (status.why == WHY_NOT_FOUND || (!failed(status) && row.state != ERASURE_RUNNING))
        return "the erasure that it is of is over, or not there";
    return NULL;
}

bool verify_jobs_row(struct verify *verify, const struct store_job_key *key,
                     enum verify_kind *out_kind, const char **out_text)
{
    struct verify_said now;
    struct cursor in;

    *out_kind = VERIFY_UNAUTHENTIC;
    *out_text = "its seal does not hold";
    if (failed(store_get_job(&verify->keeper.store, key, &in)))
        return false;
    if (key->kind == STORE_JOB_SAMPLES) {
        *out_text = samples_wrong(verify, key->id);
        *out_kind = VERIFY_ORPHANED;
        return *out_text == NULL;
    }
    for (size_t k = 0; k < VERIFY_JOB_KINDS; k++) {
        if (kinds[k].kind != key->kind)
            continue;
        *out_text = "it cannot be read";
        if (failed(row_state(verify, key->kind, key->id, &now)))
            return false;
        *out_kind = VERIFY_ORPHANED;
        *out_text = "the log does not say who asked for it";
        return !verify->log_holds || (key->id >= 1 && key->id <= verify->said[k].count &&
                                      verify->said[k].said[key->id - 1].state != 0);
    }
    *out_text = "no row of that kind is ever written";
    return false;
}

void verify_jobs_free(struct verify *verify)
{
    for (size_t k = 0; k < VERIFY_JOB_KINDS; k++) {
        free(verify->said[k].said);
        verify->said[k] = (struct verify_said_list){0};
    }
    free(verify->erased);
    verify->erased = NULL;
    verify->erased_count = 0;
}
