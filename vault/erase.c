/* SPDX-License-Identifier: Apache-2.0 */
/* DELETE /v1/tokens/{token}, and what every other way of erasing a token has in common with it. */
#include "vault/erase.h"

#include <string.h>

#include "vault/steps.h"
#include "vault/store_expiry.h"

const char *erase_is_mark(const void *key, size_t key_size)
{
    static const char *const marks[] = {ERASE_MARK_RECORDS, ERASE_MARK_UNPURGED, ERASE_MARK_PURGED,
                                        ERASE_MARK_REVIEW};

    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++)
        if (strlen(marks[i]) == key_size && memcmp(marks[i], key, key_size) == 0)
            return marks[i];
    return NULL;
}

/* The same-card row goes with the card's last token.  Before that it forgets the record, and keeps
 * the card's id for the others. */
static STATUS erase_unlink(struct keeper *keeper, const struct store_token *token)
{
    struct store *store = &keeper->store;
    struct store_same_card same;
    struct status status = store_get_same_card(store, token->fingerprint, &same);

    if (status.why == WHY_NOT_FOUND)
        return STATUS_OK;
    TRY(status);
    if (same.token_count != STORE_COUNT_UNKNOWN) {
        ENSURE(same.token_count > 0, WHY_FORGED);
        same.token_count--;
    }
    if (same.token_count == 0)
        return store_delete_same_card(store, keeper->batch, token->fingerprint);
    if (same.record_id == token->record_id)
        same.record_id = 0;
    return store_put_same_card(store, keeper->batch, token->fingerprint, &same);
}

STATUS erase_token(struct keeper *keeper, const uint8_t key[static STORE_KEY_BYTES],
                   const struct store_token *token, int64_t now_ms)
{
    struct store *store = &keeper->store;
    struct store_token stone = {.state = STORE_TOKEN_ERASED};

    ENSURE(token->state != STORE_TOKEN_ERASED, WHY_CONFLICT);
    if (token->expires_ms != 0 && token->expires_ms <= now_ms)
        stone.expires_ms = token->expires_ms;
    TRY(erase_unlink(keeper, token));
    TRY(store_delete_record(store, keeper->batch, token->record_id));
    store_expiry_delete(store, keeper->batch, token->due_ms, key);
    return store_put_token(store, keeper->batch, key, &stone);
}

STATUS erase_note(struct keeper *keeper, int64_t now_ms)
{
    struct store *store = &keeper->store;
    uint64_t since_ms = 0;

    keeper->erased_ms = now_ms;
    /* A record's number is not given twice: kept answers name records by it. */
    TRY(store_put_mark(store, keeper->batch, ERASE_MARK_RECORDS, keeper->next_record));
    struct status status = store_get_mark(store, ERASE_MARK_UNPURGED, &since_ms);
    if (status.why != WHY_NOT_FOUND)
        TRY(status);
    if (since_ms != 0)
        return STATUS_OK;
    return store_put_mark(store, keeper->batch, ERASE_MARK_UNPURGED, (uint64_t)now_ms);
}

STATUS erase_run(struct keeper_op *op, struct cursor *in)
{
    struct found found;

    cursor_text(in, op->object, sizeof op->object);
    ENSURE(cursor_done(in), WHY_BAD_INPUT);
    struct status status = find_token(op, op->tenant, op->object, &found, &op->problem);
    bool is_there = !failed(status) || op->problem.code == PROBLEM_EXPIRED;
    if (!is_there || found.token.state == STORE_TOKEN_ERASED)
        return status;
    op->problem = PROBLEM_NOTHING; /* An expired token can still be erased. */
    TRY(erase_token(op->keeper, found.key, &found.token, op->now_ms));
    TRY(erase_note(op->keeper, op->now_ms));
    struct audit_entry entry = {.object = op->object};
    TRY(keeper_record(op, &entry));
    (void)keeper_answer(op, MESSAGE_EMPTY);
    return keeper_answer_end(op);
}
