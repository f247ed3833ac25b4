/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/cli/inventory.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/own.h"
#include "vault/cli/keys.h"
#include "vault/cli/log_walk.h"
#include "vault/cli/say.h"
#include "vault/cli/warnings.h"
#include "vault/contract.h"

#define TARGET_MAX      128u
#define TEXT_MAX        256u
#define KEYS_BYTES_MAX  ((size_t)1 << 30)
#define RELAY_BYTES_MAX 65536u

struct inventory {
    struct keys_answer vault;
    struct buffer keys;  /* Objects with commas between. */
    struct buffer relay; /* The same. */
    uint64_t key_count;
    uint64_t by_state[8];
};

static const char *const states[] = {"pre-active",  "active",      "suspended",
                                     "deactivated", "compromised", "destroyed"};
#define STATE_COUNT (sizeof states / sizeof states[0])

static void inventory_free(struct inventory *inventory)
{
    keys_answer_free(&inventory->vault);
    buffer_free(&inventory->keys);
    buffer_free(&inventory->relay);
}

/* Adds the keys of a page; true where there are more behind *after, which moves. */
static bool keys_take(struct inventory *inventory, const struct keys_answer *page, uint64_t *after)
{
    const struct json *json = &page->json;
    uint32_t keys = json_member(json, 0, "keys");
    uint32_t more = json_member(json, 0, "more");
    uint32_t at = json_first(json, keys);
    uint64_t before = *after;

    for (uint32_t i = 0; at != JSON_NONE && i < json->nodes[keys].count; i++) {
        int64_t id = 0;
        char state[TEXT_MAX];
        if (inventory->keys.size > 0)
            buffer_add_u8(&inventory->keys, ',');
        buffer_add(&inventory->keys, json->bytes + json->nodes[at].start, json->nodes[at].size);
        inventory->key_count++;
        log_walk_text(json, at, "state", state, sizeof state);
        for (unsigned s = 0; s < STATE_COUNT; s++)
            inventory->by_state[s] += strcmp(states[s], state) == 0 ? 1 : 0;
        if (!failed(json_int(json, json_member(json, at, "id"), &id)))
            *after = (uint64_t)id;
        at = json->nodes[at].next;
    }
    return more != JSON_NONE && json->nodes[more].type == JSON_TRUE && *after > before;
}

static enum cli_exit keys_fetch(const struct daemon *daemon, struct inventory *inventory)
{
    uint64_t after = 0;
    bool more = true;

    while (more) {
        struct keys_answer page OWNED(keys_answer_free) = {0};
        char target[TARGET_MAX];
        (void)snprintf(target, sizeof target, CONTRACT_PATH_KEYS "?after=%" PRIu64, after);
        enum cli_exit code = keys_ask(daemon, "GET", target, NULL, &page);
        if (code != CLI_DONE)
            return code;
        more = keys_take(inventory, &page, &after);
    }
    return CLI_DONE;
}

static void relay_on_left(void *owner, const char *name, int64_t seconds)
{
    struct inventory *inventory = owner;

    if (inventory->relay.size > 0)
        buffer_add_u8(&inventory->relay, ',');
    struct json_writer writer = json_writer_over(&inventory->relay);
    json_begin_object(&writer);
    json_put_member(&writer, "where", name);
    json_put_member_int(&writer, "left_seconds", seconds);
    json_end_object(&writer);
}

static void relay_fetch(const struct daemon *daemon, struct inventory *inventory)
{
    struct daemon_answer answer = {0};

    if (daemon_probe(daemon, DAEMON_RELAY, "/metrics", &answer) == CLI_DONE && answer.status == 200)
        warnings_left(buffer_text(&answer.body), relay_on_left, inventory);
    buffer_free(&answer.body);
}

/* The vault's object goes on with what was gathered beside it. */
static void say_json(const struct inventory *inventory)
{
    const struct buffer *vault = &inventory->vault.answer.body;

    say_bytes(vault->bytes, inventory->vault.json.nodes[0].size - 1);
    say_out(",\"relay\":[");
    say_bytes(inventory->relay.bytes, inventory->relay.size);
    say_out("],\"keys\":[");
    say_bytes(inventory->keys.bytes, inventory->keys.size);
    say_out("]}\n");
}

/* Texts of some members of each object of an array, one line each. */
static void say_rows(const struct json *json, const char *array, const char *const *names)
{
    uint32_t list = json_member(json, 0, array);
    uint32_t at = json_first(json, list);

    for (uint32_t i = 0; at != JSON_NONE && i < json->nodes[list].count; i++) {
        say_out("  ");
        for (unsigned n = 0; names[n] != NULL; n++) {
            char text[TEXT_MAX];
            log_walk_text(json, at, names[n], text, sizeof text);
            say_out("%s%s", n == 0 ? "" : "  ", text[0] == '\0' ? "-" : text);
        }
        say_out("\n");
        at = json->nodes[at].next;
    }
}

static void say_listeners(const struct json *json)
{
    uint32_t list = json_member(json, 0, "listeners");
    uint32_t at = json_first(json, list);

    for (uint32_t i = 0; at != JSON_NONE && i < json->nodes[list].count; i++) {
        uint32_t certificates = json_member(json, at, "certificates");
        uint32_t one = json_first(json, certificates);
        char where[TEXT_MAX];
        log_walk_text(json, at, "where", where, sizeof where);
        say_out("certificates of the vault's listener '%s'\n", where);
        for (uint32_t c = 0; one != JSON_NONE && c < json->nodes[certificates].count; c++) {
            char texts[4][TEXT_MAX];
            log_walk_text(json, one, "role", texts[0], TEXT_MAX);
            log_walk_text(json, one, "subject", texts[1], TEXT_MAX);
            log_walk_text(json, one, "algorithm", texts[2], TEXT_MAX);
            log_walk_text(json, one, "expires_at", texts[3], TEXT_MAX);
            say_out("  %-20s %-40s %-8s until %s\n", texts[0], texts[1], texts[2], texts[3]);
            one = json->nodes[one].next;
        }
        at = json->nodes[at].next;
    }
}

static void say_warning(void *owner, const char *sentence)
{
    (void)owner;
    say_out("  %s\n", sentence);
}

static void say_report(const struct inventory *inventory, const struct daemon *daemon)
{
    static const char *const algorithms[] = {"kind", "name", "where", NULL};
    static const char *const signers[] = {"verifier", "algorithm", "holder", NULL};
    const struct json *json = &inventory->vault.json;
    uint32_t root = json_member(json, 0, "root");
    char texts[3][TEXT_MAX];

    log_walk_text(json, root, "seal", texts[0], TEXT_MAX);
    log_walk_text(json, root, "holder", texts[1], TEXT_MAX);
    log_walk_text(json, root, "created_at", texts[2], TEXT_MAX);
    say_out("root key: seal '%s', held by %s, since %s\n", texts[0], texts[1], texts[2]);
    say_out("keys: %" PRIu64, inventory->key_count);
    for (unsigned i = 0; i < STATE_COUNT; i++)
        if (inventory->by_state[i] > 0)
            say_out(", %" PRIu64 " %s", inventory->by_state[i], states[i]);
    say_out(" ('cardkeep keys list' shows each)\naudit signing keys\n");
    say_rows(json, "signers", signers);
    say_listeners(json);
    say_out("algorithms\n");
    say_rows(json, "algorithms", algorithms);
    say_out("to be done\n");
    warnings_ask(daemon, DAEMON_VAULT, say_warning, NULL);
    warnings_ask(daemon, DAEMON_RELAY, say_warning, NULL);
}

enum cli_exit inventory_run(const struct cli_arguments *arguments)
{
    OWNED(daemon_free) struct daemon *daemon = NULL;
    struct inventory inventory OWNED(inventory_free) = {.keys = BUFFER(KEYS_BYTES_MAX),
                                                        .relay = BUFFER(RELAY_BYTES_MAX)};

    enum cli_exit code = daemon_open(arguments, &daemon);
    if (code == CLI_DONE)
        code = keys_ask(daemon, "GET", CONTRACT_PATH_INVENTORY, NULL, &inventory.vault);
    if (code == CLI_DONE)
        code = keys_fetch(daemon, &inventory);
    if (code != CLI_DONE)
        return code;
    relay_fetch(daemon, &inventory);
    if (failed(buffer_status(&inventory.keys))) {
        say_error("there is not enough memory for that many keys");
        return CLI_UNREACHABLE;
    }
    if (cli_wants_json(arguments))
        say_json(&inventory);
    else
        say_report(&inventory, daemon);
    return CLI_DONE;
}
