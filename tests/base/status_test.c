/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include <string.h>

#include "base/own.h"
#include "base/status.h"

STATUS fails_with(enum why why);
STATUS passes_on(enum why why, bool *out_reached);
STATUS insists(bool condition);

STATUS fails_with(enum why why)
{
    if (why == WHY_NONE)
        return STATUS_OK;
    return FAIL(why);
}

STATUS passes_on(enum why why, bool *out_reached)
{
    TRY(fails_with(why));
    *out_reached = true;
    return STATUS_OK;
}

STATUS insists(bool condition)
{
    ENSURE(condition, WHY_DENIED);
    return STATUS_OK;
}

Test(status, names_every_reason_and_no_two_alike)
{
    for (unsigned i = 0; i < WHY_COUNT; i++) {
        const char *name = status_name((enum why)i);
        cr_assert(name != NULL, "reason %u has a name", i);
        cr_assert(name[0] != '\0');
        for (unsigned j = 0; j < i; j++)
            cr_expect(strcmp(name, status_name((enum why)j)) != 0, "%u and %u", i, j);
    }
    cr_assert_str_eq(status_name(WHY_BAD_INPUT), "bad input");
    cr_assert_str_eq(status_name(WHY_BUSY), "busy");
}

Test(status, tells_failure_from_success)
{
    cr_assert(!failed(STATUS_OK));
    for (unsigned i = 1; i < WHY_COUNT; i++)
        cr_assert(failed(FAIL((enum why)i)));
}

Test(status, says_where_it_failed)
{
    struct status status = fails_with(WHY_IO);
    cr_assert(strstr(status.where, "status_test.c:") != NULL, "%s", status.where);
    cr_assert(status.where[0] != '/', "paths are relative to the repository");
}

Test(status, passes_a_failure_up_and_stops_there)
{
    bool reached = false;
    struct status status = passes_on(WHY_FORGED, &reached);
    cr_assert_eq(status.why, WHY_FORGED);
    cr_assert(!reached);
    status = passes_on(WHY_NONE, &reached);
    cr_assert(!failed(status));
    cr_assert(reached);
}

Test(status, ensures_or_refuses)
{
    struct status yes = insists(true);
    struct status no = insists(false);
    cr_assert(!failed(yes));
    cr_assert_eq(no.why, WHY_DENIED);
}

static unsigned ended_count;

static void end_it(int **pointer)
{
    ended_count += *pointer != NULL ? 1 : 0;
}

Test(own, ends_with_its_scope_unless_moved)
{
    int thing = 0;
    {
        OWNED(end_it) int *owned = &thing;
        cr_assert(owned != NULL);
    }
    cr_assert_eq(ended_count, 1u);
    int *taken = NULL;
    {
        OWNED(end_it) int *owned = &thing;
        taken = MOVE(owned);
        cr_assert(owned == NULL);
    }
    cr_assert_eq(ended_count, 1u);
    cr_assert(taken == &thing);
}
