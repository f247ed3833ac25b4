/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/vault_epoch.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/own.h"
#include "policies/epoch.h"
#include "vault/contract.h"

static const char row_key[] = "vault_epoch";
#define ROW_KEY_BYTES (sizeof row_key - 1)

struct vault_epoch {
    struct ledger_op op; /* First, so that an op pointer is this.  One at a time is out. */
    struct ledger *ledger;
    uint32_t known;
    bool is_out;

    /* Handed to the writer with the op. */
    uint32_t heard;
    char detail[EPOCH_ENTRY_BYTES_MAX];
};

static_assert(offsetof(struct vault_epoch, op) == 0, "an op pointer is a vault_epoch");

static STATUS heard_apply(struct ledger_op *op, struct ledger *ledger, struct db_batch *batch)
{
    struct vault_epoch *epoch = (struct vault_epoch *)op;
    struct buffer row OWNED(buffer_free) = BUFFER(8);
    char object[32];
    struct audit_entry entry = {.actor = "relay",
                                .origin = "vault",
                                .event = "vault.rolled_back",
                                .outcome = "ok",
                                .object = object,
                                .detail = epoch->detail[0] == '\0' ? NULL : epoch->detail};

    snprintf(object, sizeof object, "epoch/%u", (unsigned)epoch->heard);
    buffer_add_u64(&row, epoch->heard);
    TRY(buffer_status(&row));
    db_batch_put(batch, ledger_db(ledger), LEDGER_META, row_key, ROW_KEY_BYTES, row.bytes,
                 row.size);
    return ledger_audit(ledger, batch, &entry);
}

static void heard_done(struct ledger_op *op)
{
    struct vault_epoch *epoch = (struct vault_epoch *)op;

    epoch->is_out = false;
    if (failed(op->status)) {
        log_failure(LOG_ERROR, "entry_not_recorded", op->status, NULL);
        return; /* The next answer says it again. */
    }
    epoch->known = epoch->heard;
    log_event(LOG_WARN, "vault_rolled_back", "detail", epoch->detail, NULL);
}

/* "N from … to …": a number, a space, and what the entry repeats. */
static uint32_t header_read(const struct client_answer *answer, const char **out_detail)
{
    char name[32];

    *out_detail = "";
    for (unsigned i = 0; i < answer->header_count; i++) {
        if (strcmp(answer->headers[i].name, CONTRACT_HEADER_EPOCH) != 0)
            continue;
        const char *value = answer->headers[i].value;
        size_t digits = strspn(value, "0123456789");
        int length =
            snprintf(name, sizeof name, "epoch/%.*s", (int)(digits < 9 ? digits : 9), value);
        if (length <= 0 || digits > 9)
            return 0;
        *out_detail = value[digits] == ' ' ? value + digits + 1 : "";
        return epoch_of("epoch", name);
    }
    /* A problem may come from before the vault knows; a good answer never. */
    return answer->status == 200 ? 1 : 0;
}

void vault_epoch_hear(struct vault_epoch *epoch, const struct client_answer *answer)
{
    const char *detail = "";

    if (answer->result != CLIENT_ANSWERED || epoch->is_out)
        return;
    uint32_t heard = header_read(answer, &detail);
    if (heard == 0 || heard == epoch->known)
        return;
    epoch->heard = heard;
    snprintf(epoch->detail, sizeof epoch->detail, "%s", detail);
    epoch->op.apply = heard_apply;
    epoch->op.done = heard_done;
    epoch->is_out = !failed(ledger_submit(epoch->ledger, &epoch->op));
}

uint32_t vault_epoch_known(const struct vault_epoch *epoch)
{
    return epoch->known;
}

STATUS vault_epoch_new(struct ledger *ledger, struct vault_epoch **out_epoch)
{
    struct buffer row OWNED(buffer_free) = BUFFER(8);
    OWNED(vault_epoch_free) struct vault_epoch *epoch = calloc(1, sizeof *epoch);

    ENSURE(epoch != NULL, WHY_NO_MEMORY);
    epoch->ledger = ledger;
    epoch->known = 1;
    struct status status = db_get(ledger_db(ledger), LEDGER_META, row_key, ROW_KEY_BYTES, &row);
    if (!failed(status)) {
        struct cursor in = cursor_over(row.bytes, row.size);
        epoch->known = (uint32_t)cursor_u64(&in);
        ENSURE(cursor_done(&in), WHY_FORGED);
    } else if (status.why != WHY_NOT_FOUND)
        return status;
    *out_epoch = MOVE(epoch);
    return STATUS_OK;
}

void vault_epoch_free(struct vault_epoch **epoch)
{
    if (*epoch == NULL)
        return;
    assert(!(*epoch)->is_out);
    free(*epoch);
    *epoch = NULL;
}
