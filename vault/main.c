/* SPDX-License-Identifier: Apache-2.0 */
/* cardkeep-vault: keeps cards, gives tokens for them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/daemon.h"
#include "base/log.h"
#include "base/own.h"
#include "base/supervise.h"
#include "policies/policy.h"
#include "policies/signer_process.h"
#include "vault/front.h"
#include "vault/keeper.h"
#include "vault/keeper_verify.h"
#include "vault/settings.h"

#define ERROR_MAX       768u
#define VERIFY_TEXT_MAX 16384u

static const char usage[] =
    "usage: cardkeep-vault --config FILE [--check | --verify-store] [--accept-rollback WORD]\n"
    "\n"
    "Keeps cards and gives tokens for them; gives cards to relays that policies allow.\n"
    "\n"
    "  --config FILE  the configuration\n"
    "  --check        say what was understood of it, and leave\n"
    "  --verify-store open every record of the store, say what does not open, and leave\n"
    "  --accept-rollback SIZE:ROOT:EPOCH\n"
    "                 go on from a store that is older than what was signed; the log line that\n"
    "                 refuses it names the three, and both logs keep who said so\n"
    "  --version      say the version\n"
    "  --help         say this\n"
    "\n"
    "Exit codes: 0 done, 1 failed and may be tried again, or a store with something in it that\n"
    "does not open, 2 wrong usage or configuration.\n"
    "\n"
    "  cardkeep-vault --config vault.yaml --check\n"
    "  curl --cert app.pem --key app.key --cacert ca.pem https://localhost:8443/v1/tokens \\\n"
    "       -H 'Content-Type: application/json' \\\n"
    "       -d '{\"number\": \"4242424242424242\", \"exp_month\": 12, \"exp_year\": 2031}'\n";

/* The supervisor tells all to end at one time, but the keeper goes when the front is gone, and the
 * signer when the keeper is: what was begun is answered, and the last entries are signed. */
static int run_keeper(void *owner, int control_fd)
{
    return supervise_ignore_term() ? keeper_run(owner, control_fd) : EXIT_FAILURE;
}

static int run_signer(void *owner, int core_fd)
{
    const struct settings *settings = owner;
    struct signer_process process = {
        .options = {.origin = settings->origin,
                    .key_path = settings->signer_key,
                    .state_path = settings->signer_state,
                    .fd = core_fd,
                    .accept = &settings->accept},
        .component = "signer",
        .level = settings->log_level,
        .user = settings->user,
        .production = settings->production,
    };
    return signer_process_run(&process);
}

static bool can_read(const char *what, const char *path)
{
    if (access(path, R_OK) == 0)
        return true;
    (void)fprintf(stderr, "cardkeep-vault: %s: %s: %s\n", what, path, strerror(errno));
    return false;
}

static int check(const struct settings *settings)
{
    OWNED(policy_free) struct policy *policy = NULL;
    char error[POLICY_ERROR_MAX] = "";
    bool good = can_read("the API's certificate", settings->api.certificate) &&
                can_read("its key", settings->api.key) &&
                can_read("the clients' authorities", settings->api.clients) &&
                (settings->seal_path == NULL || can_read("the seal", settings->seal_path)) &&
                can_read("the signer's key", settings->signer_key);

    if (!good)
        return DAEMON_EXIT_USAGE;
    if (failed(policy_load(settings->policies, &policy, error, sizeof error))) {
        (void)fprintf(stderr, "cardkeep-vault: %s\n", error);
        return DAEMON_EXIT_USAGE;
    }
    settings_print(settings, stdout);
    daemon_print_guards(stdout);
    return EXIT_SUCCESS;
}

enum option { OPTION_VERIFY_STORE, OPTION_ACCEPT_ROLLBACK };

static const struct daemon_option own_options[] = {
    [OPTION_VERIFY_STORE] = {"verify-store", false},
    [OPTION_ACCEPT_ROLLBACK] = {"accept-rollback", true},
    {NULL, false},
};

static void show_progress(const char *kind, uint64_t rows)
{
    (void)fprintf(stderr, "\r%llu rows (%s) ", (unsigned long long)rows, kind);
}

static int verify_store(const struct settings *settings)
{
    struct buffer text OWNED(buffer_free) = BUFFER(VERIFY_TEXT_MAX);
    /* The filter of system calls has no ioctl(), by which the C library knows a terminal. */
    static char room[BUFSIZ];
    bool terminal = isatty(STDERR_FILENO) == 1;

    (void)setvbuf(stdout, room, _IOFBF, sizeof room);
    enum keeper_verdict verdict =
        keeper_verify_run(settings, terminal ? show_progress : NULL, &text);
    if (terminal)
        (void)fputs("\r", stderr);
    (void)fputs(buffer_text(&text), stdout);
    (void)fflush(stdout);
    return verdict == KEEPER_VERIFY_GOOD  ? EXIT_SUCCESS
           : verdict == KEEPER_VERIFY_BAD ? EXIT_FAILURE
                                          : DAEMON_EXIT_USAGE;
}

static int run(const struct daemon_call *call)
{
    struct settings settings OWNED(settings_close) = {0};
    char error[ERROR_MAX] = "";

    if (failed(settings_read(call->config_path, &settings, error, sizeof error))) {
        (void)fprintf(stderr, "cardkeep-vault: %s\n", error);
        return DAEMON_EXIT_USAGE;
    }
    if (call->only_check)
        return check(&settings);
    if (call->values[OPTION_VERIFY_STORE] != NULL)
        return verify_store(&settings);
    const char *accept = call->values[OPTION_ACCEPT_ROLLBACK];
    if (accept != NULL && failed(epoch_statement_take(accept, &settings.accept))) {
        (void)fputs(
            "cardkeep-vault: --accept-rollback takes SIZE:ROOT:EPOCH, as the log line has it "
            "that refuses an older store\n",
            stderr);
        return DAEMON_EXIT_USAGE;
    }
    struct supervise_options options = {
        .core_name = "keeper",
        .core = run_keeper,
        .satellites = {{.name = "front", .run = front_run}, {.name = "signer", .run = run_signer}},
        .satellite_count = 2,
        .owner = &settings,
    };
    return daemon_supervise(&options, settings.production);
}

int main(int argc, char **argv)
{
    static const struct daemon_command command = {.usage = usage,
                                                  .version = "cardkeep-vault " CARDKEEP_VERSION,
                                                  .options = own_options,
                                                  .run = run};

    return daemon_main(argc, argv, &command);
}
