/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/reload.h"

#include <stdlib.h>

#include "base/encode.h"
#include "base/log.h"
#include "relay/ledger_rows.h"

/* An entry on its way, with its text. */
struct reload_note {
    struct ledger_entry entry; /* First, so that an op pointer is this. */
    char detail[TLS_WATCH_DETAIL_SIZE];
};

static void metrics_open(struct reload *reload)
{
    static const char left[] = "cardkeep_relay_tls_left_seconds";
    static const char left_help[] = "Until the certificate in force runs out.";
    static const char stale[] = "cardkeep_relay_tls_stale";
    static const char stale_help[] = "1: what lies in the certificate's files is no good.";
    static const char reloads[] = "cardkeep_relay_tls_reloads_total";
    static const char reloads_help[] = "Certificates that were read again.";
    static const char failures[] = "cardkeep_relay_tls_reload_failures_total";
    static const char failures_help[] = "Certificates that were read again and are no good.";
    static const char api[] = "listener=\"api\"";
    static const char vault[] = "listener=\"vault\"";

    reload->api.left_seconds = metric_gauge(left, api, left_help);
    reload->vault.left_seconds = metric_gauge(left, vault, left_help);
    reload->api.stale = metric_gauge(stale, api, stale_help);
    reload->vault.stale = metric_gauge(stale, vault, stale_help);
    reload->api.reloads = metric_counter(reloads, api, reloads_help);
    reload->vault.reloads = metric_counter(reloads, vault, reloads_help);
    reload->api.failures = metric_counter(failures, api, failures_help);
    reload->vault.failures = metric_counter(failures, vault, failures_help);
}

STATUS reload_open(struct reload *reload, struct relay *relay, char *error, size_t error_size)
{
    const struct settings *settings = relay->settings;
    const struct tls_files shown = {.certificate = settings->vault_certificate,
                                    .key = settings->vault_key,
                                    .authorities = settings->vault_authorities};
    int64_t now_ms = clock_now_ms();

    TRY(tls_server_new(settings->certificate, settings->key, settings->clients, &reload->server,
                       error, error_size));
    TRY(tls_identity_new(&shown, &reload->identity, error, error_size));
    lease_desk_show(relay->desk, reload->identity);
    metrics_open(reload);
    reload->api.name = "api";
    reload->api.server = reload->server;
    reload->api.every_ms = settings->tls_every_ms;
    reload->vault.name = "vault";
    reload->vault.identity = reload->identity;
    reload->vault.every_ms = settings->tls_every_ms;
    tls_watch_begin(&reload->api, now_ms);
    tls_watch_begin(&reload->vault, now_ms);
    return STATUS_OK;
}

void reload_close(struct reload *reload)
{
    tls_server_free(&reload->server);
    tls_identity_free(&reload->identity);
}

static void on_noted(struct ledger_op *op)
{
    if (failed(op->status))
        log_failure(LOG_ERROR, "reload_not_recorded", op->status, NULL);
    free(op);
}

static void note(struct relay *relay, const struct tls_watch *watch, const char *detail)
{
    struct reload_note *note = calloc(1, sizeof *note);
    struct status status = note == NULL ? FAIL(WHY_NO_MEMORY) : STATUS_OK;

    if (!failed(status)) {
        memcpy(note->detail, detail, sizeof note->detail);
        note->entry.entry = (struct audit_entry){.actor = "relay",
                                                 .origin = "relay",
                                                 .event = "tls.reload",
                                                 .outcome = "ok",
                                                 .object = watch->name,
                                                 .bundle = policy_bundle(relay->policy),
                                                 .detail = note->detail};
        note->entry.op.apply = ledger_rows_entry_apply;
        note->entry.op.done = on_noted;
        status = ledger_submit(relay->ledger, &note->entry.op);
    }
    if (!failed(status))
        return;
    free(note);
    log_failure(LOG_ERROR, "reload_not_recorded", status, "detail", detail, NULL);
}

void reload_tick(struct reload *reload, struct relay *relay, bool asked)
{
    struct tls_watch *const watches[] = {&reload->api, &reload->vault};
    char detail[TLS_WATCH_DETAIL_SIZE] = "";
    int64_t now_ms = clock_now_ms();

    for (unsigned i = 0; i < sizeof watches / sizeof watches[0]; i++)
        if (tls_watch_tick(watches[i], asked, now_ms, detail))
            note(relay, watches[i], detail);
}
