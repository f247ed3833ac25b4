/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/ledger.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "base/encode.h"
#include "base/own.h"
#include "relay/ledger_rows.h"
#include "relay/ledger_sweep.h"
#include "tests/relay/ledgers.h"

TestSuite(ledger, .init = store_make, .fini = store_remove, .timeout = 60);

/* The newest entry of the log, as text. */
static const char *last_entry(struct buffer *entry)
{
    uint64_t size = audit_log_size(ledger_log(ledger));
    cr_assert_gt(size, 0u);
    *entry = BUFFER(AUDIT_ENTRY_BYTES_MAX);
    cr_assert(!failed(audit_log_entry(ledger_log(ledger), size - 1, entry)));
    return buffer_text(entry);
}

Test(ledger, writes_an_intent_and_its_entry_together)
{
    struct ledger_submission shop = submission("sub_test_1", 1, 1);
    uint64_t before = audit_log_size(ledger_log(ledger));

    cr_assert_eq(intend(&shop, NULL), LEDGER_FOUND_NOTHING);
    cr_assert(has_row(LEDGER_SUBMISSIONS, "sub_test_1"));
    cr_assert(has_row(LEDGER_OPEN, "sub_test_1"));
    cr_assert_eq(audit_log_size(ledger_log(ledger)), before + 1);
    struct buffer entry OWNED(buffer_free) = {0};
    const char *text = last_entry(&entry);
    cr_assert_neq(strstr(text, "\"card.submit\""), NULL, "%s", text);
    cr_assert_neq(strstr(text, "tok_test_a"), NULL);
    cr_assert_neq(strstr(text, "sub_test_1"), NULL);
}

Test(ledger, closes_an_attempt_with_its_outcome)
{
    struct ledger_submission shop = submission("sub_test_1", 0, 0);

    intend(&shop, NULL);
    finish(&shop, LEDGER_ANSWERED, NULL);
    cr_assert(!has_row(LEDGER_OPEN, "sub_test_1"));
    cr_assert(!has_row(LEDGER_SETTLEMENTS, "sub_test_1"), "there was no lease");
    struct buffer entry OWNED(buffer_free) = {0};
    const char *text = last_entry(&entry);
    cr_assert_neq(strstr(text, "\"card.outcome\""), NULL, "%s", text);
    cr_assert_neq(strstr(text, "\"answered\""), NULL, "%s", text);
}

Test(ledger, gives_a_kept_answer_to_the_same_request_only)
{
    struct ledger_submission first = submission("sub_test_1", 1, 1);
    struct ledger_submission again = submission("sub_test_2", 1, 1);
    struct ledger_submission other = submission("sub_test_3", 1, 2);
    struct ledger_submission elsewhere = submission("sub_test_4", 2, 1);
    struct buffer answer OWNED(buffer_free) = BUFFER(64);

    buffer_add_text(&answer, "an answer");
    cr_assert_eq(intend(&first, NULL), LEDGER_FOUND_NOTHING);
    finish(&first, LEDGER_ANSWERED, &answer);

    struct buffer kept OWNED(buffer_free) = {0};
    cr_assert_eq(intend(&again, &kept), LEDGER_FOUND_ANSWER);
    cr_assert_str_eq(buffer_text(&kept), "an answer");
    cr_assert(!has_row(LEDGER_SUBMISSIONS, "sub_test_2"), "a replay is no attempt");
    cr_assert_eq(intend(&other, NULL), LEDGER_FOUND_OTHER);
    cr_assert_eq(intend(&elsewhere, NULL), LEDGER_FOUND_NOTHING);
}

Test(ledger, names_the_submission_that_used_a_key_first)
{
    struct ledger_submission first = submission("sub_test_first", 1, 1);
    struct ledger_submission again = submission("sub_test_again", 1, 1);
    struct ledger_intent intent = {.op = {.apply = ledger_rows_intent_apply, .done = nowhere},
                                   .submission = &again};

    intend(&first, NULL);
    finish(&first, LEDGER_SENT_NO_ANSWER, NULL);
    ledger_run(ledger, &intent.op);
    cr_assert_eq(intent.found, LEDGER_FOUND_IN_DOUBT);
    cr_assert_str_eq(intent.first_id, "sub_test_first");
    buffer_free(&intent.answer);
}

Test(ledger, lets_a_key_be_tried_again_when_nothing_was_sent)
{
    struct ledger_submission first = submission("sub_test_1", 1, 1);
    struct ledger_submission again = submission("sub_test_2", 1, 1);
    struct ledger_submission other = submission("sub_test_3", 1, 2);

    intend(&first, NULL);
    finish(&first, LEDGER_NOT_SENT, NULL);
    cr_assert_eq(intend(&other, NULL), LEDGER_FOUND_OTHER);
    cr_assert_eq(intend(&again, NULL), LEDGER_FOUND_NOTHING);
    cr_assert(has_row(LEDGER_OPEN, "sub_test_2"));
}

Test(ledger, sends_nothing_again_when_bytes_left_and_no_answer_is_kept)
{
    static const struct {
        enum ledger_outcome outcome;
        enum ledger_found found;
    } cases[] = {{LEDGER_SENT_NO_ANSWER, LEDGER_FOUND_IN_DOUBT},
                 {LEDGER_ANSWERED, LEDGER_FOUND_LOST}};
    for (uint8_t i = 0; i < 2; i++) {
        struct ledger_submission first = submission("sub_test_1", (uint8_t)(i + 1), 1);
        struct ledger_submission again = submission("sub_test_2", (uint8_t)(i + 1), 1);
        intend(&first, NULL);
        finish(&first, cases[i].outcome, NULL);
        cr_expect_eq(intend(&again, NULL), cases[i].found, "case %u", i);
    }
}

Test(ledger, forgets_a_key_when_its_window_is_over)
{
    struct ledger_submission first = submission("sub_test_1", 1, 1);
    struct ledger_submission later = submission("sub_test_2", 1, 2);

    intend(&first, NULL);
    finish(&first, LEDGER_SENT_NO_ANSWER, NULL);
    later.created_ms = first.created_ms + first.window_ms - 1;
    cr_assert_eq(intend(&later, NULL), LEDGER_FOUND_OTHER);
    later.created_ms = first.created_ms + first.window_ms;
    cr_assert_eq(intend(&later, NULL), LEDGER_FOUND_NOTHING);
}

Test(ledger, calls_in_doubt_after_a_restart_what_had_no_outcome)
{
    struct ledger_submission open = submission("sub_test_open", 1, 1);
    struct ledger_submission ended = submission("sub_test_ended", 2, 1);

    intend(&open, NULL);
    intend(&ended, NULL);
    finish(&ended, LEDGER_NOT_SENT, NULL);
    uint64_t before = audit_log_size(ledger_log(ledger));
    ledger_reopen();
    cr_assert(!has_row(LEDGER_OPEN, "sub_test_open"));
    cr_assert_eq(audit_log_size(ledger_log(ledger)), before + 1);
    struct buffer entry OWNED(buffer_free) = {0};
    const char *text = last_entry(&entry);
    cr_assert_neq(strstr(text, "\"in_doubt\""), NULL, "%s", text);
    cr_assert_neq(strstr(text, "sub_test_open"), NULL);

    struct ledger_submission again = submission("sub_test_again", 1, 1);
    cr_assert_eq(intend(&again, NULL), LEDGER_FOUND_IN_DOUBT);
    struct ledger_submission retry = submission("sub_test_retry", 2, 1);
    cr_assert_eq(intend(&retry, NULL), LEDGER_FOUND_NOTHING);
}

/* Settlements as the store has them: "id outcome;". */
static void add_settlement(void *owner, const char *submission_id, enum ledger_outcome outcome)
{
    buffer_format(owner, "%s %s;", submission_id, ledger_rows_outcome_name(outcome));
}

static const char *settlements(struct buffer *text)
{
    *text = BUFFER(4096);
    cr_assert(!failed(ledger_rows_settlements(ledger, add_settlement, text)));
    return buffer_text(text);
}

Test(ledger, keeps_a_settlement_until_it_is_settled)
{
    struct ledger_submission shop = submission("sub_test_1", 0, 0);
    struct buffer before OWNED(buffer_free) = {0};
    struct buffer after OWNED(buffer_free) = {0};

    intend(&shop, NULL);
    finish_leased(&shop, LEDGER_ANSWERED, NULL, true);
    ledger_reopen();
    cr_assert_str_eq(settlements(&before), "sub_test_1 answered;");

    struct ledger_settled settled = {.op = {.apply = ledger_rows_settled_apply, .done = nowhere},
                                     .ids = {"sub_test_1"},
                                     .count = 1};
    ledger_run(ledger, &settled.op);
    cr_assert_str_eq(settlements(&after), "");
}

Test(ledger, settles_after_a_restart_what_may_have_been_leased)
{
    struct ledger_submission paid = submission("sub_test_1", 1, 1);
    struct ledger_submission bare = submission("sub_test_2", 2, 1);
    struct buffer text OWNED(buffer_free) = {0};

    bare.token_count = 0; /* It asks for no lease. */
    intend(&paid, NULL);
    intend(&bare, NULL);
    ledger_reopen();
    cr_assert_str_eq(settlements(&text), "sub_test_1 sent_no_answer;");
}

Test(ledger, sweeps_rows_that_have_had_their_time)
{
    struct ledger_submission shop = submission("sub_test_1", 1, 1);
    struct ledger_submission bare = submission("sub_test_2", 0, 0);
    int64_t now_ms = shop.created_ms;

    intend(&shop, NULL);
    intend(&bare, NULL);
    finish_leased(&shop, LEDGER_ANSWERED, NULL, true);
    finish(&bare, LEDGER_NOT_SENT, NULL);
    cr_assert_eq(swept_at(now_ms + shop.window_ms - 1), 0u);
    cr_assert_eq(swept_at(now_ms + shop.window_ms), 1u, "the key");
    cr_assert(!has_key(&shop) && has_row(LEDGER_SUBMISSIONS, "sub_test_1"));
    cr_assert_eq(swept_at(now_ms + shop.kept_ms + 1000), 2u, "both attempts");
    cr_assert(!has_row(LEDGER_SUBMISSIONS, "sub_test_1"));
    cr_assert(!has_row(LEDGER_SUBMISSIONS, "sub_test_2"));
    cr_assert(has_row(LEDGER_SETTLEMENTS, "sub_test_1"), "until the vault knows");
    cr_assert_eq(swept_at(INT64_MAX), 0u, "nothing is left to be swept");
}

Test(ledger, does_not_sweep_what_is_under_way)
{
    struct ledger_submission shop = submission("sub_test_1", 1, 1);
    int64_t late_ms = shop.created_ms + shop.kept_ms;

    intend(&shop, NULL);
    cr_assert_eq(swept_at(late_ms), 0u);
    ledger_reopen(); /* Recovery needs both rows. */
    cr_assert_eq(swept_at(late_ms), 0u, "an hour later");
    cr_assert_eq(swept_at(late_ms + 3600 * 1000), 2u);
}

Test(ledger, does_not_sweep_a_key_that_was_used_again)
{
    struct ledger_submission first = submission("sub_test_1", 1, 1);
    struct ledger_submission again = submission("sub_test_2", 1, 1);

    intend(&first, NULL);
    finish(&first, LEDGER_NOT_SENT, NULL);
    again.created_ms = first.created_ms + first.window_ms / 2;
    intend(&again, NULL);
    finish(&again, LEDGER_NOT_SENT, NULL);
    cr_assert_eq(swept_at(first.created_ms + first.window_ms), 0u);
    cr_assert(has_key(&again));
    cr_assert_eq(swept_at(again.created_ms + again.window_ms), 1u);
}

Test(ledger, sweeps_in_bounded_steps)
{
    struct ledger_sweep sweep = ledger_sweep_at(INT64_MAX, nowhere);
    char id[LEDGER_ID_MAX];

    for (unsigned i = 0; i < LEDGER_SWEEP_ROWS_MAX + 3; i++) {
        snprintf(id, sizeof id, "sub_test_%u", i);
        struct ledger_submission shop = submission(id, 0, 0);
        intend(&shop, NULL);
        finish(&shop, LEDGER_NOT_SENT, NULL);
    }
    ledger_run(ledger, &sweep.op);
    cr_assert_eq(sweep.count, LEDGER_SWEEP_ROWS_MAX);
    ledger_run(ledger, &sweep.op);
    cr_assert_eq(sweep.count, 3u);
}

static STATUS break_apply(struct ledger_op *op, struct ledger *in, struct db_batch *batch)
{
    struct audit_entry entry = {
        .actor = "-", .origin = "test", .event = "card.submit", .outcome = "never seen"};

    (void)op;
    db_batch_put(batch, ledger_db(in), LEDGER_OPEN, "sub_test_broken", 15, "x", 1);
    TRY(ledger_audit(in, batch, &entry));
    return FAIL(WHY_BAD_INPUT);
}

Test(ledger, takes_back_what_a_failed_operation_added_and_nothing_else)
{
    struct ledger_submission shop = submission("sub_test_1", 0, 0);
    struct ledger_submission bank = submission("sub_test_2", 0, 0);
    struct ledger_intent first = {.op = {.apply = ledger_rows_intent_apply, .done = nowhere},
                                  .submission = &shop};
    struct ledger_op broken = {.apply = break_apply, .done = nowhere};
    struct ledger_intent last = {.op = {.apply = ledger_rows_intent_apply, .done = nowhere},
                                 .submission = &bank};

    first.op.work.next = &broken.work;
    broken.work.next = &last.op.work;
    ledger_run(ledger, &first.op);
    cr_assert(!failed(first.op.status) && !failed(last.op.status));
    cr_assert_eq(broken.status.why, WHY_BAD_INPUT);
    cr_assert(has_row(LEDGER_OPEN, "sub_test_1") && has_row(LEDGER_OPEN, "sub_test_2"));
    cr_assert(!has_row(LEDGER_OPEN, "sub_test_broken"));
    cr_assert_eq(audit_log_size(ledger_log(ledger)), 2u);
    buffer_free(&first.answer);
    buffer_free(&last.answer);
}

Test(ledger, refuses_a_row_that_it_would_not_write)
{
    struct ledger_submission shop = submission("sub_test_1", 1, 1);
    struct ledger_intent intent = {.op = {.apply = ledger_rows_intent_apply, .done = nowhere},
                                   .submission = &shop};
    OWNED(db_batch_free) struct db_batch *batch = NULL;
    struct buffer row OWNED(buffer_free) = BUFFER(4096);

    intend(&shop, NULL);
    cr_assert(!failed(db_batch_new(&batch)));
    cr_assert(!failed(db_get(ledger_db(ledger), LEDGER_KEYS, shop.key, sizeof shop.key, &row)));
    for (size_t at = 0; at < 2; at++) { /* Version and state. */
        row.bytes[at] ^= 0x40;
        db_batch_put(batch, ledger_db(ledger), LEDGER_KEYS, shop.key, sizeof shop.key, row.bytes,
                     row.size);
        cr_assert(!failed(db_commit(ledger_db(ledger), batch)));
        db_batch_clear(batch);
        ledger_run(ledger, &intent.op);
        cr_expect_eq(intent.op.status.why, WHY_FORGED, "byte %zu", at);
        row.bytes[at] ^= 0x40;
    }
    buffer_free(&intent.answer);
}

Test(ledger, is_opened_by_one_process_at_a_time)
{
    struct ledger *second = NULL;
    char error[256] = "";

    struct status status = ledger_open(store, "relay.test/log", &second, error, sizeof error);
    cr_assert_eq(status.why, WHY_BUSY);
    cr_assert_neq(strstr(error, store), NULL, "%s", error);
}

/* An op with what its owner wants to know of it. */
struct homing {
    struct ledger_intent intent;
    struct loop *loop;
    unsigned *left;
};

static void on_home(struct ledger_op *op)
{
    struct homing *homing = (struct homing *)op;

    cr_expect(!failed(op->status));
    if (--*homing->left == 0)
        loop_stop(homing->loop);
}

Test(ledger, brings_every_operation_home_to_the_loop)
{
    OWNED(loop_free) struct loop *loop = NULL;
    struct ledger_submission shops[32];
    struct homing homings[32];
    unsigned left = 32;

    cr_assert(!failed(loop_new(&loop)));
    cr_assert(!failed(ledger_start(ledger, loop, 64)));
    for (unsigned i = 0; i < 32; i++) {
        char id[LEDGER_ID_MAX];
        snprintf(id, sizeof id, "sub_test_%u", i);
        shops[i] = submission(id, (uint8_t)(i + 1), 1);
        homings[i] =
            (struct homing){.intent = {.op = {.apply = ledger_rows_intent_apply, .done = on_home},
                                       .submission = &shops[i]},
                            .loop = loop,
                            .left = &left};
        cr_assert(!failed(ledger_submit(ledger, &homings[i].intent.op)));
    }
    cr_assert_eq(left, 32u, "not from inside ledger_submit()");
    loop_run(loop);
    ledger_stop(ledger);
    cr_assert_eq(left, 0u);
    cr_assert_eq(audit_log_size(ledger_log(ledger)), 32u);
    for (unsigned i = 0; i < 32; i++)
        buffer_free(&homings[i].intent.answer);
}
