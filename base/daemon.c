/* SPDX-License-Identifier: Apache-2.0 */
#include "base/daemon.h"

#include <assert.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

static int daemon_usage(const struct daemon_command *command)
{
    (void)fputs(command->usage, stderr);
    return DAEMON_EXIT_USAGE;
}

int daemon_main(int argc, char **argv, const struct daemon_command *command)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"check", no_argument, NULL, 'k'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'v'},
        {NULL, 0, NULL, 0},
    };
    const char *path = NULL;
    bool only_check = false;

    assert(command->run != NULL);
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (option) {
        case 'c':
            path = optarg;
            break;
        case 'k':
            only_check = true;
            break;
        case 'h':
            (void)fputs(command->usage, stdout);
            return EXIT_SUCCESS;
        case 'v':
            (void)puts(command->version);
            return EXIT_SUCCESS;
        default:
            return daemon_usage(command);
        }
    }
    if (path == NULL || optind != argc)
        return daemon_usage(command);
    return command->run(path, only_check);
}
