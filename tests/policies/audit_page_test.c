/* SPDX-License-Identifier: Apache-2.0 */
#include "policies/audit_page.h"

#include <criterion/criterion.h>

Test(audit_page, takes_a_start_and_a_limit_in_any_order)
{
    uint64_t start = 9;
    unsigned limit = 9;

    cr_assert(!failed(audit_page_query("", &start, &limit)));
    cr_assert_eq(start, 0u);
    cr_assert_eq(limit, AUDIT_PAGE_ENTRIES_MAX);
    cr_assert(!failed(audit_page_query("limit=7&start=41", &start, &limit)));
    cr_assert_eq(start, 41u);
    cr_assert_eq(limit, 7u);
}

Test(audit_page, refuses_what_it_does_not_understand)
{
    static const char *const queries[] = {"start=",
                                          "start=-1",
                                          "start=1x",
                                          "start=1&start=2",
                                          "limit=0",
                                          "limit=257",
                                          "other=1",
                                          "start=1&",
                                          "&start=1",
                                          "start",
                                          "limit=1&x=2",
                                          "start=0x1",
                                          "start=1000000000000000000",
                                          NULL};
    uint64_t start = 0;
    unsigned limit = 0;

    for (unsigned i = 0; queries[i] != NULL; i++)
        cr_expect_eq(audit_page_query(queries[i], &start, &limit).why, WHY_BAD_INPUT, "%s",
                     queries[i]);
}
