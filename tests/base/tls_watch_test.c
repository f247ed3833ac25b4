/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tls_watch.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/encode.h"
#include "base/log.h"
#include "tests/support/pki.h"

#define DAY_S 86400

static struct pki *pki;
static struct pki_files pair;
static struct tls_server *server;
static struct tls_watch watch;
static char detail[TLS_WATCH_DETAIL_SIZE];
static int log_pipe[2];

static void make(void)
{
    char error[256];

    cr_assert_eq(pipe(log_pipe), 0);
    cr_assert(!failed(log_open("test", LOG_INFO, log_pipe[1])));
    pki = pki_new();
    pair = pki_issue(pki, &(struct pki_subject){.name = "server", .ends_s = 90 * DAY_S});
    cr_assert(!failed(tls_server_new(pair.certificate, pair.key, pki_authority(pki), &server, error,
                                     sizeof error)));
    watch = (struct tls_watch){.name = "api",
                               .server = server,
                               .every_ms = 1,
                               .left_seconds = metric_gauge("cardkeep_test_left_seconds", "", "."),
                               .stale = metric_gauge("cardkeep_test_stale", "", "."),
                               .reloads = metric_counter("cardkeep_test_reloads_total", "", "."),
                               .failures = metric_counter("cardkeep_test_failures_total", "", ".")};
    tls_watch_begin(&watch, clock_now_ms());
}

static void drop(void)
{
    tls_server_free(&server);
    pki_free(&pki);
}

TestSuite(tls_watch, .init = make, .fini = drop, .timeout = 20);

/* All that the log said so far. */
static const char *said(void)
{
    static char lines[8192];

    log_flush();
    cr_assert_gt(write(log_pipe[1], "\n", 1), 0); /* So that there is something to read. */
    ssize_t size = read(log_pipe[0], lines, sizeof lines - 1);
    cr_assert_gt(size, 0);
    lines[size] = '\0';
    return lines;
}

static void install(const struct pki_files *other)
{
    cr_assert_eq(rename(other->key, pair.key), 0);
    cr_assert_eq(rename(other->certificate, pair.certificate), 0);
}

static bool tick(bool asked)
{
    int64_t before_ms = clock_monotonic_ms();

    while (clock_monotonic_ms() == before_ms)
        ; /* every_ms is one of them. */
    return tls_watch_tick(&watch, asked, clock_now_ms(), detail);
}

Test(tls_watch, reads_files_that_changed_and_says_which_they_are)
{
    char before[TLS_PRINT_SIZE];
    struct pki_files other =
        pki_issue(pki, &(struct pki_subject){.name = "other", .ends_s = 90 * DAY_S});

    memcpy(before, tls_server_facts(server)->certificate, sizeof before);
    cr_assert(!tick(false), "nothing changed");
    install(&other);
    cr_assert(tick(false));
    cr_assert_str_neq(tls_server_facts(server)->certificate, before);
    cr_assert_neq(strstr(detail, before), NULL, "%s", detail);
    cr_assert_neq(strstr(detail, tls_server_facts(server)->certificate), NULL, "%s", detail);
    cr_assert_neq(strstr(said(), "certificate_reloaded"), NULL);
    cr_assert(!tick(false), "nothing changed since");
    cr_assert(tick(true), "but it was asked for");
    cr_assert_eq(metric_value(watch.reloads), 2);
    cr_assert_eq(metric_value(watch.failures), 0);
}

Test(tls_watch, looks_no_more_often_than_it_was_told)
{
    struct pki_files other =
        pki_issue(pki, &(struct pki_subject){.name = "other", .ends_s = 90 * DAY_S});

    watch.every_ms = 3600 * 1000;
    install(&other);
    cr_assert(!tick(false));
    cr_assert(tick(true));
}

Test(tls_watch, says_once_what_is_no_good_and_keeps_what_is_in_force)
{
    struct pki_files other =
        pki_issue(pki, &(struct pki_subject){.name = "other", .ends_s = 90 * DAY_S});
    void *context = tls_server_context(server);

    cr_assert_eq(rename(other.certificate, pair.certificate), 0, "without its key");
    cr_assert(!tick(false));
    cr_assert_eq(tls_server_context(server), context);
    const char *lines = said();
    cr_assert_neq(strstr(lines, "certificate_not_reloaded"), NULL, "%s", lines);
    cr_assert_neq(strstr(lines, "private key"), NULL, "%s", lines);
    cr_assert_eq(metric_value(watch.stale), 1);
    cr_assert(!tick(false));
    cr_assert_eq(strstr(said(), "certificate_not_reloaded"), NULL, "not again and again");
    cr_assert_eq(rename(other.key, pair.key), 0);
    cr_assert(tick(false));
    cr_assert_eq(metric_value(watch.stale), 0);
    cr_assert_eq(metric_value(watch.failures), 1);
}

Test(tls_watch, warns_of_one_that_runs_out_within_a_month)
{
    struct pki_files brief =
        pki_issue(pki, &(struct pki_subject){.name = "short", .ends_s = 20 * DAY_S});

    cr_assert_eq(strstr(said(), "runs_out"), NULL);
    cr_assert(metric_value(watch.left_seconds) > 89u * DAY_S);
    install(&brief);
    cr_assert(tick(false));
    cr_assert_neq(strstr(said(), "certificate_runs_out"), NULL);
    cr_assert(metric_value(watch.left_seconds) <= 20u * DAY_S);
    cr_assert(!tick(false));
    cr_assert_eq(strstr(said(), "runs_out"), NULL, "once a day");
}
