/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/forward.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/own.h"

static struct profile profile;

static void profile_make(void)
{
    profile = (struct profile){.credentials_caller = true, .idempotency_length_max = 255};
    snprintf(profile.idempotency_header, sizeof profile.idempotency_header, "PayPal-Request-Id");
}

TestSuite(forward, .init = profile_make);

/* What one header, with a key, becomes: "name=value\n". */
static const char *forwarded(const char *connection, const char *name, const char *value,
                             const char *key)
{
    static char text[1024];
    struct forward forward OWNED(forward_free);
    size_t used = 0;

    forward_begin(&forward);
    forward_add(&forward, &profile, connection, name, value);
    cr_assert(!failed(forward_end(&forward, &profile, key)));
    text[0] = '\0';
    for (const char *const *at = forward.headers; at[0] != NULL; at += 2)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s=%s\n", at[0], at[1]);
    return text;
}

#define OURS "accept-encoding=identity\n"

Test(forward, passes_what_an_sdk_says)
{
    static const char *const names[] = {
        "authorization", "content-type", "stripe-version", "user-agent",
        "traceparent",   "accept",       "x-custom",       NULL};
    for (unsigned i = 0; names[i] != NULL; i++) {
        char expected[128];
        snprintf(expected, sizeof expected, "%s=v\n" OURS, names[i]);
        cr_expect_str_eq(forwarded(NULL, names[i], "v", NULL), expected);
    }
}

Test(forward, keeps_back_framing_hops_addresses_cookies_and_ours)
{
    static const char *const names[] = {"host",
                                        "Content-Length",
                                        "transfer-encoding",
                                        "connection",
                                        "keep-alive",
                                        "te",
                                        "trailer",
                                        "upgrade",
                                        "expect",
                                        "Proxy-Authorization",
                                        "x-forwarded-for",
                                        "X-Forwarded-Proto",
                                        "forwarded",
                                        "via",
                                        "x-real-ip",
                                        "cookie",
                                        "cardkeep-dry-run",
                                        "Cardkeep-Anything",
                                        "accept-encoding",
                                        "idempotency-key",
                                        "paypal-request-id",
                                        NULL};
    for (unsigned i = 0; names[i] != NULL; i++)
        cr_expect_str_eq(forwarded(NULL, names[i], "v", NULL), OURS, "%s", names[i]);
}

Test(forward, keeps_back_what_the_connection_header_names)
{
    cr_assert_str_eq(forwarded("close, X-Hop", "x-hop", "v", NULL), OURS);
    cr_assert_str_eq(forwarded("close, X-Hop", "x-hopper", "v", NULL), "x-hopper=v\n" OURS);
}

Test(forward, keeps_back_credentials_unless_they_are_the_callers)
{
    profile.credentials_caller = false;
    cr_assert_str_eq(forwarded(NULL, "Authorization", "Bearer x", NULL), OURS);
}

Test(forward, sends_the_key_once_under_the_gateways_name)
{
    cr_assert_str_eq(forwarded(NULL, "idempotency-key", "k", "k"), "PayPal-Request-Id=k\n" OURS);
    profile.idempotency_header[0] = '\0';
    cr_assert_str_eq(forwarded(NULL, "idempotency-key", "k", "k"), OURS);
}

Test(forward, refuses_more_headers_than_it_holds)
{
    struct forward forward OWNED(forward_free);

    forward_begin(&forward);
    for (unsigned i = 0; i < FORWARD_HEADERS_MAX; i++)
        forward_add(&forward, &profile, NULL, "x-many", "v");
    cr_assert_eq(forward_end(&forward, &profile, NULL).why, WHY_LIMIT);
}

Test(forward, lets_a_gateway_say_nothing_in_our_name)
{
    static const char *const kept_back[] = {"cardkeep-outcome",
                                            "set-cookie",
                                            "transfer-encoding",
                                            "connection",
                                            "content-length",
                                            "server-timing",
                                            "strict-transport-security",
                                            "content-encoding",
                                            NULL};
    for (unsigned i = 0; kept_back[i] != NULL; i++)
        cr_expect(!forward_answer_passes(kept_back[i]), "%s", kept_back[i]);
    cr_assert(forward_answer_passes("content-type"));
    cr_assert(forward_answer_passes("stripe-should-retry"));
    cr_assert(forward_answer_passes("location"));
}
