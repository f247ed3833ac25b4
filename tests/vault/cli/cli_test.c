/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/cli/cli.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <stdio.h>
#include <string.h>

#define WORDS_MAX 300

static const struct cli_command *command;
static struct cli_arguments arguments;

/* Splits `line` at its spaces, as a shell would. */
static enum cli_exit parse(const char *line)
{
    static char copy[4096];
    char *argv[WORDS_MAX];
    int argc = 0;
    cr_assert(strlen(line) < sizeof copy);
    memcpy(copy, line, strlen(line) + 1);
    for (char *at = copy; at != NULL && argc < WORDS_MAX; argc++) {
        argv[argc] = at;
        at = strchr(at, ' ');
        if (at != NULL)
            *at++ = '\0';
    }
    command = NULL;
    return cli_parse(argc, argv, &command, &arguments);
}

TestSuite(cli, .init = cr_redirect_stderr);

Test(cli, finds_the_command_by_noun_and_verb)
{
    cr_assert_eq(parse("cardkeep token show tok_x"), CLI_DONE);
    cr_assert_str_eq(command->noun, "token");
    cr_assert_str_eq(command->verb, "show");
    cr_assert_eq(arguments.word_count, 1);
    cr_assert_str_eq(arguments.words[0], "tok_x");
    cr_assert_eq(parse("cardkeep scan a b"), CLI_DONE);
    cr_assert_eq(arguments.word_count, 2);
}

Test(cli, takes_options_in_both_spellings_and_anywhere)
{
    cr_assert_eq(parse("cardkeep dev init --ports 21000 d --gateways=g"), CLI_DONE);
    cr_expect_str_eq(cli_option(&arguments, "ports"), "21000");
    cr_expect_str_eq(cli_option(&arguments, "gateways"), "g");
    cr_expect_null(cli_option(&arguments, "port"));
    cr_expect(!cli_wants_json(&arguments));
    cr_assert_eq(parse("cardkeep scan -- --json"), CLI_DONE);
    cr_expect(!cli_wants_json(&arguments), "behind -- it is a path");
    cr_expect_str_eq(arguments.words[0], "--json");
}

Test(cli, refuses_what_it_does_not_know_with_usage)
{
    static const char *const wrong[] = {
        "cardkeep nonsense",
        "cardkeep token",
        "cardkeep token nonsense",
        "cardkeep token show",
        "cardkeep token show a b",
        "cardkeep token show a --cvv",
        "cardkeep token show a --json=yes",
        "cardkeep token show a --jso",
        "cardkeep token show a --=",
        "cardkeep dev init d --ports",
        "cardkeep scan",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        cr_expect_eq(parse(wrong[i]), CLI_USAGE, "%s", wrong[i]);
        cr_expect_null(command, "%s", wrong[i]);
    }
}

Test(cli, takes_no_card_number_as_an_option)
{
    for (const struct cli_command *at = cli_commands; at->noun != NULL; at++) {
        cr_expect_null(strstr(at->options, "number"), "%s %s", at->noun, at->verb);
        cr_expect_null(strstr(at->options, "cvv:"), "%s %s", at->noun, at->verb);
    }
    cr_expect_eq(parse("cardkeep token create 4242424242424242"), CLI_USAGE);
}

Test(cli, helps_without_words_and_with_an_option)
{
    cr_assert_eq(parse("cardkeep"), CLI_USAGE);
    cr_assert_str_eq(command->noun, "help");
    cr_assert_eq(parse("cardkeep --help"), CLI_DONE);
    cr_assert_str_eq(command->noun, "help");
    cr_assert_eq(parse("cardkeep audit verify --help"), CLI_DONE);
    cr_assert_str_eq(command->noun, "help");
    cr_assert_str_eq(arguments.words[0], "audit");
}

Test(cli, bounds_words_and_options)
{
    char line[4096] = "cardkeep scan";
    size_t size = strlen(line);
    for (unsigned i = 0; i < CLI_WORDS_MAX; i++) {
        memcpy(line + size, " x", 3);
        size += 2;
    }
    cr_expect_eq(parse(line), CLI_DONE);
    memcpy(line + size, " x", 3);
    cr_expect_eq(parse(line), CLI_USAGE);
    memcpy(line, "cardkeep scan x", 16);
    size = strlen(line);
    for (unsigned i = 0; i <= CLI_OPTIONS_MAX; i++) {
        memcpy(line + size, " --json", 8);
        size += 7;
    }
    cr_expect_eq(parse(line), CLI_USAGE);
}

Test(cli, reads_numbers_within_bounds_only)
{
    long value = 0;
    cr_assert_eq(parse("cardkeep audit tail"), CLI_DONE);
    cr_expect(cli_option_number(&arguments, "count", 20, 1, 100, &value));
    cr_expect_eq(value, 20);
    static const char *const good[] = {"1", "100", "007"};
    static const char *const bad[] = {"0", "101", "", "-1", "1x", "9999999999"};
    char line[128];
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        snprintf(line, sizeof line, "cardkeep audit tail --count=%s", good[i]);
        cr_assert_eq(parse(line), CLI_DONE);
        cr_expect(cli_option_number(&arguments, "count", 20, 1, 100, &value), "%s", good[i]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snprintf(line, sizeof line, "cardkeep audit tail --count=%s", bad[i]);
        cr_assert_eq(parse(line), CLI_DONE);
        cr_expect(!cli_option_number(&arguments, "count", 20, 1, 100, &value), "%s", bad[i]);
    }
}
