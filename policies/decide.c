/* SPDX-License-Identifier: Apache-2.0 */
#include "policies/policy.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policies/policy_rules.h"

const struct policy_action_kind policy_action_kinds[POLICY_ACTION_COUNT] = {
    [POLICY_CARD_TOKENIZE] = {"card.tokenize", .tenant = true},
    [POLICY_CARD_MASK_READ] = {"card.mask_read", .tenant = true},
    [POLICY_CARD_DELETE] = {"card.delete", .tenant = true},
    [POLICY_CARD_MATCH] = {"card.match", .tenant = true},
    [POLICY_CVV_STORE] = {"cvv.store", .tenant = true},
    [POLICY_CARD_SUBMIT] = {"card.submit", .tenant = true, .destination = true},
    [POLICY_CARD_LEASE] = {"card.lease", .tenant = true, .destination = true},
    [POLICY_CARD_SETTLE] = {"card.settle", .tenant = true, .destination = true},
    [POLICY_AUDIT_READ] = {"audit.read", .tenant = false},
    [POLICY_BACKUP_CREATE] = {"backup.create", .tenant = false},
    [POLICY_SEAL_READ] = {"seal.read", .tenant = false},
    [POLICY_SEAL_MANAGE] = {"seal.manage", .tenant = false},
    [POLICY_SEAL_SHARE] = {"seal.share", .tenant = false},
    [POLICY_KEY_READ] = {"key.read", .tenant = false},
    [POLICY_KEY_ROTATE] = {"key.rotate", .tenant = false},
    [POLICY_KEY_CHANGE] = {"key.change", .tenant = false},
    [POLICY_KEY_APPROVE] = {"key.approve", .tenant = false},
    [POLICY_DATA_ERASE] = {"data.erase", .tenant = false},
    [POLICY_RETENTION_READ] = {"retention.read", .tenant = false},
};

static_assert(POLICY_ACTION_COUNT <= 32, "a rule's actions are the bits of one word");

/* Places in the policy's tables; -1: the question names none. */
struct facts {
    const struct policy_action_kind *kind;
    uint32_t action;
    int principal;
    int tenant;
    int destination;
    const char *purpose;
};

int policy_name_compare(const void *left, const void *right)
{
    return strcmp(left, right);
}

const struct policy_principal *policy_principal(const struct policy *policy, const char *name)
{
    if (policy->principal_count == 0)
        return NULL;
    return bsearch(name, policy->principals, policy->principal_count, sizeof *policy->principals,
                   policy_name_compare);
}

const struct policy_tenant *policy_tenant(const struct policy *policy, const char *name)
{
    if (policy->tenant_count == 0)
        return NULL;
    return bsearch(name, policy->tenants, policy->tenant_count, sizeof *policy->tenants,
                   policy_name_compare);
}

const struct policy_destination *policy_destination(const struct policy *policy, const char *name)
{
    if (policy->destination_count == 0)
        return NULL;
    return bsearch(name, policy->destinations, policy->destination_count,
                   sizeof *policy->destinations, policy_name_compare);
}

static int uri_compare(const void *uri, const void *element)
{
    const struct policy_principal *const *principal = element;
    return strcmp(uri, (*principal)->uri);
}

const struct policy_principal *policy_principal_by_uri(const struct policy *policy, const char *uri)
{
    if (policy->principal_count == 0)
        return NULL;
    const struct policy_principal *const *found =
        bsearch(uri, policy->by_uri, policy->principal_count, sizeof *policy->by_uri, uri_compare);
    return found == NULL ? NULL : *found;
}

STATUS policy_check_retention(const struct policy *policy, char *error, size_t error_size)
{
    for (unsigned i = 0; i < policy->tenant_count; i++) {
        const struct policy_tenant *tenant = &policy->tenants[i];
        if (tenant->retention_given)
            continue;
        (void)snprintf(error, error_size,
                       "tenant %s: `retention: {cards: ...}` is missing; production needs one",
                       tenant->name);
        return FAIL(WHY_BAD_INPUT);
    }
    return STATUS_OK;
}

const struct policy_tenant *policy_tenant_at(const struct policy *policy, unsigned index)
{
    return index < policy->tenant_count ? &policy->tenants[index] : NULL;
}

const struct policy_destination *policy_destination_at(const struct policy *policy, unsigned index)
{
    return index < policy->destination_count ? &policy->destinations[index] : NULL;
}

const char *policy_bundle(const struct policy *policy)
{
    return policy->bundle;
}

const char *policy_action_name(enum policy_action action)
{
    assert((unsigned)action < POLICY_ACTION_COUNT);
    return policy_action_kinds[action].name;
}

/* By its name and not by its address: a principal of a policy since replaced is no longer one. */
static int principal_place(const struct policy *policy, const struct policy_principal *principal)
{
    const struct policy_principal *own = policy_principal(policy, principal->name);

    if (own == NULL || strcmp(own->uri, principal->uri) != 0)
        return -1;
    return (int)(own - policy->principals);
}

/* False where the question lacks what its action needs, or names what the policy does not know. */
static bool facts_find(const struct policy *policy, const struct policy_question *question,
                       struct facts *out)
{
    bool has_tenant = question->tenant != NULL && question->tenant[0] != '\0';

    if ((unsigned)question->action >= POLICY_ACTION_COUNT || question->principal == NULL)
        return false;
    *out = (struct facts){.kind = &policy_action_kinds[question->action],
                          .action = UINT32_C(1) << question->action,
                          .principal = principal_place(policy, question->principal),
                          .tenant = -1,
                          .destination = -1,
                          .purpose = question->purpose};
    if (out->principal < 0)
        return false;
    if (has_tenant) {
        const struct policy_tenant *tenant = policy_tenant(policy, question->tenant);
        if (tenant == NULL)
            return false;
        out->tenant = (int)(tenant - policy->tenants);
    }
    if (question->destination != NULL) {
        const struct policy_destination *destination =
            policy_destination(policy, question->destination);
        if (destination == NULL)
            return false;
        out->destination = (int)(destination - policy->destinations);
    }
    return (out->tenant >= 0 || !out->kind->tenant) &&
           (out->destination >= 0 || !out->kind->destination);
}

/* A principal that has a tenant acts in that one only, whatever a rule says (ACC-7). */
static bool is_at_home(const struct policy *policy, const struct facts *facts)
{
    const char *home = policy->principals[facts->principal].tenant;

    if (home[0] == '\0')
        return true;
    return facts->tenant >= 0 && strcmp(policy->tenants[facts->tenant].name, home) == 0;
}

/* Where a rule names members and the question names none, the rule's effect decides which way is
 * the safe one: an allow does not apply, a deny does. */
static bool set_holds(const struct policy_rule *rule, const struct policy_set *set, int place)
{
    if (!set->given)
        return true;
    if (place < 0)
        return !rule->allow;
    return (set->words[place / 64] >> (place % 64) & 1u) != 0;
}

static bool purpose_holds(const struct policy_rule *rule, const char *purpose)
{
    if (rule->purpose_count == 0)
        return true;
    if (purpose == NULL)
        return !rule->allow;
    for (unsigned i = 0; i < rule->purpose_count; i++)
        if (strcmp(rule->purposes[i], purpose) == 0)
            return true;
    return false;
}

static bool rule_applies(const struct policy_rule *rule, const struct facts *facts)
{
    if ((rule->actions & facts->action) == 0)
        return false;
    if (!set_holds(rule, &rule->principals, facts->principal))
        return false;
    if (!set_holds(rule, &rule->tenants, facts->tenant))
        return false;
    /* A rule may have actions with a destination beside others without. */
    if (facts->kind->destination && !set_holds(rule, &rule->destinations, facts->destination))
        return false;
    return purpose_holds(rule, facts->purpose);
}

struct policy_decision policy_decide(const struct policy *policy,
                                     const struct policy_question *question)
{
    struct policy_decision decision = {.allowed = false, .rule = ""};
    struct facts facts;

    if (!facts_find(policy, question, &facts) || !is_at_home(policy, &facts))
        return decision;
    for (unsigned i = 0; i < policy->rule_count; i++) {
        const struct policy_rule *rule = &policy->rules[i];
        /* Behind the first allow only a deny is of interest. */
        if ((rule->allow && decision.allowed) || !rule_applies(rule, &facts))
            continue;
        memcpy(decision.rule, rule->id, sizeof decision.rule);
        decision.allowed = rule->allow;
        if (!rule->allow)
            return decision;
    }
    return decision;
}
