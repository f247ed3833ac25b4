/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/cli/store_check.h"

#include <errno.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "vault/cli/say.h"

#define DAEMON_NAME "cardkeep-vault"
#define WORDS_MAX   12u

extern char **environ;

/* The daemon that was installed with this program; else the one that the PATH has. */
static void daemon_find(char out[static PATH_MAX])
{
    ssize_t size = readlink("/proc/self/exe", out, PATH_MAX - sizeof DAEMON_NAME);

    if (size > 0) {
        out[size] = '\0';
        char *slash = strrchr(out, '/');
        if (slash != NULL)
            (void)snprintf(slash + 1, sizeof DAEMON_NAME, "%s", DAEMON_NAME);
        if (slash != NULL && access(out, X_OK) == 0)
            return;
    }
    (void)snprintf(out, PATH_MAX, "%s", DAEMON_NAME);
}

static enum cli_exit exit_of(int status)
{
    if (!WIFEXITED(status)) {
        say_error("the check was ended by signal %d", WTERMSIG(status));
        return CLI_UNREACHABLE;
    }
    switch (WEXITSTATUS(status)) {
    case 0:
        return CLI_DONE;
    case 1:
        return CLI_FOUND;
    case 2:
        return CLI_USAGE;
    default:
        say_error("%s could not be run", DAEMON_NAME);
        return CLI_UNREACHABLE;
    }
}

/* What may be asked for are shares of a root: on a terminal they are not shown as they are typed.
 * False: there is no terminal. */
static bool echo_set(bool on)
{
    struct termios mode;

    if (tcgetattr(STDIN_FILENO, &mode) != 0)
        return false;
    mode.c_lflag = on ? mode.c_lflag | ECHO : mode.c_lflag & ~(tcflag_t)ECHO;
    return tcsetattr(STDIN_FILENO, TCSANOW, &mode) == 0;
}

/* posix_spawn() takes words that it promises not to write to, in a type that does not say so. */
static char *word(const char *text)
{
    char *out = NULL;
    memcpy(&out, &text, sizeof out);
    return out;
}

enum cli_exit store_check_spawn(const char *const *own_words)
{
    char daemon[PATH_MAX] = "";
    char *words[WORDS_MAX] = {NULL};
    unsigned count = 0;
    pid_t child = 0;
    int status = 0;

    daemon_find(daemon);
    words[count++] = daemon;
    for (unsigned i = 0; own_words[i] != NULL && count + 1 < WORDS_MAX; i++)
        words[count++] = word(own_words[i]);
    bool hidden = echo_set(false);
    int rc = posix_spawnp(&child, daemon, NULL, NULL, words, environ);
    if (rc != 0) {
        if (hidden)
            (void)echo_set(true);
        say_error("cannot run %s: %s; it is installed beside this program", daemon, strerror(rc));
        return CLI_UNREACHABLE;
    }
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    if (hidden)
        (void)echo_set(true);
    return exit_of(status);
}

enum cli_exit store_check_command(const struct cli_arguments *arguments)
{
    const char *verifier = cli_option(arguments, "verifier");
    const char *words[WORDS_MAX] = {"--config", arguments->words[0], "--verify-store"};
    unsigned count = 3;

    if (cli_wants_json(arguments))
        words[count++] = "--json";
    if (verifier != NULL) {
        words[count++] = "--verifier";
        words[count++] = verifier;
    }
    return store_check_spawn(words);
}
