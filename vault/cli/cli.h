/* SPDX-License-Identifier: Apache-2.0 */
/* vault/cli/cli.h -- `cardkeep <noun> <verb>`: its commands, and the words given to one.
 *
 * In      argv.
 * Out     the command and its options; or one sentence that says what to do next.
 * Never   takes a card number from argv (SAD-1): every process on the machine can read it there.
 * Threads one.
 */
#ifndef VAULT_CLI_CLI_H
#define VAULT_CLI_CLI_H

#include <stdbool.h>

#define CLI_WORDS_MAX   256u
#define CLI_OPTIONS_MAX 16u

/* Exit codes (interfaces.md 5). */
enum cli_exit {
    CLI_DONE = 0,
    CLI_FOUND = 1, /* Something wrong was found: scan, verify, check. */
    CLI_USAGE = 2,
    CLI_UNREACHABLE = 3,
    CLI_REFUSED = 4,
    CLI_SEALED = 5,
};

struct cli_option {
    const char *name;
    const char *value; /* "" for one that takes none. */
};

struct cli_arguments {
    const char *words[CLI_WORDS_MAX]; /* Behind noun and verb. */
    unsigned word_count;
    struct cli_option options[CLI_OPTIONS_MAX];
    unsigned option_count;
    const char *program; /* argv[0]. */
};

struct cli_command {
    const char *noun;
    const char *verb;    /* "" where the noun stands alone. */
    const char *usage;   /* What follows noun and verb. */
    const char *about;   /* One sentence. */
    const char *options; /* " json config: …": those with a colon take a value. */
    unsigned words_min;
    unsigned words_max;
    enum cli_exit (*run)(const struct cli_arguments *arguments);
};

/* Every command, in the order of `cardkeep help`; ends with a NULL noun. */
extern const struct cli_command cli_commands[];

/* Sorts argv into `out`.  Where *out_command stays NULL the sentence is said already; without any
 * word it is the help, with CLI_USAGE. */
enum cli_exit cli_parse(int argc, char **argv, const struct cli_command **out_command,
                        struct cli_arguments *out);

/* An option's value ("" for a switch), NULL when it was not given. */
const char *cli_option(const struct cli_arguments *arguments, const char *name);
bool cli_wants_json(const struct cli_arguments *arguments);
/* A whole number in [least, most]; says the sentence and returns false when it is none. */
bool cli_option_number(const struct cli_arguments *arguments, const char *name, long fallback,
                       long least, long most, long *out_value);

#endif
