/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/ledger_rows.h"

#include <assert.h>
#include <string.h>

#include "base/encode.h"
#include "base/own.h"
#include "relay/ledger_sweep.h"

#define ROW_VERSION         1u
#define OPEN_VERSION        2u
#define SETTLEMENT_VERSION  2u
#define ROW_BYTES_MAX       8192u
#define ROW_STATE_AT        1u /* Behind the version, in every row that has a state. */
#define SUBMISSION_ENDED_AT 10u
#define NAME_BYTES_MAX      256u

enum submission_state { SUBMISSION_OPEN = 1, SUBMISSION_ENDED, SUBMISSION_IN_DOUBT };
enum key_state { KEY_OPEN = 1, KEY_ANSWERED, KEY_NOT_SENT, KEY_IN_DOUBT, KEY_LOST };

/* version u8 | state u8 | created u64 | expires u64 | digest | counted submission id | answer */
struct key_row {
    uint8_t state;
    int64_t expires_ms;
    uint8_t digest[LEDGER_KEY_BYTES];
    char submission_id[LEDGER_ID_MAX];
    const uint8_t *answer; /* Lent by the row's bytes. */
    size_t answer_size;
};

/* version u8 | created u64 | counted actor, tenant, destination | leases u8 | has key u8 [| key] */
struct open_row {
    char actor[NAME_BYTES_MAX];
    char tenant[NAME_BYTES_MAX];
    char destination[NAME_BYTES_MAX];
    bool leases; /* It may have got as far as a lease. */
    bool has_key;
    uint8_t key[LEDGER_KEY_BYTES];
};

const char *ledger_rows_outcome_name(enum ledger_outcome outcome)
{
    static const char *const names[] = {[LEDGER_NOT_SENT] = "not_sent",
                                        [LEDGER_SENT_NO_ANSWER] = "sent_no_answer",
                                        [LEDGER_ANSWERED] = "answered"};
    return names[outcome];
}

static void add_text(struct buffer *row, const char *text)
{
    buffer_add_counted(row, text != NULL ? text : "");
}

static void put(struct ledger *ledger, struct db_batch *batch, enum ledger_family family,
                const char *id, const struct buffer *row)
{
    db_batch_put(batch, ledger_db(ledger), family, id, strlen(id), row->bytes, row->size);
}

static STATUS put_submission(struct ledger *ledger, struct db_batch *batch,
                             const struct ledger_submission *submission,
                             const struct ledger_end *end)
{
    struct buffer row OWNED(buffer_free) = BUFFER(ROW_BYTES_MAX);

    buffer_add_u8(&row, ROW_VERSION);
    buffer_add_u8(&row, end == NULL ? SUBMISSION_OPEN : SUBMISSION_ENDED);
    buffer_add_u64(&row, (uint64_t)submission->created_ms);
    buffer_add_u64(&row, end == NULL ? 0 : (uint64_t)clock_now_ms());
    buffer_add_u16(&row, end == NULL ? 0 : (uint16_t)end->status);
    add_text(&row, end == NULL ? "" : ledger_rows_outcome_name(end->outcome));
    add_text(&row, end == NULL ? "" : end->code);
    buffer_add_u64(&row, end == NULL ? 0 : (uint64_t)end->duration_us);
    add_text(&row, submission->principal);
    add_text(&row, submission->tenant);
    add_text(&row, submission->destination);
    add_text(&row, submission->purpose);
    add_text(&row, submission->on_behalf_of);
    add_text(&row, submission->method);
    add_text(&row, submission->request_id);
    add_text(&row, submission->origin);
    add_text(&row, submission->rule);
    add_text(&row, submission->lease_id);
    buffer_add_u16(&row, (uint16_t)submission->token_count);
    for (unsigned i = 0; i < submission->token_count; i++)
        add_text(&row, submission->tokens[i]);
    TRY(buffer_status(&row));
    put(ledger, batch, LEDGER_SUBMISSIONS, submission->id, &row);
    return STATUS_OK;
}

static STATUS put_open(struct ledger *ledger, struct db_batch *batch,
                       const struct ledger_submission *submission)
{
    struct buffer row OWNED(buffer_free) = BUFFER(ROW_BYTES_MAX);

    buffer_add_u8(&row, OPEN_VERSION);
    buffer_add_u64(&row, (uint64_t)submission->created_ms);
    add_text(&row, submission->principal);
    add_text(&row, submission->tenant);
    add_text(&row, submission->destination);
    buffer_add_u8(&row, submission->token_count > 0 ? 1 : 0);
    buffer_add_u8(&row, submission->has_key ? 1 : 0);
    if (submission->has_key)
        buffer_add(&row, submission->key, sizeof submission->key);
    TRY(buffer_status(&row));
    put(ledger, batch, LEDGER_OPEN, submission->id, &row);
    return STATUS_OK;
}

static STATUS open_decode(const uint8_t *bytes, size_t size, struct open_row *out)
{
    struct cursor cursor = cursor_over(bytes, size);
    uint8_t version = cursor_u8(&cursor);

    cursor_u64(&cursor);
    cursor_text(&cursor, out->actor, sizeof out->actor);
    cursor_text(&cursor, out->tenant, sizeof out->tenant);
    cursor_text(&cursor, out->destination, sizeof out->destination);
    out->leases = cursor_u8(&cursor) == 1;
    out->has_key = cursor_u8(&cursor) == 1;
    if (out->has_key) {
        const uint8_t *key = cursor_bytes(&cursor, sizeof out->key);
        ENSURE(key != NULL, WHY_FORGED);
        memcpy(out->key, key, sizeof out->key);
    }
    ENSURE(version == OPEN_VERSION && cursor_done(&cursor), WHY_FORGED);
    return STATUS_OK;
}

static STATUS put_key(struct ledger *ledger, struct db_batch *batch,
                      const struct ledger_submission *submission, enum key_state state,
                      const struct buffer *answer)
{
    struct buffer row OWNED(buffer_free) = BUFFER(ROW_BYTES_MAX + LEDGER_ANSWER_BYTES_MAX);

    if (!submission->has_key)
        return STATUS_OK;
    buffer_add_u8(&row, ROW_VERSION);
    buffer_add_u8(&row, (uint8_t)state);
    buffer_add_u64(&row, (uint64_t)submission->created_ms);
    buffer_add_u64(&row, (uint64_t)(submission->created_ms + submission->window_ms));
    buffer_add(&row, submission->digest, sizeof submission->digest);
    buffer_add_counted(&row, submission->id);
    if (answer != NULL)
        buffer_add(&row, answer->bytes, answer->size);
    TRY(buffer_status(&row));
    db_batch_put(batch, ledger_db(ledger), LEDGER_KEYS, submission->key, sizeof submission->key,
                 row.bytes, row.size);
    return STATUS_OK;
}

static STATUS key_decode(const struct buffer *row, struct key_row *out)
{
    struct cursor cursor = cursor_over(row->bytes, row->size);
    uint8_t version = cursor_u8(&cursor);

    out->state = cursor_u8(&cursor);
    cursor_u64(&cursor);
    out->expires_ms = (int64_t)cursor_u64(&cursor);
    const uint8_t *digest = cursor_bytes(&cursor, sizeof out->digest);
    ENSURE(digest != NULL, WHY_FORGED);
    memcpy(out->digest, digest, sizeof out->digest);
    cursor_text(&cursor, out->submission_id, sizeof out->submission_id);
    ENSURE(!cursor.bad && version == ROW_VERSION, WHY_FORGED);
    ENSURE(out->state >= KEY_OPEN && out->state <= KEY_LOST, WHY_FORGED);
    out->answer = row->bytes + cursor.at;
    out->answer_size = row->size - cursor.at;
    return STATUS_OK;
}

/* The entry of a submission; its tokens are its items. */
static STATUS audit(struct ledger *ledger, struct db_batch *batch,
                    const struct ledger_submission *submission, const char *event,
                    const char *outcome)
{
    struct audit_item items[LEDGER_TOKENS_MAX];

    for (unsigned i = 0; i < submission->token_count; i++)
        items[i] = (struct audit_item){.object = submission->tokens[i], .outcome = outcome};
    struct audit_entry entry = {.actor = submission->principal,
                                .on_behalf_of = submission->on_behalf_of,
                                .origin = submission->origin,
                                .event = event,
                                .outcome = outcome,
                                .object = submission->id,
                                .tenant = submission->tenant,
                                .purpose = submission->purpose,
                                .destination = submission->destination,
                                .bundle = submission->bundle,
                                .rule = submission->rule,
                                .decision = "allow",
                                .request_id = submission->request_id,
                                .items = items,
                                .item_count = submission->token_count};
    return ledger_audit(ledger, batch, &entry);
}

/* What a key's row means for a request of this digest. */
static enum ledger_found key_judge(const struct key_row *row,
                                   const struct ledger_submission *submission)
{
    if (row->expires_ms <= submission->created_ms)
        return LEDGER_FOUND_NOTHING;
    if (memcmp(row->digest, submission->digest, sizeof row->digest) != 0)
        return LEDGER_FOUND_OTHER;
    switch ((enum key_state)row->state) {
    case KEY_ANSWERED:
        return LEDGER_FOUND_ANSWER;
    case KEY_NOT_SENT:
        return LEDGER_FOUND_NOTHING; /* Nothing left the relay: it may be tried again. */
    case KEY_LOST:
        return LEDGER_FOUND_LOST;
    case KEY_OPEN: /* The loop holds those under way apart; so this one was cut off. */
    case KEY_IN_DOUBT:
    default:
        return LEDGER_FOUND_IN_DOUBT;
    }
}

static STATUS key_find(struct ledger *ledger, struct ledger_intent *intent)
{
    const struct ledger_submission *submission = intent->submission;
    struct buffer bytes OWNED(buffer_free) = BUFFER(ROW_BYTES_MAX + LEDGER_ANSWER_BYTES_MAX);
    struct key_row row;

    intent->found = LEDGER_FOUND_NOTHING;
    if (!submission->has_key)
        return STATUS_OK;
    struct status status =
        db_get(ledger_db(ledger), LEDGER_KEYS, submission->key, sizeof submission->key, &bytes);
    if (status.why == WHY_NOT_FOUND)
        return STATUS_OK;
    TRY(status);
    TRY(key_decode(&bytes, &row));
    intent->found = key_judge(&row, submission);
    memcpy(intent->first_id, row.submission_id, sizeof intent->first_id);
    if (intent->found == LEDGER_FOUND_ANSWER)
        buffer_add(&intent->answer, row.answer, row.answer_size);
    return buffer_status(&intent->answer);
}

/* When the rows of an attempt may go. */
static void put_times(struct ledger *ledger, struct db_batch *batch,
                      const struct ledger_submission *submission)
{
    const struct ledger_sweep_row row = {
        .family = LEDGER_SUBMISSIONS, .key = submission->id, .key_size = strlen(submission->id)};
    const struct ledger_sweep_row key = {
        .family = LEDGER_KEYS, .key = submission->key, .key_size = sizeof submission->key};

    ledger_sweep_put(ledger, batch, submission->created_ms + submission->kept_ms, &row);
    if (submission->has_key)
        ledger_sweep_put(ledger, batch, submission->created_ms + submission->window_ms, &key);
}

STATUS ledger_rows_time(const struct buffer *row, enum ledger_family family, bool *out_open,
                        int64_t *out_holds_until_ms)
{
    struct key_row key;

    *out_holds_until_ms = 0;
    if (family == LEDGER_KEYS) {
        TRY(key_decode(row, &key));
        *out_open = key.state == KEY_OPEN;
        *out_holds_until_ms = key.expires_ms;
        return STATUS_OK;
    }
    ENSURE(row->size > ROW_STATE_AT && row->bytes[0] == ROW_VERSION, WHY_FORGED);
    *out_open = row->bytes[ROW_STATE_AT] == SUBMISSION_OPEN;
    return STATUS_OK;
}

STATUS ledger_rows_intent_apply(struct ledger_op *op, struct ledger *ledger, struct db_batch *batch)
{
    static const char *const outcomes[] = {[LEDGER_FOUND_NOTHING] = "ok",
                                           [LEDGER_FOUND_ANSWER] = "replayed",
                                           [LEDGER_FOUND_OTHER] = "idempotency_conflict",
                                           [LEDGER_FOUND_IN_DOUBT] = "in_doubt",
                                           [LEDGER_FOUND_LOST] = "state_conflict"};
    struct ledger_intent *intent = (struct ledger_intent *)op;
    const struct ledger_submission *submission = intent->submission;

    intent->answer = BUFFER(LEDGER_ANSWER_BYTES_MAX);
    TRY(key_find(ledger, intent));
    TRY(audit(ledger, batch, submission, "card.submit", outcomes[intent->found]));
    if (intent->found != LEDGER_FOUND_NOTHING)
        return STATUS_OK;
    TRY(put_submission(ledger, batch, submission, NULL));
    TRY(put_open(ledger, batch, submission));
    TRY(ledger_note_intent(ledger, submission->id));
    TRY(put_key(ledger, batch, submission, KEY_OPEN, NULL));
    put_times(ledger, batch, submission);
    return STATUS_OK;
}

/* version u8 | outcome u8 */
static STATUS put_settlement(struct ledger *ledger, struct db_batch *batch, const char *id,
                             enum ledger_outcome outcome)
{
    struct buffer row OWNED(buffer_free) = BUFFER(ROW_BYTES_MAX);

    buffer_add_u8(&row, SETTLEMENT_VERSION);
    buffer_add_u8(&row, (uint8_t)outcome);
    TRY(buffer_status(&row));
    put(ledger, batch, LEDGER_SETTLEMENTS, id, &row);
    return STATUS_OK;
}

static enum key_state key_state_after(const struct ledger_end *end)
{
    if (end->outcome == LEDGER_NOT_SENT)
        return KEY_NOT_SENT;
    if (end->outcome == LEDGER_SENT_NO_ANSWER)
        return KEY_IN_DOUBT;
    return end->answer != NULL ? KEY_ANSWERED : KEY_LOST;
}

STATUS ledger_rows_end_apply(struct ledger_op *op, struct ledger *ledger, struct db_batch *batch)
{
    const struct ledger_end *end = (struct ledger_end *)op;
    const struct ledger_submission *submission = end->submission;

    TRY(put_submission(ledger, batch, submission, end));
    db_batch_delete(batch, ledger_db(ledger), LEDGER_OPEN, submission->id, strlen(submission->id));
    TRY(put_key(ledger, batch, submission, key_state_after(end), end->answer));
    if (end->settles)
        TRY(put_settlement(ledger, batch, submission->id, end->outcome));
    const char *outcome =
        strcmp(end->code, "ok") == 0 ? ledger_rows_outcome_name(end->outcome) : end->code;
    return audit(ledger, batch, submission, "card.outcome", outcome);
}

STATUS ledger_rows_settled_apply(struct ledger_op *op, struct ledger *ledger,
                                 struct db_batch *batch)
{
    const struct ledger_settled *settled = (struct ledger_settled *)op;

    for (unsigned i = 0; i < settled->count; i++)
        db_batch_delete(batch, ledger_db(ledger), LEDGER_SETTLEMENTS, settled->ids[i],
                        strlen(settled->ids[i]));
    return STATUS_OK;
}

STATUS ledger_rows_entry_apply(struct ledger_op *op, struct ledger *ledger, struct db_batch *batch)
{
    return ledger_audit(ledger, batch, &((struct ledger_entry *)op)->entry);
}

STATUS ledger_rows_settlements(struct ledger *ledger, ledger_settlement_fn each, void *owner)
{
    OWNED(db_iterator_free) struct db_iterator *at = NULL;
    TRY(db_iterate(ledger_db(ledger), LEDGER_SETTLEMENTS, NULL, 0, &at));
    for (; db_iterator_valid(at); db_iterator_next(at)) {
        size_t key_size = 0;
        size_t size = 0;
        const uint8_t *key = db_iterator_key(at, &key_size);
        const uint8_t *value = db_iterator_value(at, &size);
        char id[LEDGER_ID_MAX] = "";
        struct cursor cursor = cursor_over(value, size);
        uint8_t version = cursor_u8(&cursor);
        uint8_t outcome = cursor_u8(&cursor);
        ENSURE(version == SETTLEMENT_VERSION && cursor_done(&cursor), WHY_FORGED);
        ENSURE(outcome <= LEDGER_ANSWERED && key_size < sizeof id, WHY_FORGED);
        memcpy(id, key, key_size);
        each(owner, id, (enum ledger_outcome)outcome);
    }
    return db_iterator_status(at);
}

/* Changes the state, in place, of a submission's row. */
static STATUS patch_submission(struct ledger *ledger, struct db_batch *batch, const char *id,
                               enum submission_state state)
{
    struct buffer row OWNED(buffer_free) = BUFFER(ROW_BYTES_MAX);
    uint64_t now = (uint64_t)clock_now_ms();

    TRY(db_get(ledger_db(ledger), LEDGER_SUBMISSIONS, id, strlen(id), &row));
    ENSURE(row.size > SUBMISSION_ENDED_AT + 8 && row.bytes[0] == ROW_VERSION, WHY_FORGED);
    row.bytes[ROW_STATE_AT] = (uint8_t)state;
    for (unsigned i = 0; i < 8; i++)
        row.bytes[SUBMISSION_ENDED_AT + i] = (uint8_t)(now >> (56 - 8 * i));
    put(ledger, batch, LEDGER_SUBMISSIONS, id, &row);
    return STATUS_OK;
}

/* The same with the row of its idempotency key, if that is still its own: one whose outcome could
 * not be recorded stays open beyond the key's window; then another may have used the key, and
 * even have had its time. */
static STATUS patch_key(struct ledger *ledger, struct db_batch *batch, const char *id,
                        const struct open_row *open, enum key_state state)
{
    struct buffer row OWNED(buffer_free) = BUFFER(ROW_BYTES_MAX + LEDGER_ANSWER_BYTES_MAX);
    struct key_row key;

    if (!open->has_key)
        return STATUS_OK;
    struct status status =
        db_get(ledger_db(ledger), LEDGER_KEYS, open->key, sizeof open->key, &row);
    if (status.why == WHY_NOT_FOUND)
        return STATUS_OK;
    TRY(status);
    TRY(key_decode(&row, &key));
    if (strcmp(key.submission_id, id) != 0)
        return STATUS_OK;
    row.bytes[ROW_STATE_AT] = (uint8_t)state;
    db_batch_put(batch, ledger_db(ledger), LEDGER_KEYS, open->key, sizeof open->key, row.bytes,
                 row.size);
    return STATUS_OK;
}

static STATUS recover_one(struct ledger *ledger, struct db_batch *batch, const char *id,
                          const struct open_row *open)
{
    TRY(patch_submission(ledger, batch, id, SUBMISSION_IN_DOUBT));
    TRY(patch_key(ledger, batch, id, open, KEY_IN_DOUBT));
    /* Whether bytes left is not known; so the CVV must not be used for anything else. */
    if (open->leases)
        TRY(put_settlement(ledger, batch, id, LEDGER_SENT_NO_ANSWER));
    db_batch_delete(batch, ledger_db(ledger), LEDGER_OPEN, id, strlen(id));
    struct audit_entry entry = {.actor = open->actor,
                                .origin = "relay",
                                .event = "card.outcome",
                                .outcome = "in_doubt",
                                .object = id,
                                .tenant = open->tenant,
                                .destination = open->destination,
                                .detail = "The relay ended while this was under way."};
    return ledger_audit(ledger, batch, &entry);
}

STATUS ledger_rows_withdraw(struct ledger *ledger, struct db_batch *batch, const char *id)
{
    struct buffer row OWNED(buffer_free) = BUFFER(ROW_BYTES_MAX);
    struct open_row open = {0};

    struct status status = db_get(ledger_db(ledger), LEDGER_OPEN, id, strlen(id), &row);
    if (status.why == WHY_NOT_FOUND)
        return STATUS_OK;
    TRY(status);
    TRY(open_decode(row.bytes, row.size, &open));
    TRY(patch_submission(ledger, batch, id, SUBMISSION_ENDED));
    TRY(patch_key(ledger, batch, id, &open, KEY_NOT_SENT));
    db_batch_delete(batch, ledger_db(ledger), LEDGER_OPEN, id, strlen(id));
    struct audit_entry entry = {.actor = open.actor,
                                .origin = "relay",
                                .event = "card.outcome",
                                .outcome = "store_unavailable",
                                .object = id,
                                .tenant = open.tenant,
                                .destination = open.destination,
                                .detail = "It was refused as the store failed; nothing was sent."};
    return ledger_audit(ledger, batch, &entry);
}

STATUS ledger_rows_recover(struct ledger *ledger, struct db_batch *batch, unsigned most,
                           bool *out_more)
{
    OWNED(db_iterator_free) struct db_iterator *at = NULL;
    unsigned count = 0;

    TRY(db_iterate(ledger_db(ledger), LEDGER_OPEN, NULL, 0, &at));
    for (; db_iterator_valid(at) && count < most; db_iterator_next(at), count++) {
        size_t key_size = 0;
        size_t size = 0;
        char id[LEDGER_ID_MAX] = "";
        struct open_row open = {0};
        const uint8_t *key = db_iterator_key(at, &key_size);
        const uint8_t *value = db_iterator_value(at, &size);
        ENSURE(key_size < sizeof id, WHY_FORGED);
        memcpy(id, key, key_size);
        TRY(open_decode(value, size, &open));
        TRY(recover_one(ledger, batch, id, &open));
    }
    TRY(db_iterator_status(at));
    *out_more = db_iterator_valid(at);
    return STATUS_OK;
}
