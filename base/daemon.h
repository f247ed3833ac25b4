/* SPDX-License-Identifier: Apache-2.0 */
/* base/daemon.h -- the command line of every daemon: --config FILE, --check, --help, --version.
 *
 * In      argc and argv.
 * Out     one call with what they said; or help, version or usage, and the exit code for main().
 * Never   reads the configuration itself.
 * Threads one, before any starts.
 */
#ifndef BASE_DAEMON_H
#define BASE_DAEMON_H

#include <stdbool.h>

#define DAEMON_EXIT_USAGE 2

struct daemon_command {
    const char *usage;   /* The whole text of --help. */
    const char *version; /* "cardkeep-vault 0.1.0" */
    int (*run)(const char *config_path, bool only_check);
};

int daemon_main(int argc, char **argv, const struct daemon_command *command);

#endif
