/* SPDX-License-Identifier: Apache-2.0 */
/* cardkeep-sandbox: a payment gateway that only ever pays in test money. */
#include <getopt.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/http.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/own.h"
#include "base/tls.h"
#include "relay/sandbox/gateway.h"

#define EXIT_USAGE       2
#define EXIT_START       3
#define BODY_BYTES_MAX   (1u << 20)
#define STOP_PATIENCE_MS 2000

struct sandbox {
    char host[64];
    uint16_t port;
    const char *certificate;
    const char *key;
    struct loop *loop;
    struct tls_server *tls;
    struct gateway *gateway;
    struct http_server *server;
    int signals;
    struct loop_watch *watch;
};

static const char usage[] =
    "usage: cardkeep-sandbox [--address 127.0.0.1:8445] --certificate FILE --key FILE\n"
    "\n"
    "A Stripe-shaped gateway for tests: payment intents and refunds as forms, POST\n"
    "/v1/json/payments as JSON, with any 'Authorization: Bearer sk_test_...'.\n"
    "\n"
    "Published test numbers are approved; 4000000000000002 is declined; any other card is "
    "declined\n"
    "as a real one.  The header 'Sandbox-Behaviour' (or metadata[sandbox_behaviour]) asks for:\n"
    "  approve decline requires_action   the outcome\n"
    "  slow                              carried out, answered after Sandbox-Delay-Ms (10000)\n"
    "  close_before close_half           carried out, cut off before or within the answer\n"
    "  malformed                         carried out, answered with what is no HTTP\n"
    "  echo                              the card in the answer's body and in a header\n"
    "  error_400 error_500 redirect      not carried out\n"
    "\n"
    "GET /sandbox/requests lists what arrived, masked; ?reveal=1 adds the raw bodies; DELETE\n"
    "forgets it.  Only from this machine.  Everything is in memory and gone when it ends.\n";

/* "127.0.0.1:8445" or "[::1]:8445". */
static bool address_read(const char *text, struct sandbox *sandbox)
{
    const char *colon = strrchr(text, ':');
    if (colon == NULL || colon == text)
        return false;
    const char *host = text;
    size_t size = (size_t)(colon - text);
    if (text[0] == '[' && colon[-1] == ']') {
        host++;
        size -= 2;
    }
    unsigned port = 0;
    const char *digits = colon + 1;
    for (; *digits >= '0' && *digits <= '9' && port <= UINT16_MAX; digits++)
        port = port * 10 + (unsigned)(*digits - '0');
    if (*digits != '\0' || digits == colon + 1 || port > UINT16_MAX || size >= sizeof sandbox->host)
        return false;
    memcpy(sandbox->host, host, size);
    sandbox->host[size] = '\0';
    sandbox->port = (uint16_t)port;
    return true;
}

/* 0 to go on, else what to exit with, plus 1. */
static int options_read(int argc, char **argv, struct sandbox *sandbox)
{
    static const struct option options[] = {{"address", required_argument, NULL, 'a'},
                                            {"certificate", required_argument, NULL, 'c'},
                                            {"key", required_argument, NULL, 'k'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    const char *address = "127.0.0.1:8445";
    for (int option = 0; (option = getopt_long(argc, argv, "h", options, NULL)) != -1;) {
        if (option == 'a')
            address = optarg;
        else if (option == 'c')
            sandbox->certificate = optarg;
        else if (option == 'k')
            sandbox->key = optarg;
        else {
            fputs(usage, option == 'h' ? stdout : stderr);
            return option == 'h' ? 1 : EXIT_USAGE + 1;
        }
    }
    if (optind != argc || sandbox->certificate == NULL || sandbox->key == NULL) {
        fputs(usage, stderr);
        return EXIT_USAGE + 1;
    }
    if (!address_read(address, sandbox)) {
        fprintf(stderr, "cardkeep-sandbox: --address wants an address like 127.0.0.1:8445\n");
        return EXIT_USAGE + 1;
    }
    return 0;
}

static void sandbox_on_stopped(void *owner)
{
    struct sandbox *sandbox = owner;
    loop_stop(sandbox->loop);
}

static void sandbox_on_signal(void *owner)
{
    struct sandbox *sandbox = owner;
    struct signalfd_siginfo info;
    if (read(sandbox->signals, &info, sizeof info) != (ssize_t)sizeof info)
        return;
    loop_watch_free(&sandbox->watch);
    http_server_stop(sandbox->server, STOP_PATIENCE_MS, sandbox_on_stopped, sandbox);
}

static STATUS signals_open(struct sandbox *sandbox)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    ENSURE(sigprocmask(SIG_BLOCK, &set, NULL) == 0, WHY_IO);
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    ENSURE(sigaction(SIGPIPE, &ignore, NULL) == 0, WHY_IO);
    sandbox->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    ENSURE(sandbox->signals >= 0, WHY_IO);
    return loop_watch(sandbox->loop, sandbox->signals, sandbox_on_signal, sandbox, &sandbox->watch);
}

static STATUS sandbox_start(struct sandbox *sandbox, char *error, size_t error_size)
{
    TRY(tls_server_new(sandbox->certificate, sandbox->key, NULL, &sandbox->tls, error, error_size));
    TRY(loop_new(&sandbox->loop));
    TRY(signals_open(sandbox));
    TRY(gateway_new(sandbox->loop, &sandbox->gateway));
    struct http_server_options options = {.loop = sandbox->loop,
                                          .limits = http_limits_default(),
                                          .on_call = gateway_on_call,
                                          .owner = sandbox->gateway,
                                          .component = "sandbox"};
    options.limits.body_bytes = BODY_BYTES_MAX;
    TRY(http_server_new(&options, &sandbox->server));
    struct http_listen listen = {
        .address = sandbox->host, .port = sandbox->port, .tls = sandbox->tls};
    TRY(http_server_listen(sandbox->server, &listen, error, error_size));
    char port[8];
    (void)snprintf(port, sizeof port, "%u", listen.bound_port);
    log_event(LOG_INFO, "listening", "address", sandbox->host, "port", port, NULL);
    return STATUS_OK;
}

static void sandbox_end(struct sandbox *sandbox)
{
    loop_watch_free(&sandbox->watch);
    http_server_free(&sandbox->server);
    gateway_free(&sandbox->gateway);
    if (sandbox->signals >= 0)
        (void)close(sandbox->signals);
    loop_free(&sandbox->loop);
    tls_server_free(&sandbox->tls);
}

int main(int argc, char **argv)
{
    struct sandbox sandbox = {.signals = -1};
    int stop = options_read(argc, argv, &sandbox);
    if (stop != 0)
        return stop - 1;
    char error[512] = "";
    if (sodium_init() < 0)
        return EXIT_START;
    struct status status = log_open("sandbox", LOG_INFO, STDERR_FILENO);
    if (!failed(status))
        status = sandbox_start(&sandbox, error, sizeof error);
    if (failed(status)) {
        fprintf(stderr, "cardkeep-sandbox: %s (%s)\n",
                error[0] != '\0' ? error : status_name(status.why), status.where);
        sandbox_end(&sandbox);
        return EXIT_START;
    }
    loop_run(sandbox.loop);
    log_event(LOG_INFO, "stopped", NULL);
    sandbox_end(&sandbox);
    return EXIT_SUCCESS;
}
