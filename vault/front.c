/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/front.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/encode.h"
#include "base/frames.h"
#include "base/http_turns.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/metrics.h"
#include "base/own.h"
#include "base/redact.h"
#include "base/secret.h"
#include "base/supervise.h"
#include "vault/front_answer.h"
#include "vault/front_confine.h"
#include "vault/front_health.h"
#include "vault/front_pending.h"
#include "vault/front_tls.h"
#include "vault/routes.h"
#include "vault/settings.h"

#define SECRET_SLOTS     16u /* One card at a time: its number and its code. */
#define LOCK_BYTES       (SECRET_SLOTS * (SECRET_BYTES_MAX + 64u) + (64u << 10))
#define WAITING_MAX      (32u << 20) /* Frames that the keeper has not taken yet. */
#define TICK_MS          1000
#define STOP_PATIENCE_MS 5000
#define LOST_PATIENCE_MS 1000 /* For the refusals to go out. */
#define ERROR_MAX        512u
#define EXIT_AGAIN       1

struct front {
    const struct settings *settings;
    struct loop *loop;
    int core_fd;
    int signal_fd;
    struct frame_reader *in;
    struct frame_writer *out;
    struct loop_watch *core_watch;
    struct loop_watch *signal_watch;
    struct loop_timer *timer;
    struct front_tls tls;
    struct http_server *api;
    struct http_server *metrics;
    struct front_pending *pending;
    struct front_health health;
    struct metric *waiting;
    struct request request; /* One at a time: it is read within its call. */
    struct json_node *nodes;
    /* Pages of the log cost the keeper far more than anything else: it has one at a time, and what
     * others ask comes in between. */
    struct http_turns pages;
    uint64_t page_id; /* Of the page that the keeper has; while pages.taken. */
    bool blocked;     /* The socket is full; on_core_writable() is due. */
    bool lost;        /* The keeper is gone. */
    bool stopping;
    unsigned servers_open;
    char error[ERROR_MAX];
};

/* --- Leaving --- */

static void on_server_stopped(void *owner)
{
    struct front *front = owner;

    assert(front->servers_open > 0);
    if (--front->servers_open == 0)
        loop_stop(front->loop);
}

static void stop(struct front *front, int64_t patience_ms)
{
    if (front->stopping)
        return;
    front->stopping = true;
    log_event(LOG_INFO, "stopping", NULL);
    if (front->servers_open == 0)
        loop_stop(front->loop);
    if (front->api != NULL)
        http_server_stop(front->api, patience_ms, on_server_stopped, front);
    if (front->metrics != NULL)
        http_server_stop(front->metrics, 0, on_server_stopped, front);
}

/* Nobody will answer any more. */
static void lose_keeper(struct front *front, struct status status)
{
    struct http_call *call = NULL;

    if (front->lost)
        return;
    front->lost = true;
    if (!front->stopping)
        log_failure(LOG_WARN, "keeper_lost", status, NULL);
    loop_watch_free(&front->core_watch);
    while ((call = front_pending_take_any(front->pending)) != NULL)
        front_answer_code(call, PROBLEM_SEALED);
    stop(front, LOST_PATIENCE_MS);
}

/* --- The keeper's side --- */

static void ask_next_page(struct front *front);

static void take_answer(struct front *front, const struct frame *frame)
{
    const struct route *route = NULL;
    struct http_call *call = front_pending_take(front->pending, frame->id, &route);

    if (call != NULL) { /* Its client did wait. */
        struct status status = front_answer(call, route, frame, front->health.epoch);
        if (failed(status))
            log_failure(LOG_ERROR, "answer_unusable", status, NULL);
    }
    if (front->pages.taken && frame->id == front->page_id)
        ask_next_page(front);
}

static STATUS take_frame(struct front *front, const struct frame *frame)
{
    if (frame->type != MESSAGE_STATE) {
        take_answer(front, frame);
        return STATUS_OK;
    }
    return front_health_take(&front->health, frame, clock_monotonic_ms());
}

/* One recv() and all that came with it; WHY_BUSY: there was nothing. */
static STATUS read_keeper(struct front *front)
{
    struct frame frame;

    TRY(frame_reader_fill(front->in, front->core_fd));
    for (;;) {
        struct status status = frame_reader_next(front->in, &frame);
        if (status.why == WHY_NOT_FOUND)
            return STATUS_OK;
        TRY(status);
        TRY(take_frame(front, &frame));
    }
}

static void on_core_readable(void *owner)
{
    struct front *front = owner;
    struct status status = read_keeper(front);

    if (failed(status) && status.why != WHY_BUSY)
        lose_keeper(front, status);
}

static void on_core_writable(void *owner);

/* At the end of each turn: what came in during it goes to the keeper in one write. */
static void flush(void *owner)
{
    struct front *front = owner;

    if (front->lost || front->blocked || frame_writer_waiting(front->out) == 0)
        return;
    struct status status = frame_flush(front->out, front->core_fd);
    if (status.why == WHY_BUSY) {
        front->blocked = true;
        loop_watch_writable(front->core_watch, on_core_writable);
    } else if (failed(status))
        lose_keeper(front, status);
}

static void on_core_writable(void *owner)
{
    struct front *front = owner;

    front->blocked = false;
    flush(front);
}

/* --- A request --- */

static void fill_request(struct front *front, struct http_call *call, const char *token)
{
    struct request *request = &front->request;
    struct message_caller *caller = &request->caller;
    const struct tls_peer *peer = http_peer(call);

    *request = (struct request){.query = http_query(call),
                                .content_type = http_header(call, "content-type"),
                                .content_encoding = http_header(call, "content-encoding"),
                                .certificate = peer == NULL ? "" : peer->sha256,
                                .tls = &front->tls,
                                .nodes = front->nodes};
    request->now_ms = clock_now_ms();
    request->body = http_body(call, &request->body_size);
    memcpy(request->token, token, strlen(token) + 1);
    caller->verified = peer != NULL && tls_peer_valid(peer, request->now_ms);
    (void)snprintf(caller->uri, sizeof caller->uri, "%s", peer == NULL ? "" : peer->uri);
    (void)snprintf(caller->origin, sizeof caller->origin, "%s", http_peer_address(call));
    /* It goes into the log, and a caller may put anything into it. */
    (void)snprintf(caller->request_id, sizeof caller->request_id, "%s", http_request_id(call));
    redact_mask((uint8_t *)caller->request_id, strlen(caller->request_id));
    request_set_idempotency(request, http_header(call, "idempotency-key"));
}

/* Hands the request over; the keeper decides, whatever shape it has. */
static STATUS ask_keeper(struct front *front, struct http_call *call,
                         const struct routes_result *found)
{
    const struct route *route = found->route;
    uint64_t id = 0;

    TRY(front_pending_add(front->pending, call, route, &id));
    fill_request(front, call, found->token);
    if (route->type == MESSAGE_AUDIT_READ)
        front->page_id = id;
    route->read(&front->request, frame_begin(front->out, (uint8_t)route->type, id));
    /* People put numbers where tokens and keys belong, and this struct outlives them. */
    sodium_memzero(&front->request, sizeof front->request);
    struct status status = frame_end(front->out);
    if (failed(status))
        (void)front_pending_take(front->pending, id, &route); /* The caller answers. */
    return status;
}

static void wipe_found(struct routes_result *found)
{
    sodium_memzero(found, sizeof *found);
}

/* True when the keeper has it; else it was answered. */
static bool hand_over(struct front *front, struct http_call *call,
                      const struct routes_result *found)
{
    if (front->lost) {
        front_answer_code(call, PROBLEM_SEALED);
        return false;
    }
    struct status status = ask_keeper(front, call, found);
    if (failed(status))
        front_answer_code(call, problem_of(status));
    return !failed(status);
}

static void ask_next_page(struct front *front)
{
    struct routes_result found;

    for (struct http_call *call = http_turns_next(&front->pages); call != NULL;
         call = http_turns_next(&front->pages)) {
        enum routes_match match = routes_find(http_method(call), http_path(call), &found);
        assert(match == ROUTES_FOUND);
        if (hand_over(front, call, &found))
            return;
    }
}

static void on_page_call(struct front *front, struct http_call *call,
                         const struct routes_result *found)
{
    enum http_turn turn = http_turns_take(&front->pages, call);

    if (turn == HTTP_TURN_NEVER)
        front_answer_code(call, PROBLEM_BUSY);
    else if (turn == HTTP_TURN_NOW && !hand_over(front, call, found))
        ask_next_page(front);
}

static void on_api_call(void *owner, struct http_call *call)
{
    struct front *front = owner;
    struct routes_result found OWNED(wipe_found);

    switch (routes_find(http_method(call), http_path(call), &found)) {
    case ROUTES_NO_PATH:
        front_answer_code(call, PROBLEM_NOT_FOUND);
        return;
    case ROUTES_NO_METHOD:
        front_answer_no_method(call, found.allow);
        return;
    case ROUTES_FOUND:
        break;
    }
    if (found.route->type == MESSAGE_AUDIT_READ)
        on_page_call(front, call, &found);
    else
        (void)hand_over(front, call, &found);
}

static void on_metrics_call(void *owner, struct http_call *call)
{
    struct front *front = owner;

    metric_set(front->waiting, front_pending_count(front->pending));
    front_health_call(&front->health, call);
}

/* --- Coming up --- */

static void on_signal(void *owner)
{
    struct front *front = owner;
    int number = supervise_signal_take(front->signal_fd);

    if (number == SIGHUP)
        front_tls_tick(&front->tls, true, front->out);
    else if (number != 0)
        stop(front, STOP_PATIENCE_MS);
}

static void on_tick(void *owner)
{
    struct front *front = owner;

    front->timer = NULL;
    struct status status = loop_timer(front->loop, TICK_MS, on_tick, front, &front->timer);
    assert(!failed(status)); /* The slot of the timer that just fired is free. */
    front_tls_tick(&front->tls, false, front->out);
    log_flush();
}

static STATUS confine(struct front *front)
{
    const struct settings *settings = front->settings;
    struct sandbox_report report = {0};
    struct status status = front_confine(settings, LOCK_BYTES, &report);

    (void)snprintf(front->error, sizeof front->error, "missing: %s", report.missing);
    TRY(status);
    if (report.missing[0] != '\0')
        log_event(LOG_WARN, "guards_missing", "missing", report.missing, NULL);
    (void)snprintf(front->error, sizeof front->error,
                   "memory cannot be locked; raise LimitMEMLOCK");
    TRY(secret_pool_open(SECRET_SLOTS));
    (void)snprintf(front->error, sizeof front->error, "signals cannot be watched");
    return supervise_signals(&front->signal_fd);
}

/* No listener before the keeper's first word: a connection is accepted where it can be served.
 * The supervisor's stop ends the wait, and so does the keeper's end; *out_come says which. */
static STATUS await_keeper(struct front *front, bool *out_come)
{
    struct pollfd waited[] = {{.fd = front->core_fd, .events = POLLIN},
                              {.fd = front->signal_fd, .events = POLLIN}};

    *out_come = false;
    while (front->health.at_ms == 0) {
        if (poll(waited, 2, -1) < 0) {
            ENSURE(errno == EINTR, WHY_IO);
            continue;
        }
        if (waited[1].revents != 0)
            return STATUS_OK;
        struct status status = read_keeper(front);
        if (status.why == WHY_NOT_FOUND)
            return STATUS_OK;
        if (status.why != WHY_BUSY)
            TRY(status);
    }
    *out_come = true;
    return STATUS_OK;
}

static STATUS listen_on(struct front *front, struct http_server *server,
                        const struct settings_listen *where, struct tls_server *tls)
{
    struct http_listen listen = {.address = where->host, .port = where->port, .tls = tls};
    char text[80];

    TRY(http_server_listen(server, &listen, front->error, sizeof front->error));
    (void)snprintf(text, sizeof text, "%s:%u", where->host, (unsigned)listen.bound_port);
    log_event(LOG_INFO, "listening", "address", text, NULL);
    return STATUS_OK;
}

static STATUS open_servers(struct front *front)
{
    const struct settings *settings = front->settings;
    struct http_server_options options = {.loop = front->loop,
                                          .limits = settings->limits,
                                          .on_call = on_api_call,
                                          .owner = front,
                                          .component = "vault",
                                          .silence_stderr = true};

    TRY(front_tls_open(&front->tls, settings, front->error, sizeof front->error));
    TRY(http_server_new(&options, &front->api));
    front->servers_open++;
    TRY(listen_on(front, front->api, &settings->api, front->tls.server));
    if (settings->metrics.port == 0)
        return STATUS_OK;
    options.on_call = on_metrics_call;
    options.limits = http_limits_default();
    TRY(http_server_new(&options, &front->metrics));
    front->servers_open++;
    return listen_on(front, front->metrics, &settings->metrics, NULL);
}

static STATUS open_state(struct front *front)
{
    (void)snprintf(front->error, sizeof front->error, "memory ran out");
    front->waiting = metric_gauge("cardkeep_vault_front_pending_requests", "",
                                  "Requests that wait for the keeper.");
    front->nodes = calloc(REQUEST_NODES_MAX, sizeof *front->nodes);
    ENSURE(front->nodes != NULL, WHY_NO_MEMORY);
    TRY(loop_new(&front->loop));
    TRY(frame_reader_new(&front->in));
    TRY(frame_writer_new(WAITING_MAX, &front->out));
    TRY(front_pending_new(front->settings->limits.in_flight, &front->pending));
    int flags = fcntl(front->core_fd, F_GETFL);
    ENSURE(flags >= 0, WHY_IO);
    ENSURE(fcntl(front->core_fd, F_SETFL, flags | O_NONBLOCK) == 0, WHY_IO);
    return STATUS_OK;
}

static STATUS serve(struct front *front)
{
    bool come = false;

    TRY(confine(front));
    TRY(open_state(front));
    (void)snprintf(front->error, sizeof front->error, "the keeper speaks otherwise");
    TRY(await_keeper(front, &come));
    if (!come)
        return STATUS_OK;
    TRY(open_servers(front));
    (void)snprintf(front->error, sizeof front->error, "its calls cannot be filtered");
    TRY(front_confine_listening());
    TRY(loop_watch(front->loop, front->core_fd, on_core_readable, front, &front->core_watch));
    TRY(loop_watch(front->loop, front->signal_fd, on_signal, front, &front->signal_watch));
    TRY(loop_timer(front->loop, TICK_MS, on_tick, front, &front->timer));
    loop_on_turn_end(front->loop, flush, front);
    loop_run(front->loop);
    log_event(LOG_INFO, "stopped", NULL);
    return STATUS_OK;
}

static void close_all(struct front *front)
{
    http_server_free(&front->api);
    http_server_free(&front->metrics);
    tls_server_free(&front->tls.server);
    loop_watch_free(&front->core_watch);
    loop_watch_free(&front->signal_watch);
    if (front->timer != NULL)
        loop_timer_cancel(&front->timer);
    front_pending_free(&front->pending);
    frame_reader_free(&front->in);
    frame_writer_free(&front->out);
    if (front->loop != NULL)
        loop_free(&front->loop);
    buffer_free(&front->health.metrics);
    free(front->nodes);
    if (front->signal_fd >= 0)
        close(front->signal_fd);
    secret_pool_close();
}

int front_run(void *owner, int core_fd)
{
    const struct settings *settings = owner;
    struct front *front = calloc(1, sizeof *front);

    if (front == NULL || failed(log_open("front", settings->log_level, STDERR_FILENO)))
        return EXIT_AGAIN;
    front->settings = settings;
    front->core_fd = core_fd;
    front->signal_fd = -1;
    struct status status = serve(front);
    int code = EXIT_SUCCESS;
    if (failed(status)) {
        log_failure(LOG_ERROR, "cannot_start", status, "reason", front->error, NULL);
        /* A port that is still taken, or memory, may be better in a moment. */
        bool again = status.why == WHY_BUSY || status.why == WHY_NO_MEMORY;
        code = again ? EXIT_AGAIN : SUPERVISE_EXIT_CONFIG;
    }
    close_all(front);
    log_flush();
    free(front);
    return code;
}
