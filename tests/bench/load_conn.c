/* SPDX-License-Identifier: Apache-2.0 */
/* TLS over a socket; nghttp2 or HTTP/1.1 above it. */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/bench/load.h"

#define READ_BYTES (64 * 1024)
/* A TLS record's worth of frames goes out in one system call. */
#define WRITE_BYTES (16 * 1024)

static SSL_CTX *tls_new(const struct load_options *options)
{
    static const unsigned char h2[] = "\2h2";
    static const unsigned char http1[] = "\10http/1.1";
    SSL_CTX *tls = SSL_CTX_new(TLS_client_method());

    if (tls == NULL)
        load_die("no TLS");
    SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION);
    SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_read_ahead(tls, 1);
    SSL_CTX_set_default_read_buffer_len(tls, READ_BYTES);
    if (SSL_CTX_load_verify_locations(tls, options->ca, NULL) != 1)
        load_die("%s holds no authority", options->ca);
    if (options->certificate != NULL &&
        (SSL_CTX_use_certificate_chain_file(tls, options->certificate) != 1 ||
         SSL_CTX_use_PrivateKey_file(tls, options->key, SSL_FILETYPE_PEM) != 1))
        load_die("%s and %s cannot be used", options->certificate, options->key);
    if (SSL_CTX_set_alpn_protos(tls, options->http1 ? http1 : h2, options->http1 ? 9 : 3) != 0)
        load_die("no ALPN");
    return tls;
}

static int dial(const struct load_options *options)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_family = AF_UNSPEC};
    struct addrinfo *found = NULL;
    int one = 1;
    int fd = -1;

    if (getaddrinfo(options->host, options->port, &hints, &found) != 0)
        load_die("%s has no address", options->host);
    for (struct addrinfo *at = found; at != NULL && fd < 0; at = at->ai_next) {
        fd = socket(at->ai_family, at->ai_socktype | SOCK_CLOEXEC, at->ai_protocol);
        if (fd >= 0 && connect(fd, at->ai_addr, at->ai_addrlen) != 0) {
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(found);
    if (fd < 0)
        load_die("%s:%s: %s", options->host, options->port, strerror(errno));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

void load_conn_open(struct load *load, struct load_conn *conn)
{
    const struct load_options *options = &load->options;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = conn};
    const unsigned char *protocol = NULL;
    unsigned protocol_size = 0;
    char host[256]; /* OpenSSL, which copies it, takes no constant. */

    (void)snprintf(host, sizeof host, "%s", options->host);
    if (load->tls == NULL)
        load->tls = tls_new(options);
    conn->fd = dial(options);
    conn->ssl = SSL_new(load->tls);
    if (conn->ssl == NULL || SSL_set_fd(conn->ssl, conn->fd) != 1 ||
        SSL_set1_host(conn->ssl, options->host) != 1 ||
        SSL_set_tlsext_host_name(conn->ssl, host) != 1)
        load_die("no TLS");
    if (SSL_connect(conn->ssl) != 1)
        load_die("no handshake: %s", ERR_error_string(ERR_get_error(), NULL));
    SSL_get0_alpn_selected(conn->ssl, &protocol, &protocol_size);
    if (!options->http1 && (protocol_size != 2 || memcmp(protocol, "h2", 2) != 0))
        load_die("the server does not speak HTTP/2");
    if (fcntl(conn->fd, F_SETFL, O_NONBLOCK) != 0 ||
        epoll_ctl(load->poll_fd, EPOLL_CTL_ADD, conn->fd, &event) != 0)
        load_die("a socket: %s", strerror(errno));
    if (!options->http1)
        load_h2_start(conn);
}

static void watch(struct load_conn *conn, bool wants_write)
{
    struct epoll_event event = {.events = EPOLLIN | (wants_write ? EPOLLOUT : 0), .data.ptr = conn};

    if (wants_write == conn->wants_write)
        return;
    conn->wants_write = wants_write;
    epoll_ctl(conn->load->poll_fd, EPOLL_CTL_MOD, conn->fd, &event);
}

void load_conn_flush(struct load_conn *conn)
{
    while (!conn->lost) {
        if (conn->h2 != NULL && conn->out.size < WRITE_BYTES)
            load_h2_fill(conn);
        if (conn->out.size == 0)
            break;
        int size = SSL_write(conn->ssl, conn->out.at, (int)conn->out.size);
        if (size <= 0) {
            int why = SSL_get_error(conn->ssl, size);
            conn->lost = why != SSL_ERROR_WANT_WRITE && why != SSL_ERROR_WANT_READ;
            watch(conn, !conn->lost);
            return;
        }
        load_bytes_drop(&conn->out, (size_t)size);
    }
    watch(conn, false);
}

/* Stops where OpenSSL holds nothing more: the loop asks again, and a read that finds nothing is
 * saved. */
void load_conn_ready(struct load_conn *conn)
{
    static uint8_t bytes[READ_BYTES];

    do {
        int size = SSL_read(conn->ssl, bytes, sizeof bytes);
        if (size <= 0) {
            int why = SSL_get_error(conn->ssl, size);
            conn->lost = why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE;
            break;
        }
        bool good = conn->h2 != NULL ? load_h2_take(conn, bytes, (size_t)size)
                                     : load_h1_take(conn, bytes, (size_t)size);
        conn->lost = !good;
    } while (!conn->lost && SSL_has_pending(conn->ssl) == 1);
    load_conn_flush(conn);
}

void load_conn_submit(struct load_slot *slot)
{
    if (slot->conn->h2 != NULL)
        load_h2_submit(slot);
    else
        load_h1_submit(slot);
}

void load_conn_free(struct load_conn *conn)
{
    nghttp2_session_del(conn->h2);
    SSL_free(conn->ssl);
    close(conn->fd);
}
