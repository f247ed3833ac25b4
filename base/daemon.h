/* SPDX-License-Identifier: Apache-2.0 */
/* base/daemon.h -- what every daemon does alike: --config FILE, --check, --help, --version, parts.
 *
 * In      argc and argv.
 * Out     one call with what they said; or help, version or usage, and the exit code for main().
 * Never   reads the configuration itself.
 * Threads one, before any starts.
 */
#ifndef BASE_DAEMON_H
#define BASE_DAEMON_H

#include <stdbool.h>
#include <stdio.h>

#include "base/supervise.h"

#define DAEMON_EXIT_USAGE  2

#define DAEMON_OPTIONS_MAX 8u

struct daemon_option {
    const char *name;
    bool argument;
};

/* The command line, read. */
struct daemon_call {
    const char *config_path;
    bool only_check;
    const char *values[DAEMON_OPTIONS_MAX]; /* By place in `options`; "" for one without argument,
                                               NULL: not given. */
};

struct daemon_command {
    const char *usage;   /* The whole text of --help. */
    const char *version; /* "cardkeep-vault 0.1.0" */
    /* What it takes besides; NULL ends the list.  With an argument where `argument` says so. */
    const struct daemon_option *options;
    int (*run)(const struct daemon_call *call);
};

int daemon_main(int argc, char **argv, const struct daemon_command *command);

/* What this host's kernel can guard, as a line of YAML: for --check. */
void daemon_print_guards(FILE *out);

/* supervise_run() in a process that gave up what starting others does not take, and that logs each
 * end of a part that was not in order; `strict`: nothing starts where that cannot be given up. */
int daemon_supervise(struct supervise_options *options, bool strict);

#endif
