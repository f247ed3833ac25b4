/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/cli/rotation.h"

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "vault/cli/keys.h"
#include "vault/cli/log_walk.h"
#include "vault/cli/say.h"
#include "vault/cli/signer.h"
#include "vault/contract.h"

#define TARGET_MAX     128u
#define TEXT_MAX       256u
#define BODY_BYTES_MAX 1024u
#define BAR_CHARS      30u
#define WATCH_MS       250
#define RATE_MAX       1000000L
#define KEY_MAX        999999999L

/* What is said of a job. */
struct progress {
    char job[32];
    char kind[32];
    char state[16];
    char tenant[64];
    char detail[TEXT_MAX];
    int64_t position;
    int64_t end;
    int64_t scanned;
    int64_t moved;
};

static int64_t number_read(const struct json *json, uint32_t node, const char *name)
{
    int64_t value = 0;

    return failed(json_int(json, json_member(json, node, name), &value)) ? 0 : value;
}

static void progress_read(const struct json *json, uint32_t node, struct progress *out)
{
    *out = (struct progress){.position = number_read(json, node, "position"),
                             .end = number_read(json, node, "end"),
                             .scanned = number_read(json, node, "scanned"),
                             .moved = number_read(json, node, "moved")};
    log_walk_text(json, node, "job", out->job, sizeof out->job);
    log_walk_text(json, node, "kind", out->kind, sizeof out->kind);
    log_walk_text(json, node, "state", out->state, sizeof out->state);
    log_walk_text(json, node, "tenant", out->tenant, sizeof out->tenant);
    log_walk_text(json, node, "detail", out->detail, sizeof out->detail);
}

static unsigned progress_percent(const struct progress *job)
{
    if (job->end <= 0 || job->position >= job->end)
        return 100;
    return (unsigned)(100 * job->position / job->end);
}

static void progress_say(const struct progress *job)
{
    say_out("%-8s %-14s %-10s %-16s %3u %%  %" PRId64 " scanned, %" PRId64 " moved%s%s\n", job->job,
            job->kind, job->state, job->tenant, progress_percent(job), job->scanned, job->moved,
            job->detail[0] == '\0' ? "" : "; ", job->detail);
}

static void progress_draw(const struct progress *job, bool last)
{
    char bar[BAR_CHARS + 1];
    char line[TEXT_MAX];
    unsigned percent = progress_percent(job);

    if (!isatty(STDERR_FILENO))
        return;
    memset(bar, '.', BAR_CHARS);
    memset(bar, '#', BAR_CHARS * percent / 100);
    bar[BAR_CHARS] = '\0';
    int size = snprintf(line, sizeof line, "\r%s [%s] %3u %%  %" PRId64 " moved, %s   %s", job->job,
                        bar, percent, job->moved, job->state, last ? "\n" : "");
    if (size > 0 && (size_t)size < sizeof line)
        (void)!write(STDERR_FILENO, line, (size_t)size);
}

/* "job_17", or its number alone. */
static bool job_target(const char *word, const char *verb, char target[static TARGET_MAX])
{
    const char *digits = strncmp(word, "job_", 4) == 0 ? word + 4 : word;
    size_t size = strspn(digits, "0123456789");

    if (size < 1 || size > 12 || digits[size] != '\0') {
        say_error("a job is named as 'cardkeep keys jobs' shows it: job_1");
        return false;
    }
    (void)snprintf(target, TARGET_MAX, CONTRACT_PATH_JOBS "/job_%.12s%s", digits, verb);
    return true;
}

/* Asks until the job stands still; *out_last is how. */
static enum cli_exit watch(const struct cli_arguments *arguments, const struct daemon *daemon,
                           const char *target)
{
    for (;;) {
        struct keys_answer answer OWNED(keys_answer_free) = {0};
        struct progress job;
        enum cli_exit code = keys_ask(daemon, "GET", target, NULL, &answer);
        if (code != CLI_DONE)
            return code;
        progress_read(&answer.json, 0, &job);
        bool runs = strcmp(job.state, "running") == 0;
        progress_draw(&job, !runs);
        if (!runs) {
            if (cli_wants_json(arguments))
                keys_say_json(&answer);
            else
                progress_say(&job);
            return strcmp(job.state, "failed") == 0 ? CLI_FOUND : CLI_DONE;
        }
        (void)poll(NULL, 0, WATCH_MS);
    }
}

/* --- keys rotate --- */

static bool rotate_body(const struct cli_arguments *arguments, struct buffer *out)
{
    static const char *const texts[] = {"tenant", "reason", "suite"};
    struct json_writer writer = json_writer_over(out);
    long key = 0;
    long rate = 0;

    if (!cli_option_number(arguments, "key", 0, 1, KEY_MAX, &key) ||
        !cli_option_number(arguments, "rate", 0, 1, RATE_MAX, &rate))
        return false;
    json_begin_object(&writer);
    json_put_member(&writer, "what", arguments->words[0]);
    for (unsigned i = 0; i < 3; i++)
        if (cli_option(arguments, texts[i]) != NULL)
            json_put_member(&writer, texts[i], cli_option(arguments, texts[i]));
    if (key != 0)
        json_put_member_int(&writer, "key", key);
    if (rate != 0)
        json_put_member_int(&writer, "rate", rate);
    json_end_object(&writer);
    return true;
}

static void rotate_say(const struct keys_answer *answer)
{
    struct progress job;

    if (answer->answer.status == 200) {
        say_out("%" PRId64 " KEKs have a successor, and no record moved\n",
                number_read(&answer->json, 0, "rotated"));
        return;
    }
    progress_read(&answer->json, 0, &job);
    say_out("the new key is in use; %s moves what is under the old one:\n"
            "  cardkeep keys watch %s\n",
            job.job, job.job);
}

enum cli_exit rotation_rotate(const struct cli_arguments *arguments)
{
    OWNED(daemon_free) struct daemon *daemon = NULL;
    struct keys_answer answer OWNED(keys_answer_free) = {0};
    struct buffer body OWNED(buffer_free) = BUFFER(BODY_BYTES_MAX);
    char target[TARGET_MAX];
    struct progress job;

    if (strcmp(arguments->words[0], "signer") == 0)
        return signer_rotate_command(arguments);
    if (strcmp(arguments->words[0], "signer") == 0)
        return signer_rotate_command(arguments);
    if (!rotate_body(arguments, &body))
        return CLI_USAGE;
    enum cli_exit code = daemon_open(arguments, &daemon);
    if (code == CLI_DONE)
        code = keys_ask(daemon, "POST", CONTRACT_PATH_ROTATIONS, &body, &answer);
    if (code != CLI_DONE)
        return code;
    if (answer.answer.status == 202 && cli_option(arguments, "watch") != NULL) {
        progress_read(&answer.json, 0, &job);
        if (!job_target(job.job, "", target))
            return CLI_FOUND;
        return watch(arguments, daemon, target);
    }
    if (cli_wants_json(arguments))
        keys_say_json(&answer);
    else
        rotate_say(&answer);
    return CLI_DONE;
}

/* --- keys jobs, watch, pause, resume, rate --- */

enum cli_exit rotation_jobs(const struct cli_arguments *arguments)
{
    OWNED(daemon_free) struct daemon *daemon = NULL;
    char target[TARGET_MAX] = CONTRACT_PATH_JOBS;
    bool more = true;

    enum cli_exit code = daemon_open(arguments, &daemon);
    if (code != CLI_DONE)
        return code;
    while (more) {
        struct keys_answer page OWNED(keys_answer_free) = {0};
        code = keys_ask(daemon, "GET", target, NULL, &page);
        if (code != CLI_DONE)
            return code;
        const struct json *json = &page.json;
        uint32_t jobs = json_member(json, 0, "jobs");
        uint32_t at = json_first(json, jobs);
        uint32_t more_node = json_member(json, 0, "more");
        if (cli_wants_json(arguments))
            keys_say_json(&page);
        more =
            more_node != JSON_NONE && json->nodes[more_node].type == JSON_TRUE && at != JSON_NONE;
        for (uint32_t i = 0; at != JSON_NONE && i < json->nodes[jobs].count; i++) {
            struct progress job;
            progress_read(json, at, &job);
            if (!cli_wants_json(arguments))
                progress_say(&job);
            (void)snprintf(target, sizeof target, CONTRACT_PATH_JOBS "?after=%.12s", job.job + 4);
            at = json->nodes[at].next;
        }
    }
    return CLI_DONE;
}

enum cli_exit rotation_watch(const struct cli_arguments *arguments)
{
    OWNED(daemon_free) struct daemon *daemon = NULL;
    char target[TARGET_MAX];

    if (!job_target(arguments->words[0], "", target))
        return CLI_USAGE;
    enum cli_exit code = daemon_open(arguments, &daemon);
    return code == CLI_DONE ? watch(arguments, daemon, target) : code;
}

static enum cli_exit job_change(const struct cli_arguments *arguments, const char *verb,
                                const struct buffer *body)
{
    OWNED(daemon_free) struct daemon *daemon = NULL;
    struct keys_answer answer OWNED(keys_answer_free) = {0};
    char target[TARGET_MAX];
    struct progress job;

    if (!job_target(arguments->words[0], verb, target))
        return CLI_USAGE;
    enum cli_exit code = daemon_open(arguments, &daemon);
    if (code == CLI_DONE)
        code = keys_ask(daemon, "POST", target, body, &answer);
    if (code != CLI_DONE)
        return code;
    progress_read(&answer.json, 0, &job);
    if (cli_wants_json(arguments))
        keys_say_json(&answer);
    else
        progress_say(&job);
    return CLI_DONE;
}

enum cli_exit rotation_pause(const struct cli_arguments *arguments)
{
    return job_change(arguments, "/pause", NULL);
}

enum cli_exit rotation_resume(const struct cli_arguments *arguments)
{
    return job_change(arguments, "/resume", NULL);
}

enum cli_exit rotation_rate(const struct cli_arguments *arguments)
{
    struct buffer body OWNED(buffer_free) = BUFFER(BODY_BYTES_MAX);
    struct json_writer writer = json_writer_over(&body);
    long rate = 0;

    if (!cli_option_number(arguments, "rate", -1, 0, RATE_MAX, &rate))
        return CLI_USAGE;
    if (rate < 0) {
        say_error("say how many records a second with --rate; 0 is as many as requests leave room "
                  "for");
        return CLI_USAGE;
    }
    json_begin_object(&writer);
    json_put_member_int(&writer, "rate", rate);
    json_end_object(&writer);
    return job_change(arguments, "/rate", &body);
}
