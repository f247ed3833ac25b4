/* SPDX-License-Identifier: Apache-2.0 */
/* What front and keeper can still do to the kernel, each under its own lists. */
#include <criterion/criterion.h>

#include "tests/support/attempts.h"
#include "vault/front_confine.h"
#include "vault/hsm_confine.h"
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

/* It is told that there is no network, and lives on. */
#define TOLD                                                                                       \
    "a TCP socket", "a TCP socket of IPv6", "a UDP socket", "a Unix socket",                       \
        "a netlink socket for routes", "a netlink socket for audit", "a raw socket",               \
        "a packet socket", "a socket to the hypervisor", "connect"
#define FILES "rename", "unlink", "truncate"

Test(confine, the_hsm_has_files_and_is_told_that_there_is_no_network)
{
    const struct call_list *lists[HSM_CONFINE_LISTS];
    static const char *const may[] = {TOLD, FILES, NULL};

    hsm_confine_calls(false, false, lists);
    check(lists, may);
}

Test(confine, an_hsm_on_the_network_is_called_and_does_not_listen)
{
    const struct call_list *lists[HSM_CONFINE_LISTS];
    static const char *const may[] = {"a TCP socket",
                                      "a TCP socket of IPv6",
                                      "a UDP socket",
                                      "a Unix socket",
                                      "a netlink socket for routes",
                                      "connect",
                                      "send to an address",
                                      "receive a message",
                                      FILES,
                                      NULL};

    hsm_confine_calls(true, false, lists);
    check(lists, may);
}

Test(confine, a_module_with_a_device_speaks_to_it)
{
    const struct call_list *lists[HSM_CONFINE_LISTS];
    static const char *const may[] = {TOLD, FILES, "type for the user", "ask how many bytes wait",
                                      NULL};

    hsm_confine_calls(false, true, lists);
    check(lists, may);
}
