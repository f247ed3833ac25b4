/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/cli/health.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/own.h"
#include "vault/cli/daemon.h"
#include "vault/cli/say.h"
#include "vault/cli/warnings.h"

#define PATH_READY     "/readyz"
#define NODES_MAX      256u
#define TEXT_SIZE      256u
#define WHY_SIZE       512u
#define LINE_BYTES_MAX 65536u

static void answer_free(struct daemon_answer *answer)
{
    buffer_free(&answer->body);
}

/* What one daemon said of itself. */
struct health {
    enum cli_exit code;
    char failing[TEXT_SIZE]; /* The checks that are not "ok", with spaces between; "" for none. */
    char why[WHY_SIZE];      /* What it said of them, as a sentence; "" for nothing. */
};

static const char *const states[] = {[CLI_DONE] = "ready",
                                     [CLI_FOUND] = "not ready",
                                     [CLI_UNREACHABLE] = "unreachable",
                                     [CLI_REFUSED] = "refused",
                                     [CLI_SEALED] = "sealed"};

/* {"checks": {"store": "ok", "seal": "failed", …}, "ready": false} */
static void checks_read(const struct json *json, struct health *health)
{
    uint32_t checks = json_member(json, 0, "checks");
    if (checks == JSON_NONE || json->nodes[checks].type != JSON_OBJECT)
        return;
    size_t used = 0;
    uint32_t key = json_first(json, checks);
    for (uint32_t i = 0; i < json->nodes[checks].count; i++) {
        char name[TEXT_SIZE / 4];
        size_t length = 0;
        uint32_t value = key + 1;
        if (!json_equals(json, value, "ok") &&
            !failed(json_string(json, key, name, sizeof name, &length)) &&
            used + length + 2 < sizeof health->failing) {
            if (strcmp(name, "seal") == 0)
                health->code = CLI_SEALED;
            int size = snprintf(health->failing + used, sizeof health->failing - used, " %s", name);
            used += size > 0 ? (size_t)size : 0;
        }
        key = json->nodes[value].next;
    }
}

static void health_ask(const struct daemon *daemon, enum daemon_which which, struct health *out)
{
    struct json_node nodes[NODES_MAX];
    struct json json;
    size_t at = 0;
    size_t length = 0;
    struct daemon_answer answer OWNED(answer_free) = {0};
    *out = (struct health){.code = daemon_probe(daemon, which, PATH_READY, &answer)};
    if (out->code != CLI_DONE || answer.status == 200)
        return;
    out->code = CLI_FOUND;
    if (failed(json_read(answer.body.bytes, answer.body.size, nodes, NODES_MAX, &json, &at)) ||
        nodes[0].type != JSON_OBJECT)
        return;
    uint32_t code = json_member(&json, 0, "code");
    if (code != JSON_NONE && json_equals(&json, code, "sealed"))
        out->code = CLI_SEALED;
    checks_read(&json, out);
    uint32_t why = json_member(&json, 0, "why");
    if (why != JSON_NONE && failed(json_string(&json, why, out->why, sizeof out->why, &length)))
        out->why[0] = '\0';
}

static void health_write(const struct daemon *daemon, enum daemon_which which, const char *name,
                         const struct health *health, struct json_writer *writer)
{
    json_key(writer, name);
    json_begin_object(writer);
    json_put_member(writer, "address", daemon_address(daemon, which));
    json_put_member(writer, "state", states[health->code]);
    json_put_member(writer, "failing", health->failing[0] == '\0' ? "" : health->failing + 1);
    json_put_member(writer, "why", health->why);
    json_end_object(writer);
}

static void health_say(const struct daemon *daemon, enum daemon_which which, const char *name,
                       const struct health *health)
{
    say_out("%-6s %-22s %s%s%s\n", name, daemon_address(daemon, which), states[health->code],
            health->failing[0] == '\0' ? "" : ":", health->failing);
    if (health->why[0] != '\0')
        say_out("       %s\n", health->why);
}

/* What somebody has to do something about, in both forms. */
struct health_warnings {
    struct buffer json; /* Strings with commas between. */
    struct buffer text;
};

static void health_warnings_free(struct health_warnings *warnings)
{
    buffer_free(&warnings->json);
    buffer_free(&warnings->text);
}

static void health_on_warning(void *owner, const char *sentence)
{
    struct health_warnings *warnings = owner;
    if (warnings->json.size > 0)
        buffer_add_u8(&warnings->json, ',');
    struct json_writer writer = json_writer_over(&warnings->json);
    json_put_text(&writer, sentence);
    buffer_format(&warnings->text, "warning: %s\n", sentence);
}

enum cli_exit health_status(const struct cli_arguments *arguments)
{
    OWNED(daemon_free) struct daemon *daemon = NULL;
    enum cli_exit code = daemon_open(arguments, &daemon);
    if (code != CLI_DONE)
        return code;
    struct health vault;
    struct health relay;
    health_ask(daemon, DAEMON_VAULT, &vault);
    health_ask(daemon, DAEMON_RELAY, &relay);
    struct health_warnings warnings OWNED(health_warnings_free) = {.json = BUFFER(LINE_BYTES_MAX),
                                                                   .text = BUFFER(LINE_BYTES_MAX)};
    warnings_ask(daemon, DAEMON_VAULT, health_on_warning, &warnings);
    warnings_ask(daemon, DAEMON_RELAY, health_on_warning, &warnings);
    if (cli_wants_json(arguments)) {
        OWNED(buffer_free) struct buffer text = BUFFER(LINE_BYTES_MAX);
        struct json_writer writer = json_writer_over(&text);
        json_begin_object(&writer);
        health_write(daemon, DAEMON_VAULT, "vault", &vault, &writer);
        health_write(daemon, DAEMON_RELAY, "relay", &relay, &writer);
        json_key(&writer, "warnings");
        json_begin_array(&writer);
        if (warnings.json.size > 0)
            json_put_raw(&writer, warnings.json.bytes, warnings.json.size);
        json_end_array(&writer);
        json_end_object(&writer);
        say_out("%s\n", buffer_text(&text));
    } else {
        health_say(daemon, DAEMON_VAULT, "vault", &vault);
        health_say(daemon, DAEMON_RELAY, "relay", &relay);
        say_bytes(warnings.text.bytes, warnings.text.size);
    }
    return vault.code != CLI_DONE ? vault.code : relay.code;
}
