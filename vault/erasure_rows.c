/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/erasure.h"

#include <assert.h>
#include <string.h>

#include "base/encode.h"
#include "base/own.h"

#define ROW_BYTES_MAX     1024u
#define SAMPLES_BYTES_MAX (32u * 1024u)
/* keys/envelope.h: version, suite and key id; the salt; the commitment and the nonce. */
#define SALT_AT   10u
#define CIPHER_AT (SALT_AT + 32u + 32u + 12u)

static struct store_job_key key_of(enum store_job kind, uint64_t id)
{
    return (struct store_job_key){.kind = kind, .id = id};
}

static void copy(struct cursor *in, void *out, size_t size)
{
    const uint8_t *bytes = cursor_bytes(in, size);

    if (bytes != NULL)
        memcpy(out, bytes, size);
}

/* --- The row --- */

static void row_encode(const struct erasure *row, struct buffer *out)
{
    const uint32_t smalls[] = {row->tables,       row->logs,
                               row->manifests,    row->attempts,
                               row->marks,        row->marks_found,
                               row->others,       row->others_found,
                               row->backup_files, row->backup_marks_found};
    const uint64_t bigs[] = {row->record_bound,
                             row->key_bound,
                             row->key_id,
                             row->entry,
                             row->tokens,
                             row->records,
                             row->repeats,
                             row->keys,
                             row->unread,
                             row->files,
                             row->bytes,
                             (uint64_t)row->asked_ms,
                             (uint64_t)row->ended_ms};

    buffer_add_u8(out, (uint8_t)row->kind);
    buffer_add_u8(out, (uint8_t)row->state);
    buffer_add_u8(out, (uint8_t)row->phase);
    buffer_add_u8(out, row->backups ? 1 : 0);
    buffer_add(out, row->at, sizeof row->at);
    buffer_add_counted(out, row->tenant);
    buffer_add_counted(out, row->asked_by);
    buffer_add_counted(out, row->approved_by);
    for (size_t i = 0; i < sizeof bigs / sizeof bigs[0]; i++)
        buffer_add_u64(out, bigs[i]);
    for (size_t i = 0; i < sizeof smalls / sizeof smalls[0]; i++)
        buffer_add_u32(out, smalls[i]);
}

static void row_decode_counts(struct cursor *in, struct erasure *out)
{
    out->record_bound = cursor_u64(in);
    out->key_bound = cursor_u64(in);
    out->key_id = cursor_u64(in);
    out->entry = cursor_u64(in);
    out->tokens = cursor_u64(in);
    out->records = cursor_u64(in);
    out->repeats = cursor_u64(in);
    out->keys = cursor_u64(in);
    out->unread = cursor_u64(in);
    out->files = cursor_u64(in);
    out->bytes = cursor_u64(in);
    out->asked_ms = (int64_t)cursor_u64(in);
    out->ended_ms = (int64_t)cursor_u64(in);
    out->tables = cursor_u32(in);
    out->logs = cursor_u32(in);
    out->manifests = cursor_u32(in);
    out->attempts = cursor_u32(in);
    out->marks = cursor_u32(in);
    out->marks_found = cursor_u32(in);
    out->others = cursor_u32(in);
    out->others_found = cursor_u32(in);
    out->backup_files = cursor_u32(in);
    out->backup_marks_found = cursor_u32(in);
}

STATUS erasure_get(struct keeper *keeper, uint64_t id, struct erasure *out_row)
{
    struct store_job_key key = key_of(STORE_JOB_ERASURE, id);
    struct erasure row = {.id = id};
    struct cursor in;

    TRY(store_get_job(&keeper->store, &key, &in));
    uint8_t kind = cursor_u8(&in);
    uint8_t state = cursor_u8(&in);
    uint8_t phase = cursor_u8(&in);
    ENSURE(kind >= ERASURE_TOKEN && kind < ERASURE_KIND_END, WHY_FORGED);
    ENSURE(state >= ERASURE_RUNNING && state < ERASURE_STATE_END, WHY_FORGED);
    ENSURE(phase >= ERASURE_TOKENS && phase < ERASURE_PHASE_END, WHY_FORGED);
    row.kind = (enum erasure_kind)kind;
    row.state = (enum erasure_state)state;
    row.phase = (enum erasure_phase)phase;
    row.backups = cursor_u8(&in) != 0;
    copy(&in, row.at, sizeof row.at);
    cursor_text(&in, row.tenant, sizeof row.tenant);
    cursor_text(&in, row.asked_by, sizeof row.asked_by);
    cursor_text(&in, row.approved_by, sizeof row.approved_by);
    row_decode_counts(&in, &row);
    ENSURE(cursor_done(&in), WHY_FORGED);
    *out_row = row;
    return STATUS_OK;
}

STATUS erasure_put(struct keeper *keeper, const struct erasure *row)
{
    struct store_job_key key = key_of(STORE_JOB_ERASURE, row->id);
    struct buffer text OWNED(buffer_free) = BUFFER(ROW_BYTES_MAX);

    row_encode(row, &text);
    TRY(buffer_status(&text));
    return store_put_job(&keeper->store, keeper->batch, &key, &text);
}

STATUS erasure_next(struct keeper *keeper, uint64_t id, struct erasure *out_row)
{
    struct store_job_key key = key_of(STORE_JOB_ERASURE, id);
    uint64_t next = 0;

    TRY(store_next_job(&keeper->store, &key, &next));
    return erasure_get(keeper, next, out_row);
}

/* --- The samples --- */

static void add_turned(struct buffer *out, const uint8_t mark[static MARKERS_BYTES])
{
    for (unsigned i = 0; i < MARKERS_BYTES; i++)
        buffer_add_u8(out, (uint8_t)~mark[i]);
}

static void copy_turned(struct cursor *in, uint8_t out[static MARKERS_BYTES])
{
    copy(in, out, MARKERS_BYTES);
    for (unsigned i = 0; i < MARKERS_BYTES; i++)
        out[i] = (uint8_t)~out[i];
}

STATUS erasure_get_samples(struct keeper *keeper, uint64_t id, struct erasure_samples *out)
{
    struct store_job_key key = key_of(STORE_JOB_SAMPLES, id);
    struct cursor in;

    memset(out, 0, sizeof *out);
    struct status status = store_get_job(&keeper->store, &key, &in);
    if (status.why == WHY_NOT_FOUND)
        return STATUS_OK;
    TRY(status);
    out->seen = cursor_u64(&in);
    out->count = cursor_u32(&in);
    ENSURE(out->count <= ERASURE_SAMPLES_MAX, WHY_FORGED);
    for (uint32_t i = 0; i < out->count; i++)
        for (unsigned k = 0; k < ERASURE_SAMPLE_MARKS; k++)
            copy_turned(&in, out->marks[i][k]);
    out->other_count = cursor_u32(&in);
    ENSURE(out->other_count <= ERASURE_OTHERS_MAX, WHY_FORGED);
    for (uint32_t i = 0; i < out->other_count; i++)
        copy_turned(&in, out->others[i]);
    ENSURE(cursor_done(&in), WHY_FORGED);
    return STATUS_OK;
}

STATUS erasure_put_samples(struct keeper *keeper, uint64_t id,
                           const struct erasure_samples *samples)
{
    struct store_job_key key = key_of(STORE_JOB_SAMPLES, id);
    struct buffer text OWNED(buffer_free) = BUFFER(SAMPLES_BYTES_MAX);

    buffer_add_u64(&text, samples->seen);
    buffer_add_u32(&text, samples->count);
    for (uint32_t i = 0; i < samples->count; i++)
        for (unsigned k = 0; k < ERASURE_SAMPLE_MARKS; k++)
            add_turned(&text, samples->marks[i][k]);
    buffer_add_u32(&text, samples->other_count);
    for (uint32_t i = 0; i < samples->other_count; i++)
        add_turned(&text, samples->others[i]);
    TRY(buffer_status(&text));
    return store_put_job(&keeper->store, keeper->batch, &key, &text);
}

static void envelope_mark(const uint8_t *envelope, size_t size, size_t at,
                          uint8_t out[static MARKERS_BYTES])
{
    if (size >= at + MARKERS_BYTES)
        memcpy(out, envelope + at, MARKERS_BYTES);
    else
        memset(out, 0, MARKERS_BYTES); /* No envelope: there is nothing to look for. */
}

/* Of all records each is kept with the same chance, however many there are. */
void erasure_sample(struct erasure_samples *samples, const struct store_record *record,
                    const uint8_t *fingerprint)
{
    uint64_t place = samples->seen;
    uint64_t draw = 0;

    if (samples->seen++ >= ERASURE_SAMPLES_MAX) {
        random_bytes(&draw, sizeof draw);
        place = draw % samples->seen;
    }
    if (place >= ERASURE_SAMPLES_MAX)
        return;
    if (place == samples->count)
        samples->count++;
    uint8_t(*marks)[MARKERS_BYTES] = samples->marks[place];
    envelope_mark(record->view, record->view_size, SALT_AT, marks[0]);
    envelope_mark(record->card, record->card_size, CIPHER_AT, marks[1]);
    if (fingerprint != NULL)
        memcpy(marks[2], fingerprint, MARKERS_BYTES);
    else
        memset(marks[2], 0, MARKERS_BYTES);
}

void erasure_sample_other(struct erasure_samples *samples, const struct store_record *record)
{
    if (samples->other_count < ERASURE_OTHERS_MAX)
        envelope_mark(record->view, record->view_size, SALT_AT,
                      samples->others[samples->other_count++]);
}

STATUS erasure_markers(const struct erasure_samples *samples, struct markers **out_gone,
                       struct markers **out_there)
{
    static const uint8_t none[MARKERS_BYTES] = {0};
    OWNED(markers_free) struct markers *gone = NULL;
    OWNED(markers_free) struct markers *there = NULL;

    TRY(markers_new(&gone));
    TRY(markers_new(&there));
    for (uint32_t i = 0; i < samples->count; i++)
        for (unsigned k = 0; k < ERASURE_SAMPLE_MARKS; k++)
            if (memcmp(samples->marks[i][k], none, sizeof none) != 0)
                TRY(markers_add(gone, samples->marks[i][k]));
    for (uint32_t i = 0; i < samples->other_count; i++)
        TRY(markers_add(there, samples->others[i]));
    *out_gone = MOVE(gone);
    *out_there = MOVE(there);
    return STATUS_OK;
}
