/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdio.h>

#include "vault/keeper_inside.h"

/* Which of the actions are about a destination, and so are decided item by item. */
static bool decide_has_destination(enum policy_action action)
{
    return action == POLICY_CARD_LEASE || action == POLICY_CARD_SETTLE ||
           action == POLICY_CARD_SUBMIT;
}

bool keeper_decide(struct keeper_op *op, const struct policy_question *question,
                   struct problem *out_problem)
{
    struct policy_decision decision = policy_decide(op->keeper->policy, question);

    (void)snprintf(op->rule, sizeof op->rule, "%s", decision.rule);
    if (decision.allowed)
        return true;
    problem_set(out_problem, PROBLEM_DENIED, NULL, NULL);
    (void)snprintf(out_problem->rule, sizeof out_problem->rule, "%s", decision.rule);
    return false;
}

bool keeper_may(struct keeper_op *op, enum policy_action action)
{
    struct policy_question question = {
        .action = action,
        .principal = op->principal,
        .tenant = op->tenant == NULL ? "" : op->tenant->name,
    };
    return policy_decide(op->keeper->policy, &question).allowed;
}

/* A caller without this right anywhere hears so at once, and not of what exists. */
static bool decide_ever(struct keeper_op *op)
{
    const struct policy *policy = op->keeper->policy;

    for (unsigned t = 0; policy_tenant_at(policy, t) != NULL; t++)
        for (unsigned d = 0; policy_destination_at(policy, d) != NULL; d++) {
            struct policy_question question = {
                .action = op->action,
                .principal = op->principal,
                .tenant = policy_tenant_at(policy, t)->name,
                .destination = policy_destination_at(policy, d)->name,
            };
            if (policy_decide(policy, &question).allowed)
                return true;
        }
    problem_set(&op->problem, PROBLEM_DENIED, NULL, NULL);
    return false;
}

bool keeper_authorize(struct keeper_op *op)
{
    const struct policy *policy = op->keeper->policy;

    assert(op->action < POLICY_ACTION_COUNT);
    if (op->caller->verified && op->caller->uri[0] != '\0')
        op->principal = policy_principal_by_uri(policy, op->caller->uri);
    if (op->principal == NULL) {
        problem_set(&op->problem, PROBLEM_UNKNOWN_PRINCIPAL, NULL, NULL);
        return false;
    }
    if (decide_has_destination(op->action))
        return decide_ever(op);
    struct policy_question question = {
        .action = op->action,
        .principal = op->principal,
        .tenant = op->principal->tenant,
    };
    if (!keeper_decide(op, &question, &op->problem))
        return false;
    if (op->principal->tenant[0] != '\0')
        op->tenant = policy_tenant(policy, op->principal->tenant);
    return true;
}
