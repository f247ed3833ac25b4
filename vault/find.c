/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <string.h>

#include "keys/envelope.h"
#include "vault/retention.h"
#include "vault/steps.h"
#include "vault/token_key.h"

struct envelope_place find_place(const char *tenant, const char *purpose, uint64_t record_id)
{
    struct envelope_place place = {.tenant = tenant, .purpose = purpose};

    for (unsigned i = 0; i < 8; i++)
        place.object[i] = (uint8_t)(record_id >> (56 - 8 * i));
    return place;
}

bool find_is_over(const struct policy_tenant *tenant, const struct view *view, int64_t now_ms)
{
    return retention_due_ms(tenant, view->created_ms, view->expires_ms) <= now_ms;
}

static STATUS find_refuse(struct problem *out_problem, enum problem_code code)
{
    problem_set(out_problem, code, NULL, NULL);
    return FAIL(WHY_NOT_FOUND);
}

/* With a time of its own it went by itself, when that was over. */
static enum problem_code find_gone(const struct store_token *token)
{
    return token->expires_ms == 0 ? PROBLEM_ERASED : PROBLEM_EXPIRED;
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
    if (token->state == STORE_TOKEN_ERASED)
        return find_refuse(out_problem, find_gone(token));
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

static STATUS view_open(struct keeper *keeper, const struct policy_tenant *tenant,
                        uint64_t record_id, struct buffer *plain, struct view *out_view,
                        struct store_record *out_record)
{
    struct envelope_place place = find_place(tenant->name, "view", record_id);
    size_t size = 0;

    *out_view = (struct view){0};
    TRY(store_get_record(&keeper->store, record_id, out_record));
    uint64_t key_id = 0;
    TRY(envelope_key_id(out_record->view, out_record->view_size, &key_id));
    out_view->key_id = key_id;
    buffer_clear(plain);
    size_t room_size = out_record->view_size < ENVELOPE_PLAIN_BYTES_MAX ? out_record->view_size
                                                                        : ENVELOPE_PLAIN_BYTES_MAX;
    uint8_t *room = buffer_extend(plain, room_size); /* What is sealed is longer than its plain. */
    ENSURE(room != NULL, WHY_NO_MEMORY);
    TRY(envelope_open(keeper->ring, &place, out_record->view, out_record->view_size, room,
                      room_size, &size));
    struct cursor in = cursor_over(room, size);
    view_decode(&in, out_view);
    ENSURE(cursor_done(&in), WHY_FORGED);
    out_view->key_id = key_id;
    out_view->key_version = find_key_version(keeper, key_id);
    return STATUS_OK;
}

STATUS find_view(struct keeper *keeper, const struct policy_tenant *tenant, uint64_t record_id,
                 struct buffer *plain, struct view *out_view)
{
    struct store_record record;

    return view_open(keeper, tenant, record_id, plain, out_view, &record);
}

STATUS find_shown(struct keeper_op *op, const struct policy_tenant *tenant, const char *text,
                  const struct found *found, struct buffer *plain, struct view *out_view,
                  struct store_record *out_record, struct problem *out_problem)
{
    struct status status =
        view_open(op->keeper, tenant, found->token.record_id, plain, out_view, out_record);

    TRY(find_judge(op->keeper, out_view->key_id, status, out_problem));
    /* Whoever deletes a record can have its number given again, to another card's (KEY-11). */
    ENSURE(strcmp(out_view->token, text) == 0, WHY_FORGED);
    if (find_is_over(tenant, out_view, op->now_ms))
        return find_refuse(out_problem, find_gone(&found->token));
    return STATUS_OK;
}
