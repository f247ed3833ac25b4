/* SPDX-License-Identifier: Apache-2.0 */
/* vault/settings_hsm.h -- where the HSM is: `seal: pkcs11:` of the configuration.
 *
 * In      its map.
 * Out     plain data.
 * Never   holds a PIN: it names the file that does.
 * Threads any once read.
 */
#ifndef VAULT_SETTINGS_HSM_H
#define VAULT_SETTINGS_HSM_H

#include <stdio.h>

#include "base/config.h"

#define SETTINGS_HSM_FILES_MAX 16u
#define SETTINGS_HSM_PIN_MAX   512u

struct settings_hsm {
    const char *module; /* NULL: there is no HSM. */
    const char *token;
    const char *key;
    char pin[SETTINGS_HSM_PIN_MAX]; /* The path of its file. */
    const char *files[SETTINGS_HSM_FILES_MAX];
    size_t file_count;
    bool network;
    int64_t timeout_ms; /* Of one request to it. */
};

/* `seal` is the map that may have it; what is wrong is recorded with the configuration. */
void settings_hsm_read(struct config *config, const struct config_node *seal,
                       struct settings_hsm *out);

/* As a member of the seal's line, for --check; nothing where there is none. */
void settings_hsm_print(const struct settings_hsm *hsm, FILE *out);

#endif
