/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/hsm.h"

#include <errno.h>
#include <poll.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/frames.h"
#include "base/log.h"
#include "base/own.h"
#include "base/supervise.h"
#include "keys/pkcs11.h"
#include "vault/hsm_confine.h"
#include "vault/settings.h"

#define HSM_LOCK_BYTES (256u << 10)
#define HSM_WATCH_MS   500

struct hsm {
    const struct settings_hsm *settings;
    int fd;
    struct frame_reader *in;
    struct frame_writer *out;
    struct secret *pin;            /* NULL: `problem` says why. */
    struct pkcs11_problem problem; /* Of the PIN: the answer to all that is asked. */
    uint64_t pin_mark;
    bool done;
};

/* What tells one content of the PIN's file from the next; 0 where nothing is to be seen of it. */
static uint64_t pin_mark(const char *path)
{
    struct stat stat_now;

    if (stat(path, &stat_now) != 0)
        return 0;
    return (uint64_t)stat_now.st_ctim.tv_sec * 1000000000u + (uint64_t)stat_now.st_ctim.tv_nsec +
           ((uint64_t)stat_now.st_ino << 40);
}

/* --- The one request --- */

static STATUS hsm_answer(struct hsm *hsm, const struct frame *frame, enum hsm_frame type,
                         const struct pkcs11_token *token, const uint8_t *bytes, size_t size)
{
    struct buffer *out = frame_begin(hsm->out, (uint8_t)type, frame->id);

    buffer_add_counted(out, token->label);
    buffer_add_counted(out, token->serial);
    buffer_add_counted(out, token->mechanism);
    buffer_add(out, bytes, size);
    return frame_end(hsm->out);
}

static STATUS hsm_refuse(struct hsm *hsm, const struct frame *frame,
                         const struct pkcs11_problem *problem)
{
    struct buffer *out = frame_begin(hsm->out, HSM_FAILED, frame->id);

    buffer_add_u8(out, (uint8_t)problem->trouble);
    buffer_add_counted(out, problem->text);
    return frame_end(hsm->out);
}

static STATUS hsm_wrap(struct pkcs11 *pkcs11, struct hsm *hsm, const struct frame *frame,
                       struct cursor *in, const char *binding, struct pkcs11_problem *problem)
{
    OWNED(secret_free) struct secret *root = NULL;
    struct buffer blob OWNED(buffer_free) = BUFFER(PKCS11_BLOB_BYTES_MAX);
    struct pkcs11_token token;
    const uint8_t *bytes = cursor_bytes(in, PKCS11_ROOT_BYTES);

    ENSURE(bytes != NULL && cursor_done(in), WHY_FORGED);
    TRY(secret_new_key(PKCS11_ROOT_BYTES, &root));
    memcpy(secret_bytes(root), bytes, PKCS11_ROOT_BYTES);
    TRY(pkcs11_wrap(pkcs11, binding, root, &blob, problem));
    pkcs11_describe(pkcs11, &token);
    return hsm_answer(hsm, frame, HSM_BLOB, &token, blob.bytes, blob.size);
}

static STATUS hsm_unwrap(struct pkcs11 *pkcs11, struct hsm *hsm, const struct frame *frame,
                         struct cursor *in, const char *binding, struct pkcs11_problem *problem)
{
    OWNED(secret_free) struct secret *root = NULL;
    struct pkcs11_token token;
    size_t size = in->bad ? 0 : in->size - in->at;
    const uint8_t *blob = cursor_bytes(in, size);

    ENSURE(blob != NULL && size > 0, WHY_FORGED);
    TRY(pkcs11_unwrap(pkcs11, binding, blob, size, &root, problem));
    pkcs11_describe(pkcs11, &token);
    return hsm_answer(hsm, frame, HSM_ROOT, &token, secret_peek(root), PKCS11_ROOT_BYTES);
}

static STATUS hsm_do(struct hsm *hsm, const struct frame *frame, struct pkcs11_problem *problem)
{
    OWNED(pkcs11_close) struct pkcs11 *pkcs11 = NULL;
    struct cursor in = cursor_over(frame->body, frame->size);
    char binding[PKCS11_BINDING_BYTES_MAX + 1] = "";
    struct pkcs11_place place = {
        .module = hsm->settings->module,
        .token = hsm->settings->token,
        .key = hsm->settings->key,
        .make_key = frame->type == HSM_WRAP,
    };

    ENSURE(frame->type == HSM_WRAP || frame->type == HSM_UNWRAP, WHY_FORGED);
    cursor_text(&in, binding, sizeof binding);
    ENSURE(!in.bad, WHY_FORGED);
    TRY(pkcs11_open(&place, hsm->pin, &pkcs11, problem));
    return frame->type == HSM_WRAP ? hsm_wrap(pkcs11, hsm, frame, &in, binding, problem)
                                   : hsm_unwrap(pkcs11, hsm, frame, &in, binding, problem);
}

/* A module that hangs is ended by the kernel, with this process. */
static STATUS patience_set(int64_t ms)
{
    struct itimerval patience = {.it_value = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000}};

    ENSURE(setitimer(ITIMER_REAL, &patience, NULL) == 0, WHY_IO);
    return STATUS_OK;
}

static STATUS hsm_serve(struct hsm *hsm, const struct frame *frame)
{
    struct pkcs11_problem problem = hsm->problem;

    if (problem.trouble == PKCS11_NONE) {
        TRY(patience_set(hsm->settings->timeout_ms));
        struct status status = hsm_do(hsm, frame, &problem);
        TRY(patience_set(0));
        if (failed(status) && problem.trouble == PKCS11_NONE)
            return status; /* The peer's nonsense, or no memory: another process may fare better. */
    }
    if (problem.trouble != PKCS11_NONE) {
        TRY(hsm_refuse(hsm, frame, &problem));
        if (!pkcs11_try_again(problem.trouble))
            hsm->problem = problem;
    }
    hsm->done = hsm->problem.trouble == PKCS11_NONE;
    return frame_flush(hsm->out, hsm->fd);
}

/* --- Its life --- */

static STATUS hsm_read(struct hsm *hsm)
{
    struct frame frame;

    TRY(frame_reader_fill(hsm->in, hsm->fd));
    while (!hsm->done) {
        struct status status = frame_reader_next(hsm->in, &frame);
        if (status.why == WHY_NOT_FOUND)
            return STATUS_OK;
        TRY(status);
        TRY(hsm_serve(hsm, &frame));
    }
    return STATUS_OK;
}

/* Until a request was served, the PIN's file is another, or the keeper is gone. */
static STATUS hsm_loop(struct hsm *hsm)
{
    struct pollfd fds = {.fd = hsm->fd, .events = POLLIN};

    hsm->pin_mark = pin_mark(hsm->settings->pin);
    while (!hsm->done) {
        int ready = poll(&fds, 1, HSM_WATCH_MS);
        ENSURE(ready >= 0 || errno == EINTR, WHY_IO);
        if (ready > 0)
            TRY(hsm_read(hsm));
        else if (pin_mark(hsm->settings->pin) != hsm->pin_mark)
            return STATUS_OK; /* The next one reads it. */
    }
    return STATUS_OK;
}

static void hsm_close(struct hsm *hsm)
{
    secret_free(&hsm->pin);
    frame_reader_free(&hsm->in);
    frame_writer_free(&hsm->out);
}

int hsm_run(void *owner, int core_fd)
{
    const struct settings *settings = owner;
    struct hsm hsm OWNED(hsm_close) = {.settings = &settings->hsm, .fd = core_fd};
    struct sandbox_report report = {0};

    if (sodium_init() < 0 || failed(log_open("hsm", settings->log_level, STDERR_FILENO)))
        return EXIT_FAILURE;
    /* Before its user changes: the PIN may be root's alone.  What is wrong with it is answered. */
    status_ignore(pkcs11_pin_read(hsm.settings->pin, &hsm.pin, &hsm.problem), "hsm.problem has it");
    struct status status = hsm_confine(settings, HSM_LOCK_BYTES, &report);
    if (status.why == WHY_DENIED) { /* In production; no later try has more guards. */
        log_failure(LOG_ERROR, "hsm_ended", status, "missing", report.missing, NULL);
        return SUPERVISE_EXIT_CONFIG;
    }
    if (!failed(status) && report.missing[0] != '\0')
        log_event(LOG_WARN, "guards_missing", "missing", report.missing, NULL);
    if (!failed(status))
        status = frame_reader_new(&hsm.in);
    if (!failed(status))
        status = frame_writer_new(HSM_FRAME_BYTES_MAX, &hsm.out);
    if (!failed(status))
        status = hsm_loop(&hsm);
    if (!failed(status) || status.why == WHY_NOT_FOUND) /* The keeper is gone. */
        return EXIT_SUCCESS;
    log_failure(LOG_ERROR, "hsm_ended", status, "missing", report.missing, NULL);
    return EXIT_FAILURE;
}
