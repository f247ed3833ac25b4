/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <string.h>
#include <unistd.h>

#include "base/encode.h"
#include "base/log.h"
#include "base/own.h"
#include "policies/signer.h"
#include "vault/keeper_inside.h"

#define SIGN_LEAVES_MAX 4096u
#define SIGN_WRITER_MAX (1u << 20)

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
}

/* The signer says what it signed last: a store that does not reach that was rolled back. */
static STATUS sign_hello(struct keeper *keeper, const struct frame *frame)
{
    struct checkpoint last = {0};
    char error[256] = "";

    TRY(signer_hello_parse(frame, &last, &keeper->signer_key));
    struct status status = audit_log_check(keeper->log, &last, error, sizeof error);
    if (failed(status)) {
        log_failure(LOG_ERROR, "store_older_than_signed", status, "detail", error, NULL);
        return status;
    }
    keeper->next_leaf = last.size;
    keeper->signed_size = last.size;
    keeper->signed_ms = clock_monotonic_ms();
    keeper->signer_known = true;
    keeper->signer_greeted = true;
    return STATUS_OK;
}

static STATUS sign_checkpoint(struct keeper *keeper, const struct frame *frame)
{
    struct checkpoint checkpoint = {0};
    const char *text = NULL;
    size_t size = 0;

    ENSURE(keeper->signer_greeted && keeper->signing, WHY_FORGED);
    TRY(note_open(frame->body, frame->size, &keeper->signer_key, 1, &text, &size));
    TRY(checkpoint_parse(text, size, &checkpoint));
    keeper->signing = false;
    keeper->signed_size = checkpoint.size;
    if (keeper->signed_size == audit_log_size(keeper->log))
        keeper->signed_ms = clock_monotonic_ms();
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
    ENSURE(frame->type == SIGNER_REFUSED, WHY_FORGED);
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
    return STATUS_OK;
}

void keeper_sign_tick(struct keeper *keeper)
{
    if (keeper->signed_size == audit_log_size(keeper->log))
        keeper->signed_ms = clock_monotonic_ms();
    else if (keeper->signer_fd >= 0 && keeper->signer_greeted && !keeper->signing) {
        struct status status = sign_ask(keeper);
        if (failed(status)) {
            log_failure(LOG_ERROR, "signer_lost", status, NULL);
            keeper_sign_detach(keeper);
        }
    }
}
