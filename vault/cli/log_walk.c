/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/cli/log_walk.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/own.h"
#include "vault/cli/say.h"

static const char *const store_option = "store";

/* What a walk gives, and the proof that grows beside it. */
struct beside {
    const struct log_walk *walk;
    struct audit_verify *verify;
};

static void beside_entry(void *owner, uint64_t seq, const char *text, size_t size)
{
    struct beside *beside = owner;

    audit_verify_entry(beside->verify, text, size);
    beside->walk->on_entry(beside->walk->owner, seq, text, size);
}

static void beside_checkpoint(void *owner, uint64_t seq, const char *text, size_t size)
{
    struct beside *beside = owner;

    audit_verify_checkpoint(beside->verify, text, size);
    if (beside->walk->on_checkpoint != NULL)
        beside->walk->on_checkpoint(beside->walk->owner, seq, text, size);
}

enum cli_exit log_walk_signer(const struct cli_arguments *arguments, struct log_signer *out_signer)
{
    OWNED(daemon_free) struct daemon *daemon = NULL;
    const char *verifier = cli_option(arguments, "verifier");
    const char *origin = cli_option(arguments, "origin");

    if (verifier == NULL && cli_option(arguments, store_option) != NULL) {
        say_error("--store wants --verifier KEY: a log cannot vouch for itself");
        return CLI_USAGE;
    }
    if (verifier == NULL) {
        enum cli_exit code = daemon_open(arguments, &daemon);
        if (code != CLI_DONE)
            return code;
        verifier = daemon_verifier(daemon, DAEMON_VAULT);
    }
    *out_signer = (struct log_signer){0};
    if (!audit_verifiers_read(verifier, out_signer->keys, &out_signer->trust))
        return CLI_USAGE;
    origin = origin == NULL ? out_signer->keys[0].name : origin;
    if (strlen(origin) >= sizeof out_signer->origin) {
        say_error("--origin is longer than the name of any log");
        return CLI_USAGE;
    }
    memcpy(out_signer->origin, origin, strlen(origin) + 1);
    return CLI_DONE;
}

static STATUS verify_new(const struct log_signer *signer, struct audit_verify **out_verify)
{
    OWNED(audit_verify_free) struct audit_verify *verify = NULL;

    TRY(audit_verify_new(signer->origin, &signer->keys[0], &verify));
    for (unsigned i = 1; i < signer->trust.count; i++)
        TRY(audit_verify_trust(verify, &signer->keys[i]));
    *out_verify = MOVE(verify);
    return STATUS_OK;
}

static enum cli_exit walk_daemon(const struct log_walk *walk, struct beside *beside)
{
    OWNED(daemon_free) struct daemon *daemon = NULL;
    enum cli_exit code = daemon_open(walk->arguments, &daemon);
    uint64_t size = 0;

    if (code != CLI_DONE)
        return code;
    struct audit_fetch fetch = {.daemon = daemon,
                                .which = DAEMON_VAULT,
                                .on_entry = beside_entry,
                                .on_checkpoint = beside_checkpoint,
                                .owner = beside};
    return audit_fetch_entries(&fetch, 0, 0, &size);
}

enum cli_exit log_walk_run(const struct log_walk *walk)
{
    OWNED(audit_verify_free) struct audit_verify *verify = NULL;
    const char *store = cli_option(walk->arguments, store_option);
    struct log_signer signer;
    struct audit_verdict verdict;

    assert(walk->on_entry != NULL);
    enum cli_exit code = log_walk_signer(walk->arguments, &signer);
    if (code != CLI_DONE)
        return code;
    if (failed(verify_new(&signer, &verify))) {
        say_error("there is not enough memory, or the origin is too long");
        return CLI_USAGE;
    }
    struct beside beside = {.walk = walk, .verify = verify};
    struct audit_fetch give = {
        .on_entry = beside_entry, .on_checkpoint = beside_checkpoint, .owner = &beside};
    code = store != NULL ? audit_store_walk(store, &give) : walk_daemon(walk, &beside);
    if (code != CLI_DONE)
        return code;
    audit_verify_end(verify, &verdict);
    if (verdict.good)
        return CLI_DONE;
    say_error("%s is not as it was signed: %s", signer.origin, verdict.trouble);
    return CLI_FOUND;
}

bool log_walk_read(const char *text, size_t size, struct log_entry *out_entry)
{
    size_t at = 0;

    return !failed(json_read((const uint8_t *)text, size, out_entry->nodes, LOG_WALK_NODES,
                             &out_entry->json, &at)) &&
           out_entry->nodes[0].type == JSON_OBJECT;
}

void log_walk_text(const struct json *json, uint32_t object, const char *name, char *out,
                   size_t out_size)
{
    size_t length = 0;
    uint32_t node = json_member(json, object, name);

    if (node == JSON_NONE || failed(json_string(json, node, out, out_size, &length)))
        out[0] = '\0';
    for (char *at = out; *at != '\0'; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            *at = '?'; /* Nobody's entry writes over this terminal. */
}

uint64_t log_walk_key(const struct json *json, uint32_t object)
{
    int64_t id = 0;
    uint32_t key = json_member(json, object, "key");

    if (failed(json_int(json, json_member(json, key, "id"), &id)) || id < 0)
        return 0;
    return (uint64_t)id;
}
