/* SPDX-License-Identifier: Apache-2.0 */
/* tests/relay/stage.h -- the relay between a vault and a gateway that do as a test says, all of it
 * over real TLS on one loop.
 *
 * In      what vault and gateway shall do.
 * Out     what they were asked, and what the caller was answered.
 * Never   is included by more than one file of a program.
 * Threads one.
 */
#ifndef TESTS_RELAY_STAGE_H
#define TESTS_RELAY_STAGE_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"
#include "relay/accept.h"
#include "relay/audit_routes.h"
#include "relay/health.h"
#include "tests/support/pki.h"

#define PAN   "4242424242424242" /* A published test number. */
#define TOKEN "tok_test_AAAAAAAAAAAAAAAAAAAAAAAAAA"
#define CVV   "cvv_test_BBBBBBBBBBBBBBBBBBBBBBBBBB"
#define FORM  "application/x-www-form-urlencoded"
#define PAYMENT                                                                                    \
    "amount=100&payment_method_data[card][number]=" TOKEN                                          \
    "&payment_method_data[card][exp_month]=" TOKEN "&payment_method_data[card][cvc]=" CVV
#define PAYMENT_FILLED                                                                             \
    "amount=100&payment_method_data[card][number]=" PAN                                            \
    "&payment_method_data[card][exp_month]=12&payment_method_data[card][cvc]=737"

enum vault_does {
    VAULT_LEASES,
    VAULT_REFUSES,
    VAULT_IS_SEALED,
    VAULT_TALKS_NONSENSE,
    VAULT_LOSES_LEASES, /* Hangs up where it is asked for one. */
};
enum gateway_does {
    GATEWAY_ECHOES, /* The body it got, and the number in a header. */
    GATEWAY_HANGS_UP,
    GATEWAY_TALKS_NONSENSE,
    GATEWAY_ENCODES,
    GATEWAY_WAITS, /* Until the test answers by gateway_answer(). */
};

static struct {
    char folder[64];
    struct pki *pki;
    struct pki_files relay_files;
    struct pki_files app;
    struct settings *settings;
    struct policy *policy;
    struct relay relay;
    struct tls_server *tls;
    struct http_server *vault;
    struct http_server *gateway;
    struct client *client;
    uint16_t port;
    uint16_t vault_port;
    uint16_t gateway_port;

    enum vault_does vault_does;
    enum gateway_does gateway_does;
    unsigned lease_requests;
    unsigned leases;
    unsigned gateway_calls;
    struct http_call *gateway_waits;
    char gateway_body[4096];
    char gateway_headers[4096];
    char lease_body[65536];
    char settled[8][64]; /* Outcomes, in order. */
    char settle_body[65536];
    unsigned settled_count;
} stage;

/* --- The vault --- */

static unsigned count_of(const char *text, const char *part)
{
    unsigned count = 0;
    for (const char *at = strstr(text, part); at != NULL; at = strstr(at + 1, part))
        count++;
    return count;
}

static void vault_answer(struct http_call *call, int status, const char *body)
{
    http_answer(call, &(struct http_answer){.status = status,
                                            .content_type = "application/json",
                                            .body = body,
                                            .body_size = strlen(body)});
}

static void vault_lease(struct http_call *call, unsigned count)
{
    static const char lease[] =
        "{\"lease_id\":\"lea_%u\",\"expires_at\":\"2026-11-23T08:00:00.000Z\",\"cards\":[{"
        "\"token\":\"" TOKEN "\",\"number\":\"" PAN "\",\"exp_month\":12,\"exp_year\":2031,"
        "\"cardholder_name\":null}],\"cvvs\":[{\"token\":\"" CVV "\",\"value\":\"737\"}]}";
    struct buffer body OWNED(buffer_free) = BUFFER(1 << 20);

    buffer_add_text(&body, "{\"results\":[");
    for (unsigned i = 0; i < count; i++) {
        buffer_add_text(&body, i > 0 ? "," : "");
        if (stage.vault_does == VAULT_REFUSES)
            buffer_add_text(&body, "{\"code\":\"cvv_consumed\",\"detail\":\"Ask again.\"}");
        else
            buffer_format(&body, lease, ++stage.leases);
    }
    buffer_add_text(&body, "]}");
    vault_answer(call, 200, buffer_text(&body));
}

static void vault_settle(struct http_call *call, const char *text)
{
    struct buffer body OWNED(buffer_free) = BUFFER(1 << 16);
    static const char key[] = "\"outcome\":\"";

    buffer_add_text(&body, "{\"results\":[");
    for (const char *at = strstr(text, key); at != NULL; at = strstr(at, key)) {
        at += strlen(key);
        if (stage.settled_count < 8)
            snprintf(stage.settled[stage.settled_count], 64, "%.*s", (int)strcspn(at, "\""), at);
        buffer_add_text(&body, stage.settled_count++ > 0 && body.size > 12 ? "," : "");
        buffer_add_text(&body, "{\"lease_id\":\"x\",\"state\":\"settled\"}");
    }
    buffer_add_text(&body, "]}");
    vault_answer(call, 200, buffer_text(&body));
}

static void on_vault_call(void *owner, struct http_call *call)
{
    char text[65536];
    size_t size = 0;
    const uint8_t *body = http_body(call, &size);

    (void)owner;
    cr_assert_lt(size, sizeof text);
    memcpy(text, body, size);
    text[size] = '\0';
    if (stage.vault_does == VAULT_IS_SEALED) {
        http_answer_problem(
            call, &(struct http_problem){.status = 503, .code = "sealed", .title = "x"}, NULL);
        return;
    }
    if (stage.vault_does == VAULT_TALKS_NONSENSE) {
        vault_answer(call, 200, "{\"results\":[]}");
        return;
    }
    if (strcmp(http_path(call), CONTRACT_PATH_SETTLEMENTS) == 0) {
        memcpy(stage.settle_body, text, size + 1);
        vault_settle(call, text);
        return;
    }
    stage.lease_requests++;
    memcpy(stage.lease_body, text, size + 1);
    if (stage.vault_does == VAULT_LOSES_LEASES) {
        http_abort(call, NULL, 0);
        return;
    }
    vault_lease(call, count_of(text, "submission_id"));
}

/* --- The gateway --- */

static void gateway_echo(struct http_call *call)
{
    static const char *const headers[] = {"x-number", "card " PAN, "cardkeep-outcome", "not_sent",
                                          NULL};
    http_answer(call, &(struct http_answer){.status = 201,
                                            .content_type = "text/plain",
                                            .body = stage.gateway_body,
                                            .body_size = strlen(stage.gateway_body),
                                            .headers = headers});
}

static void gateway_is_gone(void *owner)
{
    (void)owner;
    stage.gateway_waits = NULL;
}

static void on_gateway_call(void *owner, struct http_call *call)
{
    static const char *const gzip[] = {"content-encoding", "gzip", NULL};
    size_t size = 0;
    const uint8_t *body = http_body(call, &size);
    const char *name = NULL;
    const char *value = NULL;
    size_t used = 0;

    (void)owner;
    stage.gateway_calls++;
    memcpy(stage.gateway_body, body, size);
    stage.gateway_body[size] = '\0';
    for (unsigned i = 0; http_header_at(call, i, &name, &value); i++)
        used += (size_t)snprintf(stage.gateway_headers + used, sizeof stage.gateway_headers - used,
                                 "%s: %s\n", name, value);
    switch (stage.gateway_does) {
    case GATEWAY_ECHOES:
        gateway_echo(call);
        return;
    case GATEWAY_HANGS_UP:
        http_abort(call, NULL, 0);
        return;
    case GATEWAY_TALKS_NONSENSE:
        http_abort(call, "nonsense\r\n\r\n", 12);
        return;
    case GATEWAY_ENCODES:
        http_answer(call, &(struct http_answer){.status = 200,
                                                .content_type = "text/plain",
                                                .body = "x",
                                                .body_size = 1,
                                                .headers = gzip});
        return;
    case GATEWAY_WAITS:
        stage.gateway_waits = call;
        http_defer(call, NULL, gateway_is_gone);
        return;
    }
}

/* --- The relay --- */

static void on_relay_call(void *owner, struct http_call *call)
{
    (void)owner;
    if (!audit_routes_call(&stage.relay, call))
        accept_call(&stage.relay, call, http_tag(call));
}

static struct http_server *listen_on(http_call_fn on_call, struct tls_server *tls,
                                     const char *component, uint16_t *out_port)
{
    struct http_server *server = NULL;
    struct http_listen listen = {.address = "127.0.0.1", .tls = tls};
    struct http_server_options options = {.loop = stage.relay.loop,
                                          .limits = http_limits_default(),
                                          .on_call = on_call,
                                          .component = component};
    char error[256] = "";

    cr_assert(!failed(http_server_new(&options, &server)));
    cr_assert(!failed(http_server_listen(server, &listen, error, sizeof error)), "%s", error);
    *out_port = listen.bound_port;
    return server;
}

static void write_file(const char *name, const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", stage.folder, name);
    FILE *file = fopen(path, "w");
    cr_assert(file != NULL);
    fputs(text, file);
    fclose(file);
}

static void load_settings(void)
{
    struct buffer text OWNED(buffer_free) = BUFFER(8192);
    char path[128];
    char error[SETTINGS_ERROR_MAX] = "";
    const char *ca = pki_authority(stage.pki);

    buffer_format(&text,
                  "environment: development\ndata: data\n"
                  "listen: {api: {certificate: %s, key: %s, clients: %s}}\n"
                  "vault: {address: \"127.0.0.1:%u\", authorities: %s, certificate: %s, key: %s}\n"
                  "signer: {key: k, state: s, origin: relay.test/log}\n"
                  "policies: policies.yaml\ngateways: %s/../relay/gateways\n"
                  "destinations:\n  sandbox: {gateway: sandbox, host: localhost, port: %u, "
                  "authorities: %s, allow: [\"127.0.0.0/8\"]}\n"
                  "  other: {gateway: sandbox, host: localhost}\n",
                  stage.relay_files.certificate, stage.relay_files.key, ca,
                  (unsigned)stage.vault_port, ca, stage.relay_files.certificate,
                  stage.relay_files.key, TESTS_DIR, (unsigned)stage.gateway_port, ca);
    write_file("relay.yaml", buffer_text(&text));
    write_file("policies.yaml",
               "tenants: {demo: {}}\ndestinations: {sandbox: {}, other: {}}\n"
               "principals:\n  shop: {uri: 'urn:shop', tenant: demo}\n"
               "  auditor: {uri: 'urn:auditor'}\n"
               "rules:\n"
               "  - {id: shops, effect: allow, actions: [card.submit], principals: [shop],\n"
               "     tenants: [demo], destinations: [sandbox]}\n"
               "  - {id: auditors, effect: allow, actions: [audit.read], principals: [auditor]}\n");
    snprintf(path, sizeof path, "%s/relay.yaml", stage.folder);
    cr_assert(!failed(settings_load(path, &stage.settings, error, sizeof error)), "%s", error);
    cr_assert(!failed(policy_load(stage.settings->policies, &stage.policy, error, sizeof error)),
              "%s", error);
}

static void open_ledger(void)
{
    char error[256] = "";
    struct relay *relay = &stage.relay;

    cr_assert(!failed(ledger_open(stage.settings->data, "relay.test/log", &relay->ledger, error,
                                  sizeof error)),
              "%s", error);
    cr_assert(!failed(ledger_start(relay->ledger, relay->loop, 1024)));
    cr_assert(!failed(lease_desk_new(relay->loop, stage.settings, relay->ledger, &relay->desk)));
    cr_assert(!failed(lease_resume(relay->desk)));
}

static void stage_open(void)
{
    struct relay *relay = &stage.relay;
    char error[256] = "";

    snprintf(stage.folder, sizeof stage.folder, "/tmp/cardkeep-relay-XXXXXX");
    cr_assert(mkdtemp(stage.folder) != NULL);
    stage.pki = pki_new();
    stage.relay_files =
        pki_issue(stage.pki, &(struct pki_subject){.name = "relay", .alt = "DNS:localhost"});
    stage.app = pki_issue(
        stage.pki, &(struct pki_subject){.name = "shop", .alt = "URI:urn:shop", .client = true});
    cr_assert(!failed(secret_pool_open(64)));
    cr_assert(!failed(loop_new(&relay->loop)));
    cr_assert(!failed(tls_server_new(stage.relay_files.certificate, stage.relay_files.key,
                                     pki_authority(stage.pki), &stage.tls, error, sizeof error)),
              "%s", error);
    stage.vault = listen_on(on_vault_call, stage.tls, "stage", &stage.vault_port);
    stage.gateway = listen_on(on_gateway_call, stage.tls, "stage", &stage.gateway_port);
    load_settings();
    relay->settings = stage.settings;
    relay->policy = stage.policy;
    relay->submission_max = 64;
    health_register(&relay->metrics);
    cr_assert(!failed(client_new(relay->loop, 8, 8, &relay->gateways)));
    cr_assert(!failed(resolve_new(relay->loop, stage.settings, &relay->resolver)));
    open_ledger();
    relay->server = listen_on(on_relay_call, stage.tls, "stage", &stage.port);
    cr_assert(!failed(client_new(relay->loop, 8, 8, &stage.client)));
}

static void stage_close(void)
{
    struct relay *relay = &stage.relay;
    char command[128];

    cr_expect_eq(relay->submission_count, 0u);
    client_free(&stage.client);
    http_server_free(&relay->server);
    ledger_stop(relay->ledger);
    resolve_free(&relay->resolver);
    lease_desk_free(&relay->desk);
    client_free(&relay->gateways);
    http_server_free(&stage.vault);
    http_server_free(&stage.gateway);
    ledger_close(&relay->ledger);
    tls_server_free(&stage.tls);
    loop_free(&relay->loop);
    cr_expect_eq(secret_pool_free_count(), 64u, "no card stays");
    policy_free(&stage.policy);
    settings_free(&stage.settings);
    pki_free(&stage.pki);
    snprintf(command, sizeof command, "rm -r %s", stage.folder);
    cr_assert_eq(system(command), 0);
}

/* --- The caller --- */

struct heard {
    bool done;
    enum client_result result;
    int status;
    char headers[4096]; /* "name: value\n" */
    char body[16384];
};

static void on_heard(void *owner, struct client_answer *answer)
{
    struct heard *heard = owner;
    size_t used = 0;

    heard->done = true;
    heard->result = answer->result;
    heard->status = answer->status;
    for (unsigned i = 0; i < answer->header_count; i++)
        used += (size_t)snprintf(heard->headers + used, sizeof heard->headers - used, "%s: %s\n",
                                 answer->headers[i].name, answer->headers[i].value);
    cr_assert_lt(answer->body_size, sizeof heard->body);
    if (answer->body_size > 0)
        memcpy(heard->body, answer->body, answer->body_size);
    loop_stop(stage.relay.loop);
}

/* A POST of a form as the shop; headers are name, value, ..., NULL. */
static struct client_op *ask_later(const char *target, const char *const *headers, const char *body,
                                   struct heard *heard)
{
    const char *all[16] = {"content-type", FORM};
    struct client_op *op = NULL;
    unsigned count = 2;

    for (; headers != NULL && headers[0] != NULL; headers++)
        all[count++] = headers[0];
    struct client_request request = {.method = "POST",
                                     .host = "localhost",
                                     .port = stage.port,
                                     .target = target,
                                     .headers = all,
                                     .body = body,
                                     .body_size = strlen(body),
                                     .addresses = "127.0.0.1",
                                     .authorities = pki_authority(stage.pki),
                                     .certificate = stage.app.certificate,
                                     .key = stage.app.key,
                                     .connect_ms = 2000,
                                     .total_ms = 10000,
                                     .answer_bytes_max = 16000};
    *heard = (struct heard){0};
    struct status status = client_start(stage.client, &request, on_heard, heard, &op);
    cr_assert(!failed(status), "%s", status.where);
    return op;
}

static struct heard ask(const char *target, const char *const *headers, const char *body)
{
    static struct heard heard;
    ask_later(target, headers, body, &heard);
    while (!heard.done)
        loop_run(stage.relay.loop);
    return heard;
}

static void on_pause_over(void *owner)
{
    (void)owner;
    loop_stop(stage.relay.loop);
}

/* Lets the loop run for a while: settlements follow the answer. */
static inline void run_for(int64_t ms)
{
    struct loop_timer *timer = NULL;
    cr_assert(!failed(loop_timer(stage.relay.loop, ms, on_pause_over, NULL, &timer)));
    loop_run(stage.relay.loop);
}

static bool says(const struct heard *heard, const char *line)
{
    return strstr(heard->headers, line) != NULL;
}

#endif
