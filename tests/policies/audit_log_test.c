/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/policies/audit_support.h"

#include <string.h>

TestSuite(audit_log, .init = audit_start, .fini = audit_stop);

static enum why why_not_opened(void)
{
    struct audit_log *opened = NULL;
    struct status status = audit_log_open(db, &families, ORIGIN, &opened);
    cr_assert_eq(failed(status), opened == NULL, "a failure hands out nothing");
    audit_log_free(&opened);
    return status.why;
}

static void flip(unsigned family, const void *row, size_t row_size, size_t bit)
{
    OWNED(buffer_free) struct buffer value = BUFFER(65536);
    cr_assert(!failed(db_get(db, family, row, row_size, &value)));
    value.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    overwrite(family, row, row_size, value.bytes, value.size);
}

static size_t value_size(unsigned family, const void *row, size_t row_size)
{
    OWNED(buffer_free) struct buffer value = BUFFER(65536);
    cr_assert(!failed(db_get(db, family, row, row_size, &value)));
    return value.size;
}

/* The root over the stored entries, without the log's help. */
static void root_of_entries(uint64_t count, uint8_t *out)
{
    struct merkle_frontier frontier = {0};
    for (uint64_t seq = 0; seq < count; seq++) {
        OWNED(buffer_free) struct buffer entry = BUFFER(AUDIT_ENTRY_BYTES_MAX);
        uint8_t leaf[MERKLE_HASH_BYTES];
        cr_assert(!failed(audit_log_entry(audit, seq, &entry)));
        merkle_leaf(entry.bytes, entry.size, leaf);
        merkle_add(&frontier, leaf);
    }
    merkle_root(&frontier, out);
}

static void assert_root(uint64_t size)
{
    uint8_t wanted[MERKLE_HASH_BYTES];
    uint8_t root[MERKLE_HASH_BYTES];
    cr_assert_eq(audit_log_size(audit), size);
    root_of_entries(size, wanted);
    audit_log_root(audit, root);
    cr_assert_arr_eq(root, wanted, MERKLE_HASH_BYTES);
}

Test(audit_log, begins_empty)
{
    cr_assert_eq(audit_log_size(audit), 0);
    cr_assert_eq(audit_log_next_seq(audit), 0);
    assert_root(0);
}

Test(audit_log, is_the_tree_of_its_stored_entries_also_when_opened_again)
{
    for (unsigned count = 1; count < 8; count++) {
        append(count);
        commit();
        assert_root(count * (count + 1) / 2);
    }
    log_reopen();
    assert_root(28);
    append(5);
    commit();
    assert_root(33);
}

Test(audit_log, does_not_count_what_is_pending)
{
    append(3);
    cr_assert_eq(audit_log_size(audit), 0);
    cr_assert_eq(audit_log_next_seq(audit), 3);
}

Test(audit_log, forgets_a_batch_that_was_not_committed)
{
    append(2);
    commit();
    append(3);
    audit_log_seal(audit, batch);
    audit_log_abandon(audit);
    db_batch_clear(batch);
    cr_assert_eq(audit_log_next_seq(audit), 2);
    append(1);
    commit();
    assert_root(3);
    log_reopen();
    assert_root(3);
}

Test(audit_log, takes_back_the_appends_of_one_operation)
{
    append(2);
    unsigned mark = db_batch_count(batch);
    append(3);
    audit_log_rewind(audit, 2);
    db_batch_rewind(batch, mark);
    cr_assert_eq(audit_log_next_seq(audit), 2);
    append(2);
    commit();
    assert_root(4);
    log_reopen();
    assert_root(4);
}

Test(audit_log, refuses_an_entry_that_is_too_long_and_goes_on)
{
    static char text[AUDIT_ENTRY_BYTES_MAX];
    struct audit_entry entry = some_entry();
    uint64_t seq = 0;

    memset(text, 'x', sizeof text - 1);
    entry.detail = text;
    append(1);
    cr_assert_eq(audit_log_append(audit, batch, &entry, &seq).why, WHY_LIMIT);
    append(1);
    commit();
    assert_root(2);
}

Test(audit_log, does_not_open_with_any_bit_of_its_frontier_changed)
{
    append(5);
    commit();
    size_t bits = 8 * value_size(families.state, "frontier", 8);
    for (size_t bit = 0; bit < bits; bit++) {
        flip(families.state, "frontier", 8, bit);
        cr_expect_eq(why_not_opened(), WHY_FORGED, "bit %zu", bit);
        flip(families.state, "frontier", 8, bit);
    }
    cr_assert_eq(why_not_opened(), WHY_NONE);
}

Test(audit_log, does_not_open_with_an_entry_changed_behind_its_last_checkpoint)
{
    uint8_t row[9];
    append(3);
    commit();
    checkpoint_and_commit();
    append(3);
    commit();
    for (uint64_t seq = 3; seq < 6; seq++) {
        size_t size = row_key(seq, false, row);
        flip(families.entries, row, size, 8);
        cr_expect_eq(why_not_opened(), WHY_FORGED);
        flip(families.entries, row, size, 8);
    }
    cr_assert_eq(why_not_opened(), WHY_NONE);
}

Test(audit_log, does_not_open_with_an_entry_missing_or_one_too_many)
{
    uint8_t row[9];
    append(4);
    commit();
    OWNED(buffer_free) struct buffer entry = BUFFER(AUDIT_ENTRY_BYTES_MAX);
    cr_assert(!failed(audit_log_entry(audit, 3, &entry)));

    size_t size = row_key(4, false, row);
    overwrite(families.entries, row, size, entry.bytes, entry.size);
    cr_expect_eq(why_not_opened(), WHY_FORGED, "one too many");
    erase(families.entries, row, size);
    cr_expect_eq(why_not_opened(), WHY_NONE);

    size = row_key(3, false, row);
    erase(families.entries, row, size);
    cr_expect_eq(why_not_opened(), WHY_FORGED, "the last one missing");
    overwrite(families.entries, row, size, entry.bytes, entry.size);
    size = row_key(1, false, row);
    erase(families.entries, row, size);
    cr_expect_eq(why_not_opened(), WHY_FORGED, "one in the middle missing");
}

Test(audit_log, does_not_open_without_its_frontier)
{
    append(1);
    commit();
    erase(families.state, "frontier", 8);
    cr_assert_eq(why_not_opened(), WHY_FORGED);
}

Test(audit_log, does_not_open_with_a_bit_of_its_checkpoint_s_text_or_frontier_changed)
{
    uint8_t row[9];
    append(5);
    commit();
    checkpoint_and_commit();
    append(1);
    commit();
    cr_assert_eq(why_not_opened(), WHY_NONE);

    /* The text only: whether the signature holds is asked by who has the key. */
    size_t size = row_key(5, false, row);
    size_t text_bits = 8 * (strlen(ORIGIN) + 3 + 45);
    for (size_t bit = 0; bit < text_bits; bit++) {
        flip(families.checkpoints, row, size, bit);
        cr_expect_eq(why_not_opened(), WHY_FORGED, "note, bit %zu", bit);
        flip(families.checkpoints, row, size, bit);
    }
    size = row_key(5, true, row);
    size_t bits = 8 * value_size(families.checkpoints, row, size);
    for (size_t bit = 0; bit < bits; bit++) {
        flip(families.checkpoints, row, size, bit);
        cr_expect_eq(why_not_opened(), WHY_FORGED, "frontier, bit %zu", bit);
        flip(families.checkpoints, row, size, bit);
    }
    cr_assert_eq(why_not_opened(), WHY_NONE);
}

Test(audit_log, does_not_open_with_half_a_checkpoint)
{
    uint8_t row[9];
    append(2);
    commit();
    checkpoint_and_commit();
    size_t size = row_key(2, true, row);
    erase(families.checkpoints, row, size);
    cr_assert_eq(why_not_opened(), WHY_FORGED);
}

Test(audit_log, does_not_open_when_cut_back_behind_its_checkpoint)
{
    OWNED(buffer_free) struct buffer before = BUFFER(4096);
    uint8_t row[9];
    append(2);
    commit();
    cr_assert(!failed(db_get(db, families.state, "frontier", 8, &before)));
    append(1);
    commit();
    checkpoint_and_commit();
    /* A consistent older state, but for the checkpoint. */
    overwrite(families.state, "frontier", 8, before.bytes, before.size);
    size_t size = row_key(2, false, row);
    erase(families.entries, row, size);
    cr_assert_eq(why_not_opened(), WHY_FORGED);
}

Test(audit_log, does_not_open_under_another_origin_once_it_was_signed)
{
    struct audit_log *opened = NULL;
    append(1);
    commit();
    checkpoint_and_commit();
    cr_assert_eq(audit_log_open(db, &families, "vault.example/other", &opened).why, WHY_FORGED);
}

static enum why why_unchecked(const struct checkpoint *last)
{
    char error[256] = "";
    enum why why = audit_log_check(audit, last, error, sizeof error).why;
    cr_assert_eq(why == WHY_NONE, error[0] == '\0', "people are told, and only then");
    return why;
}

/* A signer may be ahead of the newest checkpoint, by a crash in between, but never behind. */
Test(audit_log, passes_the_check_from_the_newest_checkpoint_on)
{
    struct checkpoint at[12];
    at[0] = checkpoint_now();
    for (unsigned i = 1; i < 12; i++) {
        append(3);
        commit();
        at[i] = checkpoint_now();
        if (i % 4 == 0)
            checkpoint_and_commit();
    }
    for (unsigned i = 0; i < 12; i++)
        cr_expect_eq(why_unchecked(&at[i]), i < 8 ? WHY_CONFLICT : WHY_NONE, "%u", i);
    log_reopen();
    for (unsigned i = 0; i < 12; i++)
        cr_expect_eq(why_unchecked(&at[i]), i < 8 ? WHY_CONFLICT : WHY_NONE, "%u, opened again", i);
}

Test(audit_log, fails_the_check_when_the_store_is_older_than_what_was_signed)
{
    append(3);
    commit();
    struct checkpoint last = checkpoint_now();
    last.size++;
    cr_assert_eq(why_unchecked(&last), WHY_CONFLICT);
}

Test(audit_log, fails_the_check_when_another_tree_was_signed)
{
    append(3);
    commit();
    struct checkpoint last = checkpoint_now();
    append(1);
    commit();
    for (unsigned bit = 0; bit < 8 * MERKLE_HASH_BYTES; bit += 5) {
        last.root[bit / 8] ^= (uint8_t)(1u << bit % 8);
        cr_expect_eq(why_unchecked(&last), WHY_CONFLICT);
        last.root[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    last.origin[0] = 'V';
    cr_assert_eq(why_unchecked(&last), WHY_CONFLICT);
}

static void assert_leaves(uint64_t from, unsigned count)
{
    OWNED(buffer_free) struct buffer leaves = BUFFER(1u << 20);
    cr_assert(!failed(audit_log_leaves(audit, from, count, &leaves)));
    cr_assert_eq(leaves.size, count * MERKLE_HASH_BYTES);
    for (unsigned i = 0; i < count; i++) {
        OWNED(buffer_free) struct buffer entry = BUFFER(AUDIT_ENTRY_BYTES_MAX);
        uint8_t leaf[MERKLE_HASH_BYTES];
        cr_assert(!failed(audit_log_entry(audit, from + i, &entry)));
        merkle_leaf(entry.bytes, entry.size, leaf);
        cr_assert_arr_eq(leaves.bytes + i * MERKLE_HASH_BYTES, leaf, sizeof leaf);
    }
}

Test(audit_log, gives_leaves_from_memory_from_the_store_and_across)
{
    append(6);
    commit();
    log_reopen(); /* These six are in the store only. */
    append(6);
    commit();
    assert_leaves(0, 12);
    assert_leaves(2, 3);
    assert_leaves(6, 6);
    assert_leaves(5, 2);
    assert_leaves(12, 0);
    checkpoint_and_commit();
    append(1);
    commit();
    assert_leaves(0, 13);

    OWNED(buffer_free) struct buffer leaves = BUFFER(1u << 20);
    append(1); /* Pending, so not there. */
    cr_assert_eq(audit_log_leaves(audit, 13, 1, &leaves).why, WHY_NOT_FOUND);
    cr_assert_eq(audit_log_leaves(audit, 12, 2, &leaves).why, WHY_NOT_FOUND);
    cr_assert_eq(audit_log_leaves(audit, UINT64_MAX, 2, &leaves).why, WHY_NOT_FOUND);
}

Test(audit_log, stores_a_checkpoint_of_fewer_entries_than_it_holds_by_now)
{
    OWNED(buffer_free) struct buffer stored = BUFFER(NOTE_BYTES_MAX);
    OWNED(buffer_free) struct buffer note = BUFFER(NOTE_BYTES_MAX);
    append(4);
    commit();
    struct checkpoint then = checkpoint_now();
    append(7);
    commit();
    cr_assert(!failed(put_checkpoint(&then)));
    append(1);
    commit();
    cr_assert(!failed(audit_log_last_checkpoint(audit, &stored)));
    sign_checkpoint(&then, &note);
    cr_assert_str_eq(buffer_text(&stored), buffer_text(&note));
    log_reopen();
    assert_root(12);
}

Test(audit_log, has_no_checkpoint_before_the_first)
{
    OWNED(buffer_free) struct buffer note = BUFFER(NOTE_BYTES_MAX);
    append(1);
    commit();
    cr_assert_eq(audit_log_last_checkpoint(audit, &note).why, WHY_NOT_FOUND);
}

Test(audit_log, stores_no_checkpoint_of_another_tree)
{
    append(4);
    commit();
    struct checkpoint other = checkpoint_now();
    other.size = 5;
    cr_expect_eq(put_checkpoint(&other).why, WHY_CONFLICT, "beyond the end");
    other.size = 3;
    cr_expect_eq(put_checkpoint(&other).why, WHY_CONFLICT, "another root");
    other = checkpoint_now();
    other.root[0] ^= 1;
    cr_expect_eq(put_checkpoint(&other).why, WHY_CONFLICT, "another root");
    cr_expect_eq(audit_log_put_checkpoint(audit, batch, "no note\n", 8).why, WHY_BAD_INPUT);
    cr_assert_eq(db_batch_count(batch), 0);
}

Test(audit_log, stores_no_checkpoint_older_than_its_newest)
{
    append(2);
    commit();
    struct checkpoint two = checkpoint_now();
    append(2);
    commit();
    checkpoint_and_commit();
    cr_assert_eq(put_checkpoint(&two).why, WHY_CONFLICT);
}

Test(audit_log, forgets_a_checkpoint_whose_batch_was_not_committed)
{
    append(3);
    commit();
    struct checkpoint three = checkpoint_now();
    cr_assert(!failed(put_checkpoint(&three)));
    append(1);
    audit_log_seal(audit, batch);
    audit_log_abandon(audit);
    db_batch_clear(batch);
    /* An older one may be stored still. */
    append(2);
    commit();
    cr_assert(!failed(put_checkpoint(&three)));
    commit();
    log_reopen();
    assert_root(5);
}

Test(audit_log, refuses_more_entries_than_a_batch_may_have)
{
    struct audit_entry entry = some_entry();
    struct status status = STATUS_OK;
    uint64_t seq = 0;
    for (unsigned i = 0; i <= 65536 && !failed(status); i++)
        status = audit_log_append(audit, batch, &entry, &seq);
    cr_assert_eq(status.why, WHY_BUSY);
    cr_assert_eq(audit_log_next_seq(audit), 65536);
}
