/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/health.h"

#include <string.h>

#include "base/json.h"
#include "base/own.h"
#include "relay/refusal.h"
#include "relay/sign.h"

#define METRICS_BYTES_MAX (1u << 20)
#define READY_BYTES_MAX   1024u

static void answer_text(struct http_call *call, int status, const char *type, struct buffer *body)
{
    http_answer(call, &(struct http_answer){.status = status,
                                            .content_type = type,
                                            .body = body->bytes,
                                            .body_size = body->size});
}

static void answer_ready(const struct relay *relay, struct http_call *call)
{
    struct buffer body OWNED(buffer_free) = BUFFER(READY_BYTES_MAX);
    struct json_writer writer = json_writer_over(&body);
    const struct {
        const char *name;
        bool well;
    } checks[] = {{"store", ledger_is_well(relay->ledger)},
                  {"signer", sign_is_well(relay->sign)},
                  {"vault", lease_vault_is_well(relay->desk)}};
    bool ready = true;

    json_begin_object(&writer);
    json_key(&writer, "checks");
    json_begin_object(&writer);
    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++) {
        json_put_member(&writer, checks[i].name, checks[i].well ? "ok" : "failed");
        ready = ready && checks[i].well;
    }
    json_end_object(&writer);
    json_put_member_bool(&writer, "ready", ready);
    json_end_object(&writer);
    answer_text(call, ready ? 200 : 503, "application/json", &body);
}

static void answer_metrics(const struct relay *relay, struct http_call *call)
{
    struct buffer body OWNED(buffer_free) = BUFFER(METRICS_BYTES_MAX);

    metric_set(relay->metrics.settlements, lease_waiting(relay->desk));
    metrics_render(&body);
    answer_text(call, 200, "text/plain; version=0.0.4; charset=utf-8", &body);
}

void health_call(struct relay *relay, struct http_call *call)
{
    const char *path = http_path(call);
    struct http_problem problem = refusal_of(PROBLEM_NOT_FOUND);

    if (strcmp(http_method(call), "GET") != 0 && strcmp(http_method(call), "HEAD") != 0) {
        problem = refusal_of(PROBLEM_METHOD_NOT_ALLOWED);
        http_answer_problem(call, &problem, NULL);
    } else if (strcmp(path, "/healthz") == 0) {
        struct buffer body OWNED(buffer_free) = BUFFER(READY_BYTES_MAX);
        buffer_add_text(&body, "{\"status\":\"ok\"}");
        answer_text(call, 200, "application/json", &body);
    } else if (strcmp(path, "/readyz") == 0) {
        answer_ready(relay, call);
    } else if (strcmp(path, "/metrics") == 0) {
        answer_metrics(relay, call);
    } else {
        http_answer_problem(call, &problem, NULL);
    }
}

void health_register(struct relay_metrics *metrics)
{
    static const char submissions[] = "cardkeep_relay_submissions_total";
    static const char help[] = "Submissions by what became of them.";

    metrics->answered = metric_counter(submissions, "outcome=\"answered\"", help);
    metrics->not_sent = metric_counter(submissions, "outcome=\"not_sent\"", help);
    metrics->sent_no_answer = metric_counter(submissions, "outcome=\"sent_no_answer\"", help);
    metrics->refused = metric_counter("cardkeep_relay_refusals_total", "",
                                      "Requests refused before anything was begun.");
    metrics->replayed =
        metric_counter("cardkeep_relay_replays_total", "", "Answers given again for their key.");
    metrics->guarded = metric_counter("cardkeep_relay_guarded_values_total", "",
                                      "Inserted values taken out of gateways' answers.");
    metrics->under_way = metric_gauge("cardkeep_relay_submissions", "", "Submissions under way.");
    metrics->settlements = metric_gauge("cardkeep_relay_settlements", "",
                                        "Settlements that the vault did not confirm yet.");
    metrics->swept = metric_counter("cardkeep_relay_ledger_swept_rows_total", "",
                                    "Rows of the ledger that had had their time.");
    metrics->total = metric_histogram("cardkeep_relay_submission_seconds", "",
                                      "From a request to its durable outcome.");
    metrics->lease = metric_histogram("cardkeep_relay_lease_seconds", "", "Waiting for the vault.");
    metrics->gateway =
        metric_histogram("cardkeep_relay_gateway_seconds", "", "Waiting for the gateway.");
}
