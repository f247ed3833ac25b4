/* SPDX-License-Identifier: Apache-2.0 */
/* An idempotency key whose window is over goes to the next that uses it, whatever became of the
 * attempt that had it. */
#include <criterion/criterion.h>

#include "tests/relay/ledgers.h"

TestSuite(ledger_keys, .init = store_make, .fini = store_remove, .timeout = 60);

/* One that uses the key of `first` once its window is over. */
static struct ledger_submission after(const struct ledger_submission *first, const char *id)
{
    struct ledger_submission next = submission(id, first->key[0], 2);

    next.created_ms = first->created_ms + first->window_ms;
    return next;
}

/* What a repeat of it finds. */
static enum ledger_found repeated(const struct ledger_submission *of, struct buffer *out_answer)
{
    struct ledger_submission again = *of;

    snprintf(again.id, sizeof again.id, "sub_test_again");
    return intend(&again, out_answer);
}

Test(ledger_keys, leaves_a_key_to_the_next_when_the_first_has_no_outcome)
{
    struct ledger_submission first = submission("sub_test_1", 1, 1);
    struct ledger_submission next = after(&first, "sub_test_2");
    struct buffer answer OWNED(buffer_free) = BUFFER(64);
    struct buffer kept OWNED(buffer_free) = {0};

    buffer_add_text(&answer, "an answer");
    intend(&first, NULL);
    cr_assert_eq(intend(&next, NULL), LEDGER_FOUND_NOTHING);
    finish(&next, LEDGER_ANSWERED, &answer);
    ledger_reopen();
    cr_assert(!has_row(LEDGER_OPEN, "sub_test_1"));
    cr_assert_eq(repeated(&next, &kept), LEDGER_FOUND_ANSWER);
    cr_assert_str_eq(buffer_text(&kept), "an answer");
}

Test(ledger_keys, calls_only_the_one_that_has_the_key_in_doubt)
{
    struct ledger_submission first = submission("sub_test_1", 1, 1);
    struct ledger_submission next = after(&first, "sub_test_2");

    intend(&first, NULL);
    intend(&next, NULL);
    ledger_reopen();
    cr_assert(!has_row(LEDGER_OPEN, "sub_test_1") && !has_row(LEDGER_OPEN, "sub_test_2"));
    cr_assert_eq(repeated(&next, NULL), LEDGER_FOUND_IN_DOUBT);
}

Test(ledger_keys, opens_when_a_key_went_before_the_attempt_that_had_it)
{
    struct ledger_submission first = submission("sub_test_1", 1, 1);
    struct ledger_submission next = after(&first, "sub_test_2");

    intend(&first, NULL);
    intend(&next, NULL);
    finish(&next, LEDGER_ANSWERED, NULL);
    cr_assert_eq(swept_at(next.created_ms), 0u, "it was used again");
    cr_assert_eq(swept_at(next.created_ms + next.window_ms), 1u);
    cr_assert(!has_key(&first) && has_row(LEDGER_OPEN, "sub_test_1"));
    ledger_reopen();
    cr_assert(!has_row(LEDGER_OPEN, "sub_test_1"));
    cr_assert(!has_key(&first), "nothing is known of it any more");
}

static STATUS withdraw_apply(struct ledger_op *op, struct ledger *of, struct db_batch *batch)
{
    (void)op;
    return ledger_rows_withdraw(of, batch, "sub_test_1");
}

static void withdraw(void)
{
    struct ledger_op op = {.apply = withdraw_apply, .done = nowhere};

    ledger_run(ledger, &op);
    cr_assert(!failed(op.status), "%s", op.status.where);
    cr_assert(!has_row(LEDGER_OPEN, "sub_test_1"));
}

Test(ledger_keys, is_left_alone_when_what_had_it_is_withdrawn)
{
    struct ledger_submission first = submission("sub_test_1", 1, 1);
    struct ledger_submission next = after(&first, "sub_test_2");

    intend(&first, NULL);
    intend(&next, NULL);
    finish(&next, LEDGER_SENT_NO_ANSWER, NULL);
    withdraw();
    cr_assert_eq(repeated(&next, NULL), LEDGER_FOUND_IN_DOUBT, "not as if it were not sent");
}

Test(ledger_keys, may_be_gone_when_what_had_it_is_withdrawn)
{
    struct ledger_submission first = submission("sub_test_1", 1, 1);
    struct ledger_submission next = after(&first, "sub_test_2");

    intend(&first, NULL);
    intend(&next, NULL);
    finish(&next, LEDGER_NOT_SENT, NULL);
    swept_at(next.created_ms + next.window_ms);
    cr_assert(!has_key(&first));
    withdraw();
}

Test(ledger_keys, is_not_swept_by_the_batch_that_uses_it_again)
{
    struct ledger_submission first = submission("sub_test_1", 1, 1);
    struct ledger_submission next = after(&first, "sub_test_2");
    struct ledger_submission last = submission("sub_test_3", 2, 1);
    struct ledger_intent again = {.op = {.apply = ledger_rows_intent_apply, .done = nowhere},
                                  .submission = &next};
    struct ledger_sweep sweep = ledger_sweep_at(next.created_ms, nowhere);
    struct ledger_intent behind = {.op = {.apply = ledger_rows_intent_apply, .done = nowhere},
                                   .submission = &last};

    intend(&first, NULL);
    finish(&first, LEDGER_ANSWERED, NULL);
    again.op.work.next = &sweep.op.work;
    sweep.op.work.next = &behind.op.work;
    ledger_run(ledger, &again.op);
    cr_assert(!failed(again.op.status) && !failed(sweep.op.status) && !failed(behind.op.status));
    cr_assert_eq(again.found, LEDGER_FOUND_NOTHING);
    cr_assert_eq(sweep.deleted, 0u);
    cr_assert(has_key(&next) && has_key(&last));
    cr_assert(has_row(LEDGER_OPEN, "sub_test_2") && has_row(LEDGER_OPEN, "sub_test_3"));
    ledger_reopen(); /* As if it had been killed. */
    cr_assert_eq(repeated(&next, NULL), LEDGER_FOUND_IN_DOUBT, "it may have been sent");
    buffer_free(&again.answer);
    buffer_free(&behind.answer);
}

Test(ledger_keys, goes_to_what_follows_the_sweep_in_its_batch)
{
    struct ledger_submission first = submission("sub_test_1", 1, 1);
    struct ledger_submission next = after(&first, "sub_test_2");
    struct ledger_sweep sweep = ledger_sweep_at(next.created_ms, nowhere);
    struct ledger_intent again = {.op = {.apply = ledger_rows_intent_apply, .done = nowhere},
                                  .submission = &next};

    intend(&first, NULL);
    finish(&first, LEDGER_ANSWERED, NULL);
    sweep.op.work.next = &again.op.work;
    ledger_run(ledger, &sweep.op);
    cr_assert(!failed(sweep.op.status) && !failed(again.op.status));
    cr_assert_eq(sweep.deleted, 1u);
    cr_assert(has_key(&next), "deleted, then put");
    ledger_reopen();
    cr_assert_eq(repeated(&next, NULL), LEDGER_FOUND_IN_DOUBT);
    buffer_free(&again.answer);
}
