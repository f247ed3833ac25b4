/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <string.h>
#include <unistd.h>

#include "base/encode.h"
#include "base/log.h"
#include "base/own.h"
#include "policies/signer.h"
#include "vault/keeper_inside.h"

#define SIGN_LEAVES_MAX   4096u
#define SIGN_WRITER_MAX   (1u << 20)
#define SIGN_FRONTIER_MAX (8u + MERKLE_LEVELS_MAX * MERKLE_HASH_BYTES)

STATUS keeper_sign_attach(struct keeper *keeper, int fd)
{
    keeper_sign_detach(keeper);
    TRY(frame_reader_new(&keeper->signer_in));
    TRY(frame_writer_new(SIGN_WRITER_MAX, &keeper->signer_out));
    keeper->signer_fd = fd;
    return STATUS_OK;
}

void keeper_sign_detach(struct keeper *keeper)
{
    frame_reader_free(&keeper->signer_in);
    frame_writer_free(&keeper->signer_out);
    if (keeper->signer_fd >= 0)
        (void)close(keeper->signer_fd);
    keeper->signer_fd = -1;
    keeper->signer_greeted = false;
    keeper->signing = false;
    keeper->rotate.known = false;
    keeper->rotate.asked = false;
}

/* Offers the signer the tree that the operator's statement names; it answers with another HELLO. */
static STATUS sign_fork(struct keeper *keeper)
{
    struct buffer frontier OWNED(buffer_free) = BUFFER(SIGN_FRONTIER_MAX);

    TRY(audit_log_accepts(keeper->log, &keeper->settings->accept, &frontier));
    struct buffer *out = frame_begin(keeper->signer_out, SIGNER_FORK, 0);
    buffer_add(out, frontier.bytes, frontier.size);
    TRY(frame_end(keeper->signer_out));
    return frame_flush(keeper->signer_out, keeper->signer_fd);
}

/* Names what an operator would have to say for this store to go on. */
static void sign_refuse(struct keeper *keeper, struct status status, const char *error,
                        uint32_t epoch)
{
    struct epoch_statement statement = {.size = audit_log_size(keeper->log)};
    char accept[EPOCH_TEXT_BYTES_MAX];

    statement.epoch =
        1 + (epoch > audit_log_epoch(keeper->log) ? epoch : audit_log_epoch(keeper->log));
    audit_log_root(keeper->log, statement.root);
    epoch_statement_text(&statement, accept);
    log_failure(LOG_ERROR, "store_older_than_signed", status, "detail", error, "accept_rollback",
                accept, NULL);
}

/* The entry about an epoch is on the disk before anything is signed in it. */
static STATUS sign_new_epoch(struct keeper *keeper, const struct epoch_fork *fork, int64_t now_ms)
{
    struct audit_entry entry = {.actor = "keeper",
                                .origin = "keeper",
                                .ts_ms = now_ms,
                                .bundle = policy_bundle(keeper->policy)};

    TRY(audit_log_begin_epoch(keeper->log, keeper->batch, fork, &entry));
    keeper_commit(keeper, now_ms);
    ENSURE(!keeper->store_failed, WHY_IO);
    log_event(LOG_WARN, "store_rolled_back", "origin", keeper->signer_key.name, NULL);
    return STATUS_OK;
}

/* The signer says what it signed last: a store that does not reach that was rolled back. */
static STATUS sign_hello(struct keeper *keeper, const struct frame *frame)
{
    struct checkpoint last = {0};
    struct epoch_fork fork = {0};
    char error[256] = "";

    TRY(signer_hello_parse(frame, &last, &keeper->signer_key, &fork));
    struct status status = audit_log_check(keeper->log, &last, error, sizeof error);
    if (failed(status)) {
        if (status.why == WHY_CONFLICT && keeper->settings->accept.epoch > fork.epoch &&
            !failed(sign_fork(keeper)))
            return STATUS_OK;
        sign_refuse(keeper, status, error, fork.epoch);
        return status;
    }
    if (fork.epoch > audit_log_epoch(keeper->log))
        TRY(sign_new_epoch(keeper, &fork, clock_now_ms()));
    keeper->fork = fork;
    keeper->next_leaf = last.size;
    keeper->signed_size = last.size;
    /* One that dies and comes back again and again signs nothing: the time goes on. */
    if (!keeper->signer_known)
        keeper->signed_ms = clock_monotonic_ms();
    keeper->signer_known = true;
    keeper->signer_greeted = true;
    keeper_say_state(keeper); /* The front knows the epoch before any answer. */
    return STATUS_OK;
}

static STATUS sign_checkpoint(struct keeper *keeper, const struct frame *frame)
{
    struct checkpoint checkpoint = {0};
    const char *text = NULL;
    size_t size = 0;

    ENSURE(keeper->signer_greeted && keeper->signing, WHY_FORGED);
    TRY(note_open(frame->body, frame->size, &keeper->signer_key, 1, &text, &size));
    TRY(keeper_rotate_check(keeper, frame->body, frame->size));
    TRY(checkpoint_parse(text, size, &checkpoint));
    keeper->signing = false;
    keeper->signed_size = checkpoint.size;
    /* Of a log that never rests, what came since is not signed yet; what was there then, is. */
    keeper->signed_ms = keeper->asked_ms;
    buffer_clear(&keeper->note);
    buffer_add(&keeper->note, frame->body, frame->size);
    return buffer_status(&keeper->note);
}

static STATUS sign_frame(struct keeper *keeper, const struct frame *frame)
{
    struct cursor in = cursor_over(frame->body, frame->size);

    if (frame->type == SIGNER_HELLO)
        return sign_hello(keeper, frame);
    if (frame->type == SIGNER_CHECKPOINT)
        return sign_checkpoint(keeper, frame);
    if (frame->type == SIGNER_KEYS)
        return keeper_rotate_take(keeper, frame);
    ENSURE(frame->type == SIGNER_REFUSED, WHY_FORGED);
    ENSURE(keeper->signer_greeted, WHY_CONFLICT); /* It does not take the statement either. */
    keeper->next_leaf = cursor_u64(&in);
    keeper->signing = false;
    ENSURE(cursor_done(&in), WHY_FORGED);
    return STATUS_OK;
}

STATUS keeper_sign_read(struct keeper *keeper)
{
    struct frame frame;
    struct status status = frame_reader_fill(keeper->signer_in, keeper->signer_fd);

    if (failed(status)) {
        keeper_sign_detach(keeper); /* The supervisor brings another. */
        return STATUS_OK;
    }
    for (;;) {
        status = frame_reader_next(keeper->signer_in, &frame);
        if (status.why == WHY_NOT_FOUND)
            return STATUS_OK;
        if (!failed(status))
            status = sign_frame(keeper, &frame);
        if (status.why == WHY_CONFLICT)
            return status;
        if (failed(status)) {
            log_failure(LOG_ERROR, "signer_given_up", status, NULL);
            keeper_sign_detach(keeper);
            return STATUS_OK;
        }
    }
}

/* Sends what was committed since, and asks for a signature. */
static STATUS sign_ask(struct keeper *keeper)
{
    uint64_t size = audit_log_size(keeper->log);

    while (keeper->next_leaf < size) {
        uint64_t rest = size - keeper->next_leaf;
        unsigned count = rest < SIGN_LEAVES_MAX ? (unsigned)rest : SIGN_LEAVES_MAX;
        struct buffer *out = frame_begin(keeper->signer_out, SIGNER_LEAVES, 0);
        buffer_add_u64(out, keeper->next_leaf);
        struct status status = audit_log_leaves(keeper->log, keeper->next_leaf, count, out);
        struct status ended = frame_end(keeper->signer_out);
        TRY(status);
        TRY(ended);
        TRY(frame_flush(keeper->signer_out, keeper->signer_fd));
        keeper->next_leaf += count;
    }
    (void)frame_begin(keeper->signer_out, SIGNER_SIGN, 0);
    TRY(frame_end(keeper->signer_out));
    TRY(frame_flush(keeper->signer_out, keeper->signer_fd));
    keeper->signing = true;
    keeper->asked_ms = clock_monotonic_ms();
    keeper->rotate.again = false;
    return STATUS_OK;
}

void keeper_sign_tick(struct keeper *keeper)
{
    keeper_rotate_tick(keeper, clock_now_ms());
    if (keeper->signed_size == audit_log_size(keeper->log) && !keeper->rotate.again)
        keeper->signed_ms = clock_monotonic_ms();
    else if (keeper->signer_fd >= 0 && keeper->signer_greeted && !keeper->signing &&
             !keeper->rotate.asked) {
        struct status status = sign_ask(keeper);
        if (failed(status)) {
            bool gone = status.why == WHY_NOT_FOUND; /* That it ended is no failure of ours. */
            log_failure(gone ? LOG_WARN : LOG_ERROR, "signer_lost", status, NULL);
            keeper_sign_detach(keeper);
        }
    }
}
