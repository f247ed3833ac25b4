/* SPDX-License-Identifier: Apache-2.0 */
/* The relay's log gets another signing key: what the vault does in keeper_rotate.c, on a loop. */
#include <string.h>

#include "base/encode.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/own.h"
#include "relay/sign_inside.h"

static struct sign *sign_of(struct ledger_op *op)
{
    return (struct sign *)op;
}

static void ask(struct sign *sign, enum signer_step step, uint64_t size)
{
    if (failed(signer_keys_ask(sign->writer, step, size)))
        return; /* Full: the next tick asks. */
    sign->state = SIGN_WAITS_FOR_KEYS;
    sign_flush(sign);
}

static void tell(struct sign *sign, bool good)
{
    sign_made_fn made = sign->made;

    if (made == NULL)
        return;
    sign->made = NULL;
    made(sign->made_owner, good ? &sign->keys : NULL);
}

void sign_keys_lost(struct sign *sign)
{
    sign->keys_known = false;
    tell(sign, false);
}

STATUS sign_keys_take(struct sign *sign, const struct frame *frame)
{
    ENSURE(sign->state == SIGN_WAITS_FOR_KEYS, WHY_BAD_INPUT);
    bool both = sign->keys_known && sign->keys.both;

    TRY(signer_keys_parse(frame, &sign->keys));
    if (sign->keys.both && !both)
        sign->stored_size = 0; /* What was signed last is signed by both. */
    note_key_rename(&sign->keys.succession.from, sign->key.name, &sign->key);
    sign->keys_known = true;
    sign->state = SIGN_RESTS;
    if (sign->keys.has_next)
        tell(sign, true);
    return STATUS_OK;
}

STATUS sign_keys_check(const struct sign *sign, const void *note, size_t size)
{
    struct note_key next;
    const char *text = NULL;
    size_t text_size = 0;

    if (!sign->keys_known || !sign->keys.both)
        return STATUS_OK;
    note_key_rename(&sign->keys.succession.to, sign->key.name, &next);
    return note_open(note, size, &next, 1, &text, &text_size);
}

/* --- On the ledger's writer --- */

STATUS sign_announce(struct ledger *ledger, struct db_batch *batch, const struct signer_keys *keys,
                     const struct sign_announcement *announcement, struct rotation *out_rotation)
{
    struct audit_entry entry = announcement->entry;
    char object[SUCCESSION_KEY_MAX];
    char detail[SUCCESSION_DETAIL_MAX];
    struct rotation rotation = {.under_way = true,
                                .seq = audit_log_next_seq(ledger_log(ledger)),
                                .until_ms = clock_now_ms() + announcement->overlap_ms,
                                .from = keys->succession.from,
                                .to = keys->succession.to};

    rotation_entry(keys, object, detail, &entry);
    TRY(ledger_audit(ledger, batch, &entry));
    TRY(rotation_keep(&rotation, ledger_db(ledger), batch, LEDGER_AUDIT_STATE));
    *out_rotation = rotation;
    return STATUS_OK;
}

static STATUS again_apply(struct ledger_op *op, struct ledger *ledger, struct db_batch *batch)
{
    struct sign *sign = sign_of(op);
    struct sign_announcement own = {.entry = {.actor = "relay", .origin = "relay"},
                                    .overlap_ms = sign->times.overlap_ms};

    return sign_announce(ledger, batch, &sign->keys, &own, &sign->rotation_next);
}

static STATUS end_apply(struct ledger_op *op, struct ledger *ledger, struct db_batch *batch)
{
    struct sign *sign = sign_of(op);
    struct audit_entry entry = {.actor = "relay", .origin = "relay"};
    char object[SUCCESSION_KEY_MAX];

    sign->rotation_next = (struct rotation){0};
    rotation_retire_entry(&sign->rotation, object, &entry);
    TRY(ledger_audit(ledger, batch, &entry));
    return rotation_keep(&sign->rotation_next, ledger_db(ledger), batch, LEDGER_AUDIT_STATE);
}

/* --- On the loop --- */

void sign_keys_home(struct sign *sign)
{
    if (sign->rotation.under_way && !sign->rotation_next.under_way)
        log_event(LOG_INFO, "signer_key_retired", NULL);
    sign->rotation = sign->rotation_next;
}

/* How long the key is to be used still; once a day, from a month before on, a line in the log. */
static void say_left(struct sign *sign)
{
    int64_t now_ms = clock_now_ms();
    int64_t due_ms = rotation_due_ms(&sign->keys, &sign->times);
    char due[CLOCK_TEXT_SIZE];

    if (sign->left != NULL)
        metric_set(sign->left, (due_ms - now_ms) / 1000);
    bool warned = sign->warned_ms != 0 && clock_monotonic_ms() - sign->warned_ms < ROTATION_DAY_MS;
    if (due_ms - now_ms > ROTATION_WARN_MS || warned || sign->rotation.under_way)
        return;
    sign->warned_ms = clock_monotonic_ms();
    clock_text(due_ms, due);
    log_event(LOG_WARN, "signer_key_is_due", "due", due, "advice", "cardkeep signer rotate --relay",
              NULL);
}

void sign_keys_tick(struct sign *sign)
{
    if (sign->state != SIGN_RESTS)
        return;
    if (!sign->keys_known) {
        ask(sign, SIGNER_STEP_ASK, 0);
        return;
    }
    say_left(sign);
    if (sign->made != NULL) {
        ask(sign, SIGNER_STEP_MAKE, 0);
        return;
    }
    switch (rotation_next(&sign->rotation, &sign->keys, sign->stored_size, clock_now_ms())) {
    case ROTATION_AGAIN:
        sign_submit(sign, SIGN_ROTATES, again_apply);
        return;
    case ROTATION_MAKE:
        ask(sign, SIGNER_STEP_MAKE, 0);
        return;
    case ROTATION_OVERLAP:
        ask(sign, SIGNER_STEP_OVERLAP, sign->rotation.seq + 1);
        return;
    case ROTATION_RETIRE:
        ask(sign, SIGNER_STEP_RETIRE, 0);
        return;
    case ROTATION_END:
        sign_submit(sign, SIGN_ROTATES, end_apply);
        return;
    case ROTATION_REST:
    default:
        return;
    }
}

void sign_set_times(struct sign *sign, const struct rotation_times *times)
{
    sign->times = *times;
    sign->left = metric_gauge("cardkeep_relay_signer_key_left_seconds", "",
                              "Until the audit log's signing key is to be changed.");
}

bool sign_may_rotate(const struct sign *sign)
{
    return sign->made == NULL && !sign->rotation.under_way &&
           !(sign->keys_known && sign->keys.both);
}

STATUS sign_make(struct sign *sign, sign_made_fn made, void *owner)
{
    ENSURE(sign->state != SIGN_BROKEN && sign->keys_known, WHY_BUSY);
    ENSURE(sign->made == NULL, WHY_BUSY);
    sign->made = made;
    sign->made_owner = owner;
    return STATUS_OK;
}

void sign_rotates(struct sign *sign, const struct rotation *rotation)
{
    sign->rotation = *rotation;
}

void sign_write(const struct sign *sign, struct buffer *out)
{
    if (sign->keys_known)
        rotation_write(&sign->rotation, &sign->keys, &sign->times, out);
}
