/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/cli/rehearse.h"

#include "base/own.h"
#include "vault/cli/backup_folder.h"
#include "vault/cli/ceremony.h"
#include "vault/cli/say.h"
#include "vault/cli/store_check.h"

#define BODY_BYTES_MAX 256u

/* That it was done, and how it went, belongs into the log of the vault that it was done for. */
static void rehearsal_record(const struct cli_arguments *arguments, uint32_t backup, bool good)
{
    OWNED(daemon_free) struct daemon *daemon = NULL;
    OWNED(buffer_free) struct buffer body = BUFFER(BODY_BYTES_MAX);
    struct ceremony_answer answer OWNED(ceremony_answer_free) = {0};
    struct json_writer writer = json_writer_over(&body);

    json_begin_object(&writer);
    json_put_member_int(&writer, "backup", backup);
    json_put_member(&writer, "result", good ? "good" : "bad");
    json_end_object(&writer);
    if (daemon_open(arguments, &daemon) != CLI_DONE ||
        ceremony_ask(daemon, "/rehearsed", &body, &answer) != CLI_DONE)
        say_error("the rehearsal is not in the vault's log; write down yourself that it was done");
}

enum cli_exit rehearse_command(const struct cli_arguments *arguments)
{
    struct backup_folder_store store OWNED(backup_folder_end) = {0};
    const char *from = cli_option(arguments, "from");

    enum cli_exit code = backup_folder_open(arguments, from == NULL ? "" : from, &store);
    if (code != CLI_DONE)
        return code;
    const char *words[] = {"--config",
                           arguments->words[0],
                           "--verify-store",
                           "--store",
                           store.path,
                           "--verifier",
                           cli_option(arguments, "verifier"),
                           cli_wants_json(arguments) ? "--json" : NULL,
                           NULL};
    code = store_check_spawn(words);
    if (code != CLI_DONE && code != CLI_FOUND)
        return code;
    rehearsal_record(arguments, store.id, code == CLI_DONE);
    if (!cli_wants_json(arguments))
        say_out(code == CLI_DONE ? "backup %u opens with these shares, to the last row\n"
                                 : "backup %u does NOT open with these shares, or not all of it\n",
                (unsigned)store.id);
    return code;
}
