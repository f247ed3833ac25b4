/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/answer.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/own.h"

#define PAN "4242424242424242" /* A published test number. */

static struct secret *number;
static struct scrub guard;

static void guard_make(void)
{
    cr_assert(!failed(secret_pool_open(2)));
    cr_assert(!failed(secret_new(strlen(PAN), &number)));
    memcpy(secret_bytes(number), PAN, strlen(PAN));
    guard = (struct scrub){
        .values = {{.kind = SCRUB_NUMBER, .value = number, .token = "tok_test_a"}}, .count = 1};
}

static void guard_free(void)
{
    secret_free(&number);
    secret_pool_close();
}

TestSuite(answer, .init = guard_make, .fini = guard_free);

/* One header that a test may choose, behind a content type, and a body. */
static struct status encode(const char *name, const char *value, const char *body,
                            struct buffer *out, unsigned *hits)
{
    char names[2][64] = {"content-type"};
    char values[2][256] = {"application/json"};
    char bytes[256];
    snprintf(names[1], sizeof names[1], "%s", name);
    snprintf(values[1], sizeof values[1], "%s", value);
    snprintf(bytes, sizeof bytes, "%s", body);
    struct client_header headers[] = {{names[0], values[0]}, {names[1], values[1]}};
    struct client_answer answer = {.status = 402,
                                   .headers = headers,
                                   .header_count = 2,
                                   .body = (uint8_t *)bytes,
                                   .body_size = strlen(bytes)};
    return answer_encode(&answer, &guard, out, hits);
}

Test(answer, comes_back_as_the_gateway_gave_it)
{
    struct buffer out OWNED(buffer_free) = BUFFER(ANSWER_BYTES_MAX);
    struct answer_view view;
    unsigned hits = 9;

    cr_assert(!failed(encode("x-kept", "yes", "{\"a\":1}", &out, &hits)));
    cr_assert_eq(hits, 0u);
    cr_assert(!failed(answer_decode(out.bytes, out.size, &view)));
    cr_assert_eq(view.status, 402);
    cr_assert_str_eq(view.content_type, "application/json");
    cr_assert_str_eq(view.headers[0], "x-kept");
    cr_assert_str_eq(view.headers[1], "yes");
    cr_assert_eq(view.headers[2], NULL);
    cr_assert_eq(view.body_size, 7u);
    cr_assert_arr_eq(view.body, "{\"a\":1}", 7);
}

Test(answer, holds_no_inserted_number_in_body_header_or_name)
{
    struct buffer out OWNED(buffer_free) = BUFFER(ANSWER_BYTES_MAX);
    struct answer_view view;
    unsigned hits = 0;

    cr_assert(!failed(
        encode("location", "https://x.test/?n=" PAN, "{\"number\":\"" PAN "\"}", &out, &hits)));
    cr_assert_eq(hits, 2u);
    cr_assert_eq(memmem(out.bytes, out.size, PAN, strlen(PAN)), NULL);
    cr_assert(!failed(answer_decode(out.bytes, out.size, &view)));
    cr_assert_str_eq(view.headers[1], "https://x.test/?n=tok_test_a");

    buffer_clear(&out);
    cr_assert(!failed(encode("x-" PAN, "v", "", &out, &hits)));
    cr_assert(!failed(answer_decode(out.bytes, out.size, &view)));
    cr_assert_eq(view.headers[0], NULL, "a name that held a number is dropped");
    cr_assert_eq(memmem(out.bytes, out.size, PAN, strlen(PAN)), NULL);
}

Test(answer, is_refused_when_the_guard_cannot_see_through_it)
{
    struct buffer out OWNED(buffer_free) = BUFFER(ANSWER_BYTES_MAX);
    unsigned hits = 0;

    cr_assert_eq(encode("content-encoding", "gzip", "x", &out, &hits).why, WHY_BAD_INPUT);
    cr_assert(!failed(encode("content-encoding", "Identity", "x", &out, &hits)));
}

Test(answer, is_refused_when_it_does_not_fit)
{
    struct buffer out OWNED(buffer_free) = BUFFER(16);
    unsigned hits = 0;

    cr_assert_eq(encode("x-a", "b", "a body", &out, &hits).why, WHY_LIMIT);
}

Test(answer, keeps_the_gateways_request_id_apart_from_ours)
{
    struct buffer out OWNED(buffer_free) = BUFFER(ANSWER_BYTES_MAX);
    struct answer_view view;
    unsigned hits = 0;

    cr_assert(!failed(encode("request-id", "req_theirs", "", &out, &hits)));
    cr_assert(!failed(answer_decode(out.bytes, out.size, &view)));
    cr_assert_str_eq(view.headers[0], "cardkeep-gateway-request-id");
}

Test(answer, is_not_decoded_when_cut_short_or_of_another_kind)
{
    struct buffer out OWNED(buffer_free) = BUFFER(ANSWER_BYTES_MAX);
    struct answer_view view;
    unsigned hits = 0;

    cr_assert(!failed(encode("x-kept", "yes", "body", &out, &hits)));
    for (size_t size = 0; size < out.size; size++)
        cr_expect_eq(answer_decode(out.bytes, size, &view).why, WHY_FORGED, "%zu bytes", size);
    out.bytes[0] ^= 1;
    cr_assert_eq(answer_decode(out.bytes, out.size, &view).why, WHY_FORGED);
}

/* The value that a line of this name has; NULL when there is none. */
static const char *line(const struct answer_lines *lines, const char *name)
{
    for (unsigned i = 0; lines->list[i] != NULL; i += 2)
        if (strcmp(lines->list[i], name) == 0)
            return lines->list[i + 1];
    return NULL;
}

Test(answer, states_its_outcome)
{
    struct answer_lines lines;
    struct answer_outcome outcome = {.submission_id = "sub_1",
                                     .outcome = LEDGER_SENT_NO_ANSWER,
                                     .failed = ANSWER_FAILED_NETWORK,
                                     .gateway_us = 1500};

    answer_lines(&outcome, &lines);
    cr_assert_str_eq(line(&lines, "cardkeep-submission"), "sub_1");
    cr_assert_str_eq(line(&lines, "cardkeep-outcome"), "sent_no_answer");
    cr_assert_str_eq(line(&lines, "cardkeep-safe-to-retry"), "false");
    cr_assert_str_eq(line(&lines, "cardkeep-failed"), "network");
    cr_assert_neq(strstr(line(&lines, "server-timing"), "gateway;dur=1.500"), NULL);
    cr_assert_eq(line(&lines, "idempotency-replayed"), NULL);
    cr_assert_eq(line(&lines, "retry-after"), NULL);
}

Test(answer, has_room_for_everything_there_is_to_say)
{
    struct answer_lines lines;
    struct answer_outcome outcome = {.submission_id = "sub_1",
                                     .outcome = LEDGER_ANSWERED,
                                     .safe_to_retry = true,
                                     .failed = ANSWER_FAILED_GATEWAY,
                                     .replayed = true,
                                     .retry_after_s = 1,
                                     .policy_us = INT64_MAX,
                                     .lease_us = INT64_MAX,
                                     .gateway_us = INT64_MAX,
                                     .relay_us = INT64_MAX};

    answer_lines(&outcome, &lines);
    cr_assert_str_eq(line(&lines, "idempotency-replayed"), "true");
    cr_assert_str_eq(line(&lines, "retry-after"), "1");
    cr_assert_str_eq(line(&lines, "cardkeep-outcome"), "answered");
}
