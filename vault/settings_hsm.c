/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/settings_hsm.h"

#include <stdlib.h>
#include <string.h>

#define LABEL_BYTES_MAX 32u /* Of a token: CK_TOKEN_INFO. */

/* systemd names the folder of a service's credentials (LoadCredential=) in its environment. */
static void credential_path(struct config *config, const struct config_node *pin,
                            struct settings_hsm *out)
{
    const char *name = config_text(config, pin, "credential", NULL);
    const char *folder = secure_getenv("CREDENTIALS_DIRECTORY");

    if (name == NULL)
        return;
    if (name[0] == '\0' || strchr(name, '/') != NULL)
        config_complain(config, pin, "`credential` is a name, and no path");
    else if (folder == NULL)
        config_complain(config, pin,
                        "`credential` needs CREDENTIALS_DIRECTORY in the environment; systemd "
                        "sets it for a service with LoadCredential=");
    else if (snprintf(out->pin, sizeof out->pin, "%s/%s", folder, name) >= (int)sizeof out->pin)
        config_complain(config, pin, "the path of its credential is too long");
}

static void pin_read(struct config *config, const struct config_node *map, struct settings_hsm *out)
{
    const struct config_node *pin = config_map(config, map, "pin", true);

    if (pin == NULL)
        return;
    if (config_has(config, pin, "credential")) {
        if (config_has(config, pin, "file"))
            config_complain(config, pin, "`file` and `credential` are one too many");
        credential_path(config, pin, out);
        return;
    }
    const char *path = config_path(config, pin, "file", NULL);
    if (path != NULL && snprintf(out->pin, sizeof out->pin, "%s", path) >= (int)sizeof out->pin)
        config_complain(config, pin, "the path of its file is too long");
}

static void files_read(struct config *config, const struct config_node *map,
                       struct settings_hsm *out)
{
    const struct config_node *files = config_list(config, map, "files", false);

    if (files == NULL)
        return;
    if (config_count(files) > SETTINGS_HSM_FILES_MAX) {
        config_complain(config, files, "at most %u files", SETTINGS_HSM_FILES_MAX);
        return;
    }
    for (unsigned i = 0; i < config_count(files); i++) {
        const char *path = config_scalar(config, config_at(files, i));
        if (path != NULL && path[0] != '/')
            config_complain(config, files, "a file of the module's is an absolute path");
        out->files[out->file_count++] = path;
    }
}

void settings_hsm_read(struct config *config, const struct config_node *seal,
                       struct settings_hsm *out)
{
    const struct config_node *map = config_map(config, seal, "pkcs11", false);

    if (map == NULL)
        return;
    out->module = config_path(config, map, "module", NULL);
    out->token = config_text(config, map, "token", NULL);
    out->key = config_text(config, map, "key", "cardkeep-root");
    out->network = config_bool(config, map, "network", false);
    out->timeout_ms = config_duration_ms(config, map, "timeout", 20 * 1000, 1000, 300 * 1000);
    if (out->token != NULL && (out->token[0] == '\0' || strlen(out->token) > LABEL_BYTES_MAX))
        config_complain(config, map, "`token` is a label of 1 to %u characters", LABEL_BYTES_MAX);
    pin_read(config, map, out);
    files_read(config, map, out);
}

void settings_hsm_print(const struct settings_hsm *hsm, FILE *out)
{
    if (hsm->module == NULL)
        return;
    (void)fprintf(out, ", pkcs11: {module: %s, token: %s, key: %s, pin: {file: %s}, network: %s",
                  hsm->module, hsm->token, hsm->key, hsm->pin, hsm->network ? "true" : "false");
    (void)fprintf(out, ", timeout: %llds", (long long)(hsm->timeout_ms / 1000));
    for (size_t i = 0; i < hsm->file_count; i++)
        (void)fprintf(out, "%s%s", i == 0 ? ", files: [" : ", ", hsm->files[i]);
    (void)fputs(hsm->file_count > 0 ? "]}" : "}", out);
}
