/* SPDX-License-Identifier: Apache-2.0 */
/* tests/base/client_peer.h -- a TLS server with a thread for each connection, and a client to it.
 *
 * In      what each connection does, as a function of the test's.
 * Out     that; and answers, kept beyond their callbacks.
 * Never   is included by more than one file of a program; waits for ever.
 * Threads the test's own runs the loop; peer_…() those of connections.
 */
#ifndef TESTS_BASE_CLIENT_PEER_H
#define TESTS_BASE_CLIENT_PEER_H

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/client.h"
#include "base/encode.h"
#include "base/own.h"
#include "tests/support/pki.h"

#define HOST            "gateway.test"
#define PATIENCE_MS     10000
#define REQUEST_ROOM    65536u
#define CONNECTIONS_MAX 8192u

struct peer;
typedef void (*peer_fn)(struct peer *peer);

struct peer {
    SSL *ssl;
    int fd;
    unsigned index; /* Which connection it is, from 0. */
    char request[REQUEST_ROOM];
    size_t size; /* Of what of a request was read. */
    peer_fn serve;
    bool is_silent;
};

static struct {
    struct pki *pki;
    struct pki_files files;
    SSL_CTX *context;
    int fd;
    uint16_t port;
    pthread_t thread;
    pthread_t threads[CONNECTIONS_MAX];
    _Atomic(peer_fn) serve; /* Of connections that come from now on. */
    atomic_bool is_silent;  /* No handshake. */
    atomic_uint connections;
    atomic_uint handshakes;
    atomic_uint resumed;
    atomic_uint requests;
    atomic_uint signals; /* Between a test and its connections. */
    atomic_bool ending;
} host;

/* --- The server's side --- */

__attribute__((unused)) static bool wait_for(const atomic_uint *count, unsigned least)
{
    int64_t end_ms = clock_monotonic_ms() + PATIENCE_MS;

    while (atomic_load(count) < least) {
        if (clock_monotonic_ms() > end_ms || host.ending)
            return false;
        poll(NULL, 0, 1);
    }
    return true;
}

static void peer_say(struct peer *peer, const char *text)
{
    SSL_write(peer->ssl, text, (int)strlen(text));
}

/* Until the other end's kernel has all of it. */
__attribute__((unused)) static void peer_flush(struct peer *peer)
{
    int64_t end_ms = clock_monotonic_ms() + PATIENCE_MS;
    int left = 1;

    while (ioctl(peer->fd, SIOCOUTQ, &left) == 0 && left > 0 && clock_monotonic_ms() < end_ms)
        poll(NULL, 0, 1);
}

/* The next request's head, as a text; its body is not read.  False at the end. */
static bool peer_hear(struct peer *peer)
{
    peer->size = 0;
    peer->request[0] = '\0';
    while (peer->size < REQUEST_ROOM - 1) {
        int rc =
            SSL_read(peer->ssl, peer->request + peer->size, (int)(REQUEST_ROOM - 1 - peer->size));
        if (rc <= 0)
            return false;
        peer->size += (size_t)rc;
        peer->request[peer->size] = '\0';
        if (strstr(peer->request, "\r\n\r\n") != NULL) {
            host.requests++;
            return true;
        }
    }
    return false;
}

/* Answers with the request's target and the connection's index. */
static void peer_answer(struct peer *peer)
{
    char body[256];
    char answer[512];
    const char *target = strchr(peer->request, ' ');
    int size = target == NULL ? 0 : (int)strcspn(target + 1, " ");

    snprintf(body, sizeof body, "%.*s %u", size, target == NULL ? "" : target + 1, peer->index);
    snprintf(answer, sizeof answer, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s",
             strlen(body), body);
    peer_say(peer, answer);
}

__attribute__((unused)) static void serve_all(struct peer *peer)
{
    while (peer_hear(peer))
        peer_answer(peer);
}

/* Hears one request and says nothing, until the client has gone. */
__attribute__((unused)) static void serve_silence(struct peer *peer)
{
    while (peer_hear(peer))
        continue;
}

static void *peer_run(void *owner)
{
    struct peer *peer = owner;

    if (peer->is_silent) {
        char byte;
        (void)recv(peer->fd, &byte, 1, MSG_WAITALL);
        while (recv(peer->fd, &byte, 1, 0) > 0)
            continue;
    } else {
        peer->ssl = SSL_new(host.context);
        SSL_set_fd(peer->ssl, peer->fd);
        if (SSL_accept(peer->ssl) == 1) {
            host.handshakes++;
            host.resumed += SSL_session_reused(peer->ssl) == 1;
            peer->serve(peer);
        }
        SSL_free(peer->ssl); /* No close_notify: an end without a word, as of a dying peer. */
    }
    if (peer->fd >= 0)
        close(peer->fd);
    free(peer);
    return NULL;
}

static void *host_run(void *unused)
{
    const int yes = 1;

    (void)unused;
    for (unsigned index = 0; index < CONNECTIONS_MAX; index++) {
        int fd = accept(host.fd, NULL, NULL);
        if (fd < 0)
            break;
        struct peer *peer = calloc(1, sizeof *peer);
        cr_assert(peer != NULL);
        peer->fd = fd;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        peer->index = index;
        peer->serve = host.serve;
        peer->is_silent = host.is_silent;
        host.connections++;
        cr_assert_eq(pthread_create(&host.threads[index], NULL, peer_run, peer), 0);
    }
    return NULL;
}

static int listener(const char *address, int backlog, uint16_t *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(*port)};
    socklen_t size = sizeof at;
    const int yes = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    cr_assert_eq(inet_pton(AF_INET, address, &at.sin_addr), 1);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    cr_assert_eq(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    cr_assert_eq(listen(fd, backlog), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&at, &size), 0);
    *port = ntohs(at.sin_port);
    return fd;
}

static void host_certify(const char *alt)
{
    struct pki_subject subject = {.name = "server", .alt = alt};

    host.files = pki_issue(host.pki, &subject);
    SSL_CTX_free(host.context);
    host.context = SSL_CTX_new(TLS_server_method());
    cr_assert_eq(
        SSL_CTX_use_certificate_file(host.context, host.files.certificate, SSL_FILETYPE_PEM), 1);
    cr_assert_eq(SSL_CTX_use_PrivateKey_file(host.context, host.files.key, SSL_FILETYPE_PEM), 1);
}

/* --- The client's side --- */

static struct loop *loop;
static struct client *client;

struct kept {
    unsigned count;
    unsigned order; /* The how-manieth of all it was. */
    enum client_result result;
    enum client_trouble trouble;
    int status;
    char text[256];
    char body[16384];
    size_t body_size;
    int64_t duration_ms;
};

static unsigned kept_count;

static void keep(void *owner, struct client_answer *answer)
{
    struct kept *kept = owner;

    kept->count++;
    kept->order = kept_count++;
    kept->result = answer->result;
    kept->trouble = answer->trouble;
    kept->status = answer->status;
    snprintf(kept->text, sizeof kept->text, "%s", answer->trouble_text);
    kept->body_size = answer->body_size;
    memset(kept->body, 0, sizeof kept->body);
    if (answer->body_size > 0)
        memcpy(kept->body, answer->body, answer->body_size);
    kept->duration_ms = answer->duration_us / 1000;
}

static struct client_request request_to(const char *target)
{
    return (struct client_request){.method = "POST",
                                   .host = HOST,
                                   .port = host.port,
                                   .target = target,
                                   .addresses = "127.0.0.1",
                                   .authorities = pki_authority(host.pki),
                                   .connect_ms = PATIENCE_MS / 2,
                                   .total_ms = PATIENCE_MS,
                                   .answer_bytes_max = 12000};
}

static struct client_op *start(const struct client_request *request, struct kept *kept)
{
    struct client_op *op = NULL;
    unsigned before = kept->count;

    cr_assert(!failed(client_start(client, request, keep, kept, &op)));
    cr_assert_eq(kept->count, before, "not from inside client_start()");
    return op;
}

struct turn {
    struct loop_timer *timer;
    const unsigned *count;
    const atomic_uint *signals;
    unsigned least;
    int64_t end_ms;
};

static void turn_on_tick(void *owner)
{
    struct turn *turn = owner;
    unsigned count = turn->count != NULL ? *turn->count : atomic_load(turn->signals);

    turn->timer = NULL;
    if (count >= turn->least || clock_monotonic_ms() > turn->end_ms)
        loop_stop(loop);
    else
        cr_assert(!failed(loop_timer(loop, 1, turn_on_tick, turn, &turn->timer)));
}

static void turn_until(struct turn turn)
{
    turn.end_ms = clock_monotonic_ms() + PATIENCE_MS;
    cr_assert(!failed(loop_timer(loop, 0, turn_on_tick, &turn, &turn.timer)));
    loop_run(loop);
}

/* Until so many answers were kept. */
static void run_until(const unsigned *count, unsigned least)
{
    turn_until((struct turn){.count = count, .least = least});
    cr_assert_geq(*count, least, "in time");
}

/* Until a connection's thread has counted so far. */
__attribute__((unused)) static void run_until_signal(const atomic_uint *signals, unsigned least)
{
    turn_until((struct turn){.signals = signals, .least = least});
    cr_assert_geq(atomic_load(signals), least, "in time");
}

__attribute__((unused)) static void ask_with(const struct client_request *request,
                                             struct kept *kept)
{
    memset(kept, 0, sizeof *kept);
    (void)start(request, kept);
    run_until(&kept->count, 1);
    cr_assert_eq(kept->count, 1u);
}

__attribute__((unused)) static struct kept *ask(const char *target)
{
    static struct kept kept;
    struct client_request request = request_to(target);

    ask_with(&request, &kept);
    return &kept;
}

static void host_start(peer_fn serve, unsigned connections_max)
{
    host.pki = pki_new();
    host_certify("DNS:" HOST ",DNS:other.test,IP:127.0.0.1");
    host.serve = serve;
    host.fd = listener("0.0.0.0", 64, &host.port);
    cr_assert_eq(pthread_create(&host.thread, NULL, host_run, NULL), 0);
    cr_assert(!failed(loop_new(&loop)));
    cr_assert(!failed(client_new(loop, connections_max, connections_max, &client)));
}

static void host_stop(void)
{
    client_free(&client);
    loop_free(&loop);
    host.ending = true;
    shutdown(host.fd, SHUT_RDWR);
    pthread_join(host.thread, NULL);
    for (unsigned i = 0; i < host.connections; i++)
        pthread_join(host.threads[i], NULL);
    close(host.fd);
    SSL_CTX_free(host.context);
    pki_free(&host.pki);
}

#endif
