/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/front_health.h"

#include <string.h>

#include "base/encode.h"
#include "base/json.h"
#include "base/metrics.h"
#include "base/own.h"
#include "vault/front_answer.h"

#define READY_BYTES_MAX   1024u
#define METRICS_BYTES_MAX (2u << 20)

STATUS front_health_take(struct front_health *health, const struct frame *frame, int64_t now_ms)
{
    struct cursor in = cursor_over(frame->body, frame->size);
    char why[FRONT_HEALTH_WHY_MAX];
    char epoch[MESSAGE_EPOCH_MAX];

    unsigned readiness = cursor_u8(&in);
    cursor_text(&in, why, sizeof why);
    uint32_t size = cursor_u32(&in);
    const uint8_t *text = cursor_bytes(&in, size);
    cursor_text(&in, epoch, sizeof epoch);
    ENSURE(cursor_done(&in), WHY_FORGED);

    health->ready = readiness == MESSAGE_READY;
    health->sealed = readiness == MESSAGE_SEALED;
    memcpy(health->why, why, sizeof health->why);
    memcpy(health->epoch, epoch, sizeof health->epoch);
    health->at_ms = now_ms;
    buffer_free(&health->metrics);
    health->metrics = BUFFER(FRONT_HEALTH_METRICS_BYTES_MAX);
    buffer_add(&health->metrics, text, size);
    return buffer_status(&health->metrics);
}

bool front_health_is_ready(const struct front_health *health, int64_t now_ms, const char **out_why)
{
    bool fresh = now_ms - health->at_ms <= FRONT_HEALTH_AGE_MAX_MS;

    *out_why = fresh ? health->why : "The keeper has not been heard of for five seconds.";
    return fresh && health->ready;
}

static void answer_text(struct http_call *call, int status, const char *type,
                        const struct buffer *body)
{
    http_answer(call, &(struct http_answer){.status = status,
                                            .content_type = type,
                                            .body = body->bytes,
                                            .body_size = body->size});
}

static void answer_ready(const struct front_health *health, struct http_call *call)
{
    struct buffer body OWNED(buffer_free) = BUFFER(READY_BYTES_MAX);
    struct json_writer writer = json_writer_over(&body);
    const char *why = "";
    bool ready = front_health_is_ready(health, clock_monotonic_ms(), &why);

    json_begin_object(&writer);
    json_key(&writer, "checks");
    json_begin_object(&writer);
    json_put_member(&writer, "keeper", ready || health->sealed ? "ok" : "failed");
    json_put_member(&writer, "seal", health->sealed ? "failed" : "ok");
    json_end_object(&writer);
    json_put_member_bool(&writer, "ready", ready);
    json_put_member(&writer, "why", ready ? NULL : why);
    json_end_object(&writer);
    answer_text(call, ready ? 200 : 503, "application/json", &body);
}

static void answer_metrics(const struct front_health *health, struct http_call *call)
{
    struct buffer body OWNED(buffer_free) = BUFFER(METRICS_BYTES_MAX);

    metrics_render(&body);
    buffer_add(&body, health->metrics.bytes, health->metrics.size);
    if (failed(buffer_status(&body)))
        front_answer_code(call, PROBLEM_BUSY);
    else
        answer_text(call, 200, "text/plain; version=0.0.4; charset=utf-8", &body);
}

static void answer_alive(struct http_call *call)
{
    struct buffer body OWNED(buffer_free) = BUFFER(READY_BYTES_MAX);

    buffer_add_text(&body, "{\"status\":\"ok\"}");
    answer_text(call, 200, "application/json", &body);
}

void front_health_call(const struct front_health *health, struct http_call *call)
{
    static const char *const allow[] = {"allow", "GET, HEAD", NULL};
    const char *path = http_path(call);

    if (strcmp(http_method(call), "GET") != 0 && strcmp(http_method(call), "HEAD") != 0) {
        struct problem problem;
        problem_set(&problem, PROBLEM_METHOD_NOT_ALLOWED, NULL, NULL);
        struct http_problem http = problem_http(&problem);
        http_answer_problem(call, &http, allow);
    } else if (strcmp(path, "/healthz") == 0)
        answer_alive(call);
    else if (strcmp(path, "/readyz") == 0)
        answer_ready(health, call);
    else if (strcmp(path, "/metrics") == 0)
        answer_metrics(health, call);
    else
        front_answer_code(call, PROBLEM_NOT_FOUND);
}
