/* SPDX-License-Identifier: Apache-2.0 */
#include "base/calls.h"

#include <assert.h>
#include <errno.h>

#include "base/own.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define CALLS_UNDER_SANITIZER
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CALLS_UNDER_SANITIZER
#endif

static void filter_free(scmp_filter_ctx *filter)
{
    if (*filter != NULL)
        seccomp_release(*filter);
    *filter = NULL;
}

static STATUS filter_new(uint32_t otherwise, scmp_filter_ctx *out_filter)
{
    scmp_filter_ctx filter OWNED(filter_free) = seccomp_init(otherwise);
    ENSURE(filter != NULL, WHY_NO_MEMORY);
    /* Calls by the numbers of another architecture, x32 among them, would go past the lists. */
    ENSURE(seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) == 0, WHY_IO);
    /* A binary tree: what a call costs does not depend on where its list has it. */
    ENSURE(seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2) == 0, WHY_IO);
    *out_filter = MOVE(filter);
    return STATUS_OK;
}

static STATUS rule_add(scmp_filter_ctx filter, const struct call_rule *rule)
{
    uint32_t action = rule->instead == 0 ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO((uint32_t)rule->instead);

    assert(rule->why != NULL);
    assert(rule->limit_count <= CALLS_LIMITS_MAX);
    if (rule->number < 0)
        return STATUS_OK; /* A call that this architecture does not have. */
    int rc = seccomp_rule_add_array(filter, action, rule->number, rule->limit_count, rule->limits);
    ENSURE(rc == 0 || rc == -EEXIST, WHY_IO); /* Two lists may name the same. */
    return STATUS_OK;
}

bool calls_filtered(void)
{
#if defined(CALLS_UNDER_SANITIZER)
    return false;
#else
    return true;
#endif
}

STATUS calls_restrict(const struct call_list *const *lists)
{
    scmp_filter_ctx filter OWNED(filter_free) = NULL;

    if (!calls_filtered())
        return STATUS_OK;
    TRY(filter_new(SCMP_ACT_KILL_PROCESS, &filter));
    for (unsigned i = 0; lists[i] != NULL; i++) {
        assert(i < CALLS_LISTS_MAX);
        for (size_t k = 0; k < lists[i]->count; k++)
            TRY(rule_add(filter, &lists[i]->rules[k]));
    }
    ENSURE(seccomp_load(filter) == 0, WHY_IO);
    return STATUS_OK;
}

STATUS calls_refuse(const struct call_list *list)
{
    scmp_filter_ctx filter OWNED(filter_free) = NULL;

    if (!calls_filtered())
        return STATUS_OK;
    TRY(filter_new(SCMP_ACT_ALLOW, &filter));
    for (size_t i = 0; i < list->count; i++) {
        int number = list->rules[i].number;
        if (number >= 0)
            ENSURE(seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, number, 0) == 0, WHY_IO);
    }
    ENSURE(seccomp_load(filter) == 0, WHY_IO);
    return STATUS_OK;
}
