/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/sandbox/payments.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/encode.h"
#include "base/own.h"

#define AMOUNT_DIGITS_MAX 8u /* Stripe's bound. */

static const char *const create_params[] = {"amount",
                                            "automatic_payment_methods",
                                            "capture_method",
                                            "confirm",
                                            "confirmation_method",
                                            "currency",
                                            "customer",
                                            "description",
                                            "error_on_requires_action",
                                            "expand",
                                            "mandate_data",
                                            "metadata",
                                            "off_session",
                                            "payment_method",
                                            "payment_method_data",
                                            "payment_method_options",
                                            "payment_method_types",
                                            "receipt_email",
                                            "return_url",
                                            "setup_future_usage",
                                            "shipping",
                                            "statement_descriptor",
                                            "statement_descriptor_suffix",
                                            "transfer_group",
                                            "use_stripe_sdk",
                                            NULL};
static const char *const confirm_params[] = {"capture_method",
                                             "error_on_requires_action",
                                             "expand",
                                             "mandate_data",
                                             "off_session",
                                             "payment_method",
                                             "payment_method_data",
                                             "payment_method_options",
                                             "payment_method_types",
                                             "receipt_email",
                                             "return_url",
                                             "setup_future_usage",
                                             "shipping",
                                             "use_stripe_sdk",
                                             NULL};
static const char *const capture_params[] = {
    "amount_to_capture",           "expand", "final_capture", "metadata", "statement_descriptor",
    "statement_descriptor_suffix", NULL};
static const char *const cancel_params[] = {"cancellation_reason", "expand", NULL};
static const char *const refund_params[] = {"amount",         "charge", "expand", "metadata",
                                            "payment_intent", "reason", NULL};

/* Stripe's ready-made methods; those that a test gateway is asked for most. */
static const struct {
    const char *id;
    enum card_outcome outcome;
} ready_methods[] = {
    {"pm_card_visa", CARD_APPROVED},
    {"pm_card_mastercard", CARD_APPROVED},
    {"pm_card_amex", CARD_APPROVED},
    {"pm_card_chargeDeclined", CARD_DECLINED},
    {"pm_card_visa_chargeDeclined", CARD_DECLINED},
    {"pm_card_authenticationRequired", CARD_REQUIRES_ACTION},
};

static bool params_good(const struct payments_request *request, const char *const *roots,
                        struct reply *reply)
{
    const char *unknown = params_unknown(request->params, roots);
    if (unknown == NULL)
        return true;
    reply_bad_param(reply, "parameter_unknown", NULL, "Received an unknown parameter.");
    return false;
}

/* A positive amount, 0 when it is none. */
static int64_t amount_value(const char *text)
{
    int64_t value = 0;
    if (strlen(text) > AMOUNT_DIGITS_MAX)
        return 0;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9')
            return 0;
        value = value * 10 + (*text - '0');
    }
    return value;
}

static bool text_take(const struct payments_request *request, const char *name, char *out,
                      size_t out_size, struct reply *reply)
{
    const char *text = params_get(request->params, name);
    if (text == NULL)
        return true;
    if (strlen(text) >= out_size) {
        reply_bad_param(reply, NULL, name, "This value is too long.");
        return false;
    }
    memcpy(out, text, strlen(text) + 1);
    return true;
}

/* "metadata[order]=1042" becomes {"order":"1042"}. */
static bool metadata_take(const struct params *params, char *out, struct reply *reply)
{
    OWNED(buffer_free) struct buffer text = BUFFER(INTENT_METADATA_MAX - 1);
    struct json_writer writer = json_writer_over(&text);
    json_begin_object(&writer);
    for (unsigned i = 0; i < params->count; i++) {
        const char *name = params_name(params, i);
        size_t size = strlen(name);
        char key[64];
        if (strncmp(name, "metadata[", 9) != 0 || size < 11 || size - 10 >= sizeof key ||
            name[size - 1] != ']')
            continue;
        memcpy(key, name + 9, size - 10);
        key[size - 10] = '\0';
        json_put_member(&writer, key, params_value(params, i));
    }
    json_end_object(&writer);
    if (failed(buffer_status(&text))) {
        reply_bad_param(reply, NULL, "metadata", "The metadata is too long.");
        return false;
    }
    memcpy(out, buffer_text(&text), text.size + 1);
    return true;
}

/* Takes the card or the ready-made method of the request, if it has one. */
static bool method_take(const struct payments_request *request, struct intent *intent,
                        struct reply *reply)
{
    OWNED(card_wipe) struct card card = {0};
    const char *ready = params_get(request->params, "payment_method");
    if (card_from_params(request->params, &card)) {
        intent->verdict = card_judge(&card, request->year_now);
        card_face_of(&card, &intent->card);
        random_id("pm_", intent->payment_method, sizeof intent->payment_method);
    } else if (ready != NULL) {
        unsigned i = 0;
        const unsigned count = sizeof ready_methods / sizeof ready_methods[0];
        while (i < count && strcmp(ready_methods[i].id, ready) != 0)
            i++;
        if (i == count) {
            reply_bad_param(reply, "resource_missing", "payment_method", "No such PaymentMethod.");
            return false;
        }
        intent->verdict = card_verdict_of(ready_methods[i].outcome);
        intent->card = (struct card_face){.brand = "visa", .exp_month = 12, .exp_year = 2040};
        random_id("pm_", intent->payment_method, sizeof intent->payment_method);
    } else {
        return true;
    }
    intent->failed = false;
    intent->status = INTENT_REQUIRES_CONFIRMATION;
    return true;
}

static void charge_make(struct intent *intent)
{
    random_id("ch_", intent->charge, sizeof intent->charge);
}

static void intent_approve(struct intent *intent)
{
    charge_make(intent);
    if (intent->capture_manual) {
        intent->status = INTENT_REQUIRES_CAPTURE;
        intent->amount_capturable = intent->amount;
    } else {
        intent->status = INTENT_SUCCEEDED;
        intent->amount_received = intent->amount;
    }
}

/* Carries out a confirmation; the reply says how it ended. */
static void intent_attempt(const struct payments_request *request, struct intent *intent,
                           struct reply *reply)
{
    bool completes = intent->status == INTENT_REQUIRES_ACTION;
    if (request->verdict != NULL)
        intent->verdict = *request->verdict;
    else if (completes) /* Confirming again stands for the cardholder having done her part. */
        intent->verdict = card_verdict_of(CARD_APPROVED);
    reply->began = true;
    switch (intent->verdict.outcome) {
    case CARD_APPROVED:
        intent_approve(intent);
        break;
    case CARD_REQUIRES_ACTION:
        intent->status = INTENT_REQUIRES_ACTION;
        break;
    case CARD_DECLINED:
        charge_make(intent);
        intent->failed = true;
        intent->status = INTENT_REQUIRES_PAYMENT_METHOD;
        reply_fail(reply, &(struct reply_error){.status = 402,
                                                .type = "card_error",
                                                .code = intent->verdict.code,
                                                .decline_code = intent->verdict.decline_code,
                                                .message = intent->verdict.message,
                                                .param = intent->verdict.param,
                                                .intent = intent});
        return;
    }
    reply_intent(reply, intent);
}

static bool capture_method_take(const struct payments_request *request, struct intent *intent,
                                struct reply *reply)
{
    const char *text = params_get(request->params, "capture_method");
    if (text == NULL)
        return true;
    intent->capture_manual = strcmp(text, "manual") == 0;
    if (intent->capture_manual || strcmp(text, "automatic") == 0 ||
        strcmp(text, "automatic_async") == 0)
        return true;
    reply_bad_param(reply, NULL, "capture_method",
                    "Invalid capture_method: must be one of automatic, automatic_async, or "
                    "manual");
    return false;
}

static bool currency_take(const struct payments_request *request, struct intent *intent,
                          struct reply *reply)
{
    const char *text = params_get(request->params, "currency");
    if (text == NULL || strlen(text) != 3) {
        reply_bad_param(reply, text == NULL ? "parameter_missing" : NULL, "currency",
                        text == NULL ? "Missing required param: currency."
                                     : "Invalid currency: it has three letters.");
        return false;
    }
    for (unsigned i = 0; i < 3; i++)
        intent->currency[i] = (char)(text[i] | 0x20); /* As Stripe: always in lower case. */
    return true;
}

void payments_create(const struct payments_request *request, struct reply *reply)
{
    if (!params_good(request, create_params, reply))
        return;
    const char *amount = params_get(request->params, "amount");
    if (amount == NULL || amount_value(amount) == 0) {
        reply_bad_param(
            reply, amount == NULL ? "parameter_missing" : "parameter_invalid_integer", "amount",
            amount == NULL ? "Missing required param: amount." : "Invalid positive integer");
        return;
    }
    struct intent draft = {.amount = amount_value(amount), .metadata = "{}"};
    if (!currency_take(request, &draft, reply) || !capture_method_take(request, &draft, reply) ||
        !text_take(request, "description", draft.description, sizeof draft.description, reply) ||
        !text_take(request, "return_url", draft.return_url, sizeof draft.return_url, reply) ||
        !metadata_take(request->params, draft.metadata, reply) ||
        !method_take(request, &draft, reply))
        return;
    const char *confirm = params_get(request->params, "confirm");
    bool confirms = confirm != NULL && strcmp(confirm, "true") == 0;
    if (confirms && draft.payment_method[0] == '\0') {
        reply_bad_param(reply, "parameter_missing", "payment_method",
                        "You cannot confirm this PaymentIntent because it's missing a payment "
                        "method.");
        return;
    }
    struct intent *intent = intent_new(request->store, request->now_s);
    memcpy(draft.id, intent->id, sizeof draft.id);
    memcpy(draft.client_secret, intent->client_secret, sizeof draft.client_secret);
    draft.created_s = intent->created_s;
    *intent = draft;
    reply->began = true;
    if (confirms)
        intent_attempt(request, intent, reply);
    else
        reply_intent(reply, intent);
}

static struct intent *intent_of(const struct payments_request *request, struct reply *reply)
{
    struct intent *intent = intent_find(request->store, request->id);
    if (intent == NULL)
        reply_fail(reply, &(struct reply_error){.status = 404,
                                                .type = "invalid_request_error",
                                                .code = "resource_missing",
                                                .param = "intent",
                                                .message = "No such payment_intent."});
    return intent;
}

static void reply_unexpected(struct reply *reply, const struct intent *intent)
{
    reply_fail(reply, &(struct reply_error){.status = 400,
                                            .type = "invalid_request_error",
                                            .code = "payment_intent_unexpected_state",
                                            .message = "This PaymentIntent's status does not "
                                                       "allow this.",
                                            .intent = intent});
}

void payments_show(const struct payments_request *request, struct reply *reply)
{
    const struct intent *intent = intent_of(request, reply);
    if (intent != NULL)
        reply_intent(reply, intent);
}

void payments_confirm(const struct payments_request *request, struct reply *reply)
{
    struct intent *intent = intent_of(request, reply);
    if (intent == NULL || !params_good(request, confirm_params, reply))
        return;
    if (intent->status != INTENT_REQUIRES_PAYMENT_METHOD &&
        intent->status != INTENT_REQUIRES_CONFIRMATION &&
        intent->status != INTENT_REQUIRES_ACTION) {
        reply_unexpected(reply, intent);
        return;
    }
    if (!capture_method_take(request, intent, reply) || !method_take(request, intent, reply) ||
        !text_take(request, "return_url", intent->return_url, sizeof intent->return_url, reply))
        return;
    if (intent->status == INTENT_REQUIRES_PAYMENT_METHOD) {
        reply_unexpected(reply, intent);
        return;
    }
    intent_attempt(request, intent, reply);
}

void payments_capture(const struct payments_request *request, struct reply *reply)
{
    struct intent *intent = intent_of(request, reply);
    if (intent == NULL || !params_good(request, capture_params, reply))
        return;
    if (intent->status != INTENT_REQUIRES_CAPTURE) {
        reply_unexpected(reply, intent);
        return;
    }
    const char *text = params_get(request->params, "amount_to_capture");
    int64_t amount = text == NULL ? intent->amount_capturable : amount_value(text);
    if (amount == 0 || amount > intent->amount_capturable) {
        reply_bad_param(reply, "amount_too_large", "amount_to_capture",
                        "The amount to capture must be positive and at most what is capturable.");
        return;
    }
    reply->began = true;
    intent->amount_received = amount;
    intent->amount_capturable = 0; /* What is left is released. */
    intent->status = INTENT_SUCCEEDED;
    reply_intent(reply, intent);
}

void payments_cancel(const struct payments_request *request, struct reply *reply)
{
    struct intent *intent = intent_of(request, reply);
    if (intent == NULL || !params_good(request, cancel_params, reply))
        return;
    if (intent->status == INTENT_SUCCEEDED || intent->status == INTENT_CANCELED) {
        reply_unexpected(reply, intent);
        return;
    }
    if (!text_take(request, "cancellation_reason", intent->cancellation_reason,
                   sizeof intent->cancellation_reason, reply))
        return;
    reply->began = true;
    intent->status = INTENT_CANCELED;
    intent->canceled_s = request->now_s;
    intent->amount_capturable = 0;
    reply_intent(reply, intent);
}

static struct intent *refunded_intent(const struct payments_request *request, struct reply *reply)
{
    const char *id = params_get(request->params, "payment_intent");
    const char *charge = params_get(request->params, "charge");
    if (id == NULL && charge == NULL) {
        reply_bad_param(reply, "parameter_missing", "payment_intent",
                        "One of the following params should be provided: payment_intent or "
                        "charge.");
        return NULL;
    }
    struct intent *intent =
        id != NULL ? intent_find(request->store, id) : intent_find_charge(request->store, charge);
    if (intent == NULL)
        reply_bad_param(reply, "resource_missing", id != NULL ? "payment_intent" : "charge",
                        "There is nothing like it to refund.");
    else if (intent->status != INTENT_SUCCEEDED)
        reply_unexpected(reply, intent);
    else
        return intent;
    return NULL;
}

static void reply_refund(struct reply *reply, const struct refund *refund)
{
    struct json_writer writer = json_writer_over(&reply->body);
    intent_write_refund(refund, &writer);
}

void payments_refund(const struct payments_request *request, struct reply *reply)
{
    if (!params_good(request, refund_params, reply))
        return;
    struct intent *intent = refunded_intent(request, reply);
    if (intent == NULL)
        return;
    int64_t left = intent->amount_received - intent->amount_refunded;
    const char *text = params_get(request->params, "amount");
    int64_t amount = text == NULL ? left : amount_value(text);
    if (left == 0) {
        reply_bad_param(reply, "charge_already_refunded", NULL,
                        "This charge has already been refunded.");
        return;
    }
    if (amount == 0 || amount > left) {
        reply_bad_param(reply, NULL, "amount",
                        "The amount must be positive and at most what is not refunded yet.");
        return;
    }
    struct refund draft = {0};
    if (!metadata_take(request->params, draft.metadata, reply) ||
        !text_take(request, "reason", draft.reason, sizeof draft.reason, reply))
        return;
    struct refund *refund = intent_refund_new(request->store, intent, request->now_s);
    memcpy(refund->metadata, draft.metadata, sizeof refund->metadata);
    memcpy(refund->reason, draft.reason, sizeof refund->reason);
    refund->amount = amount;
    intent->amount_refunded += amount;
    reply->began = true;
    reply_refund(reply, refund);
}

void payments_show_refund(const struct payments_request *request, struct reply *reply)
{
    const struct refund *refund = intent_refund_find(request->store, request->id);
    if (refund != NULL) {
        reply_refund(reply, refund);
        return;
    }
    reply_fail(reply, &(struct reply_error){.status = 404,
                                            .type = "invalid_request_error",
                                            .code = "resource_missing",
                                            .param = "id",
                                            .message = "No such refund."});
}
