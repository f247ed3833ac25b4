/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/cli/warnings.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static char said[1024];

static void on_warning(void *owner, const char *sentence)
{
    (void)owner;
    (void)snprintf(said + strlen(said), sizeof said - strlen(said), "%s\n", sentence);
}

static const char *read(const char *metrics)
{
    said[0] = '\0';
    warnings_read(metrics, "vault", on_warning, NULL);
    return said;
}

Test(warnings, says_nothing_where_nothing_is_to_be_done)
{
    cr_expect_str_empty(read(""));
    cr_expect_str_empty(read("# HELP cardkeep_vault_keys_compromised Keys: 7 of them.\n"
                             "# TYPE cardkeep_vault_keys_compromised gauge\n"
                             "cardkeep_vault_keys_compromised 0\n"
                             "cardkeep_vault_keys_held 0\n"
                             "cardkeep_vault_tls_left_seconds{listener=\"api\"} 2592000\n"
                             "cardkeep_vault_tls_stale{listener=\"api\"} 0\n"));
}

Test(warnings, says_what_and_what_to_do_for_each)
{
    cr_expect_str_eq(read("cardkeep_vault_keys_compromised 2\ncardkeep_vault_keys_held 1\n"),
                     "vault: compromised keys: 2; 'cardkeep keys list --state compromised'\n"
                     "vault: keys that a request holds back: 1; 'cardkeep approvals list'\n");
    cr_expect_not_null(strstr(read("cardkeep_vault_keys_ending 12"), "within 30 days: 12;"));
    cr_expect_not_null(strstr(read("cardkeep_vault_tls_stale{listener=\"api\"} 1\n"
                                   "cardkeep_vault_tls_stale{listener=\"x\"} 1\n"),
                              "not in force: 2;"));
}

Test(warnings, tells_a_certificate_that_runs_out_from_one_that_has)
{
    cr_expect_str_eq(read("cardkeep_vault_tls_left_seconds{listener=\"api\"} 2591999\n"),
                     "vault: the certificate of 'api' runs out in 29 days; put a new one in its "
                     "place\n");
    cr_expect_not_null(strstr(read("cardkeep_vault_tls_left_seconds{listener=\"api\"} -5\n"),
                              "'api' has run out"));
    cr_expect_not_null(
        strstr(read("cardkeep_vault_tls_left_seconds{listener=\"api\"} 0"), "'api' has run out"));
}

Test(warnings, survives_lines_that_are_none)
{
    cr_expect_str_empty(read("_tls_left_seconds{"));
    cr_expect_str_empty(read("x_tls_left_seconds{listener=\n\n\ny"));
    cr_expect_str_empty(read("cardkeep_vault_keys_held\n"));
    cr_expect_str_empty(read("cardkeep_vault_keys_held x\n"));
}
