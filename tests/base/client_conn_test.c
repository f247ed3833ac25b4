/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include "base/client_inside.h"
#include "tests/base/client_peer.h"

TestSuite(client_conn, .timeout = 60);

/* --- A connection that is kept --- */

enum stale {
    STALE_ANSWER,
    STALE_LATE, /* 408, to idleness. */
    STALE_NOTIFY,
    STALE_END,
    STALE_RESET,
    STALE_NO_TLS,
    STALE_BYTES, /* Of a record of which the rest never comes: less than its head, … */
    STALE_HEAD,  /* … just its head, … */
    STALE_HALF,  /* … and a part of it. */
    STALE_COUNT,
};

static enum stale stale;
static atomic_uint strays;

static void say_stale(struct peer *peer)
{
    static const uint8_t record[] = {23, 3, 3, 0, 64, 1, 2, 3, 4, 5, 6, 7, 8};
    struct linger reset = {.l_onoff = 1};

    switch (stale) {
    case STALE_ANSWER:
        peer_say(peer, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstale");
        break;
    case STALE_LATE:
        peer_say(peer, "HTTP/1.1 408 Late\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        break;
    case STALE_NOTIFY:
        SSL_shutdown(peer->ssl);
        break;
    case STALE_END:
        shutdown(peer->fd, SHUT_WR);
        break;
    case STALE_RESET:
        setsockopt(peer->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        close(peer->fd);
        peer->fd = -1;
        return;
    case STALE_NO_TLS:
        (void)!write(peer->fd, "HTTP/1.1 400", 12);
        break;
    case STALE_BYTES:
        (void)!write(peer->fd, record, 3);
        break;
    case STALE_HEAD:
        (void)!write(peer->fd, record, 5);
        break;
    case STALE_HALF:
        (void)!write(peer->fd, record, sizeof record);
        break;
    case STALE_COUNT:
        break;
    }
    peer_flush(peer);
}

/* The first connection answers one request, says what nobody asked for, and hears no more. */
static void serve_stale(struct peer *peer)
{
    if (peer->index > 0) {
        serve_all(peer);
        return;
    }
    if (!peer_hear(peer))
        return;
    peer_answer(peer);
    peer_flush(peer);
    wait_for(&host.signals, 1);
    say_stale(peer);
    host.signals++;
    if (peer->fd >= 0)
        strays += peer_hear(peer);
}

/* One of which half a record came may yet have the rest of a ticket to come. */
static void check_closed(void)
{
    int64_t end_ms = clock_monotonic_ms() + PATIENCE_MS;

    while (client->conn_count > 0 && clock_monotonic_ms() < end_ms)
        run_until_signal(&host.connections, 1); /* A turn of the loop. */
    cr_expect_eq(client->conn_count, 0u, "%d: it is closed before anybody asks", (int)stale);
}

static void check_stale(bool turns)
{
    host_start(serve_stale, 4);
    cr_assert_str_eq(ask("/one")->body, "/one 0");
    host.signals++;
    if (turns)
        run_until_signal(&host.signals, 2);
    else
        cr_assert(wait_for(&host.signals, 2));
    if (turns && stale < STALE_NO_TLS)
        check_closed();
    struct kept *kept = ask("/two");
    cr_expect_eq(kept->result, CLIENT_ANSWERED, "%d: %s", (int)stale, kept->text);
    cr_expect_str_eq(kept->body, "/two 1", "%d", (int)stale);
    cr_expect_str_eq(ask("/three")->body, "/three 1", "%d", (int)stale);
    host_stop();
    cr_expect_eq(strays, 0u, "%d: it was written to", (int)stale);
}

Test(client_conn, that_has_anything_to_say_before_its_request_is_not_used)
{
    for (stale = STALE_ANSWER; stale < STALE_COUNT; stale++)
        for (unsigned turns = 0; turns < 2; turns++) {
            memset(&host, 0, sizeof host);
            strays = 0;
            check_stale(turns == 1);
        }
}

/* Its peer may be about to close it. */
Test(client_conn, that_was_idle_for_too_long_is_not_used)
{
    struct kept kept = {0};

    host_start(serve_all, 4);
    struct client_request request = request_to("/one");
    request.total_ms = request.connect_ms = 600000;
    ask_with(&request, &kept);
    cr_assert_str_eq(kept.body, "/one 0");
    struct client_conn *conn = TAILQ_FIRST(&client->idle);
    cr_expect_leq(client->timer_due_ms, conn->idle_until_ms, "it is closed in its time");
    cr_expect_str_eq(ask("/two")->body, "/two 0", "until then it is used");
    conn->idle_until_ms = clock_monotonic_ms() - 1;
    cr_expect_str_eq(ask("/three")->body, "/three 1");
    host_stop();
}

static void serve_tickets(struct peer *peer)
{
    for (unsigned round = 0; peer_hear(peer); round++) {
        peer_answer(peer);
        peer_flush(peer);
        if (!wait_for(&host.signals, 2 * round + 1))
            return;
        for (unsigned i = 0; i < 3; i++)
            if (SSL_new_session_ticket(peer->ssl) != 1 || SSL_do_handshake(peer->ssl) != 1)
                return;
        peer_flush(peer);
        host.signals++;
    }
}

Test(client_conn, is_used_again_past_session_tickets)
{
    host_start(serve_tickets, 4);
    for (unsigned i = 0; i < 4; i++) {
        cr_expect_str_eq(ask("/again")->body, "/again 0");
        host.signals++;
        if (i % 2 == 0)
            run_until_signal(&host.signals, 2 * i + 2);
        else
            cr_assert(wait_for(&host.signals, 2 * i + 2));
    }
    cr_expect_eq(host.connections, 1u);
    host_stop();
}

static atomic_uint notified;

static void serve_until_notified(struct peer *peer)
{
    while (peer_hear(peer))
        peer_answer(peer);
    notified += (SSL_get_shutdown(peer->ssl) & SSL_RECEIVED_SHUTDOWN) != 0;
}

Test(client_conn, that_is_idle_for_long_is_closed_in_due_form)
{
    struct kept kept = {0};

    host_start(serve_until_notified, 4);
    struct client_request request = request_to("/once");
    request.total_ms = 2000;
    ask_with(&request, &kept);
    struct client_conn *conn = TAILQ_FIRST(&client->idle);
    cr_assert(conn != NULL);
    cr_expect_gt(conn->idle_until_ms, clock_monotonic_ms() + CLIENT_IDLE_MS / 2);
    conn->idle_until_ms = clock_monotonic_ms();
    run_until_signal(&notified, 1); /* When the request would have been late. */
    cr_expect_eq(client->conn_count, 0u);
    host_stop();
}

static const char *told; /* What is said to each request; the connection ends behind it. */
static bool tells_end;

static void serve_told(struct peer *peer)
{
    while (peer_hear(peer)) {
        peer_say(peer, told);
        if (tells_end) {
            SSL_shutdown(peer->ssl);
            return;
        }
    }
}

Test(client_conn, is_not_used_again_where_the_answer_says_so)
{
    static const char *const answers[] = {
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi",
        "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi more", NULL};
    host_start(serve_told, 4);
    for (unsigned i = 0; answers[i] != NULL; i++) {
        told = answers[i];
        cr_expect_str_eq(ask("/")->body, "hi");
        cr_expect_eq(client->conn_count, 0u, "%s", told);
    }
    cr_expect_eq(host.connections, 3u);
    told = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
    cr_expect_str_eq(ask("/")->body, "hi");
    cr_expect_eq(client->conn_count, 1u);
    host_stop();
}

Test(client_conn, may_end_an_answer_only_in_due_form)
{
    host_start(serve_told, 4);
    tells_end = true;
    told = "HTTP/1.1 200 OK\r\n\r\nto the end";
    struct kept *kept = ask("/");
    cr_expect_eq(kept->result, CLIENT_ANSWERED, "%s", kept->text);
    cr_expect_str_eq(kept->body, "to the end");
    cr_expect_eq(client->conn_count, 0u);
    told = "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\ncut short";
    cr_expect_eq(ask("/")->result, CLIENT_NO_ANSWER);
    cr_expect_eq(ask("/")->trouble, CLIENT_TROUBLE_CLOSED);
    host_stop();
}

static void serve_cut(struct peer *peer)
{
    if (peer_hear(peer))
        peer_say(peer, "HTTP/1.1 200 OK\r\n\r\nis this the end?");
}

Test(client_conn, that_is_cut_off_gives_no_answer)
{
    host_start(serve_cut, 4);
    struct kept *kept = ask("/");
    cr_expect_eq(kept->result, CLIENT_NO_ANSWER);
    cr_expect_eq(kept->trouble, CLIENT_TROUBLE_CLOSED);
    host_stop();
}

Test(client_conn, is_not_kept_where_a_body_may_yet_follow)
{
    static const struct {
        const char *head;
        unsigned kept;
    } cases[] = {
        {"204 No\r\nContent-Length: 2", 0},
        {"204 No\r\nTransfer-Encoding: chunked", 0},
        {"304 No\r\nTransfer-Encoding: chunked", 0},
        {"204 No", 1},
        {"204 No\r\nContent-Length: 0", 1},
        {"304 No\r\nContent-Length: 2", 1}, /* Of what has not changed. */
        {"304 No", 1},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char head[128];
        snprintf(head, sizeof head, "HTTP/1.1 %s\r\n\r\n", cases[i].head);
        memset(&host, 0, sizeof host);
        told = head;
        host_start(serve_told, 4);
        cr_expect_eq(ask("/")->result, CLIENT_ANSWERED, "%s", head);
        cr_expect_eq(client->conn_count, cases[i].kept, "%s", head);
        host_stop();
    }
}

/* --- Large bodies --- */

#define LARGE_BYTES (16u * 1024u * 1024u + 17u)

static uint8_t large[LARGE_BYTES];
static atomic_uint large_sum;
static atomic_uint records;

static unsigned sum_of(const uint8_t *bytes, size_t size, unsigned sum)
{
    for (size_t i = 0; i < size; i++)
        sum = sum * 31 + bytes[i];
    return sum;
}

static void large_fill(void)
{
    for (size_t i = 0; i < LARGE_BYTES; i++)
        large[i] = (uint8_t)(i * 7 + i / 251);
}

static void serve_large(struct peer *peer)
{
    static uint8_t room[65536];

    while (peer_hear(peer)) {
        const char *body = strstr(peer->request, "\r\n\r\n") + 4;
        size_t of_head = (size_t)(body - peer->request);
        size_t left = LARGE_BYTES - (peer->size - of_head);
        unsigned sum = sum_of((const uint8_t *)body, peer->size - of_head, 0);
        poll(NULL, 0, 50); /* So that the socket's buffer is full. */
        while (left > 0) {
            int rc = SSL_read(peer->ssl, room, sizeof room);
            if (rc <= 0)
                return;
            sum = sum_of(room, (size_t)rc, sum);
            left -= (size_t)rc;
        }
        large_sum = sum;
        peer_answer(peer);
    }
}

Test(client_conn, takes_a_body_that_its_socket_cannot_hold)
{
    static char value[7000];
    const char *headers[] = {"X-A", value, "X-B", value, "X-C", value, NULL};
    struct kept kept = {0};

    large_fill();
    memset(value, 'v', sizeof value - 1);
    host_start(serve_large, 1);
    for (unsigned i = 0; i < 3; i++) {
        struct client_request request = request_to("/large");
        request.body = large;
        request.body_size = LARGE_BYTES;
        request.headers = i == 1 ? headers : NULL; /* A head of more than a record. */
        ask_with(&request, &kept);
        cr_expect_eq(kept.result, CLIENT_ANSWERED, "%s", kept.text);
        cr_expect_str_eq(kept.body, "/large 0");
        cr_expect_eq(large_sum, sum_of(large, LARGE_BYTES, 0));
        cr_expect_eq(memcmp(client->room, (uint8_t[CLIENT_ROOM_BYTES]){0}, CLIENT_ROOM_BYTES), 0,
                     "nothing of it stays");
    }
    host_stop();
}

static void serve_early(struct peer *peer)
{
    while (peer_hear(peer)) {
        peer_say(peer, "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno");
        wait_for(&host.signals, 1);
    }
}

Test(client_conn, hears_an_answer_before_all_is_written)
{
    struct kept kept = {0};

    host_start(serve_early, 1);
    struct client_request request = request_to("/early");
    request.body = large;
    request.body_size = LARGE_BYTES;
    ask_with(&request, &kept);
    cr_expect_eq(kept.result, CLIENT_ANSWERED, "%s", kept.text);
    cr_expect_eq(kept.status, 413);
    cr_expect_eq(client->conn_count, 0u, "what is half-written is no good for another");
    host.signals++;
    host_stop();
}

static void serve_refusal(struct peer *peer)
{
    if (!peer_hear(peer))
        return;
    poll(NULL, 0, 20); /* So that its client waits for room. */
    peer_say(peer, "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno");
}

/* What it has not read makes the end a reset, which ends the writing, but not what was said. */
Test(client_conn, hears_an_answer_of_a_peer_that_hangs_up_on_its_body)
{
    struct kept kept = {0};

    host_start(serve_refusal, 1);
    struct client_request request = request_to("/refused");
    request.body = large;
    request.body_size = LARGE_BYTES;
    for (unsigned i = 0; i < 5; i++) {
        ask_with(&request, &kept);
        cr_expect_eq(kept.result, CLIENT_ANSWERED, "%s", kept.text);
        cr_expect_eq(kept.status, 413);
        cr_expect_eq(client->conn_count, 0u);
    }
    host_stop();
}

static void count_records(int is_write, int version, int type, const void *bytes, size_t size,
                          SSL *ssl, void *owner)
{
    (void)version;
    (void)bytes;
    (void)size;
    (void)ssl;
    (void)owner;
    records += is_write == 0 && type == SSL3_RT_INNER_CONTENT_TYPE &&
               *(const uint8_t *)bytes == SSL3_RT_APPLICATION_DATA;
}

static void serve_counting(struct peer *peer)
{
    SSL_set_msg_callback(peer->ssl, count_records);
    serve_all(peer);
}

Test(client_conn, takes_head_and_body_as_one_record_where_they_fit)
{
    struct kept kept = {0};

    host_start(serve_counting, 1);
    struct client_request request = request_to("/small");
    request.body = large;
    for (unsigned i = 0; i < 4; i++) {
        request.body_size = 1000 * i;
        records = 0;
        ask_with(&request, &kept);
        cr_expect_eq(kept.result, CLIENT_ANSWERED, "%s", kept.text);
        cr_expect_eq(records, 1u, "%u", records);
    }
    host_stop();
}
