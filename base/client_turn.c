/* SPDX-License-Identifier: Apache-2.0 */
#include <openssl/err.h>

#include "base/client_inside.h"
#include "base/encode.h"

/* --- Connections that are kept --- */

void client_idle_put(struct client_conn *conn, int64_t now_ms)
{
    conn->state = CONN_IDLE;
    conn->idle_until_ms = now_ms + CLIENT_IDLE_MS;
    TAILQ_INSERT_TAIL(&conn->client->idle, conn, idle);
    TAILQ_INSERT_TAIL(&conn->site->idle, conn, site_idle);
}

void client_idle_take(struct client_conn *conn)
{
    TAILQ_REMOVE(&conn->client->idle, conn, idle);
    TAILQ_REMOVE(&conn->site->idle, conn, site_idle);
}

void client_idle_retire(struct client_conn *conn)
{
    client_idle_take(conn);
    ERR_clear_error();
    (void)SSL_shutdown(conn->ssl); /* In due form, whether the peer hears it or not. */
    client_conn_free(&conn);
}

static bool conn_fits(const struct client_conn *conn, const struct client_op *op, int64_t now_ms)
{
    return conn->idle_until_ms > now_ms && conn->generation == op->site->trust->generation &&
           client_lookup_has(op, conn->peer);
}

/* The one that was used last.  One that holds anything before the request is written, be it an
 * answer that nobody asked for (a second one; a 408 to idleness) or its end, is not used: what it
 * holds would be taken for this request's answer. */
static struct client_conn *conn_find(const struct client_op *op)
{
    struct client_conn *conn = TAILQ_LAST(&op->site->idle, client_conn_queue);
    int64_t now_ms = clock_monotonic_ms();

    while (conn != NULL) {
        struct client_conn *before = TAILQ_PREV(conn, client_conn_queue, site_idle);
        if (conn_fits(conn, op, now_ms)) {
            client_idle_take(conn);
            if (client_conn_is_quiet(conn) && client_conn_is_empty(conn))
                return conn;
            client_conn_free(&conn);
        }
        conn = before;
    }
    return NULL;
}

/* --- Requests --- */

/* An idle one makes room: for its own site where that has its share, be it that it does not fit
 * (another address, another trust), else for whichever. */
static bool site_may_begin(const struct client *client, const struct client_site *site)
{
    if (!TAILQ_EMPTY(&site->idle))
        return true;
    return site->conn_count < client->host_max &&
           (client->conn_count < client->connections_max || !TAILQ_EMPTY(&client->idle));
}

static void op_begin(struct client_op *op)
{
    struct client *client = op->client;
    struct client_conn *conn = conn_find(op);

    if (conn != NULL) {
        client_conn_use(conn, op);
        return;
    }
    if (op->site->conn_count >= client->host_max)
        client_idle_retire(TAILQ_FIRST(&op->site->idle));
    else if (client->conn_count >= client->connections_max)
        client_idle_retire(TAILQ_FIRST(&client->idle));
    client_conn_open(op);
}

/* Who finds room goes before those of other sites: they wait for what has none. */
void client_turn_ask(struct client_op *op)
{
    struct client *client = op->client;
    struct client_site *site = op->site;

    if (TAILQ_EMPTY(&site->waiting) && site_may_begin(client, site)) {
        op_begin(op);
        return;
    }
    if (TAILQ_EMPTY(&site->waiting))
        TAILQ_INSERT_TAIL(&client->waiting, site, turn_link);
    op->state = OP_WAITING;
    op->turn = client->turns++;
    TAILQ_INSERT_TAIL(&site->waiting, op, turn_link);
}

void client_turn_leave(struct client_op *op)
{
    struct client_site *site = op->site;

    TAILQ_REMOVE(&site->waiting, op, turn_link);
    if (TAILQ_EMPTY(&site->waiting))
        TAILQ_REMOVE(&op->client->waiting, site, turn_link);
}

static struct client_op *turn_next(const struct client *client)
{
    struct client_op *next = NULL;
    struct client_site *site = NULL;

    if (client->conn_count >= client->connections_max && TAILQ_EMPTY(&client->idle))
        return NULL;
    TAILQ_FOREACH(site, &client->waiting, turn_link)
    {
        struct client_op *first = TAILQ_FIRST(&site->waiting);
        if (site_may_begin(client, site) && (next == NULL || first->turn < next->turn))
            next = first;
    }
    return next;
}

void client_turn_serve(struct client *client)
{
    for (struct client_op *op = NULL; (op = turn_next(client)) != NULL;) {
        client_turn_leave(op);
        op->state = OP_DIALLING;
        op_begin(op);
    }
}
