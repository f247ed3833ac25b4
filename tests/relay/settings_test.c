/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/settings.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/own.h"

static char folder[64];
static char path[96];

static void folder_make(void)
{
    char command[256];
    snprintf(folder, sizeof folder, "/tmp/cardkeep-settings-XXXXXX");
    cr_assert(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/relay.yaml", folder);
    snprintf(command, sizeof command, "cp -r %s/../relay/gateways %s/", TESTS_DIR, folder);
    cr_assert_eq(system(command), 0);
}

static void folder_remove(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", folder);
    cr_assert_eq(system(command), 0);
}

TestSuite(settings, .init = folder_make, .fini = folder_remove);

#define REST                                                                                       \
    "data: data/relay\n"                                                                           \
    "listen:\n"                                                                                    \
    "  api: {address: \"127.0.0.1:8444\", certificate: r.pem, key: r.key, clients: ca.pem}\n"      \
    "  metrics: {address: \"127.0.0.1:9465\"}\n"                                                   \
    "vault: {address: \"127.0.0.1:8443\", authorities: ca.pem, certificate: r.pem, key: r.key}\n"  \
    "signer: {key: signer.key, state: signer.state, origin: relay.test/log}\n"                     \
    "policies: policies.yaml\n"                                                                    \
    "gateways: gateways\n"
#define SANDBOX                                                                                    \
    "destinations:\n"                                                                              \
    "  sandbox: {gateway: sandbox, host: localhost, port: 8445, authorities: ca.pem,\n"            \
    "            allow: [\"127.0.0.0/8\", \"::1/128\"], listen: \"127.0.0.1:8446\"}\n"

static struct status load(const char *environment, const char *rest, struct settings **out_settings,
                          char error[static SETTINGS_ERROR_MAX])
{
    FILE *file = fopen(path, "w");
    cr_assert(file != NULL);
    fprintf(file, "environment: %s\n%s", environment, rest);
    fclose(file);
    return settings_load(path, out_settings, error, SETTINGS_ERROR_MAX);
}

Test(settings, are_read_with_paths_beside_the_file)
{
    OWNED(settings_free) struct settings *settings = NULL;
    char error[SETTINGS_ERROR_MAX] = "";
    char expected[128];

    struct status status = load("development", REST SANDBOX, &settings, error);
    cr_assert(!failed(status), "%s", error);
    cr_assert(!settings->production);
    snprintf(expected, sizeof expected, "%s/data/relay", folder);
    cr_assert_str_eq(settings->data, expected);
    cr_assert_eq(settings->api.port, 8444);
    cr_assert_eq(settings->metrics.port, 9465);
    cr_assert_eq(settings->ledger_kept_ms, 400LL * 24 * 3600 * 1000);
    cr_assert(settings->vault_is_numeric);
    cr_assert_str_eq(settings->vault_name, "localhost");
    cr_assert_eq(settings->destination_count, 1u);
    const struct settings_destination *to = settings_destination_find(settings, "sandbox", 7);
    cr_assert_neq(to, NULL);
    cr_assert_str_eq(to->destination.host, "localhost");
    cr_assert_eq(to->destination.port, 8445);
    cr_assert_eq(to->destination.listen_port, 8446);
    cr_assert_eq(to->range_count, 2u);
    cr_assert_str_eq(to->profile.name, "sandbox");
    cr_assert_eq(settings_destination_find(settings, "sandbo", 6), NULL);
    cr_assert_eq(settings_destination_find(settings, "sandboxx", 8), NULL);
}

Test(settings, describe_themselves_without_secrets)
{
    OWNED(settings_free) struct settings *settings = NULL;
    char error[SETTINGS_ERROR_MAX] = "";
    struct buffer text OWNED(buffer_free) = BUFFER(8192);

    cr_assert(!failed(load("development", REST SANDBOX, &settings, error)), "%s", error);
    settings_describe(settings, &text);
    cr_assert_neq(strstr(buffer_text(&text), "gateway: sandbox, host: localhost, port: 8445"),
                  NULL);
    cr_assert_neq(strstr(buffer_text(&text), "in_flight: 4096"), NULL, "defaults are said");
    cr_assert_eq(strstr(buffer_text(&text), "signer.key"), NULL);
}

Test(settings, take_a_host_outside_the_profile_in_development_only)
{
    static const char elsewhere[] =
        REST "destinations: {sandbox: {gateway: sandbox, host: elsewhere.test}}\n";
    OWNED(settings_free) struct settings *settings = NULL;
    char error[SETTINGS_ERROR_MAX] = "";

    cr_assert(!failed(load("development", elsewhere, &settings, error)), "%s", error);
    settings_free(&settings);
    cr_assert_eq(load("production", elsewhere, &settings, error).why, WHY_BAD_INPUT);
    cr_assert_neq(strstr(error, "host"), NULL, "%s", error);
    cr_assert_eq(settings, NULL);
    cr_assert(!failed(load("production", REST SANDBOX, &settings, error)), "%s", error);
}

Test(settings, take_the_profiles_first_host_where_none_is_named)
{
    OWNED(settings_free) struct settings *settings = NULL;
    char error[SETTINGS_ERROR_MAX] = "";

    cr_assert(!failed(load("production", REST "destinations: {pay: {gateway: stripe}}\n", &settings,
                           error)),
              "%s", error);
    cr_assert_str_eq(settings->destinations[0].destination.host, "api.stripe.com");
    cr_assert_eq(settings->destinations[0].destination.port, 443);
}

Test(settings, refuse_what_they_do_not_understand_with_its_line)
{
    static const struct {
        const char *text;
        const char *says;
    } cases[] = {
        {REST SANDBOX "colour: red\n", "colour"},
        {REST "destinations: {v1: {gateway: sandbox}}\n", "v1"},
        {REST "destinations: {\"a/b\": {gateway: sandbox}}\n", "name"},
        {REST "destinations: {a: {gateway: ../secret}}\n", "gateway"},
        {REST "destinations: {a: {gateway: nowhere}}\n", "nowhere"},
        {REST "destinations: {a: {gateway: sandbox, allow: [\"127.0.0.0/33\"]}}\n", "allow"},
        {REST "destinations: {a: {gateway: sandbox, port: 70000}}\n", "port"},
        {REST "destinations: {a: {gateway: sandbox, prot: 1}}\n", "prot"},
        {REST SANDBOX "limits: {body: 2MiB}\n", "body"},
        {REST, "destinations"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        OWNED(settings_free) struct settings *settings = NULL;
        char error[SETTINGS_ERROR_MAX] = "";
        cr_expect_eq(load("development", cases[i].text, &settings, error).why, WHY_BAD_INPUT,
                     "case %zu", i);
        cr_expect_neq(strstr(error, cases[i].says), NULL, "case %zu: %s", i, error);
    }
}

Test(settings, take_a_vaults_name_only_where_its_certificate_says_so)
{
    static const char other[] =
        "data: d\nlisten: {api: {certificate: r.pem, key: r.key, clients: ca.pem}}\n"
        "vault: {address: \"vault.test:8443\", name: other.test, authorities: ca.pem, "
        "certificate: r.pem, key: r.key}\n"
        "signer: {key: k, state: s, origin: o}\npolicies: p\ngateways: gateways\n" SANDBOX;
    OWNED(settings_free) struct settings *settings = NULL;
    char error[SETTINGS_ERROR_MAX] = "";

    cr_assert_eq(load("development", other, &settings, error).why, WHY_BAD_INPUT);
    cr_assert_neq(strstr(error, "vault"), NULL, "%s", error);
}

Test(settings, say_when_there_is_no_file)
{
    OWNED(settings_free) struct settings *settings = NULL;
    char error[SETTINGS_ERROR_MAX] = "";

    cr_assert(failed(settings_load("/nowhere/relay.yaml", &settings, error, sizeof error)));
    cr_assert_neq(strstr(error, "/nowhere/relay.yaml"), NULL, "%s", error);
}

Test(settings, read_where_backups_of_the_ledger_go)
{
    OWNED(settings_free) struct settings *settings = NULL;
    struct buffer text OWNED(buffer_free) = BUFFER(65536);
    char error[SETTINGS_ERROR_MAX] = "";

    struct status status = load(
        "development", REST SANDBOX "backup: {folder: b, keep: 3, every: 15m}\n", &settings, error);
    cr_assert(!failed(status), "%s", error);
    cr_expect_not_null(strstr(settings->backup_folder, "/b"));
    cr_expect_eq(settings->backup_keep, 3);
    cr_expect_eq(settings->backup_every_ms, 15 * 60 * 1000);
    settings_describe(settings, &text);
    cr_expect_not_null(strstr(buffer_text(&text), "keep: 3, every: 900s}"));
    settings_free(&settings);
    status = load("development", REST SANDBOX "backup: {folder: b, keep: 0}\n", &settings, error);
    cr_expect_eq(status.why, WHY_BAD_INPUT);
    cr_expect_not_null(strstr(error, "keep"), "%s", error);
}

Test(settings, let_a_stop_wait_for_the_slowest_gateway_within_reason)
{
    static const struct {
        int64_t total_ms;
        int64_t stop_ms;
    } cases[] = {{1000, 31000}, {40000, 70000}, {60000, 75000}, {600000, 75000}};
    OWNED(settings_free) struct settings *settings = NULL;
    char error[SETTINGS_ERROR_MAX] = "";

    struct status status = load("development", REST SANDBOX, &settings, error);
    cr_assert(!failed(status), "%s", error);
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        settings->destinations[0].profile.total_ms = cases[i].total_ms;
        cr_expect_eq(settings_answer_ms(settings), cases[i].total_ms + 30000, "%u", i);
        cr_expect_eq(settings_stop_ms(settings), cases[i].stop_ms, "%u", i);
    }
}
