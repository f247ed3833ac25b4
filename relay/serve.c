/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/serve.h"

#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/encode.h"
#include "base/log.h"
#include "base/own.h"
#include "base/secret.h"
#include "base/supervise.h"
#include "relay/accept.h"
#include "relay/audit_routes.h"
#include "relay/backup_routes.h"
#include "relay/confine.h"
#include "relay/health.h"
#include "relay/ledger_sweep.h"
#include "relay/reload.h"
#include "relay/sign.h"
#include "relay/signer_routes.h"

#define SECRET_SLOTS            4096u
#define LOCK_BYTES              (SECRET_SLOTS * (SECRET_BYTES_MAX + 64u) + (64u << 10))
#define GATEWAY_CONNECTIONS_MAX 1024u
#define GATEWAY_SHARE           256u /* Of them for one: when it is silent, others have the rest. */
#define TICK_MS                 250
#define TICKS_PER_SECOND        4u
#define ERROR_MAX               768u
#define EXIT_AGAIN              1

/* The process: the relay and what only this file needs. */
struct serve {
    struct relay relay;
    const struct settings *settings;
    struct policy *policy;
    struct http_server *metrics_server;
    struct reload reload;
    struct loop_watch *signal_watch;
    struct loop_watch *control_watch;
    struct loop_timer *timer;
    int signal_fd;
    int control_fd;
    bool stopping;
    int servers_open;
    unsigned ticks;
    bool store_failed;   /* At start: a disk may be better in a moment. */
    unsigned turns_left; /* Ticks that a stop still waits for submissions under way. */
    struct ledger_entry note;
    struct ledger_sweep sweep;
    bool sweeping; /* It is out. */
    char error[ERROR_MAX];
};

static void on_api_call(void *owner, struct http_call *call)
{
    struct serve *serve = owner;
    const struct settings_destination *bound = http_tag(call);

    if (bound == NULL &&
        (audit_routes_call(&serve->relay, call) || backup_routes_call(&serve->relay, call) ||
         signer_routes_call(&serve->relay, call)))
        return;
    accept_call(&serve->relay, call, bound);
}

static void on_metrics_call(void *owner, struct http_call *call)
{
    struct serve *serve = owner;

    health_call(&serve->relay, call);
}

/* --- Leaving --- */

static void on_last_entry(struct ledger_op *op)
{
    struct serve *serve = (void *)((char *)op - offsetof(struct serve, note.op));

    loop_stop(serve->relay.loop);
}

/* The log's start and end are entries, so that a gap shows. */
static struct audit_entry life_entry(const struct serve *serve, const char *event)
{
    return (struct audit_entry){.actor = "relay",
                                .origin = "relay",
                                .event = event,
                                .outcome = "ok",
                                .bundle = policy_bundle(serve->policy)};
}

static void leave_if_done(struct serve *serve)
{
    if (!serve->stopping || serve->servers_open > 0 || serve->note.op.done != NULL)
        return;
    if (serve->relay.submission_count > 0 && serve->turns_left > 0)
        return; /* They are brought to their outcome first. */
    serve->note.entry = life_entry(serve, "audit.stop");
    serve->note.op.apply = ledger_rows_entry_apply;
    serve->note.op.done = on_last_entry;
    if (failed(ledger_submit(serve->relay.ledger, &serve->note.op)))
        serve->note.op.done = NULL; /* The next tick tries again. */
}

static void on_server_stopped(void *owner)
{
    struct serve *serve = owner;

    serve->servers_open--;
    leave_if_done(serve);
}

static void stop(struct serve *serve)
{
    if (serve->stopping)
        return;
    serve->stopping = true;
    int64_t patience_ms = settings_stop_ms(serve->settings);
    serve->turns_left = (unsigned)(patience_ms / TICK_MS);
    log_event(LOG_INFO, "stopping", NULL);
    http_server_stop(serve->relay.server, patience_ms, on_server_stopped, serve);
    if (serve->metrics_server != NULL)
        http_server_stop(serve->metrics_server, 0, on_server_stopped, serve);
}

static void on_signal(void *owner)
{
    struct serve *serve = owner;
    int number = supervise_signal_take(serve->signal_fd);

    if (number == SIGHUP && !serve->stopping)
        reload_tick(&serve->reload, &serve->relay, true);
    else if (number != SIGHUP && number != 0)
        stop(serve);
}

static void on_control(void *owner)
{
    struct serve *serve = owner;
    unsigned index = 0;
    int fd = -1;

    if (failed(supervise_receive(serve->control_fd, &index, &fd))) {
        loop_watch_free(&serve->control_watch); /* The supervisor is gone: so are we. */
        stop(serve);
        return;
    }
    sign_attach(serve->relay.sign, fd);
}

/* --- Rows that have had their time --- */

static void sweep_start(struct serve *serve);

static void on_swept(struct ledger_op *op)
{
    struct serve *serve = (void *)((char *)op - offsetof(struct serve, sweep.op));

    serve->sweeping = false;
    if (failed(op->status)) {
        log_failure(LOG_ERROR, "ledger_not_swept", op->status, NULL);
        return;
    }
    metric_add(serve->relay.metrics.swept, serve->sweep.deleted);
    if (serve->sweep.count == LEDGER_SWEEP_ROWS_MAX)
        sweep_start(serve);
}

static void sweep_start(struct serve *serve)
{
    if (serve->sweeping || serve->stopping)
        return;
    serve->sweep = ledger_sweep_at(clock_now_ms(), on_swept);
    serve->sweeping = !failed(ledger_submit(serve->relay.ledger, &serve->sweep.op));
}

static void on_tick(void *owner)
{
    struct serve *serve = owner;

    serve->timer = NULL;
    struct status status = loop_timer(serve->relay.loop, TICK_MS, on_tick, serve, &serve->timer);
    assert(!failed(status)); /* The slot of the timer that just fired is free. */
    if (serve->ticks++ % TICKS_PER_SECOND == 0) {
        lease_tick(serve->relay.desk);
        sweep_start(serve);
        backup_routes_tick(&serve->relay);
        if (!serve->stopping)
            reload_tick(&serve->reload, &serve->relay, false);
        log_flush();
    }
    sign_tick(serve->relay.sign);
    if (serve->stopping && serve->turns_left > 0)
        serve->turns_left--;
    leave_if_done(serve);
}

/* --- Coming up --- */

static STATUS confine(struct serve *serve)
{
    struct sandbox_report report = {0};

    struct status status = confine_relay(serve->settings, LOCK_BYTES, &report);
    if (report.error[0] != '\0')
        snprintf(serve->error, sizeof serve->error, "%s", report.error);
    else
        snprintf(serve->error, sizeof serve->error, "missing: %s", report.missing);
    TRY(status);
    snprintf(serve->error, sizeof serve->error, "memory cannot be locked; raise LimitMEMLOCK");
    TRY(secret_pool_open(SECRET_SLOTS));
    if (report.missing[0] != '\0')
        log_event(LOG_WARN, "guards_missing", "missing", report.missing, NULL);
    snprintf(serve->error, sizeof serve->error, "signals cannot be watched");
    return supervise_signals(&serve->signal_fd);
}

/* Policy, store, signer: all that decides whether this process may start at all. */
static STATUS open_state(struct serve *serve)
{
    const struct settings *settings = serve->settings;
    struct relay *relay = &serve->relay;
    unsigned index = 0;
    int fd = -1;

    TRY(policy_load(settings->policies, &serve->policy, serve->error, sizeof serve->error));
    relay->policy = serve->policy;
    struct status status = ledger_open(settings->data, settings->signer_origin, &relay->ledger,
                                       serve->error, sizeof serve->error);
    serve->store_failed = status.why == WHY_IO;
    TRY(status);
    snprintf(serve->error, sizeof serve->error, "the signer's socket did not come");
    TRY(supervise_receive(serve->control_fd, &index, &fd));
    TRY(sign_open(relay->loop, relay->ledger, fd, &settings->accept, &relay->sign, serve->error,
                  sizeof serve->error));
    sign_set_times(relay->sign, &(struct rotation_times){settings->signer_overlap_ms,
                                                         settings->signer_period_ms});
    struct ledger_entry start = {.op.apply = ledger_rows_entry_apply,
                                 .entry = life_entry(serve, "audit.start")};
    ledger_run(relay->ledger, &start.op);
    snprintf(serve->error, sizeof serve->error, "the store takes no writes");
    serve->store_failed = failed(start.op.status);
    TRY(start.op.status);
    return ledger_start(relay->ledger, relay->loop, 8 * settings->in_flight_max + 1024);
}

/* The store takes half of the descriptors, and the front some of the rest. */
static unsigned gateway_connections(const struct settings *settings)
{
    struct rlimit limit = {0};
    unsigned most = settings->in_flight_max < GATEWAY_CONNECTIONS_MAX ? settings->in_flight_max
                                                                      : GATEWAY_CONNECTIONS_MAX;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur / 4 >= most)
        return most;
    return limit.rlim_cur < 4 ? 1 : (unsigned)(limit.rlim_cur / 4);
}

static STATUS open_parts(struct serve *serve)
{
    const struct settings *settings = serve->settings;
    struct relay *relay = &serve->relay;
    unsigned connections = gateway_connections(settings);
    unsigned share = connections < GATEWAY_SHARE ? connections : GATEWAY_SHARE;

    snprintf(serve->error, sizeof serve->error, "memory ran out");
    TRY(client_new(relay->loop, connections, share, &relay->gateways));
    TRY(resolve_new(relay->loop, settings, &relay->resolver));
    TRY(lease_desk_new(relay->loop, settings, relay->ledger, &relay->desk));
    TRY(lease_resume(relay->desk));
    TRY(backup_routes_open(relay));
    sign_tick(relay->sign); /* What the start left behind has its checkpoint before anybody asks. */
    return loop_timer(relay->loop, TICK_MS, on_tick, serve, &serve->timer);
}

static STATUS listen_one(struct serve *serve, struct http_server *server, const char *host,
                         uint16_t port, void *tag)
{
    struct http_listen listen = {.address = host,
                                 .port = port,
                                 .tls = server == serve->relay.server ? serve->reload.server : NULL,
                                 .tag = tag};
    char text[80];

    TRY(http_server_listen(server, &listen, serve->error, sizeof serve->error));
    snprintf(text, sizeof text, "%s:%u", host, (unsigned)listen.bound_port);
    log_event(LOG_INFO, "listening", "address", text, NULL);
    return STATUS_OK;
}

static STATUS open_servers(struct serve *serve)
{
    /* What the server answers by itself says what became of the request, too. */
    static const char *const refused[] = {"Cardkeep-Outcome",
                                          "not_sent",
                                          "Cardkeep-Safe-To-Retry",
                                          "true",
                                          "Cardkeep-Failed",
                                          "relay",
                                          NULL};
    static const char *const overdue[] = {"Cardkeep-Outcome",
                                          "sent_no_answer",
                                          "Cardkeep-Safe-To-Retry",
                                          "false",
                                          "Cardkeep-Failed",
                                          "relay",
                                          NULL};
    const struct settings *settings = serve->settings;
    struct http_limits limits = http_limits_default();
    struct http_server_options options = {.loop = serve->relay.loop,
                                          .on_call = on_api_call,
                                          .owner = serve,
                                          .component = "relay",
                                          .silence_stderr = true,
                                          /* Stripe's library takes what has no "error" for a
                                           * payment, whatever the status. */
                                          .problem_member = "error",
                                          .refused_headers = refused,
                                          .overdue_headers = overdue};

    limits.connections = settings->connections_max;
    limits.in_flight = settings->in_flight_max;
    limits.body_bytes = settings->body_bytes_max;
    limits.answer_ms = settings_answer_ms(settings);
    options.limits = limits;
    TRY(reload_open(&serve->reload, &serve->relay, serve->error, sizeof serve->error));
    TRY(http_server_new(&options, &serve->relay.server));
    serve->servers_open++;
    TRY(listen_one(serve, serve->relay.server, settings->api.host, settings->api.port, NULL));
    for (unsigned i = 0; i < settings->destination_count; i++) {
        struct settings_destination *to = &settings->destinations[i];
        if (to->destination.listen_host[0] != '\0')
            TRY(listen_one(serve, serve->relay.server, to->destination.listen_host,
                           to->destination.listen_port, to));
    }
    if (settings->metrics.port == 0)
        return STATUS_OK;
    options.on_call = on_metrics_call;
    options.refused_headers = NULL;
    options.overdue_headers = NULL;
    options.limits = http_limits_default();
    TRY(http_server_new(&options, &serve->metrics_server));
    serve->servers_open++;
    return listen_one(serve, serve->metrics_server, settings->metrics.host, settings->metrics.port,
                      NULL);
}

static STATUS open_all(struct serve *serve)
{
    struct relay *relay = &serve->relay;

    TRY(confine(serve));
    health_register(&relay->metrics);
    snprintf(serve->error, sizeof serve->error, "memory ran out");
    TRY(loop_new(&relay->loop));
    TRY(open_state(serve));
    TRY(open_parts(serve));
    TRY(loop_watch(relay->loop, serve->signal_fd, on_signal, serve, &serve->signal_watch));
    TRY(loop_watch(relay->loop, serve->control_fd, on_control, serve, &serve->control_watch));
    TRY(open_servers(serve));
    snprintf(serve->error, sizeof serve->error, "its calls cannot be filtered");
    return confine_listening();
}

/* The reverse of open_all(), from wherever it came to. */
static void close_all(struct serve *serve)
{
    struct relay *relay = &serve->relay;

    if (relay->loop == NULL)
        return;
    http_server_free(&relay->server);
    http_server_free(&serve->metrics_server);
    loop_watch_free(&serve->signal_watch);
    loop_watch_free(&serve->control_watch);
    if (serve->timer != NULL)
        loop_timer_cancel(&serve->timer);
    ledger_stop(relay->ledger); /* What is out comes home while its owners are there. */
    sign_finish(relay->sign);
    resolve_free(&relay->resolver);
    lease_desk_free(&relay->desk);
    reload_close(&serve->reload);
    client_free(&relay->gateways);
    sign_close(&relay->sign);
    if (backup_routes_close(relay))
        ledger_close(&relay->ledger);
    policy_free(&serve->policy);
    if (relay->submission_count == 0) {
        loop_free(&relay->loop);
        secret_pool_close();
    }
    if (serve->signal_fd >= 0)
        close(serve->signal_fd);
}

int serve_run(const struct settings *settings, int control_fd)
{
    struct serve *serve = calloc(1, sizeof *serve);

    if (serve == NULL || failed(log_open("relay", settings->level, STDERR_FILENO)))
        return EXIT_AGAIN;
    serve->settings = settings;
    serve->relay.settings = settings;
    serve->relay.submission_max = 2 * settings->in_flight_max;
    serve->signal_fd = -1;
    serve->control_fd = control_fd;

    struct status status = open_all(serve);
    int code = 0;
    if (failed(status)) {
        log_failure(LOG_ERROR, "cannot_start", status, "reason", serve->error, NULL);
        /* A store that is still held, a full disk, or a signer that is slow, may be better in a
         * moment. */
        bool again = status.why == WHY_BUSY || status.why == WHY_TIMEOUT ||
                     status.why == WHY_NOT_FOUND || status.why == WHY_NO_MEMORY ||
                     (status.why == WHY_IO && serve->store_failed);
        code = again ? EXIT_AGAIN : SUPERVISE_EXIT_CONFIG;
    } else {
        log_event(LOG_INFO, "ready", NULL);
        loop_run(serve->relay.loop);
        log_event(LOG_INFO, "stopped", NULL);
    }
    close_all(serve);
    log_flush();
    free(serve);
    return code;
}
