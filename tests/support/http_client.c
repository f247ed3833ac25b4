/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>

#include "tests/support/http_client.h"

#include <arpa/inet.h>
#include <assert.h>
#include <curl/curl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct reply reply;

static size_t client_on_body(char *bytes, size_t one, size_t size, void *owner)
{
    (void)one;
    (void)owner;
    size_t room = sizeof reply.body - 1 - reply.body_size;
    size_t kept = size < room ? size : room;
    memcpy(reply.body + reply.body_size, bytes, kept);
    reply.body_size += kept;
    return size;
}

static size_t client_on_header(char *bytes, size_t one, size_t size, void *owner)
{
    (void)one;
    (void)owner;
    size_t used = strlen(reply.headers);
    if (used + size < sizeof reply.headers)
        memcpy(reply.headers + used, bytes, size);
    return size;
}

static void set_tls(CURL *curl, struct echo *echo, const struct ask *ask)
{
    const struct pki_files *as = ask->as == NULL ? &echo->client : ask->as;

    curl_easy_setopt(curl, CURLOPT_CAINFO, pki_authority(echo->pki));
    if (ask->anonymous)
        return;
    curl_easy_setopt(curl, CURLOPT_SSLCERT, as->certificate);
    curl_easy_setopt(curl, CURLOPT_SSLKEY, as->key);
}

static struct curl_slist *set_request(CURL *curl, const struct ask *ask)
{
    struct curl_slist *headers = curl_slist_append(NULL, "Expect:");

    for (const char *const *header = ask->headers; header != NULL && *header != NULL; header++)
        headers = curl_slist_append(headers, *header);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    if (ask->body != NULL) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)ask->body_size);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, ask->body);
    }
    if (ask->method != NULL && strcmp(ask->method, "HEAD") == 0)
        curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    else if (ask->method != NULL)
        curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, ask->method);
    return headers;
}

const struct reply *ask_echo(struct echo *echo, const struct ask *ask)
{
    CURL *curl = curl_easy_init();
    assert(curl != NULL);
    memset(&reply, 0, sizeof reply);
    char url[512];
    snprintf(url, sizeof url, "%s://localhost:%u%s", echo->pki == NULL ? "http" : "https",
             echo->port, ask->path);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(curl, CURLOPT_IPRESOLVE, CURL_IPRESOLVE_V4);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, ask->timeout_ms == 0 ? 5000L : ask->timeout_ms);
    curl_easy_setopt(curl, CURLOPT_HTTP_VERSION,
                     ask->http2 ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, client_on_body);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, client_on_header);
    if (echo->pki != NULL)
        set_tls(curl, echo, ask);
    struct curl_slist *headers = set_request(curl, ask);
    reply.failure = (int)curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &reply.status);
    long version = 0;
    curl_easy_getinfo(curl, CURLINFO_HTTP_VERSION, &version);
    reply.version = version == CURL_HTTP_VERSION_2_0 ? 2 : 1;
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
    return &reply;
}

/* --- Raw bytes --- */

static void set_alpn(SSL *ssl, const char *alpn)
{
    uint8_t list[32];
    size_t size = strlen(alpn);
    assert(size < sizeof list);
    list[0] = (uint8_t)size;
    memcpy(list + 1, alpn, size);
    SSL_set_alpn_protos(ssl, list, (unsigned)size + 1);
}

static bool wire_handshake(struct wire *wire, const struct wire_options *options)
{
    wire->context = SSL_CTX_new(TLS_client_method());
    assert(wire->context != NULL);
    SSL_CTX_set_session_cache_mode(wire->context, SSL_SESS_CACHE_CLIENT);
    if (options->version != 0) {
        SSL_CTX_set_min_proto_version(wire->context, options->version);
        SSL_CTX_set_max_proto_version(wire->context, options->version);
    }
    if (options->as != NULL) {
        SSL_CTX_use_certificate_chain_file(wire->context, options->as->certificate);
        SSL_CTX_use_PrivateKey_file(wire->context, options->as->key, SSL_FILETYPE_PEM);
    }
    wire->ssl = SSL_new(wire->context);
    SSL_set_fd(wire->ssl, wire->fd);
    if (options->alpn != NULL)
        set_alpn(wire->ssl, options->alpn);
    if (options->session != NULL)
        SSL_set_session(wire->ssl, options->session);
    return SSL_connect(wire->ssl) == 1;
}

bool wire_open(struct wire *wire, struct echo *echo, const struct wire_options *options)
{
    *wire = (struct wire){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(echo->port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert(wire->fd >= 0);
    int rc = connect(wire->fd, (struct sockaddr *)&address, sizeof address);
    assert(rc == 0);
    return echo->pki == NULL || wire_handshake(wire, options);
}

bool wire_send(struct wire *wire, const void *bytes, size_t size)
{
    const char *at = bytes;

    while (size > 0) {
        ssize_t sent = 0;
        if (wire->ssl != NULL)
            sent = SSL_write(wire->ssl, at, (int)size);
        else
            sent = send(wire->fd, at, size, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        at += sent;
        size -= (size_t)sent;
    }
    return true;
}

size_t wire_receive(struct wire *wire, void *bytes, size_t size, int wait_ms, bool *out_closed)
{
    char *out = bytes;
    size_t used = 0;

    *out_closed = false;
    while (used + 1 < size && !*out_closed) {
        struct pollfd poll_fd = {.fd = wire->fd, .events = POLLIN};
        bool pending = wire->ssl != NULL && SSL_pending(wire->ssl) > 0;
        if (!pending && poll(&poll_fd, 1, wait_ms) == 0)
            break;
        ssize_t got = 0;
        if (wire->ssl != NULL)
            got = SSL_read(wire->ssl, out + used, (int)(size - used - 1));
        else
            got = recv(wire->fd, out + used, size - used - 1, 0);
        if (got > 0)
            used += (size_t)got;
        else
            *out_closed = true;
    }
    out[used] = '\0';
    return used;
}

void wire_close(struct wire *wire)
{
    SSL_free(wire->ssl);
    SSL_CTX_free(wire->context);
    if (wire->fd >= 0)
        close(wire->fd);
    *wire = (struct wire){.fd = -1};
}

size_t frame_add(uint8_t *out, size_t at, uint8_t type, uint8_t flags, uint32_t stream,
                 const void *payload, size_t size)
{
    const uint8_t head[9] = {
        (uint8_t)(size >> 16),
        (uint8_t)(size >> 8),
        (uint8_t)size,
        type,
        flags,
        (uint8_t)(stream >> 24),
        (uint8_t)(stream >> 16),
        (uint8_t)(stream >> 8),
        (uint8_t)stream,
    };
    memcpy(out + at, head, sizeof head);
    if (size > 0)
        memcpy(out + at + sizeof head, payload, size);
    return at + sizeof head + size;
}

size_t frame_preface(uint8_t *out)
{
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    memcpy(out, preface, sizeof preface - 1);
    return frame_add(out, sizeof preface - 1, 4, 0, 0, NULL, 0);
}

size_t frame_add_request(uint8_t *out, size_t at, uint32_t stream, const char *path,
                         bool body_follows)
{
    /* HPACK (RFC 7541): indexed method and scheme https; literal path and authority, not indexed.
     */
    uint8_t block[256] = {body_follows ? 0x83 : 0x82, 0x87, 0x04, (uint8_t)strlen(path)};
    size_t size = 4;
    memcpy(block + size, path, strlen(path));
    size += strlen(path);
    static const uint8_t authority[] = {0x01, 1, 'h'};
    memcpy(block + size, authority, sizeof authority);
    size += sizeof authority;
    return frame_add(out, at, 1, body_follows ? 0x4 : 0x5, stream, block, size);
}
