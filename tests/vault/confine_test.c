/* SPDX-License-Identifier: Apache-2.0 */
/* What front and keeper can still do to the kernel, each under its own lists. */
#include <criterion/criterion.h>

#include "tests/support/attempts.h"
#include "vault/front_confine.h"
#include "vault/keeper_confine.h"

static char error[2048];

static void check(const struct call_list *const *lists, const char *const *may)
{
    if (calls_filtered()) {
        attempts_check(lists, may, error, sizeof error);
        cr_expect_str_eq(error, "");
    } else {
        cr_expect(!failed(calls_restrict(lists)), "it does nothing here");
    }
}

Test(confine, the_front_listens_and_does_nothing_else)
{
    static const char *const may[] = {"a TCP socket", "a TCP socket of IPv6", "bind", "listen",
                                      "accept",       "another filter",       NULL};
    check(front_confine_calls, may);
}

Test(confine, the_keeper_has_its_files_and_no_network)
{
    static const char *const may[] = {"receive a message", "rename", "link", "unlink",
                                      "truncate",          NULL};
    check(keeper_confine_calls, may);
}
