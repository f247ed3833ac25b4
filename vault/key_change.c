/* SPDX-License-Identifier: Apache-2.0 */
/* POST /v1/keys/{id}/…: NIST SP 800-57's states, by hand.  One person suspends, activates and
 * deactivates; two declare a key compromised, and two destroy one.
 *
 * Compromise is urgent, so its request acts at once: the key encrypts nothing more, and opens no
 * card for a lease.  The approval makes it final. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/encode.h"
#include "base/log.h"
#include "base/own.h"
#include "vault/jobs.h"
#include "vault/keeper_text.h"
#include "vault/key_view.h"

#define REASON_MAX       201u
#define WITHIN_S_MAX     (APPROVE_DEADLINE_MS_MAX / 1000)
#define BODY_BYTES_MAX   4096u
#define SENTENCE_MAX     160u
#define FIELD_REASON     0u
#define FIELD_WITHIN     1u
#define WALK_RECORDS_MAX 1000000u /* A second, in which nobody else is answered. */
#define STATEMENT_MAX    512u

static const char *const change_names[] = {"reason", "within_seconds", NULL};

/* What was asked: which key, why, and how long the approval may take. */
struct change {
    struct key_info info;
    char reason[REASON_MAX];
    int64_t within_ms;
    char certificate[APPROVE_CERTIFICATE_MAX];
};

static STATUS change_read(struct keeper_op *op, struct cursor *in, struct change *out)
{
    OWNED(keeper_text_close) struct keeper_text text = {0};
    struct read_object object;
    uint64_t id = 0;

    TRY(keeper_text_open(in, &text));
    (void)snprintf(op->object, sizeof op->object, "key/%.32s", text.head.segment);
    (void)snprintf(op->certificate, sizeof op->certificate, "%s", text.head.certificate);
    TRY(keeper_text_object(op, &text, change_names, &object));
    read_object_free_text(&object, FIELD_REASON, out->reason, sizeof out->reason);
    struct read_object_range within = {
        .field = FIELD_WITHIN, .least = 1, .most = WITHIN_S_MAX, .code = PROBLEM_INVALID_FIELD};
    out->within_ms = 1000 * read_object_int(&object, &within);
    TRY(keeper_text_judge(&object));
    TRY(keeper_text_id(&text, "", &id));
    (void)snprintf(out->certificate, sizeof out->certificate, "%s", text.head.certificate);
    return key_view_find(op->keeper, id, &out->info);
}

/* Keys that are no one's to move: without the index no row is found, and where the fingerprint of
 * the moment is gone every card looks new. */
static STATUS change_is_allowed(struct keeper_op *op, const struct key_info *info,
                                enum key_state state)
{
    char sentence[SENTENCE_MAX];

    if (info->level == KEY_LEVEL_DEK && info->purpose == KEY_PURPOSE_INDEX)
        return keeper_refuse(op, PROBLEM_STATE_CONFLICT, NULL,
                             "The index key is what every row is found by; it is changed by a "
                             "rotation of the key that wraps it.");
    if (info->level == KEY_LEVEL_DEK && info->purpose == KEY_PURPOSE_FINGERPRINT &&
        info->state == KEY_STATE_ACTIVE)
        return keeper_refuse(op, PROBLEM_STATE_CONFLICT, NULL,
                             "This fingerprint key is in use; 'cardkeep keys rotate fingerprint' "
                             "replaces it first.");
    if (state == KEY_STATE_ACTIVE && approve_holds(op->keeper, info->id))
        return keeper_refuse(op, PROBLEM_STATE_CONFLICT, NULL,
                             "Somebody asked for this key to be declared compromised; approve or "
                             "cancel that first.");
    if (keyring_may_change(info->state, state))
        return STATUS_OK;
    (void)snprintf(sentence, sizeof sentence, "A key that is %s cannot become %s (NIST SP 800-57).",
                   key_state_name(info->state), key_state_name(state));
    return keeper_refuse(op, PROBLEM_STATE_CONFLICT, NULL, sentence);
}

static STATUS change_state(struct keeper_op *op, const struct key_info *info, enum key_state state)
{
    struct status status = keyring_change_state(op->keeper->ring, info->id, state, op->now_ms);

    if (!failed(status))
        op->keeper->keys_by_hand = true;
    if (status.why != WHY_CONFLICT)
        return status;
    if (info->level == KEY_LEVEL_KEK && state == KEY_STATE_SUSPENDED)
        return keeper_refuse(op, PROBLEM_STATE_CONFLICT, NULL,
                             "A key that wraps keys is not suspended; suspend those that it wraps, "
                             "or rotate it.");
    if (state == KEY_STATE_ACTIVE)
        return keeper_refuse(op, PROBLEM_STATE_CONFLICT, NULL,
                             "Another key took the place of this one; deactivate that one first.");
    return keeper_refuse(op, PROBLEM_STATE_CONFLICT, NULL, "Keys still hang from this one.");
}

static STATUS change_answer(struct keeper_op *op, uint64_t key_id)
{
    struct buffer body OWNED(buffer_free) = BUFFER(BODY_BYTES_MAX);
    struct json_writer writer = json_writer_over(&body);
    struct key_info info;

    TRY(key_view_find(op->keeper, key_id, &info));
    key_view_put(op->keeper, &info, &writer);
    return keeper_answer_text(op, 200, &body);
}

/* By one person, and done when it is answered. */
static STATUS change_now(struct keeper_op *op, struct cursor *in, enum key_state state)
{
    struct change change = {0};
    char object[32];
    char detail[REASON_MAX + 32];
    struct audit_entry entry = {.object = object, .detail = detail};

    TRY(change_read(op, in, &change));
    TRY(change_is_allowed(op, &change.info, state));
    (void)snprintf(object, sizeof object, "key/%" PRIu64, change.info.id);
    (void)snprintf(detail, sizeof detail, "%s to %s%s%s", key_state_name(change.info.state),
                   key_state_name(state), change.reason[0] == '\0' ? "" : ": ", change.reason);
    entry.key_id = change.info.id;
    entry.key_version = change.info.version;
    entry.certificate = change.certificate;
    TRY(keeper_record(op, &entry));
    TRY(change_state(op, &change.info, state));
    return change_answer(op, change.info.id);
}

STATUS key_change_suspend(struct keeper_op *op, struct cursor *in)
{
    return change_now(op, in, KEY_STATE_SUSPENDED);
}

STATUS key_change_activate(struct keeper_op *op, struct cursor *in)
{
    return change_now(op, in, KEY_STATE_ACTIVE);
}

STATUS key_change_deactivate(struct keeper_op *op, struct cursor *in)
{
    return change_now(op, in, KEY_STATE_DEACTIVATED);
}

/* {"key": 12, "reason": "…"}, and the request. */
static STATUS change_ask(struct keeper_op *op, const struct change *change, enum approve_kind kind)
{
    struct buffer detail OWNED(buffer_free) = BUFFER(APPROVE_DETAIL_MAX);
    struct json_writer writer = json_writer_over(&detail);
    char target[APPROVE_TARGET_MAX];
    struct approve_ask ask = {
        .kind = kind,
        .target = target,
        .certificate = change->certificate,
        .key_id = change->info.id,
        .within_ms = change->within_ms,
    };

    json_begin_object(&writer);
    json_put_member_u64(&writer, "key", change->info.id);
    json_put_member(&writer, "reason", change->reason);
    json_end_object(&writer);
    TRY(buffer_status(&detail));
    ask.detail = buffer_text(&detail);
    (void)snprintf(target, sizeof target, "key/%" PRIu64, change->info.id);
    return approve_ask(op, &ask);
}

/* The key encrypts nothing from here on; an approval that never comes changes nothing about it. */
STATUS key_change_ask_compromise(struct keeper_op *op, struct cursor *in)
{
    struct change change = {0};

    TRY(change_read(op, in, &change));
    TRY(change_is_allowed(op, &change.info, KEY_STATE_COMPROMISED));
    if (change.info.state == KEY_STATE_ACTIVE)
        TRY(change_state(op, &change.info,
                         change.info.level == KEY_LEVEL_KEK ? KEY_STATE_DEACTIVATED
                                                            : KEY_STATE_SUSPENDED));
    return change_ask(op, &change, APPROVE_KEY_COMPROMISE);
}

/* What shows that nothing depends on a key any more. */
struct free_proof {
    const char *thing;
    uint64_t scanned;
    uint64_t moved;
};

/* By a job that moved everything away, where there was one: a walk over all records is slow. */
static STATUS free_by_job(struct keeper_op *op, const struct key_info *info,
                          struct free_proof *out_proof)
{
    struct job job;

    TRY(jobs_find_proof(op->keeper, info, &job));
    out_proof->scanned = job.scanned;
    out_proof->moved = job.moved;
    return STATUS_OK;
}

/* KEY-9: while anything that is stored depends on it, it stays. */
static STATUS destroy_is_allowed(struct keeper_op *op, const struct key_info *info,
                                 struct free_proof *out_proof)
{
    bool is_dek = info->level == KEY_LEVEL_DEK;
    bool is_print = is_dek && info->purpose == KEY_PURPOSE_FINGERPRINT;
    uint64_t found = 0;
    char sentence[SENTENCE_MAX];

    *out_proof = (struct free_proof){.thing = is_print ? "fingerprint" : "record"};
    TRY(change_is_allowed(op, info, KEY_STATE_DESTROYED));
    if (!is_print && (!is_dek || info->purpose != KEY_PURPOSE_CARD))
        return STATUS_OK;
    struct status status = free_by_job(op, info, out_proof);
    if (status.why != WHY_NOT_FOUND)
        return status;
    if (is_print)
        return keeper_refuse(op, PROBLEM_STATE_CONFLICT, NULL,
                             "Cards are still found by this key; 'cardkeep keys rotate' makes them "
                             "known by its successor, and it is free once that job is done.");
    status = store_count_under(&op->keeper->store, info->id, WALK_RECORDS_MAX, &found,
                               &out_proof->scanned);
    if (status.why == WHY_LIMIT)
        return keeper_refuse(op, PROBLEM_STATE_CONFLICT, NULL,
                             "There are too many records to look at each of them now; 'cardkeep "
                             "keys rotate' of this key does that in its own time.");
    TRY(status);
    if (found == 0)
        return STATUS_OK;
    (void)snprintf(sentence, sizeof sentence,
                   "%" PRIu64 " records still depend on this key; 'cardkeep keys rotate' moves "
                   "them, or they are erased.",
                   found);
    return keeper_refuse(op, PROBLEM_STATE_CONFLICT, NULL, sentence);
}

STATUS key_change_ask_destroy(struct keeper_op *op, struct cursor *in)
{
    struct change change = {0};
    struct free_proof proof;

    TRY(change_read(op, in, &change));
    TRY(destroy_is_allowed(op, &change.info, &proof));
    return change_ask(op, &change, APPROVE_KEY_DESTROY);
}

/* --- Carried out: approve.c calls these --- */

STATUS key_change_compromise(struct keeper_op *op, const struct approve_request *request,
                             struct json_writer *out)
{
    struct key_info info;
    char id[24];

    TRY(key_view_find(op->keeper, request->key_id, &info));
    TRY(change_is_allowed(op, &info, KEY_STATE_COMPROMISED));
    TRY(change_state(op, &info, KEY_STATE_COMPROMISED));
    TRY(key_view_find(op->keeper, request->key_id, &info));
    json_key(out, "key");
    key_view_put(op->keeper, &info, out);
    (void)snprintf(id, sizeof id, "%" PRIu64, info.id);
    log_event(LOG_ERROR, "key_compromised", "key", id, "purpose", key_purpose_name(info.purpose),
              "tenant", info.tenant, "approval", op->object, NULL);
    return STATUS_OK;
}

STATUS key_change_destroy(struct keeper_op *op, const struct approve_request *request,
                          struct json_writer *out)
{
    struct key_info info;
    struct free_proof proof;
    char object[32];
    char detail[STATEMENT_MAX];
    char when[CLOCK_TEXT_SIZE];
    struct audit_entry entry = {
        .event = "key.statement",
        .object = object,
        .detail = detail,
        .certificate = request->ended.certificate,
        .asked_by = request->asked.name,
        .asked_certificate = request->asked.certificate,
    };

    TRY(key_view_find(op->keeper, request->key_id, &info));
    TRY(destroy_is_allowed(op, &info, &proof));
    clock_text(op->now_ms, when);
    entry.key_id = info.id;
    entry.key_version = info.version;
    entry.tenant = info.tenant[0] == '\0' ? NULL : info.tenant;
    (void)snprintf(object, sizeof object, "key/%" PRIu64, info.id);
    (void)snprintf(detail, sizeof detail,
                   "no %s under key %" PRIu64 " remains: %" PRIu64 " scanned, %" PRIu64
                   " moved; key %" PRIu64 " destroyed at %s by %s and %s",
                   proof.thing, info.id, proof.scanned, proof.moved, info.id, when,
                   request->asked.name, request->ended.name);
    TRY(keeper_record(op, &entry));
    TRY(change_state(op, &info, KEY_STATE_DESTROYED));
    TRY(key_view_find(op->keeper, request->key_id, &info));
    json_key(out, "key");
    key_view_put(op->keeper, &info, out);
    json_put_member(out, "statement", detail);
    return STATUS_OK;
}
