/* SPDX-License-Identifier: Apache-2.0 */
/* The log gets another signing key: asked for by a person, named in the log under the old key's
 * signature, used beside it for a while, then alone.  What is to be done next is read off row and
 * signer each time (policies/rotation.h), so that any of the three processes may die in between. */
#include <poll.h>
#include <string.h>

#include "base/encode.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/own.h"
#include "vault/keeper_text.h"

#define STATE_BYTES_MAX 2048u
#define MAKE_MS         2000 /* A seed file and its folder are synced in that time. */

STATUS keeper_rotate_load(struct keeper *keeper)
{
    return rotation_load(keeper->db, STORE_AUDIT_STATE, &keeper->rotate.rotation);
}

static struct rotation_times times_of(const struct keeper *keeper)
{
    return (struct rotation_times){.overlap_ms = keeper->settings->signer_overlap_ms,
                                   .period_ms = keeper->settings->signer_period_ms};
}

STATUS keeper_rotate_take(struct keeper *keeper, const struct frame *frame)
{
    ENSURE(keeper->signer_greeted && keeper->rotate.asked, WHY_FORGED);
    bool both = keeper->rotate.known && keeper->rotate.keys.both;

    TRY(signer_keys_parse(frame, &keeper->rotate.keys));
    keeper->rotate.again = keeper->rotate.again || (keeper->rotate.keys.both && !both);
    note_key_rename(&keeper->rotate.keys.succession.from, keeper->signer_key.name,
                    &keeper->signer_key);
    keeper->rotate.known = true;
    keeper->rotate.asked = false;
    return STATUS_OK;
}

STATUS keeper_rotate_check(const struct keeper *keeper, const void *note, size_t size)
{
    struct note_key next;
    const char *text = NULL;
    size_t text_size = 0;

    if (!keeper->rotate.known || !keeper->rotate.keys.both)
        return STATUS_OK;
    note_key_rename(&keeper->rotate.keys.succession.to, keeper->signer_key.name, &next);
    return note_open(note, size, &next, 1, &text, &text_size);
}

static STATUS rotate_ask_signer(struct keeper *keeper, enum signer_step step, uint64_t size)
{
    TRY(signer_keys_ask(keeper->signer_out, step, size));
    keeper->rotate.asked = true;
    return frame_flush(keeper->signer_out, keeper->signer_fd);
}

/* The entry that names the next key; its row goes with it. */
static STATUS rotate_announce(struct keeper *keeper, struct keeper_op *op, int64_t now_ms,
                              struct rotation *out_rotation)
{
    struct audit_entry entry = {0};
    char object[SUCCESSION_KEY_MAX];
    char detail[SUCCESSION_DETAIL_MAX];
    struct rotation rotation = {.under_way = true,
                                .seq = audit_log_next_seq(keeper->log),
                                .until_ms = now_ms + keeper->settings->signer_overlap_ms,
                                .from = keeper->rotate.keys.succession.from,
                                .to = keeper->rotate.keys.succession.to};

    rotation_entry(&keeper->rotate.keys, object, detail, &entry);
    if (op != NULL)
        TRY(keeper_record(op, &entry));
    else
        TRY(keeper_record_own(keeper, &entry, now_ms));
    TRY(rotation_keep(&rotation, keeper->db, keeper->batch, STORE_AUDIT_STATE));
    *out_rotation = rotation;
    return STATUS_OK;
}

/* The old key is wiped, and the log says so. */
static STATUS rotate_end(struct keeper *keeper, int64_t now_ms)
{
    struct audit_entry entry = {0};
    struct rotation none = {0};
    char object[SUCCESSION_KEY_MAX];

    rotation_retire_entry(&keeper->rotate.rotation, object, &entry);
    TRY(keeper_record_own(keeper, &entry, now_ms));
    TRY(rotation_keep(&none, keeper->db, keeper->batch, STORE_AUDIT_STATE));
    keeper->rotate.rotation = none;
    log_event(LOG_INFO, "signer_key_retired", "key", object, NULL);
    return STATUS_OK;
}

static STATUS rotate_step(struct keeper *keeper, int64_t now_ms)
{
    /* A checkpoint that waits for its batch is not in the store yet. */
    uint64_t size = keeper->note.size > 0 ? 0 : keeper->signed_size;

    switch (rotation_next(&keeper->rotate.rotation, &keeper->rotate.keys, size, now_ms)) {
    case ROTATION_AGAIN:
        return rotate_announce(keeper, NULL, now_ms, &keeper->rotate.rotation);
    case ROTATION_MAKE:
        return rotate_ask_signer(keeper, SIGNER_STEP_MAKE, 0);
    case ROTATION_OVERLAP:
        return rotate_ask_signer(keeper, SIGNER_STEP_OVERLAP, keeper->rotate.rotation.seq + 1);
    case ROTATION_RETIRE:
        return rotate_ask_signer(keeper, SIGNER_STEP_RETIRE, 0);
    case ROTATION_END:
        return rotate_end(keeper, now_ms);
    case ROTATION_REST:
    default:
        return STATUS_OK;
    }
}

/* How long the key is to be used still; once a day, from a month before on, a line in the log. */
static void rotate_say_left(struct keeper *keeper, int64_t now_ms)
{
    static struct metric *left;
    struct rotation_times times = times_of(keeper);
    int64_t due_ms = rotation_due_ms(&keeper->rotate.keys, &times);
    int64_t monotonic_ms = clock_monotonic_ms();
    char due[CLOCK_TEXT_SIZE];

    if (left == NULL)
        left = metric_gauge("cardkeep_vault_signer_key_left_seconds", "",
                            "Until the audit log's signing key is to be changed.");
    metric_set(left, (due_ms - now_ms) / 1000);
    bool warned =
        keeper->rotate.warned_ms != 0 && monotonic_ms - keeper->rotate.warned_ms < ROTATION_DAY_MS;
    if (due_ms - now_ms > ROTATION_WARN_MS || warned || keeper->rotate.rotation.under_way)
        return;
    keeper->rotate.warned_ms = monotonic_ms;
    clock_text(due_ms, due);
    log_event(LOG_WARN, "signer_key_is_due", "due", due, "advice", "cardkeep signer rotate", NULL);
}

void keeper_rotate_tick(struct keeper *keeper, int64_t now_ms)
{
    struct status status = STATUS_OK;

    if (keeper->signer_fd < 0 || !keeper->signer_greeted || keeper->signing || keeper->rotate.asked)
        return;
    if (!keeper->rotate.known) {
        status = rotate_ask_signer(keeper, SIGNER_STEP_ASK, 0);
    } else {
        rotate_say_left(keeper, now_ms);
        status = rotate_step(keeper, now_ms);
    }
    if (failed(status))
        log_failure(LOG_WARN, "signer_not_asked", status, NULL);
}

/* --- Requests --- */

void keeper_rotate_write(const struct keeper *keeper, struct buffer *out)
{
    struct rotation_times times = times_of(keeper);

    if (keeper->rotate.known)
        rotation_write(&keeper->rotate.rotation, &keeper->rotate.keys, &times, out);
}

static STATUS rotate_answer(struct keeper_op *op, unsigned status)
{
    struct buffer body OWNED(buffer_free) = BUFFER(STATE_BYTES_MAX);

    keeper_rotate_write(op->keeper, &body);
    return keeper_answer_text(op, status, &body);
}

STATUS keeper_rotate_show(struct keeper_op *op, struct cursor *in)
{
    OWNED(keeper_text_close) struct keeper_text text = {0};
    static const char *const none[] = {NULL};

    TRY(keeper_text_open(in, &text));
    TRY(keeper_text_params(op, &text, none, NULL));
    if (!op->keeper->rotate.known)
        return keeper_refuse(op, PROBLEM_AUDIT_UNAVAILABLE, NULL,
                             "The audit signer has not said yet which keys it has.");
    return rotate_answer(op, 200);
}

/* Waits for the signer's word: this is asked once a year, and a file is what it takes. */
static STATUS rotate_make(struct keeper *keeper)
{
    int64_t deadline_ms = clock_monotonic_ms() + MAKE_MS;

    TRY(rotate_ask_signer(keeper, SIGNER_STEP_MAKE, 0));
    while (keeper->rotate.asked) {
        int64_t left_ms = deadline_ms - clock_monotonic_ms();
        struct pollfd waits = {.fd = keeper->signer_fd, .events = POLLIN};
        ENSURE(left_ms > 0 && poll(&waits, 1, (int)left_ms) == 1, WHY_TIMEOUT);
        TRY(keeper_sign_read(keeper));
        ENSURE(keeper->signer_fd >= 0, WHY_IO); /* Its own log lines say why it left. */
    }
    ENSURE(keeper->rotate.keys.has_next, WHY_IO);
    return STATUS_OK;
}

STATUS keeper_rotate_ask(struct keeper_op *op, struct cursor *in)
{
    OWNED(keeper_text_close) struct keeper_text text = {0};
    static const char *const none[] = {NULL};
    struct keeper *keeper = op->keeper;
    struct read_object object;
    struct rotation rotation;

    TRY(keeper_text_open(in, &text));
    TRY(keeper_text_object(op, &text, none, &object));
    TRY(keeper_text_judge(&object));
    if (keeper->rotate.rotation.under_way || (keeper->rotate.known && keeper->rotate.keys.both))
        return keeper_refuse(op, PROBLEM_STATE_CONFLICT, NULL,
                             "A rotation of the signing key is under way; it ends when the overlap "
                             "does.");
    if (!keeper->rotate.known || keeper->rotate.asked || failed(rotate_make(keeper)))
        return keeper_refuse(op, PROBLEM_AUDIT_UNAVAILABLE, NULL,
                             "The audit signer could not make another key; its log lines say why.");
    TRY(rotate_announce(keeper, op, op->now_ms, &rotation));
    struct rotation before = keeper->rotate.rotation;
    keeper->rotate.rotation = rotation;
    struct status status = rotate_answer(op, 201);
    if (failed(status))
        keeper->rotate.rotation = before;
    return status;
}
