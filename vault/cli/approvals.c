/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/cli/approvals.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/own.h"
#include "vault/cli/keys.h"
#include "vault/cli/log_walk.h"
#include "vault/cli/say.h"
#include "vault/contract.h"

#define TARGET_MAX 128u
#define TEXT_MAX   256u
#define PREFIX     "apr_"

static void row_say(const struct json *json, uint32_t node)
{
    static const char *const names[] = {"approval", "state",    "kind",
                                        "target",   "asked_at", "deadline"};
    char texts[6][TEXT_MAX];
    char asked[TEXT_MAX];
    char ended[TEXT_MAX];

    for (unsigned i = 0; i < 6; i++)
        log_walk_text(json, node, names[i], texts[i], TEXT_MAX);
    log_walk_text(json, json_member(json, node, "asked_by"), "principal", asked, sizeof asked);
    log_walk_text(json, json_member(json, node, "ended_by"), "principal", ended, sizeof ended);
    say_out("%-9s %-10s %-15s %-18s %-14s %-24s %-24s %s\n", texts[0], texts[1], texts[2], texts[3],
            asked, texts[4], texts[5], ended[0] == '\0' ? "-" : ended);
}

/* One page; false where it was the last one. */
static bool page_say(const struct cli_arguments *arguments, const struct keys_answer *page,
                     uint64_t *after)
{
    const struct json *json = &page->json;
    uint32_t list = json_member(json, 0, "approvals");
    uint32_t more = json_member(json, 0, "more");
    uint32_t at = json_first(json, list);
    char id[TEXT_MAX] = "";

    for (uint32_t i = 0; at != JSON_NONE && i < json->nodes[list].count; i++) {
        if (!cli_wants_json(arguments))
            row_say(json, at);
        log_walk_text(json, at, "approval", id, sizeof id);
        at = json->nodes[at].next;
    }
    if (cli_wants_json(arguments))
        keys_say_json(page);
    return more != JSON_NONE && json->nodes[more].type == JSON_TRUE &&
           strncmp(id, PREFIX, strlen(PREFIX)) == 0 && keys_id(id + strlen(PREFIX), after);
}

enum cli_exit approvals_list(const struct cli_arguments *arguments)
{
    OWNED(daemon_free) struct daemon *daemon = NULL;
    const char *state = cli_option(arguments, "all") != NULL ? "" : "&state=waiting";
    uint64_t after = 0;
    bool more = true;

    enum cli_exit code = daemon_open(arguments, &daemon);
    if (code != CLI_DONE)
        return code;
    if (!cli_wants_json(arguments))
        say_out("%-9s %-10s %-15s %-18s %-14s %-24s %-24s %s\n", "ID", "STATE", "KIND", "OF",
                "ASKED BY", "AT", "UNTIL", "ENDED BY");
    while (more) {
        struct keys_answer page OWNED(keys_answer_free) = {0};
        char target[TARGET_MAX];
        (void)snprintf(target, sizeof target, CONTRACT_PATH_APPROVALS "?after=%" PRIu64 "%s", after,
                       state);
        code = keys_ask(daemon, "GET", target, NULL, &page);
        if (code != CLI_DONE)
            return code;
        more = page_say(arguments, &page, &after);
    }
    return CLI_DONE;
}

static enum cli_exit request_end(const struct cli_arguments *arguments, const char *method,
                                 const char *how)
{
    OWNED(daemon_free) struct daemon *daemon = NULL;
    struct keys_answer answer OWNED(keys_answer_free) = {0};
    const char *word = arguments->words[0];
    char target[TARGET_MAX];
    uint64_t number = 0;

    if (strncmp(word, PREFIX, strlen(PREFIX)) != 0 || !keys_id(word + strlen(PREFIX), &number)) {
        say_error("a request is named apr_N, as 'cardkeep approvals list' shows it");
        return CLI_USAGE;
    }
    enum cli_exit code = daemon_open(arguments, &daemon);
    if (code != CLI_DONE)
        return code;
    (void)snprintf(target, sizeof target, CONTRACT_PATH_APPROVALS "/" PREFIX "%" PRIu64, number);
    code = keys_ask(daemon, method, target, NULL, &answer);
    if (code != CLI_DONE)
        return code;
    if (cli_wants_json(arguments)) {
        keys_say_json(&answer);
        return CLI_DONE;
    }
    char kind[TEXT_MAX];
    char of[TEXT_MAX];
    char statement[2 * TEXT_MAX];
    log_walk_text(&answer.json, 0, "kind", kind, sizeof kind);
    log_walk_text(&answer.json, 0, "target", of, sizeof of);
    log_walk_text(&answer.json, json_member(&answer.json, 0, "result"), "statement", statement,
                  sizeof statement);
    say_out("%s: %s of %s is %s\n", word, kind, of, how);
    if (statement[0] != '\0')
        say_out("%s\n", statement);
    return CLI_DONE;
}

enum cli_exit approvals_approve(const struct cli_arguments *arguments)
{
    return request_end(arguments, "POST", "carried out");
}

enum cli_exit approvals_cancel(const struct cli_arguments *arguments)
{
    return request_end(arguments, "DELETE", "cancelled");
}
