/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/keeper_ceremony.h"

#include <assert.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/encode.h"
#include "base/log.h"
#include "base/own.h"
#include "keys/share_text.h"
#include "vault/keeper_seal.h"

#define BODY_BYTES_MAX   8192u
#define DETAIL_BYTES_MAX 2048u
#define REASON_MAX       64u

/* --- What the steps share --- */

void keeper_ceremony_drop(struct keeper *keeper, const char *how)
{
    struct ceremony_past *past = &keeper->ceremonies.past;

    if (keeper->ceremonies.now == NULL)
        return;
    (void)snprintf(past->id, sizeof past->id, "%s", ceremony_id(keeper->ceremonies.now));
    (void)snprintf(past->how, sizeof past->how, "%s", how);
    ceremony_free(&keeper->ceremonies.now);
}

void keeper_ceremony_lost(struct keeper *keeper)
{
    keeper_ceremony_drop(keeper, "a step of it could not be recorded");
    keeper_unseal_drop(keeper);
    /* Who gave the last share is not on record: nothing is opened with it. */
    if (keeper->seal.kind == SEAL_SHARES)
        secret_free(&keeper->seal_given);
}

/* By the clock that everybody reads, of an end by the one that does not jump. */
static int64_t ends_at(const struct ceremony *ceremony, int64_t now_ms)
{
    return now_ms + ceremony_ends_ms(ceremony) - clock_monotonic_ms();
}

void keeper_ceremony_show(const struct keeper *keeper, struct json_writer *writer)
{
    if (keeper->ceremonies.now == NULL)
        return;
    json_key(writer, "ceremony");
    ceremony_write(keeper->ceremonies.now, ends_at(keeper->ceremonies.now, clock_now_ms()), writer);
}

struct ceremony_person keeper_ceremony_person(struct keeper_op *op, const struct keeper_text *text,
                                              const char *event)
{
    op->event = event;
    (void)snprintf(op->certificate, sizeof op->certificate, "%s", text->head.certificate);
    (void)snprintf(op->object, sizeof op->object, "seal");
    return (struct ceremony_person){.name = op->principal->name, .certificate = op->certificate};
}

STATUS keeper_ceremony_step_end(struct keeper_op *op, const char *detail, const struct buffer *body)
{
    struct audit_entry entry = {
        .event = op->event, .object = op->object, .certificate = op->certificate, .detail = detail};
    struct status status = keeper_record(op, &entry);

    if (!failed(status))
        status = keeper_answer_text(op, 200, body);
    if (failed(status))
        keeper_ceremony_drop(op->keeper, "a step of it could not be recorded");
    return status;
}

void keeper_ceremony_answer(const struct keeper_op *op, bool done, struct json_writer *writer)
{
    json_begin_object(writer);
    json_put_member_bool(writer, "done", done);
    keeper_ceremony_show(op->keeper, writer);
    json_end_object(writer);
}

/* --- A custodian's steps --- */

/* The ceremony of that name; of one that is over, how it ended. */
static STATUS ceremony_know(struct keeper_op *op, struct read_object *object, unsigned field)
{
    const struct keeper *keeper = op->keeper;
    char id[CEREMONY_ID_BYTES];
    char sentence[160];

    read_object_need(object, field);
    read_object_text(object, field, id, sizeof id);
    TRY(keeper_text_judge(object));
    if (keeper->ceremonies.now != NULL && strcmp(id, ceremony_id(keeper->ceremonies.now)) == 0) {
        (void)snprintf(op->object, sizeof op->object, "%s", id);
        return STATUS_OK;
    }
    if (strcmp(id, keeper->ceremonies.past.id) == 0) {
        (void)snprintf(sentence, sizeof sentence,
                       "That ceremony is over: %s; ask who opened it for a new one.",
                       keeper->ceremonies.past.how);
        return keeper_refuse(op, PROBLEM_STATE_CONFLICT, NULL, sentence);
    }
    return keeper_refuse(op, PROBLEM_NOT_FOUND, NULL,
                         "No ceremony of that name is under way; 'cardkeep seal show' names the "
                         "one that is.");
}

/* The custodian's key that was typed, which goes. */
static STATUS public_key_take(struct keeper_op *op, char typed[static SHARE_TEXT_TYPED_MAX],
                              uint8_t out[static CUSTODIAN_KEY_BYTES])
{
    struct buffer sentence OWNED(buffer_free) = BUFFER(sizeof op->problem.detail - 1);
    struct share_text_fault fault;

    struct status status =
        share_text_read_public((const uint8_t *)typed, strlen(typed), out, &fault);
    sodium_memzero(typed, SHARE_TEXT_TYPED_MAX); /* People give the wrong one of two keys. */
    if (!failed(status))
        return STATUS_OK;
    share_text_explain(&fault, &sentence);
    return keeper_refuse(op, PROBLEM_INVALID_FIELD, "/public_key", buffer_text(&sentence));
}

STATUS keeper_ceremony_accept(struct keeper_op *op, struct cursor *in)
{
    enum { ACCEPT_CEREMONY, ACCEPT_KEY, ACCEPT_DUTY };
    static const char *const names[] = {
        [ACCEPT_CEREMONY] = "ceremony", [ACCEPT_KEY] = "public_key", [ACCEPT_DUTY] = "duty", NULL};
    static const char *const duties[] = {"accepted", NULL};
    struct keeper_text text OWNED(keeper_text_close) = {0};
    struct buffer body OWNED(buffer_free) = BUFFER(BODY_BYTES_MAX);
    struct json_writer writer = json_writer_over(&body);
    uint8_t key[CUSTODIAN_KEY_BYTES];
    char typed[SHARE_TEXT_TYPED_MAX];
    struct read_object object;

    TRY(keeper_text_open(in, &text));
    struct ceremony_person person = keeper_ceremony_person(op, &text, "seal.accept");
    TRY(keeper_text_object(op, &text, names, &object));
    read_object_need(&object, ACCEPT_KEY);
    read_object_need(&object, ACCEPT_DUTY);
    read_object_text(&object, ACCEPT_KEY, typed, sizeof typed);
    (void)read_object_choice(&object, ACCEPT_DUTY, duties, 0);
    TRY(ceremony_know(op, &object, ACCEPT_CEREMONY));
    TRY(public_key_take(op, typed, key));
    TRY(ceremony_accept(op->keeper->ceremonies.now, &person, key, &op->problem));
    char public_text[SHARE_TEXT_PUBLIC_SIZE];
    char detail[SHARE_TEXT_PUBLIC_SIZE + 64];
    share_text_write_public(key, public_text);
    (void)snprintf(detail, sizeof detail, "takes over a custodian's duty, key %s", public_text);
    keeper_ceremony_answer(op, false, &writer);
    return keeper_ceremony_step_end(op, detail, &body);
}

static void share_write(const struct ceremony_box *box, struct json_writer *writer)
{
    char base64[ENCODE_BASE64_SIZE(CUSTODIAN_BOX_BYTES)];
    char set[2 * SHARE_SET_BYTES + 1];

    encode_base64(box->box, sizeof box->box, base64);
    ceremony_set_text(box->set, set);
    json_key(writer, "share");
    json_begin_object(writer);
    json_put_member(writer, "set", set);
    json_put_member_int(writer, "index", box->index);
    json_put_member_int(writer, "threshold", box->threshold);
    json_put_member(writer, "box", base64);
    json_end_object(writer);
}

STATUS keeper_ceremony_collect(struct keeper_op *op, struct cursor *in)
{
    enum { COLLECT_CEREMONY, COLLECT_KEY };
    static const char *const names[] = {
        [COLLECT_CEREMONY] = "ceremony", [COLLECT_KEY] = "public_key", NULL};
    struct keeper_text text OWNED(keeper_text_close) = {0};
    struct buffer body OWNED(buffer_free) = BUFFER(BODY_BYTES_MAX);
    struct json_writer writer = json_writer_over(&body);
    struct read_object object;
    struct ceremony_box box;
    uint8_t key[CUSTODIAN_KEY_BYTES];
    char typed[SHARE_TEXT_TYPED_MAX] = "";
    char detail[64];

    TRY(keeper_text_open(in, &text));
    struct ceremony_person person = keeper_ceremony_person(op, &text, "seal.collect");
    TRY(keeper_text_object(op, &text, names, &object));
    read_object_text(&object, COLLECT_KEY, typed, sizeof typed);
    TRY(ceremony_know(op, &object, COLLECT_CEREMONY));
    bool keyed = typed[0] != '\0';
    if (keyed)
        TRY(public_key_take(op, typed, key));
    TRY(ceremony_collect(op->keeper->ceremonies.now, &person, keyed ? key : NULL, &box,
                         &op->problem));
    (void)snprintf(detail, sizeof detail, "share %u", box.index);
    json_begin_object(&writer);
    json_put_member_bool(&writer, "done", false);
    share_write(&box, &writer);
    keeper_ceremony_show(op->keeper, &writer);
    json_end_object(&writer);
    return keeper_ceremony_step_end(op, detail, &body);
}

/* All have proven their shares: the root goes into force with this turn's batch. */
static STATUS ceremony_complete(struct keeper_op *op)
{
    struct keeper *keeper = op->keeper;
    enum ceremony_kind kind = ceremony_kind(keeper->ceremonies.now);
    struct seal_record *record = &keeper->ceremonies.record;
    OWNED(secret_free) struct secret *root = NULL;
    struct buffer detail OWNED(buffer_free) = BUFFER(DETAIL_BYTES_MAX);
    char set[2 * SHARE_SET_BYTES + 1];

    ceremony_finish(keeper->ceremonies.now, op->now_ms, &root, record);
    ceremony_set_text(record->set_id, set);
    /* The offline checker reads the set in force out of this, and that a root is new. */
    buffer_format(&detail, "shares, set %s, ", set);
    ceremony_say(keeper->ceremonies.now, &detail);
    struct audit_entry entry = {.event = kind == CEREMONY_INIT ? "seal.init" : "seal.change",
                                .object = op->object,
                                .certificate = op->certificate,
                                .detail = buffer_text(&detail)};
    TRY(keeper_record(op, &entry));
    if (kind == CEREMONY_INIT)
        return keeper_seal_begin(keeper, &root, record, op->now_ms);
    return keeper_seal_change(keeper, &root, record, op->now_ms);
}

/* Recorded before the new seal goes into the batch, and answered behind it: it cannot be taken back
 * any more, so that an answer without room is an answer that the front does not get. */
static STATUS confirm_last(struct keeper_op *op, const struct buffer *body)
{
    struct audit_entry entry = {
        .event = op->event, .object = op->object, .certificate = op->certificate};
    struct status status = keeper_record(op, &entry);

    if (!failed(status))
        status = ceremony_complete(op);
    keeper_ceremony_drop(op->keeper, failed(status) ? "its seal could not be stored"
                                                    : "its shares are in force");
    TRY(status);
    status = keeper_answer_text(op, 200, body);
    if (failed(status))
        log_failure(LOG_ERROR, "answer_dropped", status, NULL);
    return STATUS_OK;
}

static void digest_read(struct read_object *object, unsigned field,
                        uint8_t out[static SHARE_DIGEST_BYTES])
{
    char hex[2 * SHARE_DIGEST_BYTES + 1];

    read_object_need(object, field);
    read_object_text(object, field, hex, sizeof hex);
    if (read_object_is_good(object) &&
        failed(decode_hex(hex, strlen(hex), out, SHARE_DIGEST_BYTES)))
        read_object_refuse(object, field, PROBLEM_INVALID_FIELD,
                           "The digest of a share is 64 digits of hex.");
}

STATUS keeper_ceremony_confirm(struct keeper_op *op, struct cursor *in)
{
    enum { CONFIRM_CEREMONY, CONFIRM_DIGEST };
    static const char *const names[] = {
        [CONFIRM_CEREMONY] = "ceremony", [CONFIRM_DIGEST] = "digest", NULL};
    struct keeper_text text OWNED(keeper_text_close) = {0};
    struct buffer body OWNED(buffer_free) = BUFFER(BODY_BYTES_MAX);
    struct json_writer writer = json_writer_over(&body);
    struct keeper *keeper = op->keeper;
    uint8_t digest[SHARE_DIGEST_BYTES];
    struct read_object object;
    bool all = false;

    TRY(keeper_text_open(in, &text));
    struct ceremony_person person = keeper_ceremony_person(op, &text, "seal.confirm");
    TRY(keeper_text_object(op, &text, names, &object));
    digest_read(&object, CONFIRM_DIGEST, digest);
    TRY(ceremony_know(op, &object, CONFIRM_CEREMONY));
    if (ceremony_kind(keeper->ceremonies.now) == CEREMONY_REKEY && keeper_sealed(keeper) != NULL)
        return keeper_refuse(op, PROBLEM_SEALED, NULL,
                             "Its new shares come into force while it is open; unseal it first.");
    TRY(ceremony_confirm(keeper->ceremonies.now, &person, digest, &all, &op->problem));
    keeper_ceremony_answer(op, all, &writer);
    return all ? confirm_last(op, &body) : keeper_ceremony_step_end(op, NULL, &body);
}

/* --- The end before the end --- */

STATUS keeper_ceremony_cancel(struct keeper_op *op, struct cursor *in)
{
    enum { CANCEL_CEREMONY, CANCEL_REASON };
    static const char *const names[] = {
        [CANCEL_CEREMONY] = "ceremony", [CANCEL_REASON] = "reason", NULL};
    struct keeper_text text OWNED(keeper_text_close) = {0};
    struct buffer body OWNED(buffer_free) = BUFFER(BODY_BYTES_MAX);
    struct json_writer writer = json_writer_over(&body);
    struct read_object object;
    char reason[REASON_MAX];
    char how[sizeof op->keeper->ceremonies.past.how];

    TRY(keeper_text_open(in, &text));
    (void)keeper_ceremony_person(op, &text, "seal.cancel");
    TRY(keeper_text_object(op, &text, names, &object));
    read_object_free_text(&object, CANCEL_REASON, reason, sizeof reason);
    TRY(ceremony_know(op, &object, CANCEL_CEREMONY));
    json_begin_object(&writer);
    json_put_member(&writer, "cancelled", op->object);
    json_end_object(&writer);
    TRY(keeper_ceremony_step_end(op, reason[0] == '\0' ? NULL : reason, &body));
    (void)snprintf(how, sizeof how, "%s cancelled it", op->principal->name);
    keeper_ceremony_drop(op->keeper, how);
    return STATUS_OK;
}

/* What was rehearsed elsewhere, with a backup: for the record (POST /v1/seal/rehearsed). */
STATUS keeper_ceremony_rehearsed(struct keeper_op *op, struct cursor *in)
{
    enum { REHEARSED_BACKUP, REHEARSED_RESULT };
    static const char *const names[] = {
        [REHEARSED_BACKUP] = "backup", [REHEARSED_RESULT] = "result", NULL};
    static const char *const results[] = {"good", "bad", NULL};
    const struct read_object_range backup = {REHEARSED_BACKUP, 1, UINT32_MAX,
                                             PROBLEM_INVALID_FIELD};
    struct keeper_text text OWNED(keeper_text_close) = {0};
    struct buffer body OWNED(buffer_free) = BUFFER(BODY_BYTES_MAX);
    struct json_writer writer = json_writer_over(&body);
    struct read_object object;
    char detail[64];

    TRY(keeper_text_open(in, &text));
    (void)keeper_ceremony_person(op, &text, "seal.rehearse");
    TRY(keeper_text_object(op, &text, names, &object));
    read_object_need(&object, REHEARSED_BACKUP);
    read_object_need(&object, REHEARSED_RESULT);
    int64_t id = read_object_int(&object, &backup);
    unsigned result = read_object_choice(&object, REHEARSED_RESULT, results, 0);
    TRY(keeper_text_judge(&object));
    (void)snprintf(detail, sizeof detail, "backup %lld, %s", (long long)id, results[result]);
    json_begin_object(&writer);
    json_put_member_bool(&writer, "recorded", true);
    json_end_object(&writer);
    struct audit_entry entry = {
        .event = op->event, .object = op->object, .certificate = op->certificate, .detail = detail};
    TRY(keeper_record(op, &entry));
    return keeper_answer_text(op, 200, &body);
}

void keeper_ceremony_tick(struct keeper *keeper, int64_t now_ms)
{
    if (keeper->ceremonies.now == NULL ||
        clock_monotonic_ms() < ceremony_ends_ms(keeper->ceremonies.now))
        return;
    struct audit_entry entry = {.event = "seal.expire",
                                .object = ceremony_id(keeper->ceremonies.now),
                                .outcome = "expired",
                                .detail =
                                    ceremony_kind_names[ceremony_kind(keeper->ceremonies.now)]};
    struct status status = keeper_record_own(keeper, &entry, now_ms);
    if (failed(status))
        log_failure(LOG_ERROR, "entry_not_recorded", status, NULL);
    keeper_ceremony_drop(keeper, "it ended at its deadline");
}
