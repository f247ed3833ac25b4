/* SPDX-License-Identifier: Apache-2.0 */
#include "policies/policy_rules.h"

#include <stdlib.h>
#include <string.h>

#include "base/config.h"

static const char *const effect_names[] = {"allow", "deny", NULL};

/* One of the policy's tables, as a rule's lists refer to it. */
struct table {
    const char *key;
    const void *elements;
    unsigned count;
    size_t element_bytes;
};

static void load_set(struct policy_load *load, const struct config_node *rule,
                     const struct table *table, struct policy_set *out)
{
    const struct config_node *list = config_list(load->config, rule, table->key, false);

    if (list == NULL)
        return;
    out->given = true;
    if (config_count(list) == 0)
        config_complain(load->config, list, "a list without names applies to nothing");
    for (unsigned i = 0; i < config_count(list); i++) {
        const struct config_node *node = config_at(list, i);
        const char *name = config_scalar(load->config, node);
        if (name == NULL)
            continue;
        const char *found = table->count == 0 ? NULL
                                              : bsearch(name, table->elements, table->count,
                                                        table->element_bytes, policy_name_compare);
        if (found == NULL) {
            config_complain(load->config, node, "this is not one of %s (there are no wildcards)",
                            table->key);
            continue;
        }
        size_t place = (size_t)(found - (const char *)table->elements) / table->element_bytes;
        out->words[place / 64] |= UINT64_C(1) << (place % 64);
    }
}

static void load_action(struct policy_load *load, const struct config_node *node,
                        struct policy_rule *rule)
{
    const char *name = config_scalar(load->config, node);

    if (name == NULL)
        return;
    for (unsigned i = 0; i < POLICY_ACTION_COUNT; i++) {
        if (strcmp(name, policy_action_kinds[i].name) == 0) {
            rule->actions |= UINT32_C(1) << i;
            return;
        }
    }
    config_complain(load->config, node, "there is no such action");
}

static void load_purposes(struct policy_load *load, const struct config_node *map,
                          struct policy_rule *rule)
{
    const struct config_node *list = config_list(load->config, map, "purposes", false);

    if (list == NULL)
        return;
    if (config_count(list) == 0)
        config_complain(load->config, list, "a list without names applies to nothing");
    rule->purposes = policy_load_table(load, list, config_count(list), POLICY_PURPOSES_MAX,
                                       sizeof *rule->purposes);
    if (rule->purposes == NULL)
        return;
    rule->purpose_count = config_count(list);
    for (unsigned i = 0; i < rule->purpose_count; i++) {
        const struct config_node *node = config_at(list, i);
        const char *purpose = config_scalar(load->config, node);
        if (purpose != NULL)
            policy_load_name(load, node, purpose, rule->purposes[i]);
    }
}

/* What its actions need must be there, so that no rule is wider than it reads. */
static void check_rule(struct policy_load *load, const struct config_node *map,
                       const struct policy_rule *rule)
{
    bool tenants = false;
    bool destinations = false;

    for (unsigned i = 0; i < POLICY_ACTION_COUNT; i++) {
        if ((rule->actions >> i & 1u) == 0)
            continue;
        tenants = tenants || policy_action_kinds[i].tenant;
        destinations = destinations || policy_action_kinds[i].destination;
    }
    if (!rule->principals.given)
        config_complain(load->config, map, "the rule names no principals");
    if (tenants && !rule->tenants.given)
        config_complain(load->config, map, "the rule's actions are on tenants: name them");
    if (destinations && !rule->destinations.given)
        config_complain(load->config, map, "the rule's actions have destinations: name them");
    if (!destinations && rule->destinations.given)
        config_complain(load->config, map, "none of the rule's actions has a destination");
    for (const struct policy_rule *other = load->policy->rules; other < rule; other++)
        if (rule->id[0] != '\0' && strcmp(other->id, rule->id) == 0)
            config_complain(load->config, map, "another rule has this id");
}

static void load_rule(struct policy_load *load, const struct config_node *map,
                      struct policy_rule *rule)
{
    const struct policy *policy = load->policy;
    const char *id = config_text(load->config, map, "id", NULL);
    const struct config_node *actions = config_list(load->config, map, "actions", true);

    if (id != NULL)
        policy_load_name(load, map, id, rule->id);
    rule->allow = config_choice(load->config, map, "effect", effect_names, -1) == 0;
    for (unsigned i = 0; actions != NULL && i < config_count(actions); i++)
        load_action(load, config_at(actions, i), rule);
    if (actions != NULL && rule->actions == 0)
        config_complain(load->config, map, "the rule names no actions");
    load_set(load, map,
             &(struct table){"principals", policy->principals, policy->principal_count,
                             sizeof *policy->principals},
             &rule->principals);
    load_set(
        load, map,
        &(struct table){"tenants", policy->tenants, policy->tenant_count, sizeof *policy->tenants},
        &rule->tenants);
    load_set(load, map,
             &(struct table){"destinations", policy->destinations, policy->destination_count,
                             sizeof *policy->destinations},
             &rule->destinations);
    load_purposes(load, map, rule);
    check_rule(load, map, rule);
}

void policy_rules_load(struct policy_load *load)
{
    struct policy *policy = load->policy;
    const struct config_node *list = config_list(load->config, load->root, "rules", false);
    unsigned count = list == NULL ? 0 : config_count(list);

    policy->rules = policy_load_table(load, list, count, POLICY_RULES_MAX, sizeof *policy->rules);
    if (policy->rules == NULL)
        return;
    policy->rule_count = count;
    for (unsigned i = 0; i < count; i++)
        load_rule(load, config_at(list, i), &policy->rules[i]);
}
