/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>

#include "base/client_inside.h"
#include "tests/base/client_peer.h"

TestSuite(client_lookup, .timeout = 60);

/* Takes connections and lets none be: its queue is full. */
static int full_open(uint16_t *port, int fillers[static 4])
{
    int fd = listener("127.0.0.3", 0, port);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(*port)};

    inet_pton(AF_INET, "127.0.0.3", &at.sin_addr);
    for (unsigned i = 0; i < 4; i++) {
        fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        (void)!connect(fillers[i], (struct sockaddr *)&at, sizeof at);
    }
    return fd;
}

static void full_close(int fd, const int fillers[static 4])
{
    for (unsigned i = 0; i < 4; i++)
        close(fillers[i]);
    close(fd);
}

/* The host, but on one address alone, so that others of the same port are someone else's. */
static void host_start_at(const char *address, peer_fn serve, unsigned connections_max)
{
    host.pki = pki_new();
    host_certify("DNS:" HOST);
    host.serve = serve;
    host.fd = listener(address, 64, &host.port);
    cr_assert_eq(pthread_create(&host.thread, NULL, host_run, NULL), 0);
    cr_assert(!failed(loop_new(&loop)));
    cr_assert(!failed(client_new(loop, connections_max, connections_max, &client)));
}

Test(client_lookup, finds_the_first_address_that_takes_a_connection)
{
    struct kept kept = {0};
    int fillers[4];

    host_start_at("127.0.0.1", serve_all, 1);
    int fd = full_open(&host.port, fillers);
    struct client_request request = request_to("/dialled");
    request.connect_ms = 1500;
    request.addresses = "127.0.0.4,127.0.0.1"; /* Nobody is at the first. */
    ask_with(&request, &kept);
    cr_expect_str_eq(kept.body, "/dialled 0", "%s", kept.text);
    client_free(&client);
    cr_assert(!failed(client_new(loop, 1, 1, &client)));
    request.addresses = "127.0.0.3,127.0.0.1"; /* It is silent. */
    ask_with(&request, &kept);
    cr_expect_str_eq(kept.body, "/dialled 1", "%s", kept.text);
    cr_expect_geq(kept.duration_ms, 745, "it had its share, and not all");
    full_close(fd, fillers);
    host_stop();
}

Test(client_lookup, finds_none_but_the_addresses_given)
{
    static const struct {
        const char *addresses;
        enum client_trouble trouble;
    } cases[] = {
        {"127.0.0.4", CLIENT_TROUBLE_UNREACHABLE},
        {"127.0.0.4,127.0.0.5", CLIENT_TROUBLE_UNREACHABLE},
        {"localhost", CLIENT_TROUBLE_UNREACHABLE},
        {"", CLIENT_TROUBLE_UNREACHABLE},
        {",", CLIENT_TROUBLE_UNREACHABLE},
        {"127.0.0.1x", CLIENT_TROUBLE_UNREACHABLE},
        {"127.0.0.3", CLIENT_TROUBLE_TIMEOUT},
        {"127.0.0.3,127.0.0.3", CLIENT_TROUBLE_TIMEOUT},
    };
    struct kept kept = {0};
    int fillers[4];

    host_start_at("127.0.0.1", serve_all, 1);
    int fd = full_open(&host.port, fillers);
    cr_expect_str_eq(ask("/kept")->body, "/kept 0");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct client_request request = request_to("/");
        request.addresses = cases[i].addresses;
        request.connect_ms = 200;
        ask_with(&request, &kept);
        cr_expect_eq(kept.result, CLIENT_NOT_SENT, "%s", cases[i].addresses);
        cr_expect_eq(kept.trouble, cases[i].trouble, "%s: %s", cases[i].addresses, kept.text);
        cr_expect_lt(kept.duration_ms, PATIENCE_MS / 2, "%s", cases[i].addresses);
        cr_expect_neq(kept.text[0], '\0');
    }
    cr_expect_eq(host.connections, 1u);
    cr_expect_eq(host.requests, 1u);
    full_close(fd, fillers);
    host_stop();
}

Test(client_lookup, asks_for_a_name_where_no_address_is_given)
{
    struct kept kept[3] = {0};

    host_start(serve_all, 4);
    host_certify("DNS:localhost,IP:127.0.0.1");
    struct client_request request = request_to("/named");
    request.addresses = NULL;
    request.host = "localhost";
    for (unsigned i = 0; i < 3; i++) /* They share one look-up. */
        (void)start(&request, &kept[i]);
    for (unsigned i = 0; i < 3; i++) {
        run_until(&kept[i].count, 1);
        cr_expect_eq(kept[i].result, CLIENT_ANSWERED, "%s", kept[i].text);
    }
    request.host = "127.0.0.1";
    ask_with(&request, &kept[0]);
    cr_expect_eq(kept[0].result, CLIENT_ANSWERED, "%s", kept[0].text);
    request.host = "no..name";
    ask_with(&request, &kept[0]);
    cr_expect_eq(kept[0].result, CLIENT_NOT_SENT);
    cr_expect_eq(kept[0].trouble, CLIENT_TROUBLE_UNREACHABLE);
    host_stop();
}
