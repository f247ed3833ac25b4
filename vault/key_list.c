/* SPDX-License-Identifier: Apache-2.0 */
/* GET /v1/keys and /v1/keys/{id}: which keys there are, page by page, or one of them. */
#include <stdio.h>
#include <string.h>

#include "base/own.h"
#include "vault/keeper_text.h"
#include "vault/key_view.h"

#define LIST_MAX       500u
#define LIST_BYTES_MAX (512u * 1024u)
#define ONE_BYTES_MAX  4096u
#define NUMBER_DIGITS  12u

STATUS key_list_number(struct keeper_op *op, const char *text, const char *field,
                       uint64_t *out_number)
{
    size_t size = strlen(text);
    uint64_t value = 0;

    if (size > NUMBER_DIGITS || strspn(text, "0123456789") != size)
        return keeper_refuse(op, PROBLEM_INVALID_FIELD, field, "This is a whole number.");
    for (; *text != '\0'; text++)
        value = 10 * value + (uint64_t)(*text - '0');
    *out_number = value;
    return STATUS_OK;
}

/* The filters: "" lets all through. */
enum { PARAM_TENANT, PARAM_PURPOSE, PARAM_STATE, PARAM_AFTER, PARAM_LIMIT, PARAM_COUNT };
static const char *const list_names[] = {"tenant", "purpose", "state", "after", "limit", NULL};

static bool list_wants(const struct keeper_text_param *params, const struct key_info *info)
{
    const char *const facts[] = {info->tenant, key_purpose_name(info->purpose),
                                 key_state_name(info->state)};

    for (unsigned i = 0; i < PARAM_AFTER; i++)
        if (params[i].value[0] != '\0' && strcmp(params[i].value, facts[i]) != 0)
            return false;
    return true;
}

/* Returns whether there are more behind the page. */
static bool list_add(struct keeper_op *op, const struct keeper_text_param *params, uint64_t after,
                     uint64_t limit, struct json_writer *out)
{
    struct key_info info;
    uint64_t count = 0;

    for (uint64_t id = after + 1; !failed(key_view_find(op->keeper, id, &info)); id++) {
        if (!list_wants(params, &info))
            continue;
        if (count++ == limit)
            return true;
        key_view_put(op->keeper, &info, out);
    }
    return false;
}

STATUS key_list_all(struct keeper_op *op, struct cursor *in)
{
    OWNED(keeper_text_close) struct keeper_text text = {0};
    struct keeper_text_param params[PARAM_COUNT];
    struct buffer body OWNED(buffer_free) = BUFFER(LIST_BYTES_MAX);
    struct json_writer writer = json_writer_over(&body);
    struct audit_entry entry = {.object = "keys"};
    uint64_t after = 0;
    uint64_t limit = 0;

    TRY(keeper_text_open(in, &text));
    TRY(keeper_text_params(op, &text, list_names, params));
    TRY(key_list_number(op, params[PARAM_AFTER].value, "/after", &after));
    TRY(key_list_number(op, params[PARAM_LIMIT].value, "/limit", &limit));
    if (limit == 0 || limit > LIST_MAX)
        limit = LIST_MAX;
    json_begin_object(&writer);
    json_key(&writer, "keys");
    json_begin_array(&writer);
    bool more = list_add(op, params, after, limit, &writer);
    json_end_array(&writer);
    json_put_member_bool(&writer, "more", more);
    json_end_object(&writer);
    TRY(keeper_record(op, &entry));
    return keeper_answer_text(op, 200, &body);
}

STATUS key_list_one(struct keeper_op *op, struct cursor *in)
{
    static const char *const no_names[] = {NULL};
    OWNED(keeper_text_close) struct keeper_text text = {0};
    struct buffer body OWNED(buffer_free) = BUFFER(ONE_BYTES_MAX);
    struct json_writer writer = json_writer_over(&body);
    struct key_info info;
    struct audit_entry entry = {.object = op->object};
    uint64_t id = 0;

    TRY(keeper_text_open(in, &text));
    (void)snprintf(op->object, sizeof op->object, "key/%.32s", text.head.segment);
    TRY(keeper_text_params(op, &text, no_names, NULL));
    TRY(keeper_text_id(&text, "", &id));
    TRY(key_view_find(op->keeper, id, &info));
    key_view_put(op->keeper, &info, &writer);
    TRY(keeper_record(op, &entry));
    return keeper_answer_text(op, 200, &body);
}
