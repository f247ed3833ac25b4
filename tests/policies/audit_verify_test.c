/* SPDX-License-Identifier: Apache-2.0 */
#include "policies/audit_verify.h"

#include <string.h>

#include "tests/policies/audit_support.h"

/* Nine entries; checkpoints of 3, 6 and 8, so that one entry is not signed yet. */
static void fill(void)
{
    audit_start();
    append(3);
    commit();
    checkpoint_and_commit();
    append(3);
    commit();
    checkpoint_and_commit();
    append(2);
    commit();
    checkpoint_and_commit();
    append(1);
    commit();
}

TestSuite(audit_verify, .init = fill, .fini = audit_stop);

static struct audit_verdict verdict_of_store(void)
{
    struct audit_verdict verdict;
    cr_assert(!failed(audit_verify_store(db, &families, ORIGIN, &key, &verdict)));
    cr_assert_eq(verdict.good, verdict.trouble[0] == '\0');
    return verdict;
}

Test(audit_verify, finds_a_good_log_good)
{
    uint8_t root[MERKLE_HASH_BYTES];
    struct audit_verdict verdict = verdict_of_store();
    cr_assert(verdict.good, "%s", verdict.trouble);
    cr_assert_eq(verdict.entries, 9);
    cr_assert_eq(verdict.checkpoints, 3);
    cr_assert_eq(verdict.signed_size, 8);
    audit_log_root(audit, root);
    cr_assert_arr_eq(verdict.root, root, sizeof root);
}

Test(audit_verify, reads_a_store_opened_read_only)
{
    audit_log_free(&audit);
    db_close(&db);
    store_open(true);
    struct audit_verdict verdict = verdict_of_store();
    cr_assert(verdict.good, "%s", verdict.trouble);
}

/* Flips each bit of one row, which the verdict must name as trouble every time. */
static void finds_every_flip(unsigned family, const void *row, size_t row_size)
{
    OWNED(buffer_free) struct buffer value = BUFFER(65536);
    cr_assert(!failed(db_get(db, family, row, row_size, &value)));
    for (size_t bit = 0; bit < 8 * value.size; bit++) {
        value.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        db_batch_put(batch, db, family, row, row_size, value.bytes, value.size);
        cr_assert(!failed(db_commit(db, batch)));
        db_batch_clear(batch);
        cr_expect(!verdict_of_store().good, "family %u, bit %zu", family, bit);
        value.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    overwrite(family, row, row_size, value.bytes, value.size);
    cr_assert(verdict_of_store().good);
}

Test(audit_verify, finds_any_bit_of_any_entry_changed)
{
    uint8_t row[9];
    for (uint64_t seq = 0; seq < 9; seq += 4) {
        size_t size = row_key(seq, false, row);
        finds_every_flip(families.entries, row, size);
    }
}

Test(audit_verify, finds_any_bit_of_any_checkpoint_changed)
{
    uint8_t row[9];
    for (uint64_t at = 3; at < 9; at += 5) {
        size_t size = row_key(at, false, row);
        finds_every_flip(families.checkpoints, row, size);
        size = row_key(at, true, row);
        finds_every_flip(families.checkpoints, row, size);
    }
}

Test(audit_verify, finds_any_bit_of_the_frontier_changed)
{
    finds_every_flip(families.state, "frontier", 8);
}

/* Moves a row to every key that differs from its own in one bit. */
static void finds_every_move(unsigned family, const uint8_t *row, size_t row_size)
{
    OWNED(buffer_free) struct buffer value = BUFFER(65536);
    cr_assert(!failed(db_get(db, family, row, row_size, &value)));
    for (size_t bit = 0; bit < 8 * row_size; bit++) {
        uint8_t moved[9];
        OWNED(buffer_free) struct buffer there = BUFFER(65536);
        memcpy(moved, row, row_size);
        moved[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (!failed(db_get(db, family, moved, row_size, &there)))
            continue; /* Taken by another row. */
        erase(family, row, row_size);
        overwrite(family, moved, row_size, value.bytes, value.size);
        cr_expect(!verdict_of_store().good, "family %u, key bit %zu", family, bit);
        erase(family, moved, row_size);
        overwrite(family, row, row_size, value.bytes, value.size);
    }
    cr_assert(verdict_of_store().good);
}

Test(audit_verify, finds_any_row_moved)
{
    uint8_t row[9];
    size_t size = row_key(4, false, row);
    finds_every_move(families.entries, row, size);
    size = row_key(8, false, row);
    finds_every_move(families.entries, row, size);
    size = row_key(6, false, row);
    finds_every_move(families.checkpoints, row, size);
    size = row_key(8, false, row);
    finds_every_move(families.checkpoints, row, size);
    size = row_key(3, true, row);
    finds_every_move(families.checkpoints, row, size);
}

Test(audit_verify, finds_any_entry_missing)
{
    for (uint64_t seq = 0; seq < 9; seq++) {
        OWNED(buffer_free) struct buffer value = BUFFER(65536);
        uint8_t row[9];
        size_t size = row_key(seq, false, row);
        cr_assert(!failed(audit_log_entry(audit, seq, &value)));
        erase(families.entries, row, size);
        cr_expect(!verdict_of_store().good, "%u", (unsigned)seq);
        overwrite(families.entries, row, size, value.bytes, value.size);
    }
}

Test(audit_verify, finds_two_entries_exchanged)
{
    OWNED(buffer_free) struct buffer first = BUFFER(65536);
    OWNED(buffer_free) struct buffer second = BUFFER(65536);
    uint8_t row[9];
    cr_assert(!failed(audit_log_entry(audit, 4, &first)));
    cr_assert(!failed(audit_log_entry(audit, 5, &second)));
    size_t size = row_key(4, false, row);
    overwrite(families.entries, row, size, second.bytes, second.size);
    size = row_key(5, false, row);
    overwrite(families.entries, row, size, first.bytes, first.size);
    struct audit_verdict verdict = verdict_of_store();
    cr_assert(!verdict.good);
    cr_assert_not_null(strstr(verdict.trouble, "entry 4"), "%s", verdict.trouble);
}

Test(audit_verify, names_the_truncation_of_a_log_that_was_cut_with_its_frontier)
{
    struct audit_verify *verify = NULL;
    struct audit_verdict verdict;
    OWNED(buffer_free) struct buffer note = BUFFER(NOTE_BYTES_MAX);

    cr_assert(!failed(audit_verify_new(ORIGIN, &key, &verify)));
    for (uint64_t seq = 0; seq < 7; seq++) {
        OWNED(buffer_free) struct buffer entry = BUFFER(AUDIT_ENTRY_BYTES_MAX);
        cr_assert(!failed(audit_log_entry(audit, seq, &entry)));
        audit_verify_entry(verify, entry.bytes, entry.size);
    }
    cr_assert(!failed(audit_log_last_checkpoint(audit, &note)));
    audit_verify_checkpoint(verify, note.bytes, note.size);
    audit_verify_end(verify, &verdict);
    cr_assert(!verdict.good);
    cr_assert_str_eq(verdict.trouble, "the log ends before entry 7, but 8 were signed");
    audit_verify_free(&verify);
}

Test(audit_verify, does_not_find_a_log_good_that_nobody_signed)
{
    struct audit_verify *verify = NULL;
    struct audit_verdict verdict;
    OWNED(buffer_free) struct buffer entry = BUFFER(AUDIT_ENTRY_BYTES_MAX);

    cr_assert(!failed(audit_verify_new(ORIGIN, &key, &verify)));
    cr_assert(!failed(audit_log_entry(audit, 0, &entry)));
    audit_verify_entry(verify, entry.bytes, entry.size);
    audit_verify_end(verify, &verdict);
    cr_assert(!verdict.good);
    cr_assert_eq(verdict.entries, 1);
    audit_verify_free(&verify);
}

Test(audit_verify, does_not_believe_another_key_or_origin)
{
    struct audit_verdict verdict;
    struct note_key other = key;
    OWNED(secret_free) struct secret *other_seed = NULL;

    cr_assert(!failed(secret_new_key(32, &other_seed)));
    memset(secret_bytes(other_seed), 1, 32);
    cr_assert(!failed(note_key_from_seed(ORIGIN, other_seed, &other)));
    cr_assert(!failed(audit_verify_store(db, &families, ORIGIN, &other, &verdict)));
    cr_expect(!verdict.good);
    cr_assert(!failed(audit_verify_store(db, &families, "vault.example/2", &key, &verdict)));
    cr_expect(!verdict.good);
}

/* One entry's text, alone in a log of one, under a good checkpoint of it. */
static bool good_alone(const char *text)
{
    struct audit_verify *verify = NULL;
    struct audit_verdict verdict;
    struct merkle_frontier frontier = {0};
    struct checkpoint checkpoint = {.origin = ORIGIN, .size = 1};
    OWNED(buffer_free) struct buffer note = BUFFER(NOTE_BYTES_MAX);
    uint8_t leaf[MERKLE_HASH_BYTES];

    merkle_leaf(text, strlen(text), leaf);
    merkle_add(&frontier, leaf);
    merkle_root(&frontier, checkpoint.root);
    sign_checkpoint(&checkpoint, &note);
    cr_assert(!failed(audit_verify_new(ORIGIN, &key, &verify)));
    audit_verify_checkpoint(verify, note.bytes, note.size);
    audit_verify_entry(verify, text, strlen(text));
    audit_verify_end(verify, &verdict);
    audit_verify_free(&verify);
    return verdict.good;
}

/* A log of `count` whole entries, its last one told as `last` would have it, under the checkpoint
 * of the log that was signed: what somebody makes who may write the whole store, tree and all. */
static bool good_rewritten(unsigned count, const char *last)
{
    struct audit_verify *verify = NULL;
    struct audit_verdict verdict;
    struct merkle_frontier frontier = {0};
    struct checkpoint checkpoint = {.origin = ORIGIN, .size = count};
    OWNED(buffer_free) struct buffer note = BUFFER(NOTE_BYTES_MAX);
    char entry[64];

    cr_assert(!failed(audit_verify_new(ORIGIN, &key, &verify)));
    for (unsigned seq = 0; seq < count; seq++) {
        uint8_t leaf[MERKLE_HASH_BYTES];
        (void)snprintf(entry, sizeof entry, "{\"seq\":%u}", seq);
        merkle_leaf(entry, strlen(entry), leaf);
        merkle_add(&frontier, leaf);
    }
    merkle_root(&frontier, checkpoint.root);
    sign_checkpoint(&checkpoint, &note);
    audit_verify_checkpoint(verify, note.bytes, note.size);
    for (unsigned seq = 0; seq < count; seq++) {
        (void)snprintf(entry, sizeof entry, "{\"seq\":%u}", seq);
        const char *text = seq == count - 1 ? last : entry;
        audit_verify_entry(verify, text, strlen(text));
    }
    audit_verify_end(verify, &verdict);
    audit_verify_free(&verify);
    return verdict.good;
}

Test(audit_verify, finds_a_log_that_was_written_anew_with_its_whole_tree)
{
    cr_expect(good_rewritten(1, "{\"seq\":0}"));
    cr_expect(good_rewritten(5, "{\"seq\":4}"));
    cr_expect(!good_rewritten(1, "{\"seq\":0 }"));
    cr_expect(!good_rewritten(5, "{\"seq\":4,\"event\":\"audit.stop\"}"));
}

Test(audit_verify, wants_each_entry_to_be_an_object_with_the_next_number)
{
    cr_expect(good_alone("{\"seq\":0}"));
    cr_expect(!good_alone("{\"seq\":1}"));
    cr_expect(!good_alone("{\"seq\":-1}"));
    cr_expect(!good_alone("{\"seq\":\"0\"}"));
    cr_expect(!good_alone("{\"seq\":0.0}"));
    cr_expect(!good_alone("{}"));
    cr_expect(!good_alone("[0]"));
    cr_expect(!good_alone("{\"seq\":0"));
    cr_expect(!good_alone("{\"seq\":0}\n{\"seq\":1}"));
    cr_expect(!good_alone("{\"seq\":0,\"seq\":0}"));
    cr_expect(!good_alone(""));
}

Test(audit_verify, refuses_checkpoints_out_of_order)
{
    struct audit_verify *verify = NULL;
    struct audit_verdict verdict;
    uint8_t row[9];

    cr_assert(!failed(audit_verify_new(ORIGIN, &key, &verify)));
    for (uint64_t at = 6; at >= 3; at -= 3) {
        OWNED(buffer_free) struct buffer note = BUFFER(NOTE_BYTES_MAX);
        size_t size = row_key(at, false, row);
        cr_assert(!failed(db_get(db, families.checkpoints, row, size, &note)));
        audit_verify_checkpoint(verify, note.bytes, note.size);
    }
    audit_verify_end(verify, &verdict);
    cr_assert_str_eq(verdict.trouble, "the checkpoint of 3 entries is out of order");
    audit_verify_free(&verify);
}

Test(audit_verify, finds_half_of_a_checkpoint_gone)
{
    uint8_t row[9];
    OWNED(buffer_free) struct buffer value = BUFFER(65536);
    for (uint64_t at = 3; at < 9; at += at == 3 ? 3 : 2)
        for (unsigned frontier = 0; frontier < 2; frontier++) {
            size_t size = row_key(at, frontier == 1, row);
            cr_assert(!failed(db_get(db, families.checkpoints, row, size, &value)));
            erase(families.checkpoints, row, size);
            struct audit_verdict verdict = verdict_of_store();
            cr_expect(!verdict.good, "checkpoint %llu, frontier %u", (unsigned long long)at,
                      frontier);
            cr_expect_eq(verdict.part, AUDIT_PART_CHECKPOINT);
            cr_expect_eq(verdict.at, at);
            overwrite(families.checkpoints, row, size, value.bytes, value.size);
        }
    cr_assert(verdict_of_store().good);
}

Test(audit_verify, without_a_key_finds_all_but_a_bad_signature)
{
    uint8_t row[9];
    struct audit_verdict verdict;
    OWNED(buffer_free) struct buffer note = BUFFER(65536);
    size_t size = row_key(8, false, row);

    cr_assert(!failed(db_get(db, families.checkpoints, row, size, &note)));
    char *line = strrchr(buffer_text(&note), ' ');
    cr_assert_not_null(line);
    line[8] = line[8] == 'A' ? 'B' : 'A';
    overwrite(families.checkpoints, row, size, note.bytes, note.size);
    cr_expect(!verdict_of_store().good);
    cr_assert(!failed(audit_verify_store(db, &families, ORIGIN, NULL, &verdict)));
    cr_expect(verdict.good, "%s", verdict.trouble);
    size = row_key(7, false, row);
    overwrite(families.entries, row, size, "{}", 2);
    cr_assert(!failed(audit_verify_store(db, &families, ORIGIN, NULL, &verdict)));
    cr_expect(!verdict.good);
}
