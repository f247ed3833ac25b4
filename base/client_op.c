/* SPDX-License-Identifier: Apache-2.0 */
#include "base/client_op.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <openssl/ssl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/encode.h"
#include "base/own.h"
#include "base/tls_files.h"

#define HEAD_BYTES_MAX   (64u * 1024u)
#define TARGET_BYTES_MAX 8192u
#define URL_BYTES_MAX    512u
#define ADDRESSES_MAX    1024u
#define LINE_BYTES_MAX   8192u
#define UPLOAD_BYTES     16384L
#define READ_BYTES       4096L

void client_op_unlink(struct client_op *op)
{
    if (op->multi == NULL)
        return;
    curl_multi_remove_handle(op->multi, op->easy);
    *op->link = op->next;
    if (op->next != NULL)
        op->next->link = op->link;
    op->multi = NULL;
}

void client_op_free(struct client_op **op_at)
{
    struct client_op *op = *op_at;

    if (op == NULL)
        return;
    client_op_unlink(op);
    curl_easy_cleanup(op->easy);
    curl_slist_free_all(op->headers);
    curl_slist_free_all(op->resolve);
    free(op->addresses);
    buffer_free(&op->head);
    buffer_free(&op->body);
    free(op);
    *op_at = NULL;
}

static size_t op_on_body(char *bytes, size_t unit, size_t count, void *owner)
{
    struct client_op *op = owner;

    buffer_add(&op->body, bytes, unit * count);
    op->malformed = failed(buffer_status(&op->body));
    return op->malformed ? 0 : unit * count;
}

/* True when `text` is one of the comma-separated addresses. */
static bool address_listed(const char *addresses, const char *text)
{
    size_t size = strlen(text);

    for (const char *at = addresses; *at != '\0';) {
        size_t item = strcspn(at, ",");
        if (item == size && memcmp(at, text, size) == 0)
            return true;
        at += item + (at[item] == ',');
    }
    return false;
}

/* "192.0.2.1" or "2001:db8::1"; "" when it is neither. */
static void address_text(const struct sockaddr *address, char out[static INET6_ADDRSTRLEN])
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;

    out[0] = '\0';
    if (address->sa_family == AF_INET) {
        memcpy(&v4, address, sizeof v4);
        inet_ntop(AF_INET, &v4.sin_addr, out, INET6_ADDRSTRLEN);
    } else if (address->sa_family == AF_INET6) {
        memcpy(&v6, address, sizeof v6);
        inet_ntop(AF_INET6, &v6.sin6_addr, out, INET6_ADDRSTRLEN);
    }
}

static void end_set(struct client_end *end, const char *address, int port)
{
    (void)snprintf(end->address, sizeof end->address, "%s", address);
    end->port = port;
}

static bool end_is(const struct client_end *end, const char *address, int port)
{
    return end->port == port && strcmp(end->address, address) == 0;
}

/* Which of the sockets that were new is this connection's: of two addresses that were dialled at
 * once, one is dropped. */
static void socket_note(struct client_sockets *sockets, const char *peer, int peer_port,
                        const char *local, int local_port)
{
    for (unsigned i = 0; sockets != NULL && i < sockets->count; i++) {
        struct client_socket *socket = &sockets->list[i];
        struct sockaddr_storage here = {0};
        socklen_t size = sizeof here;
        in_port_t port = 0; /* At the same place for both families. */
        if (socket->local.port != 0 ||
            getsockname(socket->fd, (struct sockaddr *)&here, &size) != 0)
            continue;
        memcpy(&port, (const char *)&here + offsetof(struct sockaddr_in, sin_port), sizeof port);
        if (ntohs(port) != local_port)
            continue;
        end_set(&socket->local, local, local_port);
        end_set(&socket->peer, peer, peer_port);
    }
}

/* libcurl does not say which socket it is about to use again, but between which ends: they were
 * noted when the connection was new. */
static int socket_find(const struct client_sockets *sockets, const char *peer, int peer_port,
                       const char *local, int local_port)
{
    for (unsigned i = 0; sockets != NULL && i < sockets->count; i++) {
        const struct client_socket *socket = &sockets->list[i];
        if (end_is(&socket->local, local, local_port) && end_is(&socket->peer, peer, peer_port))
            return socket->fd;
    }
    return -1;
}

/* True when a connection has something to read before its request is written: an answer that
 * nobody asked for (a second one; a 408 to idleness), which would be taken for this request's, or
 * its end.  libcurl takes the former for a sign of life. */
static bool socket_is_stale(int fd)
{
    char byte;

    return fd < 0 || recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 ||
           (errno != EAGAIN && errno != EINTR);
}

static int op_on_prereq(void *owner, char *peer, char *local, int peer_port, int local_port)
{
    struct client_op *op = owner;

    if (op->opened)
        socket_note(op->sockets, peer, peer_port, local, local_port);
    /* Behind a new one's handshake session tickets may wait. */
    if (!op->opened && op->sends == 0) {
        op->stale = socket_is_stale(socket_find(op->sockets, peer, peer_port, local, local_port));
        if (op->stale)
            return CURL_PREREQFUNC_ABORT;
    }
    op->sends++;
    return op->sends == 1 ? CURL_PREREQFUNC_OK : CURL_PREREQFUNC_ABORT;
}

static int op_on_close_socket(void *owner, curl_socket_t fd)
{
    struct client_sockets *sockets = owner;

    for (unsigned i = 0; i < sockets->count; i++)
        if (sockets->list[i].fd == fd)
            sockets->list[i--] = sockets->list[--sockets->count];
    return close(fd);
}

/* The second of two checks: whatever became of the name, only a checked address is dialled. */
static curl_socket_t op_on_open_socket(void *owner, curlsocktype purpose,
                                       struct curl_sockaddr *address)
{
    struct client_op *op = owner;
    char text[INET6_ADDRSTRLEN] = "";

    if (purpose != CURLSOCKTYPE_IPCXN || op->sends > 0)
        return CURL_SOCKET_BAD; /* A new connection for a request that went out: never. */
    if (op->addresses != NULL) {
        address_text(&address->addr, text);
        if (!address_listed(op->addresses, text))
            return CURL_SOCKET_BAD;
    }
    op->opened = true;
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    /* One that finds no room here is not used a second time. */
    if (fd >= 0 && op->sockets != NULL && op->sockets->count < CLIENT_OP_SOCKETS_MAX)
        op->sockets->list[op->sockets->count++] = (struct client_socket){.fd = fd};
    return fd;
}

static CURLcode op_on_ssl(CURL *easy, void *context, void *owner)
{
    (void)easy;
    (void)owner;
    /* Without it OpenSSL keeps decrypted records in its read buffer. */
    SSL_CTX_set_options(context, SSL_OP_CLEANSE_PLAINTEXT);
    /* libcurl asks for buffers that are made and wiped, 17 KiB each, for every few records. */
    SSL_CTX_clear_mode(context, SSL_MODE_RELEASE_BUFFERS);
    return CURLE_OK;
}

static STATUS curl_checked(CURLcode code)
{
    ENSURE(code != CURLE_OUT_OF_MEMORY, WHY_NO_MEMORY);
    ENSURE(code == CURLE_OK, WHY_BAD_INPUT);
    return STATUS_OK;
}

#define SET(option, value) TRY(curl_checked(curl_easy_setopt(op->easy, (option), (value))))

static STATUS list_add(struct curl_slist **list, const char *text)
{
    struct curl_slist *longer = curl_slist_append(*list, text);
    ENSURE(longer != NULL, WHY_NO_MEMORY);
    *list = longer;
    return STATUS_OK;
}

static bool is_printable(const char *text, bool spaces)
{
    for (const char *at = text; *at != '\0'; at++) {
        unsigned char c = (unsigned char)*at;
        if (c == 0x7f || c < 0x20 || (c == 0x20 && !spaces)) {
            if (!(spaces && c == '\t'))
                return false;
        }
    }
    return true;
}

/* What libcurl writes itself; a second one would make two framings of one request. */
static bool is_framing(const char *name)
{
    static const char *const names[] = {"host",       "content-length", "transfer-encoding",
                                        "connection", "expect",         "upgrade",
                                        "te",         "trailer",        NULL};
    for (unsigned i = 0; names[i] != NULL; i++)
        if (strcasecmp(name, names[i]) == 0)
            return true;
    return false;
}

static STATUS op_set_headers(struct client_op *op, const struct client_request *request)
{
    struct buffer line OWNED(buffer_free) = BUFFER(LINE_BYTES_MAX);
    bool has_type = false;
    bool has_accept = false;
    unsigned count = 0;

    for (const char *const *at = request->headers; at != NULL && at[0] != NULL; at += 2) {
        ENSURE(++count <= CLIENT_OP_HEADERS_MAX, WHY_LIMIT);
        ENSURE(at[0][0] != '\0' && strpbrk(at[0], ":;") == NULL, WHY_BAD_INPUT);
        ENSURE(is_printable(at[0], false) && is_printable(at[1], true), WHY_BAD_INPUT);
        ENSURE(!is_framing(at[0]), WHY_BAD_INPUT);
        has_type = has_type || strcasecmp(at[0], "content-type") == 0;
        has_accept = has_accept || strcasecmp(at[0], "accept") == 0;
        buffer_clear(&line);
        buffer_add_text(&line, at[0]);
        buffer_add_text(&line, at[1][0] == '\0' ? ";" : ": "); /* "Name;" sends an empty value. */
        buffer_add_text(&line, at[1]);
        TRY(buffer_status(&line));
        TRY(list_add(&op->headers, buffer_text(&line)));
    }
    /* An empty line takes away what libcurl would add of its own. */
    if (!has_type)
        TRY(list_add(&op->headers, "Content-Type:"));
    if (!has_accept)
        TRY(list_add(&op->headers, "Accept:"));
    TRY(list_add(&op->headers, "Expect:"));
    SET(CURLOPT_HTTPHEADER, op->headers);
    return STATUS_OK;
}

/* "host:port:192.0.2.1,[2001:db8::1]". */
static STATUS op_set_addresses(struct client_op *op, const struct client_request *request)
{
    if (request->addresses == NULL)
        return STATUS_OK;
    ENSURE(strlen(request->addresses) < ADDRESSES_MAX, WHY_LIMIT);
    op->addresses = strdup(request->addresses);
    ENSURE(op->addresses != NULL, WHY_NO_MEMORY);

    struct buffer entry OWNED(buffer_free) = BUFFER(2 * ADDRESSES_MAX);
    buffer_add_text(&entry, request->host);
    buffer_add_text(&entry, ":");
    buffer_add_decimal(&entry, request->port);
    buffer_add_text(&entry, ":");
    for (const char *at = op->addresses; *at != '\0';) {
        size_t item = strcspn(at, ",");
        bool brackets = memchr(at, ':', item) != NULL;
        if (at != op->addresses)
            buffer_add_text(&entry, ",");
        buffer_add_text(&entry, brackets ? "[" : "");
        buffer_add(&entry, at, item);
        buffer_add_text(&entry, brackets ? "]" : "");
        at += item + (at[item] == ',');
    }
    TRY(buffer_status(&entry));
    TRY(list_add(&op->resolve, buffer_text(&entry)));
    SET(CURLOPT_RESOLVE, op->resolve);
    return STATUS_OK;
}

static struct curl_blob blob_of(const struct buffer *bytes)
{
    return (struct curl_blob){.data = bytes->bytes, .len = bytes->size, .flags = CURL_BLOB_COPY};
}

/* libcurl compares them when it looks for a connection: one that was made with another certificate
 * is not used again. */
static STATUS op_set_identity(struct client_op *op, const struct tls_pem *identity)
{
    struct curl_blob certificate = blob_of(&identity->certificate);
    struct curl_blob key = blob_of(&identity->key);
    struct curl_blob authorities = blob_of(&identity->authorities);

    assert(identity->authorities.size > 0); /* Else libcurl would believe the host's. */
    SET(CURLOPT_SSLCERT_BLOB, &certificate);
    SET(CURLOPT_SSLKEY_BLOB, &key);
    SET(CURLOPT_CAINFO_BLOB, &authorities);
    SET(CURLOPT_CAINFO, NULL);
    SET(CURLOPT_CAPATH, NULL);
    return STATUS_OK;
}

static STATUS op_set_trust(struct client_op *op, const struct client_request *request)
{
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    SET(CURLOPT_SSLVERSION,
        (long)(request->tls13_only ? CURL_SSLVERSION_TLSv1_3 : CURL_SSLVERSION_TLSv1_2));
    SET(CURLOPT_SSL_CTX_FUNCTION, op_on_ssl);
    if (request->identity != NULL)
        TRY(op_set_identity(op, request->identity));
    else if (request->authorities != NULL) {
        SET(CURLOPT_CAINFO, request->authorities);
        SET(CURLOPT_CAPATH, NULL); /* Else the system's folder would be trusted beside the file. */
    }
    if (request->identity == NULL && request->certificate != NULL) {
        SET(CURLOPT_SSLCERT, request->certificate);
        SET(CURLOPT_SSLKEY, request->key);
    }
    if (request->pins != NULL)
        SET(CURLOPT_PINNEDPUBLICKEY, request->pins);
    return STATUS_OK;
}

static STATUS op_set_request(struct client_op *op, const struct client_request *request)
{
    char url[URL_BYTES_MAX];
    bool brackets = strchr(request->host, ':') != NULL;
    int size = snprintf(url, sizeof url, "https://%s%s%s:%u/", brackets ? "[" : "", request->host,
                        brackets ? "]" : "", (unsigned)request->port);
    ENSURE(size > 0 && (size_t)size < sizeof url, WHY_LIMIT);
    ENSURE(strpbrk(request->host, "/?#@%") == NULL && is_printable(request->host, false),
           WHY_BAD_INPUT);
    ENSURE(request->target[0] == '/' && is_printable(request->target, false), WHY_BAD_INPUT);
    ENSURE(strchr(request->target, '#') == NULL, WHY_BAD_INPUT);
    ENSURE(strlen(request->target) <= TARGET_BYTES_MAX, WHY_LIMIT);
    ENSURE(request->method[0] != '\0' && is_printable(request->method, false), WHY_BAD_INPUT);
    ENSURE(request->body_size <= INT64_MAX, WHY_LIMIT);

    SET(CURLOPT_URL, url);
    SET(CURLOPT_REQUEST_TARGET, request->target); /* Byte for byte: no clean-up of the path. */
    bool has_body = request->body != NULL || strcmp(request->method, "POST") == 0 ||
                    strcmp(request->method, "PUT") == 0 || strcmp(request->method, "PATCH") == 0;
    if (has_body) {
        SET(CURLOPT_POST, 1L);
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_size);
        SET(CURLOPT_POSTFIELDS, request->body != NULL ? request->body : "");
    } else if (strcmp(request->method, "HEAD") == 0) {
        op->asks_head = true;
        SET(CURLOPT_NOBODY, 1L);
    }
    SET(CURLOPT_CUSTOMREQUEST, request->method);
    return STATUS_OK;
}

static STATUS op_set_rules(struct client_op *op, const struct client_request *request)
{
    SET(CURLOPT_PROTOCOLS_STR, "https");
    SET(CURLOPT_PROXY, ""); /* NULL would ask the environment. */
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_NOSIGNAL, 1L);
    /* Each request's head and small body go through a buffer of this size, which is made for it and
     * wiped behind it: the least that libcurl takes. */
    SET(CURLOPT_UPLOAD_BUFFERSIZE, UPLOAD_BYTES);
    SET(CURLOPT_BUFFERSIZE, READ_BYTES); /* Each answer comes through one of these, likewise. */
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_HTTP09_ALLOWED, 0L);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)request->connect_ms);
    SET(CURLOPT_TIMEOUT_MS, (long)request->total_ms);
    SET(CURLOPT_HEADERFUNCTION, client_head_on_line);
    SET(CURLOPT_HEADERDATA, op);
    SET(CURLOPT_WRITEFUNCTION, op_on_body);
    SET(CURLOPT_WRITEDATA, op);
    SET(CURLOPT_PREREQFUNCTION, op_on_prereq);
    SET(CURLOPT_PREREQDATA, op);
    SET(CURLOPT_OPENSOCKETFUNCTION, op_on_open_socket);
    SET(CURLOPT_OPENSOCKETDATA, op);
    SET(CURLOPT_ERRORBUFFER, op->error);
    SET(CURLOPT_PRIVATE, op);
    return STATUS_OK;
}

STATUS client_op_new(const struct client_request *request, client_done_fn done, void *owner,
                     struct client_op **out_op)
{
    assert(request->method != NULL && request->host != NULL && request->target != NULL);
    assert(done != NULL);
    assert(request->total_ms > 0 && request->connect_ms > 0);

    OWNED(client_op_free) struct client_op *op = calloc(1, sizeof *op);
    ENSURE(op != NULL, WHY_NO_MEMORY);
    op->head = BUFFER(HEAD_BYTES_MAX);
    op->body = BUFFER(request->answer_bytes_max);
    op->done = done;
    op->owner = owner;
    op->started_us = clock_monotonic_us();
    op->easy = curl_easy_init();
    ENSURE(op->easy != NULL, WHY_NO_MEMORY);
    TRY(op_set_request(op, request));
    TRY(op_set_rules(op, request));
    TRY(op_set_headers(op, request));
    TRY(op_set_addresses(op, request));
    TRY(op_set_trust(op, request));
    *out_op = MOVE(op);
    return STATUS_OK;
}

STATUS client_op_share(struct client_op *op, struct client_sockets *sockets)
{
    op->sockets = sockets;
    /* Connections outlive the op: what closes them belongs to the client. */
    ENSURE(curl_easy_setopt(op->easy, CURLOPT_CLOSESOCKETFUNCTION, op_on_close_socket) == CURLE_OK,
           WHY_NO_MEMORY);
    ENSURE(curl_easy_setopt(op->easy, CURLOPT_CLOSESOCKETDATA, sockets) == CURLE_OK, WHY_NO_MEMORY);
    return STATUS_OK;
}
