/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/front_tls.h"

#include "base/encode.h"
#include "base/log.h"
#include "base/own.h"
#include "base/tls_inventory.h"
#include "vault/message.h"

STATUS front_tls_open(struct front_tls *tls, const struct settings *settings, char *error,
                      size_t error_size)
{
    TRY(tls_server_new(settings->api.certificate, settings->api.key, settings->api.clients,
                       &tls->server, error, error_size));
    tls->watch = (struct tls_watch){
        .name = "api",
        .server = tls->server,
        .every_ms = settings->tls_every_ms,
        .left_seconds = metric_gauge("cardkeep_vault_tls_left_seconds", "listener=\"api\"",
                                     "Until the certificate in force runs out."),
        .stale = metric_gauge("cardkeep_vault_tls_stale", "listener=\"api\"",
                              "1: what lies in the certificate's files is no good."),
        .reloads = metric_counter("cardkeep_vault_tls_reloads_total", "listener=\"api\"",
                                  "Certificates that were read again."),
        .failures = metric_counter("cardkeep_vault_tls_reload_failures_total", "listener=\"api\"",
                                   "Certificates that were read again and are no good."),
    };
    tls_watch_begin(&tls->watch, clock_now_ms());
    return STATUS_OK;
}

void front_tls_tick(struct front_tls *tls, bool asked, struct frame_writer *out)
{
    char detail[TLS_WATCH_DETAIL_SIZE];

    if (!tls_watch_tick(&tls->watch, asked, clock_now_ms(), detail))
        return;
    struct buffer *body = frame_begin(out, MESSAGE_TLS, 0);
    buffer_add_counted(body, tls->watch.name);
    buffer_add_counted(body, detail);
    struct status status = frame_end(out);
    if (failed(status))
        log_failure(LOG_ERROR, "reload_not_recorded", status, "detail", detail, NULL);
}

void front_tls_read_inventory(struct request *request, struct buffer *out)
{
    OWNED(buffer_free) struct buffer body = BUFFER(MESSAGE_TEXT_BODY_MAX);
    struct json_writer writer = json_writer_over(&body);
    struct message_text text = {0};

    request_refuse_extras(request, false);
    tls_inventory_write(request->tls->server, request->tls->watch.name, &writer);
    if (failed(buffer_status(&body)))
        request_refuse(request, PROBLEM_BUSY, NULL, NULL);
    message_caller_encode(&request->caller, out);
    if (!request_is_good(request))
        return;
    memcpy(text.certificate, request->certificate, strlen(request->certificate) + 1);
    text.body = body.bytes;
    text.body_size = (uint32_t)body.size;
    message_text_encode(&text, out);
}
