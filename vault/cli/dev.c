/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/cli/dev.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "base/own.h"
#include "keys/source.h"
#include "policies/signer.h"
#include "vault/cli/files.h"
#include "vault/cli/pki.h"
#include "vault/cli/say.h"
#include "vault/cli/settings.h"

#define SETTINGS_BYTES_MAX 16384u
#define PORTS_USED         7
#define PORT_MAX           65535

static const struct pki_leaf leaves[] = {
    {"vault/vault", "vault", "DNS:localhost,IP:127.0.0.1,IP:::1", PKI_SERVER},
    {"relay/relay", "relay", "DNS:localhost,IP:127.0.0.1,IP:::1", PKI_SERVER},
    {"sandbox", "sandbox", "DNS:localhost,IP:127.0.0.1,IP:::1", PKI_SERVER},
    {"relay/relay-client", "relay", "URI:urn:cardkeep:relay:main", PKI_CLIENT},
    {"shop", "shop", "URI:urn:cardkeep:demo:shop", PKI_CLIENT},
    {"other", "other", "URI:urn:cardkeep:acme:shop", PKI_CLIENT},
    {"auditor", "auditor", "URI:urn:cardkeep:auditor", PKI_CLIENT},
    {"operator", "operator", "URI:urn:cardkeep:operator", PKI_CLIENT},
    {"security", "security", "URI:urn:cardkeep:security", PKI_CLIENT},
    {"security-2", "security-2", "URI:urn:cardkeep:security-2", PKI_CLIENT},
    {"custodian-1", "custodian-1", "URI:urn:cardkeep:custodian-1", PKI_CLIENT},
    {"custodian-2", "custodian-2", "URI:urn:cardkeep:custodian-2", PKI_CLIENT},
    {"custodian-3", "custodian-3", "URI:urn:cardkeep:custodian-3", PKI_CLIENT},
    {"custodian-4", "custodian-4", "URI:urn:cardkeep:custodian-4", PKI_CLIENT},
    {"custodian-5", "custodian-5", "URI:urn:cardkeep:custodian-5", PKI_CLIENT},
};

/* What is being made: `path` is a folder beside the final one until all of it stands. */
struct dev {
    char path[PATH_MAX];
    char gateways[PATH_MAX];
    struct settings_ports ports;
    char error[512];
};

static void descriptor_close(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

static STATUS folder_make(struct dev *dev, const char *name, int *out_fd)
{
    char path[PATH_MAX];
    ENSURE(files_join(path, sizeof path, dev->path, name), WHY_LIMIT);
    ENSURE(mkdir(path, 0700) == 0, errno == EEXIST ? WHY_CONFLICT : WHY_IO);
    *out_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ENSURE(*out_fd >= 0, WHY_IO);
    return STATUS_OK;
}

static STATUS certificates_make(struct dev *dev)
{
    OWNED(descriptor_close) int folder = -1;
    TRY(folder_make(dev, "tls", &folder));
    OWNED(pki_free) struct pki *pki = NULL;
    ENSURE(mkdirat(folder, "vault", 0700) == 0 && mkdirat(folder, "relay", 0700) == 0, WHY_IO);
    TRY(pki_new(folder, &pki));
    TRY(pki_publish(pki, "vault/clients"));
    TRY(pki_publish(pki, "relay/clients"));
    TRY(pki_publish(pki, "relay/vault-ca"));
    for (unsigned i = 0; i < sizeof leaves / sizeof leaves[0]; i++)
        TRY(pki_issue(pki, &leaves[i]));
    return STATUS_OK;
}

/* The seed in `<name>.key`; what others verify with in `<name>.pub`. */
static STATUS signer_make(struct dev *dev, int folder, const char *name, const char *origin)
{
    char seed_path[PATH_MAX + 64];
    int length = snprintf(seed_path, sizeof seed_path, "%s/keys/%s.key", dev->path, name);
    ENSURE(length > 0 && (size_t)length < sizeof seed_path, WHY_LIMIT);
    struct note_key key;
    TRY(signer_key_create(seed_path, origin, &key, dev->error, sizeof dev->error));
    char text[NOTE_NAME_BYTES_MAX + 66];
    note_key_text(&key, text, sizeof text - 1);
    size_t size = strlen(text);
    text[size++] = '\n';
    char file[64];
    (void)snprintf(file, sizeof file, "%s.pub", name);
    return files_write_new(folder, file, 0644, text, size);
}

static STATUS keys_make(struct dev *dev)
{
    OWNED(descriptor_close) int folder = -1;
    TRY(folder_make(dev, "keys", &folder));
    TRY(signer_make(dev, folder, "vault-signer", SETTINGS_ORIGIN_VAULT));
    TRY(signer_make(dev, folder, "relay-signer", SETTINGS_ORIGIN_RELAY));
    char seal[PATH_MAX];
    ENSURE(files_join(seal, sizeof seal, dev->path, "seal.key"), WHY_LIMIT);
    return source_file_create(seal, dev->error, sizeof dev->error);
}

static STATUS text_write(int folder, const char *name, struct buffer *text)
{
    TRY(buffer_status(text));
    TRY(files_write_new(folder, name, 0600, text->bytes, text->size));
    buffer_clear(text);
    return STATUS_OK;
}

static STATUS settings_make(struct dev *dev)
{
    OWNED(descriptor_close) int data = -1;
    TRY(folder_make(dev, "data", &data));
    OWNED(descriptor_close) int backups = -1;
    TRY(folder_make(dev, "backups", &backups));
    OWNED(descriptor_close) int folder = open(dev->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ENSURE(folder >= 0, WHY_IO);
    OWNED(buffer_free) struct buffer text = BUFFER(SETTINGS_BYTES_MAX);
    settings_vault(&dev->ports, &text);
    TRY(text_write(folder, "vault.yaml", &text));
    settings_relay(&dev->ports, dev->gateways, &text);
    TRY(text_write(folder, "relay.yaml", &text));
    settings_policies(&text);
    TRY(text_write(folder, "policies.yaml", &text));
    settings_cli(&dev->ports, &text);
    return text_write(folder, "cli.yaml", &text);
}

static STATUS dev_make(struct dev *dev, const char *target)
{
    TRY(certificates_make(dev));
    TRY(keys_make(dev));
    TRY(settings_make(dev));
    /* The folder appears whole, or not at all; an empty one may be in the way, a full one never. */
    ENSURE(rename(dev->path, target) == 0,
           errno == ENOTEMPTY || errno == EEXIST ? WHY_CONFLICT : WHY_IO);
    return STATUS_OK;
}

/* --gateways, else beside an installed binary, else the tree that this was built from. */
static bool gateways_find(const struct cli_arguments *arguments, struct dev *dev)
{
    const char *given = cli_option(arguments, "gateways");
    if (given != NULL)
        return realpath(given, dev->gateways) != NULL;
    char binary[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", binary, sizeof binary - 1);
    if (length > 0) {
        binary[length] = '\0';
        char *slash = strrchr(binary, '/');
        char beside[PATH_MAX];
        if (slash != NULL) {
            *slash = '\0';
            if (files_join(beside, sizeof beside, binary, "../share/cardkeep/gateways") &&
                realpath(beside, dev->gateways) != NULL)
                return true;
        }
    }
    int printed = snprintf(dev->gateways, sizeof dev->gateways, "%s", CARDKEEP_GATEWAYS);
    return printed > 0 && (size_t)printed < sizeof dev->gateways;
}

static bool ports_read(const struct cli_arguments *arguments, struct settings_ports *out)
{
    long base = 0;
    if (!cli_option_number(arguments, "ports", 0, 1024, PORT_MAX - PORTS_USED, &base))
        return false;
    if (base == 0) {
        *out = (struct settings_ports){8443, 8444, 8445, 8446, 8447, 9464, 9465};
        return true;
    }
    unsigned first = (unsigned)base;
    *out = (struct settings_ports){first,     first + 1, first + 2, first + 3,
                                   first + 4, first + 5, first + 6};
    return true;
}

static void dev_report(const struct cli_arguments *arguments, const struct dev *dev,
                       const char *target)
{
    if (cli_wants_json(arguments)) {
        OWNED(buffer_free) struct buffer text = BUFFER(SETTINGS_BYTES_MAX);
        struct json_writer writer = json_writer_over(&text);
        json_begin_object(&writer);
        json_put_member(&writer, "folder", target);
        json_put_member_int(&writer, "vault", dev->ports.vault);
        json_put_member_int(&writer, "relay", dev->ports.relay);
        json_put_member_int(&writer, "sandbox", dev->ports.sandbox);
        json_put_member_int(&writer, "sandbox_listen", dev->ports.sandbox_listen);
        json_put_member_int(&writer, "stripe_sandbox_listen", dev->ports.stripe_listen);
        json_put_member_int(&writer, "vault_metrics", dev->ports.vault_metrics);
        json_put_member_int(&writer, "relay_metrics", dev->ports.relay_metrics);
        json_end_object(&writer);
        say_out("%s\n", buffer_text(&text));
        return;
    }
    say_out("%s holds a development vault and relay.  Start them with\n\n"
            "  cardkeep-vault --config %s/vault.yaml\n"
            "  cardkeep-relay --config %s/relay.yaml\n"
            "  cardkeep-sandbox --address 127.0.0.1:%u --certificate %s/tls/sandbox.pem "
            "--key %s/tls/sandbox.key\n\n"
            "and ask how they are:\n\n"
            "  cardkeep status --config %s/cli.yaml\n",
            target, target, target, dev->ports.sandbox, target, target, target);
}

enum cli_exit dev_init(const struct cli_arguments *arguments)
{
    assert(arguments->word_count == 1);
    struct dev dev = {0};
    if (!ports_read(arguments, &dev.ports))
        return CLI_USAGE;
    char target[PATH_MAX];
    int length = snprintf(target, sizeof target, "%s", arguments->words[0]);
    for (; length > 1 && target[length - 1] == '/'; length--)
        target[length - 1] = '\0';
    if (length <= 0 || (size_t)length >= sizeof target - 16) {
        say_error("the folder's name is empty or too long");
        return CLI_USAGE;
    }
    if (!files_is_free(target)) {
        say_error("%s is there and not empty, and nothing is ever written over; name another "
                  "folder, or remove it",
                  target);
        return CLI_USAGE;
    }
    if (!gateways_find(arguments, &dev) || strpbrk(dev.gateways, "\"\\\n") != NULL) {
        say_error("the gateways' folder cannot be used; name one with --gateways DIR");
        return CLI_USAGE;
    }
    (void)snprintf(dev.path, sizeof dev.path, "%.*s.new-XXXXXX", PATH_MAX - 16, target);
    if (mkdtemp(dev.path) == NULL) {
        say_error("cannot make a folder beside %s: %s", target, strerror(errno));
        return CLI_FOUND;
    }
    struct status status = dev_make(&dev, target);
    if (failed(status)) {
        say_error("nothing was made: %s (%s at %s)",
                  dev.error[0] != '\0' ? dev.error : strerror(errno), status_name(status.why),
                  status.where);
        files_remove_tree(dev.path);
        return CLI_FOUND;
    }
    dev_report(arguments, &dev, target);
    return CLI_DONE;
}
