/* SPDX-License-Identifier: Apache-2.0 */
/* relay/settings.h -- the relay's configuration file, checked and read.
 *
 * In      one YAML file; the profiles of relay/gateways that its destinations name.
 * Out     read-only values, every path resolved; or one sentence that says what is wrong and where.
 * Never   holds a secret; accepts a host that a profile does not list outside development.
 * Threads any once loaded.
 */
#ifndef RELAY_SETTINGS_H
#define RELAY_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/config.h"
#include "base/log.h"
#include "base/status.h"
#include "policies/epoch.h"
#include "relay/address.h"
#include "relay/profile.h"

#define SETTINGS_DESTINATIONS_MAX 32u
#define SETTINGS_ERROR_MAX        768u

struct settings_listen {
    char host[64];
    uint16_t port;
};

/* A destination with what is read from it once. */
struct settings_destination {
    struct destination destination;
    struct profile profile;
    struct address_range ranges[8];
    unsigned range_count;
};

struct settings {
    struct config *config; /* Owns the texts below. */
    bool production;
    const char *data;
    const char *user; /* NULL: stay who started us. */
    struct settings_listen api;
    const char *certificate;
    const char *key;
    const char *clients;
    struct settings_listen metrics; /* Port 0: none. */
    int64_t tls_every_ms;           /* How often certificates' files are looked at. */
    char vault_host[256];
    uint16_t vault_port;
    bool vault_is_numeric; /* Then vault_host is dialled and vault_name verified. */
    const char *vault_name;
    const char *vault_authorities;
    const char *vault_certificate;
    const char *vault_key;
    const char *signer_key;
    const char *signer_state;
    const char *signer_origin;
    int64_t signer_overlap_ms;     /* Of two signing keys, while one follows the other. */
    int64_t signer_period_ms;      /* After which another is asked for. */
    struct epoch_statement accept; /* From the command line: an older ledger may go on. */
    const char *policies;
    const char *backup_folder; /* NULL: no backups. */
    unsigned backup_keep;
    int64_t backup_every_ms; /* 0: only when asked. */
    const char *gateways;
    struct settings_destination *destinations;
    unsigned destination_count;
    unsigned connections_max;
    unsigned in_flight_max;
    size_t body_bytes_max;
    int64_t ledger_kept_ms; /* Of a submission's row. */
    enum log_level level;
};

/* WHY_BAD_INPUT or WHY_NOT_FOUND with a sentence in `error`. */
STATUS settings_load(const char *path, struct settings **out_settings, char *error,
                     size_t error_size);
void settings_free(struct settings **settings);

/* NULL when there is none of that name. */
const struct settings_destination *settings_destination_find(const struct settings *settings,
                                                             const char *name, size_t name_size);

/* The longest that a submission takes: its gateway's deadline, and some for lease and ledger. */
int64_t settings_answer_ms(const struct settings *settings);
/* For how long a stop waits for what is under way: as long as that, but within what the supervisor
 * grants.  What takes longer still is cut off, and in doubt. */
int64_t settings_stop_ms(const struct settings *settings);

/* What was understood, with defaults, as lines of YAML, for --check. */
void settings_describe(const struct settings *settings, struct buffer *out);

#endif
