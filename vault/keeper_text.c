/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/keeper_text.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

#include "base/own.h"

#define ID_DIGITS_MAX 12u /* As many as no card has. */

static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:+-";

STATUS keeper_text_open(struct cursor *in, struct keeper_text *out_text)
{
    out_text->body = BUFFER(MESSAGE_TEXT_BODY_MAX);
    message_text_decode(in, &out_text->head);
    ENSURE(cursor_done(in), WHY_BAD_INPUT);
    buffer_add(&out_text->body, out_text->head.body, out_text->head.body_size);
    out_text->head.body = NULL;
    return buffer_status(&out_text->body);
}

void keeper_text_close(struct keeper_text *text)
{
    buffer_free(&text->body);
    sodium_memzero(text, sizeof *text);
}

STATUS keeper_text_object(struct keeper_op *op, struct keeper_text *text, const char *const *names,
                          struct read_object *out_object)
{
    size_t wrong_at = 0;

    if (text->head.query[0] != '\0')
        return keeper_refuse(op, PROBLEM_UNKNOWN_FIELD, NULL, "This path takes no query.");
    if (text->body.size == 0)
        buffer_add_text(&text->body, "{}");
    TRY(buffer_status(&text->body));
    struct status status = json_read(text->body.bytes, text->body.size, text->nodes,
                                     KEEPER_TEXT_NODES, &text->json, &wrong_at);
    if (status.why == WHY_LIMIT)
        return keeper_refuse(op, PROBLEM_TOO_LARGE, NULL,
                             "The body is nested too deep or holds too many values.");
    if (failed(status))
        return keeper_refuse(op, PROBLEM_INVALID_JSON, NULL, NULL);
    *out_object = (struct read_object){
        .json = &text->json, .node = 0, .at = "", .names = names, .problem = &op->problem};
    read_object_find(out_object);
    if (read_object_is_good(out_object))
        read_object_check_names(out_object);
    return STATUS_OK;
}

STATUS keeper_text_judge(const struct read_object *object)
{
    ENSURE(read_object_is_good(object), WHY_BAD_INPUT);
    return STATUS_OK;
}

/* One `name=value`; false where it is not one of ours, or is there already. */
static bool param_take(const char *pair, size_t size, const char *const *names,
                       struct keeper_text_param *out_params)
{
    const char *equals = memchr(pair, '=', size);

    if (equals == NULL)
        return false;
    size_t name_size = (size_t)(equals - pair);
    size_t value_size = size - name_size - 1;
    for (unsigned i = 0; names[i] != NULL; i++) {
        char *value = out_params[i].value;
        if (strlen(names[i]) != name_size || memcmp(names[i], pair, name_size) != 0)
            continue;
        if (value[0] != '\0' || value_size < 1 || value_size >= sizeof out_params[i].value ||
            strspn(equals + 1, plain) < value_size)
            return false;
        memcpy(value, equals + 1, value_size);
        value[value_size] = '\0';
        return true;
    }
    return false;
}

STATUS keeper_text_params(struct keeper_op *op, struct keeper_text *text, const char *const *names,
                          struct keeper_text_param *out_params)
{
    const char *at = text->head.query;

    for (unsigned i = 0; names[i] != NULL; i++) {
        assert(i < KEEPER_TEXT_PARAMS);
        out_params[i] = (struct keeper_text_param){0};
    }
    if (text->body.size > 0)
        return keeper_refuse(op, PROBLEM_INVALID_FRAMING, NULL, "This method takes no body.");
    while (*at != '\0') {
        size_t size = strcspn(at, "&");
        if (!param_take(at, size, names, out_params))
            return keeper_refuse(op, PROBLEM_UNKNOWN_FIELD, NULL,
                                 "The query is name=value, with names that this path knows, each "
                                 "once, and plain values.");
        at += size + (at[size] == '&' ? 1 : 0);
    }
    return STATUS_OK;
}

STATUS keeper_text_id(const struct keeper_text *text, const char *prefix, uint64_t *out_id)
{
    const char *segment = text->head.segment;
    size_t skip = strlen(prefix);
    uint64_t id = 0;

    ENSURE(strncmp(segment, prefix, skip) == 0, WHY_NOT_FOUND);
    size_t digits = strlen(segment + skip);
    ENSURE(digits >= 1 && digits <= ID_DIGITS_MAX, WHY_NOT_FOUND);
    ENSURE(segment[skip] != '0', WHY_NOT_FOUND);
    for (size_t i = 0; i < digits; i++) {
        char digit = segment[skip + i];
        ENSURE(digit >= '0' && digit <= '9', WHY_NOT_FOUND);
        id = id * 10 + (uint64_t)(digit - '0');
    }
    *out_id = id;
    return STATUS_OK;
}

STATUS keeper_answer_text(struct keeper_op *op, unsigned status, const struct buffer *body)
{
    assert(status >= 200 && status <= 299);
    TRY(buffer_status(body));
    struct buffer *out = keeper_answer(op, MESSAGE_TEXT);
    buffer_add_u16(out, (uint16_t)status);
    buffer_add_counted(out, "application/json");
    buffer_add(out, body->bytes, body->size);
    return keeper_answer_end(op);
}
