/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "relay/profile.h"

static char folder[] = "/tmp/cardkeep-profile-XXXXXX";
static char path[64];
static struct profile profile;
static char error[CONFIG_ERROR_MAX];

static void make_folder(void)
{
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/gateway.yaml", folder);
}

static void remove_folder(void)
{
    (void)unlink(path);
    cr_assert_eq(rmdir(folder), 0);
}

TestSuite(profile, .init = make_folder, .fini = remove_folder);

static enum why load_text(const char *text)
{
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    cr_assert_geq(fputs(text, file), 0);
    cr_assert_eq(fclose(file), 0);
    snprintf(profile.name, sizeof profile.name, "untouched");
    return profile_load(path, &profile, error, sizeof error).why;
}

static void expect_refused(const char *text, const char *says)
{
    cr_expect_eq(load_text(text), WHY_BAD_INPUT, "%s", text);
    cr_expect_not_null(strstr(error, says), "%s says: %s", text, error);
    cr_expect_not_null(strstr(error, "gateway.yaml"), "%s", error);
    cr_expect_str_eq(profile.name, "untouched");
}

#define HEAD "gateway: g\nhosts: [a.example]\ncredentials: caller\n"

Test(profile, loads_the_gateways_that_we_ship)
{
    cr_assert(!failed(profile_load(TESTS_DIR "/../relay/gateways/stripe.yaml", &profile, error,
                                   sizeof error)),
              "%s", error);
    cr_expect_str_eq(error, "");
    cr_expect_str_eq(profile.name, "stripe");
    cr_expect_eq(profile.host_count, 1);
    cr_expect_str_eq(profile.hosts[0], "api.stripe.com");
    cr_expect(profile.credentials_caller);
    cr_expect_eq(profile.account_count, 2);
    cr_expect_str_eq(profile.account_headers[0], "Stripe-Account");
    cr_expect_str_eq(profile.idempotency_header, "Idempotency-Key");
    cr_expect_eq(profile.idempotency_length_max, 255);
    cr_expect_eq(profile.idempotency_window_ms, 24 * 3600 * 1000);
    cr_expect_eq(profile.connect_ms, 5000);
    cr_expect_eq(profile.total_ms, 60000);
    cr_assert_geq(profile.form_count, 4);
    cr_expect_str_eq(profile.form[0].place, "payment_method_data[card][number]");
    cr_expect_eq(profile.form[2].takes.field, EXPRESSION_EXP);
    cr_expect_eq(profile.form[2].takes.filters[0], EXPRESSION_YYYY);

    cr_assert(!failed(profile_load(TESTS_DIR "/../relay/gateways/sandbox.yaml", &profile, error,
                                   sizeof error)),
              "%s", error);
    cr_expect_str_eq(profile.name, "sandbox");
    cr_expect_eq(profile.json_count, 4);
    cr_expect_str_eq(profile.json[1].place, "/card/expiry");
    cr_expect_eq(profile.json[1].takes.filters[0], EXPRESSION_MM_SLASH_YY);
}

Test(profile, does_with_little)
{
    cr_assert_eq(load_text(HEAD), WHY_NONE, "%s", error);
    cr_expect_str_eq(profile.idempotency_header, "");
    cr_expect_eq(profile.idempotency_window_ms, 24 * 3600 * 1000, "the relay holds keys itself");
    cr_expect_eq(profile.form_count + profile.json_count, 0);
    cr_expect(!profile.tls13_only);
    cr_expect_eq(profile.connect_ms, 5000);
    cr_assert_eq(load_text("gateway: g\nhosts: [a.example, b.example]\ncredentials: none\n"
                           "tls: {minimum: \"1.3\"}\n"),
                 WHY_NONE, "%s", error);
    cr_expect(profile.tls13_only);
    cr_expect(!profile.credentials_caller);
    cr_expect_str_eq(profile.hosts[1], "b.example");
}

Test(profile, says_what_is_wrong_and_where)
{
    expect_refused("hosts: [a.example]\ncredentials: caller\n", "gateway");
    expect_refused("gateway: g\ncredentials: caller\n", "hosts");
    expect_refused("gateway: g\nhosts: []\ncredentials: caller\n", "hosts");
    expect_refused("gateway: g\nhosts: [a.example]\n", "credentials");
    expect_refused("gateway: g\nhosts: [\"a.example/x\"]\ncredentials: caller\n", ":2:");
    expect_refused("gateway: g\nhosts: [\"u@a.example\"]\ncredentials: caller\n", ":2:");
    expect_refused("gateway: \"g/../h\"\nhosts: [a.example]\ncredentials: caller\n", ":");
    expect_refused(HEAD "hots: 1\n", "hots");
    expect_refused(HEAD "tls: {minimum: \"1.0\"}\n", "1.2");
    expect_refused(HEAD "idempotency: {header: \"X: y\"}\n", "letters");
    expect_refused(HEAD "idempotency: {length_max: 3}\n", "header");
    expect_refused(HEAD "deadline: {connect: 20s, total: 10s}\n", "connect");
    expect_refused(HEAD "slots: {form: {a: exp}}\n", "exp | yyyy");
    expect_refused(HEAD "slots: {form: {a: pan}}\n", "exp | yyyy");
    expect_refused(HEAD "slots: {json: {card: number}}\n", "pointer");
    expect_refused(HEAD "slots: {json: {/a~2: number}}\n", "pointer");
    expect_refused(HEAD "slots: {xml: {a: number}}\n", "xml");
}

Test(profile, refuses_two_slots_at_one_place)
{
    expect_refused(HEAD "slots:\n  form:\n    a: number\n    a: cvv\n", "a");
}

Test(profile, refuses_more_slots_and_longer_names_than_there_is_room_for)
{
    char text[4096] = HEAD "slots:\n  form:\n";
    for (unsigned i = 0; i <= PROFILE_SLOTS_MAX; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "    f%u: number\n", i);
    expect_refused(text, "32");

    char name[200];
    memset(name, 'n', sizeof name);
    name[128] = '\0';
    snprintf(text, sizeof text, HEAD "slots: {form: {%s: number}}\n", name);
    expect_refused(text, "127");
}

Test(profile, says_when_there_is_no_file)
{
    cr_expect_eq(profile_load("/nonexistent/x.yaml", &profile, error, sizeof error).why,
                 WHY_NOT_FOUND);
    cr_expect_neq(error[0], '\0');
}
