/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a configuration: read as every type, and refused with one sentence or none. */
#include <assert.h>
#include <string.h>

#include "base/config.h"
#include "base/own.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static const char *const choices[] = {"development", "production", NULL};

static void read_map(struct config *config, const struct config_node *map)
{
    char host[64];
    uint16_t port = 0;
    for (unsigned i = 0; i < config_map_count(map) && i < 64; i++) {
        const struct config_node *value = NULL;
        const char *key = config_map_key(config, map, i, &value);
        assert(config_line(value) > 0);
        config_has(config, map, key);
        config_text_or_null(config, map, key);
        config_path(config, map, key, ".");
        config_int(config, map, key, 1, -9, 99999);
        config_size(config, map, key, 1, 1, 1 << 20);
        config_duration_ms(config, map, key, 1, 1, 1 << 20);
        config_bool(config, map, key, true);
        config_choice(config, map, key, choices, 0);
        config_address(config, map, key, NULL, host, sizeof host, &port);
        const struct config_node *list = config_list(config, map, key, false);
        for (unsigned j = 0; j < config_count(list) && j < 64; j++)
            config_scalar(config, config_at(list, j));
    }
    config_text(config, map, "environment", "development");
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    OWNED(config_free) struct config *config = NULL;
    struct status status = config_open_bytes("fuzz/x.yaml", bytes, size, &config);
    assert(config != NULL);
    assert(failed(status) == (config_root(config) == NULL));
    assert(failed(status) == (config_error(config)[0] != '\0'));
    if (failed(status))
        return 0;
    const struct config_node *root = config_root(config);
    read_map(config, root);
    for (unsigned i = 0; i < config_map_count(root) && i < 64; i++) {
        const struct config_node *value = NULL;
        (void)config_map_key(config, root, i, &value);
        read_map(config, value);
    }
    status = config_finish(config);
    assert(failed(status) == (config_error(config)[0] != '\0'));
    assert(strlen(config_error(config)) < CONFIG_ERROR_MAX);
    return 0;
}
