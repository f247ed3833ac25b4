/* SPDX-License-Identifier: Apache-2.0 */
/* cardkeep-relay: sends cards to payment gateways in the place of tokens. */
#include <stdio.h>
#include <stdlib.h>

#include "base/daemon.h"
#include "base/encode.h"
#include "base/own.h"
#include "base/supervise.h"
#include "base/tls_files.h"
#include "policies/policy.h"
#include "policies/signer_process.h"
#include "relay/serve.h"

#define DESCRIPTION_BYTES_MAX (64u << 10)

static const char usage[] =
    "usage: cardkeep-relay --config FILE [--check] [--accept-rollback WORD]\n"
    "\n"
    "Forwards requests to payment gateways with cards in the place of their tokens.\n"
    "\n"
    "  --config FILE  the configuration\n"
    "  --check        say what was understood of it, and leave\n"
    "  --accept-rollback SIZE:ROOT:EPOCH\n"
    "                 go on from a ledger that is older than what was signed; the log line that\n"
    "                 refuses it names the three, and the log keeps who said so\n"
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

static int run_signer(void *owner, int core_fd)
{
    const struct settings *settings = owner;
    struct signer_process process = {
        .options = {.origin = settings->signer_origin,
                    .key_path = settings->signer_key,
                    .state_path = settings->signer_state,
                    .fd = core_fd,
                    .accept = &settings->accept},
        .component = "relay-signer",
        .level = settings->level,
        .user = settings->user,
        .production = settings->production,
    };
    return signer_process_run(&process);
}

/* That they are some, belong together, and hold today. */
static bool check_certificates(const struct settings *settings)
{
    const struct {
        const char *name;
        struct tls_files files;
    } all[] = {
        {"listen: api", {settings->certificate, settings->key, settings->clients}},
        {"vault", {settings->vault_certificate, settings->vault_key, settings->vault_authorities}},
    };

    for (unsigned i = 0; i < sizeof all / sizeof all[0]; i++) {
        struct tls_facts facts = {0};
        char error[SETTINGS_ERROR_MAX] = "memory ran out";
        if (failed(tls_files_check(&all[i].files, clock_now_ms(), &facts, error, sizeof error))) {
            (void)fprintf(stderr, "cardkeep-relay: %s: %s\n", all[i].name, error);
            return false;
        }
    }
    for (unsigned i = 0; i < settings->destination_count; i++) {
        const struct destination *to = &settings->destinations[i].destination;
        char error[SETTINGS_ERROR_MAX] = "memory ran out";
        if (to->authorities[0] != '\0' &&
            failed(tls_authorities_check(to->authorities, clock_now_ms(), error, sizeof error))) {
            (void)fprintf(stderr, "cardkeep-relay: destinations: %s: %s\n", to->name, error);
            return false;
        }
    }
    return true;
}

static int check(const struct settings *settings)
{
    struct buffer text OWNED(buffer_free) = BUFFER(DESCRIPTION_BYTES_MAX);
    OWNED(policy_free) struct policy *policy = NULL;
    char error[POLICY_ERROR_MAX] = "";

    if (!check_certificates(settings))
        return DAEMON_EXIT_USAGE;
    if (failed(policy_load(settings->policies, &policy, error, sizeof error))) {
        fprintf(stderr, "cardkeep-relay: %s\n", error);
        return DAEMON_EXIT_USAGE;
    }
    settings_describe(settings, &text);
    fputs(buffer_text(&text), stdout);
    daemon_print_guards(stdout);
    return EXIT_SUCCESS;
}

enum option { OPTION_ACCEPT_ROLLBACK };

static const struct daemon_option own_options[] = {
    [OPTION_ACCEPT_ROLLBACK] = {"accept-rollback", true},
    {NULL, false},
};

static int run(const struct daemon_call *call)
{
    OWNED(settings_free) struct settings *settings = NULL;
    char error[SETTINGS_ERROR_MAX] = "";

    if (failed(settings_load(call->config_path, &settings, error, sizeof error))) {
        fprintf(stderr, "cardkeep-relay: %s\n", error);
        return DAEMON_EXIT_USAGE;
    }
    if (call->only_check)
        return check(settings);
    const char *accept = call->values[OPTION_ACCEPT_ROLLBACK];
    if (accept != NULL && failed(epoch_statement_take(accept, &settings->accept))) {
        (void)fputs(
            "cardkeep-relay: --accept-rollback takes SIZE:ROOT:EPOCH, as the log line has it "
            "that refuses an older store\n",
            stderr);
        return DAEMON_EXIT_USAGE;
    }
    struct supervise_options options = {
        .core_name = "relay",
        .core = run_relay,
        .core_hears_hangup = true,
        .satellites = {{.name = "signer", .run = run_signer}},
        .satellite_count = 1,
        .owner = settings,
    };
    return daemon_supervise(&options, settings->production);
}

int main(int argc, char **argv)
{
    static const struct daemon_command command = {.usage = usage,
                                                  .version = "cardkeep-relay " CARDKEEP_VERSION,
                                                  .options = own_options,
                                                  .run = run};

    return daemon_main(argc, argv, &command);
}
