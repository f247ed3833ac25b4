/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/cli/migrate.h"

#include <string.h>

#include "base/own.h"
#include "vault/cli/keys.h"
#include "vault/cli/say.h"
#include "vault/contract.h"

#define BODY_BYTES_MAX 1024u

enum cli_exit migrate_run(const struct cli_arguments *arguments)
{
    OWNED(daemon_free) struct daemon *daemon = NULL;
    struct keys_answer answer OWNED(keys_answer_free) = {0};
    struct buffer body OWNED(buffer_free) = BUFFER(BODY_BYTES_MAX);
    struct json_writer writer = json_writer_over(&body);
    const char *kind = cli_option(arguments, "to");

    if (kind == NULL) {
        say_error("--to says which seal the vault is to have: pkcs11 or file");
        return CLI_USAGE;
    }
    enum cli_exit code = daemon_open(arguments, &daemon);
    if (code != CLI_DONE)
        return code;
    json_begin_object(&writer);
    json_put_member(&writer, "to", kind);
    json_end_object(&writer);
    code = keys_ask(daemon, "POST", CONTRACT_PATH_SEAL "/migrate", &body, &answer);
    if (code != CLI_DONE)
        return code;
    if (cli_wants_json(arguments))
        keys_say_json(&answer);
    else
        keys_say_approval(&answer.json, 0);
    return CLI_DONE;
}
