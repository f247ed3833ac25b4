/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/cli/signer.h"

#include <string.h>

#include "base/json.h"
#include "base/own.h"
#include "vault/cli/daemon.h"
#include "vault/cli/say.h"
#include "vault/contract.h"

#define NODES_MAX 64u
#define TEXT_MAX  256u

static void answer_free(struct daemon_answer *answer)
{
    buffer_free(&answer->body);
}

static void text_of(const struct json *json, const char *name, char out[static TEXT_MAX])
{
    uint32_t node = json_member(json, 0, name);

    if (node == JSON_NONE || failed(json_string(json, node, out, TEXT_MAX, NULL)))
        out[0] = '\0';
    for (char *at = out; *at != '\0'; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            *at = '?';
}

/* The whole verifier keys, one to a line, so that they can be handed out. */
static enum cli_exit state_say(const struct cli_arguments *arguments,
                               const struct daemon_answer *answer)
{
    struct json_node nodes[NODES_MAX];
    struct json json;
    size_t at = 0;
    char key[TEXT_MAX];
    char next[TEXT_MAX];
    char state[TEXT_MAX];
    char until[TEXT_MAX];
    char due[TEXT_MAX];

    if (cli_wants_json(arguments)) {
        say_bytes(answer->body.bytes, answer->body.size);
        say_out("\n");
        return CLI_DONE;
    }
    if (failed(json_read(answer->body.bytes, answer->body.size, nodes, NODES_MAX, &json, &at)) ||
        nodes[0].type != JSON_OBJECT) {
        say_error("the daemon's answer is not JSON that this program knows");
        return CLI_FOUND;
    }
    text_of(&json, "key", key);
    text_of(&json, "next", next);
    text_of(&json, "state", state);
    text_of(&json, "overlap_until", until);
    text_of(&json, "due_at", due);
    say_out("%s\n", key);
    if (next[0] == '\0') {
        say_out("signs alone; another is due by %s\n", due);
        return CLI_DONE;
    }
    say_out("%s\n", next);
    say_out(strcmp(state, "both") == 0 ? "both sign until %s; from then on the second alone\n"
                                       : "the second is named in the log; both sign until %s\n",
            until);
    return CLI_DONE;
}

static enum cli_exit ask(const struct cli_arguments *arguments, const char *method,
                         const char *target)
{
    OWNED(daemon_free) struct daemon *daemon = NULL;
    OWNED(answer_free) struct daemon_answer answer = {0};
    enum cli_exit code = daemon_open(arguments, &daemon);
    if (code != CLI_DONE)
        return code;
    struct daemon_request request = {.which = cli_option(arguments, "relay") != NULL ? DAEMON_RELAY
                                                                                     : DAEMON_VAULT,
                                     .as_security = true,
                                     .method = method,
                                     .target = target};
    code = daemon_ask(daemon, &request, &answer);
    return code == CLI_DONE ? state_say(arguments, &answer) : code;
}

enum cli_exit signer_show_command(const struct cli_arguments *arguments)
{
    return ask(arguments, "GET", CONTRACT_PATH_SIGNER);
}

enum cli_exit signer_rotate_command(const struct cli_arguments *arguments)
{
    return ask(arguments, "POST", CONTRACT_PATH_SIGNER "/rotate");
}
