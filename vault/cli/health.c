/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/cli/health.h"

#include <string.h>

#include "base/json.h"
#include "base/own.h"
#include "vault/cli/daemon.h"
#include "vault/cli/say.h"

#define PATH_READY     "/readyz"
#define NODES_MAX      256u
#define LINE_BYTES_MAX 65536u

static void answer_free(struct daemon_answer *answer)
{
    buffer_free(&answer->body);
}

static bool says_sealed(const struct daemon_answer *answer)
{
    struct json_node nodes[NODES_MAX];
    struct json json;
    size_t at = 0;
    if (failed(json_read(answer->body.bytes, answer->body.size, nodes, NODES_MAX, &json, &at)) ||
        nodes[0].type != JSON_OBJECT)
        return false;
    uint32_t code = json_member(&json, 0, "code");
    return code != JSON_NONE && json_equals(&json, code, "sealed");
}

static enum cli_exit ask_one(const struct daemon *daemon, enum daemon_which which, const char *name,
                             struct json_writer *writer)
{
    struct daemon_answer answer OWNED(answer_free) = {0};
    enum cli_exit code = daemon_fetch(
        daemon, &(struct daemon_request){.which = which, .method = "GET", .target = PATH_READY},
        &answer);
    const char *state = "unreachable";
    if (code == CLI_DONE && answer.status == 200) {
        state = "ready";
    } else if (code == CLI_DONE && (answer.status == 401 || answer.status == 403)) {
        state = "refused";
        code = CLI_REFUSED;
    } else if (code == CLI_DONE) {
        bool sealed = says_sealed(&answer);
        state = sealed ? "sealed" : "not ready";
        code = sealed ? CLI_SEALED : CLI_FOUND;
    }
    json_key(writer, name);
    json_begin_object(writer);
    json_put_member(writer, "address", daemon_address(daemon, which));
    json_put_member(writer, "state", state);
    json_end_object(writer);
    return code;
}

static void line_say(const char *name, const struct daemon *daemon, enum daemon_which which,
                     enum cli_exit code)
{
    static const char *const states[] = {[CLI_DONE] = "ready",
                                         [CLI_FOUND] = "not ready",
                                         [CLI_UNREACHABLE] = "unreachable",
                                         [CLI_REFUSED] = "refused",
                                         [CLI_SEALED] = "sealed"};
    say_out("%-6s %-22s %s\n", name, daemon_address(daemon, which), states[code]);
}

enum cli_exit health_status(const struct cli_arguments *arguments)
{
    OWNED(daemon_free) struct daemon *daemon = NULL;
    enum cli_exit code = daemon_open(arguments, &daemon);
    if (code != CLI_DONE)
        return code;
    OWNED(buffer_free) struct buffer text = BUFFER(LINE_BYTES_MAX);
    struct json_writer writer = json_writer_over(&text);
    json_begin_object(&writer);
    enum cli_exit vault = ask_one(daemon, DAEMON_VAULT, "vault", &writer);
    enum cli_exit relay = ask_one(daemon, DAEMON_RELAY, "relay", &writer);
    json_end_object(&writer);
    if (cli_wants_json(arguments)) {
        say_out("%s\n", buffer_text(&text));
    } else {
        line_say("vault", daemon, DAEMON_VAULT, vault);
        line_say("relay", daemon, DAEMON_RELAY, relay);
    }
    return vault != CLI_DONE ? vault : relay;
}
