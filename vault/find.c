/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <string.h>

#include "keys/envelope.h"
#include "vault/steps.h"
#include "vault/token_key.h"

struct envelope_place find_place(const char *tenant, const char *purpose, uint64_t record_id)
{
    struct envelope_place place = {.tenant = tenant, .purpose = purpose};

    for (unsigned i = 0; i < 8; i++)
        place.object[i] = (uint8_t)(record_id >> (56 - 8 * i));
    return place;
}

static STATUS find_refuse(struct problem *out_problem, enum problem_code code)
{
    problem_set(out_problem, code, NULL, NULL);
    return FAIL(WHY_NOT_FOUND);
}

/* A token of another tenant hashes to another key: it is not found by the same look-up that does
 * not find one that never was (TOK-6). */
STATUS find_token(struct keeper_op *op, const struct policy_tenant *tenant, const char *text,
                  struct found *out_found, struct problem *out_problem)
{
    struct store *store = &op->keeper->store;

    TRY(token_key(store, tenant->name, text, op->now_ms, out_found->key));
    struct status status = store_get_token(store, out_found->key, &out_found->token);
    if (status.why == WHY_NOT_FOUND || !token_is_well_formed(text))
        return find_refuse(out_problem, PROBLEM_NOT_FOUND);
    TRY(status);
    const struct store_token *token = &out_found->token;
    if (token->state ==
        STORE_TOKEN_ERASED) /* With a time of its own: by itself, when that was over. */
        return find_refuse(out_problem, token->expires_ms == 0 ? PROBLEM_ERASED : PROBLEM_EXPIRED);
    if (token->expires_ms != 0 && op->now_ms >= token->expires_ms)
        return find_refuse(out_problem, PROBLEM_EXPIRED);
    return STATUS_OK;
}

uint32_t find_key_version(const struct keeper *keeper, uint64_t key_id)
{
    struct key_info info;

    if (key_id == 0 || key_id > UINT32_MAX ||
        !keyring_info_at(keeper->ring, (unsigned)(key_id - 1), &info))
        return 0;
    return info.version;
}

STATUS find_judge(const struct keeper *keeper, uint64_t key_id, struct status status,
                  struct problem *out_problem)
{
    struct key_info info;

    if (status.why != WHY_DENIED || key_id == 0 || key_id > UINT32_MAX ||
        !keyring_info_at(keeper->ring, (unsigned)(key_id - 1), &info))
        return status;
    if (info.state == KEY_STATE_COMPROMISED)
        problem_set(out_problem, PROBLEM_KEY_COMPROMISED, NULL, NULL);
    return status;
}

STATUS find_view(struct keeper *keeper, const struct policy_tenant *tenant, uint64_t record_id,
                 struct buffer *plain, struct view *out_view)
{
    struct envelope_place place = find_place(tenant->name, "view", record_id);
    struct store_record record;
    size_t size = 0;

    *out_view = (struct view){0};
    TRY(store_get_record(&keeper->store, record_id, &record));
    uint64_t key_id = 0;
    TRY(envelope_key_id(record.view, record.view_size, &key_id));
    out_view->key_id = key_id;
    buffer_clear(plain);
    uint8_t *room = buffer_extend(plain, ENVELOPE_PLAIN_BYTES_MAX);
    ENSURE(room != NULL, WHY_NO_MEMORY);
    TRY(envelope_open(keeper->ring, &place, record.view, record.view_size, room,
                      ENVELOPE_PLAIN_BYTES_MAX, &size));
    struct cursor in = cursor_over(room, size);
    view_decode(&in, out_view);
    ENSURE(cursor_done(&in), WHY_FORGED);
    out_view->key_id = key_id;
    out_view->key_version = find_key_version(keeper, key_id);
    return STATUS_OK;
}
