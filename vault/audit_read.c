/* SPDX-License-Identifier: Apache-2.0 */
/* GET /v1/audit/checkpoint and /v1/audit/entries: for auditors, and an entry itself (LOG-3). */
#include "base/own.h"
#include "policies/audit_page.h"
#include "vault/steps.h"

static STATUS audit_read_answer(struct keeper_op *op, const char *object, const char *content_type,
                                const struct buffer *body)
{
    struct audit_entry entry = {.object = object};

    TRY(buffer_status(body));
    TRY(keeper_record(op, &entry));
    struct buffer *out = keeper_answer(op, MESSAGE_TEXT);
    buffer_add_u16(out, 200);
    buffer_add_counted(out, content_type);
    buffer_add(out, body->bytes, body->size);
    return keeper_answer_end(op);
}

STATUS audit_read_head(struct keeper_op *op, struct cursor *in)
{
    struct buffer note OWNED(buffer_free) = BUFFER(NOTE_BYTES_MAX);

    ENSURE(cursor_done(in), WHY_BAD_INPUT);
    TRY(audit_log_last_checkpoint(op->keeper->log, &note));
    return audit_read_answer(op, "checkpoint", "text/plain; charset=utf-8", &note);
}

STATUS audit_read_entries(struct keeper_op *op, struct cursor *in)
{
    struct buffer page OWNED(buffer_free) = BUFFER(AUDIT_PAGE_BYTES_MAX);
    static const struct audit_families families = {
        .entries = STORE_AUDIT_ENTRIES,
        .checkpoints = STORE_AUDIT_CHECKPOINTS,
        .state = STORE_AUDIT_STATE,
    };
    uint64_t start = cursor_u64(in);
    uint32_t limit = cursor_u32(in);

    ENSURE(cursor_done(in) && limit >= 1 && limit <= CONTRACT_AUDIT_ENTRIES_MAX, WHY_BAD_INPUT);
    TRY(audit_page_write(op->keeper->log, op->keeper->db, &families, start, limit, &page));
    return audit_read_answer(op, "entries", "application/json", &page);
}
