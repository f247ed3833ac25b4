/* SPDX-License-Identifier: Apache-2.0 */
/* relay/sandbox/intent.h -- payment intents and refunds, kept in memory, shown as Stripe shows
 * them.
 *
 * In      what a payment is about; never a card's number, only its face.
 * Out     JSON objects with Stripe's field names.
 * Never   grows: the oldest make room.
 * Threads one at a time.
 */
#ifndef RELAY_SANDBOX_INTENT_H
#define RELAY_SANDBOX_INTENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/json.h"
#include "base/status.h"
#include "relay/sandbox/card.h"

#define INTENT_COUNT_MAX    4096u
#define INTENT_METADATA_MAX 2048u
#define INTENT_ID_SIZE      32u
#define INTENT_TEXT_SIZE    256u

enum intent_status {
    INTENT_REQUIRES_PAYMENT_METHOD,
    INTENT_REQUIRES_CONFIRMATION,
    INTENT_REQUIRES_ACTION,
    INTENT_REQUIRES_CAPTURE,
    INTENT_SUCCEEDED,
    INTENT_CANCELED,
};

struct intent {
    char id[INTENT_ID_SIZE]; /* "" where the place was never used. */
    char client_secret[2 * INTENT_ID_SIZE + 8];
    char payment_method[INTENT_ID_SIZE]; /* "" while there is none. */
    char charge[INTENT_ID_SIZE];
    int64_t amount;
    int64_t amount_capturable;
    int64_t amount_received;
    int64_t amount_refunded;
    char currency[4];
    enum intent_status status;
    bool capture_manual;
    struct card_face card;
    struct card_verdict verdict; /* What a confirmation will come to. */
    bool failed;                 /* The last attempt was declined, as `verdict` says. */
    char description[INTENT_TEXT_SIZE];
    char return_url[INTENT_TEXT_SIZE];
    char cancellation_reason[32];
    char metadata[INTENT_METADATA_MAX]; /* A JSON object. */
    int64_t created_s;
    int64_t canceled_s;
};

struct refund {
    char id[INTENT_ID_SIZE];
    char intent_id[INTENT_ID_SIZE];
    char charge[INTENT_ID_SIZE];
    int64_t amount;
    char currency[4];
    char reason[32];
    char metadata[INTENT_METADATA_MAX];
    int64_t created_s;
};

struct intent_store;

STATUS intent_store_new(struct intent_store **out_store);
void intent_store_free(struct intent_store **store);

/* A new one with its ids, in place of the oldest. */
struct intent *intent_new(struct intent_store *store, int64_t now_s);
struct intent *intent_find(struct intent_store *store, const char *id);
struct intent *intent_find_charge(struct intent_store *store, const char *charge);
struct refund *intent_refund_new(struct intent_store *store, const struct intent *intent,
                                 int64_t now_s);
struct refund *intent_refund_find(struct intent_store *store, const char *id);

/* The members, without the braces, so that a test's extra ones can follow. */
void intent_write_members(const struct intent *intent, struct json_writer *writer);
void intent_write_refund(const struct refund *refund, struct json_writer *writer);

#endif
