/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/refusal.h"

#include <assert.h>
#include <string.h>

#include "policies/policy.h"

#define ROW(name, status_, code_, title_)                                                          \
    [PROBLEM_##name] = {.status = (status_), .code = (code_), .title = (title_)},

static const struct http_problem table[PROBLEM_COUNT] = {CONTRACT_PROBLEMS(ROW)};

enum problem_code refusal_find(const char *code)
{
    for (int i = PROBLEM_NONE + 1; i < PROBLEM_COUNT; i++)
        if (strcmp(table[i].code, code) == 0)
            return (enum problem_code)i;
    return PROBLEM_NONE;
}

struct http_problem refusal_of(enum problem_code code)
{
    assert(code > PROBLEM_NONE && code < PROBLEM_COUNT);
    return table[code];
}

int refusal_status(enum problem_code code)
{
    return refusal_of(code).status;
}

const char *refusal_name(enum problem_code code)
{
    return refusal_of(code).code;
}

void refusal_answer(struct http_call *call, enum problem_code code,
                    const struct policy_decision *decision)
{
    struct http_problem problem = refusal_of(code);

    if (code == PROBLEM_DENIED && decision != NULL && decision->rule[0] != '\0')
        problem.rule = decision->rule;
    http_answer_problem(call, &problem, NULL);
}
