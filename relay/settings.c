/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/settings.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "base/supervise.h"

#define CONNECTIONS_DEFAULT 4096
#define IN_FLIGHT_DEFAULT   4096
#define BODY_DEFAULT        (64 << 10)
#define BODY_MOST           (1 << 20)
#define PATH_BYTES_MAX      1280u
#define DAY_MS              (24 * 3600 * 1000LL)
/* Longer than a cardholder may dispute a payment. */
#define LEDGER_KEPT_DEFAULT_MS (400 * DAY_MS)
#define ANSWER_SPARE_MS        30000 /* Beyond a gateway's own deadline: lease, ledger. */
#define STOP_MOST_MS           75000

static_assert(STOP_MOST_MS + 10000 <= SUPERVISE_STOP_MS, "what waited leaves in good order");

static const char *const environments[] = {"development", "production", NULL};

static bool is_numeric(const char *host)
{
    struct in6_addr address;

    return inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1;
}

/* Names stand in paths of URLs and of files: nothing but a-z, 0-9 and hyphens. */
static bool is_name(const char *name)
{
    size_t size = strlen(name);

    return size > 0 && size < sizeof((struct destination *)NULL)->name &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_") == size;
}

static void copy(char *out, size_t out_size, const char *text)
{
    snprintf(out, out_size, "%s", text != NULL ? text : "");
}

static void read_listen(struct settings *settings, const struct config_node *root)
{
    struct config *config = settings->config;
    const struct config_node *listen = config_map(config, root, "listen", true);
    if (listen == NULL)
        return;

    const struct config_node *api = config_map(config, listen, "api", true);
    if (api != NULL) {
        config_address(config, api, "address", "127.0.0.1:8444", settings->api.host,
                       sizeof settings->api.host, &settings->api.port);
        settings->certificate = config_path(config, api, "certificate", NULL);
        settings->key = config_path(config, api, "key", NULL);
        settings->clients = config_path(config, api, "clients", NULL);
    }
    settings->tls_every_ms =
        config_duration_ms(config, listen, "reload", 60 * 1000, 1000, 24 * 3600 * 1000LL);
    const struct config_node *metrics = config_map(config, listen, "metrics", false);
    if (metrics != NULL)
        config_address(config, metrics, "address", "127.0.0.1:9465", settings->metrics.host,
                       sizeof settings->metrics.host, &settings->metrics.port);
}

static void read_vault(struct settings *settings, const struct config_node *root)
{
    struct config *config = settings->config;
    const struct config_node *vault = config_map(config, root, "vault", true);
    if (vault == NULL)
        return;

    config_address(config, vault, "address", NULL, settings->vault_host,
                   sizeof settings->vault_host, &settings->vault_port);
    settings->vault_is_numeric = is_numeric(settings->vault_host);
    settings->vault_name = config_text(
        config, vault, "name", settings->vault_is_numeric ? "localhost" : settings->vault_host);
    settings->vault_authorities = config_path(config, vault, "authorities", NULL);
    settings->vault_certificate = config_path(config, vault, "certificate", NULL);
    settings->vault_key = config_path(config, vault, "key", NULL);
    if (!settings->vault_is_numeric && settings->vault_name != NULL &&
        strcmp(settings->vault_name, settings->vault_host) != 0)
        config_complain(config, vault,
                        "vault: a host name in `address` is what its certificate must name; "
                        "leave `name` away or give a numeric address");
}

static void read_ranges(struct settings *settings, const struct config_node *node,
                        struct settings_destination *entry)
{
    struct config *config = settings->config;
    const struct config_node *allow = config_list(config, node, "allow", false);
    unsigned most = sizeof entry->destination.allow / sizeof entry->destination.allow[0];

    for (unsigned i = 0; allow != NULL && i < config_count(allow); i++) {
        const char *text = config_scalar(config, config_at(allow, i));
        if (text == NULL)
            return;
        if (i >= most || strlen(text) >= sizeof entry->destination.allow[0] ||
            failed(address_range_parse(text, &entry->ranges[i]))) {
            config_complain(config, config_at(allow, i),
                            "allow: up to %u address ranges such as 127.0.0.0/8 are taken", most);
            return;
        }
        copy(entry->destination.allow[i], sizeof entry->destination.allow[i], text);
        entry->destination.allow_count = i + 1;
        entry->range_count = i + 1;
    }
}

static bool profile_lists(const struct profile *profile, const char *host)
{
    for (unsigned i = 0; i < profile->host_count; i++)
        if (strcmp(profile->hosts[i], host) == 0)
            return true;
    return false;
}

static void read_host(struct settings *settings, const struct config_node *node,
                      struct settings_destination *entry)
{
    struct config *config = settings->config;
    struct destination *destination = &entry->destination;
    const char *fallback = entry->profile.host_count > 0 ? entry->profile.hosts[0] : NULL;
    const char *host = config_text(config, node, "host", fallback);

    if (host == NULL)
        return;
    if (strlen(host) >= sizeof destination->host) {
        config_complain(config, node, "host: at most 255 characters are taken");
        return;
    }
    copy(destination->host, sizeof destination->host, host);
    if (settings->production && !profile_lists(&entry->profile, host))
        config_complain(config, node,
                        "host: it is not one of those of the gateway's profile; only "
                        "`environment: development` may name another");
}

static void read_destination(struct settings *settings, const char *name,
                             const struct config_node *node, struct settings_destination *entry)
{
    struct config *config = settings->config;
    struct destination *destination = &entry->destination;
    char path[PATH_BYTES_MAX];
    char error[CONFIG_ERROR_MAX] = "";

    if (!is_name(name) || strcmp(name, "v1") == 0) {
        config_complain(config, node,
                        "a destination's name is made of a-z, 0-9, - and _, and is not v1");
        return;
    }
    copy(destination->name, sizeof destination->name, name);
    destination->profile = &entry->profile;
    const char *gateway = config_text(config, node, "gateway", NULL);
    if (gateway == NULL || settings->gateways == NULL)
        return;
    int size = snprintf(path, sizeof path, "%s/%s.yaml", settings->gateways, gateway);
    if (!is_name(gateway) || size < 0 || (size_t)size >= sizeof path) {
        config_complain(config, node, "gateway: it is the name of a profile in `gateways`");
        return;
    }
    struct status status = profile_load(path, &entry->profile, error, sizeof error);
    if (status.why == WHY_NO_MEMORY)
        config_no_memory(config);
    else if (failed(status))
        config_complain(config, node, "%s", error);
    if (failed(status))
        return;
    read_host(settings, node, entry);
    destination->port = (uint16_t)config_int(config, node, "port", 443, 1, 65535);
    copy(destination->authorities, sizeof destination->authorities,
         config_has(config, node, "authorities") ? config_path(config, node, "authorities", NULL)
                                                 : NULL);
    copy(destination->pins, sizeof destination->pins, config_text_or_null(config, node, "pins"));
    read_ranges(settings, node, entry);
    if (config_has(config, node, "listen")) {
        config_address(config, node, "listen", NULL, destination->listen_host,
                       sizeof destination->listen_host, &destination->listen_port);
        copy(destination->listen_name, sizeof destination->listen_name, name);
    }
}

static STATUS read_destinations(struct settings *settings, const struct config_node *root)
{
    struct config *config = settings->config;
    const struct config_node *map = config_map(config, root, "destinations", true);
    unsigned count = map != NULL ? config_map_count(map) : 0;

    if (count == 0)
        return STATUS_OK;
    if (count > SETTINGS_DESTINATIONS_MAX) {
        config_complain(config, map, "destinations: at most %u are taken",
                        SETTINGS_DESTINATIONS_MAX);
        return STATUS_OK;
    }
    settings->destinations = calloc(count, sizeof *settings->destinations);
    ENSURE(settings->destinations != NULL, WHY_NO_MEMORY);
    settings->destination_count = count;
    for (unsigned i = 0; i < count; i++) {
        const struct config_node *node = NULL;
        const char *name = config_map_key(config, map, i, &node);
        read_destination(settings, name, node, &settings->destinations[i]);
    }
    return STATUS_OK;
}

static void read_backup(struct settings *settings, const struct config_node *root)
{
    struct config *config = settings->config;
    const struct config_node *backup = config_map(config, root, "backup", false);
    if (backup == NULL)
        return;

    settings->backup_folder = config_path(config, backup, "folder", NULL);
    settings->backup_keep = (unsigned)config_int(config, backup, "keep", 7, 1, 200);
    if (config_has(config, backup, "every"))
        settings->backup_every_ms =
            config_duration_ms(config, backup, "every", CONFIG_REQUIRED, 60 * 1000, 366 * DAY_MS);
}

static STATUS read_all(struct settings *settings)
{
    struct config *config = settings->config;
    const struct config_node *root = config_root(config);
    ENSURE(root != NULL, WHY_BAD_INPUT);

    settings->production = config_choice(config, root, "environment", environments, -1) == 1;
    settings->data = config_path(config, root, "data", NULL);
    settings->user = config_text_or_null(config, root, "user");
    read_listen(settings, root);
    read_vault(settings, root);
    const struct config_node *signer = config_map(config, root, "signer", true);
    if (signer != NULL) {
        settings->signer_key = config_path(config, signer, "key", NULL);
        settings->signer_state = config_path(config, signer, "state", NULL);
        settings->signer_origin = config_text(config, signer, "origin", NULL);
        settings->signer_overlap_ms =
            config_duration_ms(config, signer, "overlap", 30 * DAY_MS, 1000, 366 * DAY_MS);
        settings->signer_period_ms =
            config_duration_ms(config, signer, "period", 365 * DAY_MS, 1000, 3660 * DAY_MS);
    }
    settings->policies = config_path(config, root, "policies", NULL);
    read_backup(settings, root);
    settings->gateways = config_path(config, root, "gateways", NULL);
    TRY(read_destinations(settings, root));

    const struct config_node *limits = config_map(config, root, "limits", false);
    settings->connections_max = CONNECTIONS_DEFAULT;
    settings->in_flight_max = IN_FLIGHT_DEFAULT;
    settings->body_bytes_max = BODY_DEFAULT;
    if (limits != NULL) {
        settings->connections_max =
            (unsigned)config_int(config, limits, "connections", CONNECTIONS_DEFAULT, 1, 100000);
        settings->in_flight_max =
            (unsigned)config_int(config, limits, "in_flight", IN_FLIGHT_DEFAULT, 1, 100000);
        settings->body_bytes_max =
            (size_t)config_size(config, limits, "body", BODY_DEFAULT, 1024, BODY_MOST);
    }
    const struct config_node *ledger = config_map(config, root, "ledger", false);
    settings->ledger_kept_ms = LEDGER_KEPT_DEFAULT_MS;
    if (ledger != NULL)
        settings->ledger_kept_ms =
            config_duration_ms(config, ledger, "keep", LEDGER_KEPT_DEFAULT_MS, 1000, 3660 * DAY_MS);
    const struct config_node *log = config_map(config, root, "log", false);
    int level = LOG_INFO;
    if (log != NULL)
        level = config_choice(config, log, "level", log_level_names, LOG_INFO);
    settings->level = level >= 0 ? (enum log_level)level : LOG_INFO;
    return config_finish(config);
}

STATUS settings_load(const char *path, struct settings **out_settings, char *error,
                     size_t error_size)
{
    assert(path != NULL);
    assert(error_size > 0);

    OWNED(settings_free) struct settings *settings = calloc(1, sizeof *settings);
    copy(error, error_size, "memory ran out");
    ENSURE(settings != NULL, WHY_NO_MEMORY);
    struct status status = config_open(path, &settings->config);
    if (!failed(status))
        status = read_all(settings);
    if (failed(status)) {
        if (settings->config != NULL && config_error(settings->config)[0] != '\0')
            copy(error, error_size, config_error(settings->config));
        return status;
    }
    copy(error, error_size, "");
    *out_settings = MOVE(settings);
    return STATUS_OK;
}

void settings_free(struct settings **settings)
{
    if (*settings == NULL)
        return;
    config_free(&(*settings)->config);
    free((*settings)->destinations);
    free(*settings);
    *settings = NULL;
}

const struct settings_destination *settings_destination_find(const struct settings *settings,
                                                             const char *name, size_t name_size)
{
    for (unsigned i = 0; i < settings->destination_count; i++) {
        const char *known = settings->destinations[i].destination.name;
        if (strlen(known) == name_size && memcmp(known, name, name_size) == 0)
            return &settings->destinations[i];
    }
    return NULL;
}

int64_t settings_answer_ms(const struct settings *settings)
{
    int64_t longest_ms = 0;

    for (unsigned i = 0; i < settings->destination_count; i++)
        if (settings->destinations[i].profile.total_ms > longest_ms)
            longest_ms = settings->destinations[i].profile.total_ms;
    return longest_ms + ANSWER_SPARE_MS;
}

int64_t settings_stop_ms(const struct settings *settings)
{
    int64_t answer_ms = settings_answer_ms(settings);

    return answer_ms < STOP_MOST_MS ? answer_ms : STOP_MOST_MS;
}

void settings_describe(const struct settings *settings, struct buffer *out)
{
    buffer_format(out, "environment: %s\n", environments[settings->production ? 1 : 0]);
    buffer_format(out, "data: %s\n", settings->data);
    if (settings->user != NULL)
        buffer_format(out, "user: %s\n", settings->user);
    buffer_format(out, "listen:\n  api: \"%s:%u\"\n", settings->api.host,
                  (unsigned)settings->api.port);
    if (settings->metrics.port != 0)
        buffer_format(out, "  metrics: \"%s:%u\"\n", settings->metrics.host,
                      (unsigned)settings->metrics.port);
    buffer_format(out, "  reload: %llds\n", (long long)(settings->tls_every_ms / 1000));
    buffer_format(out, "vault: {address: \"%s:%u\", name: %s}\n", settings->vault_host,
                  (unsigned)settings->vault_port, settings->vault_name);
    buffer_format(out, "signer: {origin: %s, overlap: %llds, period: %llds}\n",
                  settings->signer_origin, (long long)(settings->signer_overlap_ms / 1000),
                  (long long)(settings->signer_period_ms / 1000));
    buffer_format(out, "policies: %s\n", settings->policies);
    if (settings->backup_folder != NULL)
        buffer_format(out, "backup: {folder: %s, keep: %u, every: %llds}\n",
                      settings->backup_folder, settings->backup_keep,
                      (long long)(settings->backup_every_ms / 1000));
    buffer_add_text(out, "destinations:\n");
    for (unsigned i = 0; i < settings->destination_count; i++) {
        const struct settings_destination *entry = &settings->destinations[i];
        const struct destination *destination = &entry->destination;
        buffer_format(out, "  %s: {gateway: %s, host: %s, port: %u, slots: %u", destination->name,
                      entry->profile.name, destination->host, (unsigned)destination->port,
                      entry->profile.form_count + entry->profile.json_count);
        if (destination->listen_host[0] != '\0')
            buffer_format(out, ", listen: \"%s:%u\"", destination->listen_host,
                          (unsigned)destination->listen_port);
        buffer_add_text(out, "}\n");
    }
    buffer_format(out, "limits: {connections: %u, in_flight: %u, body: %zuB}\n",
                  settings->connections_max, settings->in_flight_max, settings->body_bytes_max);
    buffer_format(out, "ledger: {keep: %llds}\n", (long long)(settings->ledger_kept_ms / 1000));
    buffer_format(out, "log: {level: %s}\n", log_level_names[settings->level]);
}
