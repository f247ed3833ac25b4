/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/read_lease.h"

#include <stdio.h>
#include <string.h>

#include "base/own.h"
#include "vault/read_object.h"
#include "vault/read_token.h"

#define POINTER_MAX 96u

enum lease_field {
    LEASE_SUBMISSION,
    LEASE_DESTINATION,
    LEASE_PURPOSE,
    LEASE_ON_BEHALF_OF,
    LEASE_TOKENS,
    LEASE_CVV_TOKENS,
    LEASE_FIELD_COUNT
};

static const char *const lease_names[] = {[LEASE_SUBMISSION] = "submission_id",
                                          [LEASE_DESTINATION] = "destination",
                                          [LEASE_PURPOSE] = "purpose",
                                          [LEASE_ON_BEHALF_OF] = "on_behalf_of",
                                          [LEASE_TOKENS] = "tokens",
                                          [LEASE_CVV_TOKENS] = "cvv_tokens",
                                          [LEASE_FIELD_COUNT] = NULL};

enum settlement_field {
    SETTLEMENT_LEASE_ID,
    SETTLEMENT_SUBMISSION,
    SETTLEMENT_OUTCOME,
    SETTLEMENT_FIELD_COUNT
};

static const char *const settlement_names[] = {[SETTLEMENT_LEASE_ID] = "lease_id",
                                               [SETTLEMENT_SUBMISSION] = "submission_id",
                                               [SETTLEMENT_OUTCOME] = "outcome",
                                               [SETTLEMENT_FIELD_COUNT] = NULL};

/* Where many of a kind stand in one body. */
struct list_kind {
    const char *names[2];
    unsigned least;
    const char *limit;
};

static const struct list_kind leases = {{"leases", NULL}, 1, "A list of 1 to 64 leases."};
/* Of none: a relay asks whether it would be heard. */
static const struct list_kind settlements = {
    {"settlements", NULL}, 0, "A list of up to 64 settlements."};

/* An id of ours or a relay's: it goes into the log, so it must not hold a card either. */
static void read_id(struct read_object *object, unsigned field, char *out, size_t out_size)
{
    read_object_free_text(object, field, out, out_size);
    if (read_token_is_plain(out, out_size - 1))
        return;
    out[0] = '\0';
    read_object_refuse(object, field, PROBLEM_INVALID_FIELD,
                       "It is 1 to 64 of letters, digits, _ and -.");
}

/* Tokens that cannot be any become "", which the keeper will not find: it records that, too. */
static unsigned read_tokens(struct read_object *object, unsigned field,
                            char out[static CONTRACT_LEASE_TOKENS_MAX][CONTRACT_TOKEN_MAX + 1])
{
    const struct json *json = object->json;
    uint32_t list = object->values[field];

    if (list == JSON_NONE)
        return 0;
    unsigned count = json->nodes[list].count;
    if (json->nodes[list].type != JSON_ARRAY || count > CONTRACT_LEASE_TOKENS_MAX) {
        read_object_refuse(object, field, PROBLEM_INVALID_FIELD, "A list of up to 8 tokens.");
        return 0;
    }
    uint32_t at = json_first(json, list);
    for (unsigned i = 0; i < count; i++, at = json->nodes[at].next) {
        if (json->nodes[at].type != JSON_STRING)
            read_object_refuse(object, field, PROBLEM_INVALID_FIELD, "Tokens are strings.");
        if (failed(json_read_text(json, at, out[i], CONTRACT_TOKEN_MAX + 1, NULL)) ||
            !read_token_is_plain(out[i], CONTRACT_TOKEN_MAX))
            out[i][0] = '\0';
    }
    return count;
}

void read_lease(const struct json *json, uint32_t node, const char *at,
                struct message_lease *out_lease)
{
    *out_lease = (struct message_lease){0};
    struct read_object object = {
        .json = json, .node = node, .at = at, .names = lease_names, .problem = &out_lease->problem};

    read_object_find(&object);
    read_object_check_names(&object);
    for (unsigned field = 0; field < LEASE_CVV_TOKENS; field++)
        read_object_need(&object, field);
    read_id(&object, LEASE_SUBMISSION, out_lease->submission, sizeof out_lease->submission);
    read_object_free_text(&object, LEASE_DESTINATION, out_lease->destination,
                          sizeof out_lease->destination);
    read_object_free_text(&object, LEASE_PURPOSE, out_lease->purpose, sizeof out_lease->purpose);
    read_object_free_text(&object, LEASE_ON_BEHALF_OF, out_lease->on_behalf_of,
                          sizeof out_lease->on_behalf_of);
    out_lease->token_count = read_tokens(&object, LEASE_TOKENS, out_lease->tokens);
    out_lease->cvv_count = read_tokens(&object, LEASE_CVV_TOKENS, out_lease->cvv_tokens);
    if (out_lease->token_count + out_lease->cvv_count == 0)
        read_object_refuse(&object, LEASE_TOKENS, PROBLEM_INVALID_FIELD, "No token is named.");
}

void read_lease_settlement(const struct json *json, uint32_t node, const char *at,
                           struct message_settlement *out_settlement)
{
    *out_settlement = (struct message_settlement){0};
    struct read_object object = {.json = json,
                                 .node = node,
                                 .at = at,
                                 .names = settlement_names,
                                 .problem = &out_settlement->problem};

    read_object_find(&object);
    read_object_check_names(&object);
    bool by_submission = object.values[SETTLEMENT_SUBMISSION] != JSON_NONE;
    if (by_submission && object.values[SETTLEMENT_LEASE_ID] != JSON_NONE)
        read_object_refuse(&object, SETTLEMENT_SUBMISSION, PROBLEM_INVALID_FIELD,
                           "It stands in the place of a lease_id, not beside one.");
    read_object_need(&object, by_submission ? SETTLEMENT_SUBMISSION : SETTLEMENT_LEASE_ID);
    read_object_need(&object, SETTLEMENT_OUTCOME);
    if (by_submission)
        read_id(&object, SETTLEMENT_SUBMISSION, out_settlement->submission,
                sizeof out_settlement->submission);
    else
        read_id(&object, SETTLEMENT_LEASE_ID, out_settlement->lease_id,
                sizeof out_settlement->lease_id);
    out_settlement->outcome = (enum message_outcome)read_object_choice(
        &object, SETTLEMENT_OUTCOME, message_outcome_names, MESSAGE_OUTCOME_ANSWERED);
}

/* Reads the body, writes the caller and the count; the list's node, or JSON_NONE where something is
 * wrong with the request as a whole. */
static uint32_t begin(struct request *request, const struct list_kind *kind, struct json *json,
                      struct buffer *out)
{
    struct problem problem = PROBLEM_NOTHING;
    struct read_object object = {.json = json, .at = "", .names = kind->names, .problem = &problem};

    if (request_json(request, json)) {
        read_object_find(&object);
        read_object_check_names(&object);
        read_object_need(&object, 0);
        if (read_object_is_good(&object)) {
            const struct json_node *list = &json->nodes[object.values[0]];
            if (list->type != JSON_ARRAY || list->count < kind->least ||
                list->count > CONTRACT_LEASES_MAX)
                read_object_refuse(&object, 0, PROBLEM_INVALID_FIELD, kind->limit);
        }
        request->caller.problem = problem;
    }
    message_caller_encode(&request->caller, out);
    bool good = request_is_good(request);
    buffer_add_u16(out, good ? (uint16_t)json->nodes[object.values[0]].count : 0);
    return good ? object.values[0] : JSON_NONE;
}

void read_lease_all(struct request *request, struct buffer *out)
{
    struct message_lease lease OWNED(message_lease_wipe) = {0};
    char at[POINTER_MAX];
    struct json json;
    uint32_t list = begin(request, &leases, &json, out);

    if (list == JSON_NONE)
        return;
    uint32_t node = json_first(&json, list);
    for (uint32_t i = 0; i < json.nodes[list].count; i++, node = json.nodes[node].next) {
        (void)snprintf(at, sizeof at, "/leases/%u", (unsigned)i);
        read_lease(&json, node, at, &lease);
        message_lease_encode(&lease, out);
    }
}

void read_lease_settlements(struct request *request, struct buffer *out)
{
    struct message_settlement settlement OWNED(message_settlement_wipe) = {0};
    char at[POINTER_MAX];
    struct json json;
    uint32_t list = begin(request, &settlements, &json, out);

    if (list == JSON_NONE)
        return;
    uint32_t node = json_first(&json, list);
    for (uint32_t i = 0; i < json.nodes[list].count; i++, node = json.nodes[node].next) {
        (void)snprintf(at, sizeof at, "/settlements/%u", (unsigned)i);
        read_lease_settlement(&json, node, at, &settlement);
        message_settlement_encode(&settlement, out);
    }
}
