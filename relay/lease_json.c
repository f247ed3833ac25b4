/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/lease_json.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "relay/refusal.h"

#define PROBLEM_NODES_MAX 64u
#define CODE_BYTES_MAX    64u
#define FIELD_BYTES_MAX   128u
#define EXP_YEAR_MOST     9999

static void put_texts(struct json_writer *writer, const char *key, const char *const *texts,
                      unsigned count)
{
    json_key(writer, key);
    json_begin_array(writer);
    for (unsigned i = 0; i < count; i++)
        json_put_text(writer, texts[i]);
    json_end_array(writer);
}

void lease_json_order(struct json_writer *writer, const struct lease_order *order)
{
    json_begin_object(writer);
    json_put_member(writer, "submission_id", order->submission_id);
    json_put_member(writer, "destination", order->destination);
    json_put_member(writer, "purpose", order->purpose);
    json_put_member(writer, "on_behalf_of", order->on_behalf_of);
    put_texts(writer, "tokens", order->tokens, order->token_count);
    put_texts(writer, "cvv_tokens", order->cvv_tokens, order->cvv_token_count);
    json_end_object(writer);
}

void lease_clear(struct lease *lease)
{
    for (unsigned i = 0; i < lease->card_count; i++) {
        secret_free(&lease->cards[i].number);
        secret_free(&lease->cards[i].cardholder_name);
    }
    for (unsigned i = 0; i < lease->cvv_count; i++)
        secret_free(&lease->cvvs[i].value);
    *lease = (struct lease){0};
}

/* How many nodes a text has at most: each but the first stands behind one of these four. */
static uint32_t nodes_in(const uint8_t *body, size_t size)
{
    uint32_t count = 1;

    for (size_t i = 0; i < size && count < LEASE_JSON_NODES_MAX; i++)
        count += body[i] == ',' || body[i] == ':' || body[i] == '{' || body[i] == '[';
    return count;
}

STATUS lease_json_open(struct lease_json *answer, const uint8_t *body, size_t size, unsigned count)
{
    size_t bad_at = 0;
    uint32_t most = nodes_in(body, size);

    *answer = (struct lease_json){.at = JSON_NONE};
    answer->nodes = calloc(most, sizeof *answer->nodes);
    ENSURE(answer->nodes != NULL, WHY_NO_MEMORY);
    ENSURE(!failed(json_read(body, size, answer->nodes, most, &answer->json, &bad_at)), WHY_FORGED);
    ENSURE(answer->json.nodes[0].type == JSON_OBJECT, WHY_FORGED);
    uint32_t results = json_member(&answer->json, 0, "results");
    ENSURE(results != JSON_NONE && answer->json.nodes[results].type == JSON_ARRAY, WHY_FORGED);
    ENSURE(answer->json.nodes[results].count == count, WHY_FORGED);
    answer->at = json_first(&answer->json, results);
    answer->left = count;
    return STATUS_OK;
}

void lease_json_close(struct lease_json *answer)
{
    free(answer->nodes);
    *answer = (struct lease_json){.at = JSON_NONE};
}

static uint32_t next_result(struct lease_json *answer)
{
    uint32_t at = answer->at;

    assert(answer->left > 0);
    answer->left--;
    answer->at = answer->left > 0 ? answer->json.nodes[at].next : JSON_NONE;
    return at;
}

static STATUS read_text(const struct json *json, uint32_t object, const char *name, char *out,
                        size_t out_size)
{
    size_t length = 0;
    uint32_t at = json_member(json, object, name);

    ENSURE(at != JSON_NONE, WHY_FORGED);
    ENSURE(!failed(json_string(json, at, out, out_size, &length)), WHY_FORGED);
    return STATUS_OK;
}

/* The text is never longer than its JSON, so that one slot of that size takes it and the NUL. */
static STATUS read_secret(const struct json *json, uint32_t object, const char *name,
                          struct secret **out_secret)
{
    OWNED(secret_free) struct secret *secret = NULL;
    size_t length = 0;
    uint32_t at = json_member(json, object, name);

    ENSURE(at != JSON_NONE && json->nodes[at].type == JSON_STRING, WHY_FORGED);
    ENSURE(json->nodes[at].size > 0, WHY_FORGED);
    size_t size = (size_t)json->nodes[at].size + 1;
    ENSURE(size <= SECRET_BYTES_MAX, WHY_FORGED);
    TRY(secret_new(size, &secret));
    ENSURE(!failed(json_string(json, at, (char *)secret_bytes(secret), size, &length)), WHY_FORGED);
    secret_shorten(secret, length);
    *out_secret = MOVE(secret);
    return STATUS_OK;
}

static STATUS read_card(const struct json *json, uint32_t at, struct lease_card *card)
{
    int64_t month = 0;
    int64_t year = 0;
    uint32_t month_at = json_member(json, at, "exp_month");
    uint32_t year_at = json_member(json, at, "exp_year");
    uint32_t name_at = json_member(json, at, "cardholder_name");

    ENSURE(month_at != JSON_NONE && !failed(json_int(json, month_at, &month)), WHY_FORGED);
    ENSURE(year_at != JSON_NONE && !failed(json_int(json, year_at, &year)), WHY_FORGED);
    ENSURE(month >= 1 && month <= 12 && year >= 1 && year <= EXP_YEAR_MOST, WHY_FORGED);
    card->exp_month = (unsigned)month;
    card->exp_year = (unsigned)year;
    TRY(read_text(json, at, "token", card->token, sizeof card->token));
    TRY(read_secret(json, at, "number", &card->number));
    if (name_at != JSON_NONE && json->nodes[name_at].type == JSON_STRING &&
        json->nodes[name_at].size > 0)
        TRY(read_secret(json, at, "cardholder_name", &card->cardholder_name));
    return STATUS_OK;
}

/* The first of up to CONTRACT_LEASE_TOKENS_MAX objects under `name`. */
static STATUS read_list(const struct json *json, uint32_t object, const char *name,
                        uint32_t *out_first, uint32_t *out_count)
{
    uint32_t list = json_member(json, object, name);

    ENSURE(list != JSON_NONE && json->nodes[list].type == JSON_ARRAY, WHY_FORGED);
    ENSURE(json->nodes[list].count <= CONTRACT_LEASE_TOKENS_MAX, WHY_FORGED);
    *out_first = json_first(json, list);
    *out_count = json->nodes[list].count;
    return STATUS_OK;
}

/* Fills `lease` as far as it comes; the caller clears it when this fails. */
static STATUS read_lease(const struct json *json, uint32_t object, struct lease *lease)
{
    uint32_t at = JSON_NONE;
    uint32_t count = 0;

    TRY(read_text(json, object, "lease_id", lease->id, sizeof lease->id));
    ENSURE(lease->id[0] != '\0', WHY_FORGED);
    TRY(read_list(json, object, "cards", &at, &count));
    for (uint32_t i = 0; i < count; i++, at = json->nodes[at].next) {
        ENSURE(json->nodes[at].type == JSON_OBJECT, WHY_FORGED);
        TRY(read_card(json, at, &lease->cards[lease->card_count++]));
    }
    TRY(read_list(json, object, "cvvs", &at, &count));
    for (uint32_t i = 0; i < count; i++, at = json->nodes[at].next) {
        ENSURE(json->nodes[at].type == JSON_OBJECT, WHY_FORGED);
        struct lease_cvv *cvv = &lease->cvvs[lease->cvv_count++];
        TRY(read_text(json, at, "token", cvv->token, sizeof cvv->token));
        TRY(read_secret(json, at, "value", &cvv->value));
    }
    return STATUS_OK;
}

/* The vault names the token: "…/tokens/N" or "…/cvv_tokens/N". */
static void read_field(const struct json *json, uint32_t object, struct lease_refusal *refusal)
{
    char field[FIELD_BYTES_MAX];

    static_assert(CONTRACT_LEASE_TOKENS_MAX <= 10, "an index is one digit");
    if (json_member(json, object, "field") == JSON_NONE ||
        failed(read_text(json, object, "field", field, sizeof field)))
        return;
    char *digits = strrchr(field, '/');
    if (digits == NULL || digits[1] < '0' || digits[1] > '9' || digits[2] != '\0')
        return;
    refusal->index = (unsigned)(digits[1] - '0');
    *digits = '\0';
    const char *list = strrchr(field, '/');
    if (list != NULL && strcmp(list, "/tokens") == 0)
        refusal->of = LEASE_CARD_TOKEN;
    else if (list != NULL && strcmp(list, "/cvv_tokens") == 0)
        refusal->of = LEASE_CVV_TOKEN;
}

/* A problem is what has a code that both daemons know. */
static STATUS read_problem(const struct json *json, uint32_t object,
                           struct lease_refusal *out_refusal)
{
    char code[CODE_BYTES_MAX];

    TRY(read_text(json, object, "code", code, sizeof code));
    enum problem_code known = refusal_find(code);
    ENSURE(known != PROBLEM_NONE, WHY_FORGED);
    *out_refusal = (struct lease_refusal){.code = known};
    if (json_member(json, object, "detail") != JSON_NONE &&
        failed(read_text(json, object, "detail", out_refusal->detail, sizeof out_refusal->detail)))
        out_refusal->detail[0] = '\0';
    read_field(json, object, out_refusal);
    return STATUS_OK;
}

STATUS lease_json_next_lease(struct lease_json *answer, struct lease *out_lease,
                             struct lease_refusal *out_refusal)
{
    const struct json *json = &answer->json;
    uint32_t at = next_result(answer);

    ENSURE(json->nodes[at].type == JSON_OBJECT, WHY_FORGED);
    if (json_member(json, at, "code") != JSON_NONE) {
        TRY(read_problem(json, at, out_refusal));
        return FAIL(WHY_DENIED);
    }
    struct lease lease OWNED(lease_clear) = {0};
    TRY(read_lease(json, at, &lease));
    *out_lease = lease;
    lease = (struct lease){0}; /* Moved out. */
    return STATUS_OK;
}

STATUS lease_json_next_settled(struct lease_json *answer)
{
    const struct json *json = &answer->json;
    struct lease_refusal refusal;
    uint32_t at = next_result(answer);

    ENSURE(json->nodes[at].type == JSON_OBJECT, WHY_FORGED);
    uint32_t state = json_member(json, at, "state");
    if (state != JSON_NONE) {
        ENSURE(json_equals(json, state, "settled"), WHY_FORGED);
        return STATUS_OK;
    }
    TRY(read_problem(json, at, &refusal));
    /* Only what says that there is nothing to settle ends it: a policy or a rate that stands in
     * the way today may not tomorrow. */
    switch (refusal_status(refusal.code)) {
    case 404:
    case 409:
    case 410:
    case 422:
        return FAIL(WHY_DENIED);
    default:
        return FAIL(WHY_BUSY);
    }
}

STATUS lease_json_problem(const uint8_t *body, size_t size, struct lease_refusal *out_refusal)
{
    struct json_node nodes[PROBLEM_NODES_MAX];
    struct json json;
    size_t bad_at = 0;

    ENSURE(!failed(json_read(body, size, nodes, PROBLEM_NODES_MAX, &json, &bad_at)), WHY_FORGED);
    ENSURE(json.nodes[0].type == JSON_OBJECT, WHY_FORGED);
    return read_problem(&json, 0, out_refusal);
}
