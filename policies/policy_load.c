/* SPDX-License-Identifier: Apache-2.0 */
#include "policies/policy.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/config.h"
#include "base/encode.h"
#include "base/own.h"
#include "policies/policy_rules.h"

#define CVV_LIFETIME_DEFAULT_MS (15 * 60 * 1000)
#define CVV_LIFETIME_LEAST_MS   1000
#define DAY_MS                  (24 * 3600 * 1000LL)
#define RETENTION_DEFAULT_MS    (400 * DAY_MS)
#define RETENTION_LEAST_MS      1000
#define RETENTION_MOST_MS       (100 * 366 * DAY_MS)
#define LUHN_PREFIX_DIGITS_MAX  8u
#define LUHN_PREFIXES_MAX       8u

static_assert(offsetof(struct policy_tenant, name) == 0, "found by name");
static_assert(offsetof(struct policy_destination, name) == 0, "found by name");
static_assert(offsetof(struct policy_principal, name) == 0, "found by name");
static_assert(POLICY_TENANTS_MAX <= POLICY_PRINCIPALS_MAX, "a set has room for any table");
static_assert(POLICY_DESTINATIONS_MAX <= POLICY_PRINCIPALS_MAX, "a set has room for any table");

/* The names of enum policy_luhn and enum policy_format, in their order. */
static const char *const luhn_names[] = {"require", "warn", "off", NULL};
static const char *const format_names[] = {"opaque", "uuid", "card", NULL};

static void fd_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

/* [a-z0-9][a-z0-9._-]{0,62}: nothing that would need quoting in a log, a path or a metric. */
static bool name_good(const char *name)
{
    size_t size = strlen(name);

    if (size == 0 || size >= POLICY_NAME_BYTES_MAX || strchr("._-", name[0]) != NULL)
        return false;
    return strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789._-") == size;
}

void policy_load_name(struct policy_load *load, const struct config_node *node, const char *name,
                      char out[static POLICY_NAME_BYTES_MAX])
{
    if (name_good(name))
        memcpy(out, name, strlen(name) + 1);
    else
        config_complain(load->config, node,
                        "a name has 1 to 63 of a-z 0-9 . _ - and begins with a letter or digit");
}

void *policy_load_table(struct policy_load *load, const struct config_node *node, unsigned count,
                        unsigned count_max, size_t element_bytes)
{
    if (count > count_max) {
        config_complain(load->config, node, "there may be at most %u of these", count_max);
        return NULL;
    }
    void *table = count == 0 ? NULL : calloc(count, element_bytes);
    load->no_memory = load->no_memory || (count > 0 && table == NULL);
    return table;
}

/* ---- Tenants ---- */

static void luhn_prefix_add(struct policy_load *load, const struct config_node *node,
                            struct policy_tenant *tenant)
{
    const char *text = config_scalar(load->config, node);
    unsigned prefix = 0;
    if (text == NULL)
        return;
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > LUHN_PREFIX_DIGITS_MAX || text[digits] != '\0' || text[0] == '0') {
        config_complain(load->config, node, "a prefix has 1 to %u digits, the first not 0",
                        LUHN_PREFIX_DIGITS_MAX);
        return;
    }
    for (size_t i = 0; i < digits; i++)
        prefix = prefix * 10 + (unsigned)(text[i] - '0');
    tenant->luhn_off_prefixes[tenant->luhn_off_prefix_count++] = prefix;
}

static void load_luhn(struct policy_load *load, const struct config_node *map,
                      struct policy_tenant *tenant)
{
    tenant->luhn =
        (enum policy_luhn)config_choice(load->config, map, "luhn", luhn_names, POLICY_LUHN_REQUIRE);
    if (!config_has(load->config, map, "luhn_off_prefixes")) {
        tenant->luhn_off_prefixes[0] = 62; /* Not all of these cards pass (standards.md 5.1). */
        tenant->luhn_off_prefixes[1] = 81;
        tenant->luhn_off_prefix_count = 2;
        return;
    }
    const struct config_node *list = config_list(load->config, map, "luhn_off_prefixes", false);
    if (list == NULL)
        return;
    if (config_count(list) > LUHN_PREFIXES_MAX) {
        config_complain(load->config, list, "there may be at most %u prefixes", LUHN_PREFIXES_MAX);
        return;
    }
    for (unsigned i = 0; i < config_count(list); i++)
        luhn_prefix_add(load, config_at(list, i), tenant);
}

static void format_allow(struct policy_load *load, const struct config_node *node,
                         struct policy_tenant *tenant)
{
    const char *name = config_scalar(load->config, node);
    if (name == NULL)
        return;
    for (unsigned i = 0; i < POLICY_FORMAT_COUNT; i++) {
        if (strcmp(name, format_names[i]) == 0) {
            tenant->formats[i] = true;
            return;
        }
    }
    config_complain(load->config, node, "a token format is opaque, uuid or card");
}

static void load_formats(struct policy_load *load, const struct config_node *map,
                         struct policy_tenant *tenant)
{
    const struct config_node *list = config_list(load->config, map, "formats", false);
    const struct config_node *shape = config_map(load->config, map, "card_shaped", false);

    tenant->formats[POLICY_FORMAT_OPAQUE] = list == NULL;
    tenant->formats[POLICY_FORMAT_UUID] = list == NULL;
    for (unsigned i = 0; list != NULL && i < config_count(list); i++)
        format_allow(load, config_at(list, i), tenant);
    tenant->format = (enum policy_format)config_choice(load->config, map, "format", format_names,
                                                       POLICY_FORMAT_OPAQUE);
    if ((unsigned)tenant->format < POLICY_FORMAT_COUNT && !tenant->formats[tenant->format])
        config_complain(load->config, map, "the format %s is not one of this tenant's formats",
                        format_names[tenant->format]);

    tenant->card_keep_first = 6;
    tenant->card_keep_last = true;
    if (shape == NULL)
        return;
    tenant->card_keep_first =
        (unsigned)config_int(load->config, shape, "keep_first", tenant->card_keep_first, 0, 8);
    if (tenant->card_keep_first != 0 && tenant->card_keep_first != 6 &&
        tenant->card_keep_first != 8)
        config_complain(load->config, shape, "keep_first is 0, 6 or 8");
    tenant->card_keep_last = config_bool(load->config, shape, "keep_last", true);
    tenant->card_pass_luhn = config_bool(load->config, shape, "pass_luhn", false);
}

static void load_retention(struct policy_load *load, const struct config_node *map,
                           struct policy_tenant *tenant)
{
    const struct config_node *own = config_map(load->config, map, "retention", false);

    tenant->retention_ms = RETENTION_DEFAULT_MS;
    if (own == NULL)
        return;
    tenant->retention_given = true;
    tenant->retention_ms = config_duration_ms(load->config, own, "cards", CONFIG_REQUIRED,
                                              RETENTION_LEAST_MS, RETENTION_MOST_MS);
}

static void load_tenants(struct policy_load *load)
{
    struct policy *policy = load->policy;
    const struct config_node *map = config_map(load->config, load->root, "tenants", false);
    unsigned count = map == NULL ? 0 : config_map_count(map);

    policy->tenants =
        policy_load_table(load, map, count, POLICY_TENANTS_MAX, sizeof *policy->tenants);
    if (policy->tenants == NULL)
        return;
    for (unsigned i = 0; i < count; i++) {
        struct policy_tenant *tenant = &policy->tenants[i];
        const struct config_node *value = NULL;
        const char *name = config_map_key(load->config, map, i, &value);
        const struct config_node *own = config_map(load->config, map, name, true);
        policy_load_name(load, value, name, tenant->name);
        if (own == NULL)
            continue;
        load_luhn(load, own, tenant);
        load_formats(load, own, tenant);
        load_retention(load, own, tenant);
        tenant->one_token_per_card = config_bool(load->config, own, "one_token_per_card", false);
        tenant->cvv_lifetime_ms =
            config_duration_ms(load->config, own, "cvv_lifetime", CVV_LIFETIME_DEFAULT_MS,
                               CVV_LIFETIME_LEAST_MS, POLICY_CVV_LIFETIME_MAX_MS);
    }
    policy->tenant_count = count;
    qsort(policy->tenants, count, sizeof *policy->tenants, policy_name_compare);
}

/* ---- Destinations and principals ---- */

static void load_destinations(struct policy_load *load)
{
    struct policy *policy = load->policy;
    const struct config_node *map = config_map(load->config, load->root, "destinations", false);
    unsigned count = map == NULL ? 0 : config_map_count(map);

    policy->destinations =
        policy_load_table(load, map, count, POLICY_DESTINATIONS_MAX, sizeof *policy->destinations);
    if (policy->destinations == NULL)
        return;
    for (unsigned i = 0; i < count; i++) {
        const struct config_node *value = NULL;
        const char *name = config_map_key(load->config, map, i, &value);
        /* Nothing to say about one yet; what is said is refused as an unknown key. */
        (void)config_map(load->config, map, name, true);
        policy_load_name(load, value, name, policy->destinations[i].name);
    }
    policy->destination_count = count;
    qsort(policy->destinations, count, sizeof *policy->destinations, policy_name_compare);
}

static void load_principal(struct policy_load *load, const struct config_node *map,
                           struct policy_principal *principal)
{
    const char *uri = config_text(load->config, map, "uri", NULL);
    const char *tenant = config_text_or_null(load->config, map, "tenant");

    if (uri != NULL && uri[0] != '\0' && strlen(uri) < sizeof principal->uri)
        memcpy(principal->uri, uri, strlen(uri) + 1);
    else if (uri != NULL)
        config_complain(load->config, map, "a principal's uri has 1 to %zu characters",
                        sizeof principal->uri - 1);
    if (tenant == NULL)
        return;
    if (policy_tenant(load->policy, tenant) != NULL)
        memcpy(principal->tenant, tenant, strlen(tenant) + 1);
    else
        config_complain(load->config, map, "the principal's tenant is not one of tenants");
}

static int uri_order(const void *left, const void *right)
{
    const struct policy_principal *const *first = left;
    const struct policy_principal *const *second = right;
    return strcmp((*first)->uri, (*second)->uri);
}

/* Two principals with one URI would be one certificate with two names. */
static void index_uris(struct policy_load *load, const struct config_node *map)
{
    struct policy *policy = load->policy;

    policy->by_uri = policy_load_table(load, map, policy->principal_count, POLICY_PRINCIPALS_MAX,
                                       sizeof *policy->by_uri);
    if (policy->by_uri == NULL)
        return;
    for (unsigned i = 0; i < policy->principal_count; i++)
        policy->by_uri[i] = &policy->principals[i];
    qsort(policy->by_uri, policy->principal_count, sizeof *policy->by_uri, uri_order);
    for (unsigned i = 1; i < policy->principal_count; i++) {
        const struct policy_principal *twin = policy->by_uri[i - 1];
        const struct policy_principal *own = policy->by_uri[i];
        if (own->uri[0] != '\0' && strcmp(own->uri, twin->uri) == 0)
            config_complain(load->config, config_map(load->config, map, own->name, false),
                            "the principals %s and %s have the same uri", twin->name, own->name);
    }
}

static void load_principals(struct policy_load *load)
{
    struct policy *policy = load->policy;
    const struct config_node *map = config_map(load->config, load->root, "principals", false);
    unsigned count = map == NULL ? 0 : config_map_count(map);

    policy->principals =
        policy_load_table(load, map, count, POLICY_PRINCIPALS_MAX, sizeof *policy->principals);
    if (policy->principals == NULL)
        return;
    for (unsigned i = 0; i < count; i++) {
        const struct config_node *value = NULL;
        const char *name = config_map_key(load->config, map, i, &value);
        const struct config_node *own = config_map(load->config, map, name, true);
        policy_load_name(load, value, name, policy->principals[i].name);
        if (own != NULL)
            load_principal(load, own, &policy->principals[i]);
    }
    policy->principal_count = count;
    qsort(policy->principals, count, sizeof *policy->principals, policy_name_compare);
    index_uris(load, map);
}

/* ---- The document ---- */

static STATUS document_read(const char *path, struct buffer *out)
{
    OWNED(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);

    ENSURE(fd >= 0 || errno != ENOENT, WHY_NOT_FOUND);
    ENSURE(fd >= 0, WHY_IO);
    for (;;) {
        uint8_t block[4096];
        ssize_t count = read(fd, block, sizeof block);
        if (count < 0 && errno == EINTR)
            continue;
        ENSURE(count >= 0, WHY_IO);
        if (count == 0)
            return buffer_status(out);
        buffer_add(out, block, (size_t)count);
        TRY(buffer_status(out)); /* Ends at the largest document, whatever the file is. */
    }
}

/* The hash is of the very bytes that are parsed: the file may change under us. */
static void bundle_of(const struct buffer *document, struct policy *policy)
{
    uint8_t hash[crypto_hash_sha256_BYTES];

    crypto_hash_sha256(hash, document->bytes, document->size);
    memcpy(policy->bundle, "sha256:", sizeof "sha256:");
    encode_hex(hash, sizeof hash, policy->bundle + strlen("sha256:"));
}

static STATUS load_all(struct policy_load *load)
{
    load->root = config_root(load->config);
    ENSURE(load->root != NULL, WHY_BAD_INPUT);
    load_tenants(load);
    load_destinations(load);
    load_principals(load);
    policy_rules_load(load);
    ENSURE(!load->no_memory, WHY_NO_MEMORY);
    return config_finish(load->config);
}

STATUS policy_load(const char *path, struct policy **out_policy, char *error, size_t error_size)
{
    OWNED(buffer_free) struct buffer document = BUFFER(CONFIG_BYTES_MAX);
    OWNED(config_free) struct config *config = NULL;
    OWNED(policy_free) struct policy *policy = calloc(1, sizeof *policy);
    ENSURE(policy != NULL, WHY_NO_MEMORY);

    struct status status = document_read(path, &document);
    if (failed(status)) {
        snprintf(error, error_size, "%s: the policy cannot be read (%s)", path,
                 status_name(status.why));
        return status;
    }
    bundle_of(&document, policy);
    status = config_open_bytes(path, buffer_text(&document), document.size, &config);
    if (!failed(status))
        status = load_all(&(struct policy_load){.config = config, .policy = policy});
    if (failed(status)) {
        snprintf(error, error_size, "%s", config == NULL ? path : config_error(config));
        return status;
    }
    *out_policy = MOVE(policy);
    return STATUS_OK;
}

void policy_free(struct policy **policy)
{
    if (*policy == NULL)
        return;
    for (unsigned i = 0; i < (*policy)->rule_count; i++)
        free((*policy)->rules[i].purposes);
    free((*policy)->rules);
    free((*policy)->by_uri);
    free((*policy)->principals);
    free((*policy)->destinations);
    free((*policy)->tenants);
    free(*policy);
    *policy = NULL;
}
