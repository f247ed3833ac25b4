/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/cli/prove.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "policies/proof.h"
#include "vault/cli/files.h"
#include "vault/cli/keys.h"
#include "vault/cli/log_walk.h"
#include "vault/cli/say.h"

#define TEXT_MAX       128u
#define DETAIL_MAX     1024u
#define PATH_MAX_BYTES 1024u

/* What is to be proven of a key; the newest entry of each counts. */
static const struct fact {
    const char *event;
    const char *name;
} facts[] = {
    {"key.statement", "statement"},
    {"key.destroy", "destroyed"},
};
#define FACT_COUNT (sizeof facts / sizeof facts[0])

struct proven {
    bool found;
    uint64_t seq;
    struct buffer entry;
    struct inclusion *inclusion;
};

struct prove {
    uint64_t key_id;
    struct proven proven[FACT_COUNT];
    uint64_t signed_size;
    struct buffer note; /* The newest checkpoint. */
    struct log_entry entry;
};

static void prove_free(struct prove **prove)
{
    if (*prove == NULL)
        return;
    for (unsigned i = 0; i < FACT_COUNT; i++) {
        buffer_free(&(*prove)->proven[i].entry);
        inclusion_free(&(*prove)->proven[i].inclusion);
    }
    buffer_free(&(*prove)->note);
    free(*prove);
    *prove = NULL;
}

/* --- First walk: where they are, and what was signed last --- */

static void find_on_entry(void *owner, uint64_t seq, const char *text, size_t size)
{
    struct prove *prove = owner;
    char event[TEXT_MAX];

    if (memmem(text, size, "\"event\":\"key.", 13) == NULL ||
        !log_walk_read(text, size, &prove->entry) ||
        log_walk_key(&prove->entry.json, 0) != prove->key_id)
        return;
    log_walk_text(&prove->entry.json, 0, "event", event, sizeof event);
    for (unsigned i = 0; i < FACT_COUNT; i++) {
        struct proven *proven = &prove->proven[i];
        if (strcmp(facts[i].event, event) != 0)
            continue;
        proven->found = true;
        proven->seq = seq;
        buffer_clear(&proven->entry);
        buffer_add(&proven->entry, text, size);
    }
}

static void find_on_checkpoint(void *owner, uint64_t seq, const char *text, size_t size)
{
    struct prove *prove = owner;

    prove->signed_size = seq;
    buffer_clear(&prove->note);
    buffer_add(&prove->note, text, size);
}

/* --- Second walk: their paths --- */

static void path_on_entry(void *owner, uint64_t seq, const char *text, size_t size)
{
    struct prove *prove = owner;
    uint8_t leaf[MERKLE_HASH_BYTES];

    if (seq >= prove->signed_size)
        return;
    merkle_leaf(text, size, leaf);
    for (unsigned i = 0; i < FACT_COUNT; i++)
        if (prove->proven[i].inclusion != NULL)
            inclusion_add(prove->proven[i].inclusion, leaf);
}

static enum cli_exit prove_begin(struct prove *prove)
{
    bool any = false;

    for (unsigned i = 0; i < FACT_COUNT; i++) {
        struct proven *proven = &prove->proven[i];
        if (!proven->found)
            continue;
        any = true;
        if (proven->seq >= prove->signed_size) {
            say_error("entry %" PRIu64 " is not signed yet; ask again in a few seconds",
                      proven->seq);
            return CLI_FOUND;
        }
        if (failed(inclusion_new(proven->seq, prove->signed_size, &proven->inclusion))) {
            say_error("there is not enough memory");
            return CLI_UNREACHABLE;
        }
    }
    if (any)
        return CLI_DONE;
    say_error("the log says nothing of an end of key %" PRIu64 "; 'cardkeep keys show' tells its "
              "state",
              prove->key_id);
    return CLI_FOUND;
}

/* --- The files --- */

static void facts_say(const struct cli_arguments *arguments, const struct proof *proof,
                      struct log_entry *entry, const char *path)
{
    const struct json *json = &entry->json;
    char event[TEXT_MAX];
    char ts[TEXT_MAX];
    char actor[TEXT_MAX];
    char asked[TEXT_MAX];
    char detail[DETAIL_MAX];

    log_walk_text(json, 0, "event", event, sizeof event);
    log_walk_text(json, 0, "ts", ts, sizeof ts);
    log_walk_text(json, 0, "actor", actor, sizeof actor);
    log_walk_text(json, json_member(json, 0, "asked"), "by", asked, sizeof asked);
    log_walk_text(json, 0, "detail", detail, sizeof detail);
    if (cli_wants_json(arguments)) {
        OWNED(buffer_free) struct buffer text = BUFFER(8192);
        struct json_writer writer = json_writer_over(&text);
        json_begin_object(&writer);
        json_put_member_bool(&writer, "good", true);
        json_put_member(&writer, "file", path);
        json_put_member_u64(&writer, "key", log_walk_key(json, 0));
        json_put_member(&writer, "event", event);
        json_put_member(&writer, "ts", ts);
        json_put_member(&writer, "actor", actor);
        json_put_member(&writer, "asked_by", asked[0] == '\0' ? NULL : asked);
        json_put_member(&writer, "detail", detail);
        json_put_member_u64(&writer, "entry", proof->index);
        json_put_member_u64(&writer, "size", proof->size);
        json_end_object(&writer);
        say_out("%s\n", buffer_text(&text));
        return;
    }
    say_out("%s\n  entry %" PRIu64 " of a log that was signed with %" PRIu64 " entries\n"
            "  %s %s of key %" PRIu64 " by %s%s%s\n",
            path, proof->index, proof->size, ts, event, log_walk_key(json, 0), actor,
            asked[0] == '\0' ? "" : ", asked for by ", asked);
    if (detail[0] != '\0')
        say_out("  %s\n", detail);
}

/* Opens a proof as anybody would, and says what it proves. */
static enum cli_exit proof_judge(const struct cli_arguments *arguments,
                                 const struct log_signer *signer, const struct buffer *text,
                                 const char *path)
{
    OWNED(buffer_free) struct buffer entry = BUFFER(AUDIT_ENTRY_BYTES_MAX);
    struct log_entry *read = calloc(1, sizeof *read);
    struct proof proof;
    enum cli_exit code = CLI_FOUND;

    struct status status = FAIL(WHY_FORGED);
    for (unsigned i = 0; failed(status) && i < signer->trust.count; i++) {
        buffer_clear(&entry);
        status =
            proof_open(text->bytes, text->size, signer->origin, &signer->keys[i], &entry, &proof);
    }
    if (failed(status))
        say_error("%s proves nothing: %s", path,
                  status.why == WHY_BAD_INPUT  ? "it is no tlog-proof with an entry in it"
                  : status.why == WHY_CONFLICT ? "what was signed is no checkpoint of this log"
                                               : "its entry is not in what this key has signed; "
                                                 "where the log's signer changed its key, the "
                                                 "newer one is asked for");
    else if (read == NULL || !log_walk_read(buffer_text(&entry), entry.size, read))
        say_error("%s proves an entry that is not JSON", path);
    else {
        facts_say(arguments, &proof, read, path);
        code = CLI_DONE;
    }
    free(read);
    return code;
}

static enum cli_exit proof_write_file(const struct cli_arguments *arguments,
                                      const struct log_signer *signer, struct prove *prove,
                                      unsigned index)
{
    OWNED(buffer_free) struct buffer text = BUFFER(PROOF_BYTES_MAX);
    const struct proven *proven = &prove->proven[index];
    const char *folder = cli_option(arguments, "to");
    struct proof_text entry = {.bytes = proven->entry.bytes, .size = proven->entry.size};
    struct proof_text note = {.bytes = prove->note.bytes, .size = prove->note.size};
    struct inclusion_path way;
    char name[TEXT_MAX];
    char path[PATH_MAX_BYTES];

    folder = folder == NULL ? "." : folder;
    (void)snprintf(name, sizeof name, "key-%" PRIu64 "-%s.tlog-proof", prove->key_id,
                   facts[index].name);
    if (!files_join(path, sizeof path, folder, name) ||
        failed(inclusion_path(proven->inclusion, &way)) ||
        failed(proof_write(&way, &entry, &note, &text))) {
        say_error("the proof cannot be made; is the log changing, or --to too long?");
        return CLI_FOUND;
    }
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct status status =
        fd < 0 ? FAIL(WHY_IO) : files_write_new(fd, name, 0644, text.bytes, text.size);
    if (failed(status))
        say_error("cannot write %s: %s", path, strerror(errno));
    if (fd >= 0)
        (void)close(fd);
    return failed(status) ? CLI_USAGE : proof_judge(arguments, signer, &text, path);
}

static enum cli_exit prove_make(const struct cli_arguments *arguments,
                                const struct log_signer *signer)
{
    OWNED(prove_free) struct prove *prove = calloc(1, sizeof *prove);

    if (prove == NULL) {
        say_error("there is not enough memory");
        return CLI_UNREACHABLE;
    }
    prove->note = BUFFER(NOTE_BYTES_MAX);
    for (unsigned i = 0; i < FACT_COUNT; i++)
        prove->proven[i].entry = BUFFER(AUDIT_ENTRY_BYTES_MAX);
    if (!keys_id(arguments->words[0], &prove->key_id))
        return CLI_USAGE;
    struct log_walk walk = {.arguments = arguments,
                            .on_entry = find_on_entry,
                            .on_checkpoint = find_on_checkpoint,
                            .owner = prove};
    enum cli_exit code = log_walk_run(&walk);
    if (code == CLI_DONE)
        code = prove_begin(prove);
    if (code != CLI_DONE)
        return code;
    walk.on_entry = path_on_entry;
    walk.on_checkpoint = NULL;
    code = log_walk_run(&walk);
    for (unsigned i = 0; code == CLI_DONE && i < FACT_COUNT; i++)
        if (prove->proven[i].found)
            code = proof_write_file(arguments, signer, prove, i);
    return code;
}

static enum cli_exit prove_check(const struct cli_arguments *arguments,
                                 const struct log_signer *signer, const char *path)
{
    OWNED(buffer_free) struct buffer text = BUFFER(PROOF_BYTES_MAX + 1);
    FILE *file = fopen(path, "re");
    char chunk[4096];
    size_t size = 0;

    if (file == NULL) {
        say_error("cannot read %s: %s", path, strerror(errno));
        return CLI_USAGE;
    }
    while ((size = fread(chunk, 1, sizeof chunk, file)) > 0)
        buffer_add(&text, chunk, size);
    bool whole = ferror(file) == 0 && !failed(buffer_status(&text));
    (void)fclose(file);
    if (whole)
        return proof_judge(arguments, signer, &text, path);
    say_error("%s cannot be read, or is too long for a proof", path);
    return CLI_FOUND;
}

enum cli_exit prove_run(const struct cli_arguments *arguments)
{
    const char *path = cli_option(arguments, "check");
    struct log_signer signer;

    if ((path == NULL) == (arguments->word_count == 0)) {
        say_error("either the id of a key, or --check FILE; see 'cardkeep help keys'");
        return CLI_USAGE;
    }
    enum cli_exit code = log_walk_signer(arguments, &signer);
    if (code != CLI_DONE)
        return code;
    return path != NULL ? prove_check(arguments, &signer, path) : prove_make(arguments, &signer);
}
