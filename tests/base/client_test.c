/* SPDX-License-Identifier: Apache-2.0 */
#include "base/client.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "tests/base/client_server.h"

TestSuite(client, .init = server_start, .fini = server_stop, .timeout = 20);

/* What an answer was, kept beyond its callback. */
struct kept {
    unsigned count;
    enum client_result result;
    enum client_trouble trouble;
    int status;
    unsigned header_count;
    char headers[2048]; /* "name=value\n" */
    char body[16384];
    size_t body_size;
    int64_t duration_us;
    struct loop *loop;
    unsigned stop_at;
};

static void keep(void *owner, struct client_answer *answer)
{
    struct kept *kept = owner;

    kept->count++;
    kept->result = answer->result;
    kept->trouble = answer->trouble;
    kept->status = answer->status;
    kept->header_count = answer->header_count;
    kept->headers[0] = '\0';
    for (unsigned i = 0; i < answer->header_count; i++) {
        size_t used = strlen(kept->headers);
        snprintf(kept->headers + used, sizeof kept->headers - used, "%s=%s\n",
                 answer->headers[i].name, answer->headers[i].value);
    }
    kept->body_size = answer->body_size;
    memset(kept->body, 0, sizeof kept->body);
    if (answer->body_size > 0)
        memcpy(kept->body, answer->body, answer->body_size);
    kept->duration_us = answer->duration_us;
    if (kept->loop != NULL && kept->count == kept->stop_at)
        loop_stop(kept->loop);
}

static struct client_request request_to(const char *method, const char *target)
{
    return (struct client_request){.method = method,
                                   .host = HOST,
                                   .port = server.port,
                                   .target = target,
                                   .addresses = "127.0.0.1",
                                   .authorities = server.certificate,
                                   .connect_ms = 2000,
                                   .total_ms = 5000,
                                   .answer_bytes_max = 12000};
}

static struct kept fetch(const struct client_request *request)
{
    struct kept kept = {0};
    cr_assert(!failed(client_fetch(request, keep, &kept)));
    cr_assert_eq(kept.count, 1u);
    return kept;
}

static struct kept fetch_path(const char *target)
{
    struct client_request request = request_to("GET", target);
    return fetch(&request);
}

Test(client, gives_status_headers_in_lower_case_and_body)
{
    struct kept kept = fetch_path("/hello");

    cr_assert_eq(kept.result, CLIENT_ANSWERED);
    cr_assert_eq(kept.trouble, CLIENT_TROUBLE_NONE);
    cr_assert_eq(kept.status, 201);
    cr_assert_str_eq(kept.headers, "x-one=a\nx-empty=\ncontent-length=5\n");
    cr_assert_str_eq(kept.body, "hello");
    cr_assert_gt(kept.duration_us, 0);
}

Test(client, sends_what_it_was_given_and_nothing_of_its_own)
{
    static const char *const headers[] = {"X-Mine", "yes", "X-Empty", "", NULL};
    struct client_request request = request_to("POST", "/a/../b?c=%20d");
    request.headers = headers;
    request.body = "a=1";
    request.body_size = 3;
    struct kept kept = fetch(&request);
    char expected[256];

    snprintf(expected, sizeof expected,
             "POST /a/../b?c=%%20d HTTP/1.1\r\nHost: " HOST ":%u\r\nX-Mine: yes\r\nX-Empty:\r\n"
             "Content-Length: 3\r\n\r\na=1",
             (unsigned)server.port);
    cr_assert_eq(kept.result, CLIENT_ANSWERED);
    cr_assert_str_eq(kept.body, expected);
}

Test(client, sends_a_post_without_body_with_length_zero)
{
    struct client_request request = request_to("POST", "/echo");
    struct kept kept = fetch(&request);

    cr_assert_neq(strstr(kept.body, "Content-Length: 0\r\n\r\n"), NULL);
}

Test(client, sends_any_method_by_its_name)
{
    struct client_request request = request_to("DELETE", "/echo");
    struct kept kept = fetch(&request);

    cr_assert_eq(strncmp(kept.body, "DELETE /echo HTTP/1.1\r\n", 23), 0);
    cr_assert_eq(strcasestr(kept.body, "content-length"), NULL);
}

Test(client, asks_the_environment_for_no_proxy)
{
    setenv("https_proxy", "http://127.0.0.1:1", 1);
    setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
    cr_assert_eq(fetch_path("/hello").result, CLIENT_ANSWERED);
}

Test(client, follows_no_redirect)
{
    struct kept kept = fetch_path("/redirect");

    cr_assert_eq(kept.status, 302);
    cr_assert_eq(server.requests, 1u);
}

Test(client, forgets_early_hints_and_trailers)
{
    struct kept early = fetch_path("/hints");
    cr_assert_eq(early.status, 204);
    cr_assert_str_eq(early.headers, "x-late=1\n");

    struct kept late = fetch_path("/trailer");
    cr_assert_str_eq(late.body, "hello");
    cr_assert_eq(late.header_count, 1u);
}

Test(client, says_no_answer_when_the_peer_closes_after_the_request)
{
    struct kept kept = fetch_path("/close");

    cr_assert_eq(kept.result, CLIENT_NO_ANSWER);
    cr_assert_eq(kept.trouble, CLIENT_TROUBLE_CLOSED);
}

Test(client, says_no_answer_when_the_body_is_cut_short)
{
    cr_assert_eq(fetch_path("/partial").result, CLIENT_NO_ANSWER);
    cr_assert_eq(fetch_path("/partial").trouble, CLIENT_TROUBLE_CLOSED);
    cr_assert_eq(fetch_path("/shortchunk").result, CLIENT_NO_ANSWER);
}

Test(client, says_malformed_when_what_came_is_not_http)
{
    static const char *const paths[] = {"/garbage", "/badchunk", "/nocolon", NULL};
    for (unsigned i = 0; paths[i] != NULL; i++) {
        struct kept kept = fetch_path(paths[i]);
        cr_expect_eq(kept.result, CLIENT_MALFORMED, "%s: %d", paths[i], (int)kept.result);
        cr_expect_eq(kept.trouble, CLIENT_TROUBLE_PROTOCOL);
    }
}

Test(client, says_malformed_when_two_readers_could_see_two_ends)
{
    static const char *const paths[] = {"/lengths", "/list",  "/both",  "/encodings",
                                        "/huge",    "/large", "/http2", NULL};
    for (unsigned i = 0; paths[i] != NULL; i++) {
        struct kept kept = fetch_path(paths[i]);
        cr_expect_eq(kept.result, CLIENT_MALFORMED, "%s: %d", paths[i], (int)kept.result);
    }
    struct kept same = fetch_path("/same");
    cr_expect_eq(same.result, CLIENT_ANSWERED);
    cr_expect_str_eq(same.body, "{}");
}

Test(client, says_no_answer_when_the_head_is_cut_short)
{
    cr_assert_eq(fetch_path("/cuthead").result, CLIENT_NO_ANSWER);
    cr_assert_eq(fetch_path("/cuthead").trouble, CLIENT_TROUBLE_CLOSED);
}

/* Whoever passes the value on would give its reader two lines. */
Test(client, takes_no_value_that_another_reader_could_end_before_its_end)
{
    cr_assert_eq(fetch_path("/return").result, CLIENT_MALFORMED);
}

Test(client, gives_names_that_no_blank_hides_from_a_list)
{
    struct kept kept = fetch_path("/blank");
    cr_assert_eq(kept.result, CLIENT_ANSWERED);
    cr_assert_str_eq(kept.headers, "x-blank=a\ncontent-length=0\n");
    cr_assert_eq(fetch_path("/oddname").result, CLIENT_MALFORMED);
}

Test(client, says_malformed_when_the_body_passes_its_bound)
{
    struct client_request request = request_to("GET", "/hello");
    request.answer_bytes_max = 4;
    cr_assert_eq(fetch(&request).result, CLIENT_MALFORMED);
    request.answer_bytes_max = 5;
    cr_assert_eq(fetch(&request).result, CLIENT_ANSWERED);
}

Test(client, gives_up_at_its_total_deadline_whatever_trickles)
{
    static const char *const paths[] = {"/silent", "/trickle", NULL};
    for (unsigned i = 0; paths[i] != NULL; i++) {
        struct client_request request = request_to("POST", paths[i]);
        request.total_ms = 200;
        struct kept kept = fetch(&request);
        cr_expect_eq(kept.result, CLIENT_NO_ANSWER);
        cr_expect_eq(kept.trouble, CLIENT_TROUBLE_TIMEOUT);
        cr_expect_lt(kept.duration_us, 900 * 1000);
    }
}

Test(client, says_not_sent_when_nobody_listens)
{
    struct client_request request = request_to("POST", "/echo");
    request.addresses = "127.0.0.2";
    request.port = 1;
    struct kept kept = fetch(&request);

    cr_assert_eq(kept.result, CLIENT_NOT_SENT);
    cr_assert_eq(kept.trouble, CLIENT_TROUBLE_UNREACHABLE);
}

Test(client, sends_nothing_to_a_certificate_of_another_authority)
{
    struct client_request request = request_to("POST", "/echo");
    request.authorities = server.other;
    struct kept kept = fetch(&request);

    cr_assert_eq(kept.result, CLIENT_NOT_SENT);
    cr_assert_eq(kept.trouble, CLIENT_TROUBLE_TLS);
    cr_assert_eq(server.requests, 0u);
}

Test(client, sends_nothing_to_a_certificate_of_another_name)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    for (unsigned i = 0; i < 2; i++) {
        SSL_CTX_set_max_proto_version(server.context, versions[i]);
        struct client_request request = request_to("POST", "/echo");
        request.host = "other.test";
        struct kept kept = fetch(&request);
        cr_expect_eq(kept.result, CLIENT_NOT_SENT);
        cr_expect_eq(kept.trouble, CLIENT_TROUBLE_TLS);
    }
    cr_assert_eq(server.requests, 0u);
}

Test(client, sends_nothing_over_an_older_tls_than_asked_for)
{
    SSL_CTX_set_max_proto_version(server.context, TLS1_2_VERSION);
    struct client_request request = request_to("POST", "/echo");
    cr_assert_eq(fetch(&request).result, CLIENT_ANSWERED);
    request.tls13_only = true;
    cr_assert_eq(fetch(&request).result, CLIENT_NOT_SENT);
    cr_assert_eq(server.requests, 1u);
}

Test(client, sends_nothing_to_a_key_that_is_not_pinned)
{
    struct client_request request = request_to("POST", "/echo");
    request.pins = "sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    struct kept kept = fetch(&request);

    cr_assert_eq(kept.result, CLIENT_NOT_SENT);
    cr_assert_eq(kept.trouble, CLIENT_TROUBLE_TLS);
    cr_assert_eq(server.requests, 0u);
}

Test(client, refuses_texts_that_could_break_the_framing)
{
    static const char *const bad_headers[][3] = {
        {"X-A", "b\r\nX-C: d", NULL},
        {"X-A: b\r\nX", "c", NULL},
        {"X A", "b", NULL},
        {"Content-Length", "5", NULL},
        {"transfer-encoding", "chunked", NULL},
        {"Host", "elsewhere", NULL},
        {"", "x", NULL},
    };
    struct kept kept = {0};
    for (size_t i = 0; i < sizeof bad_headers / sizeof bad_headers[0]; i++) {
        struct client_request request = request_to("GET", "/hello");
        request.headers = bad_headers[i];
        cr_expect_eq(client_fetch(&request, keep, &kept).why, WHY_BAD_INPUT, "header %zu", i);
    }
    static const char *const bad_targets[] = {"hello", "/a b", "/a\r\nb", "/a#b", "", NULL};
    for (unsigned i = 0; bad_targets[i] != NULL; i++) {
        struct client_request request = request_to("GET", bad_targets[i]);
        cr_expect_eq(client_fetch(&request, keep, &kept).why, WHY_BAD_INPUT, "target %u", i);
    }
    static const char *const bad_hosts[] = {"user@host", "host/path", "ho st", "host?", NULL};
    for (unsigned i = 0; bad_hosts[i] != NULL; i++) {
        struct client_request request = request_to("GET", "/hello");
        request.host = bad_hosts[i];
        cr_expect_eq(client_fetch(&request, keep, &kept).why, WHY_BAD_INPUT, "host %u", i);
    }
    cr_assert_eq(kept.count, 0u);
    cr_assert_eq(server.connections, 0u);
}

/* Runs one request after another over one client, so that its connection is used again. */
static struct kept run(struct client *client, struct loop *loop, const char *target)
{
    struct kept kept = {.loop = loop, .stop_at = 1};
    struct client_op *op = NULL;
    struct client_request request = request_to("POST", target);

    cr_assert(!failed(client_start(client, &request, keep, &kept, &op)));
    cr_assert_eq(kept.count, 0u, "not from inside client_start()");
    loop_run(loop);
    cr_assert_eq(kept.count, 1u);
    return kept;
}

Test(client, uses_a_connection_again)
{
    OWNED(loop_free) struct loop *loop = NULL;
    OWNED(client_free) struct client *client = NULL;
    cr_assert(!failed(loop_new(&loop)));
    cr_assert(!failed(client_new(loop, 4, 4, &client)));

    for (unsigned i = 0; i < 5; i++)
        cr_assert_eq(run(client, loop, "/echo").status, 200);
    cr_assert_eq(server.connections, 1u);
    cr_assert_eq(server.requests, 5u);
}

Test(client, takes_no_answer_that_came_before_its_request)
{
    static const char *const targets[] = {"/more", "/exact"};
    OWNED(loop_free) struct loop *loop = NULL;
    OWNED(client_free) struct client *client = NULL;
    cr_assert(!failed(loop_new(&loop)));
    cr_assert(!failed(client_new(loop, 4, 4, &client)));

    for (unsigned i = 0; i < 2; i++) {
        cr_assert_eq(run(client, loop, targets[i]).result, CLIENT_ANSWERED);
        poll(NULL, 0, 50); /* Until the rest of it is there. */
        struct kept kept = run(client, loop, "/echo");
        cr_expect_eq(strstr(kept.headers, "x-stale"), NULL, "%s", targets[i]);
        cr_expect_eq(strncmp(kept.body, "POST /echo", 10), 0, "%s: %s", targets[i], kept.body);
    }
}

Test(client, never_sends_again_what_died_on_a_used_connection)
{
    OWNED(loop_free) struct loop *loop = NULL;
    OWNED(client_free) struct client *client = NULL;
    cr_assert(!failed(loop_new(&loop)));
    cr_assert(!failed(client_new(loop, 4, 4, &client)));

    cr_assert_eq(run(client, loop, "/echo").result, CLIENT_ANSWERED);
    struct kept kept = run(client, loop, "/close");
    cr_assert_eq(kept.result, CLIENT_NO_ANSWER);
    cr_assert_eq(server.requests, 2u, "a client that means well would send it a second time");
    cr_assert_eq(server.connections, 1u);
}

Test(client, carries_many_at_once_within_its_connections)
{
    OWNED(loop_free) struct loop *loop = NULL;
    OWNED(client_free) struct client *client = NULL;
    struct kept kept = {.stop_at = 16};
    cr_assert(!failed(loop_new(&loop)));
    cr_assert(!failed(client_new(loop, 1, 1, &client)));
    kept.loop = loop;

    struct client_request request = request_to("POST", "/echo");
    for (unsigned i = 0; i < 16; i++) {
        struct client_op *op = NULL;
        cr_assert(!failed(client_start(client, &request, keep, &kept, &op)));
    }
    loop_run(loop);
    cr_assert_eq(kept.count, 16u);
    cr_assert_eq(server.requests, 16u);
    cr_assert_eq(server.connections, 1u);
}

static void stop(void *loop)
{
    loop_stop(loop);
}

Test(client, says_nothing_once_cancelled)
{
    OWNED(loop_free) struct loop *loop = NULL;
    OWNED(client_free) struct client *client = NULL;
    struct kept kept = {0};
    struct client_op *op = NULL;
    struct loop_timer *timer = NULL;
    cr_assert(!failed(loop_new(&loop)));
    cr_assert(!failed(client_new(loop, 4, 4, &client)));

    struct client_request request = request_to("POST", "/echo");
    cr_assert(!failed(client_start(client, &request, keep, &kept, &op)));
    client_cancel(&op);
    cr_assert_eq(op, NULL);
    cr_assert(!failed(client_start(client, &request, keep, &kept, &op)));
    cr_assert(!failed(loop_timer(loop, 1, stop, loop, &timer)));
    loop_run(loop);
    client_free(&client); /* With the second one under way. */
    cr_assert_leq(kept.count, 1u);
    unsigned before = kept.count;
    cr_assert(!failed(loop_timer(loop, 50, stop, loop, &timer)));
    loop_run(loop);
    cr_assert_eq(kept.count, before);
}
