/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/sandbox/intent.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/encode.h"
#include "base/own.h"

struct intent_store {
    struct intent *intents;
    struct refund *refunds;
    unsigned intent_next;
    unsigned refund_next;
};

static const char *const status_names[] = {
    [INTENT_REQUIRES_PAYMENT_METHOD] = "requires_payment_method",
    [INTENT_REQUIRES_CONFIRMATION] = "requires_confirmation",
    [INTENT_REQUIRES_ACTION] = "requires_action",
    [INTENT_REQUIRES_CAPTURE] = "requires_capture",
    [INTENT_SUCCEEDED] = "succeeded",
    [INTENT_CANCELED] = "canceled",
};

STATUS intent_store_new(struct intent_store **out_store)
{
    OWNED(intent_store_free) struct intent_store *store = calloc(1, sizeof *store);
    ENSURE(store != NULL, WHY_NO_MEMORY);
    store->intents = calloc(INTENT_COUNT_MAX, sizeof *store->intents);
    store->refunds = calloc(INTENT_COUNT_MAX, sizeof *store->refunds);
    ENSURE(store->intents != NULL && store->refunds != NULL, WHY_NO_MEMORY);
    *out_store = MOVE(store);
    return STATUS_OK;
}

void intent_store_free(struct intent_store **store)
{
    if (*store == NULL)
        return;
    free((*store)->intents);
    free((*store)->refunds);
    free(*store);
    *store = NULL;
}

struct intent *intent_new(struct intent_store *store, int64_t now_s)
{
    struct intent *intent = &store->intents[store->intent_next];
    store->intent_next = (store->intent_next + 1) % INTENT_COUNT_MAX;
    *intent = (struct intent){.created_s = now_s, .metadata = "{}"};
    random_id("pi_", intent->id, sizeof intent->id);
    char secret[INTENT_ID_SIZE];
    random_id("secret_", secret, sizeof secret);
    (void)snprintf(intent->client_secret, sizeof intent->client_secret, "%s_%s", intent->id,
                   secret);
    return intent;
}

struct intent *intent_find(struct intent_store *store, const char *id)
{
    for (unsigned i = 0; i < INTENT_COUNT_MAX && id[0] != '\0'; i++)
        if (strcmp(store->intents[i].id, id) == 0)
            return &store->intents[i];
    return NULL;
}

struct intent *intent_find_charge(struct intent_store *store, const char *charge)
{
    for (unsigned i = 0; i < INTENT_COUNT_MAX && charge[0] != '\0'; i++)
        if (strcmp(store->intents[i].charge, charge) == 0)
            return &store->intents[i];
    return NULL;
}

struct refund *intent_refund_new(struct intent_store *store, const struct intent *intent,
                                 int64_t now_s)
{
    struct refund *refund = &store->refunds[store->refund_next];
    store->refund_next = (store->refund_next + 1) % INTENT_COUNT_MAX;
    *refund = (struct refund){.created_s = now_s, .metadata = "{}"};
    random_id("re_", refund->id, sizeof refund->id);
    memcpy(refund->intent_id, intent->id, sizeof refund->intent_id);
    memcpy(refund->charge, intent->charge, sizeof refund->charge);
    memcpy(refund->currency, intent->currency, sizeof refund->currency);
    return refund;
}

struct refund *intent_refund_find(struct intent_store *store, const char *id)
{
    for (unsigned i = 0; i < INTENT_COUNT_MAX && id[0] != '\0'; i++)
        if (strcmp(store->refunds[i].id, id) == 0)
            return &store->refunds[i];
    return NULL;
}

static void member_or_null(struct json_writer *writer, const char *key, const char *text)
{
    json_key(writer, key);
    if (text == NULL || text[0] == '\0')
        json_put_null(writer);
    else
        json_put_text(writer, text);
}

static void payment_method_write(const struct intent *intent, struct json_writer *writer)
{
    json_begin_object(writer);
    json_put_member(writer, "id", intent->payment_method);
    json_put_member(writer, "object", "payment_method");
    json_put_member(writer, "type", "card");
    json_key(writer, "card");
    json_begin_object(writer);
    json_put_member(writer, "brand", intent->card.brand);
    json_put_member(writer, "last4", intent->card.last4);
    json_put_member_int(writer, "exp_month", intent->card.exp_month);
    json_put_member_int(writer, "exp_year", intent->card.exp_year);
    json_end_object(writer);
    json_end_object(writer);
}

static void last_error_write(const struct intent *intent, struct json_writer *writer)
{
    json_key(writer, "last_payment_error");
    if (!intent->failed) {
        json_put_null(writer);
        return;
    }
    json_begin_object(writer);
    json_put_member(writer, "type", "card_error");
    json_put_member(writer, "code", intent->verdict.code);
    if (intent->verdict.decline_code != NULL)
        json_put_member(writer, "decline_code", intent->verdict.decline_code);
    json_put_member(writer, "message", intent->verdict.message);
    if (intent->charge[0] != '\0')
        json_put_member(writer, "charge", intent->charge);
    json_key(writer, "payment_method");
    payment_method_write(intent, writer);
    json_end_object(writer);
}

static void next_action_write(const struct intent *intent, struct json_writer *writer)
{
    json_key(writer, "next_action");
    if (intent->status != INTENT_REQUIRES_ACTION) {
        json_put_null(writer);
        return;
    }
    char url[INTENT_TEXT_SIZE];
    (void)snprintf(url, sizeof url, "https://hooks.sandbox.invalid/3d_secure/%s", intent->id);
    json_begin_object(writer);
    json_put_member(writer, "type", "redirect_to_url");
    json_key(writer, "redirect_to_url");
    json_begin_object(writer);
    member_or_null(writer, "return_url", intent->return_url);
    json_put_member(writer, "url", url);
    json_end_object(writer);
    json_end_object(writer);
}

void intent_write_members(const struct intent *intent, struct json_writer *writer)
{
    assert(intent->id[0] != '\0');
    json_put_member(writer, "id", intent->id);
    json_put_member(writer, "object", "payment_intent");
    json_put_member_int(writer, "amount", intent->amount);
    json_put_member_int(writer, "amount_capturable", intent->amount_capturable);
    json_put_member_int(writer, "amount_received", intent->amount_received);
    json_key(writer, "canceled_at");
    if (intent->canceled_s == 0)
        json_put_null(writer);
    else
        json_put_int(writer, intent->canceled_s);
    member_or_null(writer, "cancellation_reason", intent->cancellation_reason);
    json_put_member(writer, "capture_method", intent->capture_manual ? "manual" : "automatic");
    json_put_member(writer, "client_secret", intent->client_secret);
    json_put_member(writer, "confirmation_method", "automatic");
    json_put_member_int(writer, "created", intent->created_s);
    json_put_member(writer, "currency", intent->currency);
    member_or_null(writer, "description", intent->description);
    last_error_write(intent, writer);
    member_or_null(writer, "latest_charge", intent->charge);
    json_put_member_bool(writer, "livemode", false);
    json_key(writer, "metadata");
    json_put_raw(writer, intent->metadata, strlen(intent->metadata));
    next_action_write(intent, writer);
    /* A declined attempt leaves the intent without a method, as Stripe has it. */
    member_or_null(writer, "payment_method", intent->failed ? NULL : intent->payment_method);
    json_key(writer, "payment_method_types");
    json_begin_array(writer);
    json_put_text(writer, "card");
    json_end_array(writer);
    json_put_member(writer, "status", status_names[intent->status]);
}

void intent_write_refund(const struct refund *refund, struct json_writer *writer)
{
    assert(refund->id[0] != '\0');
    json_begin_object(writer);
    json_put_member(writer, "id", refund->id);
    json_put_member(writer, "object", "refund");
    json_put_member_int(writer, "amount", refund->amount);
    json_put_member(writer, "charge", refund->charge);
    json_put_member_int(writer, "created", refund->created_s);
    json_put_member(writer, "currency", refund->currency);
    json_key(writer, "metadata");
    json_put_raw(writer, refund->metadata, strlen(refund->metadata));
    json_put_member(writer, "payment_intent", refund->intent_id);
    member_or_null(writer, "reason", refund->reason);
    json_put_member(writer, "status", "succeeded");
    json_end_object(writer);
}
