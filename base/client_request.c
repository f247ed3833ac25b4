/* SPDX-License-Identifier: Apache-2.0 */
#include "base/client_request.h"

#include <assert.h>
#include <string.h>
#include <strings.h>

#include "base/client_head.h"

#define TARGET_BYTES_MAX 8192u
#define LINE_BYTES_MAX   8192u
#define HOST_BYTES_MAX   480u
#define HTTPS_PORT       443u

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

/* What is written here itself; a second one would make two framings of one request. */
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

static STATUS check(const struct client_request *request)
{
    ENSURE(strlen(request->host) <= HOST_BYTES_MAX, WHY_LIMIT);
    ENSURE(request->host[0] != '\0' && strpbrk(request->host, "/?#@%") == NULL, WHY_BAD_INPUT);
    ENSURE(is_printable(request->host, false), WHY_BAD_INPUT);
    ENSURE(request->target[0] == '/' && is_printable(request->target, false), WHY_BAD_INPUT);
    ENSURE(strchr(request->target, '#') == NULL, WHY_BAD_INPUT);
    ENSURE(strlen(request->target) <= TARGET_BYTES_MAX, WHY_LIMIT);
    ENSURE(request->method[0] != '\0' && is_printable(request->method, false), WHY_BAD_INPUT);
    ENSURE(request->body_size <= INT64_MAX, WHY_LIMIT);
    ENSURE(request->addresses == NULL || strlen(request->addresses) < CLIENT_ADDRESSES_MAX,
           WHY_LIMIT);
    return STATUS_OK;
}

static void write_first(const struct client_request *request, struct buffer *out)
{
    bool brackets = strchr(request->host, ':') != NULL;

    buffer_add_text(out, request->method);
    buffer_add_u8(out, ' ');
    buffer_add_text(out, request->target); /* Byte for byte: no clean-up of the path. */
    buffer_add_text(out, brackets ? " HTTP/1.1\r\nHost: [" : " HTTP/1.1\r\nHost: ");
    buffer_add_text(out, request->host);
    buffer_add_text(out, brackets ? "]" : "");
    if (request->port != HTTPS_PORT) {
        buffer_add_u8(out, ':');
        buffer_add_decimal(out, request->port);
    }
    buffer_add_text(out, "\r\n");
}

static STATUS write_headers(const struct client_request *request, struct buffer *out)
{
    unsigned count = 0;

    for (const char *const *at = request->headers; at != NULL && at[0] != NULL; at += 2) {
        ENSURE(++count <= CLIENT_HEADERS_MAX, WHY_LIMIT);
        ENSURE(at[0][0] != '\0' && strpbrk(at[0], ":;") == NULL, WHY_BAD_INPUT);
        ENSURE(is_printable(at[0], false) && is_printable(at[1], true), WHY_BAD_INPUT);
        ENSURE(!is_framing(at[0]), WHY_BAD_INPUT);
        ENSURE(strlen(at[0]) + strlen(at[1]) + 2 <= LINE_BYTES_MAX, WHY_LIMIT);
        buffer_add_text(out, at[0]);
        buffer_add_text(out, at[1][0] == '\0' ? ":" : ": ");
        buffer_add_text(out, at[1]);
        buffer_add_text(out, "\r\n");
    }
    return STATUS_OK;
}

/* Methods whose requests have a body by their nature say that it is empty (RFC 9110 8.6). */
static bool has_length(const struct client_request *request)
{
    static const char *const methods[] = {"POST", "PUT", "PATCH", NULL};

    for (unsigned i = 0; methods[i] != NULL; i++)
        if (strcmp(request->method, methods[i]) == 0)
            return true;
    return request->body != NULL;
}

STATUS client_request_write(const struct client_request *request, struct buffer *out)
{
    assert(out->size == 0);
    TRY(check(request));
    out->bytes_max = TARGET_BYTES_MAX + (CLIENT_HEADERS_MAX + 2) * LINE_BYTES_MAX;
    write_first(request, out);
    TRY(write_headers(request, out));
    if (has_length(request)) {
        buffer_add_text(out, "Content-Length: ");
        buffer_add_decimal(out, request->body_size);
        buffer_add_text(out, "\r\n");
    }
    buffer_add_text(out, "\r\n");
    return buffer_status(out);
}
