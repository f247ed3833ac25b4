/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/cli/erase.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/own.h"
#include "vault/cli/keys.h"
#include "vault/cli/log_walk.h"
#include "vault/cli/say.h"
#include "vault/contract.h"

#define BODY_BYTES_MAX 1024u
#define TARGET_MAX     128u
#define TEXT_MAX       256u
#define PREFIX         "ers_"
#define PAUSE_NS       500000000L

static const struct timespec pause = {.tv_nsec = PAUSE_NS};

static int64_t number_of(const struct json *json, uint32_t object, const char *name)
{
    uint32_t node = json_member(json, object, name);
    int64_t value = 0;

    return node == JSON_NONE || failed(json_int(json, node, &value)) ? 0 : value;
}

static bool is_true(const struct json *json, uint32_t object, const char *name)
{
    uint32_t node = json_member(json, object, name);

    return node != JSON_NONE && json->nodes[node].type == JSON_TRUE;
}

/* --- Erasures --- */

static void report_say(const struct json *json)
{
    uint32_t erased = json_member(json, 0, "erased");
    uint32_t search = json_member(json, 0, "search");
    char id[TEXT_MAX];
    char state[TEXT_MAX];
    char phase[TEXT_MAX];
    char trouble[TEXT_MAX];

    log_walk_text(json, 0, "erasure", id, sizeof id);
    log_walk_text(json, 0, "state", state, sizeof state);
    log_walk_text(json, 0, "phase", phase, sizeof phase);
    log_walk_text(json, 0, "trouble", trouble, sizeof trouble);
    if (strcmp(state, "running") == 0)
        say_out("%s is at its %s%s%s\n", id, phase,
                trouble[0] == '\0' ? "" : "; it waits: ", trouble);
    say_out("%s: %" PRId64 " tokens, %" PRId64 " records without one, %" PRId64
            " kept answers and %" PRId64 " keys are gone\n",
            id, number_of(json, erased, "tokens"), number_of(json, erased, "records_without_token"),
            number_of(json, erased, "kept_answers"), number_of(json, erased, "keys"));
    if (strcmp(state, "running") == 0)
        return;
    say_out(
        "searched %" PRId64 " files (%" PRId64 " bytes): of %" PRId64
        " markers of what is gone %" PRId64 " were found, of %" PRId64 " of what stays %" PRId64
        "\n",
        number_of(json, search, "files"), number_of(json, search, "bytes"),
        number_of(json, search, "erased_markers"), number_of(json, search, "erased_markers_found"),
        number_of(json, search, "other_markers"), number_of(json, search, "other_markers_found"));
    int64_t left = number_of(json, search, "erased_markers_found_in_backups");
    if (left > 0)
        say_out("backups still hold %" PRId64 " of them; --backups replaces them all by one\n",
                left);
    say_out("the report is entry %" PRId64 " of the log\n", number_of(json, 0, "entry"));
}

static bool has_ended(const struct json *json, bool *out_found)
{
    char state[TEXT_MAX];

    log_walk_text(json, 0, "state", state, sizeof state);
    *out_found = strcmp(state, "bytes_found") == 0;
    return strcmp(state, "running") != 0;
}

/* Shows it as it is; waits for its end where that is asked for. */
static enum cli_exit erasure_show(const struct cli_arguments *arguments,
                                  const struct daemon *daemon, const char *id, bool wait)
{
    char target[TARGET_MAX];
    bool found = false;

    (void)snprintf(target, sizeof target, CONTRACT_PATH_ERASURES "/%.40s", id);
    for (;;) {
        struct keys_answer answer OWNED(keys_answer_free) = {0};
        enum cli_exit code = keys_ask(daemon, "GET", target, NULL, &answer);
        if (code != CLI_DONE)
            return code;
        if (!has_ended(&answer.json, &found) && wait) {
            (void)nanosleep(&pause, NULL);
            continue;
        }
        if (cli_wants_json(arguments))
            keys_say_json(&answer);
        else
            report_say(&answer.json);
        if (found)
            say_error("erased bytes were found; see 'erased_bytes_found' in the vault's log");
        return found ? CLI_FOUND : CLI_DONE;
    }
}

/* Asks with the body; what one person may do is waited for, what takes two is said. */
static enum cli_exit erasure_ask(const struct cli_arguments *arguments, const struct buffer *body)
{
    OWNED(daemon_free) struct daemon *daemon = NULL;
    struct keys_answer answer OWNED(keys_answer_free) = {0};
    char id[TEXT_MAX];

    enum cli_exit code = daemon_open(arguments, &daemon);
    if (code != CLI_DONE)
        return code;
    code = keys_ask(daemon, "POST", CONTRACT_PATH_ERASURES, body, &answer);
    if (code != CLI_DONE)
        return code;
    log_walk_text(&answer.json, 0, "erasure", id, sizeof id);
    if (id[0] != '\0')
        return erasure_show(arguments, daemon, id, true);
    if (cli_wants_json(arguments))
        keys_say_json(&answer);
    else
        keys_say_approval(&answer.json, 0);
    return CLI_DONE;
}

static void body_end(const struct cli_arguments *arguments, struct json_writer *writer)
{
    if (cli_option(arguments, "backups") != NULL)
        json_put_member_bool(writer, "backups", true);
    json_end_object(writer);
}

enum cli_exit erase_token_run(const struct cli_arguments *arguments)
{
    struct buffer body OWNED(buffer_free) = BUFFER(BODY_BYTES_MAX);
    struct json_writer writer = json_writer_over(&body);
    const char *tenant = cli_option(arguments, "tenant");

    if (tenant == NULL) {
        say_error("--tenant says whose token it is");
        return CLI_USAGE;
    }
    json_begin_object(&writer);
    json_put_member(&writer, "token", arguments->words[0]);
    json_put_member(&writer, "tenant", tenant);
    body_end(arguments, &writer);
    return erasure_ask(arguments, &body);
}

enum cli_exit erase_tenant_run(const struct cli_arguments *arguments)
{
    struct buffer body OWNED(buffer_free) = BUFFER(BODY_BYTES_MAX);
    struct json_writer writer = json_writer_over(&body);

    json_begin_object(&writer);
    json_put_member(&writer, "tenant", arguments->words[0]);
    body_end(arguments, &writer);
    return erasure_ask(arguments, &body);
}

enum cli_exit erase_epoch_run(const struct cli_arguments *arguments)
{
    struct buffer body OWNED(buffer_free) = BUFFER(BODY_BYTES_MAX);
    struct json_writer writer = json_writer_over(&body);
    uint64_t key = 0;

    if (!keys_id(arguments->words[0], &key))
        return CLI_USAGE;
    json_begin_object(&writer);
    json_put_member_u64(&writer, "epoch", key);
    body_end(arguments, &writer);
    return erasure_ask(arguments, &body);
}

enum cli_exit erase_show_run(const struct cli_arguments *arguments)
{
    OWNED(daemon_free) struct daemon *daemon = NULL;
    const char *word = arguments->words[0];
    uint64_t number = 0;

    if (strncmp(word, PREFIX, strlen(PREFIX)) != 0 || !keys_id(word + strlen(PREFIX), &number)) {
        say_error("an erasure is named ers_N, as its approval says");
        return CLI_USAGE;
    }
    enum cli_exit code = daemon_open(arguments, &daemon);
    if (code != CLI_DONE)
        return code;
    return erasure_show(arguments, daemon, word, cli_option(arguments, "wait") != NULL);
}

/* --- Retention --- */

static void class_say(const struct json *json, uint32_t node)
{
    char tenant[TEXT_MAX];
    char oldest[TEXT_MAX];

    log_walk_text(json, node, "tenant", tenant, sizeof tenant);
    log_walk_text(json, node, "oldest", oldest, sizeof oldest);
    say_out("%-20s %-6s %12" PRId64 " %10" PRId64 " %8" PRId64 " %10" PRId64 " %-24s\n", tenant,
            "cards", number_of(json, node, "retention_seconds"), number_of(json, node, "records"),
            number_of(json, node, "beyond_retention"), number_of(json, node, "unreadable"),
            oldest[0] == '\0' ? "-" : oldest);
}

static void retention_say(const struct json *json, uint32_t report)
{
    uint32_t list = json_member(json, report, "classes");
    uint32_t at = list == JSON_NONE ? JSON_NONE : json_first(json, list);
    char purged[TEXT_MAX];
    char since[TEXT_MAX];

    say_out("%-20s %-6s %12s %10s %8s %10s %-24s\n", "TENANT", "CLASS", "KEPT FOR S", "RECORDS",
            "BEYOND", "UNREADABLE", "OLDEST");
    for (uint32_t i = 0; at != JSON_NONE && i < json->nodes[list].count; i++) {
        class_say(json, at);
        at = json->nodes[at].next;
    }
    log_walk_text(json, report, "last_purge", purged, sizeof purged);
    log_walk_text(json, report, "unpurged_since", since, sizeof since);
    say_out("last purge: %s; deleted bytes that wait for the next one: %s%s\n",
            purged[0] == '\0' ? "never" : purged, since[0] == '\0' ? "none" : "since ", since);
    say_out("no CVV is kept for more than %" PRId64 " s\n",
            number_of(json, report, "cvv_ceiling_seconds"));
    say_out("the report is entry %" PRId64 " of the log\n", number_of(json, 0, "entry"));
}

enum cli_exit erase_retention_run(const struct cli_arguments *arguments)
{
    OWNED(daemon_free) struct daemon *daemon = NULL;
    struct keys_answer begun OWNED(keys_answer_free) = {0};

    enum cli_exit code = daemon_open(arguments, &daemon);
    if (code != CLI_DONE)
        return code;
    code = keys_ask(daemon, "POST", CONTRACT_PATH_RETENTION, NULL, &begun);
    if (code != CLI_DONE)
        return code;
    for (;;) {
        struct keys_answer answer OWNED(keys_answer_free) = {0};
        code = keys_ask(daemon, "GET", CONTRACT_PATH_RETENTION, NULL, &answer);
        if (code != CLI_DONE)
            return code;
        uint32_t report = json_member(&answer.json, 0, "report");
        if (is_true(&answer.json, 0, "running")) {
            (void)nanosleep(&pause, NULL);
            continue;
        }
        if (report == JSON_NONE || answer.json.nodes[report].type != JSON_OBJECT) {
            say_error("the vault was started anew meanwhile; ask again");
            return CLI_UNREACHABLE;
        }
        if (cli_wants_json(arguments))
            keys_say_json(&answer);
        else
            retention_say(&answer.json, report);
        int64_t beyond = number_of(&answer.json, report, "beyond_retention");
        if (beyond > 0)
            say_error("%" PRId64 " records are kept for longer than their time", beyond);
        return beyond > 0 ? CLI_FOUND : CLI_DONE;
    }
}
