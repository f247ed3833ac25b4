/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/read_card.h"

#include <assert.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/encode.h"
#include "base/own.h"
#include "base/redact.h"
#include "vault/read_object.h"

/* Digits with as many separators; what is longer is no card, whoever issued it. */
#define NUMBER_BYTES_MAX 48u
#define CVV_BYTES_MAX    8u
#define TIME_BYTES_MAX   40u
#define POINTER_MAX      96u

enum card_field {
    CARD_NUMBER,
    CARD_EXP_MONTH,
    CARD_EXP_YEAR,
    CARD_CVV,
    CARD_NAME,
    CARD_FORMAT,
    CARD_SINGLE_USE,
    CARD_EXPIRES_AT,
    CARD_PURCHASE,
    CARD_METADATA,
    CARD_FIELD_COUNT
};

static const char *const card_names[] = {
    [CARD_NUMBER] = "number",         [CARD_EXP_MONTH] = "exp_month",
    [CARD_EXP_YEAR] = "exp_year",     [CARD_CVV] = "cvv",
    [CARD_NAME] = "cardholder_name",  [CARD_FORMAT] = "format",
    [CARD_SINGLE_USE] = "single_use", [CARD_EXPIRES_AT] = "expires_at",
    [CARD_PURCHASE] = "purchase",     [CARD_METADATA] = "metadata",
    [CARD_FIELD_COUNT] = NULL};

enum code_field { CODE_CVV, CODE_PURCHASE };
static const char *const code_names[] = {[CODE_CVV] = "cvv", [CODE_PURCHASE] = "purchase", NULL};

static const char *const batch_names[] = {"cards", NULL};

void read_card_clear(struct read_card *card)
{
    secret_free(&card->number);
    secret_free(&card->cvv);
    buffer_free(&card->metadata);
    sodium_memzero(card, sizeof *card);
}

/* A key or value of metadata: no card in it, no control characters. */
static bool metadata_text_is_good(struct read_object *object, const char *key, const char *text)
{
    struct redact_hit hit;
    char field[POINTER_MAX];

    if (!redact_find((const uint8_t *)text, strlen(text), 0, &hit))
        return true;
    if (!read_object_is_good(object))
        return false;
    if (read_object_name_is_plain(key))
        (void)snprintf(field, sizeof field, "%s/metadata/%s", object->at, key);
    else
        (void)snprintf(field, sizeof field, "%s/metadata", object->at);
    problem_set(object->problem, PROBLEM_CARD_IN_FREE_TEXT, field, NULL);
    return false;
}

/* Written anew, so that what is stored is compact and nothing but what was checked. */
static void read_metadata(struct read_object *object, struct buffer *out)
{
    const struct json *json = object->json;
    uint32_t at = object->values[CARD_METADATA];
    char key[CONTRACT_METADATA_KEY_MAX + 1];
    char value[CONTRACT_METADATA_VALUE_MAX + 1];

    if (at == JSON_NONE)
        return;
    if (json->nodes[at].type != JSON_OBJECT || json->nodes[at].count > CONTRACT_METADATA_KEYS_MAX) {
        read_object_refuse(object, CARD_METADATA, PROBLEM_INVALID_FIELD,
                           "An object of up to 16 strings belongs here.");
        return;
    }
    struct json_writer writer = json_writer_over(out);
    json_begin_object(&writer);
    uint32_t node = json_first(json, at);
    for (uint32_t i = 0; i < json->nodes[at].count; i++) {
        uint32_t value_node = json->nodes[node].next;
        bool good = !failed(json_read_text(json, node, key, sizeof key, NULL)) && key[0] != '\0' &&
                    !failed(json_read_text(json, value_node, value, sizeof value, NULL));
        if (!good)
            read_object_refuse(object, CARD_METADATA, PROBLEM_INVALID_FIELD,
                               "Keys are 1 to 40 bytes, values strings of up to 500.");
        good = good && metadata_text_is_good(object, key, key) &&
               metadata_text_is_good(object, key, value);
        if (!good)
            break;
        json_put_member(&writer, key, value);
        node = json->nodes[value_node].next;
    }
    json_end_object(&writer);
    sodium_memzero(key, sizeof key);
    sodium_memzero(value, sizeof value);
    struct status status = buffer_status(out);
    if (status.why == WHY_NO_MEMORY)
        read_object_refuse(object, CARD_METADATA, PROBLEM_BUSY, NULL);
    else if (failed(status))
        read_object_refuse(object, CARD_METADATA, PROBLEM_INVALID_FIELD,
                           "Its escapes make it too large.");
}

static int64_t read_expires(struct read_object *object, int64_t now_ms)
{
    uint32_t at = object->values[CARD_EXPIRES_AT];
    char text[TIME_BYTES_MAX];
    size_t size = 0;
    int64_t ms = 0;

    if (at == JSON_NONE || object->json->nodes[at].type == JSON_NULL)
        return 0;
    if (failed(json_read_text(object->json, at, text, sizeof text, &size)) ||
        failed(clock_parse(text, size, &ms)))
        read_object_refuse(object, CARD_EXPIRES_AT, PROBLEM_INVALID_FIELD,
                           "A time as 2026-11-23T08:00:00Z or null belongs here.");
    else if (ms <= now_ms)
        read_object_refuse(object, CARD_EXPIRES_AT, PROBLEM_INVALID_FIELD, "It is in the past.");
    return ms;
}

static void take_cvv(struct read_object *object, unsigned field, uint8_t *body,
                     struct read_card *out)
{
    const struct read_object_secret rule = {field, CVV_BYTES_MAX, PROBLEM_INVALID_CVV};

    read_object_take(object, &rule, body, &out->cvv);
    if (out->cvv == NULL)
        return;
    out->card.cvv = secret_peek(out->cvv);
    out->card.cvv_size = (uint8_t)secret_size(out->cvv);
}

static void read_optional(struct read_object *object, int64_t now_ms, struct read_card *out)
{
    struct message_card *card = &out->card;

    read_object_free_text(object, CARD_NAME, out->name, sizeof out->name);
    card->name = (const uint8_t *)out->name;
    card->name_size = (uint8_t)strlen(out->name);
    card->format =
        (uint8_t)read_object_choice(object, CARD_FORMAT, view_format_names, MESSAGE_FORMAT_DEFAULT);
    card->single_use = read_object_bool(object, CARD_SINGLE_USE);
    card->expires_ms = read_expires(object, now_ms);
    read_object_free_text(object, CARD_PURCHASE, card->purchase, sizeof card->purchase);
    read_metadata(object, &out->metadata);
    card->metadata = out->metadata.bytes;
    card->metadata_size = (uint32_t)out->metadata.size;
}

static struct read_object object_at(const struct read_card_place *place, const char *const *names,
                                    struct problem *problem)
{
    return (struct read_object){.json = place->json,
                                .node = place->node,
                                .at = place->at,
                                .names = names,
                                .problem = problem};
}

static void begin(struct read_card *out)
{
    *out = (struct read_card){.card = {.format = MESSAGE_FORMAT_DEFAULT},
                              .metadata = BUFFER(VIEW_METADATA_BYTES_MAX)};
}

void read_card(const struct read_card_place *place, struct read_card *out_card)
{
    const struct read_object_secret number = {CARD_NUMBER, NUMBER_BYTES_MAX,
                                              PROBLEM_INVALID_NUMBER};
    const struct read_object_range month = {CARD_EXP_MONTH, 1, 12, PROBLEM_INVALID_EXPIRY};
    const struct read_object_range year = {CARD_EXP_YEAR, 2000, 2099, PROBLEM_INVALID_EXPIRY};

    begin(out_card);
    struct message_card *card = &out_card->card;
    struct read_object object = object_at(place, card_names, &card->problem);
    read_object_find(&object);
    read_object_take(&object, &number, place->body, &out_card->number);
    take_cvv(&object, CARD_CVV, place->body, out_card);

    read_object_check_names(&object);
    read_object_check_tracks(&object);
    read_object_need(&object, CARD_NUMBER);
    read_object_need(&object, CARD_EXP_MONTH);
    read_object_need(&object, CARD_EXP_YEAR);
    card->exp_month = (uint8_t)read_object_int(&object, &month);
    card->exp_year = (uint16_t)read_object_int(&object, &year);
    read_optional(&object, place->now_ms, out_card);
    if (out_card->number != NULL) {
        card->number = secret_peek(out_card->number);
        card->number_size = (uint8_t)secret_size(out_card->number);
    }
}

void read_card_code(const struct read_card_place *place, struct read_card *out_card)
{
    begin(out_card);
    struct read_object object = object_at(place, code_names, &out_card->card.problem);
    read_object_find(&object);
    take_cvv(&object, CODE_CVV, place->body, out_card);

    read_object_check_names(&object);
    read_object_check_tracks(&object);
    read_object_need(&object, CODE_CVV);
    read_object_free_text(&object, CODE_PURCHASE, out_card->card.purchase,
                          sizeof out_card->card.purchase);
}

static struct read_card_place whole_body(const struct request *request, const struct json *json)
{
    return (struct read_card_place){
        .json = json, .body = request->body, .node = 0, .at = "", .now_ms = request->now_ms};
}

/* What is wrong with the only card is wrong with the request. */
static void adopt_problem(struct request *request, const struct message_card *card)
{
    if (request_is_good(request))
        request->caller.problem = card->problem;
}

void read_card_one(struct request *request, struct buffer *out)
{
    struct read_card card OWNED(read_card_clear) = {0};
    struct json json;

    if (request_json(request, &json)) {
        struct read_card_place place = whole_body(request, &json);
        read_card(&place, &card);
        adopt_problem(request, &card.card);
    }
    message_caller_encode(&request->caller, out);
    buffer_add_u8(out, 0);
    buffer_add_u16(out, request_is_good(request) ? 1 : 0);
    if (request_is_good(request))
        message_card_encode(&card.card, out);
}

void read_card_cvv(struct request *request, struct buffer *out)
{
    struct read_card card OWNED(read_card_clear) = {0};
    struct json json;

    if (request_json(request, &json)) {
        struct read_card_place place = whole_body(request, &json);
        read_card_code(&place, &card);
        adopt_problem(request, &card.card);
    }
    message_caller_encode(&request->caller, out);
    buffer_add_counted(out, request->token);
    card.card.problem = request->caller.problem;
    message_card_encode(&card.card, out);
}

/* The batch's list, or JSON_NONE with the request's problem. */
static uint32_t batch_list(struct request *request, const struct json *json)
{
    struct problem problem = PROBLEM_NOTHING;
    struct read_object object = {
        .json = json, .node = 0, .at = "", .names = batch_names, .problem = &problem};

    read_object_find(&object);
    read_object_check_names(&object);
    read_object_need(&object, 0);
    if (read_object_is_good(&object)) {
        const struct json_node *list = &json->nodes[object.values[0]];
        if (list->type != JSON_ARRAY || list->count == 0)
            read_object_refuse(&object, 0, PROBLEM_INVALID_FIELD, "A list of 1 to 1000 cards.");
        else if (list->count > CONTRACT_BATCH_CARDS_MAX)
            read_object_refuse(&object, 0, PROBLEM_TOO_LARGE, "A batch takes at most 1000 cards.");
    }
    if (read_object_is_good(&object))
        return object.values[0];
    request->caller.problem = problem;
    return JSON_NONE;
}

/* One card after another, so that no more than one is in locked memory at a time. */
void read_card_batch(struct request *request, struct buffer *out)
{
    uint32_t list = JSON_NONE;
    struct json json;
    char at[POINTER_MAX];

    if (request_json(request, &json))
        list = batch_list(request, &json);
    message_caller_encode(&request->caller, out);
    buffer_add_u8(out, 1);
    if (list == JSON_NONE) {
        buffer_add_u16(out, 0);
        return;
    }
    buffer_add_u16(out, (uint16_t)json.nodes[list].count);
    uint32_t node = json_first(&json, list);
    for (uint32_t i = 0; i < json.nodes[list].count; i++, node = json.nodes[node].next) {
        struct read_card card OWNED(read_card_clear) = {0};
        struct read_card_place place = whole_body(request, &json);
        (void)snprintf(at, sizeof at, "/cards/%u", (unsigned)i);
        place.node = node;
        place.at = at;
        read_card(&place, &card);
        message_card_encode(&card.card, out);
    }
}
