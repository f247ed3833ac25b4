/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tls_watch.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/encode.h"
#include "base/log.h"

#define ERROR_MAX 768u
#define DAY_MS    (24 * 3600 * 1000LL)
#define WARN_MS   (30 * DAY_MS)

static const struct tls_files *files_of(const struct tls_watch *watch)
{
    return watch->server != NULL ? tls_server_files(watch->server)
                                 : tls_identity_files(watch->identity);
}

static const struct tls_facts *facts_of(const struct tls_watch *watch)
{
    return watch->server != NULL ? tls_server_facts(watch->server)
                                 : tls_identity_facts(watch->identity);
}

/* How long it holds still; once a day, from a month before on, a line in the log. */
static void say_left(struct tls_watch *watch, int64_t now_ms)
{
    int64_t left_ms = facts_of(watch)->not_after_ms - now_ms;
    char until[CLOCK_TEXT_SIZE];

    metric_set(watch->left_seconds, left_ms / 1000);
    bool warned = watch->warned_ms != 0 && clock_monotonic_ms() - watch->warned_ms < DAY_MS;
    if (left_ms > WARN_MS || warned)
        return;
    watch->warned_ms = clock_monotonic_ms();
    clock_text(facts_of(watch)->not_after_ms, until);
    log_event(LOG_WARN, left_ms < 0 ? "certificate_has_run_out" : "certificate_runs_out", "name",
              watch->name, "until", until, "file", files_of(watch)->certificate, NULL);
}

void tls_watch_begin(struct tls_watch *watch, int64_t now_ms)
{
    assert(watch->every_ms > 0);
    assert((watch->server != NULL) != (watch->identity != NULL));
    tls_files_stamp(files_of(watch), &watch->stamp);
    watch->looked_ms = clock_monotonic_ms();
    metric_set(watch->stale, 0);
    say_left(watch, now_ms);
}

static void say_detail(const struct tls_watch *watch, const char *before, char *out)
{
    const struct tls_facts *facts = facts_of(watch);

    (void)snprintf(out, TLS_WATCH_DETAIL_SIZE, "certificate %s, before it %s; authorities %s",
                   facts->certificate, before,
                   facts->authorities[0] == '\0' ? "none" : facts->authorities);
}

static bool renew(struct tls_watch *watch, int64_t now_ms, char *out_detail)
{
    char error[ERROR_MAX] = "memory ran out";
    char before[TLS_PRINT_SIZE];
    char until[CLOCK_TEXT_SIZE];

    memcpy(before, facts_of(watch)->certificate, sizeof before);
    struct status status = watch->server != NULL
                               ? tls_server_renew(watch->server, now_ms, error, sizeof error)
                               : tls_identity_renew(watch->identity, now_ms, error, sizeof error);
    metric_set(watch->stale, failed(status) ? 1 : 0);
    metric_add(failed(status) ? watch->failures : watch->reloads, 1);
    if (failed(status)) {
        log_failure(LOG_ERROR, "certificate_not_reloaded", status, "name", watch->name, "reason",
                    error, "in_force", before, NULL);
        return false;
    }
    watch->warned_ms = 0;
    clock_text(facts_of(watch)->not_after_ms, until);
    log_event(LOG_INFO, "certificate_reloaded", "name", watch->name, "in_force",
              facts_of(watch)->certificate, "until", until, NULL);
    say_detail(watch, before, out_detail);
    return true;
}

bool tls_watch_tick(struct tls_watch *watch, bool asked, int64_t now_ms,
                    char out_detail[static TLS_WATCH_DETAIL_SIZE])
{
    int64_t monotonic_ms = clock_monotonic_ms();
    struct tls_stamp stamp;
    bool renewed = false;

    if (!asked && monotonic_ms - watch->looked_ms < watch->every_ms)
        return false;
    watch->looked_ms = monotonic_ms;
    /* Before they are read: what changes while they are is seen the next time. */
    tls_files_stamp(files_of(watch), &stamp);
    if (asked || memcmp(&stamp, &watch->stamp, sizeof stamp) != 0) {
        watch->stamp = stamp;
        renewed = renew(watch, now_ms, out_detail);
    }
    say_left(watch, now_ms);
    return renewed;
}
