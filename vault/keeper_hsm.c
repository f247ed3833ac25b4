/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/keeper_hsm.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/encode.h"
#include "base/json.h"
#include "base/log.h"
#include "base/own.h"
#include "keys/pkcs11.h"
#include "keys/source.h"
#include "vault/approve.h"
#include "vault/hsm.h"
#include "vault/keeper_seal.h"

#define ASKED_BYTES_MAX  160u
#define TOKEN_TEXT_BYTES 160u
#define FETCH_MORE_MS    5000 /* That process ends before. */
#define TRY_AGAIN_MS     3000 /* After a failure: each try is a process and a log-in. */

struct keeper_hsm {
    int fd; /* -1: none. */
    struct frame_reader *in;
    struct frame_writer *out;
    bool asked; /* This process has had its one request. */
    uint64_t question;
    uint64_t answered;         /* The last one that was. */
    int64_t due_ms;            /* Of the next, by the clock that does not jump. */
    struct secret *root;       /* A new one, to be wrapped; NULL: none is under way. */
    struct seal_record record; /* Its seal. */
    char by[ASKED_BYTES_MAX];
    bool begun;        /* The turn that wanted it is not over yet. */
    uint64_t approval; /* Looked up once its turn is over; 0: none, or found. */
    struct pkcs11_problem problem;
};

STATUS keeper_hsm_open(struct keeper *keeper)
{
    keeper->hsm = calloc(1, sizeof *keeper->hsm);
    ENSURE(keeper->hsm != NULL, WHY_NO_MEMORY);
    keeper->hsm->fd = -1;
    return STATUS_OK;
}

static void hsm_detach(struct keeper_hsm *hsm)
{
    frame_reader_free(&hsm->in);
    frame_writer_free(&hsm->out);
    if (hsm->fd >= 0)
        (void)close(hsm->fd);
    hsm->fd = -1;
}

void keeper_hsm_close(struct keeper *keeper)
{
    if (keeper->hsm == NULL)
        return;
    hsm_detach(keeper->hsm);
    secret_free(&keeper->hsm->root);
    free(keeper->hsm);
    keeper->hsm = NULL;
}

STATUS keeper_hsm_attach(struct keeper *keeper, int fd)
{
    struct keeper_hsm *hsm = keeper->hsm;

    hsm_detach(hsm);
    hsm->fd = fd;
    hsm->asked = false;
    if (!pkcs11_try_again(hsm->problem.trouble))
        hsm->due_ms = 0; /* It comes because the PIN's file is another. */
    TRY(frame_reader_new(&hsm->in));
    return frame_writer_new(HSM_FRAME_BYTES_MAX, &hsm->out);
}

int keeper_hsm_fd(const struct keeper *keeper)
{
    return keeper->hsm->fd;
}

void keeper_hsm_write(const struct keeper *keeper, struct json_writer *writer)
{
    if (keeper->hsm->root != NULL)
        json_put_member(writer, "pending", "A new root is being wrapped by the HSM.");
    if (keeper->hsm->problem.text[0] != '\0')
        json_put_member(writer, "hsm", keeper->hsm->problem.text);
}

/* --- Questions --- */

/* Which root it is: one that was wrapped for another vault, or for an earlier seal, opens nothing.
 */
static void binding_write(const struct keeper *keeper, const struct seal_record *record,
                          char out[static PKCS11_BINDING_BYTES_MAX])
{
    char set[2 * SEAL_SET_BYTES + 1];

    encode_hex(record->set_id, sizeof record->set_id, set);
    (void)snprintf(out, PKCS11_BINDING_BYTES_MAX, "cardkeep/v1/root|%s|%s",
                   keeper_environment(keeper), set);
}

static STATUS hsm_ask(struct keeper *keeper, enum hsm_frame type, const struct seal_record *record)
{
    struct keeper_hsm *hsm = keeper->hsm;
    char binding[PKCS11_BINDING_BYTES_MAX];

    binding_write(keeper, record, binding);
    struct buffer *out = frame_begin(hsm->out, (uint8_t)type, ++hsm->question);
    buffer_add_counted(out, binding);
    if (type == HSM_WRAP)
        buffer_add(out, secret_peek(hsm->root), SOURCE_ROOT_BYTES);
    else
        buffer_add(out, record->blob, record->blob_size);
    TRY(frame_end(hsm->out));
    TRY(frame_flush(hsm->out, hsm->fd));
    hsm->asked = true;
    return STATUS_OK;
}

/* --- A new root --- */

static STATUS root_make(struct keeper *keeper, enum seal_kind kind, struct secret **out_root,
                        const char **out_refusal)
{
    OWNED(secret_free) struct secret *root = NULL;
    char error[256] = "";
    struct source source = {.kind = "file",
                            .path = keeper->settings->seal_path,
                            .production = keeper->settings->production,
                            .data = keeper->settings->data};

    if (kind == SEAL_FILE) {
        struct status status = source_open(&source, out_root, error, sizeof error);
        if (!failed(status))
            return STATUS_OK;
        log_failure(LOG_ERROR, "seal_not_opened", status, "detail", error, NULL);
        *out_refusal = "The file that `seal: path:` names gives no root; the log says why.";
        return FAIL(WHY_CONFLICT);
    }
    TRY(secret_new_key(SOURCE_ROOT_BYTES, &root));
    random_bytes(secret_bytes(root), SOURCE_ROOT_BYTES);
    secret_protect(root);
    *out_root = MOVE(root);
    return STATUS_OK;
}

STATUS keeper_hsm_begin(struct keeper *keeper, const struct keeper_hsm_asked *asked, int64_t now_ms,
                        const char **out_refusal)
{
    struct keeper_hsm *hsm = keeper->hsm;

    *out_refusal = KEEPER_HSM_NONE;
    ENSURE(asked->kind == SEAL_FILE || keeper->settings->hsm.module != NULL, WHY_CONFLICT);
    *out_refusal = "A new root is on its way already; see GET /v1/seal.";
    ENSURE(hsm->root == NULL, WHY_CONFLICT);
    *out_refusal = NULL;
    TRY(root_make(keeper, asked->kind, &hsm->root, out_refusal));
    hsm->record = (struct seal_record){.kind = asked->kind, .created_ms = now_ms};
    random_bytes(hsm->record.set_id, sizeof hsm->record.set_id);
    (void)snprintf(hsm->by, sizeof hsm->by, "%s", asked->by);
    hsm->begun = true;
    hsm->approval = asked->approval;
    hsm->problem = (struct pkcs11_problem){0};
    hsm->due_ms = 0;
    return STATUS_OK;
}

static STATUS hsm_record(struct keeper *keeper, const char *event, const char *outcome,
                         const char *detail, int64_t now_ms)
{
    struct audit_entry entry = {
        .event = event, .object = "seal", .outcome = outcome, .detail = detail};

    return keeper_record_own(keeper, &entry, now_ms);
}

/* The blob is there: from this turn's commit on the new root is the vault's. */
static STATUS hsm_put_root(struct keeper *keeper, const char *where, int64_t now_ms)
{
    struct keeper_hsm *hsm = keeper->hsm;
    OWNED(secret_free) struct secret *root = MOVE(hsm->root);
    bool is_new = keeper->seal.kind == 0;
    char detail[ASKED_BYTES_MAX + TOKEN_TEXT_BYTES + 64];
    char set[2 * SEAL_SET_BYTES + 1];

    ENSURE(is_new || keeper_sealed(keeper) == NULL, WHY_CONFLICT); /* Sealed in between. */
    encode_hex(hsm->record.set_id, sizeof hsm->record.set_id, set);
    (void)snprintf(detail, sizeof detail, "%s, set %s, %s, asked by %s",
                   seal_kind_name(hsm->record.kind), set, where, hsm->by);
    TRY(hsm_record(keeper, is_new ? "seal.init" : "seal.change", "ok", detail, now_ms));
    if (!is_new)
        return keeper_seal_change(keeper, &root, &hsm->record, now_ms);
    TRY(keeper_seal_begin(keeper, &root, &hsm->record, now_ms));
    keeper->seal_shutting = false; /* The HSM has opened it in this moment. */
    return STATUS_OK;
}

/* Two agreed on it, so that it did not come is on record as well. */
static void change_lost(struct keeper *keeper, struct status status, int64_t now_ms)
{
    const char *why = status.why == WHY_CONFLICT
                          ? "The vault was sealed before its new root had come."
                          : "The new root could not be put into force; see the log.";
    struct status said = hsm_record(keeper, "seal.fail", "denied", why, now_ms);

    if (failed(said))
        log_failure(LOG_ERROR, "entry_not_recorded", said, NULL);
}

/* Whole, or as if nobody had asked. */
static void hsm_change(struct keeper *keeper, const char *where, int64_t now_ms)
{
    struct keeper_mark mark = keeper_mark(keeper);
    struct status status = hsm_put_root(keeper, where, now_ms);

    if (failed(status)) {
        keeper_rewind(keeper, &mark, now_ms);
        log_failure(LOG_ERROR, "seal_not_changed", status, NULL);
        change_lost(keeper, status, now_ms);
        return;
    }
    log_event(LOG_WARN, "root_is_new", "kept_by", where, NULL);
}

/* --- Answers --- */

/* Said once for each trouble, however often it is met. */
static void hsm_say(struct keeper *keeper, const struct pkcs11_problem *problem, int64_t now_ms)
{
    struct keeper_hsm *hsm = keeper->hsm;
    hsm->due_ms = clock_monotonic_ms() + TRY_AGAIN_MS;
    bool is_new = strcmp(problem->text, hsm->problem.text) != 0;
    bool given_up = hsm->root != NULL;

    hsm->problem = *problem;
    secret_free(&hsm->root); /* Who asked for it hears why, and asks again. */
    if (keeper->ring == NULL)
        keeper_seal_say(keeper, problem->text);
    if (!is_new && !given_up)
        return;
    log_event(LOG_ERROR, "hsm_refused", "detail", problem->text, "tried_again",
              pkcs11_try_again(problem->trouble) ? "yes" : "no", NULL);
    struct status status = hsm_record(keeper, "seal.fail", "denied", problem->text, now_ms);
    if (failed(status))
        log_failure(LOG_ERROR, "entry_not_recorded", status, NULL);
}

/* It comes from where foreign code runs, and goes into logs, entries and terminals. */
static void text_read(struct cursor *in, char *out, size_t out_size)
{
    cursor_text(in, out, out_size);
    for (char *at = out; !in->bad && *at != '\0'; at++)
        if (*at < ' ' || *at > '~')
            *at = '?';
}

static void token_read(struct cursor *in, char out[static TOKEN_TEXT_BYTES])
{
    char label[40];
    char serial[24];
    char mechanism[32];

    text_read(in, label, sizeof label);
    text_read(in, serial, sizeof serial);
    text_read(in, mechanism, sizeof mechanism);
    (void)snprintf(out, TOKEN_TEXT_BYTES, "token %s, serial %s, by %s", label, serial, mechanism);
}

static STATUS take_failed(struct keeper *keeper, struct cursor *in, int64_t now_ms)
{
    struct pkcs11_problem problem = {.trouble = cursor_u8(in)};

    text_read(in, problem.text, sizeof problem.text);
    ENSURE(cursor_done(in) && problem.text[0] != '\0', WHY_FORGED);
    ENSURE(problem.trouble > PKCS11_NONE && problem.trouble < PKCS11_TROUBLE_COUNT, WHY_FORGED);
    hsm_say(keeper, &problem, now_ms);
    return STATUS_OK;
}

static STATUS take_blob(struct keeper *keeper, struct cursor *in, int64_t now_ms)
{
    struct keeper_hsm *hsm = keeper->hsm;
    char token[TOKEN_TEXT_BYTES];

    ENSURE(hsm->root != NULL, WHY_FORGED);
    token_read(in, token);
    size_t size = in->bad ? 0 : in->size - in->at;
    const uint8_t *blob = cursor_bytes(in, size);
    ENSURE(blob != NULL && size > 0 && size <= PKCS11_BLOB_BYTES_MAX, WHY_FORGED);
    memcpy(hsm->record.blob, blob, size);
    hsm->record.blob_size = size;
    hsm->problem = (struct pkcs11_problem){0};
    hsm_change(keeper, token, now_ms);
    return STATUS_OK;
}

static STATUS root_read(struct cursor *in, struct secret **out_root)
{
    OWNED(secret_free) struct secret *root = NULL;
    const uint8_t *bytes = cursor_bytes(in, SOURCE_ROOT_BYTES);

    ENSURE(bytes != NULL && cursor_done(in), WHY_FORGED);
    TRY(secret_new_key(SOURCE_ROOT_BYTES, &root));
    memcpy(secret_bytes(root), bytes, SOURCE_ROOT_BYTES);
    secret_protect(root);
    *out_root = MOVE(root);
    return STATUS_OK;
}

static STATUS take_root(struct keeper *keeper, struct cursor *in)
{
    OWNED(secret_free) struct secret *root = NULL;
    char token[TOKEN_TEXT_BYTES];

    token_read(in, token);
    TRY(root_read(in, &root));
    keeper->hsm->problem = (struct pkcs11_problem){0};
    if (keeper->ring != NULL || keeper->seal_shut)
        return STATUS_OK; /* Opened by another, or sealed by hand, in between. */
    log_event(LOG_INFO, "root_unwrapped", "token", token, NULL);
    keeper_seal_give(keeper, &root);
    return STATUS_OK;
}

static STATUS hsm_take(struct keeper *keeper, const struct frame *frame, int64_t now_ms)
{
    struct cursor in = cursor_over(frame->body, frame->size);

    ENSURE(keeper->hsm->asked && frame->id == keeper->hsm->question, WHY_FORGED);
    ENSURE(keeper->hsm->answered != keeper->hsm->question, WHY_FORGED); /* One answer each. */
    switch ((int)frame->type) {
    case HSM_FAILED:
        return take_failed(keeper, &in, now_ms);
    case HSM_BLOB:
        return take_blob(keeper, &in, now_ms);
    case HSM_ROOT:
        return take_root(keeper, &in);
    default:
        return FAIL(WHY_FORGED);
    }
}

/* It ended: after its answer in good order, without one not. */
static void hsm_lost(struct keeper *keeper, bool answered, int64_t now_ms)
{
    struct pkcs11_problem problem = {
        .trouble = PKCS11_FAILED,
        .text = "The process with the HSM's module ended or hung before it answered: see the log "
                "for how, and the module's own; the vault tries again by itself.",
    };

    hsm_detach(keeper->hsm);
    if (!answered)
        hsm_say(keeper, &problem, now_ms);
}

void keeper_hsm_read(struct keeper *keeper, int64_t now_ms)
{
    struct keeper_hsm *hsm = keeper->hsm;
    struct frame frame;
    struct status status = frame_reader_fill(hsm->in, hsm->fd);
    bool waiting = hsm->asked && hsm->answered != hsm->question;

    if (failed(status)) {
        hsm_lost(keeper, !waiting, now_ms);
        return;
    }
    status = frame_reader_next(hsm->in, &frame);
    if (status.why == WHY_NOT_FOUND)
        return;
    if (!failed(status))
        status = hsm_take(keeper, &frame, now_ms);
    hsm->answered = hsm->question;
    if (failed(status)) {
        log_failure(LOG_ERROR, "hsm_given_up", status, NULL);
        hsm_lost(keeper, !waiting, now_ms);
    }
}

/* --- Without a loop --- */

static STATUS fetch_answer(struct keeper_hsm *hsm, int wait_ms, struct frame *out_frame)
{
    struct pollfd fds = {.fd = hsm->fd, .events = POLLIN};

    for (;;) {
        struct status status = frame_reader_next(hsm->in, out_frame);
        if (status.why != WHY_NOT_FOUND)
            return status;
        ENSURE(poll(&fds, 1, wait_ms) == 1, WHY_TIMEOUT);
        TRY(frame_reader_fill(hsm->in, hsm->fd));
    }
}

static STATUS fetch_ask(struct keeper *keeper, const struct seal_record *record,
                        struct secret **out_root, char *reason, size_t reason_size)
{
    struct frame frame;
    char token[TOKEN_TEXT_BYTES];

    TRY(frame_reader_new(&keeper->hsm->in));
    TRY(frame_writer_new(HSM_FRAME_BYTES_MAX, &keeper->hsm->out));
    TRY(hsm_ask(keeper, HSM_UNWRAP, record));
    TRY(fetch_answer(keeper->hsm, (int)keeper->settings->hsm.timeout_ms + FETCH_MORE_MS, &frame));
    struct cursor in = cursor_over(frame.body, frame.size);
    if (frame.type == HSM_FAILED) {
        (void)cursor_u8(&in);
        text_read(&in, reason, reason_size);
        return FAIL(WHY_DENIED);
    }
    ENSURE(frame.type == HSM_ROOT, WHY_FORGED);
    token_read(&in, token);
    return root_read(&in, out_root);
}

STATUS keeper_hsm_fetch(const struct keeper *keeper, int fd, const struct seal_record *record,
                        struct secret **out_root, char *reason, size_t reason_size)
{
    struct keeper_hsm hsm = {.fd = fd};
    struct keeper asking = {.settings = keeper->settings, .hsm = &hsm};

    (void)snprintf(reason, reason_size, "the process with the HSM's module gave no answer");
    struct status status = fetch_ask(&asking, record, out_root, reason, reason_size);
    frame_reader_free(&hsm.in);
    frame_writer_free(&hsm.out);
    return status;
}

/* --- When --- */

/* The turn that wanted it may have failed at its end; then nobody has approved it. */
static bool hsm_may_go_on(struct keeper *keeper, int64_t now_ms)
{
    struct keeper_hsm *hsm = keeper->hsm;

    if (keeper->store_failed && hsm->begun)
        secret_free(&hsm->root);
    if (keeper->store_failed || keeper_has_work(keeper))
        return false;
    hsm->begun = false;
    if (hsm->approval != 0 && keeper->ring == NULL) {
        secret_free(&hsm->root);
        change_lost(keeper, FAIL(WHY_CONFLICT), now_ms);
    } else if (hsm->approval != 0 && !approve_is_done(keeper, hsm->approval))
        secret_free(&hsm->root);
    hsm->approval = 0;
    return hsm->root != NULL;
}

void keeper_hsm_tick(struct keeper *keeper, int64_t now_ms)
{
    struct keeper_hsm *hsm = keeper->hsm;
    bool wants_root = keeper->ring == NULL && keeper->seal.kind == SEAL_PKCS11 &&
                      !keeper->seal_shut && keeper->seal_given == NULL;

    if (wants_root && keeper->settings->hsm.module == NULL && hsm->problem.text[0] == '\0') {
        (void)snprintf(hsm->problem.text, sizeof hsm->problem.text,
                       "Its root is in an HSM, and the configuration names none: say which under "
                       "`seal: pkcs11:`.");
        keeper_seal_say(keeper, hsm->problem.text);
    }
    if (hsm->root != NULL && !hsm_may_go_on(keeper, now_ms))
        return;
    if (hsm->root != NULL && hsm->record.kind == SEAL_FILE) {
        hsm_change(keeper, "the file of the configuration", now_ms);
        return;
    }
    if (hsm->fd < 0 || hsm->asked || clock_monotonic_ms() < hsm->due_ms || keeper->store_failed ||
        (!wants_root && hsm->root == NULL))
        return;
    struct status status = wants_root ? hsm_ask(keeper, HSM_UNWRAP, &keeper->seal)
                                      : hsm_ask(keeper, HSM_WRAP, &hsm->record);
    if (failed(status))
        hsm_detach(hsm); /* It ended; the supervisor brings another. */
}
