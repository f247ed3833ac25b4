/* SPDX-License-Identifier: Apache-2.0 */
/* vault/cli/settings.h -- the configuration files of a development installation.
 *
 * In      ports, and where the gateways' profiles lie.
 * Out     the text of each file.  Paths in them are relative to the file.
 * Never   puts a secret into one.
 * Threads any.
 */
#ifndef VAULT_CLI_SETTINGS_H
#define VAULT_CLI_SETTINGS_H

#include "base/buffer.h"

#define SETTINGS_ORIGIN_VAULT "localhost/cardkeep/vault"
#define SETTINGS_ORIGIN_RELAY "localhost/cardkeep/relay"

struct settings_ports {
    unsigned vault;
    unsigned relay;
    unsigned sandbox;
    unsigned sandbox_listen; /* The relay's listener bound to the destination of that name. */
    unsigned stripe_listen;
    unsigned vault_metrics;
    unsigned relay_metrics;
};

void settings_vault(const struct settings_ports *ports, struct buffer *out);
void settings_relay(const struct settings_ports *ports, const char *gateways, struct buffer *out);
void settings_policies(struct buffer *out);
void settings_cli(const struct settings_ports *ports, struct buffer *out);

#endif
