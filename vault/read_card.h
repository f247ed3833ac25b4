/* SPDX-License-Identifier: Apache-2.0 */
/* vault/read_card.h -- a card as JSON becomes a card as a message.
 *
 * In      an object of a body (interfaces.md 2).
 * Out     a struct message_card that lends number and code from locked memory; or its problem.
 * Never   leaves a number or a code in the body: both are moved out and blanked before anything
 *         else is looked at, also where the card is refused.
 * Threads the front's.
 */
#ifndef VAULT_READ_CARD_H
#define VAULT_READ_CARD_H

#include "base/json.h"
#include "base/secret.h"
#include "vault/message.h"
#include "vault/request.h"

/* Where a card stands. */
struct read_card_place {
    const struct json *json;
    uint8_t *body; /* The bytes of `json`, to be blanked. */
    uint32_t node;
    const char *at; /* Its JSON pointer. */
    int64_t now_ms;
};

struct read_card {
    struct message_card card; /* Lends from the rest. */
    struct secret *number;
    struct secret *cvv;
    char name[CONTRACT_NAME_MAX + 1];
    struct buffer metadata; /* A compact JSON object. */
};

/* Fills *out_card, which read_card_clear() ends; card.problem says what is wrong with it. */
void read_card(const struct read_card_place *place, struct read_card *out_card);
/* The same for {"cvv", "purchase"} alone. */
void read_card_code(const struct read_card_place *place, struct read_card *out_card);
/* Wipes. */
void read_card_clear(struct read_card *card);

/* The bodies of POST /v1/tokens, /v1/tokens/batch and /v1/tokens/{token}/cvv. */
void read_card_one(struct request *request, struct buffer *out);
void read_card_batch(struct request *request, struct buffer *out);
void read_card_cvv(struct request *request, struct buffer *out);

#endif
