/* SPDX-License-Identifier: Apache-2.0 */
/* GET /v1/tokens/{token}: the masked view.  The card itself stays sealed. */
#include "base/own.h"
#include "keys/envelope.h"
#include "vault/steps.h"

STATUS show_run(struct keeper_op *op, struct cursor *in)
{
    struct buffer plain OWNED(buffer_free) = BUFFER(ENVELOPE_PLAIN_BYTES_MAX + 64);
    struct store_record record;
    struct found found;
    struct view view;

    cursor_text(in, op->object, sizeof op->object);
    ENSURE(cursor_done(in), WHY_BAD_INPUT);
    TRY(find_token(op, op->tenant, op->object, &found, &op->problem));
    TRY(find_shown(op, op->tenant, op->object, &found, &plain, &view, &record, &op->problem));
    if (keeper_may(op, POLICY_CARD_MATCH)) {
        struct store_same_card same;
        TRY(store_get_same_card(&op->keeper->store, found.token.fingerprint, &same));
        tokenize_card_id(&same, view.card_id);
    }
    struct audit_entry entry = {
        .object = op->object, .key_id = view.key_id, .key_version = view.key_version};
    TRY(keeper_record(op, &entry));
    struct buffer *out = keeper_answer(op, MESSAGE_VIEW);
    buffer_add_u8(out, 0);
    view_encode(&view, out);
    return keeper_answer_end(op);
}
