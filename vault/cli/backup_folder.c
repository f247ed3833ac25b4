/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/cli/backup_folder.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/encode.h"
#include "base/json.h"
#include "base/own.h"
#include "vault/cli/audit.h"
#include "vault/cli/files.h"
#include "vault/cli/say.h"

#define FACTS_NODES_MAX 64u

static void number_read(const struct json *json, const char *name, int64_t *out)
{
    if (failed(json_int(json, json_member(json, 0, name), out)))
        *out = 0;
}

static void checkpoint_read(const struct json *json, struct backup_folder_row *row)
{
    char note[NOTE_BYTES_MAX];
    const char *text = NULL;
    size_t size = 0;
    struct checkpoint checkpoint;

    if (failed(json_string(json, json_member(json, 0, "checkpoint"), note, sizeof note, &size)) ||
        failed(note_peek(note, size, &text, &size)) ||
        failed(checkpoint_parse(text, size, &checkpoint)))
        return;
    row->signed_size = checkpoint.size;
    encode_hex(checkpoint.root, sizeof checkpoint.root, row->signed_root);
}

static void facts_read(const char *folder, struct backup_folder_row *row)
{
    struct buffer text OWNED(buffer_free) = BUFFER(BACKUP_FACTS_MAX);
    struct json_node nodes[FACTS_NODES_MAX];
    struct json json;
    size_t at = 0;

    if (failed(backup_facts_read(folder, row->backup.id, &text)) ||
        failed(json_read(text.bytes, text.size, nodes, FACTS_NODES_MAX, &json, &at)) ||
        nodes[0].type != JSON_OBJECT ||
        failed(json_string(&json, json_member(&json, 0, "origin"), row->origin, sizeof row->origin,
                           NULL)))
        return;
    row->has_facts = true;
    number_read(&json, "records", &row->records);
    number_read(&json, "entries", &row->entries);
    number_read(&json, "added_bytes", &row->added_bytes);
    checkpoint_read(&json, row);
}

enum cli_exit backup_folder_list(const char *folder, struct backup_folder_row *out, unsigned room,
                                 unsigned *out_count)
{
    struct db_backup found[BACKUP_LIST_MAX];
    char reason[DB_BACKUP_REASON_MAX] = "";

    assert(room <= BACKUP_LIST_MAX);
    struct status status = db_backup_list(folder, found, room, out_count, reason, sizeof reason);
    if (failed(status)) {
        say_error("cannot read the backups in %s (%s) %s; --from names the folder that the "
                  "daemon's configuration calls backup.folder",
                  folder, status_name(status.why), reason);
        return CLI_UNREACHABLE;
    }
    for (unsigned i = 0; i < *out_count; i++) {
        out[i] = (struct backup_folder_row){.backup = found[i]};
        facts_read(folder, &out[i]);
    }
    return CLI_DONE;
}

/* --id, or the newest. */
static enum cli_exit id_choose(const struct cli_arguments *arguments, const char *folder,
                               uint32_t *out_id)
{
    struct db_backup newest = {0};
    char reason[DB_BACKUP_REASON_MAX] = "";
    unsigned count = 0;
    long id = 0;

    if (!cli_option_number(arguments, "id", 0, 1, 999999999, &id))
        return CLI_USAGE;
    *out_id = (uint32_t)id;
    if (id != 0)
        return CLI_DONE;
    struct status status = db_backup_list(folder, &newest, 1, &count, reason, sizeof reason);
    if (failed(status) || count == 0) {
        say_error("%s holds no whole backup (%s); --from names a folder of backups", folder,
                  reason);
        return CLI_UNREACHABLE;
    }
    *out_id = newest.id;
    return CLI_DONE;
}

static enum cli_exit copy_say(uint32_t id, struct status status, const char *reason)
{
    switch ((int)status.why) {
    case WHY_NONE:
        return CLI_DONE;
    case WHY_FORGED:
        say_error("backup %u is damaged: %s; take an older one (--id)", (unsigned)id, reason);
        return CLI_FOUND;
    case WHY_NOT_FOUND:
        say_error("%s; 'cardkeep backup list' shows those that there are", reason);
        return CLI_FOUND;
    case WHY_LIMIT:
        say_error("there is no room for the store that backup %u holds: %s", (unsigned)id, reason);
        return CLI_UNREACHABLE;
    default:
        say_error("backup %u cannot be read: %s", (unsigned)id, reason);
        return CLI_FOUND;
    }
}

static enum cli_exit log_verify(const struct cli_arguments *arguments,
                                struct backup_folder_store *store)
{
    struct note_key keys[AUDIT_VERIFIERS_MAX];
    struct audit_trust trust;
    const char *origin = cli_option(arguments, "origin");

    if (!audit_verifiers_read(cli_option(arguments, "verifier"), keys, &trust))
        return CLI_USAGE;
    (void)snprintf(store->origin, sizeof store->origin, "%s",
                   origin != NULL ? origin : keys[0].name);
    enum cli_exit code = audit_store_verify(store->path, store->origin, &trust, &store->verdict);
    if (code == CLI_DONE && !store->verdict.good) {
        say_error("the log in backup %u is not as it was signed: %s", (unsigned)store->id,
                  store->verdict.trouble);
        return CLI_FOUND;
    }
    return code;
}

enum cli_exit backup_folder_open(const struct cli_arguments *arguments, const char *beside,
                                 struct backup_folder_store *out_store)
{
    struct backup_folder_store store OWNED(backup_folder_end) = {0};
    char reason[DB_BACKUP_REASON_MAX] = "";
    const char *from = cli_option(arguments, "from");

    if (from == NULL || cli_option(arguments, "verifier") == NULL) {
        say_error("--from DIR and --verifier KEY are wanted: a log cannot vouch for itself; see "
                  "'cardkeep help backup'");
        return CLI_USAGE;
    }
    enum cli_exit code = id_choose(arguments, from, &store.id);
    if (code != CLI_DONE)
        return code;
    size_t length = strlen(beside);
    while (length > 1 && beside[length - 1] == '/')
        length--;
    (void)snprintf(store.path, sizeof store.path, "%.*s.new-XXXXXX",
                   (int)(length < PATH_MAX - 16 ? length : PATH_MAX - 16), beside);
    if (mkdtemp(store.path) == NULL) {
        store.path[0] = '\0';
        say_error("cannot make a folder beside %s: %s", beside, strerror(errno));
        return CLI_UNREACHABLE;
    }
    say_prompt("copying and comparing every file ...\n");
    code = copy_say(store.id, db_backup_restore(from, store.id, store.path, reason, sizeof reason),
                    reason);
    if (code == CLI_DONE) {
        say_prompt("hashing every entry of the audit log ...\n");
        code = log_verify(arguments, &store);
    }
    if (code != CLI_DONE)
        return code;
    *out_store = store;
    store.path[0] = '\0';
    return CLI_DONE;
}

void backup_folder_end(struct backup_folder_store *store)
{
    if (store->path[0] != '\0')
        files_remove_tree(store->path);
    store->path[0] = '\0';
}
