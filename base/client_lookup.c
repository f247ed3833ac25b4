/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <assert.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#include "base/client_inside.h"
#include "base/own.h"

#define LOOKUPS_MAX    256u
#define HOST_BYTES_MAX 512u

/* One name's; those who want it at one time share it. */
struct client_lookup {
    struct work work; /* First, so that a work pointer is a lookup pointer. */

    /* Handed to the worker and back. */
    char host[HOST_BYTES_MAX];
    char found[CLIENT_ADDRESSES_MAX];
    int rc; /* Of getaddrinfo(). */

    /* The loop thread's alone. */
    LIST_ENTRY(client_lookup) all;
    struct client *client;
};

/* --- Addresses --- */

unsigned client_lookup_count(const struct client_op *op)
{
    unsigned count = 0;

    for (const char *at = op->addresses + op->address_at; *at != '\0';) {
        size_t size = strcspn(at, ",");
        at += size + (at[size] == ',');
        count++;
    }
    return count;
}

bool client_lookup_has(const struct client_op *op, const char *address)
{
    size_t size = strlen(address);

    for (const char *at = op->addresses; *at != '\0';) {
        size_t item = strcspn(at, ",");
        if (item == size && memcmp(at, address, size) == 0)
            return true;
        at += item + (at[item] == ',');
    }
    return op->any_address;
}

bool client_lookup_next(struct client_op *op, struct sockaddr_storage *out_address,
                        socklen_t *out_size, char out_text[static INET6_ADDRSTRLEN])
{
    const char *at = op->addresses + op->address_at;
    size_t size = strcspn(at, ",");
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(op->site->port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(op->site->port)};

    op->address_at += size + (at[size] == ',');
    if (size == 0 || size >= INET6_ADDRSTRLEN)
        return false;
    memcpy(out_text, at, size);
    out_text[size] = '\0';
    *out_address = (struct sockaddr_storage){0};
    if (inet_pton(AF_INET, out_text, &v4.sin_addr) == 1) {
        memcpy(out_address, &v4, sizeof v4);
        *out_size = sizeof v4;
        return true;
    }
    memcpy(out_address, &v6, sizeof v6);
    *out_size = sizeof v6;
    return inet_pton(AF_INET6, out_text, &((struct sockaddr_in6 *)out_address)->sin6_addr) == 1;
}

/* --- Names --- */

static bool is_address(const char *host)
{
    struct in6_addr address;

    return inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1;
}

/* Those that do not fit are left out. */
static void add_address(struct buffer *list, const struct addrinfo *found)
{
    char text[INET6_ADDRSTRLEN];

    if (found->ai_family != AF_INET && found->ai_family != AF_INET6)
        return;
    if (getnameinfo(found->ai_addr, found->ai_addrlen, text, sizeof text, NULL, 0,
                    NI_NUMERICHOST) != 0 ||
        list->size + strlen(text) + 1 > list->bytes_max)
        return;
    buffer_add_text(list, list->size == 0 ? "" : ",");
    buffer_add_text(list, text);
}

/* Worker thread. */
static void lookup_on_worker(struct work *work)
{
    struct client_lookup *lookup = (struct client_lookup *)work;
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    uint8_t room[CLIENT_ADDRESSES_MAX] = {0};
    struct buffer list = BUFFER_OVER(room);

    lookup->rc = getaddrinfo(lookup->host, NULL, &hints, &found);
    if (lookup->rc != 0)
        return;
    for (const struct addrinfo *at = found; at != NULL; at = at->ai_next)
        add_address(&list, at);
    freeaddrinfo(found);
    memcpy(lookup->found, room, sizeof room);
}

static struct client_op *next_waiter(const struct client_lookup *lookup)
{
    struct client_op *op = NULL;

    TAILQ_FOREACH(op, &lookup->client->due, due_link)
    {
        if (op->lookup == lookup)
            return op;
    }
    return NULL;
}

/* Loop thread. */
static void lookup_on_loop(struct work *work)
{
    struct client_lookup *lookup = (struct client_lookup *)work;
    struct client *client = lookup->client;

    LIST_REMOVE(lookup, all);
    for (struct client_op *op = NULL; (op = next_waiter(lookup)) != NULL;) {
        op->lookup = NULL;
        if (lookup->rc != 0) {
            client_end(op, CLIENT_NOT_SENT, CLIENT_TROUBLE_UNREACHABLE, gai_strerror(lookup->rc));
            continue;
        }
        memcpy(op->addresses, lookup->found, sizeof op->addresses);
        op->state = OP_DIALLING;
        client_conn_dial(op->conn);
    }
    free(lookup);
    client_settle(client);
}

static STATUS lookup_new(struct client *client, const char *host, struct client_lookup **out_lookup)
{
    const struct work_options options = {
        .loop = client->loop, .thread_count = 1, .queue_max = LOOKUPS_MAX};

    ENSURE(strlen(host) < HOST_BYTES_MAX, WHY_LIMIT);
    if (client->pool == NULL)
        TRY(work_pool_new(&options, &client->pool));
    struct client_lookup *lookup = calloc(1, sizeof *lookup);
    ENSURE(lookup != NULL, WHY_NO_MEMORY);
    lookup->work = (struct work){.run = lookup_on_worker, .done = lookup_on_loop};
    lookup->client = client;
    memcpy(lookup->host, host, strlen(host) + 1);
    struct status status = work_submit(client->pool, &lookup->work);
    if (failed(status)) {
        free(lookup);
        return status;
    }
    LIST_INSERT_HEAD(&client->lookups, lookup, all);
    *out_lookup = lookup;
    return STATUS_OK;
}

void client_lookup_start(struct client_op *op)
{
    const char *host = op->site->host;
    struct client_lookup *lookup = NULL;

    assert(op->any_address);
    op->address_at = 0;
    if (is_address(host)) {
        memcpy(op->addresses, host, strlen(host) + 1);
        client_conn_dial(op->conn);
        return;
    }
    LIST_FOREACH(lookup, &op->client->lookups, all)
    {
        if (strcmp(lookup->host, host) == 0)
            break;
    }
    struct status status = lookup != NULL ? STATUS_OK : lookup_new(op->client, host, &lookup);
    if (failed(status)) {
        client_end(op, CLIENT_NOT_SENT, CLIENT_TROUBLE_UNREACHABLE, status_name(status.why));
        return;
    }
    op->lookup = lookup;
    op->state = OP_RESOLVING;
}
