/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/own.h"
#include "relay/slots_surface.h"

/* Every value of JSON but the first costs two bytes and more, so this is also what a body within
 * the usual limits can hold at most. */
#define NODES_MAX 65536u

static const char hex_digits[] = "0123456789abcdef";

static void nodes_free(struct json_node **nodes)
{
    free(*nodes);
    *nodes = NULL;
}

/* The slots that stand in this body, by node. */
struct found {
    uint32_t nodes[PROFILE_SLOTS_MAX]; /* JSON_NONE where the pointer leads nowhere. */
    unsigned count;
};

/* Digits without a leading zero (RFC 6901 section 4). */
static uint32_t element_find(const struct json *json, uint32_t array, const char *part)
{
    size_t size = strlen(part);
    uint32_t index = 0;

    if (size == 0 || size > 6 || (size > 1 && part[0] == '0'))
        return JSON_NONE;
    for (size_t i = 0; i < size; i++) {
        if (part[i] < '0' || part[i] > '9')
            return JSON_NONE;
        index = index * 10 + (uint32_t)(part[i] - '0');
    }
    if (index >= json->nodes[array].count)
        return JSON_NONE;
    uint32_t node = json_first(json, array);
    for (uint32_t i = 0; i < index; i++)
        node = json->nodes[node].next;
    return node;
}

/* Copies one part of a pointer, "~1" and "~0" resolved; returns what stands behind it. */
static const char *part_read(const char *at, char *out)
{
    while (*at != '\0' && *at != '/') {
        if (at[0] == '~' && (at[1] == '0' || at[1] == '1')) {
            *out++ = at[1] == '0' ? '~' : '/';
            at += 2;
        } else {
            *out++ = *at++;
        }
    }
    *out = '\0';
    return at;
}

static uint32_t pointer_find(const struct json *json, const char *pointer)
{
    char part[sizeof((struct profile_slot *)NULL)->place];
    uint32_t node = 0;

    while (*pointer == '/' && node != JSON_NONE) {
        pointer = part_read(pointer + 1, part);
        if (json->nodes[node].type == JSON_OBJECT)
            node = json_member(json, node, part);
        else if (json->nodes[node].type == JSON_ARRAY)
            node = element_find(json, node, part);
        else
            node = JSON_NONE;
    }
    return node;
}

/* Adds "/name", raw but for '~' and '/'. */
static void part_add(struct buffer *out, const struct json *json, uint32_t key)
{
    const uint8_t *name = json->bytes + json->nodes[key].start;

    buffer_add_u8(out, '/');
    for (uint32_t i = 0; i < json->nodes[key].size; i++) {
        if (name[i] == '~')
            buffer_add_text(out, "~0");
        else if (name[i] == '/')
            buffer_add_text(out, "~1");
        else
            buffer_add_u8(out, name[i]);
    }
}

/* Writes the pointer that leads to `node`; for a key, the one of the object that it stands in. */
static void pointer_write(const struct json *json, uint32_t node, struct buffer *out)
{
    uint32_t at = 0;

    while (at != node) {
        bool is_object = json->nodes[at].type == JSON_OBJECT;
        uint32_t child = json_first(json, at);
        uint32_t value = is_object ? child + 1 : child;
        uint32_t index = 0;
        while (node >= json->nodes[value].next) {
            child = json->nodes[value].next;
            value = is_object ? child + 1 : child;
            index++;
        }
        if (is_object && node == child)
            return;
        if (is_object)
            part_add(out, json, child);
        else
            buffer_format(out, "/%u", index);
        at = value;
    }
}

static STATUS outside_check(struct slots_search *search, const struct json *json, uint32_t node)
{
    bool hidden = false;

    TRY(slots_find_hidden(json->bytes + json->nodes[node].start, json->nodes[node].size, &hidden));
    if (!hidden)
        return STATUS_OK;
    OWNED(buffer_free) struct buffer pointer = BUFFER(2 * json->size + 16 * JSON_DEPTH_MAX);
    pointer_write(json, node, &pointer);
    return slots_refuse(search, PROBLEM_TOKEN_OUTSIDE_SLOT, NULL, pointer.bytes, pointer.size);
}

static STATUS value_judge(struct slots_search *search, const struct json *json, uint32_t at,
                          const struct profile_slot *declared)
{
    const struct json_node *node = &json->nodes[at];
    struct slots_value value = {.declared = declared, .start = node->start, .size = node->size};

    if (node->type == JSON_NULL)
        return STATUS_OK; /* As good as absent. */
    OWNED(buffer_free) struct buffer text = BUFFER((size_t)node->size + 1);
    if (node->type == JSON_STRING) {
        char *out = (char *)buffer_extend(&text, (size_t)node->size + 1);
        TRY(buffer_status(&text));
        if (failed(json_read_text(json, at, out, (size_t)node->size + 1, &value.text_size)))
            return slots_refuse(search, PROBLEM_INVALID_EXPRESSION, "A NUL stands there.",
                                declared->place, strlen(declared->place));
        value.text = out;
        value.quoted = true;
        return slots_judge(search, SLOT_JSON, &value);
    }
    if (node->type == JSON_NUMBER) {
        buffer_add(&text, json->bytes + node->start, node->size);
        TRY(buffer_status(&text));
        value.text = buffer_text(&text);
        value.text_size = text.size;
        return slots_judge(search, SLOT_JSON, &value);
    }
    return slots_refuse(search, PROBLEM_INVALID_EXPRESSION, "A slot takes a string.",
                        declared->place, strlen(declared->place));
}

static bool found_has(const struct found *found, uint32_t node)
{
    for (unsigned i = 0; i < found->count; i++)
        if (found->nodes[i] == node)
            return true;
    return false;
}

/* Pointers were declared in any order; filling goes through the body from front to back. */
static void slots_sort(struct slots *slots)
{
    for (unsigned i = 1; i < slots->count; i++) {
        struct slot slot = slots->list[i];
        unsigned at = i;
        for (; at > 0 && slots->list[at - 1].start > slot.start; at--)
            slots->list[at] = slots->list[at - 1];
        slots->list[at] = slot;
    }
}

/* A place and not what stands there. */
static STATUS unread_refuse(struct slots_search *search, struct status status, size_t wrong_at)
{
    char detail[64];

    if (status.why == WHY_LIMIT)
        (void)snprintf(detail, sizeof detail, "It is nested too deep or holds too many values.");
    else
        (void)snprintf(detail, sizeof detail, "The byte at offset %zu is wrong.", wrong_at);
    return slots_refuse(search, PROBLEM_INVALID_JSON, detail, "", 0);
}

STATUS slots_json_find(struct slots_search *search)
{
    const struct slots_request *request = search->request;
    const struct profile *profile = search->profile;
    OWNED(nodes_free) struct json_node *nodes = NULL;
    struct found found = {.count = profile->json_count};
    struct json json;
    size_t wrong_at;

    size_t node_max = request->body_size / 2 + 2;
    if (node_max > NODES_MAX)
        node_max = NODES_MAX;
    nodes = calloc(node_max, sizeof *nodes);
    ENSURE(nodes != NULL, WHY_NO_MEMORY);
    struct status status =
        json_read(request->body, request->body_size, nodes, (uint32_t)node_max, &json, &wrong_at);
    if (failed(status))
        return unread_refuse(search, status, wrong_at);

    for (unsigned i = 0; i < profile->json_count; i++) {
        found.nodes[i] = pointer_find(&json, profile->json[i].place);
        if (found.nodes[i] != JSON_NONE)
            TRY(value_judge(search, &json, found.nodes[i], &profile->json[i]));
    }
    for (uint32_t at = 0; at < json.count; at++)
        if (nodes[at].type == JSON_STRING && !found_has(&found, at))
            TRY(outside_check(search, &json, at));
    slots_sort(search->slots);
    return STATUS_OK;
}

void slots_json_escape(struct buffer *out, const uint8_t *value, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        uint8_t c = value[i];
        if (c == '"' || c == '\\') {
            buffer_add_u8(out, '\\');
            buffer_add_u8(out, c);
        } else if (c < 0x20) {
            buffer_add_text(out, "\\u00");
            buffer_add_u8(out, (uint8_t)hex_digits[c >> 4]);
            buffer_add_u8(out, (uint8_t)hex_digits[c & 15]);
        } else {
            buffer_add_u8(out, c);
        }
    }
}
