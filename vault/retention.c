/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/retention.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/own.h"
#include "vault/erase.h"
#include "vault/steps.h"

#define OBJECT_BYTES_MAX (CONTRACT_TOKEN_MAX + 1)

/* What went in one call, for its entry. */
struct swept {
    struct audit_item items[STORE_EXPIRY_DUE_MAX];
    char objects[STORE_EXPIRY_DUE_MAX][OBJECT_BYTES_MAX];
    unsigned count;
};

int64_t retention_due_ms(const struct policy_tenant *tenant, int64_t created_ms, int64_t expires_ms)
{
    assert(tenant->retention_ms > 0);
    int64_t due_ms = created_ms + tenant->retention_ms;

    return expires_ms != 0 && expires_ms < due_ms ? expires_ms : due_ms;
}

STATUS retention_move(struct keeper *keeper, const uint8_t key[static STORE_KEY_BYTES],
                      struct store_token *token, int64_t due_ms)
{
    struct store *store = &keeper->store;

    store_expiry_delete(store, keeper->batch, token->due_ms, key);
    token->due_ms = due_ms;
    store_expiry_put(store, keeper->batch, due_ms, key);
    return store_put_token(store, keeper->batch, key, token);
}

STATUS retention_tenant(struct keeper *keeper, uint64_t record_id,
                        const struct policy_tenant **out_tenant)
{
    struct store_record record;
    struct key_info info;
    uint64_t key_id = 0;

    TRY(store_get_record(&keeper->store, record_id, &record));
    TRY(envelope_key_id(record.view, record.view_size, &key_id));
    ENSURE(key_id > 0 && keyring_info_at(keeper->ring, (unsigned)(key_id - 1), &info), WHY_FORGED);
    *out_tenant = policy_tenant(keeper->policy, info.tenant);
    return *out_tenant == NULL ? FAIL(WHY_NOT_FOUND) : STATUS_OK;
}

/* When it is really due, by today's word of its tenant; and what its entry calls it.  What cannot
 * be read any more, for want of its key or its tenant, is due when it was said to be. */
static STATUS sweep_look(struct keeper *keeper, const struct store_token *token, int64_t *out_due,
                         char object[static OBJECT_BYTES_MAX])
{
    struct buffer plain OWNED(buffer_free) = BUFFER(ENVELOPE_PLAIN_BYTES_MAX + 64);
    const struct policy_tenant *tenant = NULL;
    struct view view;

    *out_due = token->due_ms;
    (void)snprintf(object, OBJECT_BYTES_MAX, "record %" PRIu64, token->record_id);
    struct status status = retention_tenant(keeper, token->record_id, &tenant);
    if (!failed(status))
        status = find_view(keeper, tenant, token->record_id, &plain, &view);
    if (status.why == WHY_NOT_FOUND || status.why == WHY_DENIED || status.why == WHY_FORGED)
        return STATUS_OK;
    TRY(status);
    (void)snprintf(object, OBJECT_BYTES_MAX, "%s", view.token);
    *out_due = retention_due_ms(tenant, view.created_ms, view.expires_ms);
    return STATUS_OK;
}

static STATUS sweep_one(struct keeper *keeper, const struct store_expiry_due *due, int64_t now_ms,
                        struct swept *swept)
{
    struct store *store = &keeper->store;
    char *object = swept->objects[swept->count];
    struct store_token token;
    int64_t due_ms = 0;
    struct status status = store_get_token(store, due->key, &token);

    if (status.why == WHY_NOT_FOUND || (!failed(status) && token.due_ms != due->due_ms)) {
        store_expiry_delete(store, keeper->batch, due->due_ms, due->key);
        return STATUS_OK;
    }
    TRY(status);
    TRY(sweep_look(keeper, &token, &due_ms, object));
    if (due_ms > now_ms)
        return retention_move(keeper, due->key, &token, due_ms);
    TRY(erase_token(keeper, due->key, &token, now_ms));
    swept->items[swept->count++] = (struct audit_item){.object = object, .outcome = "erased"};
    return STATUS_OK;
}

STATUS retention_sweep(struct keeper *keeper, int64_t now_ms, bool *out_more)
{
    static struct store_expiry_due due[STORE_EXPIRY_DUE_MAX];
    static struct swept swept;
    struct keeper_mark start = keeper_mark(keeper);
    unsigned count = 0;
    unsigned stay = 0;

    *out_more = false;
    swept.count = 0;
    TRY(store_expiry_find(&keeper->store, now_ms, due, STORE_EXPIRY_DUE_MAX, &count));
    for (unsigned i = 0; i < count; i++) {
        struct keeper_mark mark = keeper_mark(keeper);
        struct status status = sweep_one(keeper, &due[i], now_ms, &swept);
        if (!failed(status))
            continue;
        /* One that does not go must not keep the others; the report counts it. */
        keeper_rewind(keeper, &mark, now_ms);
        log_failure(LOG_ERROR, "expired_card_stays", status, NULL);
        stay++;
    }
    *out_more = count == STORE_EXPIRY_DUE_MAX && stay == 0;
    if (swept.count == 0)
        return STATUS_OK;
    struct audit_entry entry = {
        .event = "card.expire",
        .items = swept.items,
        .item_count = swept.count,
        .count = swept.count,
    };
    struct status status = erase_note(keeper, now_ms);
    if (!failed(status))
        status = keeper_record_own(keeper, &entry, now_ms);
    if (failed(status))
        keeper_rewind(keeper, &start, now_ms);
    return status;
}
