/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/cli/keys.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "keys/keyring.h"
#include "vault/cli/log_walk.h"
#include "vault/cli/say.h"
#include "vault/contract.h"

#define NODES_MAX      65536u
#define TARGET_MAX     512u
#define TEXT_MAX       256u
#define BODY_BYTES_MAX 4096u
#define ID_DIGITS_MAX  12u
#define WITHIN_MAX     604800L

void keys_answer_free(struct keys_answer *answer)
{
    buffer_free(&answer->answer.body);
    free(answer->nodes);
    answer->nodes = NULL;
}

enum cli_exit keys_ask(const struct daemon *daemon, const char *method, const char *target,
                       const struct buffer *body, struct keys_answer *out_answer)
{
    struct daemon_request request = {.which = DAEMON_VAULT,
                                     .as_security = true,
                                     .method = method,
                                     .target = target,
                                     .body = body};
    size_t at = 0;

    enum cli_exit code = daemon_ask(daemon, &request, &out_answer->answer);
    if (code != CLI_DONE)
        return code;
    out_answer->nodes = calloc(NODES_MAX, sizeof *out_answer->nodes);
    const struct buffer *text = &out_answer->answer.body;
    if (out_answer->nodes != NULL &&
        !failed(json_read(text->bytes, text->size, out_answer->nodes, NODES_MAX, &out_answer->json,
                          &at)) &&
        out_answer->nodes[0].type == JSON_OBJECT)
        return CLI_DONE;
    say_error("the vault's answer to %s is not JSON that this program knows", target);
    return CLI_FOUND;
}

void keys_say_json(const struct keys_answer *answer)
{
    say_bytes(answer->answer.body.bytes, answer->answer.body.size);
    say_out("\n");
}

bool keys_id(const char *word, uint64_t *out_id)
{
    size_t size = strspn(word, "0123456789");
    uint64_t id = 0;

    for (size_t i = 0; i < size && i < ID_DIGITS_MAX; i++)
        id = 10 * id + (uint64_t)(word[i] - '0');
    if (size >= 1 && size <= ID_DIGITS_MAX && word[size] == '\0' && id > 0) {
        *out_id = id;
        return true;
    }
    say_error("a key's id is a number, as 'cardkeep keys list' shows it");
    return false;
}

bool keys_body(const struct cli_arguments *arguments, struct buffer *out_body)
{
    struct json_writer writer = json_writer_over(out_body);
    const char *reason = cli_option(arguments, "reason");
    long within = 0;

    if (!cli_option_number(arguments, "within", 0, 1, WITHIN_MAX, &within))
        return false;
    json_begin_object(&writer);
    if (reason != NULL)
        json_put_member(&writer, "reason", reason);
    if (within > 0)
        json_put_member_int(&writer, "within_seconds", within);
    json_end_object(&writer);
    return true;
}

/* --- list and show --- */

static void number_text(const struct json *json, uint32_t node, const char *name, char *out,
                        size_t out_size)
{
    int64_t value = 0;

    if (failed(json_int(json, json_member(json, node, name), &value)))
        (void)snprintf(out, out_size, "-");
    else
        (void)snprintf(out, out_size, "%" PRId64, value);
}

static bool is_true(const struct json *json, uint32_t node, const char *name)
{
    uint32_t value = json_member(json, node, name);

    return value != JSON_NONE && json->nodes[value].type == JSON_TRUE;
}

static void list_head(void)
{
    say_out("%6s  %-4s %-11s %-16s %7s  %-15s %-24s %-24s %9s\n", "ID", "KIND", "PURPOSE", "TENANT",
            "VERSION", "STATE", "CREATED", "ENCRYPTS UNTIL", "USES");
}

static void list_row(const struct json *json, uint32_t node)
{
    char id[24];
    char version[24];
    char uses[24];
    char texts[6][TEXT_MAX];
    static const char *const names[] = {"level", "purpose",    "tenant",
                                        "state", "created_at", "expires_at"};

    number_text(json, node, "id", id, sizeof id);
    number_text(json, node, "version", version, sizeof version);
    number_text(json, node, "uses", uses, sizeof uses);
    for (unsigned i = 0; i < 6; i++)
        log_walk_text(json, node, names[i], texts[i], TEXT_MAX);
    if (is_true(json, node, "held"))
        (void)snprintf(texts[3] + strlen(texts[3]), 16, ", held");
    say_out("%6s  %-4s %-11s %-16s %7s  %-15s %-24s %-24s %9s\n", id, texts[0], texts[1],
            texts[2][0] == '\0' ? "-" : texts[2], version, texts[3], texts[4],
            texts[5][0] == '\0' ? "-" : texts[5], uses);
}

/* One page; *after moves to its last key.  False where it was the last one. */
static bool list_page(const struct cli_arguments *arguments, const struct keys_answer *page,
                      uint64_t *after)
{
    const struct json *json = &page->json;
    uint32_t keys = json_member(json, 0, "keys");
    uint32_t at = json_first(json, keys);
    uint64_t before = *after;

    for (uint32_t i = 0; at != JSON_NONE && i < json->nodes[keys].count; i++) {
        int64_t id = 0;
        if (!cli_wants_json(arguments))
            list_row(json, at);
        if (!failed(json_int(json, json_member(json, at, "id"), &id)))
            *after = (uint64_t)id;
        at = json->nodes[at].next;
    }
    if (cli_wants_json(arguments))
        keys_say_json(page);
    return is_true(json, 0, "more") && *after > before;
}

/* "&name=value" of an option that was given; false for one that is no plain word. */
static bool filter_add(const struct cli_arguments *arguments, const char *name, char *target)
{
    const char *value = cli_option(arguments, name);
    size_t used = strlen(target);

    if (value == NULL)
        return true;
    if (value[strspn(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")] !=
            '\0' ||
        strlen(value) > 64 || value[0] == '\0') {
        say_error("--%s is a plain word; see 'cardkeep keys list'", name);
        return false;
    }
    (void)snprintf(target + used, TARGET_MAX - used, "&%s=%s", name, value);
    return true;
}

/* False, with the sentence said, for a word that the option does not know. */
static bool word_known(const struct cli_arguments *arguments, const char *name,
                       const char *const *words, unsigned count)
{
    const char *given = cli_option(arguments, name);
    OWNED(buffer_free) struct buffer known = BUFFER(TEXT_MAX);

    for (unsigned i = 0; i < count; i++) {
        if (given == NULL || strcmp(given, words[i]) == 0)
            return true;
        buffer_format(&known, "%s%s", i == 0 ? "" : ", ", words[i]);
    }
    say_error("--%s is one of: %s", name, buffer_text(&known));
    return false;
}

static bool list_words_known(const struct cli_arguments *arguments)
{
    const char *purposes[KEY_PURPOSE_COUNT - 1];
    const char *states[KEY_STATE_DESTROYED];

    for (unsigned i = 0; i < KEY_PURPOSE_COUNT - 1; i++)
        purposes[i] = key_purpose_name((enum key_purpose)(i + 1));
    for (unsigned i = 0; i < KEY_STATE_DESTROYED; i++)
        states[i] = key_state_name((enum key_state)(i + 1));
    return word_known(arguments, "purpose", purposes, KEY_PURPOSE_COUNT - 1) &&
           word_known(arguments, "state", states, KEY_STATE_DESTROYED);
}

enum cli_exit keys_list(const struct cli_arguments *arguments)
{
    OWNED(daemon_free) struct daemon *daemon = NULL;
    uint64_t after = 0;
    bool more = true;

    if (!list_words_known(arguments))
        return CLI_USAGE;
    enum cli_exit code = daemon_open(arguments, &daemon);
    if (code != CLI_DONE)
        return code;
    if (!cli_wants_json(arguments))
        list_head();
    while (more) {
        struct keys_answer page OWNED(keys_answer_free) = {0};
        char target[TARGET_MAX];
        (void)snprintf(target, sizeof target, CONTRACT_PATH_KEYS "?after=%" PRIu64, after);
        if (!filter_add(arguments, "tenant", target) || !filter_add(arguments, "purpose", target) ||
            !filter_add(arguments, "state", target))
            return CLI_USAGE;
        code = keys_ask(daemon, "GET", target, NULL, &page);
        if (code != CLI_DONE)
            return code;
        more = list_page(arguments, &page, &after);
    }
    return CLI_DONE;
}

/* Every member of an object, one a line. */
static void say_members(const struct json *json, uint32_t node)
{
    uint32_t key = json_first(json, node);

    for (uint32_t i = 0; key != JSON_NONE && i < json->nodes[node].count; i++) {
        uint32_t value = key + 1;
        const struct json_node *at = &json->nodes[value];
        say_out("%-14.*s %.*s\n", (int)json->nodes[key].size,
                (const char *)json->bytes + json->nodes[key].start,
                at->type == JSON_NULL ? 1 : (int)at->size,
                at->type == JSON_NULL ? "-" : (const char *)json->bytes + at->start);
        key = at->next;
    }
}

static enum cli_exit key_ask(const struct cli_arguments *arguments, const char *method,
                             const char *verb, const struct buffer *body,
                             struct keys_answer *out_answer)
{
    OWNED(daemon_free) struct daemon *daemon = NULL;
    char target[TARGET_MAX];
    uint64_t id = 0;

    if (!keys_id(arguments->words[0], &id))
        return CLI_USAGE;
    enum cli_exit code = daemon_open(arguments, &daemon);
    if (code != CLI_DONE)
        return code;
    (void)snprintf(target, sizeof target, CONTRACT_PATH_KEYS "/%" PRIu64 "%s", id, verb);
    code = keys_ask(daemon, method, target, body, out_answer);
    if (code == CLI_DONE && cli_wants_json(arguments))
        keys_say_json(out_answer);
    return code;
}

enum cli_exit keys_show(const struct cli_arguments *arguments)
{
    struct keys_answer answer OWNED(keys_answer_free) = {0};
    enum cli_exit code = key_ask(arguments, "GET", "", NULL, &answer);

    if (code == CLI_DONE && !cli_wants_json(arguments))
        say_members(&answer.json, 0);
    return code;
}

/* --- changes --- */

static enum cli_exit change(const struct cli_arguments *arguments, const char *verb)
{
    struct keys_answer answer OWNED(keys_answer_free) = {0};
    struct buffer body OWNED(buffer_free) = BUFFER(BODY_BYTES_MAX);
    char id[24];
    char state[TEXT_MAX];

    if (!keys_body(arguments, &body))
        return CLI_USAGE;
    enum cli_exit code = key_ask(arguments, "POST", verb, &body, &answer);
    if (code != CLI_DONE || cli_wants_json(arguments))
        return code;
    if (answer.answer.status == 202) {
        keys_say_approval(&answer.json, 0);
        return CLI_DONE;
    }
    number_text(&answer.json, 0, "id", id, sizeof id);
    log_walk_text(&answer.json, 0, "state", state, sizeof state);
    say_out("key %s is %s\n", id, state);
    return CLI_DONE;
}

void keys_say_approval(const struct json *json, uint32_t node)
{
    char id[TEXT_MAX];
    char kind[TEXT_MAX];
    char target[TEXT_MAX];
    char deadline[TEXT_MAX];

    log_walk_text(json, node, "approval", id, sizeof id);
    log_walk_text(json, node, "kind", kind, sizeof kind);
    log_walk_text(json, node, "target", target, sizeof target);
    log_walk_text(json, node, "deadline", deadline, sizeof deadline);
    say_out("%s: %s of %s waits until %s for somebody else, who says\n"
            "  cardkeep approvals approve %s\n",
            id, kind, target, deadline, id);
}

enum cli_exit keys_suspend(const struct cli_arguments *arguments)
{
    return change(arguments, "/suspend");
}

enum cli_exit keys_activate(const struct cli_arguments *arguments)
{
    return change(arguments, "/activate");
}

enum cli_exit keys_deactivate(const struct cli_arguments *arguments)
{
    return change(arguments, "/deactivate");
}

enum cli_exit keys_compromise(const struct cli_arguments *arguments)
{
    return change(arguments, "/compromise");
}

enum cli_exit keys_destroy(const struct cli_arguments *arguments)
{
    return change(arguments, "/destroy");
}
