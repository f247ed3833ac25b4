/* SPDX-License-Identifier: Apache-2.0 */
/* cardkeep-relay: sends cards to payment gateways in the place of tokens. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/own.h"
#include "base/sandbox.h"
#include "base/supervise.h"
#include "policies/policy.h"
#include "policies/signer.h"
#include "relay/serve.h"

#define DESCRIPTION_BYTES_MAX (64u << 10)
#define SIGNER_LOCK_BYTES     (64u << 10)
#define EXIT_USAGE            2

static const char usage[] =
    "usage: cardkeep-relay --config FILE [--check]\n"
    "\n"
    "Forwards requests to payment gateways with cards in the place of their tokens.\n"
    "\n"
    "  --config FILE  the configuration\n"
    "  --check        say what was understood of it, and leave\n"
    "  --version      say the version\n"
    "  --help         say this\n"
    "\n"
    "Exit codes: 0 done, 1 failed and may be tried again, 2 wrong usage or configuration.\n"
    "\n"
    "  cardkeep-relay --config relay.yaml --check\n"
    "  curl --cert app.pem --key app.key --cacert ca.pem \\\n"
    "       https://localhost:8444/sandbox/v1/payment_intents -H 'Idempotency-Key: order-1' \\\n"
    "       -d 'payment_method_data[card][number]=tok_...'\n";

static int run_relay(void *owner, int control_fd)
{
    return serve_run(owner, control_fd);
}

/* Beside its log's owner, and nothing else: no network, no store. */
static int run_signer(void *owner, int core_fd)
{
    const struct settings *settings = owner;
    struct sandbox_report report = {0};
    struct signer_options options = {.origin = settings->signer_origin,
                                     .key_path = settings->signer_key,
                                     .state_path = settings->signer_state,
                                     .fd = core_fd};

    if (!supervise_ignore_term() ||
        failed(log_open("relay-signer", settings->level, STDERR_FILENO)))
        return EXIT_FAILURE;
    struct status status = sandbox_enter(SIGNER_LOCK_BYTES, NULL, settings->production, &report);
    if (!failed(status))
        status = signer_run(&options);
    if (!failed(status))
        return EXIT_SUCCESS;
    log_failure(LOG_ERROR, "signer_ended", status, "key", options.key_path, "state",
                options.state_path, NULL);
    bool hopeless = status.why == WHY_NOT_FOUND || status.why == WHY_BAD_INPUT ||
                    status.why == WHY_FORGED || status.why == WHY_CONFLICT;
    return hopeless ? SUPERVISE_EXIT_CONFIG : EXIT_FAILURE;
}

static int check(const struct settings *settings)
{
    struct buffer text OWNED(buffer_free) = BUFFER(DESCRIPTION_BYTES_MAX);
    OWNED(policy_free) struct policy *policy = NULL;
    char error[POLICY_ERROR_MAX] = "";

    if (failed(policy_load(settings->policies, &policy, error, sizeof error))) {
        fprintf(stderr, "cardkeep-relay: %s\n", error);
        return EXIT_USAGE;
    }
    settings_describe(settings, &text);
    fputs(buffer_text(&text), stdout);
    return EXIT_SUCCESS;
}

static int run(const char *path, bool only_check)
{
    OWNED(settings_free) struct settings *settings = NULL;
    char error[SETTINGS_ERROR_MAX] = "";

    if (failed(settings_load(path, &settings, error, sizeof error))) {
        fprintf(stderr, "cardkeep-relay: %s\n", error);
        return EXIT_USAGE;
    }
    if (only_check)
        return check(settings);
    struct supervise_options options = {
        .core_name = "relay",
        .core = run_relay,
        .satellites = {{.name = "signer", .run = run_signer}},
        .satellite_count = 1,
        .owner = settings,
    };
    return supervise_run(&options);
}

int main(int argc, char **argv)
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

    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (option) {
        case 'c':
            path = optarg;
            break;
        case 'k':
            only_check = true;
            break;
        case 'h':
            fputs(usage, stdout);
            return EXIT_SUCCESS;
        case 'v':
            puts("cardkeep-relay " CARDKEEP_VERSION);
            return EXIT_SUCCESS;
        default:
            fputs(usage, stderr);
            return EXIT_USAGE;
        }
    }
    if (path == NULL || optind != argc) {
        fputs(usage, stderr);
        return EXIT_USAGE;
    }
    return run(path, only_check);
}
