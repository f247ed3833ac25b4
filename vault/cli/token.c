/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/cli/token.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/own.h"
#include "base/redact.h"
#include "base/secret.h"
#include "vault/cli/daemon.h"
#include "vault/cli/say.h"
#include "vault/cli/typed.h"
#include "vault/contract.h"

#define LINE_BYTES_MAX 64u
#define BODY_BYTES_MAX 4096u
#define NODES_MAX      256u

static void answer_free(struct daemon_answer *answer)
{
    buffer_free(&answer->body);
}

/* Numbers are typed as they are printed on cards: what lies between the digits goes. */
static size_t line_fold(struct secret *line, size_t size)
{
    uint8_t *bytes = secret_bytes(line);
    size_t kept = 0;

    for (size_t i = 0; i < size; i++)
        if (bytes[i] != ' ' && bytes[i] != '-' && bytes[i] != '\r')
            bytes[kept++] = bytes[i];
    return kept;
}

static bool secret_put(struct json_writer *writer, const char *key, const char *question)
{
    OWNED(secret_free) struct secret *line = NULL;
    size_t size = 0;
    struct status status = typed_ask(question, &line, &size);
    if (!failed(status))
        size = line_fold(line, size);
    if (!failed(status) && (size == 0 || size > LINE_BYTES_MAX))
        status = FAIL(size == 0 ? WHY_NOT_FOUND : WHY_LIMIT);
    if (failed(status)) {
        say_error("no %s came on standard input (%s); give it there, on a line of its own", key,
                  status_name(status.why));
        return false;
    }
    json_key(writer, key);
    json_put_bytes(writer, secret_peek(line), size);
    return true;
}

/* "12/2031" */
static bool expiry_put(struct json_writer *writer, const char *text)
{
    unsigned values[2] = {0};
    unsigned part = 0;
    size_t size = strlen(text);
    bool good = size == 7 && text[2] == '/';
    for (size_t i = 0; good && i < size; i++) {
        if (i == 2) {
            part = 1;
            continue;
        }
        good = text[i] >= '0' && text[i] <= '9';
        values[part] = values[part] * 10 + (unsigned)(text[i] - '0');
    }
    if (!good || values[0] < 1 || values[0] > 12) {
        say_error("--exp wants a month and a year, like 12/2031");
        return false;
    }
    json_put_member_int(writer, "exp_month", values[0]);
    json_put_member_int(writer, "exp_year", values[1]);
    return true;
}

static void member_say(const struct json *json, uint32_t object, const char *name,
                       const char *format)
{
    char text[512];
    size_t length = 0;
    uint32_t node = json_member(json, object, name);
    int64_t number = 0;
    if (node == JSON_NONE)
        return;
    if (!failed(json_int(json, node, &number)))
        say_out("%-12s %lld\n", format, (long long)number);
    else if (!failed(json_string(json, node, text, sizeof text, &length)))
        say_out("%-12s %s\n", format, text);
}

/* What the vault answered, as it stands or for people. */
static void view_say(const struct cli_arguments *arguments, const struct daemon_answer *answer)
{
    struct json_node nodes[NODES_MAX];
    struct json json;
    size_t at = 0;
    bool json_good =
        !failed(json_read(answer->body.bytes, answer->body.size, nodes, NODES_MAX, &json, &at)) &&
        nodes[0].type == JSON_OBJECT;
    if (cli_wants_json(arguments) || !json_good) {
        say_bytes(answer->body.bytes, answer->body.size);
        say_out("\n");
        return;
    }
    static const char *const names[] = {"token",     "brand",    "bin",        "last4",
                                        "exp_month", "exp_year", "created_at", "expires_at"};
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++)
        member_say(&json, 0, names[i], names[i]);
    uint32_t cvv = json_member(&json, 0, "cvv");
    if (cvv != JSON_NONE && nodes[cvv].type == JSON_OBJECT) {
        member_say(&json, cvv, "token", "cvv token");
        member_say(&json, cvv, "expires_at", "cvv until");
    }
}

enum cli_exit token_create(const struct cli_arguments *arguments)
{
    OWNED(daemon_free) struct daemon *daemon = NULL;
    enum cli_exit code = daemon_open(arguments, &daemon);
    if (code != CLI_DONE)
        return code;
    OWNED(buffer_free) struct buffer body = BUFFER(BODY_BYTES_MAX);
    struct json_writer writer = json_writer_over(&body);
    json_begin_object(&writer);
    const char *exp = cli_option(arguments, "exp");
    const char *name = cli_option(arguments, "name");
    if (exp == NULL) {
        say_error("--exp is needed: the month and the year until which the card is good, like "
                  "12/2031");
        return CLI_USAGE;
    }
    if (!expiry_put(&writer, exp))
        return CLI_USAGE;
    if (name != NULL)
        json_put_member(&writer, "cardholder_name", name);
    if (!secret_put(&writer, "number", "Card number (not shown): ") ||
        (cli_option(arguments, "cvv") != NULL && !secret_put(&writer, "cvv", "CVV (not shown): ")))
        return CLI_USAGE;
    json_end_object(&writer);
    if (failed(buffer_status(&body))) {
        say_error("the card's fields are too long");
        return CLI_USAGE;
    }
    struct daemon_answer answer OWNED(answer_free) = {0};
    struct daemon_request request = {
        .method = "POST", .target = CONTRACT_PATH_TOKENS, .body = &body};
    code = daemon_ask(daemon, &request, &answer);
    if (code == CLI_DONE)
        view_say(arguments, &answer);
    return code;
}

/* Tokens are letters, digits, '_' and '-' (of UUIDs): nothing that would need escaping in a path.
 */
static bool token_good(const char *token)
{
    size_t size = strlen(token);
    bool good = size > 0 && size <= CONTRACT_TOKEN_MAX;
    for (size_t i = 0; good && i < size; i++)
        good = (token[i] >= '0' && token[i] <= '9') || (token[i] >= 'a' && token[i] <= 'z') ||
               (token[i] >= 'A' && token[i] <= 'Z') || token[i] == '_' || token[i] == '-';
    struct redact_hit hit;
    if (good && redact_find((const uint8_t *)token, size, 0, &hit)) {
        say_error("that has a card number's check digit; a card is never an argument");
        return false;
    }
    if (!good)
        say_error("that is not shaped like a token; one begins with " CONTRACT_TOKEN_PREFIX);
    return good;
}

static enum cli_exit token_one(const struct cli_arguments *arguments, const char *method)
{
    assert(arguments->word_count == 1);
    const char *token = arguments->words[0];
    if (!token_good(token))
        return CLI_USAGE;
    OWNED(daemon_free) struct daemon *daemon = NULL;
    enum cli_exit code = daemon_open(arguments, &daemon);
    if (code != CLI_DONE)
        return code;
    char target[sizeof CONTRACT_PATH_TOKENS + CONTRACT_TOKEN_MAX + 2];
    (void)snprintf(target, sizeof target, CONTRACT_PATH_TOKENS "/%s", token);
    struct daemon_answer answer OWNED(answer_free) = {0};
    struct daemon_request request = {.method = method, .target = target};
    code = daemon_ask(daemon, &request, &answer);
    if (code != CLI_DONE)
        return code;
    if (answer.body.size > 0)
        view_say(arguments, &answer);
    else if (!cli_wants_json(arguments))
        say_out("%s is erased\n", token);
    return CLI_DONE;
}

enum cli_exit token_show(const struct cli_arguments *arguments)
{
    return token_one(arguments, "GET");
}

enum cli_exit token_delete(const struct cli_arguments *arguments)
{
    return token_one(arguments, "DELETE");
}
