/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/sandbox/json_payments.h"

#include <assert.h>
#include <string.h>

#include "base/encode.h"
#include "base/json.h"
#include "relay/sandbox/intent.h"

#define NODES_MAX  128u
#define AMOUNT_MAX 99999999

struct reading {
    struct json json;
    struct json_node nodes[NODES_MAX];
    struct reply *reply;
};

static bool name_in(const struct json *json, uint32_t key, const char *const *names)
{
    for (; *names != NULL; names++)
        if (json_equals(json, key, *names))
            return true;
    return false;
}

static bool members_known(struct reading *reading, uint32_t object, const char *const *names)
{
    const struct json *json = &reading->json;
    uint32_t key = json_first(json, object);
    for (uint32_t i = 0; i < json->nodes[object].count; i++) {
        if (!name_in(json, key, names)) {
            reply_bad_param(reading->reply, "parameter_unknown", NULL,
                            "Received an unknown parameter.");
            return false;
        }
        key = json->nodes[key + 1].next;
    }
    return true;
}

static bool text_take(struct reading *reading, uint32_t object, const char *name, char *out,
                      size_t out_size, bool required)
{
    uint32_t node = json_member(&reading->json, object, name);
    if (node == JSON_NONE && !required)
        return true;
    size_t length = 0;
    if (node != JSON_NONE && !failed(json_string(&reading->json, node, out, out_size, &length)))
        return true;
    reply_bad_param(reading->reply, node == JSON_NONE ? "parameter_missing" : NULL, name,
                    node == JSON_NONE ? "A required parameter is missing."
                                      : "This value is not a text, or too long.");
    return false;
}

static bool card_take(struct reading *reading, struct card *card)
{
    static const char *const names[] = {"number", "expiry", "security_code", "name", NULL};
    uint32_t object = json_member(&reading->json, 0, "card");
    if (object == JSON_NONE || reading->json.nodes[object].type != JSON_OBJECT) {
        reply_bad_param(reading->reply, "parameter_missing", "card", "A card is required.");
        return false;
    }
    char expiry[16] = "";
    char name[INTENT_TEXT_SIZE] = "";
    if (!members_known(reading, object, names) ||
        !text_take(reading, object, "number", card->number, sizeof card->number, true) ||
        !text_take(reading, object, "expiry", expiry, sizeof expiry, true) ||
        !text_take(reading, object, "security_code", card->cvc, sizeof card->cvc, false) ||
        !text_take(reading, object, "name", name, sizeof name, false))
        return false;
    card_expiry(card, expiry);
    return true;
}

static bool body_read(const struct json_payments_request *request, struct reading *reading,
                      struct intent *draft, struct card *card)
{
    static const char *const names[] = {"card", "amount", "currency", "reference", NULL};
    size_t at = 0;
    if (failed(json_read(request->body, request->body_size, reading->nodes, NODES_MAX,
                         &reading->json, &at)) ||
        reading->nodes[0].type != JSON_OBJECT) {
        reply_bad_param(reading->reply, "invalid_json", NULL, "The body is not a JSON object.");
        return false;
    }
    char currency[4] = "";
    if (!members_known(reading, 0, names) || !card_take(reading, card) ||
        !text_take(reading, 0, "currency", currency, sizeof currency, true) ||
        !text_take(reading, 0, "reference", draft->description, sizeof draft->description, false))
        return false;
    uint32_t amount = json_member(&reading->json, 0, "amount");
    if (amount == JSON_NONE || failed(json_int(&reading->json, amount, &draft->amount)) ||
        draft->amount < 1 || draft->amount > AMOUNT_MAX) {
        reply_bad_param(reading->reply, "parameter_invalid_integer", "amount",
                        "A positive integer of minor units is required.");
        return false;
    }
    memcpy(draft->currency, currency, sizeof draft->currency);
    return true;
}

static void payment_write(const struct intent *intent, struct reply *reply)
{
    struct json_writer writer = json_writer_over(&reply->body);
    json_begin_object(&writer);
    json_put_member(&writer, "id", intent->id);
    json_put_member(&writer, "object", "payment");
    json_put_member(&writer, "status",
                    intent->status == INTENT_REQUIRES_ACTION ? "requires_action" : "approved");
    json_put_member_int(&writer, "amount", intent->amount);
    json_put_member(&writer, "currency", intent->currency);
    json_put_member_int(&writer, "created", intent->created_s);
    json_key(&writer, "card");
    json_begin_object(&writer);
    json_put_member(&writer, "brand", intent->card.brand);
    json_put_member(&writer, "last4", intent->card.last4);
    json_put_member_int(&writer, "exp_month", intent->card.exp_month);
    json_put_member_int(&writer, "exp_year", intent->card.exp_year);
    json_end_object(&writer);
    json_put_member(&writer, "reference", intent->description);
    json_end_object(&writer);
}

void json_payments_create(const struct json_payments_request *request, struct card *out_card,
                          struct reply *reply)
{
    assert(out_card != NULL);
    struct reading reading = {.reply = reply};
    struct intent draft = {.metadata = "{}"};
    if (!body_read(request, &reading, &draft, out_card))
        return;
    draft.verdict =
        request->verdict != NULL ? *request->verdict : card_judge(out_card, request->year_now);
    card_face_of(out_card, &draft.card);
    struct intent *intent = intent_new(request->store, request->now_s);
    memcpy(draft.id, intent->id, sizeof draft.id);
    memcpy(draft.client_secret, intent->client_secret, sizeof draft.client_secret);
    draft.created_s = intent->created_s;
    random_id("ch_", draft.charge, sizeof draft.charge);
    random_id("pm_", draft.payment_method, sizeof draft.payment_method);
    reply->began = true;
    switch (draft.verdict.outcome) {
    case CARD_APPROVED:
        draft.status = INTENT_SUCCEEDED;
        draft.amount_received = draft.amount;
        break;
    case CARD_REQUIRES_ACTION:
        draft.status = INTENT_REQUIRES_ACTION;
        break;
    case CARD_DECLINED:
        draft.failed = true;
        break;
    }
    *intent = draft;
    reply->status = 201;
    if (draft.failed)
        reply_fail(reply, &(struct reply_error){.status = 402,
                                                .type = "card_error",
                                                .code = draft.verdict.code,
                                                .decline_code = draft.verdict.decline_code,
                                                .message = draft.verdict.message,
                                                .param = draft.verdict.param});
    else
        payment_write(intent, reply);
}
