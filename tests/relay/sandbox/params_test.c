/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/sandbox/params.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static struct params params;

static enum why why_refused(const char *body)
{
    params_free(&params);
    return params_parse((const uint8_t *)body, strlen(body), &params).why;
}

static void drop(void)
{
    params_free(&params);
}

TestSuite(params, .fini = drop);

Test(params, keeps_bracketed_names_whole)
{
    cr_assert_eq(why_refused("a[b][c]=1&a[d]=x+y&e"), WHY_NONE);
    cr_assert_eq(params.count, 3);
    cr_assert_str_eq(params_get(&params, "a[b][c]"), "1");
    cr_assert_str_eq(params_get(&params, "a[d]"), "x y");
    cr_assert_str_eq(params_get(&params, "e"), "");
    cr_assert_null(params_get(&params, "a"));
}

Test(params, decodes_percent_signs_in_names_and_values)
{
    cr_assert_eq(why_refused("a%5Bb%5d=%e2%82%AC%26"), WHY_NONE);
    cr_assert_str_eq(params_get(&params, "a[b]"), "\xe2\x82\xac&");
}

Test(params, refuses_broken_encoding_and_nuls)
{
    static const char *const broken[] = {"a=%", "a=%4", "a=%4g", "a=%G4", "a=%00", "%00=a", "=a"};
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++)
        cr_expect_eq(why_refused(broken[i]), WHY_BAD_INPUT, "%s", broken[i]);
}

Test(params, refuses_a_name_twice_unless_it_is_a_list)
{
    cr_expect_eq(why_refused("a=1&a=2"), WHY_BAD_INPUT);
    cr_expect_eq(why_refused("a=1&%61=2"), WHY_BAD_INPUT);
    cr_expect_eq(why_refused("a[]=1&a[]=2"), WHY_NONE);
    cr_expect_eq(params.count, 2);
}

Test(params, refuses_more_than_its_bound)
{
    char body[8 * (PARAMS_MAX + 1)];
    size_t size = 0;
    for (unsigned i = 0; i < PARAMS_MAX; i++)
        size += (size_t)snprintf(body + size, sizeof body - size, "n%u=1&", i);
    cr_assert_eq(why_refused(body), WHY_NONE);
    cr_assert_eq(params.count, PARAMS_MAX);
    snprintf(body + size, sizeof body - size, "more=1");
    cr_assert_eq(why_refused(body), WHY_LIMIT);
}

Test(params, names_the_first_root_that_is_unknown)
{
    static const char *const roots[] = {"amount", "metadata", NULL};
    cr_assert_eq(why_refused("amount=1&metadata[a]=2"), WHY_NONE);
    cr_expect_null(params_unknown(&params, roots));
    cr_assert_eq(why_refused("amount=1&amounts=2"), WHY_NONE);
    cr_expect_str_eq(params_unknown(&params, roots), "amounts");
}
