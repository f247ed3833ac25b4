/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/cli/migrate.h"

#include <poll.h>
#include <string.h>

#include "base/own.h"
#include "vault/cli/ceremony.h"
#include "vault/cli/keys.h"
#include "vault/cli/say.h"
#include "vault/contract.h"

#define BODY_BYTES_MAX 4096u
#define WATCH_MS       200

/* Of shares the words are custodians; of the others there are none. */
static bool body_write(const struct cli_arguments *arguments, const char *kind, struct buffer *body)
{
    struct json_writer writer = json_writer_over(body);

    if (strcmp(kind, "shares") == 0)
        return ceremony_plan(arguments, kind, body);
    if (arguments->word_count > 0) {
        say_error("custodians are of shares alone: --to shares --threshold K NAME...");
        return false;
    }
    json_begin_object(&writer);
    json_put_member(&writer, "to", kind);
    json_end_object(&writer);
    return true;
}

enum cli_exit migrate_run(const struct cli_arguments *arguments)
{
    OWNED(daemon_free) struct daemon *daemon = NULL;
    struct keys_answer answer OWNED(keys_answer_free) = {0};
    struct buffer body OWNED(buffer_free) = BUFFER(BODY_BYTES_MAX);
    const char *kind = cli_option(arguments, "to");

    if (kind == NULL) {
        say_error("--to says which seal the vault is to have: pkcs11, shares or file");
        return CLI_USAGE;
    }
    enum cli_exit code = daemon_open(arguments, &daemon);
    if (code != CLI_DONE)
        return code;
    if (!body_write(arguments, kind, &body))
        return CLI_USAGE;
    code = keys_ask(daemon, "POST", CONTRACT_PATH_SEAL "/migrate", &body, &answer);
    if (code != CLI_DONE)
        return code;
    if (cli_wants_json(arguments))
        keys_say_json(&answer);
    else
        keys_say_approval(&answer.json, 0);
    return CLI_DONE;
}

enum cli_exit migrate_init(const struct cli_arguments *arguments, const struct daemon *daemon)
{
    struct buffer body OWNED(buffer_free) = BUFFER(BODY_BYTES_MAX);
    struct ceremony_answer asked OWNED(ceremony_answer_free) = {0};
    char state[CEREMONY_TEXT_MAX] = "";
    char pending[CEREMONY_TEXT_MAX] = "";

    buffer_add_text(&body, "{}");
    enum cli_exit code = ceremony_ask(daemon, "/init", &body, &asked);
    if (code != CLI_DONE)
        return code;
    for (;;) {
        struct ceremony_answer answer OWNED(ceremony_answer_free) = {0};
        code = ceremony_ask(daemon, "", NULL, &answer);
        if (code != CLI_DONE)
            return code;
        ceremony_text(&answer.json, 0, "state", state);
        ceremony_text(&answer.json, 0, "pending", pending);
        if (pending[0] == '\0') {
            ceremony_show(arguments, &answer);
            break;
        }
        (void)poll(NULL, 0, WATCH_MS);
    }
    if (strcmp(state, "open") == 0)
        return CLI_DONE;
    say_error("the HSM gave the vault no root; 'cardkeep seal show' says why");
    return CLI_REFUSED;
}
