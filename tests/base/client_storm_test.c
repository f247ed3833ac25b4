/* SPDX-License-Identifier: Apache-2.0 */
/* Thousands of requests over few connections to a server that answers, lies, stalls and hangs up:
 * none goes out twice (RLY-6), none hears another's answer, each ends once. */
#include <criterion/criterion.h>

#include "base/client_inside.h"
#include "tests/base/client_peer.h"

#define REQUESTS  3000u
#define IN_FLIGHT 48u
#define SEED      0x9e3779b9u

TestSuite(client_storm, .timeout = 120);

static atomic_uint seen[REQUESTS];
static uint8_t body[40000];

static struct ask {
    unsigned id;
    struct client_op *op; /* While it is under way. */
} asks[IN_FLIGHT];

static unsigned started;
static unsigned ended;
static unsigned by_result[4];
static uint32_t lot = SEED;

static uint32_t draw(uint32_t below)
{
    lot ^= lot << 13;
    lot ^= lot >> 17;
    lot ^= lot << 5;
    return lot % below;
}

/* --- The server --- */

static bool skip_body(struct peer *peer)
{
    const char *length = strstr(peer->request, "Content-Length: ");
    size_t of_head = (size_t)(strstr(peer->request, "\r\n\r\n") + 4 - peer->request);
    size_t size = length == NULL ? 0 : strtoull(length + 16, NULL, 10);
    char room[4096];

    for (size_t got = peer->size - of_head; got < size;) {
        size_t left = size - got;
        int rc = SSL_read(peer->ssl, room, (int)(left < sizeof room ? left : sizeof room));
        if (rc <= 0)
            return false;
        got += (size_t)rc;
    }
    return true;
}

static void say_in_chunks(struct peer *peer, unsigned id)
{
    char text[128];
    int size = snprintf(NULL, 0, "/%u chunks", id);

    peer_say(peer, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Enc");
    snprintf(text, sizeof text, "oding: chunked\r\n\r\n%x\r\n/%u chunks\r\n", (unsigned)size, id);
    peer_say(peer, text);
    peer_say(peer, "0\r\nX-Trailer: 1\r\n\r\n");
}

/* At one time.  What comes once the next request is out is that one's answer, in HTTP/1.1. */
static void say_two(struct peer *peer, unsigned id)
{
    char text[256];
    int size = snprintf(NULL, 0, "/%u two", id);

    snprintf(text, sizeof text,
             "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n/%u twoHTTP/1.1 200 OK\r\n"
             "Content-Length: 5\r\n\r\nstale",
             size, id);
    peer_say(peer, text);
}

/* False: it ends here. */
static bool behave(struct peer *peer, unsigned id)
{
    switch (id % 16) {
    case 0:
        return false; /* Without a word. */
    case 1:
        peer_say(peer, "HTTP/1.1 200 OK\r\nContent-Le");
        return false;
    case 2:
        say_two(peer, id);
        return true;
    case 3:
        peer_answer(peer);
        return false;
    case 4:
        peer_answer(peer);
        SSL_shutdown(peer->ssl);
        return false;
    case 5:
        poll(NULL, 0, (int)(id % 7));
        peer_answer(peer);
        return true;
    case 6:
        return peer_hear(peer); /* Nothing, until the client has gone. */
    case 7:
        peer_say(peer, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n");
        return true;
    case 8:
        peer_answer(peer);
        return SSL_new_session_ticket(peer->ssl) != 1 || SSL_do_handshake(peer->ssl) == 1;
    case 9:
    case 10:
        say_in_chunks(peer, id);
        return true;
    default:
        peer_answer(peer);
        return true;
    }
}

static void serve_storm(struct peer *peer)
{
    while (peer_hear(peer)) {
        unsigned id = (unsigned)strtoull(strchr(peer->request, '/') + 1, NULL, 10);
        cr_assert_lt(id, REQUESTS);
        seen[id]++;
        if (!skip_body(peer) || !behave(peer, id))
            return;
    }
}

/* --- The client --- */

static void ask_next(struct ask *ask);

static void on_end(void *owner, struct client_answer *answer)
{
    struct ask *one = owner;
    char expected[32];
    int size = snprintf(expected, sizeof expected, "/%u ", one->id);

    ended++;
    by_result[answer->result]++;
    one->op = NULL;
    if (answer->result == CLIENT_ANSWERED) {
        cr_expect(answer->body_size > (size_t)size &&
                      memcmp(answer->body, expected, (size_t)size) == 0,
                  "%u heard %.*s", one->id, (int)answer->body_size, (const char *)answer->body);
        cr_expect_eq(seen[one->id], 1u);
    }
    if (answer->result == CLIENT_NOT_SENT)
        cr_expect_eq(seen[one->id], 0u, "%u went out: %s", one->id, answer->trouble_text);
    ask_next(one);
}

static void ask_next(struct ask *one)
{
    static const int64_t totals_ms[] = {40, 200, PATIENCE_MS};
    char target[32];

    if (started == REQUESTS)
        return;
    one->id = started++;
    snprintf(target, sizeof target, "/%u", one->id);
    struct client_request request = request_to(target);
    request.body = body;
    request.body_size = draw(8) == 0 ? draw(sizeof body) : draw(300);
    request.total_ms = one->id % 16 == 6 ? 30 : totals_ms[draw(3)];
    request.tls13_only = draw(4) == 0;
    cr_assert(!failed(client_start(client, &request, on_end, one, &one->op)));
    struct ask *other = &asks[draw(IN_FLIGHT)];
    if (draw(20) == 0 && other->op != NULL) {
        client_cancel(&other->op);
        ended++;
        if (other != one)
            ask_next(other);
    }
}

/* A place of which the request was given up while it was being started is taken up again. */
static void fill(void)
{
    for (unsigned i = 0; i < IN_FLIGHT; i++)
        if (asks[i].op == NULL)
            ask_next(&asks[i]);
}

Test(client_storm, leaves_each_request_sent_once_and_answered_by_its_own_answer)
{
    host_start(serve_storm, 12);
    for (unsigned least = 1; ended < REQUESTS; least = ended + 1) {
        fill();
        run_until(&ended, least);
    }
    for (unsigned i = 0; i < REQUESTS; i++)
        cr_expect_leq(seen[i], 1u, "%u was sent %u times", i, seen[i]);
    cr_expect_gt(by_result[CLIENT_ANSWERED], REQUESTS / 3);
    cr_expect_gt(by_result[CLIENT_NO_ANSWER], 100u);
    cr_expect_gt(by_result[CLIENT_MALFORMED], 50u);
    cr_expect(TAILQ_EMPTY(&client->due) && TAILQ_EMPTY(&client->waiting));
    cr_expect_leq(client->conn_count, 12u);
    host_stop();
}
