/* SPDX-License-Identifier: Apache-2.0 */
#include "policies/signer_process.h"

#include <criterion/criterion.h>

#include "tests/support/attempts.h"

Test(signer_process, signs_and_remembers_and_does_nothing_else)
{
    static const char *const may[] = {"rename", NULL};
    static char error[2048];

    if (calls_filtered()) {
        attempts_check(signer_process_calls, may, error, sizeof error);
        cr_expect_str_eq(error, "");
    } else {
        cr_expect(!failed(calls_restrict(signer_process_calls)), "it does nothing here");
    }
}
