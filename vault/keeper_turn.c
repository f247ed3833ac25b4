/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "vault/erasure.h"
#include "vault/keeper_seal.h"
#include "vault/retention_report.h"
#include "vault/steps.h"

/* Every frame that the front may send has a row: without an action there is no step. */
static const struct turn_row {
    enum message_type type;
    enum policy_action action;
    STATUS (*run)(struct keeper_op *op, struct cursor *in);
    enum { ONLY_OPEN, ALSO_SEALED } when; /* The latter needs neither a key nor a row. */
} turn_rows[] = {
    {MESSAGE_TOKENIZE, POLICY_CARD_TOKENIZE, tokenize_run, ONLY_OPEN},
    {MESSAGE_SHOW, POLICY_CARD_MASK_READ, show_run, ONLY_OPEN},
    {MESSAGE_ERASE, POLICY_CARD_DELETE, erase_run, ONLY_OPEN},
    {MESSAGE_CVV_STORE, POLICY_CVV_STORE, code_run, ONLY_OPEN},
    {MESSAGE_LEASE, POLICY_CARD_LEASE, lease_run, ONLY_OPEN},
    {MESSAGE_SETTLE, POLICY_CARD_SETTLE, settle_run, ONLY_OPEN},
    {MESSAGE_AUDIT_HEAD, POLICY_AUDIT_READ, audit_read_head, ALSO_SEALED},
    {MESSAGE_AUDIT_READ, POLICY_AUDIT_READ, audit_read_entries, ALSO_SEALED},
    {MESSAGE_BACKUP, POLICY_BACKUP_CREATE, keeper_backup_ask, ALSO_SEALED},
    {MESSAGE_BACKUP_STATE, POLICY_BACKUP_CREATE, keeper_backup_show, ALSO_SEALED},
    {MESSAGE_SEAL_STATE, POLICY_SEAL_READ, keeper_seal_show, ALSO_SEALED},
    {MESSAGE_SEAL_SHUT, POLICY_SEAL_MANAGE, keeper_seal_ask_shut, ALSO_SEALED},
    {MESSAGE_SEAL_INIT, POLICY_SEAL_MANAGE, keeper_ceremony_ask_init, ALSO_SEALED},
    {MESSAGE_SEAL_REKEY, POLICY_SEAL_MANAGE, keeper_ceremony_ask_rekey, ONLY_OPEN},
    {MESSAGE_SEAL_ACCEPT, POLICY_SEAL_SHARE, keeper_ceremony_accept, ALSO_SEALED},
    {MESSAGE_SEAL_COLLECT, POLICY_SEAL_SHARE, keeper_ceremony_collect, ALSO_SEALED},
    {MESSAGE_SEAL_CONFIRM, POLICY_SEAL_SHARE, keeper_ceremony_confirm, ALSO_SEALED},
    {MESSAGE_SEAL_CANCEL, POLICY_SEAL_MANAGE, keeper_ceremony_cancel, ALSO_SEALED},
    {MESSAGE_SEAL_REHEARSED, POLICY_SEAL_MANAGE, keeper_ceremony_rehearsed, ALSO_SEALED},
    {MESSAGE_SEAL_UNSEAL, POLICY_SEAL_SHARE, keeper_unseal_run, ALSO_SEALED},
    {MESSAGE_KEYS, POLICY_KEY_READ, key_list_all, ONLY_OPEN},
    {MESSAGE_KEY_SHOW, POLICY_KEY_READ, key_list_one, ONLY_OPEN},
    {MESSAGE_KEY_SUSPEND, POLICY_KEY_CHANGE, key_change_suspend, ONLY_OPEN},
    {MESSAGE_KEY_ACTIVATE, POLICY_KEY_CHANGE, key_change_activate, ONLY_OPEN},
    {MESSAGE_KEY_DEACTIVATE, POLICY_KEY_CHANGE, key_change_deactivate, ONLY_OPEN},
    {MESSAGE_KEY_COMPROMISE, POLICY_KEY_CHANGE, key_change_ask_compromise, ONLY_OPEN},
    {MESSAGE_KEY_DESTROY, POLICY_KEY_CHANGE, key_change_ask_destroy, ONLY_OPEN},
    {MESSAGE_INVENTORY, POLICY_KEY_READ, inventory_show, ONLY_OPEN},
    {MESSAGE_RETENTION_ASK, POLICY_RETENTION_READ, retention_report_ask, ONLY_OPEN},
    {MESSAGE_RETENTION, POLICY_RETENTION_READ, retention_report_show, ONLY_OPEN},
    {MESSAGE_ERASE_ASK, POLICY_DATA_ERASE, erasure_ask, ONLY_OPEN},
    {MESSAGE_ERASURES, POLICY_DATA_ERASE, erasure_ask_list, ONLY_OPEN},
    {MESSAGE_ERASURE, POLICY_DATA_ERASE, erasure_ask_show, ONLY_OPEN},
    {MESSAGE_SIGNER_STATE, POLICY_KEY_READ, keeper_rotate_show, ALSO_SEALED},
    {MESSAGE_SIGNER_ROTATE, POLICY_KEY_ROTATE, keeper_rotate_ask, ALSO_SEALED},
    {MESSAGE_APPROVALS, POLICY_KEY_READ, approve_list, ONLY_OPEN},
    {MESSAGE_APPROVE, POLICY_KEY_APPROVE, approve_run, ONLY_OPEN},
    {MESSAGE_APPROVE_CANCEL, POLICY_KEY_READ, approve_cancel, ONLY_OPEN},
    {MESSAGE_SEAL_MIGRATE, POLICY_SEAL_MANAGE, seal_migrate_ask, ONLY_OPEN},
    {MESSAGE_ROTATE, POLICY_KEY_ROTATE, rotate_run, ONLY_OPEN},
    {MESSAGE_JOBS, POLICY_KEY_READ, jobs_list, ONLY_OPEN},
    {MESSAGE_JOB_SHOW, POLICY_KEY_READ, jobs_show, ONLY_OPEN},
    {MESSAGE_JOB_PAUSE, POLICY_KEY_ROTATE, jobs_pause, ONLY_OPEN},
    {MESSAGE_JOB_RESUME, POLICY_KEY_ROTATE, jobs_resume, ONLY_OPEN},
    {MESSAGE_JOB_RATE, POLICY_KEY_ROTATE, jobs_rate, ONLY_OPEN},
};

struct keeper_mark keeper_mark(struct keeper *keeper)
{
    return (struct keeper_mark){
        .rows = db_batch_count(keeper->batch),
        .seq = audit_log_next_seq(keeper->log),
        .overlay = keeper->store.turn.count,
        .journal = keeper->journal.size,
    };
}

void keeper_journal(struct keeper *keeper, enum keeper_journal kind,
                    const uint8_t id[static CVV_ID_BYTES])
{
    buffer_add_u8(&keeper->journal, (uint8_t)kind);
    buffer_add(&keeper->journal, id, CVV_ID_BYTES);
}

/* Cells are memory, not rows: what was done to them is undone by hand, newest first. */
static void turn_undo_cells(struct keeper *keeper, size_t mark, int64_t now_ms)
{
    while (keeper->journal.size > mark) {
        const uint8_t *step = keeper->journal.bytes + keeper->journal.size - (1 + CVV_ID_BYTES);
        if (step[0] == KEEPER_CVV_STORED)
            cvv_forget(keeper->cvvs, step + 1);
        else
            cvv_return(keeper->cvvs, step + 1, NULL, now_ms); /* The step that lent it. */
        keeper->journal.size -= 1 + CVV_ID_BYTES;
    }
}

void keeper_rewind(struct keeper *keeper, const struct keeper_mark *mark, int64_t now_ms)
{
    db_batch_rewind(keeper->batch, mark->rows);
    audit_log_rewind(keeper->log, mark->seq);
    overlay_rewind(&keeper->store.turn, mark->overlay);
    turn_undo_cells(keeper, mark->journal, now_ms);
}

STATUS keeper_refuse(struct keeper_op *op, enum problem_code code, const char *field,
                     const char *detail)
{
    problem_set(&op->problem, code, field, detail);
    return FAIL(WHY_DENIED);
}

struct buffer *keeper_answer(struct keeper_op *op, enum message_type type)
{
    return frame_begin(op->keeper->front_out, (uint8_t)type, op->frame_id);
}

STATUS keeper_answer_end(struct keeper_op *op)
{
    struct buffer *answered = &op->keeper->answered;

    /* First: an answer that could not be taken back must not be queued. */
    buffer_add_u64(answered, op->frame_id);
    struct status noted = buffer_status(answered);
    if (failed(noted))
        frame_drop(op->keeper->front_out);
    TRY(noted);
    return frame_end(op->keeper->front_out);
}

static void turn_answer_problem(struct keeper *keeper, uint64_t frame_id,
                                const struct problem *problem)
{
    struct buffer *out = frame_begin(keeper->front_out, MESSAGE_PROBLEM, frame_id);

    problem_encode(problem, out);
    struct status status = frame_end(keeper->front_out);
    if (failed(status)) /* The front's own deadline answers then. */
        log_failure(LOG_ERROR, "answer_dropped", status, NULL);
}

/* A relay asks with a list of nothing, again and again, whether the vault would settle: of that
 * nothing is recorded, whatever the answer. */
static bool turn_only_asks(const struct keeper_op *op, const struct turn_row *row,
                           const struct cursor *in)
{
    struct cursor body = *in;

    return row->type == MESSAGE_SETTLE && op->problem.code == PROBLEM_SEALED &&
           op->caller->problem.code == PROBLEM_NONE && cursor_u16(&body) == 0 && cursor_done(&body);
}

/* Known, allowed, readable, done: or refused, with everything that it did taken back. */
static void turn_run(struct keeper_op *op, const struct turn_row *row, struct cursor *in)
{
    struct keeper *keeper = op->keeper;
    struct keeper_mark mark = keeper_mark(keeper);
    struct status status = STATUS_OK;

    if (!keeper_authorize(op))
        status = FAIL(WHY_DENIED);
    else if (keeper_sealed(keeper) != NULL && row->when == ONLY_OPEN)
        status = keeper_refuse(op, PROBLEM_SEALED, NULL, NULL);
    else if (op->caller->problem.code != PROBLEM_NONE) {
        op->problem = op->caller->problem;
        status = FAIL(WHY_BAD_INPUT);
    } else
        status = row->run(op, in);
    if (!failed(status))
        return;
    keeper_rewind(keeper, &mark, op->now_ms);
    if (op->problem.code == PROBLEM_NONE) {
        problem_set(&op->problem, problem_of(status), NULL, NULL);
        log_failure(LOG_WARN, "request_failed", status, "request_id", op->caller->request_id, NULL);
    }
    if (!turn_only_asks(op, row, in))
        keeper_record_refusal(op, &op->problem);
    turn_answer_problem(keeper, op->frame_id, &op->problem);
    buffer_add_u64(&keeper->answered, op->frame_id);
}

/* The front reads certificates again; here is the log. */
static void turn_record_tls(struct keeper *keeper, const struct frame *frame, int64_t now_ms)
{
    struct cursor in = cursor_over(frame->body, frame->size);
    struct audit_entry entry = {.actor = "front", .origin = "front", .event = "tls.reload"};
    char listener[64];
    char detail[512];

    cursor_text(&in, listener, sizeof listener);
    cursor_text(&in, detail, sizeof detail);
    if (!cursor_done(&in)) {
        log_event(LOG_ERROR, "front_sent_nonsense", NULL);
        return;
    }
    entry.object = listener;
    entry.detail = detail;
    struct status status =
        keeper->store_failed ? FAIL(WHY_BUSY) : keeper_record_own(keeper, &entry, now_ms);
    if (failed(status))
        log_failure(LOG_ERROR, "entry_not_recorded", status, "event", entry.event, NULL);
}

void keeper_dispatch(struct keeper *keeper, const struct frame *frame, int64_t now_ms)
{
    struct message_caller caller;
    struct cursor in = cursor_over(frame->body, frame->size);
    const struct turn_row *row = NULL;

    if (frame->type == MESSAGE_TLS) {
        turn_record_tls(keeper, frame, now_ms);
        return;
    }
    for (size_t i = 0; i < sizeof turn_rows / sizeof turn_rows[0]; i++)
        if (turn_rows[i].type == (enum message_type)frame->type)
            row = &turn_rows[i];
    message_caller_decode(&in, &caller);
    if (row == NULL || in.bad) {
        log_event(LOG_ERROR, "front_sent_nonsense", NULL);
        return;
    }
    struct keeper_op op = {
        .keeper = keeper,
        .frame_id = frame->id,
        .now_ms = now_ms,
        .caller = &caller,
        .action = row->action,
    };
    const char *trouble = keeper_trouble(keeper);
    if (trouble[0] != '\0') {
        problem_set(&op.problem,
                    keeper->store_failed ? PROBLEM_STORE_UNAVAILABLE : PROBLEM_AUDIT_UNAVAILABLE,
                    NULL, NULL);
        turn_answer_problem(keeper, frame->id, &op.problem);
        return;
    }
    turn_run(&op, row, &in);
    /* Names and keys that callers chose, of which some were numbers. */
    sodium_memzero(&op, sizeof op);
    sodium_memzero(&caller, sizeof caller);
}

bool keeper_has_work(const struct keeper *keeper)
{
    return db_batch_count(keeper->batch) > 0 || keeper->note.size > 0;
}

/* From these words `cardkeep keys exposure` knows what a key has ever wrapped. */
static void turn_say_parent(const struct key_info *info, char *out, size_t out_size)
{
    const char *level = info->level == KEY_LEVEL_KEK ? "kek" : "dek";

    if (info->parent_id == 0)
        (void)snprintf(out, out_size, "%s", level);
    else
        (void)snprintf(out, out_size, "%s under key %llu", level,
                       (unsigned long long)info->parent_id);
}

/* Keys that were made or moved and are not stored yet: their rows and entries go with what used
 * them. */
static STATUS turn_put_changes(struct keeper *keeper, int64_t now_ms)
{
    struct keyring_change change;

    if (keeper->ring == NULL)
        return STATUS_OK;
    while (keyring_take_change(keeper->ring, &change)) {
        uint8_t key[8];
        for (unsigned i = 0; i < sizeof key; i++)
            key[i] = (uint8_t)(change.row_id >> (56 - 8 * i));
        db_batch_put(keeper->batch, keeper->db, STORE_KEYS, key, sizeof key, change.row,
                     change.row_size);
        char detail[64];
        if (change.event[0] == '\0')
            continue;
        struct audit_entry entry = {
            .event = change.event,
            .object = key_purpose_name(change.info.purpose),
            .tenant = change.info.tenant[0] == '\0' ? NULL : change.info.tenant,
            .key_id = change.info.id,
            .key_version = change.info.version,
            .detail = detail,
        };
        turn_say_parent(&change.info, detail, sizeof detail);
        TRY(keeper_record_own(keeper, &entry, now_ms));
    }
    return STATUS_OK;
}

static STATUS turn_commit(struct keeper *keeper, int64_t now_ms)
{
    TRY(turn_put_changes(keeper, now_ms));
    if (keeper->seal_row.size > 0)
        keeper_seal_put(keeper);
    if (keeper->note.size > 0)
        TRY(audit_log_put_checkpoint(keeper->log, keeper->batch, keeper->note.bytes,
                                     keeper->note.size));
    if (audit_log_next_seq(keeper->log) > audit_log_size(keeper->log))
        keeper->lost_size = audit_log_next_seq(keeper->log);
    audit_log_seal(keeper->log, keeper->batch);
    return db_commit(keeper->db, keeper->batch);
}

/* Nothing of this turn was acknowledged: say so to everyone who waits.  From here on all is refused
 * until keeper_store_tick() has read what is really there. */
static void turn_abandon(struct keeper *keeper, struct status status, int64_t now_ms)
{
    struct cursor ids = cursor_over(keeper->answered.bytes, keeper->answered.size);
    struct problem problem;

    log_failure(LOG_ERROR, "commit_failed", status, "store", db_trouble(keeper->db), NULL);
    keeper->store_failed = true;
    erasure_forget(keeper);
    retention_report_close(keeper);
    keeper->backup_asked = false;
    keeper->second_ms = 0; /* The front hears of it at once. */
    audit_log_abandon(keeper->log);
    turn_undo_cells(keeper, 0, now_ms);
    frame_writer_free(&keeper->front_out); /* With the answers that must not go out. */
    if (failed(frame_writer_new(OVERLAY_BYTES_MAX, &keeper->front_out)))
        abort(); /* No memory for a few bytes: the supervisor starts us again. */
    problem_set(&problem, PROBLEM_STORE_UNAVAILABLE, NULL, NULL);
    for (size_t i = 0; i < keeper->answered.size / 8; i++)
        turn_answer_problem(keeper, cursor_u64(&ids), &problem);
}

void keeper_commit(struct keeper *keeper, int64_t now_ms)
{
    keeper->lost_size = 0;
    struct status status = turn_commit(keeper, now_ms);

    if (failed(status))
        turn_abandon(keeper, status, now_ms);
    else {
        audit_log_committed(keeper->log);
        if (keeper->ring != NULL)
            keyring_stored(keeper->ring);
    }
    if (keeper->ring != NULL)
        keyring_rest(keeper->ring);
    buffer_clear(&keeper->note);
    db_batch_clear(keeper->batch);
    overlay_rewind(&keeper->store.turn, 0);
    buffer_clear(&keeper->journal);
    buffer_clear(&keeper->answered);
    keeper_seal_ended(keeper, failed(status));
}
