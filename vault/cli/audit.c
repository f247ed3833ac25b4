/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/cli/audit.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/db.h"
#include "base/encode.h"
#include "base/json.h"
#include "base/own.h"
#include "policies/audit_verify.h"
#include "policies/epoch.h"
#include "vault/cli/audit_fetch.h"
#include "vault/cli/say.h"

#define KEY_BYTES_MAX   (NOTE_NAME_BYTES_MAX + 64u)
#define CACHE_BYTES     (8u << 20)
#define TAIL_COUNT      20
#define TAIL_COUNT_MAX  10000
#define ENTRY_NODES_MAX 4096u
#define VERDICT_BYTES   2048u
#define FIELD_BYTES_MAX 256u

/* Both daemons name their families alike. */
static const struct db_family families[] = {
    {.name = "audit_entries"}, {.name = "audit_checkpoints"}, {.name = "audit_state"}};
static const struct audit_families places = {.entries = 0, .checkpoints = 1, .state = 2};

static void verdict_say(const struct cli_arguments *arguments, const char *origin,
                        const struct audit_verdict *verdict)
{
    char root[2 * MERKLE_HASH_BYTES + 1];
    encode_hex(verdict->root, sizeof verdict->root, root);
    if (cli_wants_json(arguments)) {
        OWNED(buffer_free) struct buffer text = BUFFER(VERDICT_BYTES);
        struct json_writer writer = json_writer_over(&text);
        json_begin_object(&writer);
        json_put_member_bool(&writer, "good", verdict->good);
        json_put_member(&writer, "origin", origin);
        json_put_member_int(&writer, "entries", (int64_t)verdict->entries);
        json_put_member_int(&writer, "checkpoints", (int64_t)verdict->checkpoints);
        json_put_member_int(&writer, "signed_entries", (int64_t)verdict->signed_size);
        json_put_member(&writer, "root", root);
        json_put_member_int(&writer, "epoch", verdict->epoch);
        json_put_member_int(&writer, "key_changes", verdict->keys);
        json_put_member(&writer, "trouble", verdict->trouble);
        json_end_object(&writer);
        say_out("%s\n", buffer_text(&text));
        return;
    }
    if (verdict->good)
        say_out("%s is whole: %" PRIu64 " entries, %" PRIu64 " of them under %" PRIu64
                " good checkpoints\nroot %s\n",
                origin, verdict->entries, verdict->signed_size, verdict->checkpoints, root);
    if (verdict->good && verdict->epoch > 1)
        say_out("its store was exchanged for an older one: epoch %" PRIu32
                " begins with entry %" PRIu64 ", which says from where to where\n",
                verdict->epoch, verdict->epoch_entry);
    if (verdict->good && verdict->keys > 0)
        say_out("its signing key changed %" PRIu32 " times, each next one named in the log and "
                "signed by the one before\n",
                verdict->keys);
    if (!verdict->good)
        say_error("%s is not as it was signed: %s", origin, verdict->trouble);
}

/* Lines of a `.pub` file; a last line without its end counts. */
static bool verifiers_parse(char *text, struct note_key *out_keys, unsigned *out_count)
{
    char *rest = NULL;
    unsigned count = 0;

    for (char *line = strtok_r(text, "\r\n", &rest); line != NULL;
         line = strtok_r(NULL, "\r\n", &rest)) {
        if (count == AUDIT_VERIFIERS_MAX || failed(note_key_parse(line, &out_keys[count])) ||
            strcmp(out_keys[count].name, out_keys[0].name) != 0)
            return false;
        count++;
    }
    *out_count = count;
    return count > 0;
}

bool audit_verifiers_read(const char *path, struct note_key out_keys[static AUDIT_VERIFIERS_MAX],
                          struct audit_trust *out_trust)
{
    char text[AUDIT_VERIFIERS_MAX * (KEY_BYTES_MAX + 2) + 1] = {0};
    FILE *file = path == NULL ? NULL : fopen(path, "re");
    if (file == NULL) {
        say_error("cannot read the verifier key %s; it is the .pub file beside the signer's key, "
                  "as you received it",
                  path == NULL ? "" : path);
        return false;
    }
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    (void)fclose(file);
    *out_trust = (struct audit_trust){.keys = out_keys};
    if (verifiers_parse(text, out_keys, &out_trust->count))
        return true;
    say_error("%s holds no verifier key (name+id+key), or keys of several logs", path);
    return false;
}

bool audit_verifier_read(const char *path, struct note_key *out_key)
{
    struct note_key keys[AUDIT_VERIFIERS_MAX];
    struct audit_trust trust;

    if (!audit_verifiers_read(path, keys, &trust))
        return false;
    *out_key = keys[0];
    return true;
}

static enum cli_exit store_open(const char *folder, struct db **out_db)
{
    char reason[256] = "";
    struct db_options options = {.families = families,
                                 .family_count = sizeof families / sizeof families[0],
                                 .cache_bytes = CACHE_BYTES,
                                 .read_only = true};
    struct status status = db_open(folder, &options, out_db, reason, sizeof reason);
    if (!failed(status))
        return CLI_DONE;
    say_error("cannot open the store %s (%s) %s; --store names a daemon's data folder", folder,
              status_name(status.why), reason);
    return status.why == WHY_FORGED ? CLI_FOUND : CLI_UNREACHABLE;
}

enum cli_exit audit_store_verify(const char *folder, const char *origin,
                                 const struct audit_trust *trust, struct audit_verdict *out_verdict)
{
    OWNED(db_close) struct db *db = NULL;
    enum cli_exit code = store_open(folder, &db);
    if (code != CLI_DONE)
        return code;
    struct status status = audit_verify_store_by(db, &places, origin, trust, out_verdict);
    if (!failed(status))
        return CLI_DONE;
    say_error("the store cannot be read to its end (%s)", status_name(status.why));
    return CLI_FOUND;
}

static enum cli_exit verify_store(const struct cli_arguments *arguments, const char *folder)
{
    struct note_key keys[AUDIT_VERIFIERS_MAX];
    struct audit_trust trust;
    const char *verifier = cli_option(arguments, "verifier");
    if (verifier == NULL) {
        say_error("--store wants --verifier KEY: a log cannot vouch for itself");
        return CLI_USAGE;
    }
    if (!audit_verifiers_read(verifier, keys, &trust))
        return CLI_USAGE;
    const char *origin = cli_option(arguments, "origin");
    if (origin == NULL)
        origin = keys[0].name;
    struct audit_verdict verdict;
    enum cli_exit code = audit_store_verify(folder, origin, &trust, &verdict);
    if (code != CLI_DONE)
        return code;
    verdict_say(arguments, origin, &verdict);
    return verdict.good ? CLI_DONE : CLI_FOUND;
}

static void verify_on_entry(void *owner, uint64_t seq, const char *text, size_t size)
{
    (void)seq; /* It is in the entry, and checked there. */
    audit_verify_entry(owner, text, size);
}

static void verify_on_checkpoint(void *owner, uint64_t seq, const char *text, size_t size)
{
    (void)seq;
    audit_verify_checkpoint(owner, text, size);
}

/* The daemon's newest checkpoint is fetched first, so that what it covers must be in the pages; by
 * whom it may be signed is known when they were read. */
static bool newest_read(const struct buffer *note, const struct audit_verify *verify,
                        uint64_t *out_size)
{
    struct checkpoint checkpoint;
    *out_size = 0;
    if (note->size == 0)
        return true;
    if (failed(audit_verify_opens(verify, note->bytes, note->size, &checkpoint)))
        return false;
    *out_size = checkpoint.size;
    return true;
}

static void verdict_against(struct audit_verdict *verdict, bool newest_good, uint64_t newest)
{
    if (!verdict->good)
        return;
    if (!newest_good)
        (void)snprintf(verdict->trouble, sizeof verdict->trouble,
                       "its newest checkpoint does not carry a good signature");
    else if (verdict->signed_size < newest)
        (void)snprintf(verdict->trouble, sizeof verdict->trouble,
                       "%" PRIu64 " entries were signed, but it proves %" PRIu64 " only", newest,
                       verdict->signed_size);
    verdict->good = verdict->trouble[0] == '\0';
}

static STATUS verify_new(const char *origin, const struct audit_trust *trust,
                         struct audit_verify **out_verify)
{
    OWNED(audit_verify_free) struct audit_verify *verify = NULL;

    TRY(audit_verify_new(origin, &trust->keys[0], &verify));
    for (unsigned i = 1; i < trust->count; i++)
        TRY(audit_verify_trust(verify, &trust->keys[i]));
    *out_verify = MOVE(verify);
    return STATUS_OK;
}

static enum cli_exit verify_daemon(const struct cli_arguments *arguments)
{
    OWNED(daemon_free) struct daemon *daemon = NULL;
    enum cli_exit code = daemon_open(arguments, &daemon);
    if (code != CLI_DONE)
        return code;
    struct audit_fetch fetch = {
        .daemon = daemon, .on_entry = verify_on_entry, .on_checkpoint = verify_on_checkpoint};
    fetch.which = cli_option(arguments, "relay") != NULL ? DAEMON_RELAY : DAEMON_VAULT;
    const char *verifier = cli_option(arguments, "verifier");
    struct note_key keys[AUDIT_VERIFIERS_MAX];
    struct audit_trust trust;
    if (!audit_verifiers_read(verifier != NULL ? verifier : daemon_verifier(daemon, fetch.which),
                              keys, &trust))
        return CLI_USAGE;
    const char *origin = cli_option(arguments, "origin");
    if (origin == NULL)
        origin = keys[0].name;
    OWNED(buffer_free) struct buffer note = {0};
    code = audit_fetch_checkpoint(&fetch, &note);
    if (code != CLI_DONE)
        return code;
    OWNED(audit_verify_free) struct audit_verify *verify = NULL;
    if (failed(verify_new(origin, &trust, &verify))) {
        say_error("there is not enough memory, or the origin is too long");
        return CLI_USAGE;
    }
    fetch.owner = verify;
    uint64_t size = 0;
    code = audit_fetch_entries(&fetch, 0, 0, &size);
    if (code != CLI_DONE)
        return code;
    uint64_t newest = 0;
    bool newest_good = newest_read(&note, verify, &newest);
    struct audit_verdict verdict;
    audit_verify_end(verify, &verdict);
    verdict_against(&verdict, newest_good, newest);
    verdict_say(arguments, origin, &verdict);
    return verdict.good ? CLI_DONE : CLI_FOUND;
}

enum cli_exit audit_verify_command(const struct cli_arguments *arguments)
{
    const char *store = cli_option(arguments, "store");
    return store != NULL ? verify_store(arguments, store) : verify_daemon(arguments);
}

static void field_copy(const struct json *json, const char *name, char out[FIELD_BYTES_MAX])
{
    size_t length = 0;
    uint32_t node = json_member(json, 0, name);
    if (node == JSON_NONE || failed(json_string(json, node, out, FIELD_BYTES_MAX, &length)))
        (void)snprintf(out, FIELD_BYTES_MAX, "-");
    for (char *at = out; *at != '\0'; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            *at = '?'; /* Nobody's entry writes over this terminal. */
}

/* `owner` is the arguments. */
static void tail_on_entry(void *owner, uint64_t seq, const char *text, size_t size)
{
    struct json_node nodes[ENTRY_NODES_MAX];
    struct json json;
    size_t at = 0;
    if (cli_wants_json(owner) ||
        failed(json_read((const uint8_t *)text, size, nodes, ENTRY_NODES_MAX, &json, &at)) ||
        nodes[0].type != JSON_OBJECT) {
        say_bytes(text, size);
        say_out("\n");
        return;
    }
    char ts[FIELD_BYTES_MAX];
    char actor[FIELD_BYTES_MAX];
    char event[FIELD_BYTES_MAX];
    char outcome[FIELD_BYTES_MAX];
    char object[FIELD_BYTES_MAX];
    field_copy(&json, "ts", ts);
    field_copy(&json, "actor", actor);
    field_copy(&json, "event", event);
    field_copy(&json, "outcome", outcome);
    field_copy(&json, "object", object);
    say_out("%8" PRIu64 "  %s  %-12s %-20s %-16s %s\n", seq, ts, actor, event, outcome, object);
}

static uint64_t row_seq(const struct db_iterator *row)
{
    size_t size = 0;
    const uint8_t *key = db_iterator_key(row, &size);
    struct cursor cursor = cursor_over(key, size);
    return cursor_u64(&cursor);
}

static enum cli_exit tail_store(const struct cli_arguments *arguments, const char *folder,
                                uint64_t count)
{
    OWNED(db_close) struct db *db = NULL;
    enum cli_exit code = store_open(folder, &db);
    if (code != CLI_DONE)
        return code;
    OWNED(db_iterator_free) struct db_iterator *last = NULL;
    OWNED(db_iterator_free) struct db_iterator *row = NULL;
    if (failed(db_iterate(db, places.entries, NULL, 0, &last))) {
        say_error("the store's entries cannot be read");
        return CLI_FOUND;
    }
    db_iterator_last(last);
    if (!db_iterator_valid(last))
        return CLI_DONE;
    uint64_t size = row_seq(last) + 1;
    OWNED(buffer_free) struct buffer from = BUFFER(sizeof size);
    buffer_add_u64(&from, size > count ? size - count : 0);
    if (failed(db_iterate(db, places.entries, from.bytes, from.size, &row))) {
        say_error("the store's entries cannot be read");
        return CLI_FOUND;
    }
    struct cli_arguments copy = *arguments;
    for (; db_iterator_valid(row); db_iterator_next(row)) {
        size_t bytes = 0;
        const char *entry = (const char *)db_iterator_value(row, &bytes);
        tail_on_entry(&copy, row_seq(row), entry, bytes);
    }
    if (!failed(db_iterator_status(row)))
        return CLI_DONE;
    say_error("the store cannot be read to its end; see 'cardkeep audit verify'");
    return CLI_FOUND;
}

/* Checkpoints whose size is at most `seq`. */
static void walk_notes(const struct audit_fetch *give, struct db_iterator *notes, uint64_t seq)
{
    for (; db_iterator_valid(notes); db_iterator_next(notes)) {
        size_t key_size = 0;
        size_t size = 0;
        const uint8_t *key = db_iterator_key(notes, &key_size);
        struct cursor cursor = cursor_over(key, key_size);
        uint64_t note_size = cursor_u64(&cursor);
        if (note_size > seq)
            return;
        const char *note = (const char *)db_iterator_value(notes, &size);
        if (cursor_done(&cursor)) /* Else it is the frontier beside a note. */
            give->on_checkpoint(give->owner, note_size, note, size);
    }
}

enum cli_exit audit_store_walk(const char *folder, const struct audit_fetch *give)
{
    OWNED(db_close) struct db *db = NULL;
    OWNED(db_iterator_free) struct db_iterator *entries = NULL;
    OWNED(db_iterator_free) struct db_iterator *notes = NULL;
    uint64_t seq = 0;
    enum cli_exit code = store_open(folder, &db);
    if (code != CLI_DONE)
        return code;
    bool good = !failed(db_iterate(db, places.checkpoints, NULL, 0, &notes)) &&
                !failed(db_iterate(db, places.entries, NULL, 0, &entries));
    for (; good && db_iterator_valid(entries); db_iterator_next(entries)) {
        size_t size = 0;
        seq = row_seq(entries);
        walk_notes(give, notes, seq);
        const char *entry = (const char *)db_iterator_value(entries, &size);
        give->on_entry(give->owner, seq, entry, size);
    }
    if (good)
        walk_notes(give, notes, UINT64_MAX);
    if (good && !failed(db_iterator_status(entries)) && !failed(db_iterator_status(notes)))
        return CLI_DONE;
    say_error("the store cannot be read to its end; see 'cardkeep audit verify'");
    return CLI_FOUND;
}

static void tail_on_nothing(void *owner, uint64_t seq, const char *text, size_t size)
{
    (void)owner;
    (void)seq;
    (void)text;
    (void)size;
}

static enum cli_exit tail_daemon(const struct cli_arguments *arguments, uint64_t count)
{
    OWNED(daemon_free) struct daemon *daemon = NULL;
    enum cli_exit code = daemon_open(arguments, &daemon);
    if (code != CLI_DONE)
        return code;
    struct cli_arguments copy = *arguments;
    struct audit_fetch fetch = {.daemon = daemon, .on_entry = tail_on_nothing, .owner = &copy};
    fetch.which = cli_option(arguments, "relay") != NULL ? DAEMON_RELAY : DAEMON_VAULT;
    uint64_t size = 0;
    code = audit_fetch_entries(&fetch, 0, 1, &size); /* How many are there? */
    if (code != CLI_DONE || size == 0)
        return code;
    fetch.on_entry = tail_on_entry;
    return audit_fetch_entries(&fetch, size > count ? size - count : 0, size, &size);
}

enum cli_exit audit_tail_command(const struct cli_arguments *arguments)
{
    long count = 0;
    if (!cli_option_number(arguments, "count", TAIL_COUNT, 1, TAIL_COUNT_MAX, &count))
        return CLI_USAGE;
    const char *store = cli_option(arguments, "store");
    return store != NULL ? tail_store(arguments, store, (uint64_t)count)
                         : tail_daemon(arguments, (uint64_t)count);
}
