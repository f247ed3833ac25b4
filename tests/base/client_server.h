/* SPDX-License-Identifier: Apache-2.0 */
/* tests/base/client_server.h -- a TLS server on a thread of its own, for tests of base/client.c.
 *
 * In      requests whose path names what to do: answer, hang up, trickle, lie.
 * Out     that.
 * Never   is included by more than one file of a program.
 * Threads server_start() and server_stop() any one; the counters any.
 */
#ifndef TESTS_BASE_CLIENT_SERVER_H
#define TESTS_BASE_CLIENT_SERVER_H

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/client.h"

#define HOST "gateway.test"

/* A TLS server on a thread of its own whose behaviour is the path that is asked for. */
static struct {
    SSL_CTX *context;
    int fd;
    uint16_t port;
    pthread_t thread;
    atomic_uint requests;
    atomic_uint connections;
    char folder[64];
    char certificate[96];
    char other[96];
} server;

static void certificate_make(const char *name, const char *path, SSL_CTX *context)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x509 = X509_new();
    char names[128];

    X509_set_version(x509, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x509), 1);
    X509_gmtime_adj(X509_getm_notBefore(x509), -60);
    X509_gmtime_adj(X509_getm_notAfter(x509), 3600);
    X509_set_pubkey(x509, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x509), "CN", MBSTRING_ASC,
                               (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(x509, X509_get_subject_name(x509));
    snprintf(names, sizeof names, "DNS:%s", name);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, names);
    X509_add_ext(x509, extension, -1);
    X509_EXTENSION_free(extension);
    cr_assert(X509_sign(x509, key, EVP_sha256()) > 0);
    FILE *file = fopen(path, "w");
    cr_assert(file != NULL);
    PEM_write_X509(file, x509);
    fclose(file);
    if (context != NULL) {
        cr_assert_eq(SSL_CTX_use_certificate(context, x509), 1);
        cr_assert_eq(SSL_CTX_use_PrivateKey(context, key), 1);
    }
    X509_free(x509);
    EVP_PKEY_free(key);
}

static void say(SSL *ssl, const char *text)
{
    SSL_write(ssl, text, (int)strlen(text));
}

static void say_echo(SSL *ssl, const char *request)
{
    char head[128];
    snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", strlen(request));
    say(ssl, head);
    say(ssl, request);
}

static void say_trickle(SSL *ssl)
{
    say(ssl, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
    for (int i = 0; i < 40; i++) {
        if (SSL_write(ssl, ".", 1) != 1)
            return;
        poll(NULL, 0, 25);
    }
}

/* False when the connection ends with this request. */
static bool server_answer(SSL *ssl, const char *request)
{
    static const struct {
        const char *path;
        const char *answer;
    } fixed[] = {
        {"/hello", "HTTP/1.1 201 Made\r\nX-One: a\r\nX-EMPTY:\r\nContent-Length: 5\r\n\r\nhello"},
        {"/close", ""},
        {"/partial", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"},
        {"/garbage", "this is not the protocol you are looking for\r\n\r\n"},
        {"/badchunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\nhello\r\n"},
        {"/shortchunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nhello"},
        {"/nocolon", "HTTP/1.1 200 OK\r\nbroken header\r\nContent-Length: 0\r\n\r\n"},
        {"/return", "HTTP/1.1 200 OK\r\nX-A: b\rSet-Cookie: c\r\nContent-Length: 0\r\n\r\n"},
        {"/blank", "HTTP/1.1 200 OK\r\nX-Blank \t: a\r\nContent-Length: 0\r\n\r\n"},
        {"/lengths", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 4\r\n\r\n{}{}"},
        {"/list", "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\n{}"},
        {"/both", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n"
                  "2\r\n{}\r\n0\r\n\r\n"},
        {"/encodings", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
                       "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"},
        {"/huge", "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551618\r\n\r\n{}"},
        {"/large", "HTTP/1.1 200 OK\r\nContent-Length: 12001\r\n\r\n{}"},
        {"/http2", "HTTP/2 200 OK\r\nContent-Length: 2\r\n\r\n{}"},
        {"/same", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}"},
        {"/cuthead", "HTTP/1.1 200 OK\r\nX-Cut: a\r\n"},
        {"/oddname", "HTTP/1.1 200 OK\r\nX Odd: a\r\nContent-Length: 0\r\n\r\n"},
        {"/redirect", "HTTP/1.1 302 Found\r\nLocation: /hello\r\nContent-Length: 0\r\n\r\n"},
        {"/hints", "HTTP/1.1 103 Early Hints\r\nX-Early: 1\r\n\r\n"
                   "HTTP/1.1 204 No Content\r\nX-Late: 1\r\n\r\n"},
        {"/trailer", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                     "5\r\nhello\r\n0\r\nX-Trailer: 1\r\n\r\n"},
    };
    const char *path = strchr(request, ' ') + 1;

    if (strncmp(path, "/more", 5) == 0) { /* Says more than it was asked for. */
        say(ssl, "HTTP/1.1 204 No Content\r\n\r\n");
        say(ssl, "HTTP/1.1 200 OK\r\nX-Stale: 1\r\nContent-Length: 5\r\n\r\nstale");
        return true;
    }
    if (strncmp(path, "/exact", 6) == 0) {
        say(ssl, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        say(ssl, "HTTP/1.1 200 OK\r\nX-Stale: 1\r\nContent-Length: 5\r\n\r\nstale");
        return true;
    }
    if (strncmp(path, "/silent", 7) == 0) {
        char byte;
        SSL_read(ssl, &byte, 1); /* Until the client gives up. */
        return false;
    }
    if (strncmp(path, "/trickle", 8) == 0) {
        say_trickle(ssl);
        return false;
    }
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++) {
        size_t size = strlen(fixed[i].path);
        if (strncmp(path, fixed[i].path, size) != 0 || path[size] != ' ')
            continue;
        say(ssl, fixed[i].answer);
        return fixed[i].answer[0] != '\0' && strstr(fixed[i].answer, "1.1 20") == NULL;
    }
    say_echo(ssl, request);
    return true;
}

static void server_serve(SSL *ssl)
{
    char request[16384] = "";
    size_t size = 0;

    while (size < sizeof request - 1) {
        int rc = SSL_read(ssl, request + size, (int)(sizeof request - 1 - size));
        if (rc <= 0)
            return;
        size += (size_t)rc;
        request[size] = '\0';
        const char *end = strstr(request, "\r\n\r\n");
        const char *length = strcasestr(request, "content-length: ");
        size_t body = length != NULL && length < end ? strtoull(length + 16, NULL, 10) : 0;
        if (end == NULL || size < (size_t)(end + 4 - request) + body)
            continue;
        server.requests++;
        if (!server_answer(ssl, request))
            return;
        size = 0;
    }
}

static void *server_run(void *unused)
{
    (void)unused;
    for (;;) {
        int fd = accept(server.fd, NULL, NULL);
        if (fd < 0)
            return NULL;
        server.connections++;
        SSL *ssl = SSL_new(server.context);
        SSL_set_fd(ssl, fd);
        if (SSL_accept(ssl) == 1)
            server_serve(ssl);
        SSL_free(ssl); /* No close_notify: an end without a word, as of a dying peer. */
        close(fd);
    }
}

static void server_start(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;

    sigaction(SIGPIPE, &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
    snprintf(server.folder, sizeof server.folder, "/tmp/cardkeep-client-XXXXXX");
    cr_assert(mkdtemp(server.folder) != NULL);
    snprintf(server.certificate, sizeof server.certificate, "%s/server.pem", server.folder);
    snprintf(server.other, sizeof server.other, "%s/other.pem", server.folder);
    server.context = SSL_CTX_new(TLS_server_method());
    certificate_make(HOST, server.certificate, server.context);
    certificate_make(HOST, server.other, NULL);
    server.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(server.fd, (struct sockaddr *)&address, sizeof address), 0);
    cr_assert_eq(listen(server.fd, 16), 0);
    cr_assert_eq(getsockname(server.fd, (struct sockaddr *)&address, &size), 0);
    server.port = ntohs(address.sin_port);
    cr_assert_eq(pthread_create(&server.thread, NULL, server_run, NULL), 0);
}

static void server_stop(void)
{
    shutdown(server.fd, SHUT_RDWR);
    pthread_join(server.thread, NULL);
    close(server.fd);
    SSL_CTX_free(server.context);
    unlink(server.certificate);
    unlink(server.other);
    rmdir(server.folder);
}

#endif
