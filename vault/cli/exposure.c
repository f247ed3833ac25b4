/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/cli/exposure.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/encode.h"
#include "base/hash.h"
#include "base/own.h"
#include "vault/cli/exposure_moved.h"
#include "vault/cli/exposure_tally.h"
#include "vault/cli/keys.h"
#include "vault/cli/log_walk.h"
#include "vault/cli/say.h"

#define TEXT_MAX       128u
#define USES_BYTES_MAX ((size_t)512 << 20)
#define HEAD_BYTES_MAX (256u * 1024u)
#define KEYS_MAX       4096u
#define UNDER          "under key "

/* What an event does to the token that it names. */
static const struct action {
    const char *event;
    enum exposure_action action;
} actions[] = {
    {"card.tokenize", EXPOSURE_SEALED},
    {"card.lease", EXPOSURE_OPENED},
    {"card.mask_read", EXPOSURE_SHOWN},
};
static const char *const action_names[] = {
    [EXPOSURE_SEALED] = "sealed", [EXPOSURE_OPENED] = "opened", [EXPOSURE_SHOWN] = "shown"};

struct exposure {
    uint64_t keys[KEYS_MAX]; /* The key, and those that it wrapped. */
    unsigned key_count;
    int64_t from_ms;
    int64_t to_ms;
    bool json;
    bool known; /* The log names the key. */
    bool more;  /* Keys or uses that found no room. */
    struct exposure_tally tally;
    struct exposure_moved moved;
    struct buffer uses; /* One line, or one JSON object, each. */
    struct log_entry entry;
};

static void exposure_free(struct exposure **exposure)
{
    if (*exposure == NULL)
        return;
    exposure_tally_free(&(*exposure)->tally);
    buffer_free(&(*exposure)->uses);
    free(*exposure);
    *exposure = NULL;
}

static bool key_is_meant(const struct exposure *exposure, uint64_t id)
{
    for (unsigned i = 0; i < exposure->key_count; i++)
        if (exposure->keys[i] == id)
            return true;
    return false;
}

/* --- First walk: which keys hang from it, or ever did --- */

static void wrapped_on_entry(void *owner, uint64_t seq, const char *text, size_t size)
{
    struct exposure *exposure = owner;
    const struct json *json = &exposure->entry.json;
    char event[TEXT_MAX];
    char detail[TEXT_MAX];

    (void)seq;
    if ((memmem(text, size, "\"event\":\"key.", 13) == NULL &&
         memmem(text, size, "\"event\":\"job.", 13) == NULL) ||
        !log_walk_read(text, size, &exposure->entry))
        return;
    log_walk_text(json, 0, "event", event, sizeof event);
    exposure_moved_take(&exposure->moved, json, event);
    log_walk_text(json, 0, "detail", detail, sizeof detail);
    const char *under = strstr(detail, UNDER);
    uint64_t id = log_walk_key(json, 0);
    exposure->known = exposure->known || id == exposure->keys[0];
    if (under == NULL || id == 0 || key_is_meant(exposure, id))
        return;
    under += strlen(UNDER);
    char meant[24];
    (void)snprintf(meant, sizeof meant, "%" PRIu64, exposure->keys[0]);
    if (strcmp(under, meant) != 0)
        return;
    if (exposure->key_count < KEYS_MAX)
        exposure->keys[exposure->key_count++] = id;
    else
        exposure->more = true;
}

/* --- Second walk: what was done under them --- */

struct use {
    enum exposure_action action;
    uint64_t seq;
    uint64_t key_id;
    char ts[TEXT_MAX];
    char token[TEXT_MAX];
    char outcome[TEXT_MAX];
    char actor[TEXT_MAX];
    char on_behalf_of[TEXT_MAX];
    char origin[TEXT_MAX];
    char destination[TEXT_MAX];
};

static void use_write(struct exposure *exposure, const struct use *use)
{
    struct buffer *out = &exposure->uses;

    if (!exposure->json) {
        buffer_format(out, "%s  %8" PRIu64 "  %-6s  %6" PRIu64 "  %-36s  %-12s  %-12s  %-12s  %s\n",
                      use->ts, use->seq, action_names[use->action], use->key_id, use->token,
                      use->actor, use->on_behalf_of[0] == '\0' ? "-" : use->on_behalf_of,
                      use->destination[0] == '\0' ? "-" : use->destination, use->origin);
        return;
    }
    if (out->size > 0)
        buffer_add_u8(out, ',');
    struct json_writer writer = json_writer_over(out);
    json_begin_object(&writer);
    json_put_member(&writer, "ts", use->ts);
    json_put_member_u64(&writer, "seq", use->seq);
    json_put_member(&writer, "action", action_names[use->action]);
    json_put_member_u64(&writer, "key", use->key_id);
    json_put_member(&writer, "token", use->token);
    json_put_member(&writer, "outcome", use->outcome);
    json_put_member(&writer, "by", use->actor);
    json_put_member(&writer, "on_behalf_of",
                    use->on_behalf_of[0] == '\0' ? NULL : use->on_behalf_of);
    json_put_member(&writer, "destination", use->destination[0] == '\0' ? NULL : use->destination);
    json_put_member(&writer, "from", use->origin);
    json_end_object(&writer);
}

/* `node` names the token, its outcome and its key: the entry itself, or one of its items. */
static void use_take(struct exposure *exposure, struct use *use, uint32_t node)
{
    const struct json *json = &exposure->entry.json;

    use->key_id = log_walk_key(json, node);
    if (!key_is_meant(exposure, use->key_id))
        return;
    log_walk_text(json, node, "object", use->token, sizeof use->token);
    log_walk_text(json, node, "outcome", use->outcome, sizeof use->outcome);
    use_write(exposure, use);
    /* A lease is the relay's, and what it is for the application's. */
    const char *by = use->on_behalf_of[0] != '\0' ? use->on_behalf_of : use->actor;
    exposure_tally_add(&exposure->tally, use->action, use->token, by);
}

static bool use_begin(struct exposure *exposure, struct use *use)
{
    const struct json *json = &exposure->entry.json;
    char event[TEXT_MAX];
    int64_t ts_ms = 0;
    bool known = false;

    log_walk_text(json, 0, "event", event, sizeof event);
    for (unsigned i = 0; i < sizeof actions / sizeof actions[0]; i++)
        if (strcmp(actions[i].event, event) == 0) {
            use->action = actions[i].action;
            known = true;
        }
    log_walk_text(json, 0, "ts", use->ts, sizeof use->ts);
    if (!known || failed(clock_parse(use->ts, strlen(use->ts), &ts_ms)) ||
        ts_ms < exposure->from_ms || ts_ms > exposure->to_ms)
        return false;
    log_walk_text(json, 0, "actor", use->actor, sizeof use->actor);
    log_walk_text(json, 0, "on_behalf_of", use->on_behalf_of, sizeof use->on_behalf_of);
    log_walk_text(json, 0, "origin", use->origin, sizeof use->origin);
    log_walk_text(json, 0, "destination", use->destination, sizeof use->destination);
    return true;
}

static void uses_on_entry(void *owner, uint64_t seq, const char *text, size_t size)
{
    struct exposure *exposure = owner;
    struct use use = {.seq = seq};

    if (memmem(text, size, "\"key\":{", 7) == NULL ||
        !log_walk_read(text, size, &exposure->entry) || !use_begin(exposure, &use))
        return;
    use_take(exposure, &use, 0);
    const struct json *json = &exposure->entry.json;
    uint32_t items = json_member(json, 0, "items");
    uint32_t item = json_first(json, items);
    for (uint32_t i = 0; item != JSON_NONE && i < json->nodes[items].count; i++) {
        use_take(exposure, &use, item);
        item = json->nodes[item].next;
    }
}

/* --- What it comes to --- */

static void say_json(const struct exposure *exposure, const char *from, const char *to)
{
    OWNED(buffer_free) struct buffer head = BUFFER(HEAD_BYTES_MAX);
    struct json_writer writer = json_writer_over(&head);
    const struct exposure_tally *tally = &exposure->tally;

    json_begin_object(&writer);
    json_put_member_u64(&writer, "key", exposure->keys[0]);
    json_key(&writer, "keys");
    json_begin_array(&writer);
    for (unsigned i = 0; i < exposure->key_count; i++)
        json_put_int(&writer, (int64_t)exposure->keys[i]);
    json_end_array(&writer);
    json_put_member(&writer, "from", from);
    json_put_member(&writer, "to", to);
    json_put_member_u64(&writer, "tokens", tally->tokens);
    for (unsigned i = 0; i < EXPOSURE_ACTION_COUNT; i++)
        json_put_member_u64(&writer, action_names[i], tally->uses[i]);
    json_key(&writer, "by");
    json_begin_array(&writer);
    for (unsigned i = 0; i < tally->person_count; i++) {
        json_begin_object(&writer);
        json_put_member(&writer, "principal", tally->persons[i].name);
        json_put_member_u64(&writer, "uses", tally->persons[i].uses);
        json_end_object(&writer);
    }
    json_end_array(&writer);
    json_put_member_bool(&writer, "whole", !exposure->more && !exposure->moved.full);
    json_key(&writer, "moved_here");
    json_begin_array(&writer);
    for (unsigned i = 0; i < exposure->moved.job_count; i++) {
        const struct exposure_job *job = &exposure->moved.jobs[i];
        if (!exposure_moved_counts(&exposure->moved, job))
            continue;
        json_begin_object(&writer);
        json_put_member(&writer, "job", job->name);
        json_put_member_u64(&writer, "from_key", job->from_key);
        json_put_member_bool(&writer, "ended", job->ended);
        json_put_member(&writer, "detail", job->detail);
        json_end_object(&writer);
    }
    json_end_array(&writer);
    say_bytes(head.bytes, head.size);
    say_out(",\"uses\":[");
    say_bytes(exposure->uses.bytes, exposure->uses.size);
    say_out("]}\n");
}

/* What the uses do not show: records that a job sealed here. */
static void say_moved(const struct exposure_moved *moved)
{
    for (unsigned i = 0; i < moved->job_count; i++) {
        const struct exposure_job *job = &moved->jobs[i];
        if (!exposure_moved_counts(moved, job))
            continue;
        say_out("  %s may have moved records under it (%s): the exposure of ", job->name,
                job->detail);
        if (job->from_key != 0)
            say_out("key %" PRIu64 " names their tokens\n", job->from_key);
        else
            say_out("the keys before it names their tokens\n");
    }
}

static void say_table(const struct exposure *exposure, const char *from, const char *to)
{
    const struct exposure_tally *tally = &exposure->tally;

    say_out("key %" PRIu64 ", from %s to %s\n", exposure->keys[0], from, to);
    if (exposure->key_count > 1)
        say_out("  it wrapped %u keys: what follows is of all of them\n", exposure->key_count - 1);
    say_out("  %" PRIu64 " tokens: %" PRIu64 " times sealed, %" PRIu64 " times opened for a "
            "gateway, %" PRIu64 " times shown masked\n",
            tally->tokens, tally->uses[EXPOSURE_SEALED], tally->uses[EXPOSURE_OPENED],
            tally->uses[EXPOSURE_SHOWN]);
    for (unsigned i = 0; i < tally->person_count; i++)
        say_out("  %-20s %10" PRIu64 " times\n", tally->persons[i].name, tally->persons[i].uses);
    say_moved(&exposure->moved);
    if (exposure->uses.size > 0)
        say_out("\n%-24s  %8s  %-6s  %6s  %-36s  %-12s  %-12s  %-12s  %s\n", "TIME", "ENTRY",
                "WHAT", "KEY", "TOKEN", "BY", "FOR", "TO", "FROM");
    say_bytes(exposure->uses.bytes, exposure->uses.size);
}

static bool time_option(const struct cli_arguments *arguments, const char *name, int64_t fallback,
                        int64_t *out_ms)
{
    const char *text = cli_option(arguments, name);

    *out_ms = fallback;
    if (text == NULL || !failed(clock_parse(text, strlen(text), out_ms)))
        return true;
    say_error("--%s is a time as in 2026-11-23T08:00:00Z", name);
    return false;
}

enum cli_exit exposure_run(const struct cli_arguments *arguments)
{
    OWNED(exposure_free) struct exposure *exposure = calloc(1, sizeof *exposure);
    char from[CLOCK_TEXT_SIZE];
    char to[CLOCK_TEXT_SIZE];

    if (exposure == NULL) {
        say_error("there is not enough memory");
        return CLI_UNREACHABLE;
    }
    exposure->uses = BUFFER(USES_BYTES_MAX);
    exposure->json = cli_wants_json(arguments);
    exposure->key_count = 1;
    if (!keys_id(arguments->words[0], &exposure->keys[0]) ||
        !time_option(arguments, "from", 0, &exposure->from_ms) ||
        !time_option(arguments, "to", clock_now_ms(), &exposure->to_ms))
        return CLI_USAGE;
    exposure->moved.key_id = exposure->keys[0];
    struct log_walk walk = {
        .arguments = arguments, .on_entry = wrapped_on_entry, .owner = exposure};
    enum cli_exit code = log_walk_run(&walk);
    if (code != CLI_DONE)
        return code;
    if (!exposure->known) {
        say_error("no such key: the log names no key %" PRIu64 "; 'cardkeep keys list' shows each",
                  exposure->keys[0]);
        return CLI_FOUND;
    }
    walk.on_entry = uses_on_entry;
    code = log_walk_run(&walk);
    if (code != CLI_DONE)
        return code;
    if (failed(buffer_status(&exposure->uses)) || exposure->tally.full) {
        say_error("there are more uses than fit into memory; give a window with --from and --to");
        return CLI_FOUND;
    }
    clock_text(exposure->from_ms, from);
    clock_text(exposure->to_ms, to);
    if (exposure->json)
        say_json(exposure, from, to);
    else
        say_table(exposure, from, to);
    return CLI_DONE;
}
