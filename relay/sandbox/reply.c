/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/sandbox/reply.h"

#include <assert.h>

struct reply reply_new(void)
{
    return (struct reply){.status = 200, .body = BUFFER(REPLY_BYTES_MAX)};
}

void reply_free(struct reply *reply)
{
    buffer_free(&reply->body);
}

void reply_fail(struct reply *reply, const struct reply_error *error)
{
    assert(error->status >= 400);
    assert(error->type != NULL);
    reply->status = error->status;
    buffer_clear(&reply->body);
    struct json_writer writer = json_writer_over(&reply->body);
    json_begin_object(&writer);
    json_key(&writer, "error");
    json_begin_object(&writer);
    if (error->intent != NULL && error->intent->charge[0] != '\0')
        json_put_member(&writer, "charge", error->intent->charge);
    if (error->code != NULL)
        json_put_member(&writer, "code", error->code);
    if (error->decline_code != NULL)
        json_put_member(&writer, "decline_code", error->decline_code);
    json_put_member(&writer, "message", error->message);
    if (error->param != NULL)
        json_put_member(&writer, "param", error->param);
    if (error->intent != NULL) {
        json_key(&writer, "payment_intent");
        json_begin_object(&writer);
        intent_write_members(error->intent, &writer);
        json_end_object(&writer);
    }
    json_put_member(&writer, "type", error->type);
    json_end_object(&writer);
    json_end_object(&writer);
}

void reply_bad_param(struct reply *reply, const char *code, const char *param, const char *message)
{
    reply_fail(reply, &(struct reply_error){.status = 400,
                                            .type = "invalid_request_error",
                                            .code = code,
                                            .param = param,
                                            .message = message});
}

void reply_intent(struct reply *reply, const struct intent *intent)
{
    buffer_clear(&reply->body);
    struct json_writer writer = json_writer_over(&reply->body);
    json_begin_object(&writer);
    intent_write_members(intent, &writer);
    json_end_object(&writer);
}
