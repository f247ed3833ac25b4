/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>

#include "tests/support/echo.h"

#include <assert.h>
#include <semaphore.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/encode.h"

#define LATER_MS 20

struct later {
    struct echo *echo;
    struct http_call *call; /* NULL once its client left. */
    struct loop_timer *timer;
};

static void answer_text(struct http_call *call, const char *text)
{
    http_answer(call, &(struct http_answer){.status = 200,
                                            .content_type = "text/plain",
                                            .body = text,
                                            .body_size = strlen(text)});
}

static void answer_body(struct http_call *call)
{
    size_t size = 0;
    const uint8_t *body = http_body(call, &size);
    uint8_t *copy = calloc(1, size + 1); /* Answering wipes the body. */
    assert(copy != NULL);
    if (size > 0)
        memcpy(copy, body, size);
    http_answer(call, &(struct http_answer){.status = 200,
                                            .content_type = "application/octet-stream",
                                            .body = copy,
                                            .body_size = size});
    sodium_memzero(copy, size);
    free(copy);
}

static void answer_what(struct http_call *call)
{
    char text[2048];
    int used = snprintf(text, sizeof text, "%s %s ?%s\nhost=%s\nid=%s\ntag=%s\n", http_method(call),
                        http_path(call), http_query(call), http_header(call, "host"),
                        http_request_id(call), (const char *)http_tag(call));
    const char *name = NULL;
    const char *value = NULL;
    for (unsigned i = 0; http_header_at(call, i, &name, &value); i++)
        used += snprintf(text + used, sizeof text - (size_t)used, "%s: %s\n", name, value);
    answer_text(call, text);
}

static void answer_peer(struct http_call *call)
{
    const struct tls_peer *peer = http_peer(call);
    char text[1024];
    snprintf(text, sizeof text,
             "present=%d verified=%d valid=%d uri=%s subject=%s trouble=%s at=%s", peer->present,
             peer->verified, tls_peer_valid(peer, clock_now_ms()), peer->uri, peer->subject,
             peer->trouble, http_peer_address(call));
    answer_text(call, text);
}

static void answer_split(struct http_call *call)
{
    static const char *const headers[] = {
        "X-Good",         "yes",       "X-Bad",  "1\r\nX-Worse: 2",
        "Content-Length", "7",         "X\r\nY", "no",
        "Cache-Control",  "max-age=1", NULL};
    http_answer(call, &(struct http_answer){.status = 201,
                                            .content_type = "text/plain\r\nX-Worse: 3",
                                            .body = "split",
                                            .body_size = 5,
                                            .headers = headers});
}

static void answer_large(struct http_call *call)
{
    uint8_t *bytes = calloc(1, ECHO_LARGE_BYTES);
    assert(bytes != NULL);
    http_answer(call, &(struct http_answer){.status = 200,
                                            .content_type = "application/octet-stream",
                                            .body = bytes,
                                            .body_size = ECHO_LARGE_BYTES});
    free(bytes);
}

static void later_on_gone(void *owner)
{
    struct later *later = owner;
    atomic_fetch_add(&later->echo->gone, 1);
    loop_timer_cancel(&later->timer);
    free(later);
}

static void later_on_time(void *owner)
{
    struct later *later = owner;
    answer_body(later->call);
    free(later);
}

static void defer(struct echo *echo, struct http_call *call, bool answers)
{
    struct later *later = calloc(1, sizeof *later);
    assert(later != NULL);
    later->echo = echo;
    later->call = call;
    http_defer(call, later, later_on_gone);
    if (!answers)
        return;
    struct status status = loop_timer(echo->loop, LATER_MS, later_on_time, later, &later->timer);
    assert(!failed(status));
}

static void echo_on_call(void *owner, struct http_call *call)
{
    struct echo *echo = owner;
    const char *path = http_path(call);

    atomic_fetch_add(&echo->calls, 1);
    if (strcmp(path, "/echo") == 0)
        answer_body(call);
    else if (strcmp(path, "/what") == 0)
        answer_what(call);
    else if (strcmp(path, "/peer") == 0)
        answer_peer(call);
    else if (strcmp(path, "/split") == 0)
        answer_split(call);
    else if (strcmp(path, "/large") == 0)
        answer_large(call);
    else if (strcmp(path, "/close") == 0)
        http_answer(call, &(struct http_answer){.status = 204, .close = true});
    else if (strcmp(path, "/later") == 0)
        defer(echo, call, true);
    else if (strcmp(path, "/never") == 0)
        defer(echo, call, false);
    else
        http_answer_problem(call,
                            &(struct http_problem){.status = 404,
                                                   .code = "not_found",
                                                   .title = "There is nothing here.",
                                                   .rule = "a \"rule\""},
                            NULL);
}

static void *run(void *owner)
{
    struct echo *echo = owner;
    loop_run(echo->loop);
    return NULL;
}

static void make_tls(struct echo *echo)
{
    char error[256];
    echo->pki = pki_new();
    struct pki_files files = pki_issue(
        echo->pki, &(struct pki_subject){.name = "server", .alt = "DNS:localhost,IP:127.0.0.1"});
    echo->client = pki_issue(
        echo->pki,
        &(struct pki_subject){.name = "client", .alt = "URI:spiffe://test/client", .client = true});
    struct status status = tls_server_new(files.certificate, files.key, pki_authority(echo->pki),
                                          &echo->tls, error, sizeof error);
    assert(!failed(status));
}

void echo_start(struct echo *echo, enum echo_kind kind, const struct http_limits *limits)
{
    *echo = (struct echo){0};
    if (kind == ECHO_TLS)
        make_tls(echo);
    struct status status = loop_new(&echo->loop);
    assert(!failed(status));
    static const char *const refused[] = {"x-given", "back", NULL};
    static const char *const overdue[] = {"x-given", "up", NULL};
    const struct http_server_options options = {
        .loop = echo->loop,
        .limits = limits == NULL ? http_limits_default() : *limits,
        .on_call = echo_on_call,
        .owner = echo,
        .component = "test",
        .refused_headers = refused,
        .overdue_headers = overdue,
    };
    status = http_server_new(&options, &echo->server);
    assert(!failed(status));
    static char tag[] = "front door";
    struct http_listen listen = {.address = "127.0.0.1", .tls = echo->tls, .tag = tag};
    char error[256];
    status = http_server_listen(echo->server, &listen, error, sizeof error);
    assert(!failed(status));
    echo->port = listen.bound_port;
    int rc = pthread_create(&echo->thread, NULL, run, echo);
    assert(rc == 0);
    echo->running = true;
}

static void echo_on_stopped(void *owner)
{
    loop_stop(((struct echo *)owner)->loop);
}

struct stop {
    struct echo *echo;
    int64_t patience_ms;
};

static void echo_on_stop(void *owner)
{
    struct stop *stop = owner;
    http_server_stop(stop->echo->server, stop->patience_ms, echo_on_stopped, stop->echo);
}

void echo_stop(struct echo *echo, int64_t patience_ms)
{
    struct stop stop = {.echo = echo, .patience_ms = patience_ms};
    struct status status = loop_post(echo->loop, echo_on_stop, &stop);
    assert(!failed(status));
    pthread_join(echo->thread, NULL);
    echo->running = false;
}

void echo_free(struct echo *echo)
{
    if (echo->running) {
        loop_stop(echo->loop);
        pthread_join(echo->thread, NULL);
    }
    http_server_free(&echo->server);
    loop_free(&echo->loop);
    tls_server_free(&echo->tls);
    pki_free(&echo->pki);
}

struct question {
    struct echo *echo;
    sem_t answered;
    unsigned count;
};

static void echo_on_question(void *owner)
{
    struct question *question = owner;
    question->count = http_server_connections(question->echo->server);
    sem_post(&question->answered);
}

unsigned echo_connections(struct echo *echo)
{
    struct question question = {.echo = echo};
    sem_init(&question.answered, 0, 0);
    struct status status = loop_post(echo->loop, echo_on_question, &question);
    assert(!failed(status));
    while (sem_wait(&question.answered) != 0)
        continue;
    sem_destroy(&question.answered);
    return question.count;
}
