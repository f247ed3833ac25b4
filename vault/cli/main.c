/* SPDX-License-Identifier: Apache-2.0 */
#include <sodium.h>
#include <sys/stat.h>

#include "vault/cli/cli.h"
#include "vault/cli/say.h"

int main(int argc, char **argv)
{
    (void)umask(077); /* What this program writes is its user's alone. */
    if (sodium_init() < 0) {
        say_error("no random numbers can be had from this system");
        return CLI_UNREACHABLE;
    }
    const struct cli_command *command = NULL;
    struct cli_arguments arguments;
    enum cli_exit code = cli_parse(argc, argv, &command, &arguments);
    if (command == NULL)
        return (int)code;
    enum cli_exit result = command->run(&arguments);
    if (!say_done()) {
        say_error("standard output took not everything; is the disk full?");
        return CLI_UNREACHABLE;
    }
    return (int)(code != CLI_DONE ? code : result);
}
