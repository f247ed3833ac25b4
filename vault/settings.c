/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/settings.h"

#include <string.h>

#include "vault/cvv.h"

#define DAY_MS    (24 * 3600 * 1000LL)
#define UNSEAL_MS (10 * 60 * 1000LL)

static const char *const seals[] = {"file", "shares", "pkcs11", NULL};
static const char *const environments[] = {"development", "production", NULL};

static void settings_read_listen(struct settings *out, const struct config_node *root)
{
    struct config *config = out->config;
    const struct config_node *listen = config_map(config, root, "listen", true);
    const struct config_node *api = config_map(config, listen, "api", true);
    const struct config_node *metrics = config_map(config, listen, "metrics", false);

    config_address(config, api, "address", "127.0.0.1:8443", out->api.host, sizeof out->api.host,
                   &out->api.port);
    out->api.certificate = config_path(config, api, "certificate", NULL);
    out->api.key = config_path(config, api, "key", NULL);
    out->api.clients = config_path(config, api, "clients", NULL);
    out->tls_every_ms = config_duration_ms(config, listen, "reload", 60 * 1000, 1000, DAY_MS);
    if (metrics != NULL)
        config_address(config, metrics, "address", "127.0.0.1:9464", out->metrics.host,
                       sizeof out->metrics.host, &out->metrics.port);
}

static void settings_read_keys(struct settings *out, const struct config_node *root)
{
    struct config *config = out->config;
    const struct config_node *seal = config_map(config, root, "seal", true);
    const struct config_node *signer = config_map(config, root, "signer", true);

    int kind = config_choice(config, seal, "kind", seals, -1);
    out->seal_kind = kind < 0 ? SEAL_FILE : (enum seal_kind)(SEAL_FILE + kind);
    if (out->seal_kind == SEAL_FILE || config_has(config, seal, "path"))
        out->seal_path = config_path(config, seal, "path", NULL);
    settings_hsm_read(config, seal, &out->hsm);
    if (out->seal_kind == SEAL_PKCS11 && out->hsm.module == NULL)
        config_complain(config, seal,
                        "`kind: pkcs11` needs `pkcs11:`, which says where the HSM is");
    out->unseal_ms =
        config_duration_ms(config, seal, "unseal_within", UNSEAL_MS, 1000, 6 * UNSEAL_MS);
    if (out->seal_path != NULL && out->production)
        config_complain(config, seal,
                        "a file seal is for development; it is refused where `environment` is "
                        "`production`");
    out->signer_key = config_path(config, signer, "key", NULL);
    out->signer_state = config_path(config, signer, "state", NULL);
    out->origin = config_text(config, signer, "origin", NULL);
    out->signer_overlap_ms =
        config_duration_ms(config, signer, "overlap", 30 * DAY_MS, 1000, 366 * DAY_MS);
    out->signer_period_ms =
        config_duration_ms(config, signer, "period", 365 * DAY_MS, 1000, 3660 * DAY_MS);
}

/* How long keys encrypt.  An epoch is a day at most: what was sealed in one shares a key. */
static void settings_read_periods(struct settings *out, const struct config_node *root)
{
    struct config *config = out->config;
    const struct config_node *keys = config_map(config, root, "keys", false);
    struct keyring_periods *periods = &out->periods;

    periods->kek_ms = KEYRING_KEK_PERIOD_MS;
    periods->dek_ms = KEYRING_EPOCH_MS;
    periods->fingerprint_ms = KEYRING_FINGERPRINT_PERIOD_MS;
    if (keys == NULL)
        return;
    periods->kek_ms =
        config_duration_ms(config, keys, "kek_period", periods->kek_ms, 1000, 730 * DAY_MS);
    periods->dek_ms =
        config_duration_ms(config, keys, "dek_period", periods->dek_ms, 1000, KEYRING_EPOCH_MS);
    periods->fingerprint_ms = config_duration_ms(config, keys, "fingerprint_period",
                                                 periods->fingerprint_ms, 1000, 1096 * DAY_MS);
}

static void settings_read_limits(struct settings *out, const struct config_node *root)
{
    struct config *config = out->config;
    const struct config_node *limits = config_map(config, root, "limits", false);
    const struct config_node *log = config_map(config, root, "log", false);
    int level = LOG_INFO;

    out->limits = http_limits_default();
    out->limits.body_bytes = 1u << 20;
    out->cache_bytes = 256u << 20;
    out->cvv_cells = CVV_CELL_COUNT;
    out->lease_ms = 120 * 1000;
    out->purge_every_ms = DAY_MS;
    if (limits != NULL) {
        struct http_limits *http = &out->limits;
        http->connections = (unsigned)config_int(config, limits, "connections", 4096, 1, 1 << 20);
        http->connections_per_second =
            (unsigned)config_int(config, limits, "connections_per_second", 0, 0, 1 << 20);
        http->in_flight = (unsigned)config_int(config, limits, "in_flight", 8192, 1, 1 << 16);
        http->body_bytes =
            (size_t)config_size(config, limits, "body", 1 << 20, 4096, 2 * 1024 * 1024);
        out->cache_bytes =
            (uint64_t)config_size(config, limits, "cache", 256 << 20, 1 << 20, 1LL << 40);
        out->cvv_cells =
            (unsigned)config_int(config, limits, "cvv_cells", CVV_CELL_COUNT, 1, 1 << 20);
        out->lease_ms =
            config_duration_ms(config, limits, "lease", 120 * 1000, 1000, 15 * 60 * 1000);
        out->purge_every_ms =
            config_duration_ms(config, limits, "purge", DAY_MS, 1000, 31 * DAY_MS);
    }
    if (log != NULL)
        level = config_choice(config, log, "level", log_level_names, LOG_INFO);
    out->log_level = (enum log_level)level;
}

static void settings_read_backup(struct settings *out, const struct config_node *root)
{
    struct config *config = out->config;
    const struct config_node *backup = config_map(config, root, "backup", false);

    if (backup == NULL)
        return;
    out->backup_folder = config_path(config, backup, "folder", NULL);
    out->backup_keep = (unsigned)config_int(config, backup, "keep", 7, 1, 200);
    if (config_has(config, backup, "every"))
        out->backup_every_ms =
            config_duration_ms(config, backup, "every", CONFIG_REQUIRED, 60 * 1000, 366 * DAY_MS);
}

STATUS settings_read(const char *path, struct settings *out_settings, char *error,
                     size_t error_size)
{
    struct settings out = {0};
    struct status status = config_open(path, &out.config);

    if (!failed(status)) {
        const struct config_node *root = config_root(out.config);
        out.production = config_choice(out.config, root, "environment", environments, -1) == 1;
        out.data = config_path(out.config, root, "data", NULL);
        out.user = config_text_or_null(out.config, root, "user");
        out.policies = config_path(out.config, root, "policies", NULL);
        settings_read_listen(&out, root);
        settings_read_keys(&out, root);
        settings_read_periods(&out, root);
        settings_read_backup(&out, root);
        settings_read_limits(&out, root);
        status = config_finish(out.config);
    }
    if (failed(status)) {
        (void)snprintf(error, error_size, "%s",
                       out.config == NULL ? "out of memory" : config_error(out.config));
        settings_close(&out);
        return status;
    }
    *out_settings = out;
    return STATUS_OK;
}

void settings_close(struct settings *settings)
{
    config_free(&settings->config);
}

void settings_print(const struct settings *settings, FILE *out)
{
    const struct http_limits *limits = &settings->limits;

    (void)fprintf(out, "environment: %s\n", settings->production ? "production" : "development");
    (void)fprintf(out, "data: %s\n", settings->data);
    if (settings->user != NULL)
        (void)fprintf(out, "user: %s\n", settings->user);
    (void)fprintf(out, "listen:\n  api: {address: %s:%u, certificate: %s, clients: %s}\n",
                  settings->api.host, settings->api.port, settings->api.certificate,
                  settings->api.clients);
    if (settings->metrics.port != 0)
        (void)fprintf(out, "  metrics: {address: %s:%u}\n", settings->metrics.host,
                      settings->metrics.port);
    (void)fprintf(out, "  reload: %llds\n", (long long)(settings->tls_every_ms / 1000));
    (void)fprintf(out, "seal: {kind: %s", seals[settings->seal_kind - SEAL_FILE]);
    if (settings->seal_path != NULL)
        (void)fprintf(out, ", path: %s", settings->seal_path);
    if (settings->seal_kind == SEAL_SHARES)
        (void)fprintf(out, ", unseal_within: %llds", (long long)(settings->unseal_ms / 1000));
    settings_hsm_print(&settings->hsm, out);
    (void)fputs("}\n", out);
    (void)fprintf(out, "keys: {kek_period: %llds, dek_period: %llds, fingerprint_period: %llds}\n",
                  (long long)(settings->periods.kek_ms / 1000),
                  (long long)(settings->periods.dek_ms / 1000),
                  (long long)(settings->periods.fingerprint_ms / 1000));
    (void)fprintf(out, "signer: {key: %s, state: %s, origin: %s, overlap: %llds, period: %llds}\n",
                  settings->signer_key, settings->signer_state, settings->origin,
                  (long long)(settings->signer_overlap_ms / 1000),
                  (long long)(settings->signer_period_ms / 1000));
    (void)fprintf(out, "policies: %s\n", settings->policies);
    if (settings->backup_folder != NULL)
        (void)fprintf(out, "backup: {folder: %s, keep: %u, every: %llds}\n",
                      settings->backup_folder, settings->backup_keep,
                      (long long)(settings->backup_every_ms / 1000));
    (void)fprintf(out, "limits: {connections: %u, in_flight: %u, body: %zuB, cache: %lluMiB, ",
                  limits->connections, limits->in_flight, limits->body_bytes,
                  (unsigned long long)(settings->cache_bytes >> 20));
    (void)fprintf(out, "cvv_cells: %u, lease: %llds, purge: %llds}\n", settings->cvv_cells,
                  (long long)(settings->lease_ms / 1000),
                  (long long)(settings->purge_every_ms / 1000));
    (void)fprintf(out, "log: {level: %s}\n", log_level_names[settings->log_level]);
}
