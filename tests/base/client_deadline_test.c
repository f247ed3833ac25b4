/* SPDX-License-Identifier: Apache-2.0 */
/* base/client.c: deadlines, requests that wait for others, and those that are given up. */
#include <criterion/criterion.h>

#include "base/client_inside.h"
#include "tests/base/client_peer.h"

#define LATE_MS 1500 /* For a machine that has much else to do; asked of each wait. */
#define COUNT   32u

TestSuite(client_deadline, .timeout = 60);

static struct kept kept[COUNT];

static unsigned answered(void)
{
    unsigned count = 0;
    for (unsigned i = 0; i < COUNT; i++)
        count += kept[i].count;
    return count;
}

static void nothing_left(void)
{
    cr_expect(TAILQ_EMPTY(&client->due));
    cr_expect(TAILQ_EMPTY(&client->waiting));
    cr_expect(TAILQ_EMPTY(&client->ended));
    cr_expect_eq(client->ended_count, 0u);
}

Test(client_deadline, of_each_is_kept_with_many_under_way)
{
    int64_t due_ms[COUNT];

    host_start(serve_silence, COUNT);
    for (unsigned i = 0; i < COUNT; i++) {
        struct client_request request = request_to("/silent");
        request.total_ms = 150 + 20 * ((i * 7) % COUNT); /* In no order. */
        due_ms[i] = start(&request, &kept[i])->total_due_ms;
    }
    run_until(&kept_count, COUNT);
    for (unsigned i = 0; i < COUNT; i++) {
        int64_t total_ms = 150 + 20 * ((i * 7) % COUNT);
        cr_expect_geq(kept[i].duration_ms, total_ms - 1, "%u", i);
        cr_expect_lt(kept[i].duration_ms, total_ms + LATE_MS, "%u", i);
        cr_expect_eq(kept[i].trouble, CLIENT_TROUBLE_TIMEOUT);
        for (unsigned k = 0; k < COUNT; k++)
            cr_expect(due_ms[k] >= due_ms[i] || kept[k].order < kept[i].order, "the soonest first");
    }
    cr_expect_eq(client->conn_count, 0u);
    nothing_left();
    host_stop();
}

Test(client_deadline, of_what_waits_for_a_connection_is_kept)
{
    host_start(serve_silence, 2);
    for (unsigned i = 0; i < 6; i++) {
        struct client_request request = request_to("/silent");
        request.total_ms = i < 2 ? 1800 : 200;
        (void)start(&request, &kept[i]);
    }
    run_until(&kept_count, 6);
    for (unsigned i = 0; i < 6; i++) {
        cr_expect_eq(kept[i].result, i < 2 ? CLIENT_NO_ANSWER : CLIENT_NOT_SENT);
        cr_expect_eq(kept[i].trouble, CLIENT_TROUBLE_TIMEOUT);
        cr_expect_geq(kept[i].duration_ms, i < 2 ? 1799 : 199);
        cr_expect_lt(kept[i].duration_ms, (i < 2 ? 1800 : 200) + LATE_MS);
    }
    cr_expect_eq(host.requests, 2u);
    nothing_left();
    host_stop();
}

Test(client_deadline, of_a_connection_counts_until_its_handshake_is_over)
{
    host_start(serve_all, 2);
    host.is_silent = true;
    for (unsigned i = 0; i < 2; i++) {
        struct client_request request = request_to("/silent");
        request.connect_ms = 200;
        request.total_ms = i == 0 ? 3000 : 120;
        ask_with(&request, &kept[i]);
        cr_expect_eq(kept[i].result, CLIENT_NOT_SENT);
        cr_expect_eq(kept[i].trouble, CLIENT_TROUBLE_TIMEOUT, "%s", kept[i].text);
        cr_expect_geq(kept[i].duration_ms, i == 0 ? 199 : 119);
        cr_expect_lt(kept[i].duration_ms, 200 + LATE_MS);
    }
    host_stop();
}

static void serve_trickle(struct peer *peer)
{
    if (!peer_hear(peer))
        return;
    peer_say(peer, "HTTP/1.1 200 OK\r\nX-Long: ");
    while (!host.ending && SSL_write(peer->ssl, ".", 1) == 1)
        poll(NULL, 0, 5);
}

Test(client_deadline, does_not_move_while_something_comes)
{
    host_start(serve_trickle, 1);
    struct client_request request = request_to("/trickle");
    request.total_ms = 200;
    ask_with(&request, &kept[0]);
    cr_expect_eq(kept[0].result, CLIENT_NO_ANSWER);
    cr_expect_eq(kept[0].trouble, CLIENT_TROUBLE_TIMEOUT);
    cr_expect_geq(kept[0].duration_ms, 199);
    cr_expect_lt(kept[0].duration_ms, 200 + LATE_MS);
    host_stop();
}

/* --- Turns --- */

Test(client_deadline, of_others_does_not_change_the_order_of_those_who_wait)
{
    host_start(serve_all, 1);
    for (unsigned i = 0; i < COUNT; i++) {
        struct client_request request = request_to("/turn");
        request.total_ms = PATIENCE_MS - 10 * i;
        request.host = i % 3 == 0 ? "other.test" : HOST; /* Each needs the other's place. */
        (void)start(&request, &kept[i]);
    }
    run_until(&kept_count, COUNT);
    for (unsigned i = 0; i < COUNT; i++) {
        cr_expect_eq(kept[i].result, CLIENT_ANSWERED, "%s", kept[i].text);
        cr_expect_eq(kept[i].order, i);
    }
    cr_expect_eq(client->conn_count, 1u);
    nothing_left();
    host_stop();
}

static unsigned left;

static void again(void *owner, struct client_answer *answer)
{
    const struct client_request *request = owner;
    struct client_op *op = NULL;

    cr_expect_eq(answer->result, request->addresses[8] == '1' ? CLIENT_ANSWERED : CLIENT_NOT_SENT);
    kept_count++;
    if (left > 0) {
        left--;
        cr_assert(!failed(client_start(client, request, again, owner, &op)));
    }
}

Test(client_deadline, is_not_met_sooner_by_starting_the_next_from_the_last)
{
    struct client_op *op = NULL;

    host_start(serve_all, 1);
    struct client_request request = request_to("/again");
    for (unsigned i = 0; i < 2; i++) {
        request.addresses = i == 0 ? "127.0.0.1" : "127.0.0.x"; /* Which fails at once. */
        kept_count = 0;
        left = 99;
        cr_assert(!failed(client_start(client, &request, again, &request, &op)));
        run_until(&kept_count, 100);
    }
    cr_expect_eq(host.connections, 1u);
    nothing_left();
    host_stop();
}

/* --- Given up --- */

/* Gives a request up as soon as `signals` is as high as that, and finds nothing of it left. */
static void give_up(struct client_request *request, const atomic_uint *signals, unsigned least)
{
    struct kept given_up = {0};
    struct client_op *op = start(request, &given_up);

    if (signals != NULL)
        run_until_signal(signals, least);
    client_cancel(&op);
    cr_expect_eq(op, NULL);
    cr_expect_eq(client->conn_count, 0u);
    nothing_left();
    turn_until((struct turn){.signals = &host.connections, .least = 0}); /* A turn of the loop. */
    cr_expect_eq(given_up.count, 0u);
}

static void serve_part(struct peer *peer)
{
    while (peer_hear(peer)) {
        if (strstr(peer->request, " /whole ") != NULL) {
            peer_answer(peer);
            continue;
        }
        peer_say(peer, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart");
        peer_flush(peer);
        host.signals++;
    }
}

static void serve_deaf(struct peer *peer)
{
    (void)peer;
    host.signals++;
    wait_for(&host.signals, UINT32_MAX); /* Until the test ends. */
}

Test(client_deadline, need_not_be_waited_for)
{
    static uint8_t large[8u * 1024u * 1024u];
    struct kept other = {0};

    host_start(serve_part, 1);
    struct client_request request = request_to("/part");
    give_up(&request, NULL, 0); /* It is being dialled for. */
    request.addresses = NULL;
    request.host = "localhost";
    give_up(&request, NULL, 0); /* Its name is being looked up. */
    request = request_to("/part");
    unsigned connections = host.connections;
    host.is_silent = true;
    give_up(&request, &host.connections, connections + 1); /* It shakes hands. */
    host.is_silent = false;
    give_up(&request, &host.signals, 1); /* Its answer is being read. */
    give_up(&request, &host.signals, 2);
    host.serve = serve_deaf;
    request.body = large;
    request.body_size = sizeof large;
    unsigned signals = host.signals;
    give_up(&request, &host.signals, signals + 1); /* It is being written. */
    host.serve = serve_part;
    request = request_to("/whole");
    ask_with(&request, &other);
    cr_expect_eq(other.result, CLIENT_ANSWERED, "%s", other.text);
    host_stop();
}

Test(client_deadline, of_those_who_wait_is_not_touched_by_one_that_is_given_up)
{
    struct client_op *ops[4];

    host_start(serve_part, 1);
    struct client_request request = request_to("/part");
    request.total_ms = request.connect_ms = 4 * PATIENCE_MS; /* No deadline sets them going. */
    ops[0] = start(&request, &kept[0]);
    request.target = "/whole";
    for (unsigned i = 1; i < 4; i++)
        ops[i] = start(&request, &kept[i]);
    run_until_signal(&host.signals, 1);
    client_cancel(&ops[2]); /* It waits. */
    client_cancel(&ops[0]); /* The others wait for it. */
    run_until(&kept_count, 2);
    cr_expect_eq(kept[1].result, CLIENT_ANSWERED);
    cr_expect_eq(kept[3].result, CLIENT_ANSWERED);
    cr_expect_eq(answered(), 2u);
    nothing_left();
    host_stop();
}

Test(client_deadline, of_one_who_waits_comes_before_one_who_comes_later)
{
    host_start(serve_part, 1);
    struct client_request request = request_to("/part");
    struct client_op *op = start(&request, &kept[0]);
    request.target = "/whole";
    (void)start(&request, &kept[1]);
    run_until_signal(&host.signals, 1);
    client_cancel(&op);              /* A connection is free now, */
    (void)start(&request, &kept[2]); /* though not for this one. */
    run_until(&kept_count, 2);
    cr_expect_eq(kept[1].order, 0u);
    cr_expect_eq(kept[2].order, 1u);
    host_stop();
}

static struct client_op *victim;

static void gives_up_another(void *owner, struct client_answer *answer)
{
    client_cancel(&victim);
    keep(owner, answer);
}

Test(client_deadline, passed_at_one_moment_lets_one_give_up_the_next)
{
    struct client_op *op = NULL;

    host_start(serve_silence, 4);
    struct client_request request = request_to("/silent");
    request.total_ms = 150;
    cr_assert(!failed(client_start(client, &request, gives_up_another, &kept[0], &op)));
    victim = start(&request, &kept[1]);
    (void)start(&request, &kept[2]);
    run_until(&kept_count, 2);
    cr_expect_eq(kept[0].count, 1u);
    cr_expect_eq(kept[1].count, 0u);
    cr_expect_eq(kept[2].count, 1u);
    nothing_left();
    host_stop();
}

Test(client_deadline, need_not_come_for_a_client_to_be_freed)
{
    host_start(serve_silence, 2);
    struct client_request request = request_to("/silent");
    for (unsigned i = 0; i < 4; i++)
        (void)start(&request, &kept[i]);
    run_until_signal(&host.requests, 2);
    request.addresses = "127.0.0.x";
    client_free(&client);
    cr_assert(!failed(client_new(loop, 2, 2, &client)));
    (void)start(&request, &kept[4]); /* It has ended, and nobody was told. */
    client_free(&client);
    turn_until((struct turn){.signals = &host.requests, .least = 0});
    cr_expect_eq(answered(), 0u);
    host_stop();
}
