/* SPDX-License-Identifier: Apache-2.0 */
/* Requests as stored, and what the keeper remembers of them. */
#include <stdio.h>
#include <string.h>

#include "base/own.h"
#include "vault/approve_parts.h"
#include "vault/keeper_inside.h"

#define ROW_VERSION   1u
#define ROW_BYTES_MAX 4096u

static const char *const states[] = {
    [APPROVE_WAITING] = "waiting",
    [APPROVE_DONE] = "done",
    [APPROVE_CANCELLED] = "cancelled",
    [APPROVE_EXPIRED] = "expired",
};

const char *approve_state_name(enum approve_state state)
{
    return states[state];
}

static void person_encode(const struct approve_person *person, struct buffer *out)
{
    buffer_add_counted(out, person->name);
    buffer_add_counted(out, person->certificate);
}

static void person_decode(struct cursor *in, struct approve_person *out_person)
{
    cursor_text(in, out_person->name, sizeof out_person->name);
    cursor_text(in, out_person->certificate, sizeof out_person->certificate);
}

STATUS approve_put(struct keeper *keeper, const struct approve_request *request)
{
    struct buffer row OWNED(buffer_free) = BUFFER(ROW_BYTES_MAX);
    struct store_job_key key = {.kind = STORE_JOB_APPROVAL, .id = request->id};

    buffer_add_u8(&row, ROW_VERSION);
    buffer_add_counted(&row, approve_kind_name(request->kind));
    buffer_add_u8(&row, (uint8_t)request->state);
    buffer_add_counted(&row, request->target);
    buffer_add_u16(&row, (uint16_t)strlen(request->detail));
    buffer_add(&row, request->detail, strlen(request->detail));
    buffer_add_u64(&row, request->key_id);
    buffer_add_u64(&row, (uint64_t)request->asked_ms);
    buffer_add_u64(&row, (uint64_t)request->deadline_ms);
    buffer_add_u64(&row, (uint64_t)request->ended_ms);
    person_encode(&request->asked, &row);
    person_encode(&request->ended, &row);
    TRY(buffer_status(&row));
    return store_put_job(&keeper->store, keeper->batch, &key, &row);
}

static STATUS request_decode(struct cursor *in, struct approve_request *out)
{
    char kind[APPROVE_NAME_MAX];

    ENSURE(cursor_u8(in) == ROW_VERSION, WHY_FORGED);
    cursor_text(in, kind, sizeof kind);
    ENSURE(approve_kind_find(kind, &out->kind), WHY_FORGED);
    uint8_t state = cursor_u8(in);
    ENSURE(state >= APPROVE_WAITING && state < APPROVE_STATE_END, WHY_FORGED);
    out->state = (enum approve_state)state;
    cursor_text(in, out->target, sizeof out->target);
    size_t size = cursor_u16(in);
    const uint8_t *detail = cursor_bytes(in, size);
    ENSURE(detail != NULL && size < sizeof out->detail, WHY_FORGED);
    memcpy(out->detail, detail, size);
    out->key_id = cursor_u64(in);
    out->asked_ms = (int64_t)cursor_u64(in);
    out->deadline_ms = (int64_t)cursor_u64(in);
    out->ended_ms = (int64_t)cursor_u64(in);
    person_decode(in, &out->asked);
    person_decode(in, &out->ended);
    ENSURE(cursor_done(in), WHY_FORGED);
    return STATUS_OK;
}

STATUS approve_get(struct keeper *keeper, uint64_t id, struct approve_request *out_request)
{
    struct store_job_key key = {.kind = STORE_JOB_APPROVAL, .id = id};
    struct approve_request request = {.id = id};
    struct cursor in;

    TRY(store_get_job(&keeper->store, &key, &in));
    TRY(request_decode(&in, &request));
    *out_request = request;
    return STATUS_OK;
}

bool approve_is_done(struct keeper *keeper, uint64_t id)
{
    struct approve_request request;

    return !failed(approve_get(keeper, id, &request)) && request.state == APPROVE_DONE;
}

STATUS approve_next(struct keeper *keeper, uint64_t after, struct approve_request *out_request)
{
    struct store_job_key key = {.kind = STORE_JOB_APPROVAL, .id = after};
    uint64_t id = 0;

    TRY(store_next_job(&keeper->store, &key, &id));
    return approve_get(keeper, id, out_request);
}

static bool request_holds(const struct approve_request *request)
{
    return request->kind == APPROVE_KEY_COMPROMISE &&
           (request->state == APPROVE_WAITING || request->state == APPROVE_EXPIRED);
}

bool approve_holds(const struct keeper *keeper, uint64_t key_id)
{
    const struct approve_book *book = &keeper->approvals;

    for (unsigned i = 0; i < book->hold_count; i++)
        if (book->holds[i] == key_id)
            return true;
    return false;
}

void approve_note(struct keeper *keeper, const struct approve_request *request)
{
    struct approve_book *book = &keeper->approvals;
    unsigned kept = 0;

    for (unsigned i = 0; i < book->hold_count; i++)
        if (book->holds[i] != request->key_id || request->kind != APPROVE_KEY_COMPROMISE)
            book->holds[kept++] = book->holds[i];
    book->hold_count = kept;
    if (request_holds(request) && kept < APPROVE_HOLDS_MAX)
        book->holds[book->hold_count++] = request->key_id;
    if (request->state == APPROVE_WAITING &&
        (book->due_ms == 0 || request->deadline_ms < book->due_ms))
        book->due_ms = request->deadline_ms;
    if (request->id >= book->next_id)
        book->next_id = request->id + 1;
}

STATUS approve_open(struct keeper *keeper)
{
    struct approve_request request = {0};

    keeper->approvals = (struct approve_book){.next_id = 1};
    for (;;) {
        struct status status = approve_next(keeper, request.id, &request);
        if (status.why == WHY_NOT_FOUND)
            break;
        TRY(status);
        approve_note(keeper, &request);
    }
    keeper->approvals.read = true;
    return STATUS_OK;
}
