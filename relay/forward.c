/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/forward.h"

#include <assert.h>
#include <ctype.h>
#include <string.h>
#include <strings.h>

/* Of requests: hop-by-hop and framing (rebuilt by the client), where the caller sits (no business
 * of the gateway's), cookies, and what is answered here. */
static const char *const kept_back[] = {
    "accept-encoding",
    "cf-connecting-ip",
    "connection",
    "content-length",
    "cookie",
    "early-data",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "idempotency-key",
    "keep-alive",
    "max-forwards",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "true-client-ip",
    "upgrade",
    "via",
    "x-client-ip",
    "x-real-ip",
    NULL,
};

/* Of answers: hop-by-hop and framing; what would speak for our own origin; what our server adds. */
static const char *const answers_kept_back[] = {
    "alt-svc",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "date",
    "keep-alive",
    "proxy-authenticate",
    "proxy-connection",
    "public-key-pins",
    "server",
    "server-timing",
    "set-cookie",
    "set-cookie2",
    "strict-transport-security",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-content-type-options",
    NULL,
};

static bool is_listed(const char *const *list, const char *name)
{
    char first = (char)tolower((unsigned char)name[0]); /* Tells most of them apart. */

    for (unsigned i = 0; list[i] != NULL; i++)
        if (list[i][0] == first && strcasecmp(list[i], name) == 0)
            return true;
    return false;
}

static bool begins(const char *name, const char *with)
{
    return strncasecmp(name, with, strlen(with)) == 0;
}

/* True when a comma-separated list of names holds `name`. */
static bool names(const char *list, const char *name)
{
    size_t size = strlen(name);

    for (const char *at = list; at != NULL && *at != '\0';) {
        at += strspn(at, ", \t");
        size_t item = strcspn(at, ", \t");
        if (item == size && strncasecmp(at, name, size) == 0)
            return true;
        at += item;
    }
    return false;
}

void forward_begin(struct forward *forward)
{
    *forward = (struct forward){.texts = BUFFER(FORWARD_BYTES_MAX)};
}

void forward_free(struct forward *forward)
{
    buffer_free(&forward->texts);
    forward->count = 0;
}

static void add(struct forward *forward, const char *name, const char *value)
{
    buffer_add(&forward->texts, name, strlen(name) + 1);
    buffer_add(&forward->texts, value, strlen(value) + 1);
    forward->count++;
}

void forward_add(struct forward *forward, const struct profile *profile, const char *connection,
                 const char *name, const char *value)
{
    if (is_listed(kept_back, name) || begins(name, "cardkeep-") || begins(name, "x-forwarded-"))
        return;
    if (strcasecmp(name, "authorization") == 0 && !profile->credentials_caller)
        return;
    if (profile->idempotency_header[0] != '\0' &&
        strcasecmp(name, profile->idempotency_header) == 0)
        return; /* forward_end() adds it, once. */
    if (names(connection, name))
        return;
    add(forward, name, value);
}

STATUS forward_end(struct forward *forward, const struct profile *profile,
                   const char *idempotency_key)
{
    if (idempotency_key != NULL && profile->idempotency_header[0] != '\0')
        add(forward, profile->idempotency_header, idempotency_key);
    /* The answer guard must see plain bytes. */
    add(forward, "accept-encoding", "identity");
    TRY(buffer_status(&forward->texts));
    ENSURE(forward->count <= FORWARD_HEADERS_MAX, WHY_LIMIT);

    const char *at = (const char *)forward->texts.bytes;
    for (unsigned i = 0; i < 2 * forward->count; i++) {
        forward->headers[i] = at;
        at += strlen(at) + 1;
    }
    forward->headers[2 * (size_t)forward->count] = NULL;
    return STATUS_OK;
}

bool forward_answer_passes(const char *name)
{
    return !is_listed(answers_kept_back, name) && !begins(name, "cardkeep-");
}
