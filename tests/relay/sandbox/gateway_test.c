/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/sandbox/gateway.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <pthread.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/encode.h"

#define ANSWER_BYTES (1u << 20)
#define CREATE       "POST /v1/payment_intents"
#define CARD(number)                                                                               \
    "payment_method_data[type]=card&payment_method_data[card][number]=" number                     \
    "&payment_method_data[card][exp_month]=12&payment_method_data[card][exp_year]=2040"            \
    "&payment_method_data[card][cvc]=123"
#define PAY(number) "amount=1000&currency=EUR&confirm=true&" CARD(number)
#define APPROVED    "4242424242424242"
#define DECLINED    "4000000000000002"

static struct loop *loop;
static struct http_server *server;
static struct gateway *gateway;
static struct http_listen listening = {.address = "127.0.0.1"};
static pthread_t thread;
static char answer[ANSWER_BYTES];

static void *loop_thread(void *owner)
{
    (void)owner;
    loop_run(loop);
    return NULL;
}

static void start(void)
{
    char error[256] = "";
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    cr_assert(sigaction(SIGPIPE, &ignore, NULL) == 0);
    cr_assert(sodium_init() >= 0);
    cr_assert(!failed(loop_new(&loop)));
    cr_assert(!failed(gateway_new(loop, &gateway)));
    struct http_server_options options = {.loop = loop,
                                          .limits = http_limits_default(),
                                          .on_call = gateway_on_call,
                                          .owner = gateway,
                                          .component = "sandbox"};
    cr_assert(!failed(http_server_new(&options, &server)));
    cr_assert(!failed(http_server_listen(server, &listening, error, sizeof error)), "%s", error);
    cr_assert(pthread_create(&thread, NULL, loop_thread, NULL) == 0);
}

static void stop(void)
{
    loop_stop(loop);
    cr_assert(pthread_join(thread, NULL) == 0);
    http_server_free(&server);
    gateway_free(&gateway);
    loop_free(&loop);
}

TestSuite(gateway, .init = start, .fini = stop, .timeout = 30);

static int dial(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(listening.bound_port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert(fd >= 0);
    cr_assert(connect(fd, (const struct sockaddr *)&to, sizeof to) == 0);
    return fd;
}

/* Everything that comes back on a connection of its own, in `answer`; its status, 0 for none. */
static int ask(const char *request_line, const char *headers, const char *body)
{
    char request[8192];
    int size = snprintf(request, sizeof request,
                        "%s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%sContent-Length: "
                        "%zu\r\n\r\n%s",
                        request_line, headers, strlen(body), body);
    cr_assert(size > 0 && (size_t)size < sizeof request);
    int fd = dial();
    cr_assert_eq(send(fd, request, (size_t)size, 0), size);
    size_t got = 0;
    for (;;) {
        ssize_t count = recv(fd, answer + got, sizeof answer - 1 - got, 0);
        if (count <= 0)
            break;
        got += (size_t)count;
    }
    close(fd);
    answer[got] = '\0';
    int status = 0;
    if (sscanf(answer, "HTTP/1.1 %d", &status) != 1)
        return 0;
    return status;
}

#define FORM                                                                                       \
    "Authorization: Bearer sk_test_x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
#define JSON "Authorization: Bearer sk_test_x\r\nContent-Type: application/json\r\n"

static bool says(const char *text)
{
    return strstr(answer, text) != NULL;
}

/* The first id with this prefix in the answer. */
static const char *id_of(const char *prefix)
{
    static char id[64];
    char quoted[32];
    snprintf(quoted, sizeof quoted, "\"id\":\"%s", prefix);
    const char *at = strstr(answer, quoted);
    cr_assert_not_null(at, "%s", answer);
    size_t size = strcspn(at + 6, "\"");
    cr_assert(size < sizeof id);
    memcpy(id, at + 6, size);
    id[size] = '\0';
    return id;
}

static int ask_about(const char *method, const char *folder, const char *id, const char *verb,
                     const char *body)
{
    char line[256];
    snprintf(line, sizeof line, "%s %s%s%s", method, folder, id, verb);
    return ask(line, FORM, body);
}

#define INTENTS "/v1/payment_intents/"

Test(gateway, wants_a_test_key)
{
    cr_expect_eq(ask(CREATE, "", ""), 401);
    cr_expect_eq(ask(CREATE, "Authorization: Bearer sk_live_x\r\n", ""), 401);
    cr_expect_eq(ask(CREATE, "Authorization: Bearer sk_test_\r\n", ""), 401);
    cr_expect_eq(ask("GET " INTENTS "pi_1", "Authorization: Bearer sk_test_x\r\n", ""), 404);
    cr_expect_eq(ask("GET " INTENTS "pi_1", "Authorization: Basic c2tfdGVzdF94Og==\r\n", ""), 404);
}

Test(gateway, approves_and_shows_what_it_approved)
{
    cr_assert_eq(ask(CREATE, FORM, PAY(APPROVED) "&metadata[order]=77"), 200, "%s", answer);
    cr_expect(says("\"object\":\"payment_intent\""));
    cr_expect(says("\"status\":\"succeeded\""));
    cr_expect(says("\"amount_received\":1000"));
    cr_expect(says("\"currency\":\"eur\""));
    cr_expect(says("\"metadata\":{\"order\":\"77\"}"));
    cr_expect(says("\"livemode\":false"));
    cr_expect(says("request-id: req_"));
    cr_expect(!says(APPROVED), "a gateway that is asked nothing else does not give the card back");
    cr_assert_eq(ask_about("GET", INTENTS, id_of("pi_"), "", ""), 200);
    cr_expect(says("\"status\":\"succeeded\""));
}

Test(gateway, declines_with_the_whole_intent_in_the_error)
{
    cr_assert_eq(ask(CREATE, FORM, PAY(DECLINED)), 402, "%s", answer);
    cr_expect(says("\"type\":\"card_error\""));
    cr_expect(says("\"code\":\"card_declined\""));
    cr_expect(says("\"decline_code\":\"generic_decline\""));
    cr_assert_eq(ask_about("GET", INTENTS, id_of("pi_"), "", ""), 200);
    cr_expect(says("\"status\":\"requires_payment_method\""));
    cr_expect(says("\"last_payment_error\":{\"type\":\"card_error\""));
}

Test(gateway, captures_at_most_what_was_authorized_and_once)
{
    cr_assert_eq(ask(CREATE, FORM, PAY(APPROVED) "&capture_method=manual"), 200);
    cr_expect(says("\"status\":\"requires_capture\""));
    cr_expect(says("\"amount_capturable\":1000"));
    char id[64];
    memcpy(id, id_of("pi_"), sizeof id);
    cr_expect_eq(ask_about("POST", INTENTS, id, "/capture", "amount_to_capture=1001"), 400);
    cr_expect_eq(ask_about("POST", INTENTS, id, "/capture", "amount_to_capture=600"), 200);
    cr_expect(says("\"amount_received\":600"));
    cr_expect_eq(ask_about("POST", INTENTS, id, "/capture", ""), 400);
    cr_expect(says("payment_intent_unexpected_state"));
    cr_expect_eq(ask_about("POST", INTENTS, id, "/cancel", ""), 400);
}

Test(gateway, refunds_no_more_than_was_received)
{
    cr_assert_eq(ask(CREATE, FORM, PAY(APPROVED)), 200);
    char body[128];
    snprintf(body, sizeof body, "amount=400&payment_intent=%s", id_of("pi_"));
    cr_assert_eq(ask("POST /v1/refunds", FORM, body), 200, "%s", answer);
    cr_expect(says("\"object\":\"refund\""));
    cr_expect_eq(ask_about("GET", "/v1/refunds/", id_of("re_"), "", ""), 200);
    body[7] = '7';
    cr_expect_eq(ask("POST /v1/refunds", FORM, body), 400);
    cr_expect_eq(ask("POST /v1/refunds", FORM, strchr(body, '&') + 1), 200);
    cr_expect(says("\"amount\":600"));
    cr_expect_eq(ask("POST /v1/refunds", FORM, strchr(body, '&') + 1), 400);
    cr_expect(says("charge_already_refunded"));
}

Test(gateway, confirms_later_and_cancels)
{
    cr_assert_eq(ask(CREATE, FORM, "amount=5&currency=usd"), 200);
    cr_expect(says("\"status\":\"requires_payment_method\""));
    char id[64];
    memcpy(id, id_of("pi_"), sizeof id);
    cr_expect_eq(ask_about("POST", INTENTS, id, "/confirm", ""), 400);
    cr_expect_eq(ask_about("POST", INTENTS, id, "/confirm", CARD(DECLINED)), 402);
    cr_expect_eq(ask_about("POST", INTENTS, id, "/confirm", CARD(APPROVED)), 200);
    cr_expect_eq(ask_about("POST", INTENTS, id, "/confirm", CARD(APPROVED)), 400);
    cr_assert_eq(ask(CREATE, FORM, "amount=5&currency=usd"), 200);
    memcpy(id, id_of("pi_"), sizeof id);
    cr_expect_eq(ask_about("POST", INTENTS, id, "/cancel", "cancellation_reason=duplicate"), 200);
    cr_expect(says("\"status\":\"canceled\""));
    cr_expect_eq(ask_about("POST", INTENTS, id, "/confirm", CARD(APPROVED)), 400);
}

Test(gateway, refuses_parameters_that_stripe_would_refuse)
{
    static const char *const bodies[] = {"currency=eur",
                                         "amount=0&currency=eur",
                                         "amount=-5&currency=eur",
                                         "amount=1",
                                         "amount=1&currency=euro",
                                         "amount=1&currency=eur&confirm=true",
                                         "amount=1&currency=eur&surprise=1",
                                         "amount=1&currency=eur&capture_method=never",
                                         "amount=1&amount=2&currency=eur"};
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        cr_expect_eq(ask(CREATE, FORM, bodies[i]), 400, "%s", bodies[i]);
        cr_expect(says("\"type\":\"invalid_request_error\""), "%s", answer);
    }
    cr_expect_eq(ask(CREATE, JSON, "{}"), 400);
    cr_expect_eq(ask("PUT /v1/payment_intents", FORM, ""), 404);
}

Test(gateway, answers_a_key_twice_with_one_payment)
{
    cr_assert_eq(ask(CREATE, FORM "Idempotency-Key: k1\r\n", PAY(APPROVED)), 200);
    cr_expect(!says("idempotent-replayed"));
    char id[64];
    memcpy(id, id_of("pi_"), sizeof id);
    cr_assert_eq(ask(CREATE, FORM "Idempotency-Key: k1\r\n", PAY(APPROVED)), 200);
    cr_expect(says("idempotent-replayed: true"));
    cr_expect_str_eq(id_of("pi_"), id);
    cr_expect_eq(ask(CREATE, FORM "Idempotency-Key: k1\r\n", PAY(DECLINED)), 400);
    cr_expect(says("\"type\":\"idempotency_error\""));
    cr_expect_eq(ask(CREATE, FORM "Idempotency-Key: k2\r\n", PAY(APPROVED)), 200);
    cr_expect_str_neq(id_of("pi_"), id);
}

Test(gateway, keeps_declines_and_500s_under_a_key_but_no_bad_request)
{
    cr_expect_eq(ask(CREATE, FORM "Idempotency-Key: k1\r\n", PAY(DECLINED)), 402);
    cr_expect_eq(ask(CREATE, FORM "Idempotency-Key: k1\r\n", PAY(DECLINED)), 402);
    cr_expect(says("idempotent-replayed: true"));
    cr_expect_eq(
        ask(CREATE, FORM "Idempotency-Key: k2\r\nSandbox-Behaviour: error_500\r\n", PAY(APPROVED)),
        500);
    cr_expect_eq(ask(CREATE, FORM "Idempotency-Key: k2\r\n", PAY(APPROVED)), 500);
    cr_expect_eq(ask(CREATE, FORM "Idempotency-Key: k3\r\n", "amount=0&currency=eur"), 400);
    cr_expect_eq(ask(CREATE, FORM "Idempotency-Key: k3\r\n", PAY(APPROVED)), 200);
}

Test(gateway, lets_a_header_or_metadata_decide_the_outcome)
{
    cr_expect_eq(ask(CREATE, FORM "Sandbox-Behaviour: decline\r\n", PAY(APPROVED)), 402);
    cr_expect_eq(ask(CREATE, FORM "Sandbox-Behaviour: approve\r\n", PAY(DECLINED)), 200);
    cr_expect_eq(ask(CREATE, FORM, PAY(APPROVED) "&metadata[sandbox_behaviour]=decline"), 402);
    cr_expect_eq(ask(CREATE, FORM "Sandbox-Behaviour: nonsense\r\n", PAY(APPROVED)), 400);
    cr_expect_eq(ask(CREATE, FORM "Sandbox-Behaviour: error_400\r\n", PAY(APPROVED)), 400);
    cr_expect_eq(ask(CREATE, FORM "Sandbox-Behaviour: redirect\r\n", PAY(APPROVED)), 302);
    cr_expect(says("location: https://"));
    cr_expect_eq(ask(CREATE, FORM "Sandbox-Behaviour: requires_action\r\n", PAY(APPROVED)), 200);
    cr_expect(says("\"next_action\":{\"type\":\"redirect_to_url\""));
    cr_expect_eq(ask_about("POST", INTENTS, id_of("pi_"), "/confirm", ""), 200);
    cr_expect(says("\"status\":\"succeeded\""));
}

Test(gateway, hangs_up_before_or_within_an_answer_but_has_paid)
{
    static const char *const cuts[] = {"close_before", "close_half", "malformed"};
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        char headers[256];
        snprintf(headers, sizeof headers,
                 FORM "Idempotency-Key: cut%zu\r\nSandbox-Behaviour: %s\r\n", i, cuts[i]);
        int status = ask(CREATE, headers, PAY(APPROVED));
        cr_expect_eq(status, i == 1 ? 200 : 0, "%s: %s", cuts[i], answer);
        cr_expect_eq(answer[0] == '\0', i == 0, "%s: %s", cuts[i], answer);
        cr_expect(!says("\"status\":\"succeeded\""), "the end of it never came");
        snprintf(headers, sizeof headers, FORM "Idempotency-Key: cut%zu\r\n", i);
        cr_expect_eq(ask(CREATE, headers, PAY(APPROVED)), 200);
        cr_expect(says("idempotent-replayed: true"), "it was carried out the first time");
        cr_expect(says("\"status\":\"succeeded\""));
    }
}

Test(gateway, echoes_the_card_in_every_shape_where_asked)
{
    char encoded[ENCODE_BASE64_SIZE(16)];
    encode_base64(APPROVED, 16, encoded);
    cr_assert_eq(ask(CREATE, FORM "Sandbox-Behaviour: echo\r\n", PAY(APPROVED)), 200);
    cr_expect(says("sandbox-echo: " APPROVED));
    cr_expect(says("\"number\":\"" APPROVED "\""));
    cr_expect(says("4242 4242 4242 4242"));
    cr_expect(says(encoded));
    cr_expect(says("\"cvc\":\"123\""));
    cr_expect(says("The card " APPROVED " with the code 123"));
    cr_expect_eq(ask("POST /v1/json/payments", JSON "Sandbox-Behaviour: echo\r\n",
                     "{\"card\":{\"number\":\"" APPROVED "\",\"expiry\":\"12/40\"},"
                     "\"amount\":5,\"currency\":\"eur\"}"),
                 201);
    cr_expect(says("sandbox-echo: " APPROVED));
}

Test(gateway, answers_slowly_and_forgets_who_does_not_wait)
{
    int64_t before = clock_monotonic_ms();
    cr_expect_eq(
        ask(CREATE, FORM "Sandbox-Behaviour: slow\r\nSandbox-Delay-Ms: 150\r\n", PAY(APPROVED)),
        200);
    cr_expect_geq(clock_monotonic_ms() - before, 150);
    int fd = dial();
    static const char request[] =
        CREATE " HTTP/1.1\r\nHost: x\r\n" FORM
               "Sandbox-Behaviour: slow\r\nSandbox-Delay-Ms: 100\r\nContent-Length: 0\r\n\r\n";
    cr_assert_eq(send(fd, request, sizeof request - 1, 0), (ssize_t)sizeof request - 1);
    close(fd);
    const struct timespec pause = {.tv_nsec = 200 * 1000 * 1000};
    nanosleep(&pause, NULL);
    cr_expect_eq(ask(CREATE, FORM, PAY(APPROVED)), 200);
}

Test(gateway, takes_cards_as_json)
{
    cr_assert_eq(ask("POST /v1/json/payments", JSON,
                     "{\"card\":{\"number\":\"" APPROVED
                     "\",\"expiry\":\"12/40\",\"security_code\":\"123\"},\"amount\":5,"
                     "\"currency\":\"eur\"}"),
                 201, "%s", answer);
    cr_expect(says("\"status\":\"approved\""));
    cr_expect(!says(APPROVED));
    cr_expect_eq(ask("POST /v1/json/payments", JSON,
                     "{\"card\":{\"number\":\"" DECLINED
                     "\",\"expiry\":\"12/2040\"},\"amount\":5,\"currency\":\"eur\"}"),
                 402);
    cr_expect(says("card_declined"));
    static const char *const bad[] = {
        "",
        "[]",
        "{\"amount\":5,\"currency\":\"eur\"}",
        "{\"card\":{\"number\":\"1\",\"expiry\":\"\",\"x\":1},\"amount\":5,\"currency\":\"a\"}",
        "{\"card\":{\"number\":\"1\",\"expiry\":\"12/40\"},\"amount\":5.5,\"currency\":\"eur\"}",
        "{\"card\":{\"number\":1,\"expiry\":\"12/40\"},\"amount\":5,\"currency\":\"eur\"}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_expect_eq(ask("POST /v1/json/payments", JSON, bad[i]), 400, "%s", bad[i]);
}

Test(gateway, shows_what_arrived_masked_unless_asked_to_reveal)
{
    cr_assert_eq(ask(CREATE, FORM, PAY(APPROVED)), 200);
    cr_assert_eq(ask("POST /v1/json/payments", JSON,
                     "{\"card\":{\"number\":\"" APPROVED
                     "\",\"expiry\":\"12/40\",\"security_code\":\"737\"},\"amount\":5,"
                     "\"currency\":\"eur\"}"),
                 201);
    cr_assert_eq(ask("GET /sandbox/requests", "", ""), 200);
    cr_expect(says("[\"amount\",\"1000\"]"), "%s", answer);
    cr_expect(says("************4242"));
    cr_expect(!says(APPROVED));
    cr_expect(!says("\"123\""));
    cr_expect(!says("737"));
    cr_expect(!says("sk_test_x"));
    cr_assert_eq(ask("GET /sandbox/requests?reveal=1", "", ""), 200);
    char encoded[ENCODE_BASE64_SIZE(sizeof PAY(APPROVED) - 1)];
    encode_base64(PAY(APPROVED), sizeof PAY(APPROVED) - 1, encoded);
    cr_expect(says(encoded));
    cr_assert_eq(ask("DELETE /sandbox/requests", "", ""), 204);
    cr_assert_eq(ask("GET /sandbox/requests", "", ""), 200);
    cr_expect(says("{\"requests\":[]}"));
}

Test(gateway, keeps_the_newest_requests_only)
{
    for (unsigned i = 0; i < 300; i++) {
        char line[64];
        snprintf(line, sizeof line, "GET /v1/number/%u.", i);
        cr_assert_eq(ask(line, "", ""), 401);
    }
    cr_assert_eq(ask("GET /sandbox/requests", "", ""), 200);
    cr_expect(!says("/v1/number/43."));
    cr_expect(says("/v1/number/44."));
    cr_expect(says("/v1/number/299."));
}
