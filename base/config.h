/* SPDX-License-Identifier: Apache-2.0 */
/* base/config.h -- YAML whose every key is checked.
 *
 * In      a YAML file of up to CONFIG_BYTES_MAX bytes.
 * Out     typed values, and for the first thing wrong one sentence `file:line: what is wrong and
 * what would be right`.  Errors stick: read everything, then ask config_finish().  Keys that nobody
 *         asked for are refused there, with the nearest known key.
 * Never   expands anchors or tags; accepts a duplicate key; repeats a value that might be secret.
 * Threads one at a time; once finished, only read.
 */
#ifndef BASE_CONFIG_H
#define BASE_CONFIG_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#define CONFIG_BYTES_MAX (1u << 20)
#define CONFIG_ERROR_MAX 512u
/* As the fallback of a number: its absence is an error. */
#define CONFIG_REQUIRED INT64_MIN

struct config;
struct config_node; /* A map, a list or a scalar; owned by its config. */

/* Reads and parses; even when it fails with WHY_BAD_INPUT or WHY_NOT_FOUND, *out_config is given so
 * that config_error() can be asked. */
STATUS config_open(const char *path, struct config **out_config);
STATUS config_open_bytes(const char *name, const void *bytes, size_t size,
                         struct config **out_config);
void config_free(struct config **config);

/* The top-level map; NULL when there is none (config_error() says why). */
const struct config_node *config_root(const struct config *config);

/* A map's child.  config_map/_list record an error when the key is there with another kind, and
 * return NULL when it is absent; `required` makes absence an error. */
const struct config_node *config_map(struct config *config, const struct config_node *map,
                                     const char *key, bool required);
const struct config_node *config_list(struct config *config, const struct config_node *map,
                                      const char *key, bool required);
/* True when the key is there at all; counts as asking for it. */
bool config_has(struct config *config, const struct config_node *map, const char *key);

unsigned config_count(const struct config_node *list);
const struct config_node *config_at(const struct config_node *list, unsigned index);
/* The scalar's text, or NULL with an error recorded when the node is no scalar. */
const char *config_scalar(struct config *config, const struct config_node *node);

/* For maps whose keys are names: how many, and each key and value.  Counts as asking for it. */
unsigned config_map_count(const struct config_node *map);
const char *config_map_key(struct config *config, const struct config_node *map, unsigned index,
                           const struct config_node **out_value);

/* Scalars of a map.  `fallback` NULL (or a missing required key) records an error.  Where one is
 * recorded a text is NULL, a number its fallback (or `least`), a choice its fallback, a bool false.
 */
const char *config_text(struct config *config, const struct config_node *map, const char *key,
                        const char *fallback);
/* As config_text, for a key that may be absent without a default: NULL then. */
const char *config_text_or_null(struct config *config, const struct config_node *map,
                                const char *key);
/* A path, made relative to the file's folder; the config owns the text. */
const char *config_path(struct config *config, const struct config_node *map, const char *key,
                        const char *fallback);
int64_t config_int(struct config *config, const struct config_node *map, const char *key,
                   int64_t fallback, int64_t least, int64_t most);
bool config_bool(struct config *config, const struct config_node *map, const char *key,
                 bool fallback);
/* "64KiB", "2MiB", "512B" in bytes. */
int64_t config_size(struct config *config, const struct config_node *map, const char *key,
                    int64_t fallback, int64_t least, int64_t most);
/* "250ms", "5s", "15m", "24h", "90d" in milliseconds. */
int64_t config_duration_ms(struct config *config, const struct config_node *map, const char *key,
                           int64_t fallback, int64_t least, int64_t most);
/* Index of the value in `choices` (NULL-terminated); `fallback` when absent, -1 makes it required.
 */
int config_choice(struct config *config, const struct config_node *map, const char *key,
                  const char *const *choices, int fallback);
/* "127.0.0.1:8443" or "[::1]:8443"; host without brackets. */
void config_address(struct config *config, const struct config_node *map, const char *key,
                    const char *fallback, char *out_host, size_t host_size, uint16_t *out_port);

/* Records an error at the line of `node`, where none is recorded yet. */
void config_complain(struct config *config, const struct config_node *node, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The line a node begins at; 0 for NULL. */
unsigned config_line(const struct config_node *node);

/* Fails with WHY_BAD_INPUT when anything was wrong or any key was never asked for. */
STATUS config_finish(struct config *config);
/* Memory ran out on what stands in it: config_finish() fails with WHY_NO_MEMORY. */
void config_no_memory(struct config *config);
/* "" while nothing is wrong. */
const char *config_error(const struct config *config);

#endif
