/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/sign.h"

#include <assert.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/encode.h"
#include "base/frames.h"
#include "base/log.h"
#include "base/own.h"
#include "policies/signer.h"
#include "relay/sign_inside.h"

#define WRITER_BYTES_MAX (1u << 20)
#define LEAVES_MAX       4096u

static struct sign *sign_of(struct ledger_op *op)
{
    return (struct sign *)op;
}

static void handle_frames(struct sign *sign);

void sign_detach(struct sign *sign)
{
    sign_keys_lost(sign);
    loop_watch_free(&sign->watch);
    frame_reader_free(&sign->reader);
    frame_writer_free(&sign->writer);
    if (sign->fd >= 0)
        close(sign->fd);
    sign->fd = -1;
    sign->state = SIGN_BROKEN;
}

static STATUS prepare(struct sign *sign, int fd)
{
    sign->fd = fd;
    int flags = fcntl(fd, F_GETFL);
    ENSURE(flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0, WHY_IO);
    TRY(frame_reader_new(&sign->reader));
    TRY(frame_writer_new(WRITER_BYTES_MAX, &sign->writer));
    sign->state = SIGN_WAITS_FOR_HELLO;
    return STATUS_OK;
}

static void on_writable(void *owner);

void sign_flush(struct sign *sign)
{
    struct status status = frame_flush(sign->writer, sign->fd);

    if (status.why == WHY_BUSY)
        loop_watch_writable(sign->watch, on_writable);
    else if (failed(status))
        sign_detach(sign); /* The supervisor brings another. */
}

static void on_writable(void *owner)
{
    struct sign *sign = owner;

    if (sign->writer != NULL)
        sign_flush(sign);
}

/* --- Steps on the ledger's writer --- */

static uint64_t stored_size(struct audit_log *log)
{
    struct buffer note OWNED(buffer_free) = BUFFER(NOTE_BYTES_MAX);
    struct checkpoint checkpoint = {0};
    const char *text = NULL;
    size_t size = 0;

    if (failed(audit_log_last_checkpoint(log, &note)) ||
        failed(note_peek(note.bytes, note.size, &text, &size)) ||
        failed(checkpoint_parse(text, size, &checkpoint)))
        return 0;
    return checkpoint.size;
}

static STATUS check_apply(struct ledger_op *op, struct ledger *ledger, struct db_batch *batch)
{
    struct sign *sign = sign_of(op);

    TRY(audit_log_check(ledger_log(ledger), &sign->last, sign->error, sizeof sign->error));
    /* The entry about an epoch is on the disk before anything is signed in it. */
    if (sign->fork.epoch > audit_log_epoch(ledger_log(ledger))) {
        struct audit_entry entry = {.actor = "relay", .origin = "relay", .ts_ms = clock_now_ms()};
        TRY(audit_log_begin_epoch(ledger_log(ledger), batch, &sign->fork, &entry));
    }
    sign->next_leaf = sign->last.size;
    sign->stored_size = stored_size(ledger_log(ledger));
    return rotation_load(ledger_db(ledger), LEDGER_AUDIT_STATE, &sign->rotation);
}

/* What the operator's statement names, for the signer; and, where it does not fit, what would. */
static STATUS fork_apply(struct ledger_op *op, struct ledger *ledger, struct db_batch *batch)
{
    struct sign *sign = sign_of(op);
    struct audit_log *log = ledger_log(ledger);
    uint32_t epoch = audit_log_epoch(log);
    struct epoch_statement would = {.size = audit_log_size(log)};
    char text[EPOCH_TEXT_BYTES_MAX];

    (void)batch;
    would.epoch = 1 + (epoch > sign->fork.epoch ? epoch : sign->fork.epoch);
    audit_log_root(log, would.root);
    epoch_statement_text(&would, text);
    size_t used = strlen(sign->error);
    snprintf(sign->error + used, sizeof sign->error - used, "; --accept-rollback %s", text);
    buffer_clear(&sign->leaves);
    ENSURE(sign->accept->epoch > sign->fork.epoch, WHY_CONFLICT);
    return audit_log_accepts(log, sign->accept, &sign->leaves);
}

static STATUS read_apply(struct ledger_op *op, struct ledger *ledger, struct db_batch *batch)
{
    struct sign *sign = sign_of(op);
    struct audit_log *log = ledger_log(ledger);

    (void)batch;
    sign->log_size = audit_log_size(log);
    ENSURE(sign->log_size >= sign->next_leaf, WHY_CONFLICT);
    uint64_t count = sign->log_size - sign->next_leaf;
    buffer_clear(&sign->leaves);
    if (count == 0)
        return STATUS_OK;
    return audit_log_leaves(log, sign->next_leaf,
                            (unsigned)(count < LEAVES_MAX ? count : LEAVES_MAX), &sign->leaves);
}

static STATUS store_apply(struct ledger_op *op, struct ledger *ledger, struct db_batch *batch)
{
    struct sign *sign = sign_of(op);

    TRY(audit_log_put_checkpoint(ledger_log(ledger), batch, sign->note.bytes, sign->note.size));
    sign->stored_size = sign->next_leaf;
    return STATUS_OK;
}

/* --- Home on the loop --- */

static void on_home(struct ledger_op *op);

void sign_submit(struct sign *sign, enum sign_state state, sign_apply_fn apply)
{
    assert(!sign->op_is_out);
    sign->op.apply = apply;
    sign->op.done = on_home;
    if (sign->finishing) {
        sign->state = state;
        ledger_run(sign->ledger, &sign->op);
        on_home(&sign->op);
        return;
    }
    if (failed(ledger_submit(sign->ledger, &sign->op)))
        return; /* Full: the state stays, and the next tick tries again. */
    sign->op_is_out = true;
    sign->state = state;
}

static void send_leaves(struct sign *sign)
{
    if (sign->leaves.size > 0) {
        struct buffer *body = frame_begin(sign->writer, SIGNER_LEAVES, 0);
        buffer_add_u64(body, sign->next_leaf);
        buffer_add(body, sign->leaves.bytes, sign->leaves.size);
        if (failed(frame_end(sign->writer)))
            return; /* Full: the next tick reads them again. */
        sign->next_leaf += sign->leaves.size / MERKLE_HASH_BYTES;
    }
    if (sign->next_leaf < sign->log_size) {
        sign_submit(sign, SIGN_READS, read_apply);
    } else if (sign->next_leaf > sign->stored_size) {
        frame_begin(sign->writer, SIGNER_SIGN, 0);
        if (!failed(frame_end(sign->writer)))
            sign->state = SIGN_WAITS_FOR_NOTE;
    }
    sign_flush(sign);
}

static void on_home(struct ledger_op *op)
{
    struct sign *sign = sign_of(op);
    enum sign_state was = sign->state;

    sign->op_is_out = false;
    if (sign->next_fd >= 0) {
        int fd = sign->next_fd;
        sign->next_fd = -1;
        sign_attach(sign, fd);
        return;
    }
    if (was == SIGN_BROKEN)
        return; /* The signer died meanwhile. */
    if (failed(op->status)) {
        if (ledger_is_well(sign->ledger)) /* Else the ledger has said what is wrong. */
            log_failure(LOG_ERROR, "log_not_signed", op->status, "detail", sign->error, NULL);
        sign->stored_size = 0; /* Signed again, and stored then. */
        if (was == SIGN_CHECKS || op->status.why == WHY_CONFLICT)
            sign_detach(sign);
        else
            sign->state = SIGN_RESTS;
        return;
    }
    sign->state = SIGN_RESTS;
    if (was == SIGN_ROTATES)
        sign_keys_home(sign);
    if (was == SIGN_READS)
        send_leaves(sign);
    else
        handle_frames(sign);
}

static STATUS take_note(struct sign *sign, const struct frame *frame)
{
    const char *text = NULL;
    size_t size = 0;

    ENSURE(sign->state == SIGN_WAITS_FOR_NOTE, WHY_BAD_INPUT);
    TRY(note_open(frame->body, frame->size, &sign->key, 1, &text, &size));
    TRY(sign_keys_check(sign, frame->body, frame->size));
    buffer_clear(&sign->note);
    buffer_add(&sign->note, frame->body, frame->size);
    TRY(buffer_status(&sign->note));
    sign->state = SIGN_RESTS;
    sign_submit(sign, SIGN_STORES, store_apply);
    return STATUS_OK;
}

static STATUS take_frame(struct sign *sign, const struct frame *frame)
{
    switch ((enum signer_frame)frame->type) {
    case SIGNER_HELLO:
        ENSURE(sign->state == SIGN_WAITS_FOR_HELLO, WHY_BAD_INPUT);
        TRY(signer_hello_parse(frame, &sign->last, &sign->key, &sign->fork));
        sign_submit(sign, SIGN_CHECKS, check_apply);
        return STATUS_OK;
    case SIGNER_CHECKPOINT:
        return take_note(sign, frame);
    case SIGNER_KEYS:
        return sign_keys_take(sign, frame);
    case SIGNER_REFUSED:
        return FAIL(WHY_CONFLICT);
    case SIGNER_LEAVES:
    case SIGNER_SIGN:
    case SIGNER_FORK:
    case SIGNER_KEY:
    default:
        return FAIL(WHY_BAD_INPUT);
    }
}

/* One frame at a time: what the writer is busy with is finished first. */
static void handle_frames(struct sign *sign)
{
    struct frame frame;

    while (sign->reader != NULL && !sign->op_is_out) {
        struct status status = frame_reader_next(sign->reader, &frame);
        if (status.why == WHY_NOT_FOUND)
            return;
        if (!failed(status))
            status = take_frame(sign, &frame);
        if (failed(status)) {
            log_failure(LOG_ERROR, "signer_not_understood", status, NULL);
            sign_detach(sign);
        }
    }
}

static void on_readable(void *owner)
{
    struct sign *sign = owner;

    struct status status = frame_reader_fill(sign->reader, sign->fd);
    if (failed(status) && status.why != WHY_BUSY && status.why != WHY_LIMIT) {
        sign_detach(sign);
        return;
    }
    handle_frames(sign);
}

void sign_attach(struct sign *sign, int fd)
{
    if (sign->op_is_out) {
        if (sign->next_fd >= 0)
            close(sign->next_fd);
        sign->next_fd = fd;
        return;
    }
    sign_detach(sign);
    if (failed(prepare(sign, fd)) ||
        failed(loop_watch(sign->loop, fd, on_readable, sign, &sign->watch)))
        sign_detach(sign);
}

/* Waits, at start only, until the signer has spoken. */
static STATUS wait_for_hello(struct sign *sign)
{
    int64_t deadline_ms = clock_monotonic_ms() + SIGN_HELLO_MS;
    struct frame frame;

    for (;;) {
        struct status status = frame_reader_next(sign->reader, &frame);
        if (!failed(status))
            return signer_hello_parse(&frame, &sign->last, &sign->key, &sign->fork);
        ENSURE(status.why == WHY_NOT_FOUND, status.why);
        int64_t left_ms = deadline_ms - clock_monotonic_ms();
        struct pollfd waits = {.fd = sign->fd, .events = POLLIN};
        ENSURE(left_ms > 0 && poll(&waits, 1, (int)left_ms) > 0, WHY_TIMEOUT);
        status = frame_reader_fill(sign->reader, sign->fd);
        if (failed(status) && status.why != WHY_BUSY)
            return status;
    }
}

static STATUS check_at_start(struct sign *sign)
{
    sign->op.apply = check_apply;
    ledger_run(sign->ledger, &sign->op);
    if (sign->op.status.why != WHY_CONFLICT)
        return sign->op.status;
    sign->op.apply = fork_apply;
    ledger_run(sign->ledger, &sign->op);
    TRY(sign->op.status);
    struct buffer *body = frame_begin(sign->writer, SIGNER_FORK, 0);
    buffer_add(body, sign->leaves.bytes, sign->leaves.size);
    TRY(frame_end(sign->writer));
    TRY(frame_flush(sign->writer, sign->fd));
    ENSURE(!failed(wait_for_hello(sign)), WHY_CONFLICT); /* It does not take the statement. */
    sign->op.apply = check_apply;
    ledger_run(sign->ledger, &sign->op);
    return sign->op.status;
}

STATUS sign_open(struct loop *loop, struct ledger *ledger, int fd,
                 const struct epoch_statement *accept, struct sign **out_sign, char *error,
                 size_t error_size)
{
    OWNED(sign_close) struct sign *sign = calloc(1, sizeof *sign);
    if (sign == NULL)
        close(fd);
    ENSURE(sign != NULL, WHY_NO_MEMORY);
    sign->loop = loop;
    sign->ledger = ledger;
    sign->next_fd = -1;
    sign->leaves = BUFFER(LEAVES_MAX * MERKLE_HASH_BYTES);
    sign->note = BUFFER(NOTE_BYTES_MAX);
    snprintf(error, error_size, "the signer did not start; its own log lines say why");
    TRY(prepare(sign, fd));
    TRY(wait_for_hello(sign));

    sign->accept = accept;
    struct status status = check_at_start(sign);
    snprintf(error, error_size, "%s", sign->error);
    TRY(status);
    sign->state = SIGN_RESTS;
    TRY(loop_watch(loop, fd, on_readable, sign, &sign->watch));
    *out_sign = MOVE(sign);
    return STATUS_OK;
}

void sign_close(struct sign **sign)
{
    if (*sign == NULL)
        return;
    assert(!(*sign)->op_is_out);
    sign_detach(*sign);
    if ((*sign)->next_fd >= 0)
        close((*sign)->next_fd);
    buffer_free(&(*sign)->leaves);
    buffer_free(&(*sign)->note);
    free(*sign);
    *sign = NULL;
}

void sign_tick(struct sign *sign)
{
    if (sign->op_is_out)
        return;
    sign_keys_tick(sign);
    if (sign->state == SIGN_RESTS)
        sign_submit(sign, SIGN_READS, read_apply);
}

static bool sign_waits(const struct sign *sign)
{
    return sign->state == SIGN_WAITS_FOR_NOTE || sign->state == SIGN_WAITS_FOR_KEYS;
}

void sign_finish(struct sign *sign)
{
    int64_t deadline_ms = clock_monotonic_ms() + SIGN_FINISH_MS;

    if (sign == NULL)
        return;
    assert(!sign->op_is_out);
    sign->finishing = true;
    while (sign->state == SIGN_RESTS || sign_waits(sign)) {
        if (sign->state == SIGN_RESTS)
            sign_submit(sign, SIGN_READS, read_apply);
        if (!sign_waits(sign))
            return; /* All is signed, or the signer is gone. */
        int64_t left_ms = deadline_ms - clock_monotonic_ms();
        struct pollfd waits = {.fd = sign->fd, .events = POLLIN};
        if (left_ms <= 0 || poll(&waits, 1, (int)left_ms) <= 0)
            return; /* The next start signs it. */
        on_readable(sign);
    }
}

bool sign_is_well(const struct sign *sign)
{
    return sign->state != SIGN_BROKEN;
}
