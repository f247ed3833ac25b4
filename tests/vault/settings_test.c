/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/settings.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vault/cvv.h"

#define LISTEN                                                                                     \
    "listen:\n"                                                                                    \
    "  api: {address: \"127.0.0.1:9443\", certificate: v.pem, key: v.key, clients: ca.pem}\n"
#define KEYS                                                                                       \
    "seal: {kind: file, path: root.seal}\n"                                                        \
    "signer: {key: signer.key, state: signer.state, origin: vault.test/log}\n"                     \
    "policies: policies.yaml\n"
#define LEAST "environment: development\ndata: data/vault\n" LISTEN KEYS

static char folder[64];
static char path[96];
static struct settings settings;
static char error[512];

static void folder_make(void)
{
    (void)snprintf(folder, sizeof folder, "/tmp/cardkeep-vault-settings-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/vault.yaml", folder);
}

static void folder_remove(void)
{
    settings_close(&settings);
    (void)unlink(path);
    cr_assert_eq(rmdir(folder), 0);
}

TestSuite(settings, .init = folder_make, .fini = folder_remove);

static enum why read_text(const char *text)
{
    FILE *file = fopen(path, "w");

    cr_assert_not_null(file);
    cr_assert(fputs(text, file) >= 0);
    cr_assert_eq(fclose(file), 0);
    error[0] = '\0';
    settings_close(&settings);
    settings = (struct settings){0};
    return settings_read(path, &settings, error, sizeof error).why;
}

static void expect_beside_the_file(const char *text, const char *name)
{
    char wanted[128];

    (void)snprintf(wanted, sizeof wanted, "%s/%s", folder, name);
    cr_expect_str_eq(text, wanted);
}

Test(settings, are_read_with_defaults_and_paths_beside_the_file)
{
    cr_assert_eq(read_text(LEAST), WHY_NONE, "%s", error);
    cr_expect(!settings.production);
    expect_beside_the_file(settings.data, "data/vault");
    expect_beside_the_file(settings.api.certificate, "v.pem");
    expect_beside_the_file(settings.api.key, "v.key");
    expect_beside_the_file(settings.api.clients, "ca.pem");
    expect_beside_the_file(settings.seal_path, "root.seal");
    expect_beside_the_file(settings.signer_key, "signer.key");
    expect_beside_the_file(settings.signer_state, "signer.state");
    expect_beside_the_file(settings.policies, "policies.yaml");
    cr_expect_eq(settings.seal_kind, SEAL_FILE);
    cr_expect_str_eq(settings.origin, "vault.test/log");
    cr_expect_null(settings.user);
    cr_expect_str_eq(settings.api.host, "127.0.0.1");
    cr_expect_eq(settings.api.port, 9443);
    cr_expect_eq(settings.metrics.port, 0, "no metrics unless they are asked for");
    cr_expect_eq(settings.cvv_cells, CVV_CELL_COUNT);
    cr_expect_eq(settings.lease_ms, 120000);
    cr_expect_eq(settings.periods.kek_ms, KEYRING_KEK_PERIOD_MS);
    cr_expect_eq(settings.periods.dek_ms, KEYRING_EPOCH_MS);
    cr_expect_eq(settings.periods.fingerprint_ms, KEYRING_FINGERPRINT_PERIOD_MS);
    cr_expect_eq(settings.cache_bytes, 256u << 20);
    cr_expect_eq(settings.limits.body_bytes, 1u << 20);
    cr_expect_eq(settings.log_level, LOG_INFO);
}

Test(settings, are_read_where_they_differ_from_the_defaults)
{
    cr_assert_eq(read_text("environment: development\n"
                           "data: /var/lib/vault\n"
                           "user: cardkeep\n" LISTEN "  metrics: {address: \"[::1]:9000\"}\n" KEYS
                           "limits: {connections: 5, in_flight: 6, body: 64KiB, cache: 32MiB,\n"
                           "         cvv_cells: 9, lease: 30s, connections_per_second: 7}\n"
                           "keys: {kek_period: 30d, dek_period: 1h, fingerprint_period: 60d}\n"
                           "log: {level: error}\n"),
                 WHY_NONE, "%s", error);
    cr_expect_str_eq(settings.data, "/var/lib/vault");
    cr_expect_str_eq(settings.user, "cardkeep");
    cr_expect_str_eq(settings.metrics.host, "::1");
    cr_expect_eq(settings.metrics.port, 9000);
    cr_expect_eq(settings.limits.connections, 5u);
    cr_expect_eq(settings.limits.in_flight, 6u);
    cr_expect_eq(settings.limits.connections_per_second, 7u);
    cr_expect_eq(settings.limits.body_bytes, 65536u);
    cr_expect_eq(settings.cache_bytes, 32u << 20);
    cr_expect_eq(settings.cvv_cells, 9u);
    cr_expect_eq(settings.lease_ms, 30000);
    cr_expect_eq(settings.periods.kek_ms, 30 * KEYRING_EPOCH_MS);
    cr_expect_eq(settings.periods.dek_ms, 3600 * 1000);
    cr_expect_eq(settings.periods.fingerprint_ms, 60 * KEYRING_EPOCH_MS);
    cr_expect_str_eq(log_level_names[settings.log_level], "error");
}

Test(settings, refuse_what_they_do_not_know_or_miss_and_say_where)
{
    static const struct {
        const char *text;
        const char *says;
    } wrong[] = {
        {"", ""},
        {"environment: staging\ndata: d\n" LISTEN KEYS, "vault.yaml:1"},
        {"data: d\n" LISTEN KEYS, "environment"},
        {"environment: development\n" LISTEN KEYS, "data"},
        {"environment: development\ndata: d\n" KEYS, "listen"},
        {"environment: development\ndata: d\n" LISTEN "signer: {key: k, state: s, origin: o}\n"
         "policies: p\n",
         "seal"},
        {LEAST "speed: high\n", "vault.yaml:8"},
        {LEAST "keys: {kek_period: 731d}\n", "kek_period"},
        {LEAST "keys: {dek_period: 25h}\n", "dek_period"},
        {LEAST "keys: {fingerprint_period: 0s}\n", "fingerprint_period"},
        {LEAST "keys: {index_period: 1d}\n", "index_period"},
        {LEAST "limits: {lease: 20m}\n", "lease"},
        {LEAST "limits: {lease: 10ms}\n", "lease"},
        {LEAST "limits: {cvv_cells: 0}\n", "cvv_cells"},
        {LEAST "limits: {body: 3MiB}\n", "body"},
        {LEAST "limits: {body: 1KiB}\n", "body"},
        {LEAST "limits: {bodies: 1MiB}\n", "bodies"},
        {LEAST "log: {level: loud}\n", "level"},
        {"environment: development\ndata: d\n" LISTEN "seal: {kind: paper, path: p}\n"
         "signer: {key: k, state: s, origin: o}\npolicies: p\n",
         "\"kind\" is \"paper\""},
        {"environment: development\ndata: d\n" LISTEN "seal: {path: p}\n"
         "signer: {key: k, state: s, origin: o}\npolicies: p\n",
         "kind"},
        {"environment: development\ndata: d\n" LISTEN "seal: {kind: file}\n"
         "signer: {key: k, state: s, origin: o}\npolicies: p\n",
         "path"},
        {"environment: development\ndata: d\nlisten:\n"
         "  api: {address: nowhere, certificate: c, key: k, clients: a}\n" KEYS,
         "vault.yaml:4"},
    };

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        cr_expect_eq(read_text(wrong[i].text), WHY_BAD_INPUT, "case %zu", i);
        cr_expect_neq(strstr(error, wrong[i].says), NULL, "case %zu: %s", i, error);
        cr_expect_neq(strstr(error, "vault.yaml"), NULL, "case %zu: %s", i, error);
        cr_expect_null(settings.config, "a failure gives nothing");
    }
}

/* KEY-1: a root key in a file is for development. */
Test(settings, refuse_a_file_seal_in_production)
{
    cr_expect_eq(read_text("environment: production\ndata: d\n" LISTEN KEYS), WHY_BAD_INPUT);
    cr_expect_neq(strstr(error, "file seal"), NULL, "%s", error);
}

#define OF_SHARES(more)                                                                            \
    "environment: production\ndata: d\n" LISTEN "seal: {kind: shares" more "}\n"                   \
    "signer: {key: signer.key, state: signer.state, origin: vault.test/log}\n"                     \
    "policies: policies.yaml\nuser: nobody\n"

Test(settings, take_a_seal_of_shares_in_production_and_bound_how_long_one_is_kept)
{
    cr_assert_eq(read_text(OF_SHARES("")), WHY_NONE, "%s", error);
    cr_expect_eq(settings.seal_kind, SEAL_SHARES);
    cr_expect_null(settings.seal_path);
    cr_expect_eq(settings.unseal_ms, 600000);
    cr_assert_eq(read_text(OF_SHARES(", unseal_within: 1h")), WHY_NONE, "%s", error);
    cr_expect_eq(settings.unseal_ms, 3600000);
    cr_expect_eq(read_text(OF_SHARES(", unseal_within: 2h")), WHY_BAD_INPUT);
    cr_expect_neq(strstr(error, "unseal_within"), NULL, "%s", error);
    cr_expect_eq(read_text(OF_SHARES(", unseal_within: 500ms")), WHY_BAD_INPUT);
}

Test(settings, that_are_not_there_are_not_found)
{
    cr_expect_eq(settings_read(path, &settings, error, sizeof error).why, WHY_NOT_FOUND);
    cr_expect_neq(strstr(error, "vault.yaml"), NULL, "%s", error);
}

Test(settings, print_what_was_understood)
{
    char text[4096] = "";
    FILE *out = fmemopen(text, sizeof text, "w");

    cr_assert_eq(read_text(LEAST), WHY_NONE, "%s", error);
    cr_assert_not_null(out);
    settings_print(&settings, out);
    cr_assert_eq(fclose(out), 0);
    static const char *const said[] = {
        "environment: development\n", "data/vault\n",     "127.0.0.1:9443", "kind: file",
        "origin: vault.test/log",     "cvv_cells: 16384", "lease: 120s",    "log: {level: info}"};
    for (size_t i = 0; i < sizeof said / sizeof said[0]; i++)
        cr_expect_neq(strstr(text, said[i]), NULL, "%s in %s", said[i], text);
    cr_expect_null(strstr(text, "metrics"), "%s", text);
}

Test(settings, have_no_backups_where_none_are_named)
{
    cr_assert_eq(read_text(LEAST), WHY_NONE, "%s", error);
    cr_expect_null(settings.backup_folder);
}

Test(settings, read_where_backups_go_how_many_stay_and_when)
{
    cr_assert_eq(read_text(LEAST "backup: {folder: backups/vault}\n"), WHY_NONE, "%s", error);
    expect_beside_the_file(settings.backup_folder, "backups/vault");
    cr_expect_eq(settings.backup_keep, 7);
    cr_expect_eq(settings.backup_every_ms, 0, "only when asked");
    cr_assert_eq(read_text(LEAST "backup: {folder: b, keep: 3, every: 24h}\n"), WHY_NONE, "%s",
                 error);
    cr_expect_eq(settings.backup_keep, 3);
    cr_expect_eq(settings.backup_every_ms, 24 * 3600 * 1000);
}

Test(settings, refuse_backups_that_make_no_sense)
{
    static const char *const wrong[] = {
        "backup: {keep: 3}\n",
        "backup: {folder: b, keep: 0}\n",
        "backup: {folder: b, keep: 1000}\n",
        "backup: {folder: b, every: 1s}\n",
        "backup: {folder: b, every: daily}\n",
        "backup: {folder: b, at: midnight}\n",
        "backup: b\n",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char text[1024];
        (void)snprintf(text, sizeof text, "%s%s", LEAST, wrong[i]);
        cr_expect_eq(read_text(text), WHY_BAD_INPUT, "%s", wrong[i]);
        cr_expect_neq(error[0], '\0');
    }
}

#define HSM(pin)                                                                                   \
    "environment: production\ndata: d\n" LISTEN                                                    \
    "seal: {kind: pkcs11, pkcs11: {module: /lib/hsm.so, token: cards, pin: " pin "}}\n"            \
    "signer: {key: signer.key, state: signer.state, origin: vault.test/log}\n"                     \
    "policies: policies.yaml\n"

Test(settings, an_hsm_is_a_module_a_token_and_where_the_pin_is)
{
    cr_assert_eq(read_text(HSM("{file: hsm.pin}, network: true, files: [/opt/hsm, /dev/hsm0]")),
                 WHY_NONE, "%s", error);
    cr_expect_eq(settings.seal_kind, SEAL_PKCS11);
    cr_expect_str_eq(settings.hsm.module, "/lib/hsm.so");
    cr_expect_str_eq(settings.hsm.token, "cards");
    cr_expect_str_eq(settings.hsm.key, "cardkeep-root");
    expect_beside_the_file(settings.hsm.pin, "hsm.pin");
    cr_expect(settings.hsm.network);
    cr_expect_eq(settings.hsm.file_count, 2);
    cr_expect_str_eq(settings.hsm.files[1], "/dev/hsm0");
    cr_assert_eq(read_text(HSM("{file: /run/pin}")), WHY_NONE, "%s", error);
    cr_expect_str_eq(settings.hsm.pin, "/run/pin");
    cr_expect(!settings.hsm.network);
    cr_expect_eq(settings.hsm.timeout_ms, 20000);
}

Test(settings, a_pin_may_be_a_credential_of_the_service)
{
    cr_assert_eq(unsetenv("CREDENTIALS_DIRECTORY"), 0);
    cr_expect_eq(read_text(HSM("{credential: pin}")), WHY_BAD_INPUT);
    cr_expect(strstr(error, "LoadCredential") != NULL, "%s", error);
    cr_assert_eq(setenv("CREDENTIALS_DIRECTORY", "/run/credentials/x", 1), 0);
    cr_assert_eq(read_text(HSM("{credential: pin}")), WHY_NONE, "%s", error);
    cr_expect_str_eq(settings.hsm.pin, "/run/credentials/x/pin");
    cr_expect_eq(read_text(HSM("{credential: ../pin}")), WHY_BAD_INPUT);
    cr_expect_eq(read_text(HSM("{credential: pin, file: pin}")), WHY_BAD_INPUT);
}

Test(settings, refuse_a_pin_in_the_file_and_half_an_hsm)
{
    cr_expect_eq(read_text(HSM("0815-4711")), WHY_BAD_INPUT);
    cr_expect(strstr(error, "0815") == NULL, "%s", error);
    cr_expect_eq(read_text(HSM("{}")), WHY_BAD_INPUT);
    cr_expect_eq(read_text(HSM("{file: p}, files: [relative]")), WHY_BAD_INPUT);
    cr_expect_eq(read_text(HSM("{file: p}, pim: 1")), WHY_BAD_INPUT);
    cr_expect_eq(read_text("environment: production\ndata: d\n" LISTEN "seal: {kind: pkcs11}\n"
                           "signer: {key: k, state: s, origin: vault.test/log}\npolicies: p\n"),
                 WHY_BAD_INPUT);
    cr_expect(strstr(error, "where the HSM is") != NULL, "%s", error);
}
