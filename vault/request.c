/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/request.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char json_type[] = "application/json";

bool request_is_good(const struct request *request)
{
    return request->caller.problem.code == PROBLEM_NONE;
}

void request_refuse(struct request *request, enum problem_code code, const char *field,
                    const char *detail)
{
    assert(code != PROBLEM_NONE);
    if (request_is_good(request))
        problem_set(&request->caller.problem, code, field, detail);
}

/* Parameters change nothing about JSON (RFC 8259 section 11), so what follows the type is free. */
static bool request_is_json(const char *content_type)
{
    size_t size = sizeof json_type - 1;

    if (content_type == NULL || strncasecmp(content_type, json_type, size) != 0)
        return false;
    return strchr("; \t", content_type[size]) != NULL; /* Its NUL counts, too. */
}

/* Nothing is unpacked here; what says that it is packed is not read as if it were not. */
static bool request_is_plain(const char *coding)
{
    return coding == NULL || coding[0] == '\0' || strcasecmp(coding, "identity") == 0;
}

static bool request_parse(struct request *request, struct json *out_json)
{
    size_t wrong_at = 0;

    if (!request_is_json(request->content_type))
        request_refuse(request, PROBLEM_UNSUPPORTED_MEDIA_TYPE, NULL,
                       "Bodies are application/json.");
    if (!request_is_plain(request->content_encoding))
        request_refuse(request, PROBLEM_UNSUPPORTED_MEDIA_TYPE, NULL,
                       "Bodies are sent without a content coding.");
    if (!request_is_good(request))
        return false;
    struct status status = json_read(request->body, request->body_size, request->nodes,
                                     REQUEST_NODES_MAX, out_json, &wrong_at);
    if (status.why == WHY_LIMIT)
        request_refuse(request, PROBLEM_TOO_LARGE, NULL,
                       "The body is nested too deep or holds too many values.");
    else if (failed(status)) {
        char detail[64];
        (void)snprintf(detail, sizeof detail, "The byte at offset %zu is wrong.", wrong_at);
        request_refuse(request, PROBLEM_INVALID_JSON, NULL, detail);
    }
    return request_is_good(request);
}

bool request_json(struct request *request, struct json *out_json)
{
    if (request->query[0] != '\0')
        request_refuse(request, PROBLEM_UNKNOWN_FIELD, NULL, "This path takes no query.");
    return request_parse(request, out_json);
}

void request_set_idempotency(struct request *request, const char *value)
{
    size_t size = value == NULL ? 0 : strlen(value);
    bool good = value == NULL || (size >= 1 && size <= CONTRACT_IDEMPOTENCY_KEY_MAX);

    for (size_t i = 0; good && i < size; i++)
        good = value[i] >= ' ' && value[i] <= '~';
    if (!good)
        request_refuse(request, PROBLEM_INVALID_HEADER, NULL,
                       "An Idempotency-Key is 1 to 255 printable ASCII characters.");
    else if (value != NULL)
        memcpy(request->caller.idempotency_key, value, size + 1);
}

void request_refuse_extras(struct request *request, bool query_taken)
{
    if (!query_taken && request->query[0] != '\0')
        request_refuse(request, PROBLEM_UNKNOWN_FIELD, NULL, "This path takes no query.");
    if (request->body_size > 0)
        request_refuse(request, PROBLEM_INVALID_FRAMING, NULL, "This method takes no body.");
}

void request_read_nothing(struct request *request, struct buffer *out)
{
    request_refuse_extras(request, false);
    message_caller_encode(&request->caller, out);
}

void request_read_text(struct request *request, struct buffer *out)
{
    struct json json;
    struct message_text text = {.body = request->body, .body_size = (uint32_t)request->body_size};

    if (request->body_size > MESSAGE_TEXT_BODY_MAX)
        request_refuse(request, PROBLEM_TOO_LARGE, NULL, NULL);
    if (strlen(request->query) > MESSAGE_TEXT_QUERY_MAX)
        request_refuse(request, PROBLEM_TOO_LARGE, NULL, "The query is too long.");
    if (request->body_size > 0)
        (void)request_parse(request, &json);
    message_caller_encode(&request->caller, out);
    if (!request_is_good(request))
        return;
    (void)snprintf(text.certificate, sizeof text.certificate, "%s", request->certificate);
    (void)snprintf(text.segment, sizeof text.segment, "%s", request->token);
    (void)snprintf(text.query, sizeof text.query, "%s", request->query);
    message_text_encode(&text, out);
}
