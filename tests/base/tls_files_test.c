/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tls_files.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/encode.h"
#include "tests/support/pki.h"

static struct pki *pki;
static struct pki_files pair;
static struct tls_files files;
static struct tls_facts facts;
static char error[512];

static void make(void)
{
    pki = pki_new();
    pair = pki_issue(pki, &(struct pki_subject){.name = "server", .alt = "DNS:localhost"});
    files = (struct tls_files){
        .certificate = pair.certificate, .key = pair.key, .authorities = pki_authority(pki)};
}

static void drop(void)
{
    pki_free(&pki);
}

TestSuite(tls_files, .init = make, .fini = drop, .timeout = 20);

static void check_refused(const char *said)
{
    struct status status = tls_files_check(&files, clock_now_ms(), &facts, error, sizeof error);
    cr_expect_eq(status.why, WHY_BAD_INPUT, "%s", said);
    cr_expect_neq(strstr(error, said), NULL, "%s, and not: %s", error, said);
}

/* Both files, one behind the other, as a third. */
static const char *joined(const char *first, const char *second)
{
    static char path[PKI_PATH_SIZE + 16];
    const char *const parts[] = {first, second};
    char bytes[4096];

    snprintf(path, sizeof path, "%s/joined.pem", pki_folder(pki));
    FILE *out = fopen(path, "w");
    cr_assert_neq(out, NULL);
    for (unsigned i = 0; i < 2; i++) {
        FILE *in = fopen(parts[i], "r");
        cr_assert_neq(in, NULL);
        size_t size = fread(bytes, 1, sizeof bytes, in);
        cr_assert_eq(fwrite(bytes, 1, size, out), size);
        fclose(in);
    }
    fclose(out);
    return path;
}

Test(tls_files, takes_files_that_belong_together_and_hold)
{
    int64_t now_ms = clock_now_ms();
    cr_assert(!failed(tls_files_check(&files, now_ms, &facts, error, sizeof error)), "%s", error);
    cr_assert_eq(strlen(facts.certificate), TLS_PRINT_SIZE - 1);
    cr_assert_eq(strlen(facts.authorities), TLS_PRINT_SIZE - 1);
    cr_assert_str_neq(facts.certificate, facts.authorities);
    cr_assert(facts.not_after_ms > now_ms && facts.not_after_ms <= now_ms + 3600 * 1000);
}

Test(tls_files, takes_a_chain_in_order_and_the_date_of_the_first_that_runs_out)
{
    files.certificate = joined(pair.certificate, pki_authority(pki));
    cr_assert(!failed(tls_files_check(&files, clock_now_ms(), &facts, error, sizeof error)), "%s",
              error);
    struct pki_files stranger = pki_issue(pki, &(struct pki_subject){.name = "stranger"});
    files.certificate = joined(pair.certificate, stranger.certificate);
    check_refused("did not issue the one before it");
}

Test(tls_files, refuses_dates_that_are_not_good)
{
    int64_t now_ms = clock_now_ms();
    struct pki_files late =
        pki_issue(pki, &(struct pki_subject){.name = "late", .begins_s = -7200, .ends_s = -3600});
    struct pki_files early =
        pki_issue(pki, &(struct pki_subject){.name = "early", .begins_s = 3600, .ends_s = 7200});

    files.certificate = late.certificate;
    files.key = late.key;
    check_refused("has expired");
    cr_assert(facts.not_after_ms < now_ms, "the facts are given all the same");
    files.certificate = early.certificate;
    files.key = early.key;
    check_refused("not valid yet");
    files.certificate = pair.certificate;
    files.key = pair.key;
    files.authorities = late.certificate;
    check_refused("has expired");
    files.authorities = joined(late.certificate, pki_authority(pki));
    cr_assert(!failed(tls_files_check(&files, now_ms, &facts, error, sizeof error)), "%s", error);
}

Test(tls_files, refuses_what_is_no_certificate_no_key_no_authority)
{
    struct pki_files other = pki_issue(pki, &(struct pki_subject){.name = "other"});

    files.certificate = pair.key;
    check_refused("is not a usable certificate");
    files.certificate = "/dev/null";
    check_refused("is not a usable certificate");
    files.certificate = "/nowhere/x.pem";
    check_refused("/nowhere/x.pem cannot be read");
    files.certificate = pair.certificate;
    files.key = other.key;
    check_refused("is not the certificate's private key");
    files.key = pair.certificate;
    check_refused("is not the certificate's private key");
    files.key = pair.key;
    files.authorities = pair.key;
    check_refused("holds no usable CA certificate");
    files.authorities = "/dev/zero";
    struct status status = tls_files_check(&files, clock_now_ms(), &facts, error, sizeof error);
    cr_assert_eq(status.why, WHY_LIMIT, "a file without an end");
}

Test(tls_files, refuses_a_certificate_wherever_it_was_cut)
{
    char path[PKI_PATH_SIZE + 16];
    char bytes[4096];
    FILE *in = fopen(pair.certificate, "r");
    size_t size = fread(bytes, 1, sizeof bytes, in);

    fclose(in);
    snprintf(path, sizeof path, "%s/cut.pem", pki_folder(pki));
    files.certificate = path;
    for (size_t kept = 0; kept + 2 < size; kept += 7) {
        FILE *out = fopen(path, "w");
        cr_assert_eq(fwrite(bytes, 1, kept, out), kept);
        fclose(out);
        struct status status = tls_files_check(&files, clock_now_ms(), &facts, error, sizeof error);
        cr_assert_eq(status.why, WHY_BAD_INPUT, "%zu of %zu bytes", kept, size);
    }
}

Test(tls_files, judges_authorities_that_stand_alone)
{
    char path[PKI_PATH_SIZE + 16];
    char bytes[4096];
    FILE *in = fopen(pki_authority(pki), "r");
    size_t size = fread(bytes, 1, sizeof bytes, in);
    int64_t now_ms = clock_now_ms();

    fclose(in);
    cr_assert(!failed(tls_authorities_check(pki_authority(pki), now_ms, error, sizeof error)), "%s",
              error);
    cr_expect_eq(tls_authorities_check(pki_authority(pki), 1, error, sizeof error).why,
                 WHY_BAD_INPUT, "of another century");
    cr_expect_eq(tls_authorities_check("/nowhere/x.pem", now_ms, error, sizeof error).why,
                 WHY_BAD_INPUT);
    cr_expect_neq(strstr(error, "/nowhere/x.pem"), NULL, "%s", error);
    snprintf(path, sizeof path, "%s/cut-authority.pem", pki_folder(pki));
    for (size_t kept = 0; kept + 2 < size; kept += 7) {
        FILE *out = fopen(path, "w");
        cr_assert_eq(fwrite(bytes, 1, kept, out), kept);
        fclose(out);
        cr_assert_eq(tls_authorities_check(path, now_ms, error, sizeof error).why, WHY_BAD_INPUT,
                     "%zu of %zu bytes", kept, size);
    }
}

Test(tls_files, tells_files_from_those_that_took_their_place)
{
    struct tls_stamp first;
    struct tls_stamp again;
    char gone[PKI_PATH_SIZE + 16];

    tls_files_stamp(&files, &first);
    tls_files_stamp(&files, &again);
    cr_assert_eq(memcmp(&first, &again, sizeof first), 0);
    snprintf(gone, sizeof gone, "%s.gone", pair.key);
    cr_assert_eq(rename(pair.key, gone), 0);
    tls_files_stamp(&files, &again);
    cr_assert_neq(memcmp(&first, &again, sizeof first), 0);
}

Test(tls_files, keep_a_clients_in_force_while_the_new_ones_are_no_good)
{
    struct tls_identity *identity = NULL;
    struct pki_files other = pki_issue(pki, &(struct pki_subject){.name = "other"});

    cr_assert(!failed(tls_identity_new(&files, &identity, error, sizeof error)), "%s", error);
    struct tls_facts before = *tls_identity_facts(identity);
    size_t size = tls_identity_pem(identity)->certificate.size;
    cr_assert(size > 0 && tls_identity_pem(identity)->key.size > 0);
    cr_assert_eq(rename(other.certificate, pair.certificate), 0);
    struct status status = tls_identity_renew(identity, clock_now_ms(), error, sizeof error);
    cr_assert_eq(status.why, WHY_BAD_INPUT, "a certificate without its key");
    cr_assert_str_eq(tls_identity_facts(identity)->certificate, before.certificate);
    cr_assert_eq(tls_identity_pem(identity)->certificate.size, size);
    cr_assert_eq(rename(other.key, pair.key), 0);
    cr_assert(!failed(tls_identity_renew(identity, clock_now_ms(), error, sizeof error)));
    cr_assert_str_neq(tls_identity_facts(identity)->certificate, before.certificate);
    tls_identity_free(&identity);
    cr_assert_eq(identity, NULL);
}
