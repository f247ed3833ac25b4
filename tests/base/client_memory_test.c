/* SPDX-License-Identifier: Apache-2.0 */
/* base/client.c while memory runs out, ours or OpenSSL's: the request ends, once, and the next one
 * over the same client is answered. */
#include <criterion/criterion.h>

#include "base/client_inside.h"
#include "tests/base/client_peer.h"
#include "tests/support/failing_alloc.h"

#define BOTH (FAILING_ALLOC_OURS | FAILING_ALLOC_OPENSSL)

TestSuite(client_memory, .timeout = 240);

static const char *addresses;
static unsigned done_count;
static enum client_result done_result;

static void on_done(void *owner, struct client_answer *answer)
{
    (void)owner;
    done_count++;
    done_result = answer->result;
    loop_stop(loop);
}

static void client_make(void)
{
    cr_assert(!failed(loop_new(&loop)));
    cr_assert(!failed(client_new(loop, 2, 2, &client)));
}

static void client_drop(void)
{
    client_free(&client);
    loop_free(&loop);
}

/* A request over a connection that is made for it, and one over that. */
static struct status exchange(void)
{
    static const char *const headers[] = {"X-One", "a", NULL};

    for (unsigned i = 0; i < 2; i++) {
        struct client_request request = request_to("/memory");
        struct client_op *op = NULL;
        request.headers = headers;
        request.body = "body";
        request.body_size = 4;
        request.addresses = addresses;
        done_count = 0;
        TRY(client_start(client, &request, on_done, NULL, &op));
        loop_run(loop);
        cr_assert_eq(done_count, 1u);
        ENSURE(done_result == CLIENT_ANSWERED, WHY_NO_MEMORY);
    }
    return STATUS_OK;
}

static void nothing_under_way(void)
{
    struct client_trust *trust = NULL;

    LIST_FOREACH(trust, &client->trusts, all)
    {
        trust->made_ms -= 20000; /* A while later: by then it is read anew. */
    }
    cr_expect(TAILQ_EMPTY(&client->due));
    cr_expect(TAILQ_EMPTY(&client->waiting));
    cr_expect(TAILQ_EMPTY(&client->ended));
}

static void each_fails(const char *of, unsigned kind, unsigned stride)
{
    const struct failing_alloc_case one = {.name = of,
                                           .run = exchange,
                                           .before = client_make,
                                           .after = client_drop,
                                           .unchanged = nothing_under_way,
                                           .of = kind,
                                           .may_succeed = true,
                                           .stride = stride};

    host_start(serve_all, 1);
    client_drop();
    failing_alloc_each(&one);
    client_make(); /* For host_stop(). */
    host_stop();
}

Test(client_memory, of_ours_that_runs_out_ends_a_request_and_nothing_else)
{
    addresses = "127.0.0.9,127.0.0.1"; /* The first is refused, or would be the second's end. */
    each_fails("an exchange", FAILING_ALLOC_OURS, 1);
}

Test(client_memory, of_openssl_that_runs_out_ends_a_request_and_nothing_else)
{
    addresses = "127.0.0.1";
    each_fails("TLS", BOTH, 17);
}

/* --- What may have left is never said not to have --- */

static void serve_deaf(struct peer *peer)
{
    if (peer_hear(peer))
        peer_answer(peer);
    (void)wait_for(&host.signals, 1);
}

static void on_nothing(void *owner)
{
    (void)owner;
}

Test(client_memory, for_a_timer_that_runs_out_is_no_word_that_nothing_was_sent)
{
    struct kept kept = {0};
    struct client_op *op = NULL;
    struct loop_timer *timer = NULL;

    host_start(serve_deaf, 1);
    struct client_request request = request_to("/one");
    request.total_ms = 3000; /* By then the second is told, by this one's timer. */
    ask_with(&request, &kept);
    cr_assert_eq(kept.result, CLIENT_ANSWERED, "%s", kept.text);
    cr_assert_eq(shutdown(TAILQ_FIRST(&client->idle)->fd, SHUT_WR), 0);
    cr_assert(!failed(loop_timer(loop, 60000, on_nothing, NULL, &timer))); /* The spare one. */
    memset(&kept, 0, sizeof kept);
    request = request_to("/two");
    failing_alloc_start(1, true, FAILING_ALLOC_OURS);
    struct status status = client_start(client, &request, keep, &kept, &op);
    cr_expect_geq(failing_alloc_stop(), 1u);
    cr_assert(!failed(status), "%s", status_name(status.why));
    run_until(&kept.count, 1);
    cr_expect_eq(kept.result, CLIENT_NO_ANSWER, "%s", kept.text);
    loop_timer_cancel(&timer);
    host.signals++;
    host_stop();
}
