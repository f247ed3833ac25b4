/* SPDX-License-Identifier: Apache-2.0 */
#include "policies/policy.h"

#include <criterion/criterion.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/encode.h"
#include "base/own.h"

#define EXAMPLE TESTS_DIR "/../policies/examples/development.yaml"

/* Two tenants, so that each has someone to keep out. */
#define PLACES                                                                                     \
    "tenants: {demo: {}, other: {luhn: warn}}\n"                                                   \
    "destinations: {sandbox: {}, live: {}}\n"                                                      \
    "principals:\n"                                                                                \
    "  shop: {uri: 'urn:shop', tenant: demo}\n"                                                    \
    "  relay: {uri: 'urn:relay'}\n"                                                                \
    "  auditor: {uri: 'urn:auditor'}\n"

static char path[64];
static char error[POLICY_ERROR_MAX];
static struct policy *policy;

static void write_document(const char *text)
{
    snprintf(path, sizeof path, "/tmp/cardkeep-policy-XXXXXX");
    int fd = mkstemp(path);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
}

static void load(const char *text)
{
    write_document(text);
    cr_assert(!failed(policy_load(path, &policy, error, sizeof error)), "%s", error);
    unlink(path);
}

static void drop(void)
{
    policy_free(&policy);
}

TestSuite(policy, .fini = drop);

/* The line that a refused document's error names, or 0; `hint` must be in it. */
static unsigned line_refused(const char *text, const char *hint)
{
    struct policy *none = NULL;
    unsigned line = 0;

    write_document(text);
    error[0] = '\0';
    struct status status = policy_load(path, &none, error, sizeof error);
    unlink(path);
    cr_assert_eq(status.why, WHY_BAD_INPUT, "not refused: %s", text);
    cr_assert_null(none, "a failure hands out nothing");
    cr_assert_eq(strncmp(error, path, strlen(path)), 0, "%s", error);
    cr_expect_not_null(strstr(error, hint), "\"%s\" is not in: %s", hint, error);
    if (sscanf(error + strlen(path), ":%u:", &line) != 1)
        return 0;
    return line;
}

static struct policy_decision decide(enum policy_action action, const char *principal,
                                     const char *tenant, const char *destination)
{
    struct policy_question question = {.action = action,
                                       .principal = policy_principal(policy, principal),
                                       .tenant = tenant,
                                       .destination = destination};
    return policy_decide(policy, &question);
}

static bool allows(enum policy_action action, const char *principal, const char *tenant,
                   const char *destination)
{
    struct policy_decision decision = decide(action, principal, tenant, destination);
    cr_assert(!decision.allowed || decision.rule[0] != '\0', "who allows is named");
    return decision.allowed;
}

Test(policy, gives_each_principal_of_the_example_what_it_needs_and_nothing_else)
{
    static const char *const principals[] = {"shop",     "relay",    "auditor",
                                             "operator", "security", "custodian-1"};
    static const char *const wanted[POLICY_ACTION_COUNT] = {[POLICY_CARD_TOKENIZE] = "shop",
                                                            [POLICY_CARD_MASK_READ] = "shop",
                                                            [POLICY_CARD_DELETE] = "shop",
                                                            [POLICY_CARD_MATCH] = "",
                                                            [POLICY_CVV_STORE] = "shop",
                                                            [POLICY_CARD_SUBMIT] = "shop",
                                                            [POLICY_CARD_LEASE] = "relay",
                                                            [POLICY_CARD_SETTLE] = "relay",
                                                            [POLICY_AUDIT_READ] = "auditor",
                                                            [POLICY_BACKUP_CREATE] = "operator",
                                                            [POLICY_SEAL_MANAGE] = "security",
                                                            [POLICY_SEAL_SHARE] = "custodian-1",
                                                            [POLICY_SEAL_READ] =
                                                                "security custodian-1",
                                                            [POLICY_KEY_READ] = "security",
                                                            [POLICY_KEY_ROTATE] = "security",
                                                            [POLICY_KEY_CHANGE] = "security",
                                                            [POLICY_KEY_APPROVE] = "security",
                                                            [POLICY_DATA_ERASE] = "security",
                                                            [POLICY_RETENTION_READ] = "security"};

    cr_assert(!failed(policy_load(EXAMPLE, &policy, error, sizeof error)), "%s", error);
    for (unsigned action = 0; action < POLICY_ACTION_COUNT; action++) {
        bool sent = action == POLICY_CARD_SUBMIT || action == POLICY_CARD_LEASE ||
                    action == POLICY_CARD_SETTLE;
        for (unsigned i = 0; i < sizeof principals / sizeof principals[0]; i++) {
            bool all = action >= POLICY_AUDIT_READ; /* No tenant is asked for. */
            const char *tenant = all ? "" : "demo";
            bool allowed =
                allows((enum policy_action)action, principals[i], tenant, sent ? "sandbox" : NULL);
            cr_expect_eq(allowed, strstr(wanted[action], principals[i]) != NULL, "%s, %s",
                         policy_action_name((enum policy_action)action), principals[i]);
        }
    }
}

Test(policy, names_the_rule_that_decided)
{
    cr_assert(!failed(policy_load(EXAMPLE, &policy, error, sizeof error)), "%s", error);
    struct policy_decision decision = decide(POLICY_CARD_SUBMIT, "shop", "demo", "sandbox");
    cr_assert(decision.allowed);
    cr_assert_str_eq(decision.rule, "shop-pays");
    decision = decide(POLICY_CARD_MATCH, "shop", "demo", NULL);
    cr_assert(!decision.allowed);
    cr_assert_str_eq(decision.rule, "");
}

Test(policy, denies_everything_when_it_is_empty)
{
    static const struct policy_principal stranger = {.name = "shop", .uri = "urn:shop"};
    load("{}\n");
    for (unsigned action = 0; action <= POLICY_ACTION_COUNT; action++) {
        struct policy_question question = {.action = (enum policy_action)action,
                                           .principal = &stranger,
                                           .tenant = "demo",
                                           .destination = "sandbox"};
        cr_expect(!policy_decide(policy, &question).allowed);
        question.principal = NULL;
        cr_expect(!policy_decide(policy, &question).allowed);
    }
}

Test(policy, denies_what_lacks_an_attribute_or_has_one_that_is_unknown)
{
    cr_assert(!failed(policy_load(EXAMPLE, &policy, error, sizeof error)), "%s", error);
    cr_assert(allows(POLICY_CARD_SUBMIT, "shop", "demo", "sandbox"));
    cr_expect(!allows(POLICY_CARD_SUBMIT, "shop", "demo", NULL));
    cr_expect(!allows(POLICY_CARD_SUBMIT, "shop", "demo", ""));
    cr_expect(!allows(POLICY_CARD_SUBMIT, "shop", "demo", "elsewhere"));
    cr_expect(!allows(POLICY_CARD_SUBMIT, "shop", "", "sandbox"));
    cr_expect(!allows(POLICY_CARD_SUBMIT, "shop", NULL, "sandbox"));
    cr_expect(!allows(POLICY_CARD_SUBMIT, "shop", "nobody", "sandbox"));
    cr_expect(!allows(POLICY_CARD_SUBMIT, "nobody", "demo", "sandbox"));
    cr_expect(!allows(POLICY_ACTION_COUNT, "shop", "demo", "sandbox"));
    cr_expect(!allows((enum policy_action)UINT32_MAX, "shop", "demo", "sandbox"));
}

Test(policy, lets_a_principal_act_in_its_own_tenant_only_whatever_a_rule_says)
{
    load(PLACES
         "rules:\n"
         "  - {id: wide, effect: allow, actions: [card.tokenize, audit.read],\n"
         "     principals: [shop, relay], tenants: [demo, other]}\n"
         "  - {id: reads, effect: allow, actions: [audit.read], principals: [shop, relay]}\n");
    cr_expect(allows(POLICY_CARD_TOKENIZE, "shop", "demo", NULL));
    cr_expect(!allows(POLICY_CARD_TOKENIZE, "shop", "other", NULL));
    cr_expect(allows(POLICY_CARD_TOKENIZE, "relay", "other", NULL));
    cr_expect(allows(POLICY_AUDIT_READ, "shop", "demo", NULL));
    cr_expect(!allows(POLICY_AUDIT_READ, "shop", "", NULL), "all of it is more than its own");
    cr_expect(allows(POLICY_AUDIT_READ, "relay", "", NULL));
}

Test(policy, lets_an_explicit_deny_beat_an_allow_wherever_it_stands)
{
    static const char *const rules[] = {
        PLACES "rules:\n"
               "  - {id: no, effect: deny, actions: [card.delete], principals: [shop], tenants: "
               "[demo]}\n"
               "  - {id: yes, effect: allow, actions: [card.delete, card.tokenize], principals: "
               "[shop], tenants: [demo]}\n",
        PLACES "rules:\n"
               "  - {id: yes, effect: allow, actions: [card.delete, card.tokenize], principals: "
               "[shop], tenants: [demo]}\n"
               "  - {id: no, effect: deny, actions: [card.delete], principals: [shop], tenants: "
               "[demo]}\n"};
    for (unsigned i = 0; i < 2; i++) {
        load(rules[i]);
        struct policy_decision decision = decide(POLICY_CARD_DELETE, "shop", "demo", NULL);
        cr_expect(!decision.allowed);
        cr_expect_str_eq(decision.rule, "no");
        cr_expect(allows(POLICY_CARD_TOKENIZE, "shop", "demo", NULL));
        policy_free(&policy);
    }
}

Test(policy, asks_for_the_purposes_of_a_rule_and_denies_where_none_is_given)
{
    load(PLACES "rules:\n"
                "  - {id: refunds, effect: allow, actions: [card.mask_read], principals: [shop],\n"
                "     tenants: [demo], purposes: [refund, dispute]}\n"
                "  - {id: any, effect: allow, actions: [card.delete], principals: [shop], tenants: "
                "[demo]}\n"
                "  - {id: not-for-fun, effect: deny, actions: [card.delete], principals: [shop],\n"
                "     tenants: [demo], purposes: [fun]}\n");
    struct policy_question question = {.action = POLICY_CARD_MASK_READ,
                                       .principal = policy_principal(policy, "shop"),
                                       .tenant = "demo"};
    cr_expect(!policy_decide(policy, &question).allowed);
    question.purpose = "refund";
    cr_expect(policy_decide(policy, &question).allowed);
    question.purpose = "dispute";
    cr_expect(policy_decide(policy, &question).allowed);
    question.purpose = "refunds";
    cr_expect(!policy_decide(policy, &question).allowed);

    question.action = POLICY_CARD_DELETE;
    question.purpose = "fun";
    cr_expect(!policy_decide(policy, &question).allowed);
    question.purpose = "refund";
    cr_expect(policy_decide(policy, &question).allowed);
    question.purpose = NULL;
    cr_expect(!policy_decide(policy, &question).allowed, "it might be for fun");
}

Test(policy, keeps_destinations_apart)
{
    load(PLACES "rules:\n"
                "  - {id: a, effect: allow, actions: [card.submit, card.tokenize], principals: "
                "[shop], tenants: [demo], destinations: [sandbox]}\n");
    cr_expect(allows(POLICY_CARD_SUBMIT, "shop", "demo", "sandbox"));
    cr_expect(!allows(POLICY_CARD_SUBMIT, "shop", "demo", "live"));
    cr_expect(allows(POLICY_CARD_TOKENIZE, "shop", "demo", NULL), "which has no destination");
}

Test(policy, does_not_know_a_principal_of_another_policy)
{
    load(PLACES "rules: [{id: a, effect: allow, actions: [audit.read], principals: [auditor]}]\n");
    cr_assert(allows(POLICY_AUDIT_READ, "auditor", "", NULL));
    struct policy_principal renamed = *policy_principal(policy, "auditor");
    struct policy_question question = {
        .action = POLICY_AUDIT_READ, .principal = &renamed, .tenant = ""};
    cr_expect(policy_decide(policy, &question).allowed);
    renamed.uri[0] = 'x';
    cr_expect(!policy_decide(policy, &question).allowed);
}

Test(policy, reads_a_tenant_s_settings)
{
    load("tenants:\n"
         "  a: {}\n"
         "  b:\n"
         "    luhn: off\n"
         "    luhn_off_prefixes: ['9', '22021234']\n"
         "    formats: [card, uuid]\n"
         "    format: card\n"
         "    card_shaped: {keep_first: 8, keep_last: false, pass_luhn: true}\n"
         "    one_token_per_card: true\n"
         "    cvv_lifetime: 60m\n"
         "    retention: {cards: 30d}\n");
    const struct policy_tenant *a = policy_tenant(policy, "a");
    const struct policy_tenant *b = policy_tenant(policy, "b");

    cr_assert_eq(a->luhn, POLICY_LUHN_REQUIRE);
    cr_assert_eq(a->luhn_off_prefix_count, 2);
    cr_assert_eq(a->luhn_off_prefixes[0], 62);
    cr_assert_eq(a->luhn_off_prefixes[1], 81);
    cr_assert(a->formats[POLICY_FORMAT_OPAQUE]);
    cr_assert(a->formats[POLICY_FORMAT_UUID]);
    cr_assert(!a->formats[POLICY_FORMAT_CARD]);
    cr_assert_eq(a->format, POLICY_FORMAT_OPAQUE);
    cr_assert(!a->card_pass_luhn);
    cr_assert(!a->one_token_per_card);
    cr_assert_eq(a->cvv_lifetime_ms, 15 * 60 * 1000);
    cr_assert_eq(a->retention_ms, 400LL * 24 * 3600 * 1000);
    cr_assert(!a->retention_given);

    cr_assert_eq(b->luhn, POLICY_LUHN_OFF);
    cr_assert_eq(b->luhn_off_prefix_count, 2);
    cr_assert_eq(b->luhn_off_prefixes[0], 9);
    cr_assert_eq(b->luhn_off_prefixes[1], 22021234);
    cr_assert(!b->formats[POLICY_FORMAT_OPAQUE]);
    cr_assert(b->formats[POLICY_FORMAT_UUID]);
    cr_assert(b->formats[POLICY_FORMAT_CARD]);
    cr_assert_eq(b->format, POLICY_FORMAT_CARD);
    cr_assert_eq(b->card_keep_first, 8);
    cr_assert(!b->card_keep_last);
    cr_assert(b->card_pass_luhn);
    cr_assert(b->one_token_per_card);
    cr_assert_eq(b->cvv_lifetime_ms, 60 * 60 * 1000);
    cr_assert_eq(b->retention_ms, 30LL * 24 * 3600 * 1000);
    cr_assert(b->retention_given);
}

Test(policy, finds_by_name_uri_and_place)
{
    load(PLACES);
    cr_assert_str_eq(policy_principal_by_uri(policy, "urn:relay")->name, "relay");
    cr_assert_str_eq(policy_principal_by_uri(policy, "urn:shop")->tenant, "demo");
    cr_assert_null(policy_principal_by_uri(policy, "urn:"));
    cr_assert_null(policy_principal_by_uri(policy, ""));
    cr_assert_null(policy_principal(policy, "sho"));
    cr_assert_null(policy_tenant(policy, "demos"));
    cr_assert_str_eq(policy_destination(policy, "live")->name, "live");
    cr_assert_null(policy_destination(policy, "demo"));
    cr_assert_not_null(policy_tenant_at(policy, 1));
    cr_assert_null(policy_tenant_at(policy, 2));
}

Test(policy, is_known_by_the_hash_of_its_document)
{
    uint8_t hash[32];
    char hex[65];
    char wanted[80];
    load(PLACES);
    crypto_hash_sha256(hash, (const uint8_t *)PLACES, strlen(PLACES));
    encode_hex(hash, sizeof hash, hex);
    snprintf(wanted, sizeof wanted, "sha256:%s", hex);
    cr_assert_str_eq(policy_bundle(policy), wanted);
}

Test(policy, says_when_there_is_no_document)
{
    struct policy *none = NULL;
    cr_assert_eq(policy_load("/tmp/cardkeep-no-such-policy", &none, error, sizeof error).why,
                 WHY_NOT_FOUND);
    cr_assert_null(none);
    cr_assert_not_null(strstr(error, "/tmp/cardkeep-no-such-policy"));
}

#define RULE(text) PLACES "rules:\n  - {id: a, effect: allow, " text "}\n"

Test(policy, refuses_rules_about_what_does_not_exist_and_says_where)
{
    cr_expect_eq(line_refused(RULE("actions: [card.reveal], principals: [shop], tenants: [demo]"),
                              "no such action"),
                 8);
    cr_expect_eq(line_refused(RULE("actions: [card.delete], principals: [shop2], tenants: [demo]"),
                              "principals"),
                 8);
    cr_expect_eq(line_refused(RULE("actions: [card.delete], principals: ['*'], tenants: [demo]"),
                              "no wildcards"),
                 8);
    cr_expect_eq(
        line_refused(RULE("actions: [card.delete], principals: [shop], tenants: ['*']"), "tenants"),
        8);
    cr_expect_eq(line_refused(RULE("actions: [card.submit], principals: [shop], tenants: [demo], "
                                   "destinations: [nowhere]"),
                              "destinations"),
                 8);
    cr_expect_eq(
        line_refused("tenants: {a: {}}\nprincipals:\n  p: {uri: u, tenant: b}\n", "tenant"), 3);
}

Test(policy, refuses_rules_that_leave_out_what_their_actions_need)
{
    line_refused(RULE("actions: [card.delete], principals: [shop]"), "name them");
    line_refused(RULE("actions: [card.delete], principals: [shop], tenants: []"), "without names");
    line_refused(RULE("actions: [card.delete], tenants: [demo]"), "no principals");
    line_refused(RULE("actions: [card.delete], principals: [], tenants: [demo]"), "without names");
    line_refused(RULE("actions: [], principals: [shop], tenants: [demo]"), "no actions");
    line_refused(RULE("principals: [shop], tenants: [demo]"), "actions");
    line_refused(RULE("actions: [card.submit], principals: [shop], tenants: [demo]"),
                 "destinations");
    line_refused(RULE("actions: [card.delete], principals: [shop], tenants: [demo], "
                      "destinations: [live]"),
                 "destination");
    line_refused(PLACES "rules:\n  - {id: a, actions: [audit.read], principals: [auditor]}\n",
                 "effect");
    line_refused(
        PLACES "rules:\n  - {effect: allow, actions: [audit.read], principals: [auditor]}\n", "id");
    line_refused(RULE("actions: [audit.read], principals: [auditor], purposes: []"),
                 "without names");
}

Test(policy, refuses_names_that_are_none)
{
    line_refused("tenants: {Demo: {}}\n", "a name has");
    line_refused("tenants: {-demo: {}}\n", "a name has");
    line_refused("destinations: {'a b': {}}\n", "a name has");
    line_refused("tenants: {a123456789012345678901234567890123456789012345678901234567890123: "
                 "{}}\n",
                 "a name has");
    load("tenants: {a12345678901234567890123456789012345678901234567890123456789012: {}}\n");
}

Test(policy, names_a_tenant_without_a_word_on_how_long_for_production)
{
    load("tenants: {a: {retention: {cards: 1d}}, b: {}}\n");
    error[0] = '\0';
    cr_expect_eq(policy_check_retention(policy, error, sizeof error).why, WHY_BAD_INPUT);
    cr_expect_not_null(strstr(error, "tenant b:"), "%s", error);
    policy_free(&policy);
    load("tenants: {a: {retention: {cards: 1d}}, b: {retention: {cards: 2d}}}\n");
    cr_expect(!failed(policy_check_retention(policy, error, sizeof error)));
}

Test(policy, refuses_what_is_there_twice)
{
    line_refused("tenants: {a: {}, a: {}}\n", "a");
    line_refused("principals:\n  a: {uri: u}\n  b: {uri: u}\n", "same uri");
    line_refused(PLACES "rules:\n"
                        "  - {id: a, effect: allow, actions: [audit.read], principals: [auditor]}\n"
                        "  - {id: a, effect: deny, actions: [audit.read], principals: [relay]}\n",
                 "another rule");
}

Test(policy, refuses_settings_it_does_not_know)
{
    line_refused("tenant: {}\n", "tenant");
    line_refused("tenants: {a: {lun: off}}\n", "lun");
    line_refused("tenants: {a: {luhn: maybe}}\n", "luhn");
    line_refused("tenants: {a: }\n", "a");
    line_refused("tenants: [a]\n", "tenants");
    line_refused("tenants: {a: {formats: [plain]}}\n", "opaque, uuid or card");
    line_refused("tenants: {a: {formats: [uuid]}}\n", "opaque");
    line_refused("tenants: {a: {format: card}}\n", "card");
    line_refused("tenants: {a: {card_shaped: {keep_first: 4}}}\n", "0, 6 or 8");
    line_refused("tenants: {a: {cvv_lifetime: 61m}}\n", "cvv_lifetime");
    line_refused("tenants: {a: {retention: {}}}\n", "cards");
    line_refused("tenants: {a: {retention: {cards: 0s}}}\n", "cards");
    line_refused("tenants: {a: {retention: {cards: for ever}}}\n", "cards");
    line_refused("tenants: {a: {retention: {cards: 1d, names: 1d}}}\n", "names");
    line_refused("tenants: {a: {luhn_off_prefixes: ['0']}}\n", "prefix");
    line_refused("tenants: {a: {luhn_off_prefixes: ['6x']}}\n", "prefix");
    line_refused("tenants: {a: {luhn_off_prefixes: ['123456789']}}\n", "prefix");
    line_refused("tenants: {a: {luhn_off_prefixes: [1, 2, 3, 4, 5, 6, 7, 8, 9]}}\n", "prefixes");
    line_refused("destinations: {a: {url: x}}\n", "url");
    line_refused("principals: {a: {}}\n", "uri");
    line_refused("principals: {a: {uri: ''}}\n", "uri");
    line_refused("principals: {a: {uri: u, key: k}}\n", "key");
    line_refused(RULE("actions: [audit.read], principals: [auditor], unless: x"), "unless");
    line_refused("rules: [x]\n", "");
    line_refused("rules: {}\n", "rules");
    line_refused("[]\n", "");
    line_refused("", "");
    line_refused("tenants: {a: {}\n", "");
}
