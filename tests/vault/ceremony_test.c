/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/ceremony.h"

#include <criterion/criterion.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define COUNT     3u
#define THRESHOLD 2u

struct hall {
    struct ceremony *ceremony;
    struct problem problem;
    uint8_t public_keys[COUNT][CUSTODIAN_KEY_BYTES];
    struct secret *keys[COUNT];
    struct share shares[COUNT];
};

static const char *const names[COUNT] = {"anna", "ben", "cleo"};
static const char *const certificates[COUNT] = {"aa", "bb", "cc"};

static struct ceremony_person person(unsigned i)
{
    return (struct ceremony_person){.name = names[i], .certificate = certificates[i]};
}

static struct ceremony_plan plan_of(unsigned threshold, unsigned count)
{
    struct ceremony_plan plan = {.threshold = threshold, .count = count};

    for (unsigned i = 0; i < count && i < SEAL_CUSTODIANS_MAX; i++)
        (void)snprintf(plan.names[i], sizeof plan.names[i], "%s%u", i < COUNT ? names[i] : "x",
                       i < COUNT ? 0 : i);
    for (unsigned i = 0; i < count && i < COUNT; i++)
        (void)snprintf(plan.names[i], sizeof plan.names[i], "%s", names[i]);
    return plan;
}

static struct hall hall_open(void)
{
    struct hall hall = {0};
    struct ceremony_plan plan = plan_of(THRESHOLD, COUNT);

    cr_assert(sodium_init() >= 0);
    cr_assert(!failed(ceremony_plan_check(&plan, &hall.problem)));
    cr_assert(!failed(ceremony_new(&plan, 5000, &hall.ceremony)));
    for (unsigned i = 0; i < COUNT; i++)
        cr_assert(!failed(custodian_new(hall.public_keys[i], &hall.keys[i])));
    return hall;
}

static void hall_close(struct hall *hall)
{
    for (unsigned i = 0; i < COUNT; i++) {
        secret_free(&hall->keys[i]);
        share_free(&hall->shares[i]);
    }
    ceremony_free(&hall->ceremony);
}

static enum why accept(struct hall *hall, unsigned i)
{
    struct ceremony_person who = person(i);

    return ceremony_accept(hall->ceremony, &who, hall->public_keys[i], &hall->problem).why;
}

static enum why collect(struct hall *hall, unsigned i)
{
    struct ceremony_person who = person(i);
    struct ceremony_box box;
    const uint8_t *key = hall->public_keys[i];
    enum why why = ceremony_collect(hall->ceremony, &who, key, &box, &hall->problem).why;

    if (why == WHY_NONE) {
        cr_assert_eq(box.index, i + 1);
        cr_assert_eq(box.threshold, THRESHOLD);
        cr_assert(
            !failed(custodian_open(hall->keys[i], box.box, box.set, box.index, &hall->shares[i])));
    }
    return why;
}

static enum why confirm(struct hall *hall, unsigned i, bool *out_all)
{
    struct ceremony_person who = person(i);
    uint8_t digest[SHARE_DIGEST_BYTES];

    share_digest(&hall->shares[i], digest);
    return ceremony_confirm(hall->ceremony, &who, digest, out_all, &hall->problem).why;
}

static void said(const struct hall *hall, enum problem_code code, const char *words)
{
    cr_assert_eq(hall->problem.code, code, "%s", hall->problem.detail);
    cr_assert(strstr(hall->problem.detail, words) != NULL, "%s: %s", words, hall->problem.detail);
}

Test(ceremony, ends_with_a_root_that_any_k_of_its_shares_give_back)
{
    struct hall hall = hall_open();
    struct seal_record record = {0};
    struct secret *root = NULL;
    struct secret *rebuilt = NULL;
    bool all = false;

    for (unsigned i = 0; i < COUNT; i++)
        cr_assert_eq(accept(&hall, i), WHY_NONE);
    for (unsigned i = 0; i < COUNT; i++)
        cr_assert_eq(collect(&hall, i), WHY_NONE);
    for (unsigned i = 0; i < COUNT; i++) {
        cr_assert_eq(confirm(&hall, i, &all), WHY_NONE);
        cr_assert_eq(all, i == COUNT - 1);
    }
    ceremony_finish(hall.ceremony, 1234, &root, &record);
    cr_assert_eq(record.kind, SEAL_SHARES);
    cr_assert_eq(record.threshold, THRESHOLD);
    cr_assert_eq(record.count, COUNT);
    cr_assert_eq(record.created_ms, 1234);
    cr_assert_arr_eq(record.set_id, hall.shares[0].set, sizeof record.set_id);
    for (unsigned i = 0; i < COUNT; i++) {
        uint8_t digest[SHARE_DIGEST_BYTES];
        share_digest(&hall.shares[i], digest);
        cr_assert_str_eq(record.custodians[i].name, names[i]);
        cr_assert_str_eq(record.custodians[i].certificate, certificates[i]);
        cr_assert_arr_eq(record.custodians[i].public_key, hall.public_keys[i], 32);
        cr_assert_arr_eq(record.custodians[i].digest, digest, sizeof digest);
    }
    struct shares_part parts[2] = {{3, hall.shares[2].value}, {1, hall.shares[0].value}};
    cr_assert(!failed(shares_combine(parts, 2, &rebuilt)));
    cr_assert_arr_eq(secret_peek(rebuilt), secret_peek(root), SHARES_BYTES);
    secret_free(&root);
    secret_free(&rebuilt);
    hall_close(&hall);
}

Test(ceremony, has_no_share_before_everybody_has_accepted)
{
    struct hall hall = hall_open();

    cr_assert_eq(collect(&hall, 0), WHY_CONFLICT);
    said(&hall, PROBLEM_STATE_CONFLICT, "Accept the duty first");
    cr_assert_eq(accept(&hall, 0), WHY_NONE);
    cr_assert_eq(accept(&hall, 1), WHY_NONE);
    cr_assert_eq(collect(&hall, 0), WHY_CONFLICT);
    said(&hall, PROBLEM_STATE_CONFLICT, "2 of 3 custodians have accepted");
    cr_assert_eq(accept(&hall, 2), WHY_NONE);
    cr_assert_eq(collect(&hall, 0), WHY_NONE);
    hall_close(&hall);
}

Test(ceremony, gives_each_share_once)
{
    struct hall hall = hall_open();

    for (unsigned i = 0; i < COUNT; i++)
        cr_assert_eq(accept(&hall, i), WHY_NONE);
    cr_assert_eq(collect(&hall, 1), WHY_NONE);
    cr_assert_eq(collect(&hall, 1), WHY_CONFLICT);
    said(&hall, PROBLEM_STATE_CONFLICT, "is given once");
    hall_close(&hall);
}

Test(ceremony, takes_no_step_out_of_order_or_twice)
{
    struct hall hall = hall_open();
    bool all = false;

    hall.shares[0] = (struct share){.threshold = 2, .index = 1};
    cr_assert(!failed(secret_new_key(SHARES_BYTES, &hall.shares[0].value)));
    cr_assert_eq(confirm(&hall, 0, &all), WHY_CONFLICT);
    said(&hall, PROBLEM_STATE_CONFLICT, "Collect your share first");
    share_free(&hall.shares[0]);
    cr_assert_eq(accept(&hall, 0), WHY_NONE);
    cr_assert_eq(accept(&hall, 0), WHY_CONFLICT);
    said(&hall, PROBLEM_STATE_CONFLICT, "accepted already");
    cr_assert_eq(accept(&hall, 1), WHY_NONE);
    cr_assert_eq(accept(&hall, 2), WHY_NONE);
    cr_assert_eq(collect(&hall, 0), WHY_NONE);
    cr_assert_eq(confirm(&hall, 0, &all), WHY_NONE);
    cr_assert_eq(confirm(&hall, 0, &all), WHY_CONFLICT);
    said(&hall, PROBLEM_STATE_CONFLICT, "proved your share already");
    cr_assert_not(all);
    hall_close(&hall);
}

Test(ceremony, takes_another_share_for_no_proof)
{
    struct hall hall = hall_open();
    struct ceremony_person anna = person(0);
    uint8_t digest[SHARE_DIGEST_BYTES];
    bool all = false;

    for (unsigned i = 0; i < COUNT; i++)
        cr_assert_eq(accept(&hall, i), WHY_NONE);
    for (unsigned i = 0; i < COUNT; i++)
        cr_assert_eq(collect(&hall, i), WHY_NONE);
    share_digest(&hall.shares[1], digest);
    cr_assert_eq(ceremony_confirm(hall.ceremony, &anna, digest, &all, &hall.problem).why,
                 WHY_BAD_INPUT);
    said(&hall, PROBLEM_INVALID_FIELD, "not the share that you were given");
    cr_assert_str_eq(hall.problem.field, "/digest");
    hall_close(&hall);
}

Test(ceremony, counts_no_certificate_and_no_key_for_two)
{
    struct hall hall = hall_open();
    struct ceremony_person ben = {.name = "ben", .certificate = "aa"};
    struct ceremony_person anna = {.name = "anna", .certificate = "other"};
    struct ceremony_person dora = {.name = "dora", .certificate = "dd"};
    struct ceremony_box box;
    uint8_t weak[CUSTODIAN_KEY_BYTES] = {0};

    cr_assert_eq(accept(&hall, 0), WHY_NONE);
    cr_assert_eq(ceremony_accept(hall.ceremony, &ben, hall.public_keys[1], &hall.problem).why,
                 WHY_CONFLICT);
    said(&hall, PROBLEM_STATE_CONFLICT, "accepted with this certificate");
    ben.certificate = "bb";
    cr_assert_eq(ceremony_accept(hall.ceremony, &ben, hall.public_keys[0], &hall.problem).why,
                 WHY_CONFLICT);
    said(&hall, PROBLEM_STATE_CONFLICT, "gave this public key");
    cr_assert_eq(ceremony_accept(hall.ceremony, &ben, weak, &hall.problem).why, WHY_BAD_INPUT);
    said(&hall, PROBLEM_INVALID_FIELD, "No share can be sealed to this key");
    cr_assert_eq(ceremony_accept(hall.ceremony, &dora, hall.public_keys[1], &hall.problem).why,
                 WHY_DENIED);
    said(&hall, PROBLEM_DENIED, "none of this ceremony's custodians");
    cr_assert_eq(accept(&hall, 1), WHY_NONE);
    cr_assert_eq(accept(&hall, 2), WHY_NONE);
    cr_assert_eq(ceremony_collect(hall.ceremony, &anna, NULL, &box, &hall.problem).why,
                 WHY_CONFLICT);
    said(&hall, PROBLEM_STATE_CONFLICT, "another certificate");
    hall_close(&hall);
}

Test(ceremony, gives_no_share_to_a_key_that_cannot_open_it)
{
    struct hall hall = hall_open();
    struct ceremony_person anna = person(0);
    struct ceremony_box box;

    for (unsigned i = 0; i < COUNT; i++)
        cr_assert_eq(accept(&hall, i), WHY_NONE);
    cr_assert_eq(
        ceremony_collect(hall.ceremony, &anna, hall.public_keys[1], &box, &hall.problem).why,
        WHY_BAD_INPUT);
    said(&hall, PROBLEM_INVALID_FIELD, "accepted with another key");
    cr_assert_eq(collect(&hall, 0), WHY_NONE, "it is there still");
    cr_assert_eq(ceremony_collect(hall.ceremony,
                                  &(struct ceremony_person){names[1], certificates[1]}, NULL, &box,
                                  &hall.problem)
                     .why,
                 WHY_NONE, "who says no key is not asked");
    hall_close(&hall);
}

Test(ceremony, is_planned_with_numbers_that_a_split_has)
{
    static const struct {
        unsigned threshold, count;
        const char *field;
    } rows[] = {{1, 3, "/threshold"},  {4, 3, "/threshold"},   {0, 3, "/threshold"},
                {2, 1, "/custodians"}, {2, 17, "/custodians"}, {2, 0, "/custodians"}};
    struct problem problem;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct ceremony_plan plan = plan_of(rows[i].threshold, rows[i].count);
        cr_assert_eq(ceremony_plan_check(&plan, &problem).why, WHY_BAD_INPUT, "row %zu", i);
        cr_assert_str_eq(problem.field, rows[i].field);
    }
    struct ceremony_plan plan = plan_of(16, 16);
    cr_assert(!failed(ceremony_plan_check(&plan, &problem)));
    (void)snprintf(plan.names[15], sizeof plan.names[15], "%s", plan.names[4]);
    cr_assert_eq(ceremony_plan_check(&plan, &problem).why, WHY_BAD_INPUT);
    cr_assert_str_eq(problem.field, "/custodians/15");
}

Test(ceremony, says_how_far_each_custodian_is)
{
    struct hall hall = hall_open();
    struct buffer text = BUFFER(4096);
    struct json_writer writer = json_writer_over(&text);

    cr_assert_eq(accept(&hall, 1), WHY_NONE);
    ceremony_write(hall.ceremony, 0, &writer);
    cr_assert(strstr(buffer_text(&text), "{\"name\":\"anna\",\"state\":\"asked\"}") != NULL, "%s",
              buffer_text(&text));
    cr_assert(strstr(buffer_text(&text), "\"name\":\"ben\",\"state\":\"accepted\",\"public_key\":"
                                         "\"ckpub1") != NULL);
    buffer_clear(&text);
    ceremony_say(hall.ceremony, &text);
    cr_assert_str_eq(buffer_text(&text), "2 of 3: anna, ben, cleo");
    cr_assert_eq(ceremony_ends_ms(hall.ceremony), 5000);
    buffer_free(&text);
    hall_close(&hall);
}
