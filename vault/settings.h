/* SPDX-License-Identifier: Apache-2.0 */
/* vault/settings.h -- the vault's configuration file, checked.
 *
 * In      a YAML file (interfaces.md 4 is its form; vault/vault.example.yaml a commented
 *         example).
 * Out     plain data that every process of the vault reads; or one sentence that says what is
 *         wrong.
 * Never   holds a secret: it names the files that do.
 * Threads any once read.
 */
#ifndef VAULT_SETTINGS_H
#define VAULT_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/config.h"
#include "base/http.h"
#include "base/log.h"
#include "base/status.h"
#include "keys/keyring_rotate.h"
#include "keys/seal.h"
#include "policies/epoch.h"
#include "vault/settings_hsm.h"

struct settings_listen {
    char host[64];
    uint16_t port;
    const char *certificate;
    const char *key;
    const char *clients;
};

struct settings {
    struct config *config; /* Owns the texts. */
    bool production;
    const char *data;
    const char *user; /* NULL: stay who started us. */
    struct settings_listen api;
    struct settings_listen metrics;
    int64_t tls_every_ms;     /* How often the API's files are looked at. */
    enum seal_kind seal_kind; /* Which a new vault is given; the store knows what is in force. */
    const char *seal_path;    /* Of a file; NULL: none. */
    struct settings_hsm hsm;
    int64_t unseal_ms; /* How long a share that was given is kept for the others. */
    const char *signer_key;
    const char *signer_state;
    const char *origin;
    int64_t signer_overlap_ms;     /* Of two signing keys, while one follows the other. */
    int64_t signer_period_ms;      /* After which another is asked for. */
    struct epoch_statement accept; /* From the command line: an older store may go on. */
    const char *policies;
    const char *backup_folder; /* NULL: no backups. */
    unsigned backup_keep;
    int64_t backup_every_ms; /* 0: only when asked. */
    struct http_limits limits;
    uint64_t cache_bytes;
    unsigned cvv_cells;
    int64_t lease_ms;
    int64_t purge_every_ms; /* How long a deleted row may wait for its bytes to go. */
    enum log_level log_level;
    struct keyring_periods periods; /* 0: as the ring has them. */
};

/* `error` gets `file:line: …`. */
STATUS settings_read(const char *path, struct settings *out_settings, char *error,
                     size_t error_size);
void settings_close(struct settings *settings);

/* What was understood, with defaults: for --check. */
void settings_print(const struct settings *settings, FILE *out);

#endif
