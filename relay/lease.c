/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/lease.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "base/tls_files.h"
#include "relay/lease_json.h"
#include "relay/vault_epoch.h"

#define VAULT_CONNECTIONS_MAX 8u
#define ORDERS_WAITING_MAX    4096u
#define SETTLEMENTS_MAX       65536u
#define REQUEST_BYTES_MAX     (256u * 1024u)
#define ANSWER_BYTES_MAX      (1024u * 1024u)
#define CONNECT_MS            2000
#define TOTAL_MS              8000
/* A vault not heard for so long is asked, so that readiness is not a memory. */
#define QUIET_TICKS_MAX 5u

struct pending_lease {
    struct lease_order order;
    lease_done_fn done;
    void *owner;
    struct pending_lease *next;
};

struct pending_settlement {
    char submission_id[LEDGER_ID_MAX];
    enum ledger_outcome outcome;
    struct pending_settlement *next;
};

/* One request to the vault, with all that it carries. */
struct batch {
    struct lease_desk *desk;
    struct batch *next;
    struct batch **link;
    struct client_op *op;
    struct pending_lease *leases; /* In the order sent; one of the two lists is empty. */
    struct pending_settlement *settlements;
    unsigned count;
    struct buffer body;
};

struct lease_desk {
    struct loop *loop;
    const struct settings *settings;
    struct ledger *ledger;
    struct client *client;
    struct batch *batches; /* Under way. */
    struct pending_lease *leases;
    struct pending_lease **leases_end;
    unsigned lease_count;
    struct pending_settlement *settlements; /* To be sent at the end of this turn. */
    struct pending_settlement *failed;      /* To be tried again at the next tick. */
    unsigned settlement_count;              /* In all three places. */
    struct ledger_settled *settled;         /* Being gathered; NULL while there is none. */
    struct client_op *probe;                /* NULL: none is under way. */
    unsigned quiet_ticks;                   /* Since the vault was last heard. */
    struct vault_epoch *epoch;
    const struct tls_identity *identity; /* NULL: the configuration's files. */
    bool vault_is_well;                  /* False until it answered. */
};

static void batch_free(struct batch **batch_at)
{
    struct batch *batch = *batch_at;

    if (batch == NULL)
        return;
    if (batch->link != NULL) {
        *batch->link = batch->next;
        if (batch->next != NULL)
            batch->next->link = batch->link;
    }
    while (batch->leases != NULL) {
        struct pending_lease *lease = batch->leases;
        batch->leases = lease->next;
        free(lease);
    }
    while (batch->settlements != NULL) {
        struct pending_settlement *settlement = batch->settlements;
        batch->settlements = settlement->next;
        free(settlement);
    }
    buffer_free(&batch->body);
    free(batch);
    *batch_at = NULL;
}

static STATUS batch_new(struct lease_desk *desk, struct batch **out_batch)
{
    struct batch *batch = calloc(1, sizeof *batch);
    ENSURE(batch != NULL, WHY_NO_MEMORY);
    batch->desk = desk;
    batch->body = BUFFER(REQUEST_BYTES_MAX);
    *out_batch = batch;
    return STATUS_OK;
}

static STATUS post(struct lease_desk *desk, const char *path, const void *body, size_t body_size,
                   client_done_fn done, void *owner, struct client_op **out_op)
{
    static const char *const headers[] = {"Content-Type", "application/json", "Accept",
                                          "application/json", NULL};
    const struct settings *settings = desk->settings;
    struct client_request request = {
        .method = "POST",
        .host = settings->vault_name,
        .port = settings->vault_port,
        .target = path,
        .headers = headers,
        .body = body,
        .body_size = body_size,
        .addresses = settings->vault_is_numeric ? settings->vault_host : NULL,
        .authorities = settings->vault_authorities,
        .certificate = settings->vault_certificate,
        .key = settings->vault_key,
        .identity = desk->identity == NULL ? NULL : tls_identity_pem(desk->identity),
        .connect_ms = CONNECT_MS,
        .total_ms = TOTAL_MS,
        .answer_bytes_max = ANSWER_BYTES_MAX,
    };
    return client_start(desk->client, &request, done, owner, out_op);
}

static STATUS batch_send(struct batch *batch, const char *path, client_done_fn done)
{
    struct lease_desk *desk = batch->desk;

    TRY(buffer_status(&batch->body));
    TRY(post(desk, path, batch->body.bytes, batch->body.size, done, batch, &batch->op));
    batch->link = &desk->batches;
    batch->next = desk->batches;
    if (batch->next != NULL)
        batch->next->link = &batch->next;
    desk->batches = batch;
    return STATUS_OK;
}

/* What a whole request's failure means for each that it carried. */
static struct lease_refusal refusal_of(const struct client_answer *answer)
{
    bool refused = answer->result == CLIENT_ANSWERED && answer->status / 100 == 4;
    struct lease_refusal refusal = {.code = PROBLEM_VAULT_UNAVAILABLE,
                                    .may_be_leased = answer->result != CLIENT_NOT_SENT && !refused};
    struct lease_refusal theirs;

    if (answer->result == CLIENT_ANSWERED && answer->status != 200 &&
        !failed(lease_json_problem(answer->body, answer->body_size, &theirs))) {
        /* "Busy", "sealed" and a full disk are worth telling; that the vault does not know or
         * like this relay is for its operator, not for its callers. */
        if (theirs.code == PROBLEM_SEALED || theirs.code == PROBLEM_BUSY ||
            theirs.code == PROBLEM_STORE_UNAVAILABLE || theirs.code == PROBLEM_AUDIT_UNAVAILABLE) {
            theirs.may_be_leased = refusal.may_be_leased; /* "Sealed" may be the keeper's death. */
            return theirs;
        }
    }
    return refusal;
}

static void deliver_refusal(struct pending_lease *order, enum problem_code code, bool may_be_leased)
{
    struct lease_refusal refusal = {.code = code, .may_be_leased = may_be_leased};

    order->done(order->owner, NULL, &refusal);
}

static void deliver_next(struct lease_json *json, struct pending_lease *order)
{
    struct lease lease OWNED(lease_clear) = {0};
    struct lease_refusal refusal = {0};

    struct status status = lease_json_next_lease(json, &lease, &refusal);
    if (!failed(status))
        order->done(order->owner, &lease, NULL);
    else if (status.why == WHY_DENIED)
        order->done(order->owner, NULL, &refusal);
    else
        deliver_refusal(order, status.why == WHY_BUSY ? PROBLEM_BUSY : PROBLEM_VAULT_UNAVAILABLE,
                        true);
}

static void on_leases(void *owner, struct client_answer *answer)
{
    OWNED(batch_free) struct batch *batch = owner;
    struct lease_json json OWNED(lease_json_close) = {0};

    batch->op = NULL;
    bool good = answer->result == CLIENT_ANSWERED && answer->status == 200 &&
                !failed(lease_json_open(&json, answer->body, answer->body_size, batch->count));
    batch->desk->vault_is_well = good;
    batch->desk->quiet_ticks = 0;
    vault_epoch_hear(batch->desk->epoch, answer);
    struct lease_refusal refusal = refusal_of(answer);
    while (batch->leases != NULL) {
        struct pending_lease *order = batch->leases;
        batch->leases = order->next;
        if (good)
            deliver_next(&json, order);
        else
            order->done(order->owner, NULL, &refusal);
        free(order);
    }
    if (answer->body_size > 0)
        explicit_bzero(answer->body, answer->body_size);
}

static void send_leases(struct lease_desk *desk)
{
    OWNED(batch_free) struct batch *batch = NULL;

    struct status status = batch_new(desk, &batch);
    if (failed(status))
        return; /* They wait for the next turn. */
    struct json_writer writer = json_writer_over(&batch->body);
    json_begin_object(&writer);
    json_key(&writer, "leases");
    json_begin_array(&writer);
    struct pending_lease **end = &batch->leases;
    while (desk->leases != NULL && batch->count < CONTRACT_LEASES_MAX) {
        struct pending_lease *order = desk->leases;
        desk->leases = order->next;
        order->next = NULL;
        lease_json_order(&writer, &order->order);
        *end = order;
        end = &order->next;
        batch->count++;
        desk->lease_count--;
    }
    if (desk->leases == NULL)
        desk->leases_end = &desk->leases;
    json_end_array(&writer);
    json_end_object(&writer);
    if (!failed(batch_send(batch, CONTRACT_PATH_LEASES, on_leases))) {
        batch = NULL; /* on_leases() frees it. */
        return;
    }
    for (struct pending_lease *order = batch->leases; order != NULL; order = order->next)
        deliver_refusal(order, PROBLEM_BUSY, false);
}

/* Rows of settled leases go with the next tick, not each with a sync of its own: doing a
 * settlement twice does no harm. */
static void on_forgotten(struct ledger_op *op)
{
    free(op); /* If it failed, the settlement is repeated after a restart. */
}

static void forget_flush(struct lease_desk *desk)
{
    if (desk->settled == NULL || desk->settled->count == 0)
        return;
    if (!failed(ledger_submit(desk->ledger, &desk->settled->op)))
        desk->settled = NULL;
}

static void forget(struct lease_desk *desk, const char *submission_id)
{
    if (desk->settled == NULL) {
        desk->settled = calloc(1, sizeof *desk->settled);
        if (desk->settled == NULL)
            return;
        desk->settled->op.apply = ledger_rows_settled_apply;
        desk->settled->op.done = on_forgotten;
    }
    if (desk->settled->count < LEDGER_SETTLED_MAX)
        snprintf(desk->settled->ids[desk->settled->count++], LEDGER_ID_MAX, "%s", submission_id);
    if (desk->settled->count == LEDGER_SETTLED_MAX)
        forget_flush(desk);
}

static void on_settled(void *owner, struct client_answer *answer)
{
    OWNED(batch_free) struct batch *batch = owner;
    struct lease_desk *desk = batch->desk;
    struct lease_json json OWNED(lease_json_close) = {0};

    batch->op = NULL;
    bool good = answer->result == CLIENT_ANSWERED && answer->status == 200 &&
                !failed(lease_json_open(&json, answer->body, answer->body_size, batch->count));
    desk->vault_is_well = good;
    desk->quiet_ticks = 0;
    vault_epoch_hear(desk->epoch, answer);
    while (batch->settlements != NULL) {
        struct pending_settlement *settlement = batch->settlements;
        batch->settlements = settlement->next;
        struct status status = good ? lease_json_next_settled(&json) : FAIL(WHY_IO);
        /* A lease that the vault does not hold any more has nothing left to settle. */
        if (!failed(status) || status.why == WHY_DENIED) {
            forget(desk, settlement->submission_id);
            desk->settlement_count--;
            free(settlement);
        } else {
            settlement->next = desk->failed;
            desk->failed = settlement;
        }
    }
}

static void send_settlements(struct lease_desk *desk)
{
    OWNED(batch_free) struct batch *batch = NULL;

    if (failed(batch_new(desk, &batch)))
        return;
    struct json_writer writer = json_writer_over(&batch->body);
    json_begin_object(&writer);
    json_key(&writer, "settlements");
    json_begin_array(&writer);
    struct pending_settlement **end = &batch->settlements;
    while (desk->settlements != NULL && batch->count < CONTRACT_LEASES_MAX) {
        struct pending_settlement *settlement = desk->settlements;
        desk->settlements = settlement->next;
        settlement->next = NULL;
        json_begin_object(&writer);
        json_put_member(&writer, "submission_id", settlement->submission_id);
        json_put_member(&writer, "outcome", ledger_rows_outcome_name(settlement->outcome));
        json_end_object(&writer);
        *end = settlement;
        end = &settlement->next;
        batch->count++;
    }
    json_end_array(&writer);
    json_end_object(&writer);
    if (!failed(batch_send(batch, CONTRACT_PATH_SETTLEMENTS, on_settled))) {
        batch = NULL; /* on_settled() frees it. */
        return;
    }
    *end = desk->failed;
    desk->failed = batch->settlements;
    batch->settlements = NULL;
}

static void on_turn_end(void *owner)
{
    struct lease_desk *desk = owner;

    while (desk->leases != NULL) {
        struct pending_lease *first = desk->leases;
        send_leases(desk);
        if (desk->leases == first)
            break; /* No memory: with the next turn. */
    }
    while (desk->settlements != NULL) {
        struct pending_settlement *first = desk->settlements;
        send_settlements(desk);
        if (desk->settlements == first)
            break;
    }
}

STATUS lease_desk_new(struct loop *loop, const struct settings *settings, struct ledger *ledger,
                      struct lease_desk **out_desk)
{
    OWNED(lease_desk_free) struct lease_desk *desk = calloc(1, sizeof *desk);
    ENSURE(desk != NULL, WHY_NO_MEMORY);
    desk->loop = loop;
    desk->settings = settings;
    desk->ledger = ledger;
    desk->leases_end = &desk->leases;
    TRY(client_new(loop, VAULT_CONNECTIONS_MAX, VAULT_CONNECTIONS_MAX, &desk->client));
    TRY(vault_epoch_new(ledger, &desk->epoch));
    loop_on_turn_end(loop, on_turn_end, desk);
    *out_desk = MOVE(desk);
    return STATUS_OK;
}

void lease_desk_show(struct lease_desk *desk, const struct tls_identity *identity)
{
    desk->identity = identity;
}

static void settlements_free(struct pending_settlement *list)
{
    while (list != NULL) {
        struct pending_settlement *next = list->next;
        free(list);
        list = next;
    }
}

void lease_desk_free(struct lease_desk **desk_at)
{
    struct lease_desk *desk = *desk_at;

    if (desk == NULL)
        return;
    client_free(&desk->client);
    while (desk->batches != NULL) {
        struct batch *batch = desk->batches;
        batch_free(&batch);
    }
    while (desk->leases != NULL) {
        struct pending_lease *order = desk->leases;
        desk->leases = order->next;
        free(order);
    }
    settlements_free(desk->settlements);
    settlements_free(desk->failed);
    free(desk->settled);
    vault_epoch_free(&desk->epoch);
    free(desk);
    *desk_at = NULL;
}

STATUS lease_start(struct lease_desk *desk, const struct lease_order *order, lease_done_fn done,
                   void *owner)
{
    assert(done != NULL);
    ENSURE(desk->lease_count < ORDERS_WAITING_MAX, WHY_BUSY);
    struct pending_lease *pending = calloc(1, sizeof *pending);
    ENSURE(pending != NULL, WHY_NO_MEMORY);
    *pending = (struct pending_lease){.order = *order, .done = done, .owner = owner};
    *desk->leases_end = pending;
    desk->leases_end = &pending->next;
    desk->lease_count++;
    return STATUS_OK;
}

STATUS lease_settle(struct lease_desk *desk, const char *submission_id, enum ledger_outcome outcome)
{
    ENSURE(desk->settlement_count < SETTLEMENTS_MAX, WHY_BUSY);
    struct pending_settlement *settlement = calloc(1, sizeof *settlement);
    ENSURE(settlement != NULL, WHY_NO_MEMORY);
    snprintf(settlement->submission_id, sizeof settlement->submission_id, "%s", submission_id);
    settlement->outcome = outcome;
    settlement->next = desk->settlements;
    desk->settlements = settlement;
    desk->settlement_count++;
    return STATUS_OK;
}

static void on_kept(void *owner, const char *submission_id, enum ledger_outcome outcome)
{
    status_ignore(lease_settle(owner, submission_id, outcome),
                  "its row stays, and the next start takes it up");
}

STATUS lease_resume(struct lease_desk *desk)
{
    return ledger_rows_settlements(desk->ledger, on_kept, desk);
}

/* Any answer that is no server's trouble says that the vault is there again. */
static void on_probe(void *owner, struct client_answer *answer)
{
    struct lease_desk *desk = owner;

    desk->probe = NULL;
    desk->quiet_ticks = 0;
    vault_epoch_hear(desk->epoch, answer);
    desk->vault_is_well = answer->result == CLIENT_ANSWERED && answer->status < 500;
}

void lease_tick(struct lease_desk *desk)
{
    static const char nothing[] = "{\"settlements\":[]}";

    desk->quiet_ticks++;
    if ((!desk->vault_is_well || desk->quiet_ticks > QUIET_TICKS_MAX) && desk->probe == NULL)
        status_ignore(post(desk, CONTRACT_PATH_SETTLEMENTS, nothing, strlen(nothing), on_probe,
                           desk, &desk->probe),
                      "the next tick tries again");
    /* A vault that is not well is asked with one request and not with all that waits. */
    unsigned most = desk->vault_is_well ? SETTLEMENTS_MAX : CONTRACT_LEASES_MAX;
    for (unsigned i = 0; desk->failed != NULL && i < most; i++) {
        struct pending_settlement *settlement = desk->failed;
        desk->failed = settlement->next;
        settlement->next = desk->settlements;
        desk->settlements = settlement;
    }
    forget_flush(desk);
}

unsigned lease_waiting(const struct lease_desk *desk)
{
    return desk->settlement_count;
}

bool lease_vault_is_well(const struct lease_desk *desk)
{
    return desk->vault_is_well;
}
