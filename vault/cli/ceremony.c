/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/cli/ceremony.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/encode.h"
#include "base/own.h"
#include "vault/cli/migrate.h"
#include "vault/cli/say.h"
#include "vault/cli/typed.h"
#include "vault/contract.h"

#define BODY_BYTES_MAX 4096u
#define POLL_MS        200
#define OPEN_MS        (60 * 1000LL)
#define WITHIN_S_MOST  86400
#define NAMES_MAX      16u

/* --- What the commands share --- */

void ceremony_answer_free(struct ceremony_answer *answer)
{
    buffer_free(&answer->raw.body);
}

enum cli_exit ceremony_ask(const struct daemon *daemon, const char *tail, const struct buffer *body,
                           struct ceremony_answer *out)
{
    char target[64];
    size_t at = 0;
    struct daemon_request request = {.as_security = true,
                                     .method = body == NULL ? "GET" : "POST",
                                     .target = target,
                                     .body = body};

    (void)snprintf(target, sizeof target, CONTRACT_PATH_SEAL "%s", tail);
    enum cli_exit code = daemon_ask(daemon, &request, &out->raw);
    if (code != CLI_DONE)
        return code;
    if (!failed(json_read(out->raw.body.bytes, out->raw.body.size, out->nodes, CEREMONY_NODES_MAX,
                          &out->json, &at)) &&
        out->nodes[0].type == JSON_OBJECT)
        return CLI_DONE;
    say_error("the vault's answer cannot be read; are this program and the vault of one version?");
    return CLI_FOUND;
}

void ceremony_text(const struct json *json, uint32_t object, const char *name,
                   char out[static CEREMONY_TEXT_MAX])
{
    uint32_t node = json_member(json, object, name);

    if (node == JSON_NONE || failed(json_string(json, node, out, CEREMONY_TEXT_MAX, NULL)))
        out[0] = '\0';
}

enum cli_exit ceremony_name(const struct cli_arguments *arguments, const struct daemon *daemon,
                            char out[static CEREMONY_TEXT_MAX])
{
    struct ceremony_answer answer OWNED(ceremony_answer_free) = {0};
    const char *given = cli_option(arguments, "ceremony");

    if (given != NULL) {
        (void)snprintf(out, CEREMONY_TEXT_MAX, "%s", given);
        return CLI_DONE;
    }
    enum cli_exit code = ceremony_ask(daemon, "", NULL, &answer);
    if (code != CLI_DONE)
        return code;
    ceremony_text(&answer.json, json_member(&answer.json, 0, "ceremony"), "id", out);
    if (out[0] != '\0')
        return CLI_DONE;
    say_error("no ceremony is under way; 'cardkeep init' or 'cardkeep rekey' begins one");
    return CLI_FOUND;
}

static void custodians_say(const struct json *json, uint32_t ceremony)
{
    uint32_t list = json_member(json, ceremony, "custodians");
    char name[CEREMONY_TEXT_MAX];
    char state[CEREMONY_TEXT_MAX];

    if (list == JSON_NONE || json->nodes[list].type != JSON_ARRAY)
        return;
    uint32_t at = json_first(json, list);
    for (uint32_t i = 0; i < json->nodes[list].count; i++) {
        ceremony_text(json, at, "name", name);
        ceremony_text(json, at, "state", state);
        say_out("  %-24s %s\n", name, state);
        at = json->nodes[at].next;
    }
}

static void ceremony_say_one(const struct json *json, uint32_t ceremony)
{
    char text[CEREMONY_TEXT_MAX];
    int64_t threshold = 0;

    ceremony_text(json, ceremony, "kind", text);
    say_out("ceremony   %s: ", text);
    ceremony_text(json, ceremony, "id", text);
    say_out("%s\n", text);
    if (!failed(json_int(json, json_member(json, ceremony, "threshold"), &threshold)))
        say_out("opens with %" PRId64 " shares\n", threshold);
    ceremony_text(json, ceremony, "ends_at", text);
    say_out("ends at    %s\n", text);
    custodians_say(json, ceremony);
}

void ceremony_show(const struct cli_arguments *arguments, const struct ceremony_answer *answer)
{
    uint32_t ceremony = json_member(&answer->json, 0, "ceremony");

    if (cli_wants_json(arguments)) {
        say_bytes(answer->raw.body.bytes, answer->raw.body.size);
        say_out("\n");
        return;
    }
    if (ceremony != JSON_NONE)
        ceremony_say_one(&answer->json, ceremony);
}

/* --- init, rekey --- */

bool ceremony_plan(const struct cli_arguments *arguments, const char *to, struct buffer *body)
{
    struct json_writer writer = json_writer_over(body);
    long threshold = 0;
    long within = 0;
    const char *reason = cli_option(arguments, "reason");

    if (cli_option(arguments, "threshold") == NULL) {
        say_error("--threshold K is wanted: how many of the custodians open the vault together");
        return false;
    }
    if (!cli_option_number(arguments, "threshold", 0, 2, NAMES_MAX, &threshold) ||
        !cli_option_number(arguments, "within-seconds", 0, 1, WITHIN_S_MOST, &within))
        return false;
    json_begin_object(&writer);
    if (to != NULL)
        json_put_member(&writer, "to", to);
    json_put_member_int(&writer, "threshold", threshold);
    json_key(&writer, "custodians");
    json_begin_array(&writer);
    for (unsigned i = 0; i < arguments->word_count; i++)
        json_put_text(&writer, arguments->words[i]);
    json_end_array(&writer);
    if (within > 0)
        json_put_member_int(&writer, "within_seconds", within);
    if (reason != NULL)
        json_put_member(&writer, "reason", reason);
    json_end_object(&writer);
    if (!failed(buffer_status(body)))
        return true;
    say_error("the names are too long together");
    return false;
}

enum cli_exit ceremony_init_command(const struct cli_arguments *arguments)
{
    OWNED(daemon_free) struct daemon *daemon = NULL;
    OWNED(buffer_free) struct buffer body = BUFFER(BODY_BYTES_MAX);
    struct ceremony_answer answer OWNED(ceremony_answer_free) = {0};

    enum cli_exit code = daemon_open(arguments, &daemon);
    if (code != CLI_DONE)
        return code;
    if (arguments->word_count == 0 && cli_option(arguments, "threshold") == NULL)
        return migrate_init(arguments, daemon);
    if (!ceremony_plan(arguments, NULL, &body))
        return CLI_USAGE;
    code = ceremony_ask(daemon, "/init", &body, &answer);
    if (code != CLI_DONE)
        return code;
    ceremony_show(arguments, &answer);
    if (!cli_wants_json(arguments))
        say_out("\nNow each of them, with a certificate and a key file of its own:\n"
                "  cardkeep custodian key FILE\n"
                "  cardkeep custodian accept --key FILE\n"
                "and when all have accepted:\n"
                "  cardkeep custodian collect --key FILE\n");
    return CLI_DONE;
}

enum cli_exit ceremony_rekey_command(const struct cli_arguments *arguments)
{
    OWNED(daemon_free) struct daemon *daemon = NULL;
    OWNED(buffer_free) struct buffer body = BUFFER(BODY_BYTES_MAX);
    struct ceremony_answer answer OWNED(ceremony_answer_free) = {0};
    char id[CEREMONY_TEXT_MAX];

    enum cli_exit code = daemon_open(arguments, &daemon);
    if (code != CLI_DONE)
        return code;
    if (!ceremony_plan(arguments, NULL, &body))
        return CLI_USAGE;
    code = ceremony_ask(daemon, "/rekey", &body, &answer);
    if (code != CLI_DONE)
        return code;
    ceremony_text(&answer.json, 0, "approval", id);
    if (cli_wants_json(arguments))
        ceremony_show(arguments, &answer);
    else
        say_out("%s waits for another person, who says:\n  cardkeep approvals approve %s\n"
                "Then the ceremony begins; 'cardkeep seal show' names it.\n",
                id, id);
    return CLI_DONE;
}

/* --- seal --- */

static enum cli_exit seal_ask(const struct cli_arguments *arguments, const char *tail,
                              const char *ceremony)
{
    OWNED(daemon_free) struct daemon *daemon = NULL;
    OWNED(buffer_free) struct buffer body = BUFFER(BODY_BYTES_MAX);
    struct ceremony_answer answer OWNED(ceremony_answer_free) = {0};
    struct json_writer writer = json_writer_over(&body);
    const char *reason = cli_option(arguments, "reason");

    json_begin_object(&writer);
    if (ceremony != NULL)
        json_put_member(&writer, "ceremony", ceremony);
    if (reason != NULL)
        json_put_member(&writer, "reason", reason);
    json_end_object(&writer);
    enum cli_exit code = daemon_open(arguments, &daemon);
    if (code == CLI_DONE)
        code = ceremony_ask(daemon, tail, &body, &answer);
    if (code != CLI_DONE)
        return code;
    if (cli_wants_json(arguments))
        ceremony_show(arguments, &answer);
    else if (ceremony != NULL)
        say_out("%s is cancelled, and that is in the log\n", ceremony);
    else
        say_out("the vault is sealed: its keys are forgotten\n");
    return CLI_DONE;
}

enum cli_exit ceremony_seal_command(const struct cli_arguments *arguments)
{
    return seal_ask(arguments, "/seal", NULL);
}

enum cli_exit ceremony_seal_cancel_command(const struct cli_arguments *arguments)
{
    return seal_ask(arguments, "/cancel", arguments->words[0]);
}

static void seal_say(const struct ceremony_answer *answer)
{
    static const char *const names[] = {"state", "why", "kind", "set", "created_at"};
    const struct json *json = &answer->json;
    uint32_t unsealing = json_member(json, 0, "unsealing");
    uint32_t list = json_member(json, 0, "custodians");
    char text[CEREMONY_TEXT_MAX];
    int64_t given = 0;
    int64_t threshold = 0;

    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
        ceremony_text(json, 0, names[i], text);
        if (text[0] != '\0')
            say_out("%-10s %s\n", names[i], text);
    }
    if (list != JSON_NONE && json->nodes[list].type == JSON_ARRAY) {
        status_ignore(json_int(json, json_member(json, 0, "threshold"), &threshold), "it stays 0");
        say_out("custodians %" PRId64 " of", threshold);
        uint32_t at = json_first(json, list);
        for (uint32_t i = 0; i < json->nodes[list].count; i++) {
            if (!failed(json_string(json, at, text, sizeof text, NULL)))
                say_out(" %s", text);
            at = json->nodes[at].next;
        }
        say_out("\n");
    }
    if (unsealing != JSON_NONE &&
        !failed(json_int(json, json_member(json, unsealing, "given"), &given)) &&
        !failed(json_int(json, json_member(json, unsealing, "threshold"), &threshold)))
        say_out("shares     %" PRId64 " of %" PRId64 " are in\n", given, threshold);
}

enum cli_exit ceremony_seal_show_command(const struct cli_arguments *arguments)
{
    OWNED(daemon_free) struct daemon *daemon = NULL;
    struct ceremony_answer answer OWNED(ceremony_answer_free) = {0};

    enum cli_exit code = daemon_open(arguments, &daemon);
    if (code == CLI_DONE)
        code = ceremony_ask(daemon, "", NULL, &answer);
    if (code != CLI_DONE)
        return code;
    if (!cli_wants_json(arguments))
        seal_say(&answer);
    ceremony_show(arguments, &answer);
    return CLI_DONE;
}

/* --- unseal --- */

/* The last share opens it behind its answer. */
static enum cli_exit open_wait(const struct daemon *daemon, char why[static CEREMONY_TEXT_MAX])
{
    const struct timespec pause = {.tv_nsec = POLL_MS * 1000000L};
    int64_t end_ms = clock_monotonic_ms() + OPEN_MS;
    char state[CEREMONY_TEXT_MAX];

    while (clock_monotonic_ms() < end_ms) {
        struct ceremony_answer answer OWNED(ceremony_answer_free) = {0};
        enum cli_exit code = ceremony_ask(daemon, "", NULL, &answer);
        if (code != CLI_DONE)
            return code;
        ceremony_text(&answer.json, 0, "state", state);
        ceremony_text(&answer.json, 0, "why", why);
        if (strcmp(state, "open") == 0)
            return CLI_DONE;
        uint32_t unsealing = json_member(&answer.json, 0, "unsealing");
        int64_t given = 0;
        if (unsealing == JSON_NONE ||
            failed(json_int(&answer.json, json_member(&answer.json, unsealing, "given"), &given)))
            break;
        (void)nanosleep(&pause, NULL);
    }
    return CLI_SEALED;
}

static enum cli_exit unseal_say(const struct cli_arguments *arguments, const struct daemon *daemon,
                                const struct ceremony_answer *answer)
{
    const struct json *json = &answer->json;
    char state[CEREMONY_TEXT_MAX];
    char why[CEREMONY_TEXT_MAX] = "";
    int64_t given = 0;
    int64_t threshold = 0;

    ceremony_text(json, 0, "state", state);
    bool opens = strcmp(state, "opening") == 0;
    enum cli_exit code = opens ? open_wait(daemon, why) : CLI_DONE;
    if (code != CLI_DONE) {
        say_error("all shares are in, and the vault does not open: %s", why);
        return code;
    }
    if (failed(json_int(json, json_member(json, 0, "given"), &given)) ||
        failed(json_int(json, json_member(json, 0, "threshold"), &threshold)))
        return CLI_FOUND;
    if (cli_wants_json(arguments))
        say_out("{\"state\": \"%s\", \"given\": %" PRId64 ", \"threshold\": %" PRId64 "}\n",
                opens ? "open" : "sealed", given, threshold);
    else if (opens)
        say_out("the vault is open\n");
    else
        say_out("%" PRId64 " of %" PRId64 " shares are in; the vault is still sealed\n", given,
                threshold);
    return CLI_DONE;
}

enum cli_exit ceremony_unseal_command(const struct cli_arguments *arguments)
{
    OWNED(daemon_free) struct daemon *daemon = NULL;
    OWNED(secret_free) struct secret *line = NULL;
    OWNED(buffer_free) struct buffer body = BUFFER(BODY_BYTES_MAX);
    struct ceremony_answer answer OWNED(ceremony_answer_free) = {0};
    struct json_writer writer = json_writer_over(&body);
    size_t size = 0;

    enum cli_exit code = daemon_open(arguments, &daemon);
    if (code != CLI_DONE)
        return code;
    struct status status = typed_ask("Your share (not shown): ", &line, &size);
    if (failed(status)) {
        say_error("no share came on standard input (%s); type it there, or give the line that "
                  "begins with ckshare1",
                  status_name(status.why));
        return CLI_USAGE;
    }
    json_begin_object(&writer);
    json_key(&writer, "share");
    json_put_bytes(&writer, secret_peek(line), size);
    json_end_object(&writer);
    code = ceremony_ask(daemon, "/unseal", &body, &answer);
    return code == CLI_DONE ? unseal_say(arguments, daemon, &answer) : code;
}
