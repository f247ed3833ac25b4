/* SPDX-License-Identifier: Apache-2.0 */
#include "base/client.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/client_inside.h"
#include "base/encode.h"
#include "base/own.h"

static void client_on_timer(void *owner);

/* --- Deadlines --- */

/* The timer is left as it is where it fires before: a kept connection's requests, each due later
 * than the one before, set none. */
static STATUS timer_set(struct client *client, int64_t due_ms)
{
    if (client->in_timer || (client->timer != NULL && client->timer_due_ms <= due_ms))
        return STATUS_OK;
    int64_t delay_ms = due_ms - clock_monotonic_ms();
    struct loop_timer *timer = NULL;
    TRY(loop_timer(client->loop, delay_ms > 0 ? delay_ms : 0, client_on_timer, client, &timer));
    loop_timer_cancel(&client->timer);
    client->timer = timer;
    client->timer_due_ms = due_ms;
    return STATUS_OK;
}

static const char to_be_late[] = "without memory for a timer it is late, for the one there is";

/* Most are due after all others: looked for from the end. */
static void due_insert(struct client_op *op)
{
    struct client *client = op->client;
    struct client_op *before = TAILQ_LAST(&client->due, client_op_queue);

    while (before != NULL && before->due_ms > op->due_ms)
        before = TAILQ_PREV(before, client_op_queue, due_link);
    if (before == NULL)
        TAILQ_INSERT_HEAD(&client->due, op, due_link);
    else
        TAILQ_INSERT_AFTER(&client->due, before, op, due_link);
}

void client_due(struct client_op *op, int64_t due_ms)
{
    if (due_ms > op->total_due_ms)
        due_ms = op->total_due_ms;
    if (due_ms == op->due_ms)
        return;
    TAILQ_REMOVE(&op->client->due, op, due_link);
    op->due_ms = due_ms;
    due_insert(op);
    status_ignore(timer_set(op->client, due_ms), to_be_late);
}

/* --- Ends --- */

/* Takes it from whatever list and connection it is on. */
static void op_detach(struct client_op *op)
{
    struct client *client = op->client;

    if (op->state != OP_ENDED)
        TAILQ_REMOVE(&client->due, op, due_link);
    if (op->state == OP_WAITING)
        client_turn_leave(op);
    if (op->state == OP_ENDED) {
        TAILQ_REMOVE(&client->ended, op, turn_link);
        client->ended_count--;
    }
    op->lookup = NULL;
    if (op->conn != NULL) {
        op->conn->op = NULL;
        client_conn_free(&op->conn);
    }
}

static void op_set_ended(struct client_op *op)
{
    op_detach(op);
    op->state = OP_ENDED;
    TAILQ_INSERT_TAIL(&op->client->ended, op, turn_link);
    op->client->ended_count++;
}

void client_end(struct client_op *op, enum client_result result, enum client_trouble trouble,
                const char *text)
{
    op->result = result;
    op->trouble = trouble;
    if (text != NULL)
        (void)snprintf(op->text, sizeof op->text, "%s", text);
    op_set_ended(op);
}

void client_answered(struct client_op *op, bool keep)
{
    struct client *client = op->client;
    struct client_conn *conn = op->conn;

    if (keep) {
        op->conn = NULL;
        conn->op = NULL;
        client_idle_put(conn, clock_monotonic_ms());
        status_ignore(timer_set(client, conn->idle_until_ms), to_be_late);
    }
    op->result = CLIENT_ANSWERED;
    op->text[0] = '\0';
    op_set_ended(op);
}

static void op_time_out(struct client_op *op, int64_t now_ms)
{
    bool connects = op->state == OP_DIALLING || op->state == OP_RESOLVING;

    if (now_ms < op->total_due_ms && (!connects || now_ms < op->connect_due_ms)) {
        /* An address is silent; there may be others. */
        (void)snprintf(op->text, sizeof op->text, "%s: no answer in time", op->conn->peer);
        client_conn_dial(op->conn);
        return;
    }
    client_end(op, op->is_sent ? CLIENT_NO_ANSWER : CLIENT_NOT_SENT, CLIENT_TROUBLE_TIMEOUT,
               op->is_sent               ? "no answer within the deadline"
               : op->state == OP_WAITING ? "no connection became free within the deadline"
                                         : "no connection within the deadline");
}

/* --- Requests --- */

static bool is_large(const struct buffer *buffer)
{
    return buffer->capacity > CLIENT_SPARE_BYTES_MAX;
}

static void op_free(struct client_op **op_at)
{
    struct client_op *op = *op_at;

    if (op == NULL)
        return;
    if (op->site != NULL)
        client_trust_leave(&op->site);
    buffer_free(&op->request);
    client_head_free(&op->head);
    client_body_free(&op->answer);
    free(op);
    *op_at = NULL;
}

/* Wiped, for another request, with the room that it has: making that is dear. */
static void op_spare(struct client *client, struct client_op *op)
{
    client_trust_leave(&op->site);
    if (client->spare_count == CLIENT_SPARE_OPS_MAX || is_large(&op->request) ||
        is_large(&op->head.fields) || is_large(&op->answer.bytes)) {
        op_free(&op);
        return;
    }
    buffer_clear(&op->request);
    client_head_begin(&op->head, false, 0);
    client_body_begin(&op->answer, op->answer.bytes.bytes_max);
    SLIST_INSERT_HEAD(&client->spare, op, spare_link);
    client->spare_count++;
}

static struct client_op *op_take(struct client *client)
{
    struct client_op *op = SLIST_FIRST(&client->spare);

    if (op == NULL)
        return calloc(1, sizeof *op);
    SLIST_REMOVE_HEAD(&client->spare, spare_link);
    client->spare_count--;
    return op;
}

/* With all that it borrows but the body copied. */
static STATUS op_new(struct client *client, const struct client_request *request,
                     client_done_fn done, void *owner, struct client_op **out_op)
{
    int64_t now_us = clock_monotonic_us();
    OWNED(op_free) struct client_op *op = op_take(client);

    ENSURE(op != NULL, WHY_NO_MEMORY);
    TRY(client_request_write(request, &op->request));
    TRY(client_trust_site(client, request, now_us / 1000, &op->site));
    client_head_begin(&op->head, strcmp(request->method, "HEAD") == 0, request->answer_bytes_max);
    client_body_begin(&op->answer, request->answer_bytes_max);
    op->client = client;
    op->done = done;
    op->owner = owner;
    op->state = OP_DIALLING;
    op->conn = NULL;
    op->lookup = NULL;
    op->started_us = now_us;
    op->connect_ms = request->connect_ms;
    op->total_due_ms = op->due_ms = now_us / 1000 + request->total_ms;
    op->body = request->body;
    op->body_size = request->body == NULL ? 0 : request->body_size;
    op->written = 0;
    op->is_sent = false;
    op->any_address = request->addresses == NULL;
    op->addresses[0] = '\0';
    if (!op->any_address)
        memcpy(op->addresses, request->addresses, strlen(request->addresses) + 1);
    op->address_at = 0;
    op->trouble = CLIENT_TROUBLE_NONE;
    op->text[0] = '\0';
    due_insert(op);
    *out_op = MOVE(op);
    return STATUS_OK;
}

/* Tells the owner, once. */
static void op_deliver(struct client *client, struct client_op *op)
{
    struct client_header headers[CLIENT_HEADERS_MAX];
    struct client_answer answer = {.result = op->result,
                                   .trouble = op->trouble,
                                   .trouble_text = op->text,
                                   .status = op->head.status,
                                   .headers = headers,
                                   .body = op->answer.bytes.bytes,
                                   .body_size = op->answer.bytes.size,
                                   .duration_us = clock_monotonic_us() - op->started_us};
    char *at = (char *)op->head.fields.bytes;
    const char *end = at == NULL ? at : at + op->head.fields.size;

    while (at < end && answer.header_count < CLIENT_HEADERS_MAX) {
        struct client_header *header = &headers[answer.header_count++];
        header->name = at;
        header->value = at + strlen(at) + 1;
        at = header->value + strlen(header->value) + 1;
    }
    op_detach(op); /* Before the owner hears: it may start or cancel others. */
    op->done(op->owner, &answer);
    op_spare(client, op);
}

/* As many as there are now: whose owner starts another that fails at once waits for a turn. */
void client_settle(struct client *client)
{
    if (!client->is_closing)
        client_turn_serve(client);
    for (unsigned count = client->ended_count; count > 0 && client->ended_count > 0; count--)
        op_deliver(client, TAILQ_FIRST(&client->ended));
}

static void client_on_timer(void *owner)
{
    struct client *client = owner;
    int64_t now_ms = clock_monotonic_ms();
    struct client_op *op = NULL;
    struct client_conn *conn = NULL;

    client->timer = NULL; /* It fired, so it is gone. */
    client->in_timer = true;
    while ((op = TAILQ_FIRST(&client->due)) != NULL && op->due_ms <= now_ms)
        op_time_out(op, now_ms);
    while ((conn = TAILQ_FIRST(&client->idle)) != NULL && conn->idle_until_ms <= now_ms)
        client_idle_retire(conn);
    client_turn_serve(client);
    client->in_timer = false;
    int64_t due_ms = (op = TAILQ_FIRST(&client->due)) != NULL ? op->due_ms : INT64_MAX;
    if ((conn = TAILQ_FIRST(&client->idle)) != NULL && conn->idle_until_ms < due_ms)
        due_ms = conn->idle_until_ms;
    if (due_ms != INT64_MAX)
        status_ignore(timer_set(client, due_ms), "the first one set by a timer has its memory");
    client_settle(client);
}

/* --- What callers see --- */

STATUS client_new(struct loop *loop, unsigned connections_max, unsigned host_max,
                  struct client **out_client)
{
    assert(loop != NULL);
    assert(connections_max > 0 && host_max > 0);

    struct client *client = calloc(1, sizeof *client);
    ENSURE(client != NULL, WHY_NO_MEMORY);
    client->loop = loop;
    client->connections_max = connections_max;
    client->host_max = host_max;
    TAILQ_INIT(&client->due);
    TAILQ_INIT(&client->waiting);
    TAILQ_INIT(&client->ended);
    TAILQ_INIT(&client->idle);
    LIST_INIT(&client->trusts);
    LIST_INIT(&client->sites);
    LIST_INIT(&client->lookups);
    SLIST_INIT(&client->spare);
    *out_client = client;
    return STATUS_OK;
}

static void op_drop(struct client_op *op)
{
    op_detach(op);
    op_free(&op);
}

void client_free(struct client **client_at)
{
    struct client *client = *client_at;
    struct client_op *op = NULL;
    struct client_conn *conn = NULL;

    if (client == NULL)
        return;
    client->is_closing = true;
    while ((op = TAILQ_FIRST(&client->due)) != NULL)
        op_drop(op);
    while ((op = TAILQ_FIRST(&client->ended)) != NULL)
        op_drop(op);
    while ((conn = TAILQ_FIRST(&client->idle)) != NULL)
        client_idle_retire(conn);
    while ((op = SLIST_FIRST(&client->spare)) != NULL) {
        SLIST_REMOVE_HEAD(&client->spare, spare_link);
        op_free(&op);
    }
    if (client->pool != NULL)
        work_pool_free(&client->pool); /* With what it still looks up. */
    loop_timer_cancel(&client->timer);
    client_trust_close(client);
    free(client);
    *client_at = NULL;
}

STATUS client_start(struct client *client, const struct client_request *request,
                    client_done_fn done, void *owner, struct client_op **out_op)
{
    struct client_op *op = NULL;

    assert(request->method != NULL && request->host != NULL && request->target != NULL);
    assert(done != NULL);
    assert(request->total_ms > 0 && request->connect_ms > 0);
    TRY(timer_set(client, clock_monotonic_ms() + request->total_ms));
    TRY(op_new(client, request, done, owner, &op));
    assert(op != NULL);
    client_turn_ask(op);
    if (op->state == OP_ENDED) {
        struct status status = timer_set(client, 0); /* Never from inside here. */
        /* An error says that nothing left.  What may have left is told by the timer set above. */
        if (failed(status) && !op->is_sent) {
            op_drop(op);
            return status;
        }
    }
    *out_op = op;
    return STATUS_OK;
}

void client_cancel(struct client_op **op_at)
{
    struct client_op *op = MOVE(*op_at);

    if (op == NULL)
        return;
    struct client *client = op->client;
    op_detach(op);
    op_spare(client, op);
    if (!TAILQ_EMPTY(&client->waiting) || client->ended_count > 0)
        status_ignore(timer_set(client, 0), to_be_late);
}

/* --- Waiting for it --- */

struct fetch {
    struct loop *loop;
    client_done_fn done;
    void *owner;
};

static void fetch_on_done(void *owner, struct client_answer *answer)
{
    struct fetch *fetch = owner;

    fetch->done(fetch->owner, answer);
    loop_stop(fetch->loop);
}

STATUS client_fetch(const struct client_request *request, client_done_fn done, void *owner)
{
    OWNED(loop_free) struct loop *loop = NULL;
    OWNED(client_free) struct client *client = NULL;
    struct client_op *op = NULL;

    TRY(loop_new(&loop));
    TRY(client_new(loop, 1, 1, &client));
    struct fetch fetch = {.loop = loop, .done = done, .owner = owner};
    TRY(client_start(client, request, fetch_on_done, &fetch, &op));
    loop_run(loop);
    return STATUS_OK;
}
