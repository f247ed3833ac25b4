/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/approve.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/encode.h"
#include "base/log.h"
#include "base/own.h"
#include "vault/approve_parts.h"
#include "vault/keeper_text.h"

#define ID_PREFIX       "apr_"
#define LIST_MAX        100u
#define LIST_BYTES_MAX  (512u * 1024u)
#define ONE_BYTES_MAX   8192u
#define DETAIL_TEXT_MAX (APPROVE_DETAIL_MAX + APPROVE_TARGET_MAX + 64u)

/* What can be asked for.  A new kind is a row here, its function in the file of its subject, and a
 * line in steps.h. */
static const struct approve_row {
    const char *name;
    approve_fn run;
} rows[APPROVE_KIND_COUNT] = {
    [APPROVE_KEY_COMPROMISE] = {"key.compromise", key_change_compromise},
    [APPROVE_KEY_DESTROY] = {"key.destroy", key_change_destroy},
    [APPROVE_SEAL_REKEY] = {"seal.rekey", keeper_ceremony_ask_approved},
    [APPROVE_SEAL_MIGRATE] = {"seal.migrate", seal_migrate_run},
    [APPROVE_ERASE_TENANT] = {"erase.tenant", erasure_ask_tenant},
    [APPROVE_ERASE_EPOCH] = {"erase.epoch", erasure_ask_epoch},
};

const char *approve_kind_name(enum approve_kind kind)
{
    return rows[kind].name;
}

bool approve_kind_find(const char *name, enum approve_kind *out_kind)
{
    for (unsigned i = 0; i < APPROVE_KIND_COUNT; i++)
        if (strcmp(rows[i].name, name) == 0) {
            *out_kind = (enum approve_kind)i;
            return true;
        }
    return false;
}

static void id_text(uint64_t id, char out[static APPROVE_ID_MAX])
{
    (void)snprintf(out, APPROVE_ID_MAX, ID_PREFIX "%" PRIu64, id);
}

/* --- Views --- */

static void put_person(struct json_writer *writer, const char *name,
                       const struct approve_person *person)
{
    json_key(writer, name);
    if (person->name[0] == '\0') {
        json_put_null(writer);
        return;
    }
    json_begin_object(writer);
    json_put_member(writer, "principal", person->name);
    json_put_member(writer, "certificate", person->certificate);
    json_end_object(writer);
}

static void put_members(struct json_writer *writer, const struct approve_request *request)
{
    char id[APPROVE_ID_MAX];

    id_text(request->id, id);
    json_put_member(writer, "approval", id);
    json_put_member(writer, "kind", rows[request->kind].name);
    json_put_member(writer, "target", request->target);
    json_put_member(writer, "state", approve_state_name(request->state));
    json_key(writer, "detail");
    json_put_raw(writer, request->detail, strlen(request->detail));
    put_person(writer, "asked_by", &request->asked);
    json_put_member_time(writer, "asked_at", request->asked_ms);
    json_put_member_time(writer, "deadline", request->deadline_ms);
    put_person(writer, "ended_by", &request->ended);
    json_put_member_time(writer, "ended_at", request->ended_ms);
}

/* --- Who --- */

static struct approve_person person_of(const struct keeper_op *op, const char *certificate)
{
    struct approve_person person;

    (void)snprintf(person.name, sizeof person.name, "%s", op->principal->name);
    (void)snprintf(person.certificate, sizeof person.certificate, "%s", certificate);
    return person;
}

/* An entry names the request and what it is about; and of who asked, the name and the certificate,
 * beside those of who does it now. */
static STATUS request_record(struct keeper_op *op, const struct approve_request *request,
                             const char *event)
{
    const struct approve_person *now =
        request->ended.name[0] == '\0' ? &request->asked : &request->ended;
    char id[APPROVE_ID_MAX];
    char detail[DETAIL_TEXT_MAX];
    struct audit_entry entry = {
        .event = event,
        .object = id,
        .detail = detail,
        .certificate = now->certificate,
        .asked_by = request->asked.name,
        .asked_certificate = request->asked.certificate,
    };

    id_text(request->id, id);
    (void)snprintf(detail, sizeof detail, "%s of %s: %s", rows[request->kind].name, request->target,
                   request->detail);
    return keeper_record(op, &entry);
}

/* --- Asking --- */

static STATUS ask_is_new(struct keeper_op *op, const struct approve_ask *ask)
{
    struct approve_request other = {0};
    char sentence[160];
    char id[APPROVE_ID_MAX];

    for (;;) {
        struct status status = approve_next(op->keeper, other.id, &other);
        if (status.why == WHY_NOT_FOUND)
            return STATUS_OK;
        TRY(status);
        if (other.state != APPROVE_WAITING || other.kind != ask->kind ||
            strcmp(other.target, ask->target) != 0 || op->now_ms >= other.deadline_ms)
            continue;
        id_text(other.id, id);
        (void)snprintf(sentence, sizeof sentence,
                       "The same was asked for already: %s waits for its approval.", id);
        return keeper_refuse(op, PROBLEM_STATE_CONFLICT, NULL, sentence);
    }
}

STATUS approve_ask(struct keeper_op *op, const struct approve_ask *ask)
{
    struct keeper *keeper = op->keeper;
    struct buffer body OWNED(buffer_free) = BUFFER(ONE_BYTES_MAX);
    struct json_writer writer = json_writer_over(&body);
    int64_t within_ms = ask->within_ms == 0 ? APPROVE_DEADLINE_MS : ask->within_ms;
    struct approve_request request = {
        .kind = ask->kind,
        .state = APPROVE_WAITING,
        .key_id = ask->key_id,
        .asked_ms = op->now_ms,
        .deadline_ms = op->now_ms + within_ms,
    };

    ENSURE(keeper->approvals.read, WHY_BUSY);
    if (keeper->approvals.hold_count == APPROVE_HOLDS_MAX)
        return keeper_refuse(op, PROBLEM_STATE_CONFLICT, NULL,
                             "As many keys are held as can be; approve or cancel some requests.");
    ENSURE(within_ms > 0 && within_ms <= APPROVE_DEADLINE_MS_MAX, WHY_BAD_INPUT);
    ENSURE(strlen(ask->target) < sizeof request.target, WHY_LIMIT);
    ENSURE(strlen(ask->detail) < sizeof request.detail, WHY_LIMIT);
    ENSURE(ask->certificate[0] != '\0', WHY_DENIED); /* Nobody could tell two persons apart. */
    TRY(ask_is_new(op, ask));
    request.id = keeper->approvals.next_id;
    (void)snprintf(request.target, sizeof request.target, "%s", ask->target);
    (void)snprintf(request.detail, sizeof request.detail, "%s", ask->detail);
    request.asked = person_of(op, ask->certificate);
    TRY(approve_put(keeper, &request));
    TRY(request_record(op, &request, "approval.ask"));
    json_begin_object(&writer);
    put_members(&writer, &request);
    json_end_object(&writer);
    TRY(keeper_answer_text(op, 202, &body));
    approve_note(keeper, &request);
    return STATUS_OK;
}

/* --- Answering --- */

/* The request that the path names; one that is no request's name is as one that never was. */
static STATUS request_find(struct keeper_op *op, struct cursor *in, struct keeper_text *text,
                           struct approve_request *out_request)
{
    static const char *const no_names[] = {NULL};
    struct read_object none;
    uint64_t id = 0;

    TRY(keeper_text_open(in, text));
    (void)snprintf(op->object, sizeof op->object, "%s", text->head.segment);
    (void)snprintf(op->certificate, sizeof op->certificate, "%s", text->head.certificate);
    TRY(keeper_text_object(op, text, no_names, &none));
    TRY(keeper_text_judge(&none));
    TRY(keeper_text_id(text, ID_PREFIX, &id));
    return approve_get(op->keeper, id, out_request);
}

static STATUS request_is_open(struct keeper_op *op, const struct approve_request *request)
{
    if (request->state == APPROVE_EXPIRED ||
        (request->state == APPROVE_WAITING && op->now_ms >= request->deadline_ms))
        return keeper_refuse(op, PROBLEM_STATE_CONFLICT, NULL,
                             "The time to approve this is over; ask for it again.");
    if (request->state == APPROVE_DONE)
        return keeper_refuse(op, PROBLEM_STATE_CONFLICT, NULL,
                             "This was approved and carried out already.");
    if (request->state == APPROVE_CANCELLED)
        return keeper_refuse(op, PROBLEM_STATE_CONFLICT, NULL,
                             "This was cancelled; ask for it again.");
    return STATUS_OK;
}

static STATUS two_persons(struct keeper_op *op, const struct approve_request *request,
                          const char *certificate)
{
    if (strcmp(request->asked.name, op->principal->name) == 0)
        return keeper_refuse(op, PROBLEM_STATE_CONFLICT, NULL,
                             "You asked for this; somebody else must approve it.");
    if (certificate[0] == '\0' || strcmp(request->asked.certificate, certificate) == 0)
        return keeper_refuse(op, PROBLEM_STATE_CONFLICT, NULL,
                             "This was asked for with the same certificate; somebody else must "
                             "approve it, with a certificate of their own.");
    return STATUS_OK;
}

static STATUS request_answer(struct keeper_op *op, const struct approve_request *request,
                             const struct buffer *result)
{
    struct buffer body OWNED(buffer_free) = BUFFER(LIST_BYTES_MAX);
    struct json_writer writer = json_writer_over(&body);

    json_begin_object(&writer);
    put_members(&writer, request);
    json_key(&writer, "result");
    json_put_raw(&writer, result->bytes, result->size);
    json_end_object(&writer);
    return keeper_answer_text(op, 200, &body);
}

STATUS approve_run(struct keeper_op *op, struct cursor *in)
{
    OWNED(keeper_text_close) struct keeper_text text = {0};
    struct approve_request request;
    struct buffer result OWNED(buffer_free) = BUFFER(LIST_BYTES_MAX);
    struct json_writer writer = json_writer_over(&result);

    TRY(request_find(op, in, &text, &request));
    TRY(request_is_open(op, &request));
    TRY(two_persons(op, &request, text.head.certificate));
    if (rows[request.kind].run == NULL)
        return keeper_refuse(op, PROBLEM_STATE_CONFLICT, NULL,
                             "This program cannot carry that out.");
    request.state = APPROVE_DONE;
    request.ended_ms = op->now_ms;
    request.ended = person_of(op, text.head.certificate);
    TRY(approve_put(op->keeper, &request));
    TRY(request_record(op, &request, "approval.approve"));
    json_begin_object(&writer);
    TRY(rows[request.kind].run(op, &request, &writer));
    json_end_object(&writer);
    TRY(buffer_status(&result));
    TRY(request_answer(op, &request, &result));
    approve_note(op->keeper, &request);
    return STATUS_OK;
}

/* By who asked, or by who could approve; a late one too, so that its hold ends. */
STATUS approve_cancel(struct keeper_op *op, struct cursor *in)
{
    OWNED(keeper_text_close) struct keeper_text text = {0};
    struct approve_request request;
    struct buffer nothing OWNED(buffer_free) = BUFFER(8);

    TRY(request_find(op, in, &text, &request));
    if (strcmp(request.asked.name, op->principal->name) != 0 && !keeper_may(op, POLICY_KEY_APPROVE))
        return keeper_refuse(op, PROBLEM_DENIED, NULL, NULL);
    if (request.state == APPROVE_DONE || request.state == APPROVE_CANCELLED)
        return request_is_open(op, &request);
    request.state = APPROVE_CANCELLED;
    request.ended_ms = op->now_ms;
    request.ended = person_of(op, text.head.certificate);
    TRY(approve_put(op->keeper, &request));
    TRY(request_record(op, &request, "approval.cancel"));
    buffer_add_text(&nothing, "{}");
    TRY(request_answer(op, &request, &nothing));
    approve_note(op->keeper, &request);
    return STATUS_OK;
}

/* Adds those of `state` ("" for all) behind `after`; true where there are more. */
static STATUS list_add(struct keeper *keeper, const char *state, uint64_t after,
                       struct json_writer *writer, bool *out_more)
{
    struct approve_request request = {.id = after};

    *out_more = true;
    for (unsigned count = 0; count < LIST_MAX;) {
        struct status status = approve_next(keeper, request.id, &request);
        if (status.why == WHY_NOT_FOUND) {
            *out_more = false;
            return STATUS_OK;
        }
        TRY(status);
        if (state[0] != '\0' && strcmp(approve_state_name(request.state), state) != 0)
            continue;
        json_begin_object(writer);
        put_members(writer, &request);
        json_end_object(writer);
        count++;
    }
    return STATUS_OK;
}

/* GET /v1/approvals?state=waiting&after=3: in the order in which they were asked for. */
STATUS approve_list(struct keeper_op *op, struct cursor *in)
{
    static const char *const names[] = {"state", "after", NULL};
    struct keeper_text_param params[2];
    OWNED(keeper_text_close) struct keeper_text text = {0};
    struct buffer body OWNED(buffer_free) = BUFFER(LIST_BYTES_MAX);
    struct json_writer writer = json_writer_over(&body);
    struct audit_entry entry = {.object = "approvals"};
    uint64_t after = 0;
    bool more = false;

    TRY(keeper_text_open(in, &text));
    TRY(keeper_text_params(op, &text, names, params));
    TRY(key_list_number(op, params[1].value, "/after", &after));
    json_begin_object(&writer);
    json_key(&writer, "approvals");
    json_begin_array(&writer);
    TRY(list_add(op->keeper, params[0].value, after, &writer, &more));
    json_end_array(&writer);
    json_put_member_bool(&writer, "more", more);
    json_end_object(&writer);
    TRY(keeper_record(op, &entry));
    return keeper_answer_text(op, 200, &body);
}

/* --- The clock --- */

static STATUS request_expire(struct keeper *keeper, struct approve_request *request, int64_t now_ms)
{
    char id[APPROVE_ID_MAX];
    char detail[DETAIL_TEXT_MAX];
    struct audit_entry entry = {
        .event = "approval.expire",
        .outcome = "expired",
        .object = id,
        .detail = detail,
        .asked_by = request->asked.name,
        .asked_certificate = request->asked.certificate,
    };

    id_text(request->id, id);
    (void)snprintf(detail, sizeof detail, "%s of %s: nobody approved it in time",
                   rows[request->kind].name, request->target);
    request->state = APPROVE_EXPIRED;
    request->ended_ms = now_ms;
    TRY(approve_put(keeper, request));
    TRY(keeper_record_own(keeper, &entry, now_ms));
    log_event(LOG_WARN, "approval_expired", "approval", id, "detail", detail, NULL);
    return STATUS_OK;
}

STATUS approve_tick(struct keeper *keeper, int64_t now_ms)
{
    struct approve_book *book = &keeper->approvals;
    struct approve_request request = {0};

    if (!book->read || book->due_ms == 0 || now_ms < book->due_ms)
        return STATUS_OK;
    book->due_ms = 0;
    for (;;) {
        struct status status = approve_next(keeper, request.id, &request);
        if (status.why == WHY_NOT_FOUND)
            return STATUS_OK;
        TRY(status);
        if (request.state == APPROVE_WAITING && now_ms >= request.deadline_ms)
            TRY(request_expire(keeper, &request, now_ms));
        approve_note(keeper, &request);
    }
}
