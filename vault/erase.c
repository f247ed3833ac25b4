/* SPDX-License-Identifier: Apache-2.0 */
/* DELETE /v1/tokens/{token}: the record goes; the token's keyed hash stays, so that its value is
 * never issued again (TOK-13). */
#include <string.h>

#include "vault/steps.h"

/* The same-card row forgets the record, and keeps the card's id for other tokens of the card. */
static STATUS erase_unlink(struct keeper_op *op, const struct store_token *token)
{
    struct store *store = &op->keeper->store;
    struct store_same_card same;
    struct status status = store_get_same_card(store, token->fingerprint, &same);

    if (status.why == WHY_NOT_FOUND)
        return STATUS_OK;
    TRY(status);
    if (same.record_id != token->record_id)
        return STATUS_OK;
    same.record_id = 0;
    return store_put_same_card(store, op->keeper->batch, token->fingerprint, &same);
}

STATUS erase_run(struct keeper_op *op, struct cursor *in)
{
    struct store *store = &op->keeper->store;
    struct found found;

    cursor_text(in, op->object, sizeof op->object);
    ENSURE(cursor_done(in), WHY_BAD_INPUT);
    struct status status = find_token(op, op->tenant, op->object, &found, &op->problem);
    if (failed(status) && op->problem.code != PROBLEM_EXPIRED)
        return status;
    op->problem = PROBLEM_NOTHING; /* An expired token can still be erased. */
    TRY(erase_unlink(op, &found.token));
    TRY(store_delete_record(store, op->keeper->batch, found.token.record_id));
    struct store_token stone = {.state = STORE_TOKEN_ERASED};
    TRY(store_put_token(store, op->keeper->batch, found.key, &stone));
    struct audit_entry entry = {.object = op->object};
    TRY(keeper_record(op, &entry));
    (void)keeper_answer(op, MESSAGE_EMPTY);
    return keeper_answer_end(op);
}
