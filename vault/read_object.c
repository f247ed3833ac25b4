/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/read_object.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/own.h"
#include "base/redact.h"

#define NAME_BYTES_MAX      40u
#define NAME_DIGITS_MAX     6u /* As many as of a card may be shown. */
#define POINTER_BYTES_MAX   96u
#define STRING_BYTES_MAX    (2u << 20) /* As the largest body. */
#define FREE_TEXT_BYTES_MAX 512u

/* What stands on a stripe or belongs to a PIN; refused by name, whatever it holds (SAD-3). */
static const char *const forbidden[] = {"track1", "track2",    "track",        "magstripe",
                                        "pin",    "pin_block", "service_code", NULL};

bool read_object_is_good(const struct read_object *object)
{
    return object->problem->code == PROBLEM_NONE;
}

static void refuse_at(struct read_object *object, const char *name, enum problem_code code,
                      const char *detail)
{
    char pointer[POINTER_BYTES_MAX];

    if (!read_object_is_good(object))
        return;
    if (name == NULL) {
        problem_set(object->problem, code, object->at[0] == '\0' ? NULL : object->at, detail);
        return;
    }
    int size = snprintf(pointer, sizeof pointer, "%s/%s", object->at, name);
    assert(size > 0);
    assert((size_t)size < sizeof pointer);
    problem_set(object->problem, code, pointer, detail);
}

void read_object_refuse(struct read_object *object, unsigned field, enum problem_code code,
                        const char *detail)
{
    refuse_at(object, object->names[field], code, detail);
}

static const struct json_node *value_of(const struct read_object *object, unsigned field)
{
    assert(field < READ_OBJECT_FIELDS_MAX);
    uint32_t at = object->values[field];
    return at == JSON_NONE ? NULL : &object->json->nodes[at];
}

static unsigned name_place(const struct json *json, uint32_t key, const char *const *names)
{
    unsigned place = 0;

    while (names[place] != NULL && !json_equals(json, key, names[place]))
        place++;
    return place;
}

void read_object_find(struct read_object *object)
{
    const struct json *json = object->json;
    const struct json_node *node = &json->nodes[object->node];
    unsigned known = 0;

    for (; object->names[known] != NULL; known++)
        assert(known < READ_OBJECT_FIELDS_MAX);
    for (unsigned i = 0; i < READ_OBJECT_FIELDS_MAX; i++)
        object->values[i] = JSON_NONE;
    if (node->type != JSON_OBJECT) {
        refuse_at(object, NULL, PROBLEM_INVALID_FIELD, "An object belongs here.");
        return;
    }
    uint32_t key = json_first(json, object->node);
    for (uint32_t i = 0; i < node->count; i++) {
        uint32_t value = json->nodes[key].next;
        unsigned place = name_place(json, key, object->names);
        if (place < known)
            object->values[place] = value;
        key = json->nodes[value].next;
    }
}

bool read_object_name_is_plain(const char *name)
{
    size_t size = strlen(name);
    unsigned digits = 0;

    for (size_t i = 0; i < size; i++) {
        char c = name[i];
        bool is_digit = c >= '0' && c <= '9';
        if (!is_digit && !(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && c != '_' && c != '-')
            return false;
        digits += is_digit ? 1 : 0;
    }
    return size >= 1 && size <= NAME_BYTES_MAX && digits <= NAME_DIGITS_MAX;
}

/* One member's name, or NULL where it cannot be repeated. */
static const char *name_shown(const struct json *json, uint32_t key,
                              char out[static NAME_BYTES_MAX + 1])
{
    if (failed(json_read_text(json, key, out, NAME_BYTES_MAX + 1, NULL)))
        return NULL;
    return read_object_name_is_plain(out) ? out : NULL;
}

static void check_names(struct read_object *object, bool forbidden_only)
{
    const struct json *json = object->json;
    const struct json_node *node = &json->nodes[object->node];
    uint32_t key = json_first(json, object->node);
    char name[NAME_BYTES_MAX + 1];

    for (uint32_t i = 0; i < node->count; i++) {
        unsigned place = name_place(json, key, forbidden);
        if (forbidden_only && forbidden[place] != NULL)
            refuse_at(object, forbidden[place], PROBLEM_TRACK_DATA_REFUSED, NULL);
        if (!forbidden_only && object->names[name_place(json, key, object->names)] == NULL)
            refuse_at(object, name_shown(json, key, name), PROBLEM_UNKNOWN_FIELD, NULL);
        key = json->nodes[json->nodes[key].next].next;
    }
}

void read_object_check_names(struct read_object *object)
{
    if (object->json->nodes[object->node].type != JSON_OBJECT)
        return;
    check_names(object, true);
    check_names(object, false);
}

/* Escapes are resolved first: \u003b begins a track as well as a semicolon. */
static bool is_track(const struct json *json, uint32_t at, struct buffer *scratch)
{
    const struct json_node *node = &json->nodes[at];
    size_t size = 0;

    if (!node->escaped)
        return redact_is_track(json->bytes + node->start, node->size);
    buffer_clear(scratch);
    uint8_t *room = buffer_extend(scratch, (size_t)node->size + 1);
    if (room == NULL)
        return true; /* What cannot be looked at is not let through. */
    if (failed(json_read_text(json, at, (char *)room, scratch->size, &size)))
        return false; /* U+0000, which no field takes. */
    return redact_is_track(room, size);
}

void read_object_check_tracks(struct read_object *object)
{
    struct buffer scratch OWNED(buffer_free) = BUFFER(STRING_BYTES_MAX + 1);
    const struct json *json = object->json;
    uint32_t end = json->nodes[object->node].next;

    for (uint32_t at = object->node; at < end && read_object_is_good(object); at++)
        if (json->nodes[at].type == JSON_STRING && is_track(json, at, &scratch))
            refuse_at(object, NULL, PROBLEM_TRACK_DATA_REFUSED, NULL);
}

void read_object_need(struct read_object *object, unsigned field)
{
    if (value_of(object, field) == NULL)
        read_object_refuse(object, field, PROBLEM_MISSING_FIELD, NULL);
}

/* Every string and number at and inside a value: also of one that should have been a string. */
static void blank(const struct json *json, uint32_t value, uint8_t *body)
{
    for (uint32_t at = value; at < json->nodes[value].next; at++) {
        const struct json_node *node = &json->nodes[at];
        if (node->type == JSON_STRING || node->type == JSON_NUMBER)
            memset(body + node->start, '0', node->size);
    }
}

void read_object_take(struct read_object *object, const struct read_object_secret *rule,
                      uint8_t *body, struct secret **out_secret)
{
    const struct json_node *node = value_of(object, rule->field);
    OWNED(secret_free) struct secret *secret = NULL;
    size_t size = 0;

    assert(body == object->json->bytes);
    assert(rule->size_max < SECRET_BYTES_MAX);
    *out_secret = NULL;
    if (node == NULL)
        return;
    struct status status = secret_new(SECRET_BYTES_MAX, &secret);
    bool room = !failed(status);
    if (room)
        status = json_read_text(object->json, object->values[rule->field],
                                (char *)secret_bytes(secret), SECRET_BYTES_MAX, &size);
    blank(object->json, object->values[rule->field], body);
    if (!room)
        read_object_refuse(object, rule->field, PROBLEM_BUSY, NULL);
    else if (node->type != JSON_STRING)
        read_object_refuse(object, rule->field, PROBLEM_INVALID_FIELD, "A string belongs here.");
    else if (!failed(status) && redact_is_track(secret_peek(secret), size))
        read_object_refuse(object, rule->field, PROBLEM_TRACK_DATA_REFUSED, NULL);
    else if (failed(status) || size == 0 || size > rule->size_max)
        read_object_refuse(object, rule->field, rule->code, "Its length cannot be right.");
    else {
        secret_shorten(secret, size);
        *out_secret = MOVE(secret);
    }
}

static bool is_printable(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
            return false;
    return true;
}

void read_object_text(struct read_object *object, unsigned field, char *out, size_t out_size)
{
    char detail[80];
    size_t size = 0;

    out[0] = '\0';
    if (value_of(object, field) == NULL)
        return;
    struct status status =
        json_read_text(object->json, object->values[field], out, out_size, &size);
    if (!failed(status) && size > 0 && is_printable(out, size))
        return;
    out[0] = '\0';
    (void)snprintf(detail, sizeof detail,
                   "A string of 1 to %zu bytes without control characters belongs here.",
                   out_size - 1);
    read_object_refuse(object, field, PROBLEM_INVALID_FIELD, detail);
}

void read_object_free_text(struct read_object *object, unsigned field, char *out, size_t out_size)
{
    struct redact_hit hit;

    assert(out_size <= FREE_TEXT_BYTES_MAX);
    read_object_text(object, field, out, out_size);
    if (!redact_find((const uint8_t *)out, strlen(out), 0, &hit))
        return;
    read_object_refuse(object, field, PROBLEM_CARD_IN_FREE_TEXT, NULL);
    memset(out, 0, out_size);
}

int64_t read_object_int(struct read_object *object, const struct read_object_range *rule)
{
    char detail[80];
    int64_t value = 0;

    if (value_of(object, rule->field) == NULL)
        return 0;
    if (failed(json_int(object->json, object->values[rule->field], &value))) {
        read_object_refuse(object, rule->field, PROBLEM_INVALID_FIELD, "An integer belongs here.");
        return 0;
    }
    if (value >= rule->least && value <= rule->most)
        return value;
    (void)snprintf(detail, sizeof detail, "It must lie between %lld and %lld.",
                   (long long)rule->least, (long long)rule->most);
    read_object_refuse(object, rule->field, rule->code, detail);
    return 0;
}

bool read_object_bool(struct read_object *object, unsigned field)
{
    const struct json_node *node = value_of(object, field);

    if (node == NULL || node->type == JSON_FALSE)
        return false;
    if (node->type != JSON_TRUE)
        read_object_refuse(object, field, PROBLEM_INVALID_FIELD, "true or false belongs here.");
    return node->type == JSON_TRUE;
}

unsigned read_object_choice(struct read_object *object, unsigned field, const char *const *choices,
                            unsigned fallback)
{
    if (value_of(object, field) == NULL)
        return fallback;
    for (unsigned i = 0; choices[i] != NULL; i++)
        if (json_equals(object->json, object->values[field], choices[i]))
            return i;
    read_object_refuse(object, field, PROBLEM_INVALID_FIELD, "It is none of the known words.");
    return fallback;
}
