/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/cli/backup.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/encode.h"
#include "base/json.h"
#include "base/own.h"
#include "vault/cli/backup_folder.h"
#include "vault/cli/daemon.h"
#include "vault/cli/files.h"
#include "vault/cli/say.h"
#include "vault/contract.h"

#define POLL_MS        200
#define WAIT_MS        (24 * 3600 * 1000LL)
#define NODES_MAX      64u
#define TEXT_BYTES_MAX 320u
#define LIST_BYTES_MAX (512u << 10)

static void answer_free(struct daemon_answer *answer)
{
    buffer_free(&answer->body);
}

/* --- create --- */

/* {"running": …, "last": {"state", "code", …}}: what has come of it. */
struct progress {
    bool running;
    bool done;
    char code[TEXT_BYTES_MAX];
    char detail[TEXT_BYTES_MAX];
    int64_t id;
    int64_t bytes;
    int64_t added_bytes;
};

static bool progress_read(const struct daemon_answer *answer, struct progress *out)
{
    struct json_node nodes[NODES_MAX];
    struct json json;
    size_t at = 0;

    *out = (struct progress){0};
    if (failed(json_read(answer->body.bytes, answer->body.size, nodes, NODES_MAX, &json, &at)) ||
        nodes[0].type != JSON_OBJECT)
        return false;
    uint32_t running = json_member(&json, 0, "running");
    uint32_t last = json_member(&json, 0, "last");
    if (running == JSON_NONE || last == JSON_NONE)
        return false;
    out->running = nodes[running].type == JSON_TRUE;
    if (nodes[last].type != JSON_OBJECT)
        return out->running; /* One that ended unseen is no answer to "how did it go". */
    out->done = json_equals(&json, json_member(&json, last, "state"), "done");
    if (failed(json_string(&json, json_member(&json, last, "code"), out->code, TEXT_BYTES_MAX,
                           NULL)) ||
        failed(json_string(&json, json_member(&json, last, "detail"), out->detail, TEXT_BYTES_MAX,
                           NULL)))
        return false;
    return !out->done ||
           (!failed(json_int(&json, json_member(&json, last, "id"), &out->id)) &&
            !failed(json_int(&json, json_member(&json, last, "bytes"), &out->bytes)) &&
            !failed(json_int(&json, json_member(&json, last, "added_bytes"), &out->added_bytes)));
}

static enum cli_exit progress_ask(const struct daemon *daemon, enum daemon_which which,
                                  struct progress *out)
{
    struct daemon_answer answer OWNED(answer_free) = {0};
    struct daemon_request request = {
        .which = which, .as_operator = true, .method = "GET", .target = CONTRACT_PATH_BACKUPS};

    enum cli_exit code = daemon_ask(daemon, &request, &answer);
    if (code != CLI_DONE || progress_read(&answer, out))
        return code;
    say_error("the daemon was started anew meanwhile, and does not know how its backup ended; see "
              "'cardkeep backup list'");
    return CLI_FOUND;
}

static void progress_say(const struct cli_arguments *arguments, const struct progress *progress)
{
    if (!cli_wants_json(arguments)) {
        if (progress->done)
            say_out("backup %" PRId64 " is taken: %" PRId64 " bytes, %" PRId64 " of them new\n",
                    progress->id, progress->bytes, progress->added_bytes);
        else
            say_error("the backup failed (%s) %s; the older ones are as they were", progress->code,
                      progress->detail);
        return;
    }
    OWNED(buffer_free) struct buffer text = BUFFER(4096);
    struct json_writer writer = json_writer_over(&text);
    json_begin_object(&writer);
    json_put_member_bool(&writer, "good", progress->done);
    json_put_member(&writer, "code", progress->code);
    json_put_member(&writer, "detail", progress->detail);
    json_put_member_int(&writer, "id", progress->id);
    json_put_member_int(&writer, "bytes", progress->bytes);
    json_put_member_int(&writer, "added_bytes", progress->added_bytes);
    json_end_object(&writer);
    say_out("%s\n", buffer_text(&text));
}

enum cli_exit backup_create_command(const struct cli_arguments *arguments)
{
    OWNED(daemon_free) struct daemon *daemon = NULL;
    enum daemon_which which = cli_option(arguments, "relay") != NULL ? DAEMON_RELAY : DAEMON_VAULT;
    struct daemon_answer answer OWNED(answer_free) = {0};
    struct daemon_request request = {
        .which = which, .as_operator = true, .method = "POST", .target = CONTRACT_PATH_BACKUPS};
    struct progress progress = {.running = true};
    struct timespec pause = {.tv_nsec = POLL_MS * 1000000L};

    enum cli_exit code = daemon_open(arguments, &daemon);
    if (code != CLI_DONE)
        return code;
    code = daemon_ask(daemon, &request, &answer);
    if (code != CLI_DONE)
        return code;
    say_prompt("copying the store ...\n");
    int64_t end_ms = clock_monotonic_ms() + WAIT_MS;
    while (progress.running && clock_monotonic_ms() < end_ms) {
        (void)nanosleep(&pause, NULL);
        code = progress_ask(daemon, which, &progress);
        if (code != CLI_DONE)
            return code;
    }
    if (progress.running) {
        say_error("it is under way for a day now; 'cardkeep audit tail' shows its end");
        return CLI_UNREACHABLE;
    }
    progress_say(arguments, &progress);
    return progress.done ? CLI_DONE : CLI_FOUND;
}

/* --- list --- */

static void row_write(const struct backup_folder_row *row, struct json_writer *writer)
{
    char time[CLOCK_TEXT_SIZE];

    clock_text(row->backup.created_ms, time);
    json_begin_object(writer);
    json_put_member_int(writer, "id", row->backup.id);
    json_put_member(writer, "created_at", time);
    json_put_member_int(writer, "bytes", (int64_t)row->backup.bytes);
    json_put_member_int(writer, "files", row->backup.files);
    if (row->has_facts) {
        json_put_member(writer, "origin", row->origin);
        json_put_member_int(writer, "added_bytes", row->added_bytes);
        json_put_member_int(writer, "records", row->records);
        json_put_member_int(writer, "entries", row->entries);
        json_put_member_int(writer, "signed_entries", (int64_t)row->signed_size);
        json_put_member(writer, "signed_root", row->signed_root);
    }
    json_end_object(writer);
}

static void row_say(const struct backup_folder_row *row)
{
    char time[CLOCK_TEXT_SIZE];

    clock_text(row->backup.created_ms, time);
    say_out("%5u  %s %13" PRIu64, (unsigned)row->backup.id, time, row->backup.bytes);
    if (row->has_facts)
        say_out(" %13" PRId64 " %10" PRId64 " %10" PRId64 " %10" PRIu64 "  %.16s\n",
                row->added_bytes, row->records, row->entries, row->signed_size,
                row->signed_root[0] == '\0' ? "-" : row->signed_root);
    else
        say_out("  (its facts are missing; 'cardkeep backup verify' says what it holds)\n");
}

enum cli_exit backup_list_command(const struct cli_arguments *arguments)
{
    const char *from = cli_option(arguments, "from");
    unsigned count = 0;

    if (from == NULL) {
        say_error("--from DIR is wanted: the folder of the backups; see 'cardkeep help backup'");
        return CLI_USAGE;
    }
    struct backup_folder_row *rows = calloc(BACKUP_LIST_MAX, sizeof *rows);
    if (rows == NULL) {
        say_error("there is not enough memory");
        return CLI_UNREACHABLE;
    }
    enum cli_exit code = backup_folder_list(from, rows, BACKUP_LIST_MAX, &count);
    if (code == CLI_DONE && cli_wants_json(arguments)) {
        OWNED(buffer_free) struct buffer text = BUFFER(LIST_BYTES_MAX);
        struct json_writer writer = json_writer_over(&text);
        json_begin_object(&writer);
        json_key(&writer, "backups");
        json_begin_array(&writer);
        for (unsigned i = 0; i < count; i++)
            row_write(&rows[i], &writer);
        json_end_array(&writer);
        json_end_object(&writer);
        say_out("%s\n", buffer_text(&text));
    } else if (code == CLI_DONE) {
        say_out("   id  taken                            bytes           new    records    "
                "entries     signed  root\n");
        for (unsigned i = 0; i < count; i++)
            row_say(&rows[i]);
    }
    free(rows);
    return code;
}

/* --- verify, restore --- */

static void store_say(const struct cli_arguments *arguments,
                      const struct backup_folder_store *store, const char *to)
{
    char root[2 * MERKLE_HASH_BYTES + 1];
    const struct audit_verdict *verdict = &store->verdict;

    encode_hex(verdict->root, sizeof verdict->root, root);
    if (cli_wants_json(arguments)) {
        OWNED(buffer_free) struct buffer text = BUFFER(8192);
        struct json_writer writer = json_writer_over(&text);
        json_begin_object(&writer);
        json_put_member_bool(&writer, "good", true);
        json_put_member_int(&writer, "id", store->id);
        json_put_member(&writer, "origin", store->origin);
        json_put_member_int(&writer, "entries", (int64_t)verdict->entries);
        json_put_member_int(&writer, "signed_entries", (int64_t)verdict->signed_size);
        json_put_member(&writer, "root", root);
        json_put_member(&writer, "folder", to);
        json_end_object(&writer);
        say_out("%s\n", buffer_text(&text));
        return;
    }
    say_out("backup %u of %s is whole: %" PRIu64 " entries, %" PRIu64 " of them under %" PRIu64
            " good checkpoints\nroot %s\n",
            (unsigned)store->id, store->origin, verdict->entries, verdict->signed_size,
            verdict->checkpoints, root);
    if (to != NULL)
        say_out("\n%s is the store that it holds.  Open every record of a vault's, with its seal:\n"
                "  cardkeep-vault --config FILE --verify-store\n"
                "It is older than what was signed since, so the daemon will not start from it "
                "until\nsomebody says that this is known; its log line names the option to give.\n",
                to);
}

enum cli_exit backup_verify_command(const struct cli_arguments *arguments)
{
    struct backup_folder_store store OWNED(backup_folder_end) = {0};
    const char *from = cli_option(arguments, "from");

    enum cli_exit code = backup_folder_open(arguments, from == NULL ? "" : from, &store);
    if (code == CLI_DONE)
        store_say(arguments, &store, NULL);
    return code;
}

enum cli_exit backup_restore_command(const struct cli_arguments *arguments)
{
    struct backup_folder_store store OWNED(backup_folder_end) = {0};
    const char *to = cli_option(arguments, "to");

    if (to == NULL || !files_is_free(to)) {
        say_error("%s%s; a store is never written over: stop the daemon, move its folder away, and "
                  "name a folder that is empty or missing with --to",
                  to == NULL ? "--to DIR is wanted" : to, to == NULL ? "" : " is not empty");
        return CLI_USAGE;
    }
    enum cli_exit code = backup_folder_open(arguments, to, &store);
    if (code != CLI_DONE)
        return code;
    /* An empty folder may be in the way, a full one never. */
    if (rename(store.path, to) != 0) {
        say_error("%s cannot take the store's place: %s", to, strerror(errno));
        return CLI_FOUND;
    }
    store.path[0] = '\0';
    store_say(arguments, &store, to);
    return CLI_DONE;
}
