/* SPDX-License-Identifier: Apache-2.0 */
#include "policies/audit_entry.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <sodium.h>
#include <string.h>

#include "base/own.h"

static const char pan[] = "4242424242424242"; /* A published test number. */

static const struct audit_entry least = {.ts_ms = 1700000000000,
                                         .actor = "shop",
                                         .origin = "192.0.2.1 front",
                                         .event = "card.tokenize",
                                         .outcome = "ok"};

static void start(void)
{
    cr_assert(sodium_init() >= 0);
}

TestSuite(audit_entry, .init = start);

static void json_end(json_t **json)
{
    json_decref(*json);
}

/* Read with another parser than ours. */
static json_t *written(const struct audit_entry *entry, uint64_t seq)
{
    OWNED(buffer_free) struct buffer out = BUFFER(AUDIT_ENTRY_BYTES_MAX);
    cr_assert(!failed(audit_entry_write(entry, seq, &out)));
    json_t *json = json_loadb((const char *)out.bytes, out.size, JSON_REJECT_DUPLICATES, NULL);
    cr_assert_not_null(json, "%s", buffer_text(&out));
    return json;
}

static const char *text_of(const json_t *json, const char *key)
{
    const char *text = json_string_value(json_object_get(json, key));
    return text == NULL ? "(absent)" : text;
}

Test(audit_entry, has_its_mandatory_members_and_no_others)
{
    OWNED(json_end) json_t *json = written(&least, 7);
    cr_assert_eq(json_integer_value(json_object_get(json, "seq")), 7);
    cr_assert_str_eq(text_of(json, "ts"), "2023-11-14T22:13:20.000Z");
    cr_assert_str_eq(text_of(json, "actor"), "shop");
    cr_assert_str_eq(text_of(json, "origin"), "192.0.2.1 front");
    cr_assert_str_eq(text_of(json, "event"), "card.tokenize");
    cr_assert_str_eq(text_of(json, "outcome"), "ok");
    cr_assert_eq(strlen(text_of(json, "salt")), 22);
    cr_assert_eq(json_object_size(json), 7);
}

Test(audit_entry, writes_every_member_in_the_documented_order)
{
    static const char *const order[] = {
        "\"seq\":",
        "\"ts\":",
        "\"actor\":",
        "\"on_behalf_of\":",
        "\"origin\":",
        "\"event\":",
        "\"outcome\":",
        "\"object\":",
        "\"tenant\":",
        "\"purpose\":",
        "\"destination\":",
        "\"policy\":{\"bundle\":\"b\",\"rule\":\"r\",\"decision\":\"allow\"}",
        "\"key\":{\"id\":18446744073709551615,\"version\":3}",
        "\"certificate\":\"c1\",\"asked\":{\"by\":\"w\",\"certificate\":\"c2\"}",
        "\"request_id\":",
        "\"detail\":",
        "\"count\":9",
        ("\"items\":[{\"object\":\"t1\",\"outcome\":\"ok\",\"key\":{\"id\":7,\"version\":2}},"
         "{\"object\":\"t2\",\"outcome\":\"no\"}]"),
        "\"salt\":"};
    const struct audit_item items[] = {{"t1", "ok", 7, 2}, {.object = "t2", .outcome = "no"}};
    struct audit_entry entry = least;
    entry.on_behalf_of = "a";
    entry.object = "o";
    entry.tenant = "t";
    entry.purpose = "p";
    entry.destination = "d";
    entry.bundle = "b";
    entry.rule = "r";
    entry.decision = "allow";
    entry.key_id = UINT64_MAX;
    entry.key_version = 3;
    entry.certificate = "c1";
    entry.asked_by = "w";
    entry.asked_certificate = "c2";
    entry.request_id = "q";
    entry.detail = "x";
    entry.count = 9;
    entry.items = items;
    entry.item_count = 2;

    OWNED(buffer_free) struct buffer out = BUFFER(AUDIT_ENTRY_BYTES_MAX);
    cr_assert(!failed(audit_entry_write(&entry, 0, &out)));
    const char *at = buffer_text(&out);
    for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
        at = strstr(at, order[i]);
        cr_assert_not_null(at, "%s in %s", order[i], buffer_text(&out));
    }
}

Test(audit_entry, masks_a_card_number_in_every_text_that_comes_from_outside)
{
    const struct audit_item item = {.object = pan, .outcome = "ok"};
    struct audit_entry entry = least;
    entry.actor = entry.on_behalf_of = entry.origin = entry.object = entry.tenant = pan;
    entry.purpose = entry.destination = entry.request_id = pan;
    entry.detail = "paid with 4242 4242 4242 4242, or 3782-822463-10005";
    entry.items = &item;
    entry.item_count = 1;

    OWNED(buffer_free) struct buffer out = BUFFER(AUDIT_ENTRY_BYTES_MAX);
    cr_assert(!failed(audit_entry_write(&entry, 0, &out)));
    cr_assert_null(strstr(buffer_text(&out), pan));
    cr_assert_null(strstr(buffer_text(&out), "42424242"));
    cr_assert_null(strstr(buffer_text(&out), "4242 4242"));
    cr_assert_null(strstr(buffer_text(&out), "822463"));
    OWNED(json_end)
    json_t *json = json_loadb((const char *)out.bytes, out.size, JSON_REJECT_DUPLICATES, NULL);
    cr_assert_str_eq(text_of(json, "actor"), "************4242");
}

Test(audit_entry, masks_a_card_number_next_to_what_json_escapes)
{
    struct audit_entry entry = least;
    entry.detail = "\0014242424242424242\001";
    OWNED(buffer_free) struct buffer out = BUFFER(AUDIT_ENTRY_BYTES_MAX);
    cr_assert(!failed(audit_entry_write(&entry, 0, &out)));
    cr_assert_null(strstr(buffer_text(&out), pan));
}

Test(audit_entry, keeps_the_hash_of_the_policy_whole)
{
    struct audit_entry entry = least;
    entry.bundle = pan; /* Stands for a hash with an unlucky run of digits. */
    OWNED(buffer_free) struct buffer out = BUFFER(AUDIT_ENTRY_BYTES_MAX);
    cr_assert(!failed(audit_entry_write(&entry, 0, &out)));
    cr_assert_not_null(strstr(buffer_text(&out), pan));
}

Test(audit_entry, escapes_what_a_caller_sent)
{
    struct audit_entry entry = least;
    entry.detail = "\",\"outcome\":\"ok\n\\";
    OWNED(json_end) json_t *json = written(&entry, 0);
    cr_assert_str_eq(text_of(json, "detail"), entry.detail);
}

Test(audit_entry, has_another_salt_each_time)
{
    OWNED(json_end) json_t *first = written(&least, 0);
    OWNED(json_end) json_t *second = written(&least, 0);
    cr_assert_str_neq(text_of(first, "salt"), text_of(second, "salt"));
}

Test(audit_entry, is_refused_when_it_would_be_too_long_and_leaves_the_buffer_as_it_was)
{
    static char text[AUDIT_ENTRY_BYTES_MAX + 2];
    struct audit_entry entry = least;
    OWNED(buffer_free) struct buffer out = BUFFER(4 * AUDIT_ENTRY_BYTES_MAX);

    memset(text, 'x', AUDIT_ENTRY_BYTES_MAX);
    entry.detail = text;
    buffer_add_text(&out, "before");
    cr_assert_eq(audit_entry_write(&entry, 0, &out).why, WHY_LIMIT);
    cr_assert_str_eq(buffer_text(&out), "before");

    OWNED(buffer_free) struct buffer tight = BUFFER(64);
    cr_assert_eq(audit_entry_write(&least, 0, &tight).why, WHY_LIMIT);
}

Test(audit_entry, is_refused_when_a_text_to_be_masked_is_too_long)
{
    static char text[2 * AUDIT_ENTRY_BYTES_MAX];
    struct audit_entry entry = least;
    OWNED(buffer_free) struct buffer out = BUFFER(4 * AUDIT_ENTRY_BYTES_MAX);

    memset(text, 'x', sizeof text - 1);
    memcpy(text, pan, sizeof pan - 1);
    entry.detail = text;
    cr_assert_eq(audit_entry_write(&entry, 0, &out).why, WHY_LIMIT);
}
