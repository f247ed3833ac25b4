/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/cli/audit_fetch.h"

#include <criterion/criterion.h>
#include <string.h>

static uint64_t size_of(const char *note)
{
    return audit_fetch_note_size(note, strlen(note));
}

Test(audit_fetch, reads_the_size_that_a_note_claims)
{
    cr_expect_eq(size_of("origin\n0\nroot\n"), 0);
    cr_expect_eq(size_of("origin\n1042\nroot\n"), 1042);
}

Test(audit_fetch, takes_no_other_text_for_a_checkpoint)
{
    static const char *const others[] = {"",        "origin",        "origin\n",
                                         "o\n\n",   "o\n12",         "o\n12x\n",
                                         "o\n-1\n", "o\n 1\nroot\n", "o\n99999999999999999999\n"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        cr_expect_eq(size_of(others[i]), UINT64_MAX, "%s", others[i]);
}
