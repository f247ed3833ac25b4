/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/config_tree.h"
#include "base/own.h"

/* Maps and lists */

static const char *kind_name(enum config_kind kind)
{
    static const char *const names[] = {
        [CONFIG_SCALAR] = "a text", [CONFIG_MAP] = "a map", [CONFIG_LIST] = "a list"};
    return names[kind];
}

static void complain_missing(struct config *config, const struct config_node *map, const char *key)
{
    if (map == NULL || map->key == NULL)
        config_complain(config, map, "\"%s\" is missing", key);
    else
        config_complain(config, map, "\"%s\" is missing in \"%s\"", key, map->key);
}

static void complain_kind(struct config *config, const struct config_node *node,
                          enum config_kind wanted)
{
    char title[CONFIG_TITLE_MAX];
    config_tree_title(node, title);
    if (node->kind == CONFIG_SCALAR && node->text[0] == '\0')
        config_complain(config, node, "%s has no value; %s is expected", title, kind_name(wanted));
    else
        config_complain(config, node, "%s is %s; %s is expected", title, kind_name(node->kind),
                        kind_name(wanted));
}

static const struct config_node *find_kind(struct config *config, const struct config_node *map,
                                           const char *key, enum config_kind kind, bool required)
{
    assert(config != NULL);
    assert(key != NULL);
    const struct config_node *node = config_tree_ask(config, map, key);
    if (node == NULL) {
        if (required)
            complain_missing(config, map, key);
        return NULL;
    }
    /* `key:` with nothing behind it is nothing, not an empty text. */
    bool nothing = kind == CONFIG_SCALAR && node->plain && node->text[0] == '\0';
    if (node->kind == kind && !nothing)
        return node;
    complain_kind(config, node, kind);
    return NULL;
}

const struct config_node *config_map(struct config *config, const struct config_node *map,
                                     const char *key, bool required)
{
    return find_kind(config, map, key, CONFIG_MAP, required);
}

const struct config_node *config_list(struct config *config, const struct config_node *map,
                                      const char *key, bool required)
{
    return find_kind(config, map, key, CONFIG_LIST, required);
}

bool config_has(struct config *config, const struct config_node *map, const char *key)
{
    return config_tree_ask(config, map, key) != NULL;
}

unsigned config_count(const struct config_node *list)
{
    return list == NULL || list->kind != CONFIG_LIST ? 0 : list->child_count;
}

const struct config_node *config_at(const struct config_node *list, unsigned index)
{
    assert(index < config_count(list));
    return list->children[index];
}

unsigned config_map_count(const struct config_node *map)
{
    return map == NULL || map->kind != CONFIG_MAP ? 0 : map->child_count;
}

const char *config_map_key(struct config *config, const struct config_node *map, unsigned index,
                           const struct config_node **out_value)
{
    assert(index < config_map_count(map));
    struct config_node *node = config->nodes[map->children[index]->index];
    node->asked = true;
    *out_value = node;
    return node->key;
}

const char *config_scalar(struct config *config, const struct config_node *node)
{
    if (node != NULL && node->kind == CONFIG_SCALAR && !(node->plain && node->text[0] == '\0'))
        return node->text;
    if (node == NULL)
        config_complain(config, NULL, "a value is missing");
    else
        complain_kind(config, node, CONFIG_SCALAR);
    return NULL;
}

/* Texts */

/* The scalar; NULL with an error recorded when it is required and absent, or is none. */
static const struct config_node *find_scalar(struct config *config, const struct config_node *map,
                                             const char *key, bool required)
{
    return find_kind(config, map, key, CONFIG_SCALAR, required);
}

/* `wanted` is what would be right, as the end of a sentence. */
static void complain_value(struct config *config, const struct config_node *node,
                           const char *wanted)
{
    char title[CONFIG_TITLE_MAX];
    char shown[CONFIG_SHOWN_MAX];
    config_tree_title(node, title);
    config_tree_show(node, shown);
    config_complain(config, node, "%s is %s; write %s", title, shown, wanted);
}

/* True when the key is absent, so that a fallback counts; false when it is there but wrong. */
static bool is_absent(struct config *config, const struct config_node *map, const char *key)
{
    return !config_has(config, map, key);
}

const char *config_text(struct config *config, const struct config_node *map, const char *key,
                        const char *fallback)
{
    const struct config_node *node = find_scalar(config, map, key, fallback == NULL);
    if (node != NULL)
        return node->text;
    return is_absent(config, map, key) ? fallback : NULL;
}

const char *config_text_or_null(struct config *config, const struct config_node *map,
                                const char *key)
{
    const struct config_node *node = find_scalar(config, map, key, false);
    return node == NULL ? NULL : node->text;
}

const char *config_path(struct config *config, const struct config_node *map, const char *key,
                        const char *fallback)
{
    const char *path = config_text(config, map, key, fallback);
    const char *folder_end = strrchr(config->name, '/');
    if (path == NULL || path[0] == '/' || folder_end == NULL)
        return path;
    size_t folder_size = (size_t)(folder_end - config->name) + 1;
    size_t size = folder_size + strlen(path) + 1;
    char *joined = calloc(1, size);
    if (joined == NULL) {
        config_no_memory(config);
        return NULL;
    }
    snprintf(joined, size, "%.*s%s", (int)folder_size, config->name, path);
    if (!config_tree_add((void ***)&config->texts, &config->text_count, joined)) {
        free(joined);
        config_no_memory(config);
        return NULL;
    }
    return joined;
}

bool config_bool(struct config *config, const struct config_node *map, const char *key,
                 bool fallback)
{
    const struct config_node *node = find_scalar(config, map, key, false);
    if (node == NULL)
        return fallback;
    if (strcmp(node->text, "true") == 0)
        return true;
    if (strcmp(node->text, "false") != 0)
        complain_value(config, node, "true or false");
    return false;
}

int config_choice(struct config *config, const struct config_node *map, const char *key,
                  const char *const *choices, int fallback)
{
    const struct config_node *node = find_scalar(config, map, key, fallback < 0);
    if (node == NULL)
        return fallback;
    for (int i = 0; choices[i] != NULL; i++)
        if (strcmp(choices[i], node->text) == 0)
            return i;
    char wanted[256] = "";
    size_t used = 0;
    for (unsigned i = 0; choices[i] != NULL && used < sizeof wanted; i++) {
        const char *between = i == 0 ? "" : choices[i + 1] == NULL ? " or " : ", ";
        used += (size_t)snprintf(wanted + used, sizeof wanted - used, "%s%s", between, choices[i]);
    }
    complain_value(config, node, wanted);
    return fallback;
}

/* Numbers with units */

struct unit {
    const char *name;
    int64_t factor;
};

static const struct unit no_units[] = {{"", 1}, {NULL, 0}};
static const struct unit size_units[] = {
    {"B", 1}, {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {NULL, 0}};
static const struct unit time_units[] = {
    {"ms", 1}, {"s", 1000}, {"m", 60 * 1000}, {"h", 3600 * 1000}, {"d", 24 * 3600 * 1000},
    {NULL, 0}};

/* Digits and one of the units behind them, nothing else. */
static STATUS parse_amount(const char *text, const struct unit *units, int64_t *out_value)
{
    const char *at = text;
    int64_t value = 0;
    bool negative = units == no_units && *at == '-';
    at += negative;
    ENSURE(*at >= '0' && *at <= '9', WHY_BAD_INPUT);
    for (; *at >= '0' && *at <= '9'; at++)
        ENSURE(!__builtin_mul_overflow(value, 10, &value) &&
                   !__builtin_add_overflow(value, *at - '0', &value),
               WHY_BAD_INPUT);
    for (; units->name != NULL; units++) {
        if (strcmp(units->name, at) != 0)
            continue;
        ENSURE(!__builtin_mul_overflow(value, units->factor, &value), WHY_BAD_INPUT);
        *out_value = negative ? -value : value;
        return STATUS_OK;
    }
    return FAIL(WHY_BAD_INPUT);
}

/* `value` in the largest unit that leaves no rest. */
static void format_amount(int64_t value, const struct unit *units, char *out, size_t out_size)
{
    const struct unit *best = &units[0];
    for (const struct unit *unit = units; unit->name != NULL && value != 0; unit++)
        if (value % unit->factor == 0)
            best = unit;
    snprintf(out, out_size, "%lld%s", (long long)(value / best->factor), best->name);
}

struct amount {
    const struct unit *units;
    const char *form; /* `a size such as 512B, 64KiB or 2MiB`. */
    int64_t fallback;
    int64_t least;
    int64_t most;
};

static int64_t read_amount(struct config *config, const struct config_node *map, const char *key,
                           const struct amount *amount)
{
    bool required = amount->fallback == CONFIG_REQUIRED;
    const struct config_node *node = find_scalar(config, map, key, required);
    int64_t fallback = required ? amount->least : amount->fallback;
    if (node == NULL)
        return fallback;
    int64_t value = 0;
    if (!failed(parse_amount(node->text, amount->units, &value)) && value >= amount->least &&
        value <= amount->most)
        return value;
    char least[32];
    char most[32];
    char wanted[128];
    format_amount(amount->least, amount->units, least, sizeof least);
    format_amount(amount->most, amount->units, most, sizeof most);
    snprintf(wanted, sizeof wanted, "%s from %s to %s", amount->form, least, most);
    complain_value(config, node, wanted);
    return fallback;
}

int64_t config_int(struct config *config, const struct config_node *map, const char *key,
                   int64_t fallback, int64_t least, int64_t most)
{
    struct amount amount = {no_units, "a whole number", fallback, least, most};
    return read_amount(config, map, key, &amount);
}

int64_t config_size(struct config *config, const struct config_node *map, const char *key,
                    int64_t fallback, int64_t least, int64_t most)
{
    struct amount amount = {size_units, "a size (B, KiB, MiB, GiB)", fallback, least, most};
    return read_amount(config, map, key, &amount);
}

int64_t config_duration_ms(struct config *config, const struct config_node *map, const char *key,
                           int64_t fallback, int64_t least, int64_t most)
{
    struct amount amount = {time_units, "a duration (ms, s, m, h, d)", fallback, least, most};
    return read_amount(config, map, key, &amount);
}

/* Addresses */

static STATUS split_address(const char *text, char *out_host, size_t host_size, uint16_t *out_port)
{
    const char *host = text;
    const char *colon = strrchr(text, ':');
    ENSURE(colon != NULL, WHY_BAD_INPUT);
    size_t size = (size_t)(colon - text);
    if (text[0] == '[') {
        ENSURE(size >= 2 && colon[-1] == ']', WHY_BAD_INPUT);
        host++;
        size -= 2;
    } else {
        ENSURE(memchr(text, ':', size) == NULL, WHY_BAD_INPUT); /* IPv6 without its brackets. */
    }
    ENSURE(size > 0 && size < host_size, WHY_BAD_INPUT);
    for (size_t i = 0; i < size; i++)
        ENSURE(host[i] > ' ' && host[i] < 0x7f && strchr("[]/@", host[i]) == NULL, WHY_BAD_INPUT);
    int64_t port = 0;
    TRY(parse_amount(colon + 1, no_units, &port));
    ENSURE(port >= 0 && port <= UINT16_MAX, WHY_BAD_INPUT);
    memcpy(out_host, host, size);
    out_host[size] = '\0';
    *out_port = (uint16_t)port;
    return STATUS_OK;
}

void config_address(struct config *config, const struct config_node *map, const char *key,
                    const char *fallback, char *out_host, size_t host_size, uint16_t *out_port)
{
    assert(host_size > 0);
    out_host[0] = '\0';
    *out_port = 0;
    const char *text = config_text(config, map, key, fallback);
    if (text == NULL || !failed(split_address(text, out_host, host_size, out_port)))
        return;
    const struct config_node *node = find_scalar(config, map, key, false);
    assert(node != NULL); /* A fallback is an address. */
    complain_value(config, node, "an address such as 127.0.0.1:8443 or [::1]:8443");
}
