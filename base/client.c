/* SPDX-License-Identifier: Apache-2.0 */
#include "base/client.h"

#include <assert.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/client_op.h"
#include "base/encode.h"
#include "base/own.h"
#include "base/wipe.h"

#define EVENTS_PER_TURN 64

struct client {
    struct loop *loop; /* Borrowed. */
    CURLM *multi;
    int epoll_fd; /* Holds libcurl's sockets, so that the loop watches one descriptor only. */
    struct loop_watch *watch;
    struct loop_timer *timer; /* NULL while libcurl wants none. */
    struct client_op *first;
    struct client_sockets sockets;
};

/* libcurl's allocator: it keeps request heads, and small bodies with them, in heap buffers that it
 * frees as they are (limits.md 11b), so that the freeing has to wipe. */
static void *wiping_malloc(size_t size)
{
    return calloc(1, size > 0 ? size : 1);
}

static void *wiping_calloc(size_t count, size_t size)
{
    return calloc(count, size);
}

static void *wiping_realloc(void *memory, size_t size)
{
    if (memory == NULL)
        return wiping_malloc(size);
    size_t old_size = malloc_usable_size(memory);
    if (size <= old_size && size >= old_size / 2)
        return memory;
    void *grown = wiping_malloc(size);
    if (grown == NULL)
        return NULL;
    memcpy(grown, memory, size < old_size ? size : old_size);
    wipe_free(memory);
    return grown;
}

static char *wiping_strdup(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = wiping_malloc(size);
    if (copy != NULL)
        memcpy(copy, text, size);
    return copy;
}

STATUS client_global_open(void)
{
    CURLcode code = curl_global_init_mem(CURL_GLOBAL_DEFAULT, wiping_malloc, wipe_free,
                                         wiping_realloc, wiping_strdup, wiping_calloc);
    ENSURE(code == CURLE_OK, WHY_NO_MEMORY);
    return STATUS_OK;
}

static bool is_tls_trouble(CURLcode code)
{
    switch ((int)code) {
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
    case CURLE_SSL_INVALIDCERTSTATUS:
    case CURLE_SSL_CLIENTCERT:
        return true;
    default:
        return false;
    }
}

/* A broken chunk comes as CURLE_RECV_ERROR; only the text tells it from a lost connection. */
static bool is_malformed(const struct client_op *op, CURLcode code)
{
    switch ((int)code) {
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_UNSUPPORTED_PROTOCOL: /* "Received HTTP/0.9": no status line. */
    case CURLE_BAD_CONTENT_ENCODING:
    case CURLE_WRITE_ERROR:
        return true;
    case CURLE_RECV_ERROR:
        return strstr(op->error, "chunked-encoding") != NULL;
    default:
        return op->malformed;
    }
}

static void op_judge(const struct client_op *op, CURLcode code, struct client_answer *answer)
{
    answer->trouble_text = op->error[0] != '\0' ? op->error : curl_easy_strerror(code);
    /* To libcurl a head that the peer's end cut short is whole. */
    if (code == CURLE_OK && answer->status >= 100 && op->head_ended) {
        answer->result = CLIENT_ANSWERED;
        answer->trouble_text = "";
        return;
    }
    bool no_status = code == CURLE_OK && answer->status < 100;
    if (op->sends > 0 && (no_status || is_malformed(op, code))) {
        answer->result = CLIENT_MALFORMED;
        answer->trouble = CLIENT_TROUBLE_PROTOCOL;
        return;
    }
    /* Reaching the write is what counts, not what libcurl says it wrote: OpenSSL may have sent
     * whole records before it said that it wants to be called again. */
    answer->result = op->sends > 0 ? CLIENT_NO_ANSWER : CLIENT_NOT_SENT;
    if (code == CURLE_OPERATION_TIMEDOUT)
        answer->trouble = CLIENT_TROUBLE_TIMEOUT;
    else if (is_tls_trouble(code))
        answer->trouble = CLIENT_TROUBLE_TLS;
    else
        answer->trouble = op->sends > 0 ? CLIENT_TROUBLE_CLOSED : CLIENT_TROUBLE_UNREACHABLE;
}

/* Tells the owner, once; the op is freed behind it. */
static void op_deliver(struct client_op **op_at, CURLcode code)
{
    OWNED(client_op_free) struct client_op *op = MOVE(*op_at);
    struct client_header headers[CLIENT_OP_HEADERS_MAX];
    struct client_answer answer = {.headers = headers};
    long status = 0;

    if (curl_easy_getinfo(op->easy, CURLINFO_RESPONSE_CODE, &status) == CURLE_OK)
        answer.status = (int)status;
    client_op_unlink(op); /* Before the owner hears: it may start or cancel others. */
    op_judge(op, code, &answer);
    for (size_t at = 0; at < op->head.size;) {
        char *name = (char *)op->head.bytes + at;
        char *value = name + strlen(name) + 1;
        if (answer.header_count == CLIENT_OP_HEADERS_MAX) {
            answer.result = CLIENT_MALFORMED;
            answer.trouble = CLIENT_TROUBLE_PROTOCOL;
            break;
        }
        headers[answer.header_count++] = (struct client_header){.name = name, .value = value};
        at += strlen(name) + strlen(value) + 2;
    }
    answer.body = op->body.bytes;
    answer.body_size = op->body.size;
    answer.duration_us = clock_monotonic_us() - op->started_us;
    op->done(op->owner, &answer);
}

/* Begins anew, over a connection of its own, what a stale one kept from being begun. */
static bool op_again(struct client *client, struct client_op *op)
{
    if (!op->stale || op->sends > 0)
        return false;
    op->stale = false;
    curl_multi_remove_handle(client->multi, op->easy);
    return curl_easy_setopt(op->easy, CURLOPT_FRESH_CONNECT, 1L) == CURLE_OK &&
           curl_multi_add_handle(client->multi, op->easy) == CURLM_OK;
}

static void client_collect(struct client *client)
{
    int left = 0;

    for (CURLMsg *message; (message = curl_multi_info_read(client->multi, &left)) != NULL;) {
        if (message->msg != CURLMSG_DONE)
            continue;
        CURLcode code = message->data.result; /* Gone with the handle: copied first. */
        char *private = NULL;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &private);
        struct client_op *op = (void *)private;
        if (!op_again(client, op))
            op_deliver(&op, code);
    }
}

static void client_on_readable(void *owner)
{
    struct client *client = owner;
    struct epoll_event events[EVENTS_PER_TURN];
    int running = 0;

    int count = epoll_wait(client->epoll_fd, events, EVENTS_PER_TURN, 0);
    for (int i = 0; i < count; i++) {
        unsigned mask = 0;
        if (events[i].events & (EPOLLIN | EPOLLHUP))
            mask |= CURL_CSELECT_IN;
        if (events[i].events & EPOLLOUT)
            mask |= CURL_CSELECT_OUT;
        if (events[i].events & EPOLLERR)
            mask |= CURL_CSELECT_ERR;
        curl_multi_socket_action(client->multi, events[i].data.fd, (int)mask, &running);
    }
    client_collect(client);
}

static void client_on_timer(void *owner)
{
    struct client *client = owner;
    int running = 0;

    client->timer = NULL; /* It fired, so it is gone. */
    curl_multi_socket_action(client->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    client_collect(client);
}

static int client_on_socket(CURL *easy, curl_socket_t fd, int what, void *owner, void *known)
{
    struct client *client = owner;
    struct epoll_event event = {.data.fd = fd};

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        epoll_ctl(client->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
        curl_multi_assign(client->multi, fd, NULL);
        return 0;
    }
    event.events = (what & CURL_POLL_IN ? (unsigned)EPOLLIN : 0u) |
                   (what & CURL_POLL_OUT ? (unsigned)EPOLLOUT : 0u);
    int rc = epoll_ctl(client->epoll_fd, known == NULL ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, fd, &event);
    curl_multi_assign(client->multi, fd, client); /* Any mark that is not NULL. */
    return rc == 0 ? 0 : -1;
}

static int client_on_timeout(CURLM *multi, long timeout_ms, void *owner)
{
    struct client *client = owner;

    (void)multi;
    if (client->timer != NULL)
        loop_timer_cancel(&client->timer);
    if (timeout_ms < 0)
        return 0;
    return failed(loop_timer(client->loop, timeout_ms, client_on_timer, client, &client->timer))
               ? -1
               : 0;
}

#define SET_MULTI(option, value)                                                                   \
    ENSURE(curl_multi_setopt(client->multi, (option), (value)) == CURLM_OK, WHY_NO_MEMORY)

STATUS client_new(struct loop *loop, unsigned connections_max, struct client **out_client)
{
    assert(loop != NULL);
    assert(connections_max > 0);

    OWNED(client_free) struct client *client = calloc(1, sizeof *client);
    ENSURE(client != NULL, WHY_NO_MEMORY);
    client->loop = loop;
    client->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    ENSURE(client->epoll_fd >= 0, WHY_IO);
    client->multi = curl_multi_init();
    ENSURE(client->multi != NULL, WHY_NO_MEMORY);
    SET_MULTI(CURLMOPT_SOCKETFUNCTION, client_on_socket);
    SET_MULTI(CURLMOPT_SOCKETDATA, client);
    SET_MULTI(CURLMOPT_TIMERFUNCTION, client_on_timeout);
    SET_MULTI(CURLMOPT_TIMERDATA, client);
    SET_MULTI(CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
    SET_MULTI(CURLMOPT_MAXCONNECTS, (long)connections_max);
    SET_MULTI(CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)connections_max);
    TRY(loop_watch(loop, client->epoll_fd, client_on_readable, client, &client->watch));
    *out_client = MOVE(client);
    return STATUS_OK;
}

void client_free(struct client **client_at)
{
    struct client *client = *client_at;

    if (client == NULL)
        return;
    while (client->first != NULL) {
        struct client_op *op = client->first;
        client_op_free(&op);
    }
    if (client->multi != NULL)
        curl_multi_cleanup(client->multi);
    if (client->timer != NULL)
        loop_timer_cancel(&client->timer);
    loop_watch_free(&client->watch);
    if (client->epoll_fd >= 0)
        close(client->epoll_fd);
    free(client);
    *client_at = NULL;
}

STATUS client_start(struct client *client, const struct client_request *request,
                    client_done_fn done, void *owner, struct client_op **out_op)
{
    OWNED(client_op_free) struct client_op *op = NULL;
    TRY(client_op_new(request, done, owner, &op));
    TRY(client_op_share(op, &client->sockets));
    /* libcurl only asks for its timer here; the transfer begins on the loop's next turn. */
    ENSURE(curl_multi_add_handle(client->multi, op->easy) == CURLM_OK, WHY_NO_MEMORY);
    op->multi = client->multi;
    op->link = &client->first;
    op->next = client->first;
    if (op->next != NULL)
        op->next->link = &op->next;
    client->first = op;
    *out_op = MOVE(op);
    return STATUS_OK;
}

void client_cancel(struct client_op **op)
{
    client_op_free(op);
}

STATUS client_fetch(const struct client_request *request, client_done_fn done, void *owner)
{
    struct client_op *op = NULL;
    TRY(client_op_new(request, done, owner, &op));
    CURLcode code = curl_easy_perform(op->easy);
    op_deliver(&op, code);
    return STATUS_OK;
}
