/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/sandbox/gateway.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/encode.h"
#include "base/own.h"
#include "relay/sandbox/behaviour.h"
#include "relay/sandbox/json_payments.h"
#include "relay/sandbox/payments.h"
#include "relay/sandbox/record.h"
#include "relay/sandbox/replays.h"

#define DELAY_DEFAULT_MS 10000
#define DELAY_MOST_MS    55000 /* Below the server's own bound on an answer. */
#define LIST_BYTES_MAX   (64u << 20)
#define PATH_REQUESTS    "/sandbox/requests"
#define PATH_JSON        "/v1/json/payments"

struct gateway {
    struct loop *loop;
    struct intent_store *store;
    struct replays *replays;
    struct record *record;
};

/* What one request is made of, while it is answered. */
struct exchange {
    struct gateway *gateway;
    struct http_call *call;
    enum behaviour behaviour;
    struct params params;
    struct card card; /* For `echo`. */
    struct reply reply;
};

/* An answer that waits (`slow`). */
struct pending {
    struct http_call *call;
    struct loop_timer *timer;
    struct reply reply;
};

static const struct {
    const char *method;
    const char *prefix; /* With a '/' at its end an id follows. */
    const char *suffix;
    void (*run)(const struct payments_request *request, struct reply *reply);
} routes[] = {
    {"POST", "/v1/payment_intents", "", payments_create},
    {"GET", "/v1/payment_intents/", "", payments_show},
    {"POST", "/v1/payment_intents/", "/confirm", payments_confirm},
    {"POST", "/v1/payment_intents/", "/capture", payments_capture},
    {"POST", "/v1/payment_intents/", "/cancel", payments_cancel},
    {"POST", "/v1/refunds", "", payments_refund},
    {"GET", "/v1/refunds/", "", payments_show_refund},
};

STATUS gateway_new(struct loop *loop, struct gateway **out_gateway)
{
    assert(loop != NULL);
    OWNED(gateway_free) struct gateway *gateway = calloc(1, sizeof *gateway);
    ENSURE(gateway != NULL, WHY_NO_MEMORY);
    gateway->loop = loop;
    TRY(intent_store_new(&gateway->store));
    TRY(replays_new(&gateway->replays));
    TRY(record_new(&gateway->record));
    *out_gateway = MOVE(gateway);
    return STATUS_OK;
}

void gateway_free(struct gateway **gateway)
{
    if (*gateway == NULL)
        return;
    intent_store_free(&(*gateway)->store);
    replays_free(&(*gateway)->replays);
    record_free(&(*gateway)->record);
    free(*gateway);
    *gateway = NULL;
}

/* ---- What a person or a test looks at ---- */

static bool from_this_machine(const struct http_call *call)
{
    const char *address = http_peer_address(call);
    return strncmp(address, "127.", 4) == 0 || strncmp(address, "[::1]", 5) == 0;
}

static void inspect(struct gateway *gateway, struct http_call *call)
{
    const char *method = http_method(call);
    OWNED(buffer_free) struct buffer body = BUFFER(LIST_BYTES_MAX);
    struct http_answer answer = {.status = 200, .content_type = "application/json"};
    if (!from_this_machine(call) || strcmp(http_path(call), PATH_REQUESTS) != 0) {
        answer.status = 404;
        buffer_add_text(&body, "{}");
    } else if (strcmp(method, "DELETE") == 0) {
        record_clear(gateway->record);
        answer.status = 204;
        answer.content_type = NULL;
    } else if (strcmp(method, "GET") == 0) {
        record_write(gateway->record, strcmp(http_query(call), "reveal=1") == 0, &body);
    } else {
        answer.status = 405;
        buffer_add_text(&body, "{}");
    }
    if (failed(buffer_status(&body))) {
        answer.status = 500;
        buffer_clear(&body);
    }
    answer.body = body.bytes;
    answer.body_size = body.size;
    http_answer(call, &answer);
}

/* ---- Answering ---- */

static void reply_send(struct http_call *call, const struct reply *reply, const char *echoed)
{
    const char *headers[8] = {NULL};
    unsigned count = 0;
    if (reply->replayed) {
        headers[count++] = "idempotent-replayed";
        headers[count++] = "true";
    }
    if (echoed != NULL) {
        headers[count++] = "sandbox-echo";
        headers[count++] = echoed;
    }
    if (reply->status == 302) {
        headers[count++] = "location";
        headers[count++] = "https://elsewhere.sandbox.invalid/";
    }
    struct http_answer answer = {.status = reply->status,
                                 .content_type = "application/json",
                                 .body = reply->body.bytes,
                                 .body_size = reply->body.size,
                                 .headers = headers};
    if (failed(buffer_status(&reply->body))) {
        answer.status = 500;
        answer.content_type = NULL;
    }
    http_answer(call, &answer);
}

static void pending_free(struct pending **pending)
{
    if (*pending == NULL)
        return;
    reply_free(&(*pending)->reply);
    free(*pending);
    *pending = NULL;
}

static void pending_on_time(void *owner)
{
    OWNED(pending_free) struct pending *pending = owner;
    reply_send(pending->call, &pending->reply, NULL);
}

static void pending_on_gone(void *owner)
{
    OWNED(pending_free) struct pending *pending = owner;
    loop_timer_cancel(&pending->timer);
}

static int64_t delay_of(const struct http_call *call)
{
    const char *text = http_header(call, "sandbox-delay-ms");
    int64_t delay = 0;
    if (text == NULL || strlen(text) > 5)
        return DELAY_DEFAULT_MS;
    for (; *text >= '0' && *text <= '9'; text++)
        delay = delay * 10 + (*text - '0');
    return delay < DELAY_MOST_MS ? delay : DELAY_MOST_MS;
}

static void reply_later(struct exchange *exchange)
{
    OWNED(pending_free) struct pending *pending = calloc(1, sizeof *pending);
    if (pending == NULL || failed(loop_timer(exchange->gateway->loop, delay_of(exchange->call),
                                             pending_on_time, pending, &pending->timer))) {
        reply_send(exchange->call, &exchange->reply, NULL);
        return;
    }
    pending->call = exchange->call;
    pending->reply = exchange->reply;
    exchange->reply = reply_new();
    http_defer(exchange->call, pending, pending_on_gone);
    (void)MOVE(pending); /* The timer's, or the vanished client's. */
}

static void exchange_answer(struct exchange *exchange)
{
    switch (exchange->behaviour) {
    case BEHAVIOUR_SLOW:
        reply_later(exchange);
        return;
    case BEHAVIOUR_CLOSE_BEFORE:
    case BEHAVIOUR_CLOSE_HALF:
    case BEHAVIOUR_MALFORMED:
        behaviour_cut(exchange->behaviour, exchange->call, &exchange->reply);
        return;
    case BEHAVIOUR_ECHO:
        behaviour_echo(&exchange->card, &exchange->reply);
        reply_send(exchange->call, &exchange->reply, exchange->card.number);
        return;
    case BEHAVIOUR_NONE:
    case BEHAVIOUR_APPROVE:
    case BEHAVIOUR_DECLINE:
    case BEHAVIOUR_REQUIRES_ACTION:
    case BEHAVIOUR_ERROR_500:
    case BEHAVIOUR_ERROR_400:
    case BEHAVIOUR_REDIRECT:
    case BEHAVIOUR_COUNT:
        break;
    }
    reply_send(exchange->call, &exchange->reply, NULL);
}

/* ---- Carrying out ---- */

static bool key_good(const struct http_call *call, struct reply *reply)
{
    const char *header = http_header(call, "authorization");
    uint8_t basic[256] = {0};
    const char *key = "";
    size_t size = 0;
    if (header != NULL && strncasecmp(header, "Bearer ", 7) == 0)
        key = header + 7;
    else if (header != NULL && strncasecmp(header, "Basic ", 6) == 0 &&
             !failed(decode_base64(header + 6, strlen(header + 6), basic, sizeof basic - 1, &size)))
        key = (const char *)basic; /* The key is the user; the password is empty. */
    if (strncmp(key, "sk_test_", 8) == 0 && key[8] != '\0' && key[8] != ':')
        return true;
    reply_fail(reply, &(struct reply_error){.status = 401,
                                            .type = "invalid_request_error",
                                            .message = header == NULL
                                                           ? "You did not provide an API key. Send "
                                                             "'Authorization: Bearer sk_test_...'."
                                                           : "Invalid API Key provided: it begins "
                                                             "with sk_test_."});
    return false;
}

static void reply_no_route(struct reply *reply)
{
    reply_fail(reply, &(struct reply_error){.status = 404,
                                            .type = "invalid_request_error",
                                            .message = "Unrecognized request URL. See the list "
                                                       "in the sandbox's README."});
}

/* The id between a route's prefix and suffix; false when the path is not the route's. */
static bool route_match(unsigned index, const struct http_call *call, char *out_id, size_t id_size)
{
    const char *path = http_path(call);
    size_t prefix = strlen(routes[index].prefix);
    out_id[0] = '\0';
    if (strcmp(http_method(call), routes[index].method) != 0 ||
        strncmp(path, routes[index].prefix, prefix) != 0)
        return false;
    const char *rest = path + prefix;
    if (routes[index].prefix[prefix - 1] == '/') {
        size_t size = strcspn(rest, "/");
        if (size == 0 || size >= id_size)
            return false;
        memcpy(out_id, rest, size);
        out_id[size] = '\0';
        rest += size;
    }
    return strcmp(rest, routes[index].suffix) == 0;
}

static unsigned year_of(int64_t now_s)
{
    time_t seconds = (time_t)now_s;
    struct tm parts = {0};
    return gmtime_r(&seconds, &parts) == NULL ? 0 : (unsigned)parts.tm_year + 1900u;
}

static void exchange_run(struct exchange *exchange)
{
    struct http_call *call = exchange->call;
    int64_t now_s = clock_now_ms() / 1000;
    struct card_verdict verdict;
    const struct card_verdict *forced =
        behaviour_verdict(exchange->behaviour, &verdict) ? &verdict : NULL;
    if (strcmp(http_path(call), PATH_JSON) == 0 && strcmp(http_method(call), "POST") == 0) {
        struct json_payments_request request = {.store = exchange->gateway->store,
                                                .verdict = forced,
                                                .now_s = now_s,
                                                .year_now = year_of(now_s)};
        request.body = http_body(call, &request.body_size);
        json_payments_create(&request, &exchange->card, &exchange->reply);
        return;
    }
    char id[INTENT_ID_SIZE];
    for (unsigned i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        if (!route_match(i, call, id, sizeof id))
            continue;
        (void)card_from_params(&exchange->params, &exchange->card);
        routes[i].run(&(struct payments_request){.store = exchange->gateway->store,
                                                 .params = &exchange->params,
                                                 .id = id,
                                                 .verdict = forced,
                                                 .now_s = now_s,
                                                 .year_now = year_of(now_s)},
                      &exchange->reply);
        return;
    }
    reply_no_route(&exchange->reply);
}

static void digest_make(struct http_call *call, uint8_t out[static REPLAYS_DIGEST_BYTES])
{
    crypto_hash_sha256_state state;
    size_t size = 0;
    const uint8_t *body = http_body(call, &size);
    crypto_hash_sha256_init(&state);
    crypto_hash_sha256_update(&state, (const uint8_t *)http_path(call),
                              strlen(http_path(call)) + 1);
    crypto_hash_sha256_update(&state, body, size);
    crypto_hash_sha256_final(&state, out);
}

static void exchange_run_once(struct exchange *exchange)
{
    const char *key = http_header(exchange->call, "idempotency-key");
    if (key == NULL || key[0] == '\0' || strcmp(http_method(exchange->call), "POST") != 0) {
        if (!behaviour_instead(exchange->behaviour, &exchange->reply))
            exchange_run(exchange);
        return;
    }
    uint8_t digest[REPLAYS_DIGEST_BYTES];
    digest_make(exchange->call, digest);
    struct status status = replays_find(exchange->gateway->replays, key, digest, &exchange->reply);
    if (!failed(status))
        return;
    if (status.why != WHY_NOT_FOUND || strlen(key) > REPLAYS_KEY_MAX) {
        reply_fail(&exchange->reply,
                   &(struct reply_error){.status = 400,
                                         .type = "idempotency_error",
                                         .message = "Keys for idempotent requests can only be "
                                                    "used with the same parameters they were "
                                                    "first used with."});
        return;
    }
    if (!behaviour_instead(exchange->behaviour, &exchange->reply))
        exchange_run(exchange);
    if (exchange->reply.began)
        status_ignore(replays_keep(exchange->gateway->replays, key, digest, &exchange->reply),
                      "a request that is not remembered is carried out again, as after 24 h");
}

static bool form_read(struct exchange *exchange)
{
    size_t size = 0;
    const uint8_t *body = http_body(exchange->call, &size);
    const char *type = http_header(exchange->call, "content-type");
    exchange->params = (struct params){.text = BUFFER(PARAMS_BYTES_MAX)};
    if (size == 0 || strcmp(http_path(exchange->call), PATH_JSON) == 0)
        return true;
    if (type != NULL && strncasecmp(type, "application/x-www-form-urlencoded", 33) == 0 &&
        !failed(params_parse(body, size, &exchange->params)))
        return true;
    reply_bad_param(&exchange->reply, NULL, NULL,
                    "The body must be application/x-www-form-urlencoded, without a name twice.");
    return false;
}

static bool behaviour_read(struct exchange *exchange)
{
    const char *text = http_header(exchange->call, "sandbox-behaviour");
    if (text == NULL)
        text = params_get(&exchange->params, "metadata[sandbox_behaviour]");
    if (!failed(behaviour_parse(text, &exchange->behaviour)))
        return true;
    reply_bad_param(&exchange->reply, NULL, "Sandbox-Behaviour", "There is no such behaviour.");
    return false;
}

static void exchange_end(struct exchange *exchange)
{
    card_wipe(&exchange->card);
    params_free(&exchange->params);
    reply_free(&exchange->reply);
}

void gateway_on_call(void *owner, struct http_call *call)
{
    struct gateway *gateway = owner;
    if (strncmp(http_path(call), "/sandbox/", 9) == 0) {
        inspect(gateway, call);
        return;
    }
    record_add(gateway->record, call);
    struct exchange exchange OWNED(exchange_end) = {
        .gateway = gateway, .call = call, .reply = reply_new()};
    if (key_good(call, &exchange.reply) && form_read(&exchange) && behaviour_read(&exchange))
        exchange_run_once(&exchange);
    exchange_answer(&exchange);
}
