/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/cli/custodian.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/encode.h"
#include "base/own.h"
#include "keys/share_text.h"
#include "vault/cli/ceremony.h"
#include "vault/cli/files.h"
#include "vault/cli/say.h"
#include "vault/cli/typed.h"

#define BODY_BYTES_MAX     1024u
#define SENTENCE_BYTES_MAX 512u
#define READ_BACK_TRIES    5u

static const char duty[] =
    "A custodian keeps one share of the vault's root key: written down, alone, where nobody else\n"
    "gets at it; tells it to no one, and types it only into 'cardkeep unseal' with its own\n"
    "certificate; says at once when it is lost or may have been seen; and gives the duty back "
    "when\n"
    "it ends.  That you accept this is recorded under your name and certificate.\n";

/* --- The key file --- */

enum cli_exit custodian_key_command(const struct cli_arguments *arguments)
{
    OWNED(secret_free) struct secret *key = NULL;
    OWNED(secret_free) struct secret *text = NULL;
    uint8_t public_key[CUSTODIAN_KEY_BYTES];
    char public_text[SHARE_TEXT_PUBLIC_SIZE];
    const char *path = arguments->words[0];

    struct status status = custodian_new(public_key, &key);
    if (!failed(status))
        status = share_text_write_key(key, &text);
    if (!failed(status)) {
        char *line = (char *)secret_bytes(text);
        size_t size = strlen(line);
        line[size] = '\n'; /* Where its NUL was: there is room for groups that it does not have. */
        status = files_write_new(AT_FDCWD, path, 0600, line, size + 1);
    }
    if (failed(status)) {
        say_error(status.why == WHY_CONFLICT
                      ? "%s exists already, and is not written over; name another file"
                      : "%s cannot be written; name a file in a folder of your own",
                  path);
        return CLI_USAGE;
    }
    share_text_write_public(public_key, public_text);
    if (cli_wants_json(arguments))
        say_out("{\"public_key\": \"%s\", \"file\": \"%s\"}\n", public_text, path);
    else
        say_out("%s\n%s is your own key: nobody else reads that file, and without it your share "
                "cannot be fetched\n",
                public_text, path);
    return CLI_DONE;
}

static enum cli_exit key_read(const struct cli_arguments *arguments, struct secret **out_key)
{
    OWNED(secret_free) struct secret *line = NULL;
    OWNED(buffer_free) struct buffer sentence = BUFFER(SENTENCE_BYTES_MAX);
    struct share_text_fault fault = {0};
    const char *path = cli_option(arguments, "key");
    size_t size = 0;

    if (path == NULL) {
        say_error("--key FILE is wanted: the file that 'cardkeep custodian key FILE' made");
        return CLI_USAGE;
    }
    struct status status = typed_file(path, &line, &size);
    if (failed(status)) {
        say_error(status.why == WHY_DENIED ? "%s can be read by others; set its mode to 0600"
                  : status.why == WHY_NOT_FOUND
                      ? "%s is not there, or empty; 'cardkeep custodian key FILE' makes one"
                      : "%s cannot be read; name the file that 'cardkeep custodian key' made",
                  path);
        return CLI_USAGE;
    }
    if (!failed(share_text_read_key(secret_peek(line), size, out_key, &fault)))
        return CLI_DONE;
    share_text_explain(&fault, &sentence);
    say_error("%s holds no custodian's key: %s", path, buffer_text(&sentence));
    return CLI_USAGE;
}

/* --- accept --- */

static bool duty_accepted(const struct cli_arguments *arguments)
{
    OWNED(secret_free) struct secret *line = NULL;
    size_t size = 0;

    if (cli_option(arguments, "yes") != NULL)
        return true;
    say_prompt(duty);
    if (!failed(typed_ask("Type 'I accept' to accept it: ", &line, &size)) &&
        strcmp((const char *)secret_peek(line), "I accept") == 0)
        return true;
    say_error("the duty was not accepted; type 'I accept', or give --yes where you know it");
    return false;
}

enum cli_exit custodian_accept_command(const struct cli_arguments *arguments)
{
    OWNED(daemon_free) struct daemon *daemon = NULL;
    OWNED(secret_free) struct secret *key = NULL;
    OWNED(buffer_free) struct buffer body = BUFFER(BODY_BYTES_MAX);
    struct ceremony_answer answer OWNED(ceremony_answer_free) = {0};
    struct json_writer writer = json_writer_over(&body);
    uint8_t public_key[CUSTODIAN_KEY_BYTES];
    char public_text[SHARE_TEXT_PUBLIC_SIZE];
    char ceremony[CEREMONY_TEXT_MAX];

    enum cli_exit code = daemon_open(arguments, &daemon);
    if (code == CLI_DONE)
        code = key_read(arguments, &key);
    if (code == CLI_DONE)
        code = ceremony_name(arguments, daemon, ceremony);
    if (code != CLI_DONE)
        return code;
    if (failed(custodian_public(key, public_key)) || !duty_accepted(arguments))
        return CLI_USAGE;
    share_text_write_public(public_key, public_text);
    json_begin_object(&writer);
    json_put_member(&writer, "ceremony", ceremony);
    json_put_member(&writer, "public_key", public_text);
    json_put_member(&writer, "duty", "accepted");
    json_end_object(&writer);
    code = ceremony_ask(daemon, "/accept", &body, &answer);
    if (code == CLI_DONE)
        ceremony_show(arguments, &answer);
    return code;
}

/* --- collect, confirm --- */

static enum cli_exit digest_send(const struct cli_arguments *arguments, const struct daemon *daemon,
                                 const char *ceremony, const struct share *share)
{
    OWNED(buffer_free) struct buffer body = BUFFER(BODY_BYTES_MAX);
    struct ceremony_answer answer OWNED(ceremony_answer_free) = {0};
    struct json_writer writer = json_writer_over(&body);
    uint8_t digest[SHARE_DIGEST_BYTES];
    char hex[2 * SHARE_DIGEST_BYTES + 1];

    share_digest(share, digest);
    encode_hex(digest, sizeof digest, hex);
    json_begin_object(&writer);
    json_put_member(&writer, "ceremony", ceremony);
    json_put_member(&writer, "digest", hex);
    json_end_object(&writer);
    enum cli_exit code = ceremony_ask(daemon, "/confirm", &body, &answer);
    if (code != CLI_DONE)
        return code;
    uint32_t done = json_member(&answer.json, 0, "done");
    bool last = done != JSON_NONE && answer.nodes[done].type == JSON_TRUE;
    if (cli_wants_json(arguments))
        say_out("{\"confirmed\": true, \"done\": %s}\n", last ? "true" : "false");
    else if (last)
        say_out("all shares are proven, and in force; a new vault is sealed now and opens with "
                "'cardkeep unseal'\n");
    else
        say_out("your share is proven; the others' are waited for\n");
    return CLI_DONE;
}

/* What was typed, as a share; says what is wrong with it. */
static bool share_typed(const char *question, struct share *out, bool *out_ended)
{
    OWNED(secret_free) struct secret *line = NULL;
    OWNED(buffer_free) struct buffer sentence = BUFFER(SENTENCE_BYTES_MAX);
    struct share_text_fault fault = {0};
    size_t size = 0;

    *out_ended = failed(typed_ask(question, &line, &size));
    if (*out_ended) {
        say_error("the share was not read back; 'cardkeep custodian confirm' asks for it again");
        return false;
    }
    if (!failed(share_text_read(secret_peek(line), size, out, &fault)))
        return true;
    share_text_explain(&fault, &sentence);
    say_error("%s", buffer_text(&sentence));
    return false;
}

/* Until it is the same, or often enough. */
static bool share_read_back(const struct share *share)
{
    uint8_t digests[2][SHARE_DIGEST_BYTES];
    bool ended = false;

    share_digest(share, digests[0]);
    for (unsigned i = 0; i < READ_BACK_TRIES && !ended; i++) {
        struct share typed OWNED(share_free) = {0};
        if (!share_typed("Read it back (not shown): ", &typed, &ended))
            continue;
        share_digest(&typed, digests[1]);
        if (memcmp(digests[0], digests[1], SHARE_DIGEST_BYTES) == 0)
            return true;
        say_error("that is another share; type the one that was just shown");
    }
    return false;
}

/* {"share": {"set", "index", "box"}} opened with the custodian's own key. */
static bool share_open(const struct ceremony_answer *answer, const struct secret *key,
                       struct share *out)
{
    const struct json *json = &answer->json;
    uint32_t share = json_member(json, 0, "share");
    char text[CEREMONY_TEXT_MAX];
    uint8_t set[SHARE_SET_BYTES];
    uint8_t box[CUSTODIAN_BOX_BYTES];
    int64_t index = 0;
    size_t size = 0;

    ceremony_text(json, share, "set", text);
    if (failed(decode_hex(text, strlen(text), set, sizeof set)) ||
        failed(json_int(json, json_member(json, share, "index"), &index)) || index < 1 ||
        index > (int64_t)SHARES_COUNT_MAX)
        return false;
    ceremony_text(json, share, "box", text);
    if (failed(decode_base64(text, strlen(text), box, sizeof box, &size)) || size != sizeof box)
        return false;
    return !failed(custodian_open(key, box, set, (uint8_t)index, out));
}

static void share_show(const struct cli_arguments *arguments, const struct share *share,
                       const struct secret *text)
{
    char set[2 * SHARE_SET_BYTES + 1];

    encode_hex(share->set, sizeof share->set, set);
    if (cli_wants_json(arguments)) {
        say_out("{\"set\": \"%s\", \"index\": %u, \"threshold\": %u, \"share\": \"", set,
                share->index, share->threshold);
        say_bytes(secret_peek(text), strlen((const char *)secret_peek(text)));
        say_out("\"}\n");
        return;
    }
    say_out("Your share, number %u of set %s; %u open the vault.  It is shown once: write it "
            "down.\n\n  ",
            share->index, set, share->threshold);
    say_bytes(secret_peek(text), strlen((const char *)secret_peek(text)));
    say_out("\n\n");
}

enum cli_exit custodian_collect_command(const struct cli_arguments *arguments)
{
    OWNED(daemon_free) struct daemon *daemon = NULL;
    OWNED(secret_free) struct secret *key = NULL;
    OWNED(secret_free) struct secret *text = NULL;
    OWNED(buffer_free) struct buffer body = BUFFER(BODY_BYTES_MAX);
    struct ceremony_answer answer OWNED(ceremony_answer_free) = {0};
    struct share share OWNED(share_free) = {0};
    struct json_writer writer = json_writer_over(&body);
    uint8_t public_key[CUSTODIAN_KEY_BYTES];
    char public_text[SHARE_TEXT_PUBLIC_SIZE];
    char ceremony[CEREMONY_TEXT_MAX];

    enum cli_exit code = daemon_open(arguments, &daemon);
    if (code == CLI_DONE)
        code = key_read(arguments, &key);
    if (code == CLI_DONE)
        code = ceremony_name(arguments, daemon, ceremony);
    if (code != CLI_DONE)
        return code;
    if (failed(custodian_public(key, public_key))) {
        say_error("that file holds no key that can be used");
        return CLI_USAGE;
    }
    share_text_write_public(public_key, public_text);
    json_begin_object(&writer);
    json_put_member(&writer, "ceremony", ceremony);
    /* A share is given once: the vault gives it to none that could not open it. */
    json_put_member(&writer, "public_key", public_text);
    json_end_object(&writer);
    code = ceremony_ask(daemon, "/collect", &body, &answer);
    if (code != CLI_DONE)
        return code;
    if (!share_open(&answer, key, &share) || failed(share_text_write(&share, &text))) {
        say_error("the share does not open with this key; have the ceremony cancelled and begun "
                  "again, with the key file that you accepted with");
        return CLI_FOUND;
    }
    share_show(arguments, &share, text);
    (void)say_done(); /* Seen before it is asked for. */
    if (cli_option(arguments, "confirm") == NULL && !share_read_back(&share))
        return CLI_USAGE;
    return digest_send(arguments, daemon, ceremony, &share);
}

enum cli_exit custodian_confirm_command(const struct cli_arguments *arguments)
{
    OWNED(daemon_free) struct daemon *daemon = NULL;
    struct share share OWNED(share_free) = {0};
    char ceremony[CEREMONY_TEXT_MAX];
    bool ended = false;

    enum cli_exit code = daemon_open(arguments, &daemon);
    if (code == CLI_DONE)
        code = ceremony_name(arguments, daemon, ceremony);
    if (code != CLI_DONE)
        return code;
    if (!share_typed("Your share (not shown): ", &share, &ended))
        return CLI_USAGE;
    return digest_send(arguments, daemon, ceremony, &share);
}
