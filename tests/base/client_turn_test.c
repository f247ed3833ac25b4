/* SPDX-License-Identifier: Apache-2.0 */
/* base/client_turn.c: who has a connection, and who is next to have one. */
#include <criterion/criterion.h>

#include "base/client_inside.h"
#include "tests/base/client_peer.h"

TestSuite(client_turn, .timeout = 60);

#define COUNT 7u

static struct kept kept[COUNT];

/* "/held1" is answered after one signal, "/held2" after two, "/silent" never. */
static void serve_in_time(struct peer *peer)
{
    while (peer_hear(peer)) {
        const char *held = strstr(peer->request, "/held");
        if (strstr(peer->request, "/silent") != NULL)
            continue;
        if (held != NULL && !wait_for(&host.signals, (unsigned)(held[5] - '0')))
            return;
        peer_answer(peer);
    }
}

static void client_make(unsigned connections_max, unsigned host_max)
{
    host_start(serve_in_time, 1);
    client_free(&client);
    cr_assert(!failed(client_new(loop, connections_max, host_max, &client)));
}

static struct client_op *start_to(const char *name, const char *target, struct kept *one)
{
    struct client_request request = request_to(target);

    request.host = name;
    return start(&request, one);
}

Test(client_turn, of_a_host_that_is_silent_is_not_at_the_cost_of_others)
{
    client_make(4, 2);
    for (unsigned i = 0; i < 5; i++)
        (void)start_to(HOST, "/silent", &kept[i]);
    cr_expect_eq(client->conn_count, 2u, "its share");
    (void)start_to("other.test", "/one", &kept[5]);
    run_until(&kept[5].count, 1);
    cr_expect_eq(kept[5].result, CLIENT_ANSWERED, "%s", kept[5].text);
    (void)start_to("127.0.0.1", "/two", &kept[6]);
    run_until(&kept[6].count, 1);
    cr_expect_eq(kept[6].result, CLIENT_ANSWERED, "%s", kept[6].text);
    cr_expect_eq(client->conn_count, 4u);
    cr_expect_eq(kept_count, 2u, "who waits, waits");
    host_stop();
}

Test(client_turn, is_of_who_has_waited_longest_and_can_begin)
{
    enum { A1, B1, A2, C1, B2, A3, C2 };
    static const unsigned order[] = {A1, A2, C1, A3, C2, B1, B2};

    client_make(2, 1);
    (void)start_to(HOST, "/held1", &kept[A1]);
    (void)start_to("other.test", "/held2", &kept[B1]);
    (void)start_to(HOST, "/", &kept[A2]);
    (void)start_to("127.0.0.1", "/", &kept[C1]);
    (void)start_to("other.test", "/", &kept[B2]);
    (void)start_to(HOST, "/", &kept[A3]);
    (void)start_to("127.0.0.1", "/", &kept[C2]);
    run_until_signal(&host.requests, 2);
    host.signals++;
    run_until(&kept_count, 5);
    cr_expect_eq(client->conn_count, 2u);
    cr_expect_eq(kept[B1].count, 0u);
    host.signals++;
    run_until(&kept_count, COUNT);
    for (unsigned i = 0; i < COUNT; i++) {
        cr_expect_eq(kept[order[i]].result, CLIENT_ANSWERED, "%u: %s", i, kept[order[i]].text);
        cr_expect_eq(kept[order[i]].order, i, "%u: it was %u", i, kept[order[i]].order);
    }
    cr_expect(TAILQ_EMPTY(&client->waiting));
    host_stop();
}

Test(client_turn, of_an_idle_connection_that_does_not_fit_is_over)
{
    client_make(4, 1);
    struct client_request request = request_to("/");
    ask_with(&request, &kept[0]);
    cr_assert_str_eq(kept[0].body, "/ 0");
    request.addresses = "127.0.0.2";
    ask_with(&request, &kept[0]);
    cr_expect_str_eq(kept[0].body, "/ 1", "%s", kept[0].text);
    cr_expect_eq(client->conn_count, 1u);
    ask_with(&request, &kept[0]);
    cr_expect_str_eq(kept[0].body, "/ 1");
    host_stop();
}
