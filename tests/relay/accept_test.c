/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/accept.h"

#include <criterion/criterion.h>

#include "tests/relay/stage.h"

TestSuite(accept, .init = stage_open, .fini = stage_close, .timeout = 60);

/* The newest entry of the log. */
static const char *last_entry(void)
{
    static struct buffer entry;

    ledger_stop(stage.relay.ledger); /* So that the writer's thread is not beside us. */
    struct audit_log *log = ledger_log(stage.relay.ledger);
    cr_assert_gt(audit_log_size(log), 0u);
    buffer_free(&entry);
    entry = BUFFER(AUDIT_ENTRY_BYTES_MAX);
    cr_assert(!failed(audit_log_entry(log, audit_log_size(log) - 1, &entry)));
    cr_assert(!failed(ledger_start(stage.relay.ledger, stage.relay.loop, 64)));
    return buffer_text(&entry);
}

static void refuses(const struct heard *heard, int status, const char *code)
{
    char quoted[64];

    snprintf(quoted, sizeof quoted, "\"%s\"", code);
    cr_expect_eq(heard->status, status, "%s: %d %s", code, heard->status, heard->body);
    cr_expect_neq(strstr(heard->body, quoted), NULL, "%s: %s", code, heard->body);
    cr_expect(says(heard, "cardkeep-outcome: not_sent\n"));
    cr_expect_eq(stage.gateway_calls, 0u);
    cr_expect_eq(stage.lease_requests, 0u);
    const char *entry = last_entry();
    cr_expect_neq(strstr(entry, quoted), NULL, "on record: %s", entry);
}

Test(accept, refuses_and_records_a_caller_that_it_does_not_know)
{
    stage.app = pki_issue(
        stage.pki, &(struct pki_subject){.name = "who", .alt = "URI:urn:who", .client = true});
    struct heard heard = ask("/sandbox/x", NULL, PAYMENT);

    refuses(&heard, 401, "unknown_principal");
    cr_assert(says(&heard, "cardkeep-failed: policy\n"));
    cr_assert_neq(strstr(last_entry(), "\"auth.fail\""), NULL);
}

Test(accept, refuses_a_destination_that_the_policy_does_not_grant)
{
    struct heard heard = ask("/other/x", NULL, PAYMENT);

    refuses(&heard, 403, "denied");
    cr_assert_neq(strstr(last_entry(), "\"policy.deny\""), NULL);
    cr_assert_neq(strstr(last_entry(), "\"shop\""), NULL);
}

Test(accept, is_busy_where_as_many_are_under_way_as_may_be)
{
    stage.relay.submission_max = 0;
    struct heard heard = ask("/sandbox/x", NULL, PAYMENT);

    cr_expect_eq(heard.status, 503);
    cr_expect_not_null(strstr(heard.body, "\"code\":\"busy\""));
    cr_expect(says(&heard, "cardkeep-safe-to-retry: true\n"));
    stage.relay.submission_max = 1;
    heard = ask("/sandbox/x", NULL, PAYMENT);
    cr_expect_eq(heard.status, 201, "the gateway answers");
}

Test(accept, refuses_a_destination_that_there_is_not)
{
    static const char *const targets[] = {"/nowhere/x", "/", "/sandbo/x", "/sandboxx/x",
                                          "/%73andbox/x"};
    for (unsigned i = 0; i < sizeof targets / sizeof targets[0]; i++) {
        struct heard heard = ask(targets[i], NULL, PAYMENT);
        refuses(&heard, 422, "unknown_destination");
    }
}

Test(accept, refuses_headers_of_ours_that_it_does_not_understand)
{
    static const char *const cases[][5] = {
        {"cardkeep-dryrun", "true", NULL},       {"cardkeep-dry-run", "yes", NULL},
        {"cardkeep-anything", "x", NULL},        {"cardkeep-purpose", "", NULL},
        {"cardkeep-purpose", "card " PAN, NULL}, {"cardkeep-on-behalf-of", PAN, NULL},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct heard heard = ask("/sandbox/x", cases[i], PAYMENT);
        refuses(&heard, 400, "invalid_header");
    }
    static const char *const twice[] = {"cardkeep-dry-run", "true", "cardkeep-dry-run", "true",
                                        NULL};
    cr_assert_eq(ask("/sandbox/x", twice, PAYMENT).status, 400);
    cr_assert_eq(stage.gateway_calls, 0u);
}

Test(accept, keeps_no_card_in_its_store_that_a_request_id_held)
{
    static const char *const headers[] = {"request-id", PAN, NULL};
    char command[256];

    cr_assert_eq(ask("/sandbox/x", headers, PAYMENT).status, 201);
    snprintf(command, sizeof command, "grep -rqa " PAN " %s/data", stage.folder);
    cr_assert_neq(system(command), 0);
    snprintf(command, sizeof command, "grep -rqa " TOKEN " %s/data", stage.folder);
    cr_assert_eq(system(command), 0, "what is looked for is there");
}

Test(accept, refuses_an_idempotency_key_that_the_gateway_would_not_take)
{
    char key[300];
    const char *headers[] = {"idempotency-key", key, NULL};

    memset(key, 'k', sizeof key);
    key[256] = '\0';
    struct heard heard = ask("/sandbox/x", headers, PAYMENT);
    refuses(&heard, 400, "invalid_header");
    key[255] = '\0';
    cr_assert_eq(ask("/sandbox/x", headers, PAYMENT).status, 201);
}

Test(accept, refuses_cards_and_tokens_where_they_must_not_stand)
{
    struct heard raw = ask("/sandbox/x", NULL, "payment_method_data[card][number]=" PAN);
    refuses(&raw, 422, "card_in_free_text");
    cr_assert_eq(strstr(raw.body, PAN), NULL, "no part of an error repeats input");
    struct heard outside = ask("/sandbox/x", NULL, "description=" TOKEN);
    refuses(&outside, 422, "token_outside_slot");
    struct heard in_target = ask("/sandbox/x?t=" TOKEN, NULL, "a=1");
    refuses(&in_target, 422, "token_outside_slot");
}

Test(accept, shows_in_a_dry_run_what_would_be_sent_and_sends_nothing)
{
    static const char *const headers[] = {
        "cardkeep-dry-run", "true", "authorization", "Bearer sk_test", "x-mine", "yes", NULL};
    struct heard heard = ask("/sandbox/v1/x", headers, PAYMENT);

    cr_assert_eq(heard.status, 200, "%s", heard.body);
    cr_assert_neq(strstr(heard.body, "\"rule\":\"shops\""), NULL, "%s", heard.body);
    cr_assert_neq(strstr(heard.body, "\"target\":\"/v1/x\""), NULL);
    cr_assert_neq(strstr(heard.body, "[number]=" TOKEN), NULL);
    cr_assert_neq(strstr(heard.body, "\"field\":\"cvv\""), NULL);
    cr_assert_eq(strstr(heard.body, "sk_test"), NULL, "no credential is shown");
    cr_assert(says(&heard, "cardkeep-outcome: not_sent\n"));
    cr_assert_eq(stage.gateway_calls, 0u);
    cr_assert_eq(stage.lease_requests, 0u);
}

Test(accept, leaves_the_audit_log_to_auditors)
{
    struct client_op *op = NULL;
    static struct heard heard;
    struct pki_files auditor = pki_issue(
        stage.pki, &(struct pki_subject){.name = "aud", .alt = "URI:urn:auditor", .client = true});
    struct client_request request = {.method = "GET",
                                     .host = "localhost",
                                     .port = stage.port,
                                     .target = "/v1/audit/entries?start=0&limit=10",
                                     .addresses = "127.0.0.1",
                                     .authorities = pki_authority(stage.pki),
                                     .certificate = stage.app.certificate,
                                     .key = stage.app.key,
                                     .connect_ms = 2000,
                                     .total_ms = 10000,
                                     .answer_bytes_max = 16000};

    cr_assert_eq(ask("/sandbox/x", NULL, PAYMENT).status, 201);
    cr_assert(!failed(client_start(stage.client, &request, on_heard, &heard, &op)));
    while (!heard.done)
        loop_run(stage.relay.loop);
    cr_assert_eq(heard.status, 403, "%s", heard.body);

    heard = (struct heard){0};
    request.certificate = auditor.certificate;
    request.key = auditor.key;
    cr_assert(!failed(client_start(stage.client, &request, on_heard, &heard, &op)));
    while (!heard.done)
        loop_run(stage.relay.loop);
    cr_assert_eq(heard.status, 200, "%s", heard.body);
    cr_assert_neq(strstr(heard.body, "card.submit"), NULL, "%s", heard.body);
    cr_assert_neq(strstr(heard.body, "card.outcome"), NULL);
    cr_assert_neq(strstr(heard.body, "policy.deny"), NULL, "also who was kept out");
    cr_assert_neq(strstr(heard.body, "\"size\":3,"), NULL, "%s", heard.body);
    cr_assert_neq(strstr(last_entry(), "\"audit.read\""), NULL, "reading is an entry");
}
