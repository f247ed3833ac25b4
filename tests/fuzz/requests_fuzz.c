/* SPDX-License-Identifier: Apache-2.0 */
/* Requests as anybody may send them: "METHOD PATH?QUERY\nCONTENT-TYPE\nBODY", from the route to the
 * frame for the keeper.  The frame is one that the keeper can read to its end; every secret is
 * given back; and no number or code is left in a body that was read. */
#include <sodium.h>

#include "base/own.h"
#include "base/secret.h"
#include "tests/fuzz/require.h"
#include "vault/read_token.h"
#include "vault/routes.h"
#include "vault/token.h"

#define NOW_MS        1795420800000 /* 2026-11-23T08:00:00Z */
#define FRAME_MAX     (4u << 20)
#define SECRETS       8u
#define JSON_NODE_MAX 4096u

static struct json_node nodes[REQUEST_NODES_MAX];

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    require(sodium_init() >= 0);
    must(secret_pool_open(SECRETS));
    return 0;
}

static void cards_decode(struct cursor *in)
{
    struct message_card card;

    require(cursor_u8(in) <= 1);
    for (unsigned count = cursor_u16(in); count > 0; count--)
        message_card_decode(in, &card);
}

static void frame_check(enum message_type type, const struct request *request,
                        const struct buffer *frame)
{
    struct cursor in = cursor_over(frame->bytes, frame->size);
    struct message_caller caller;
    struct message_card card;
    struct message_lease lease;
    struct message_settlement settlement;
    struct message_text text;
    char token[CONTRACT_TOKEN_MAX + 1];

    message_caller_decode(&in, &caller);
    require(caller.problem.code == request->caller.problem.code);
    if (type == MESSAGE_TOKENIZE)
        cards_decode(&in);
    if (type == MESSAGE_SHOW || type == MESSAGE_ERASE || type == MESSAGE_CVV_STORE)
        cursor_text(&in, token, sizeof token);
    if (type == MESSAGE_CVV_STORE)
        message_card_decode(&in, &card);
    if (type == MESSAGE_LEASE)
        for (unsigned count = cursor_u16(&in); count > 0; count--)
            message_lease_decode(&in, &lease);
    if (type == MESSAGE_SETTLE)
        for (unsigned count = cursor_u16(&in); count > 0; count--)
            message_settlement_decode(&in, &settlement);
    if (type == MESSAGE_AUDIT_READ) {
        (void)cursor_u64(&in);
        uint32_t limit = cursor_u32(&in);
        require(limit <= 256 && (limit > 0 || !request_is_good(request)));
    }
    if (type >= MESSAGE_SEAL_STATE && request_is_good(request)) {
        message_text_decode(&in, &text);
        require(text.body_size <= MESSAGE_TEXT_BODY_MAX);
    }
    require(cursor_done(&in));
}

/* The strings of these names, in any object that is read as a card or as a code alone. */
static void blank_check(const struct json *json, uint32_t object, const uint8_t *body, bool code)
{
    static const char *const names[] = {"cvv", "number"};

    for (unsigned i = 0; i < (code ? 1 : sizeof names / sizeof names[0]); i++) {
        uint32_t at = json_member(json, object, names[i]);
        if (at == JSON_NONE || json->nodes[at].type != JSON_STRING)
            continue;
        for (uint32_t k = 0; k < json->nodes[at].size; k++)
            require(body[json->nodes[at].start + k] == '0');
    }
}

/* What was refused before it was read as JSON is left to whoever took it in. */
static void body_check(const struct route *route, const uint8_t *was, const struct request *request)
{
    static struct json_node mine[JSON_NODE_MAX];
    struct json json;
    size_t at = 0;
    enum problem_code code = request->caller.problem.code;

    if (code == PROBLEM_UNSUPPORTED_MEDIA_TYPE || code == PROBLEM_TOO_LARGE ||
        code == PROBLEM_INVALID_HEADER || request->query[0] != '\0' ||
        failed(json_read(was, request->body_size, mine, JSON_NODE_MAX, &json, &at)))
        return;
    if (strstr(route->pattern, "batch") == NULL) {
        blank_check(&json, 0, request->body, route->type == MESSAGE_CVV_STORE);
        return;
    }
    uint32_t list = json_member(&json, 0, "cards");
    if (list == JSON_NONE || mine[list].type != JSON_ARRAY || !request_is_good(request))
        return;
    uint32_t node = json_first(&json, list);
    for (uint32_t i = 0; i < mine[list].count; i++, node = mine[node].next)
        blank_check(&json, node, request->body, false);
}

static void request_run(const struct routes_result *found, const char *query, const char *type,
                        const uint8_t *body, size_t size)
{
    struct buffer frame OWNED(buffer_free) = BUFFER(FRAME_MAX);
    char *copy = text_of(body, size);
    struct request request = {.query = query,
                              .content_type = type[0] == '\0' ? NULL : type,
                              .body = (uint8_t *)copy,
                              .body_size = size,
                              .certificate = "",
                              .now_ms = NOW_MS,
                              .nodes = nodes};

    memcpy(request.token, found->token, sizeof request.token);
    request_set_idempotency(&request, size % 2 == 0 ? NULL : type);
    found->route->read(&request, &frame);
    must(buffer_status(&frame));
    frame_check(found->route->type, &request, &frame);
    if (found->route->type == MESSAGE_TOKENIZE || found->route->type == MESSAGE_CVV_STORE)
        body_check(found->route, body, &request);
    require(secret_pool_free_count() == SECRETS);
    free(copy);
}

/* Cuts a line off; what is left follows it. */
static char *line_take(char **text)
{
    char *line = *text;
    char *end = strchr(line, '\n');

    *text = end == NULL ? line + strlen(line) : end + 1;
    if (end != NULL)
        *end = '\0';
    return line;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = text_of(data, size);
    char *at = text;
    char *method = line_take(&at);
    char *type = line_take(&at);
    char *path = strchr(method, ' ');
    struct routes_result found;

    if (path != NULL) {
        *path++ = '\0';
        char *query = strchr(path, '?');
        if (query != NULL)
            *query++ = '\0';
        enum routes_match match = routes_find(method, path, &found);
        require(match != ROUTES_NO_METHOD || found.allow[0] != '\0');
        if (match == ROUTES_FOUND) {
            require(found.token[0] == '\0' || read_token_is_plain(found.token, CONTRACT_TOKEN_MAX));
            (void)token_is_well_formed(found.token);
            size_t head = (size_t)(at - text);
            request_run(&found, query == NULL ? "" : query, type, data + head, size - head);
        }
    }
    free(text);
    return 0;
}
