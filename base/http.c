/* SPDX-License-Identifier: Apache-2.0 */
#include "base/http.h"

#include <assert.h>
#include <fcntl.h>
#include <h2o.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/encode.h"
#include "base/http_inside.h"
#include "base/http_refuse.h"
#include "base/own.h"
#include "base/wipe.h"

/* How often time is looked at: an eighth of the shortest limit, within these bounds. */
#define TICK_MS_MIN 10
#define TICK_MS_MAX 250
/* Turns that http_server_free() gives connections which it has cut to be gone. */
#define FAREWELL_TURNS_MAX 1000u

struct request_handler {
    h2o_handler_t super; /* First, so that the handler is its own. */
    struct http_server *server;
};

struct http_limits http_limits_default(void)
{
    return (struct http_limits){
        .connections = 4096,
        .connections_per_second = 0,
        .in_flight = 8192,
        .in_flight_per_connection = 128,
        .header_bytes = 16 * 1024,
        .body_bytes = 64 * 1024,
        .transit_bytes = 128u * 1024 * 1024,
        .request_ms = 10 * 1000,
        .answer_ms = 60 * 1000,
        .idle_ms = 60 * 1000,
    };
}

static int server_on_request(h2o_handler_t *handler, h2o_req_t *req)
{
    return http_call_on_request(((struct request_handler *)handler)->server, req);
}

static void configure(struct http_server *server)
{
    const struct http_limits *limits = &server->options.limits;
    h2o_globalconf_t *config = &server->config;

    h2o_config_init(config);
    snprintf(server->name, sizeof server->name, "cardkeep-%s", server->options.component);
    config->server_name = h2o_iovec_init(server->name, strlen(server->name));
    config->max_request_entity_size = limits->body_bytes + HTTP_BODY_BYTES_SPARE;
    config->handshake_timeout = (uint64_t)limits->request_ms;
    /* libh2o's one timer for idling and for a whole request; http_guard.c has one for each. */
    config->http1.req_timeout = (uint64_t)(limits->idle_ms + limits->request_ms);
    config->http1.upgrade_to_http2 = 0; /* HTTP/2 comes by ALPN only. */
    config->http2.idle_timeout = (uint64_t)limits->idle_ms;

    h2o_hostconf_t *host =
        h2o_config_register_host(config, h2o_iovec_init(H2O_STRLIT("default")), 65535);
    /* Everything falls back to this one: paths are not libh2o's business here. */
    struct request_handler *handler =
        (struct request_handler *)h2o_create_handler(&host->fallback_path, sizeof *handler);
    handler->super.on_req = server_on_request;
    handler->server = server;
    http_answer_set_up(&host->fallback_path, &server->options);
    host->fallback_path.error_log.emit_request_errors = 0;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t tick_ms(const struct http_limits *limits)
{
    int64_t shortest_ms = least(least(limits->request_ms, limits->answer_ms), limits->idle_ms) / 8;
    if (shortest_ms < TICK_MS_MIN)
        return TICK_MS_MIN;
    return least(shortest_ms, TICK_MS_MAX);
}

static void check_stop(struct http_server *server, int64_t now_ms);

static void server_on_tick(void *owner)
{
    struct http_server *server = owner;
    int64_t now_ms = clock_monotonic_ms();

    server->tick = NULL;
    struct status status = loop_timer(server->options.loop, tick_ms(&server->options.limits),
                                      server_on_tick, server, &server->tick);
    assert(!failed(status)); /* The slot of the timer that just fired is free. */
    http_guard_sweep(server, now_ms);
    check_stop(server, now_ms);
}

/* libh2o writes a line to descriptor 2 for every frame that it does not know: megabytes a second
 * for whoever likes to send them. */
static STATUS silence_stderr(void)
{
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    ENSURE(fd >= 0, WHY_IO);
    int rc = dup2(fd, STDERR_FILENO);
    close(fd);
    ENSURE(rc == STDERR_FILENO, WHY_IO);
    return STATUS_OK;
}

STATUS http_server_new(const struct http_server_options *options, struct http_server **out_server)
{
    const struct http_limits *limits = &options->limits;
    assert(options->on_call != NULL);
    assert(options->component != NULL);
    assert(strlen(options->component) <= HTTP_COMPONENT_MAX);
    assert(limits->request_ms > 0);
    assert(limits->answer_ms > 0);
    assert(limits->idle_ms > 0);

    OWNED(http_server_free) struct http_server *server = calloc(1, sizeof *server);
    ENSURE(server != NULL, WHY_NO_MEMORY);
    server->options = *options;
    h2o_linklist_init_anchor(&server->conns);
    h2o_linklist_init_anchor(&server->waiting);
    h2o_linklist_init_anchor(&server->sending);
    h2o_linklist_init_anchor(&server->lingers);
    if (options->silence_stderr)
        TRY(silence_stderr());
    wipe_set_up();
    configure(server);
    http_meter_set_up(server);
    h2o_context_init(&server->context, loop_h2o(options->loop), &server->config);
    server->context_open = true;
    TRY(loop_timer(options->loop, tick_ms(limits), server_on_tick, server, &server->tick));
    *out_server = MOVE(server);
    return STATUS_OK;
}

STATUS http_server_listen(struct http_server *server, struct http_listen *listen, char *error,
                          size_t error_size)
{
    assert(error_size > 0);
    error[0] = '\0';
    return http_accept_open(server, listen, error, error_size);
}

unsigned http_server_connections(const struct http_server *server)
{
    return server->conn_count;
}

/* --- The end --- */

void http_server_stop(struct http_server *server, int64_t patience_ms, loop_fn done, void *owner)
{
    assert(!server->stopping);
    server->stopping = true;
    server->stop_by_ms = clock_monotonic_ms() + patience_ms;
    server->stopped = done;
    server->stopped_owner = owner;
    http_accept_close(server);
    h2o_context_request_shutdown(&server->context);
    for (h2o_linklist_t *link = server->conns.next; link != &server->conns; link = link->next) {
        struct http_conn *conn = http_conn_of(link);
        /* libh2o leaves idle HTTP/1.1 connections alone. */
        if (!conn->http2 && conn->in_flight == 0 && conn->sock->input->size == 0 &&
            conn->request_count > 0)
            http_guard_cut(conn);
    }
}

static void check_stop(struct http_server *server, int64_t now_ms)
{
    if (!server->stopping || server->stopped == NULL)
        return;
    if (server->conn_count != 0 && now_ms >= server->stop_by_ms)
        http_guard_cut_all(server);
    if (server->conn_count != 0)
        return;
    loop_fn done = server->stopped;
    server->stopped = NULL;
    done(server->stopped_owner); /* May free the server. */
}

static void context_free(struct http_server *server)
{
    h2o_context_t *context = &server->context;
    h2o_multithread_queue_t *queue = context->queue;

    /* Set by a shutdown, and not taken back by libh2o. */
    h2o_timeout_unlink(&context->http2._graceful_shutdown_timeout);
    h2o_context_dispose(context);
    free(queue); /* libh2o destroys what is in it and keeps the rest. */
}

void http_server_free(struct http_server **server)
{
    if (*server == NULL)
        return;
    if ((*server)->context_open) {
        (*server)->stopping = true;
        http_accept_close(*server);
        http_guard_cut_all(*server);
        for (unsigned i = 0; (*server)->conn_count > 0 && i < FAREWELL_TURNS_MAX; i++)
            h2o_evloop_run((*server)->context.loop, 10);
        assert((*server)->conn_count == 0);
        http_linger_sweep(*server, INT64_MAX);
        context_free(*server);
    }
    loop_timer_cancel(&(*server)->tick);
    if ((*server)->config.hosts != NULL)
        h2o_config_dispose(&(*server)->config);
    free(*server);
    *server = NULL;
}

/* --- What a handler may ask --- */

const char *http_method(const struct http_call *call)
{
    return call->method;
}

const char *http_path(const struct http_call *call)
{
    return call->path;
}

const char *http_query(const struct http_call *call)
{
    return call->query;
}

const char *http_header(const struct http_call *call, const char *name)
{
    for (unsigned i = 0; i < call->header_count; i++)
        if (strcmp(call->headers[i].name, name) == 0)
            return call->headers[i].value;
    return strcmp(name, "host") == 0 ? call->host : NULL; /* libh2o takes it out. */
}

bool http_header_at(const struct http_call *call, unsigned index, const char **out_name,
                    const char **out_value)
{
    if (index >= call->header_count)
        return false;
    *out_name = call->headers[index].name;
    *out_value = call->headers[index].value;
    return true;
}

uint8_t *http_body(struct http_call *call, size_t *out_size)
{
    *out_size = call->req->entity.len;
    return (uint8_t *)call->req->entity.base;
}

const struct tls_peer *http_peer(const struct http_call *call)
{
    return &call->conn->peer;
}

const char *http_peer_address(const struct http_call *call)
{
    return call->conn->address;
}

void *http_tag(const struct http_call *call)
{
    return call->conn->listener->tag;
}

const char *http_request_id(const struct http_call *call)
{
    return call->id;
}

void http_defer(struct http_call *call, void *call_owner, http_gone_fn gone)
{
    assert(!call->answered);
    assert(gone != NULL);
    call->deferred = true;
    call->owner = call_owner;
    call->gone = gone;
}
