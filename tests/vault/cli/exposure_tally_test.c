/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/cli/exposure_tally.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include "base/own.h"

Test(exposure_tally, counts_each_token_once_and_each_use)
{
    struct exposure_tally tally OWNED(exposure_tally_free) = {0};
    char token[32];

    for (unsigned round = 0; round < 3; round++)
        for (unsigned i = 0; i < 5000; i++) {
            (void)snprintf(token, sizeof token, "tok_test_%u", i);
            exposure_tally_add(&tally, round == 0 ? EXPOSURE_SEALED : EXPOSURE_OPENED, token,
                               i % 2 == 0 ? "shop" : "relay");
        }
    cr_expect_eq(tally.tokens, 5000);
    cr_expect_eq(tally.uses[EXPOSURE_SEALED], 5000);
    cr_expect_eq(tally.uses[EXPOSURE_OPENED], 10000);
    cr_expect_eq(tally.uses[EXPOSURE_SHOWN], 0);
    cr_assert_eq(tally.person_count, 2);
    cr_expect_str_eq(tally.persons[0].name, "shop");
    cr_expect_eq(tally.persons[0].uses, 7500);
    cr_expect_eq(tally.persons[1].uses, 7500);
    cr_expect(!tally.full);
}

Test(exposure_tally, says_when_there_are_more_persons_than_it_counts)
{
    struct exposure_tally tally OWNED(exposure_tally_free) = {0};
    char name[32];

    for (unsigned i = 0; i <= EXPOSURE_PERSONS_MAX; i++) {
        cr_expect(!tally.full);
        (void)snprintf(name, sizeof name, "person-%u", i);
        exposure_tally_add(&tally, EXPOSURE_SHOWN, "tok_test_1", name);
    }
    cr_expect(tally.full);
    cr_expect_eq(tally.tokens, 1);
}
