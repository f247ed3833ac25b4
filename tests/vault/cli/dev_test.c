/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/cli/dev.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <dirent.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/config.h"
#include "keys/source.h"
#include "policies/note.h"
#include "policies/policy.h"
#include "vault/cli/files.h"

static char folder[64];
static char target[80];

static void make(void)
{
    cr_redirect_stdout();
    cr_redirect_stderr();
    cr_assert(sodium_init() >= 0);
    snprintf(folder, sizeof folder, "/tmp/cardkeep-dev-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    snprintf(target, sizeof target, "%s/dev", folder);
}

static void drop(void)
{
    files_remove_tree(folder);
}

TestSuite(dev, .init = make, .fini = drop);

static enum cli_exit init(const char *where, const char *ports)
{
    struct cli_arguments arguments = {.words = {where}, .word_count = 1};
    arguments.options[arguments.option_count++] =
        (struct cli_option){.name = "gateways", .value = TESTS_DIR};
    if (ports != NULL)
        arguments.options[arguments.option_count++] =
            (struct cli_option){.name = "ports", .value = ports};
    return dev_init(&arguments);
}

static const char *in(const char *name)
{
    static char path[160];
    snprintf(path, sizeof path, "%s/%s", target, name);
    return path;
}

static X509 *certificate(const char *name)
{
    FILE *file = fopen(in(name), "re");
    cr_assert_not_null(file, "%s", name);
    X509 *found = PEM_read_X509(file, NULL, NULL, NULL);
    fclose(file);
    cr_assert_not_null(found, "%s", name);
    return found;
}

/* True when the certificate chains to the authority and may be used so. */
static bool holds(const char *name, int purpose, const char *host)
{
    X509 *authority = certificate("tls/ca.pem");
    X509 *leaf = certificate(name);
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *context = X509_STORE_CTX_new();
    cr_assert_eq(X509_STORE_add_cert(store, authority), 1);
    cr_assert_eq(X509_STORE_CTX_init(context, store, leaf, NULL), 1);
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(context);
    cr_assert_eq(X509_VERIFY_PARAM_set_purpose(param, purpose), 1);
    X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_X509_STRICT);
    if (host != NULL)
        cr_assert_eq(X509_VERIFY_PARAM_set1_host(param, host, 0), 1);
    bool good = X509_verify_cert(context) == 1;
    X509_STORE_CTX_free(context);
    X509_STORE_free(store);
    X509_free(leaf);
    X509_free(authority);
    return good;
}

static bool names_uri(const char *name, const char *uri)
{
    X509 *leaf = certificate(name);
    GENERAL_NAMES *names = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
    cr_assert_not_null(names);
    const GENERAL_NAME *first = sk_GENERAL_NAME_value(names, 0);
    bool same = sk_GENERAL_NAME_num(names) == 1 && first->type == GEN_URI &&
                strcmp((const char *)ASN1_STRING_get0_data(first->d.ia5), uri) == 0;
    GENERAL_NAMES_free(names);
    X509_free(leaf);
    return same;
}

Test(dev, issues_servers_and_clients_that_chain_and_no_more)
{
    cr_assert_eq(init(target, NULL), CLI_DONE);
    static const char *const servers[] = {"tls/vault/vault.pem", "tls/relay/relay.pem",
                                          "tls/sandbox.pem"};
    for (size_t i = 0; i < sizeof servers / sizeof servers[0]; i++) {
        cr_expect(holds(servers[i], X509_PURPOSE_SSL_SERVER, "localhost"), "%s", servers[i]);
        cr_expect(!holds(servers[i], X509_PURPOSE_SSL_SERVER, "example.com"), "%s", servers[i]);
        cr_expect(!holds(servers[i], X509_PURPOSE_SSL_CLIENT, NULL), "%s", servers[i]);
    }
    static const struct {
        const char *name;
        const char *uri;
    } clients[] = {{"tls/relay/relay-client.pem", "urn:cardkeep:relay:main"},
                   {"tls/shop.pem", "urn:cardkeep:demo:shop"},
                   {"tls/other.pem", "urn:cardkeep:acme:shop"},
                   {"tls/auditor.pem", "urn:cardkeep:auditor"},
                   {"tls/operator.pem", "urn:cardkeep:operator"}};
    for (size_t i = 0; i < sizeof clients / sizeof clients[0]; i++) {
        cr_expect(holds(clients[i].name, X509_PURPOSE_SSL_CLIENT, NULL), "%s", clients[i].name);
        cr_expect(!holds(clients[i].name, X509_PURPOSE_SSL_SERVER, NULL), "%s", clients[i].name);
        cr_expect(names_uri(clients[i].name, clients[i].uri), "%s", clients[i].name);
    }
}

Test(dev, keeps_every_secret_file_to_its_owner)
{
    cr_assert_eq(init(target, NULL), CLI_DONE);
    static const char *const folders[] = {"tls", "tls/vault", "tls/relay", "keys", "."};
    unsigned keys = 0;
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        DIR *listing = opendir(in(folders[i]));
        cr_assert_not_null(listing);
        for (struct dirent *entry = readdir(listing); entry != NULL; entry = readdir(listing)) {
            size_t size = strlen(entry->d_name);
            struct stat about;
            cr_assert(fstatat(dirfd(listing), entry->d_name, &about, 0) == 0);
            if (size < 4 || strcmp(entry->d_name + size - 4, ".key") != 0)
                continue;
            cr_expect_eq(about.st_mode & 07777, 0600, "%s", entry->d_name);
            keys++;
        }
        closedir(listing);
    }
    cr_expect_eq(keys, 9 + 7 + 2 + 1, "certificates, signers, seal");
    struct stat about;
    cr_assert(stat(target, &about) == 0);
    cr_expect_eq(about.st_mode & 0777, 0700);
}

Test(dev, never_writes_over_anything)
{
    char before[4096] = "";
    char after[4096] = "";
    cr_assert_eq(init(target, NULL), CLI_DONE);
    FILE *file = fopen(in("tls/ca.pem"), "re");
    cr_assert_gt(fread(before, 1, sizeof before - 1, file), 0);
    fclose(file);
    cr_expect_eq(init(target, NULL), CLI_USAGE);
    file = fopen(in("tls/ca.pem"), "re");
    cr_assert_gt(fread(after, 1, sizeof after - 1, file), 0);
    fclose(file);
    cr_expect_str_eq(after, before);
    cr_assert(unlink(in("seal.key")) == 0);
    cr_expect_eq(init(target, NULL), CLI_USAGE, "nor fills up what is left of one");
    cr_expect_neq(access(in("seal.key"), F_OK), 0);
}

Test(dev, takes_an_empty_folder_and_leaves_nothing_beside_it)
{
    cr_assert(mkdir(target, 0700) == 0);
    cr_assert_eq(init(target, NULL), CLI_DONE);
    DIR *listing = opendir(folder);
    unsigned others = 0;
    for (struct dirent *entry = readdir(listing); entry != NULL; entry = readdir(listing))
        others += entry->d_name[0] != '.' && strcmp(entry->d_name, "dev") != 0;
    closedir(listing);
    cr_expect_eq(others, 0);
}

Test(dev, makes_a_seal_and_verifier_keys_that_open)
{
    char error[512] = "";
    struct secret *root = NULL;
    cr_assert_eq(init(target, NULL), CLI_DONE);
    struct source source = {.kind = "file", .path = in("seal.key")};
    struct status status = source_open(&source, &root, error, sizeof error);
    cr_assert(!failed(status), "%s", error);
    secret_free(&root);
    char text[NOTE_NAME_BYTES_MAX + 64] = "";
    FILE *file = fopen(in("keys/vault-signer.pub"), "re");
    cr_assert_not_null(fgets(text, sizeof text, file));
    fclose(file);
    text[strcspn(text, "\n")] = '\0';
    struct note_key key;
    cr_assert(!failed(note_key_parse(text, &key)));
    cr_expect_str_eq(key.name, "localhost/cardkeep/vault");
}

static bool allowed(const struct policy *policy, enum policy_action action, const char *who,
                    const char *tenant, const char *destination)
{
    struct policy_question question = {.action = action,
                                       .principal = policy_principal(policy, who),
                                       .tenant = tenant,
                                       .destination = destination};
    return policy_decide(policy, &question).allowed;
}

Test(dev, writes_policies_that_load_and_part_the_tenants)
{
    char error[POLICY_ERROR_MAX] = "";
    struct policy *policy = NULL;
    cr_assert_eq(init(target, NULL), CLI_DONE);
    struct status status = policy_load(in("policies.yaml"), &policy, error, sizeof error);
    cr_assert(!failed(status), "%s", error);
    cr_expect(allowed(policy, POLICY_CARD_TOKENIZE, "shop", "demo", NULL));
    cr_expect(!allowed(policy, POLICY_CARD_TOKENIZE, "shop", "acme", NULL));
    cr_expect(allowed(policy, POLICY_CARD_TOKENIZE, "other", "acme", NULL));
    cr_expect(allowed(policy, POLICY_CARD_SUBMIT, "shop", "demo", "stripe-sandbox"));
    cr_expect(!allowed(policy, POLICY_CARD_SUBMIT, "other", "acme", "sandbox"));
    cr_expect(allowed(policy, POLICY_CARD_LEASE, "relay", "demo", "sandbox"));
    cr_expect(!allowed(policy, POLICY_CARD_LEASE, "shop", "demo", "sandbox"));
    cr_expect(allowed(policy, POLICY_AUDIT_READ, "auditor", "", NULL));
    cr_expect(!allowed(policy, POLICY_AUDIT_READ, "shop", "", NULL));
    cr_expect(allowed(policy, POLICY_BACKUP_CREATE, "operator", "", NULL));
    cr_expect(!allowed(policy, POLICY_BACKUP_CREATE, "auditor", "", NULL));
    policy_free(&policy);
}

static uint16_t port_of(const char *file, const char *part)
{
    struct config *config = NULL;
    char host[64];
    uint16_t port = 0;
    cr_assert(!failed(config_open(in(file), &config)), "%s", file);
    const struct config_node *listen = config_map(config, config_root(config), "listen", true);
    const struct config_node *map = config_map(config, listen, part, true);
    config_address(config, map, "address", NULL, host, sizeof host, &port);
    cr_expect_str_eq(host, "127.0.0.1");
    config_free(&config);
    return port;
}

Test(dev, shifts_every_port)
{
    cr_assert_eq(init(target, "21000"), CLI_DONE);
    cr_expect_eq(port_of("vault.yaml", "api"), 21000);
    cr_expect_eq(port_of("relay.yaml", "api"), 21001);
    cr_expect_eq(port_of("vault.yaml", "metrics"), 21005);
    cr_expect_eq(port_of("relay.yaml", "metrics"), 21006);
    files_remove_tree(target);
    cr_expect_eq(init(target, "1023"), CLI_USAGE);
    cr_expect_eq(init(target, "65530"), CLI_USAGE);
    cr_expect_eq(init(target, "x"), CLI_USAGE);
    cr_expect_neq(access(target, F_OK), 0);
}

Test(dev, says_so_where_no_folder_can_be_made)
{
    char lost[128];
    snprintf(lost, sizeof lost, "%s/no/such/place", folder);
    cr_expect_eq(init(lost, NULL), CLI_FOUND);
    cr_expect_eq(init("", NULL), CLI_USAGE);
}
