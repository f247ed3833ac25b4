/* SPDX-License-Identifier: Apache-2.0 */
/* policies/policy_rules.h -- a loaded policy from within, and how it becomes one.
 *
 * In      for policy_load.c and policy_rules.c, which fill it, and decide.c, which reads it; no one
 *         else includes this.
 * Out     tables in order of name.
 * Never   changes once loaded.
 * Threads one while loading, then any.
 */
#ifndef POLICIES_POLICY_RULES_H
#define POLICIES_POLICY_RULES_H

#include "policies/policy.h"

struct config;
struct config_node;

#define POLICY_PRINCIPALS_MAX   1024u
#define POLICY_TENANTS_MAX      256u
#define POLICY_DESTINATIONS_MAX 256u
#define POLICY_RULES_MAX        1024u
#define POLICY_PURPOSES_MAX     16u

/* What a question about an action must name. */
struct policy_action_kind {
    const char *name;
    bool tenant;
    bool destination;
};

extern const struct policy_action_kind policy_action_kinds[POLICY_ACTION_COUNT];

/* Members of a table, by index.  `given` is false where a rule says nothing about them. */
struct policy_set {
    uint64_t words[POLICY_PRINCIPALS_MAX / 64];
    bool given;
};

struct policy_rule {
    char id[POLICY_NAME_BYTES_MAX];
    bool allow;
    uint32_t actions; /* A bit for each. */
    struct policy_set principals;
    struct policy_set tenants;
    struct policy_set destinations;
    char (*purposes)[POLICY_NAME_BYTES_MAX];
    unsigned purpose_count; /* 0: any, also none. */
};

/* Tables are in order of name, which is the first member of each: found by bsearch(). */
struct policy {
    struct policy_tenant *tenants;
    unsigned tenant_count;
    struct policy_destination *destinations;
    unsigned destination_count;
    struct policy_principal *principals;
    unsigned principal_count;
    const struct policy_principal **by_uri; /* The same, in order of URI. */
    struct policy_rule *rules;              /* In the document's order. */
    unsigned rule_count;
    char bundle[sizeof "sha256:" + 64];
};

/* One document on its way to becoming a policy.  Errors stick to its config. */
struct policy_load {
    struct config *config;
    const struct config_node *root;
    struct policy *policy;
    bool no_memory;
};

/* Copies a name; complains and leaves `out` empty where it is none. */
void policy_load_name(struct policy_load *load, const struct config_node *node, const char *name,
                      char out[static POLICY_NAME_BYTES_MAX]);
/* Room for `count` elements; NULL where there are none, or too many, or no memory. */
void *policy_load_table(struct policy_load *load, const struct config_node *node, unsigned count,
                        unsigned count_max, size_t element_bytes);

/* The document's rules, once the other tables stand. */
void policy_rules_load(struct policy_load *load);

/* Orders by name: for qsort() and bsearch() over any of the tables, and for a name alone. */
int policy_name_compare(const void *left, const void *right);

#endif
