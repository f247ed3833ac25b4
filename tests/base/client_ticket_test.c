/* SPDX-License-Identifier: Apache-2.0 */
/* base/client_conn.c: a session ticket that comes in several records, and not at once. */
#include <criterion/criterion.h>
#include <fcntl.h>

#include "base/client_inside.h"
#include "tests/base/client_peer.h"

#define LARGE_BYTES (16u * 1024u * 1024u) /* More than sockets hold. */

TestSuite(client_ticket, .timeout = 60);

static uint8_t large[LARGE_BYTES];
static atomic_uint strays;

static int ticket_fill(SSL *ssl, void *unused)
{
    static const uint8_t much[3000];

    (void)unused;
    return SSL_SESSION_set1_ticket_appdata(SSL_get_session(ssl), much, sizeof much);
}

static bool write_all(int fd, const uint8_t *bytes, size_t size)
{
    return send(fd, bytes, size, MSG_NOSIGNAL) == (ssize_t)size;
}

/* Lets its first record go; `*out_rest` has the others. */
static bool ticket_begin(struct peer *peer, uint8_t rest[static 8192], size_t *out_rest)
{
    BIO *memory = BIO_new(BIO_s_mem());

    SSL_set0_wbio(peer->ssl, memory);
    bool good = SSL_new_session_ticket(peer->ssl) == 1 && SSL_do_handshake(peer->ssl) == 1;
    int size = BIO_read(memory, rest, 8192);
    SSL_set0_wbio(peer->ssl, BIO_new_socket(peer->fd, BIO_NOCLOSE));
    size_t first = 5u + ((unsigned)rest[3] << 8) + rest[4];
    if (!good || size <= (int)first || !write_all(peer->fd, rest, first))
        return false;
    peer_flush(peer);
    *out_rest = (size_t)size - first;
    memmove(rest, rest + first, *out_rest);
    return true;
}

static void host_start_large_tickets(peer_fn serve)
{
    host_start(serve, 4);
    SSL_CTX_set_max_send_fragment(host.context, 512);
    SSL_CTX_set_session_ticket_cb(host.context, ticket_fill, NULL, NULL);
}

static void serve_half_ticket(struct peer *peer)
{
    static uint8_t rest[8192];
    size_t size = 0;

    if (peer->index > 0) {
        serve_all(peer);
        return;
    }
    if (!peer_hear(peer))
        return;
    peer_answer(peer);
    if (!wait_for(&host.signals, 1) || !ticket_begin(peer, rest, &size))
        return;
    host.signals++;
    strays += peer_hear(peer);
}

Test(client_ticket, that_has_half_a_ticket_is_not_used)
{
    host_start_large_tickets(serve_half_ticket);
    cr_assert_str_eq(ask("/one")->body, "/one 0");
    host.signals++;
    cr_assert(wait_for(&host.signals, 2));
    cr_expect_str_eq(ask("/two")->body, "/two 1");
    host_stop();
    cr_expect_eq(strays, 0u);
}

/* Reads until nothing comes: the client has all of it out, or waits for the ticket's rest. */
static void serve_ticket_amid(struct peer *peer)
{
    static uint8_t rest[8192];
    static char room[65536];
    size_t size = 0;
    size_t got = 0;
    int rc = 0;

    if (!peer_hear(peer) || !ticket_begin(peer, rest, &size))
        return;
    got = peer->size - (size_t)(strstr(peer->request, "\r\n\r\n") + 4 - peer->request);
    fcntl(peer->fd, F_SETFL, O_NONBLOCK);
    do {
        struct pollfd more = {.fd = peer->fd, .events = POLLIN};
        while ((rc = SSL_read(peer->ssl, room, sizeof room)) > 0)
            got += (size_t)rc;
        rc = poll(&more, 1, 300);
    } while (got < LARGE_BYTES && rc == 1 && SSL_get_error(peer->ssl, -1) == SSL_ERROR_WANT_READ);
    host.signals += got < LARGE_BYTES;
    fcntl(peer->fd, F_SETFL, 0);
    if (!write_all(peer->fd, rest, size))
        return;
    while (got < LARGE_BYTES && (rc = SSL_read(peer->ssl, room, sizeof room)) > 0)
        got += (size_t)rc;
    peer_answer(peer);
}

Test(client_ticket, goes_on_writing_behind_a_ticket_that_comes_in_pieces)
{
    struct kept kept = {0};

    host_start_large_tickets(serve_ticket_amid);
    struct client_request request = request_to("/large");
    request.body = large;
    request.body_size = LARGE_BYTES;
    ask_with(&request, &kept);
    cr_expect_eq(kept.result, CLIENT_ANSWERED, "%s", kept.text);
    cr_expect_eq(host.signals, 1u, "it had to wait");
    host_stop();
}
