/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/submission.h"

#include <criterion/criterion.h>

#include "tests/relay/stage.h"

TestSuite(submit, .init = stage_open, .fini = stage_close, .timeout = 60);

/* Asserts that nothing of the card came back (RLY-2). */
static void holds_no_card(const struct heard *heard)
{
    cr_assert_eq(strstr(heard->headers, PAN), NULL);
    cr_assert_eq(strstr(heard->body, PAN), NULL);
    cr_assert_eq(strstr(heard->body, "=737"), NULL);
}

static const char *last_outcome(void)
{
    run_for(100);
    cr_assert_gt(stage.settled_count, 0u, "nothing was settled");
    return stage.settled[stage.settled_count - 1];
}

Test(submit, sends_the_card_and_returns_the_answer_without_it)
{
    static const char *const headers[] = {"authorization", "Bearer sk_test", "cookie", "a=b", NULL};
    struct heard heard = ask("/sandbox/v1/payment_intents?x=%20y", headers, PAYMENT);

    cr_assert_eq(heard.status, 201, "%d: %s", heard.status, heard.body);
    cr_assert_str_eq(stage.gateway_body, PAYMENT_FILLED);
    cr_assert_neq(strstr(stage.gateway_headers, "authorization: Bearer sk_test\n"), NULL);
    cr_assert_eq(strstr(stage.gateway_headers, "cookie"), NULL);
    holds_no_card(&heard);
    cr_assert_neq(strstr(heard.body, "[number]=" TOKEN), NULL, "%s", heard.body);
    cr_assert(says(&heard, "x-number: card " TOKEN "\n"));
    cr_assert(says(&heard, "cardkeep-outcome: answered\n"), "%s", heard.headers);
    cr_assert(!says(&heard, "cardkeep-outcome: not_sent\n"), "the gateway's word for it");
    cr_assert(says(&heard, "cardkeep-safe-to-retry: false\n"));
    cr_assert(says(&heard, "cardkeep-submission: sub_"));
    cr_assert(says(&heard, "cardkeep-gateway-request-id: req_"));
    cr_assert(says(&heard, "server-timing: policy;dur="));
    cr_assert(!says(&heard, "cardkeep-failed"));
    cr_assert_str_eq(last_outcome(), "answered");
}

Test(submit, leases_for_the_caller_and_the_purpose_it_names)
{
    static const char *const headers[] = {"cardkeep-purpose", "refund", NULL};

    cr_assert_eq(ask("/sandbox/x", headers, PAYMENT).status, 201);
    cr_assert_neq(strstr(stage.lease_body, "\"on_behalf_of\":\"shop\""), NULL);
    cr_assert_neq(strstr(stage.lease_body, "\"purpose\":\"refund\""), NULL);
    cr_assert_neq(strstr(stage.lease_body, "\"tokens\":[\"" TOKEN "\"]"), NULL, "once each");
    cr_assert_neq(strstr(stage.lease_body, "\"cvv_tokens\":[\"" CVV "\"]"), NULL);
    cr_assert_eq(strstr(stage.gateway_headers, "cardkeep"), NULL);
}

Test(submit, forwards_without_a_lease_what_has_no_slots)
{
    struct heard heard = ask("/sandbox/v1/refunds", NULL, "payment_intent=pi_1");

    cr_assert_eq(heard.status, 201);
    cr_assert_str_eq(stage.gateway_body, "payment_intent=pi_1");
    cr_assert_eq(stage.lease_requests, 0u);
}

Test(submit, answers_a_repeat_with_the_stored_answer)
{
    static const char *const headers[] = {"idempotency-key", "order-1", NULL};
    struct heard first = ask("/sandbox/x", headers, PAYMENT);
    struct heard second = ask("/sandbox/x", headers, PAYMENT);

    cr_assert_eq(first.status, 201);
    cr_assert_eq(second.status, 201);
    cr_assert_str_eq(second.body, first.body);
    cr_assert(!says(&first, "idempotency-replayed"));
    cr_assert(says(&second, "idempotency-replayed: true\n"));
    cr_assert(says(&second, "cardkeep-outcome: answered\n"));
    cr_assert_eq(stage.gateway_calls, 1u);
    cr_assert_eq(stage.lease_requests, 1u);
    cr_assert_neq(strstr(stage.gateway_headers, "idempotency-key: order-1\n"), NULL, "%s",
                  stage.gateway_headers);
}

Test(submit, refuses_a_key_that_was_used_with_another_request)
{
    static const char *const headers[] = {"idempotency-key", "order-1", NULL};

    ask("/sandbox/x", headers, PAYMENT);
    static const char *const targets[] = {"/sandbox/y", "/sandbox/x?z"};
    for (unsigned i = 0; i < 2; i++) {
        struct heard other = ask(targets[i], headers, PAYMENT);
        cr_expect_eq(other.status, 409);
        cr_expect_neq(strstr(other.body, "\"idempotency_conflict\""), NULL);
    }
    cr_assert_eq(ask("/sandbox/x", headers, PAYMENT "&more=1").status, 409);
    cr_assert_eq(stage.gateway_calls, 1u);
}

Test(submit, gives_an_answer_back_to_its_own_account_only)
{
    static const char *const first[] = {
        "idempotency-key", "order-1", "authorization", "Bearer a", "stripe-account",
        "acct_1",          NULL};
    static const char *const same[] = {"stripe-account",
                                       "acct_1",
                                       "authorization",
                                       "Bearer a",
                                       "idempotency-key",
                                       "order-1",
                                       "user-agent",
                                       "x",
                                       NULL};
    static const char *const others[][7] = {
        {"idempotency-key", "order-1", "authorization", "Bearer b", "stripe-account", "acct_1"},
        {"idempotency-key", "order-1", "authorization", "Bearer a", "stripe-account", "acct_2"},
        {"idempotency-key", "order-1", "authorization", "Bearer a"},
        {"idempotency-key", "order-1"}};

    cr_assert_eq(ask("/sandbox/x", first, PAYMENT).status, 201);
    for (unsigned i = 0; i < 4; i++) {
        struct heard other = ask("/sandbox/x", others[i], PAYMENT);
        cr_expect_neq(strstr(other.body, "\"idempotency_conflict\""), NULL, "%u", i);
    }
    struct heard again = ask("/sandbox/x", same, PAYMENT);
    cr_assert(says(&again, "idempotency-replayed: true\n"));
    cr_assert_eq(stage.gateway_calls, 1u);
}

Test(submit, refuses_a_repeat_while_the_first_is_under_way)
{
    static const char *const headers[] = {"idempotency-key", "order-1", NULL};
    static struct heard first;

    stage.gateway_does = GATEWAY_WAITS;
    ask_later("/sandbox/x", headers, PAYMENT, &first);
    while (stage.gateway_waits == NULL)
        run_for(10);
    struct heard second = ask("/sandbox/x", headers, PAYMENT);
    cr_assert_eq(second.status, 409);
    cr_assert_neq(strstr(second.body, "\"state_conflict\""), NULL);
    cr_assert(says(&second, "retry-after: 1\n"));
    cr_assert(says(&second, "cardkeep-outcome: sent_no_answer\n"), "it may be");
    cr_assert(says(&second, "cardkeep-safe-to-retry: false\n"));
    cr_assert_neq(strstr(ask("/sandbox/y", headers, PAYMENT).body, "idempotency_conflict"), NULL);
    gateway_echo(stage.gateway_waits);
    while (!first.done)
        loop_run(stage.relay.loop);
    cr_assert_eq(first.status, 201);
    /* The one under way is named, so that what the two hear can be put together. */
    const char *id = strstr(first.headers, "cardkeep-submission: ");
    cr_assert_neq(id, NULL);
    cr_assert_eq(strncmp(strstr(second.headers, "cardkeep-submission: "), id, 40), 0);
}

Test(submit, carries_on_when_the_caller_leaves)
{
    static const char *const headers[] = {"idempotency-key", "order-1", NULL};
    static struct heard first;

    stage.gateway_does = GATEWAY_WAITS;
    struct client_op *op = ask_later("/sandbox/x", headers, PAYMENT, &first);
    while (stage.gateway_waits == NULL)
        run_for(10);
    client_cancel(&op);
    run_for(50);
    cr_assert_neq(stage.gateway_waits, NULL, "the gateway was not left alone");
    gateway_echo(stage.gateway_waits);
    cr_assert_str_eq(last_outcome(), "answered");
    struct heard again = ask("/sandbox/x", headers, PAYMENT);
    cr_assert(says(&again, "idempotency-replayed: true\n"));
}

Test(submit, is_in_doubt_when_the_gateway_hangs_up)
{
    static const char *const headers[] = {"idempotency-key", "order-1", NULL};

    stage.gateway_does = GATEWAY_HANGS_UP;
    struct heard heard = ask("/sandbox/x", headers, PAYMENT);
    cr_assert_eq(heard.status, 502);
    cr_assert_neq(strstr(heard.body, "\"gateway_unreachable\""), NULL);
    cr_assert_neq(strstr(heard.body, "may have been carried out"), NULL, "%s", heard.body);
    cr_assert(says(&heard, "cardkeep-outcome: sent_no_answer\n"));
    cr_assert(says(&heard, "cardkeep-safe-to-retry: false\n"));
    cr_assert(says(&heard, "cardkeep-failed: gateway\n"));
    cr_assert_str_eq(last_outcome(), "sent_no_answer");

    struct heard again = ask("/sandbox/x", headers, PAYMENT);
    cr_assert_eq(again.status, 409);
    cr_assert_neq(strstr(again.body, "\"in_doubt\""), NULL);
    cr_assert_eq(stage.gateway_calls, 1u, "one outbound call for a key, whatever happens");
}

Test(submit, counts_as_answered_what_is_no_answer_to_pass_on)
{
    static const enum gateway_does does[] = {GATEWAY_TALKS_NONSENSE, GATEWAY_ENCODES};
    static const char *const headers[][3] = {{"idempotency-key", "order-1"},
                                             {"idempotency-key", "order-2"}};
    for (unsigned i = 0; i < 2; i++) {
        stage.gateway_does = does[i];
        struct heard heard = ask("/sandbox/x", headers[i], PAYMENT);
        cr_expect_eq(heard.status, 502, "%u", i);
        cr_expect_neq(strstr(heard.body, "\"gateway_malformed\""), NULL);
        cr_expect(says(&heard, "cardkeep-outcome: answered\n"));
        cr_expect(says(&heard, "cardkeep-failed: gateway\n"));
        cr_expect_str_eq(last_outcome(), "answered");

        unsigned calls = stage.gateway_calls;
        struct heard again = ask("/sandbox/x", headers[i], PAYMENT);
        cr_expect_eq(again.status, 409, "%u", i);
        cr_expect_neq(strstr(again.body, "\"state_conflict\""), NULL);
        cr_expect(says(&again, "cardkeep-outcome: answered\n"), "as the first heard");
        cr_expect(says(&again, "cardkeep-safe-to-retry: false\n"));
        cr_expect_eq(stage.gateway_calls, calls, "%u", i);
    }
}

Test(submit, sends_nothing_when_the_gateway_is_not_there)
{
    static const char *const headers[] = {"idempotency-key", "order-1", NULL};

    http_server_free(&stage.gateway);
    struct heard heard = ask("/sandbox/x", headers, PAYMENT);
    cr_assert_eq(heard.status, 502);
    cr_assert(says(&heard, "cardkeep-outcome: not_sent\n"), "%s", heard.headers);
    cr_assert(says(&heard, "cardkeep-safe-to-retry: true\n"));
    cr_assert(says(&heard, "cardkeep-failed: network\n"));
    cr_assert_str_eq(last_outcome(), "not_sent");

    stage.gateway = listen_on(on_gateway_call, stage.tls, "stage", &stage.gateway_port);
    stage.settings->destinations[0].destination.port = stage.gateway_port;
    cr_assert_eq(ask("/sandbox/x", headers, PAYMENT).status, 201, "the key may be tried again");
}

Test(submit, sends_nothing_when_the_vault_refuses)
{
    stage.vault_does = VAULT_REFUSES;
    struct heard heard = ask("/sandbox/x", NULL, PAYMENT);

    cr_assert_eq(heard.status, 410);
    cr_assert_neq(strstr(heard.body, "\"cvv_consumed\""), NULL);
    cr_assert_neq(strstr(heard.body, "Ask again."), NULL);
    cr_assert(says(&heard, "cardkeep-outcome: not_sent\n"));
    cr_assert(says(&heard, "cardkeep-failed: vault\n"));
    cr_assert_eq(stage.gateway_calls, 0u);
}

Test(submit, sends_nothing_when_the_vault_is_of_no_help)
{
    stage.vault_does = VAULT_IS_SEALED;
    struct heard sealed = ask("/sandbox/x", NULL, PAYMENT);
    cr_assert_eq(sealed.status, 503);
    cr_assert_neq(strstr(sealed.body, "\"sealed\""), NULL);
    cr_assert(!lease_vault_is_well(stage.relay.desk));

    stage.vault_does = VAULT_TALKS_NONSENSE;
    struct heard nonsense = ask("/sandbox/x", NULL, PAYMENT);
    cr_assert_neq(strstr(nonsense.body, "\"vault_unavailable\""), NULL);

    http_server_free(&stage.vault);
    struct heard gone = ask("/sandbox/x", NULL, PAYMENT);
    cr_assert_eq(gone.status, 503);
    cr_assert_neq(strstr(gone.body, "\"vault_unavailable\""), NULL);
    cr_assert_eq(stage.gateway_calls, 0u);
}

Test(submit, calls_no_vault_well_that_it_did_not_hear_of_late)
{
    cr_assert(!lease_vault_is_well(stage.relay.desk), "nothing is known yet");
    lease_tick(stage.relay.desk);
    run_for(100);
    cr_assert(lease_vault_is_well(stage.relay.desk));
    stage.vault_does = VAULT_IS_SEALED;
    for (unsigned i = 0; i < 10; i++)
        lease_tick(stage.relay.desk);
    run_for(100);
    cr_assert(!lease_vault_is_well(stage.relay.desk));
}

Test(submit, settles_by_its_submission_a_lease_that_may_have_been_given)
{
    char body[96];
    char id[LEDGER_ID_MAX] = "";

    stage.vault_does = VAULT_LOSES_LEASES;
    struct heard heard = ask("/sandbox/x", NULL, PAYMENT);
    cr_assert_eq(heard.status, 503);
    cr_assert(says(&heard, "cardkeep-outcome: not_sent\n"));
    cr_assert_str_eq(last_outcome(), "not_sent");
    const char *at = strstr(heard.headers, "cardkeep-submission: ");
    cr_assert_neq(at, NULL);
    cr_assert_eq(sscanf(at, "cardkeep-submission: %31s", id), 1);
    snprintf(body, sizeof body, "{\"settlements\":[{\"submission_id\":\"%s\",\"outcome\":", id);
    cr_assert_neq(strstr(stage.settle_body, body), NULL, "%s", stage.settle_body);
    cr_assert_eq(stage.gateway_calls, 0u);
}

Test(submit, settles_nothing_where_a_lease_was_refused)
{
    stage.vault_does = VAULT_REFUSES;
    cr_assert_eq(ask("/sandbox/x", NULL, PAYMENT).status, 410);
    run_for(100);
    cr_assert_eq(stage.settled_count, 0u);
}

Test(submit, settles_later_what_the_vault_could_not_take)
{
    stage.gateway_does = GATEWAY_WAITS;
    static struct heard heard;

    ask_later("/sandbox/x", NULL, PAYMENT, &heard);
    while (stage.gateway_waits == NULL)
        run_for(10);
    stage.vault_does = VAULT_IS_SEALED;
    gateway_echo(stage.gateway_waits);
    while (!heard.done)
        loop_run(stage.relay.loop);
    run_for(100);
    cr_assert_eq(stage.settled_count, 0u);
    cr_assert_eq(lease_waiting(stage.relay.desk), 1u);

    stage.vault_does = VAULT_LEASES;
    lease_tick(stage.relay.desk);
    cr_assert_str_eq(last_outcome(), "answered");
    cr_assert_eq(lease_waiting(stage.relay.desk), 0u);
}

Test(submit, leases_together_what_waits_together)
{
    static struct heard heard[8];

    for (unsigned i = 0; i < 8; i++)
        ask_later("/sandbox/x", NULL, PAYMENT, &heard[i]);
    for (unsigned i = 0; i < 8; i++)
        while (!heard[i].done)
            loop_run(stage.relay.loop);
    cr_assert_eq(stage.leases, 8u);
    cr_assert_eq(stage.gateway_calls, 8u);
    cr_assert_leq(stage.lease_requests, 8u);
    run_for(100);
    cr_assert_eq(stage.settled_count, 8u);
}
