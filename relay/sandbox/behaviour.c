/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/sandbox/behaviour.h"

#include <assert.h>
#include <string.h>

#include "base/encode.h"
#include "base/own.h"

#define SHAPE_BYTES_MAX 256u

static const char *const names[BEHAVIOUR_COUNT] = {
    [BEHAVIOUR_NONE] = "",
    [BEHAVIOUR_APPROVE] = "approve",
    [BEHAVIOUR_DECLINE] = "decline",
    [BEHAVIOUR_REQUIRES_ACTION] = "requires_action",
    [BEHAVIOUR_SLOW] = "slow",
    [BEHAVIOUR_CLOSE_BEFORE] = "close_before",
    [BEHAVIOUR_CLOSE_HALF] = "close_half",
    [BEHAVIOUR_ECHO] = "echo",
    [BEHAVIOUR_MALFORMED] = "malformed",
    [BEHAVIOUR_ERROR_500] = "error_500",
    [BEHAVIOUR_ERROR_400] = "error_400",
    [BEHAVIOUR_REDIRECT] = "redirect",
};

STATUS behaviour_parse(const char *text, enum behaviour *out)
{
    if (text == NULL) {
        *out = BEHAVIOUR_NONE;
        return STATUS_OK;
    }
    for (unsigned i = BEHAVIOUR_APPROVE; i < BEHAVIOUR_COUNT; i++)
        if (strcmp(names[i], text) == 0) {
            *out = (enum behaviour)i;
            return STATUS_OK;
        }
    return FAIL(WHY_BAD_INPUT);
}

bool behaviour_verdict(enum behaviour behaviour, struct card_verdict *out)
{
    if (behaviour == BEHAVIOUR_APPROVE)
        *out = card_verdict_of(CARD_APPROVED);
    else if (behaviour == BEHAVIOUR_DECLINE)
        *out = card_verdict_of(CARD_DECLINED);
    else if (behaviour == BEHAVIOUR_REQUIRES_ACTION)
        *out = card_verdict_of(CARD_REQUIRES_ACTION);
    else
        return false;
    return true;
}

bool behaviour_instead(enum behaviour behaviour, struct reply *reply)
{
    if (behaviour == BEHAVIOUR_ERROR_500) {
        reply->began = true; /* Stripe keeps a 500 under its key too. */
        reply_fail(reply, &(struct reply_error){.status = 500,
                                                .type = "api_error",
                                                .message = "An unknown error occurred."});
        return true;
    }
    if (behaviour == BEHAVIOUR_ERROR_400) {
        reply_bad_param(reply, NULL, NULL, "The sandbox was asked to refuse this request.");
        return true;
    }
    if (behaviour == BEHAVIOUR_REDIRECT) {
        reply->status = 302;
        return true;
    }
    return false;
}

/* "4242 4242 4242 4242", or with another character between the groups. */
static void grouped(const char *number, char between, struct buffer *out)
{
    for (size_t i = 0; number[i] != '\0'; i++) {
        if (i > 0 && i % 4 == 0)
            buffer_add_u8(out, (uint8_t)between);
        buffer_add_u8(out, (uint8_t)number[i]);
    }
}

static void shape_put(struct json_writer *writer, const char *key, struct buffer *shape)
{
    json_put_member(writer, key, buffer_text(shape));
    buffer_clear(shape);
}

static void base64_put(struct json_writer *writer, const char *key, const char *text)
{
    char encoded[ENCODE_BASE64_SIZE(SHAPE_BYTES_MAX)];
    size_t size = strlen(text);
    assert(size <= SHAPE_BYTES_MAX);
    encode_base64(text, size, encoded);
    json_put_member(writer, key, encoded);
}

static void echo_write(const struct card *card, struct json_writer *writer)
{
    OWNED(buffer_free) struct buffer shape = BUFFER(SHAPE_BYTES_MAX);
    json_put_member(writer, "number", card->number);
    json_put_member(writer, "cvc", card->cvc);
    grouped(card->number, ' ', &shape);
    shape_put(writer, "number_with_spaces", &shape);
    grouped(card->number, '-', &shape);
    shape_put(writer, "number_with_hyphens", &shape);
    base64_put(writer, "base64", card->number);
    /* The other two alignments that base64 has. */
    buffer_format(&shape, "n=%s&cvc=%s", card->number, card->cvc);
    base64_put(writer, "base64_within", buffer_text(&shape));
    buffer_clear(&shape);
    buffer_format(&shape, "{\"number\":\"%s\",\"cvc\":\"%s\"}", card->number, card->cvc);
    base64_put(writer, "base64_json", buffer_text(&shape));
    shape_put(writer, "json_within_text", &shape);
    json_key(writer, "nested");
    json_begin_array(writer);
    json_begin_object(writer);
    json_key(writer, "card");
    json_begin_object(writer);
    json_put_member(writer, "number", card->number);
    json_put_member(writer, "security_code", card->cvc);
    json_end_object(writer);
    json_end_object(writer);
    json_end_array(writer);
    buffer_format(&shape, "The card %s with the code %s cannot be used here.", card->number,
                  card->cvc);
    json_key(writer, "error");
    json_begin_object(writer);
    shape_put(writer, "message", &shape);
    json_end_object(writer);
}

void behaviour_echo(const struct card *card, struct reply *reply)
{
    struct buffer *body = &reply->body;
    if (body->size == 0 || body->bytes[body->size - 1] != '}')
        return;
    OWNED(buffer_free) struct buffer echo = BUFFER(REPLY_BYTES_MAX);
    struct json_writer writer = json_writer_over(&echo);
    json_begin_object(&writer);
    echo_write(card, &writer);
    json_end_object(&writer);
    body->bytes[body->size - 1] = ',';
    buffer_add_text(body, "\"echo\":");
    buffer_add(body, echo.bytes, echo.size);
    buffer_add_u8(body, '}');
}

void behaviour_cut(enum behaviour behaviour, struct http_call *call, const struct reply *reply)
{
    OWNED(buffer_free) struct buffer raw = BUFFER(REPLY_BYTES_MAX);
    if (behaviour == BEHAVIOUR_CLOSE_HALF) {
        buffer_format(&raw,
                      "HTTP/1.1 %d OK\r\ncontent-type: application/json\r\n"
                      "content-length: %zu\r\n\r\n",
                      reply->status, reply->body.size);
        buffer_add(&raw, reply->body.bytes, reply->body.size / 2);
    } else if (behaviour == BEHAVIOUR_MALFORMED) {
        buffer_add_text(&raw, "THIS IS NOT HTTP\r\n\r\n{\"neither\": \"is this\"}\n");
    }
    http_abort(call, raw.bytes, raw.size);
}
