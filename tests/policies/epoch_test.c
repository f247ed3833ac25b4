/* SPDX-License-Identifier: Apache-2.0 */
/* Names and statements; and a log that goes on from an older copy of its store. */
#include "policies/epoch.h"

#include <string.h>

#include "policies/audit_verify.h"
#include "tests/policies/audit_support.h"

#define ROOT "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

TestSuite(epoch, .init = audit_start, .fini = audit_stop);

Test(epoch, tells_the_epochs_of_a_log_by_its_origin)
{
    static const struct {
        const char *name;
        uint32_t epoch;
    } names[] = {{"a/b", 1},
                 {"a/b/2", 2},
                 {"a/b/17", 17},
                 {"a/b/1", 0},
                 {"a/b/0", 0},
                 {"a/b/02", 0},
                 {"a/b/2 ", 0},
                 {"a/b/", 0},
                 {"a/c/2", 0},
                 {"a/b2", 0},
                 {"a/b/2/3", 0},
                 {"a/b/+2", 0},
                 {"a", 0},
                 {"a/b/-2", 0},
                 {"a/b/1000001", 0},
                 {"", 0},
                 {"a/bc", 0},
                 {"a/b/1e3", 0},
                 {"a/b/99999999999999999999", 0}};
    char name[NOTE_NAME_BYTES_MAX];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        cr_expect_eq(epoch_of("a/b", names[i].name), names[i].epoch, "%s", names[i].name);
    cr_assert(!failed(epoch_origin("a/b", 1, name)));
    cr_expect_str_eq(name, "a/b");
    cr_assert(!failed(epoch_origin("a/b", 2, name)));
    cr_expect_str_eq(name, "a/b/2");
    char longest[NOTE_NAME_BYTES_MAX];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    cr_expect_eq(epoch_origin(longest, 2, name).why, WHY_LIMIT);
}

Test(epoch, reads_a_statement_as_it_is_said_and_no_other)
{
    static const char *const wrong[] = {"",
                                        "5",
                                        "5:" ROOT,
                                        "5:" ROOT ":",
                                        "5:" ROOT ":1",
                                        "5:" ROOT ":2 ",
                                        "5:" ROOT ":2:3",
                                        ":" ROOT ":2",
                                        "05:" ROOT ":2",
                                        "-5:" ROOT ":2",
                                        "5:" ROOT "00:2",
                                        "5:0" ROOT ":2",
                                        "99999999999999999999:" ROOT ":2",
                                        "5:" ROOT ":1000001"};
    struct epoch_statement statement;
    char text[EPOCH_TEXT_BYTES_MAX];
    cr_assert(!failed(epoch_statement_parse("1042:" ROOT ":3", &statement)));
    cr_expect(statement.given);
    cr_expect_eq(statement.size, 1042);
    cr_expect_eq(statement.root[31], 0x1f);
    cr_expect_eq(statement.epoch, 3);
    epoch_statement_text(&statement, text);
    cr_expect_str_eq(text, "1042:" ROOT ":3");
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        cr_expect_eq(epoch_statement_parse(wrong[i], &statement).why, WHY_BAD_INPUT, "%s",
                     wrong[i]);
    cr_assert(!failed(epoch_statement_take("0:" ROOT ":2", &statement)));
    cr_expect_eq(strncmp(statement.by, "user ", 5), 0, "%s", statement.by);
}

/* A fork from `from` entries to where the log stands now. */
static struct epoch_fork fork_now(uint32_t epoch, uint64_t from)
{
    struct epoch_fork fork = {
        .epoch = epoch, .from_size = from, .to_size = audit_log_size(audit), .by = "user 7"};
    audit_log_root(audit, fork.to_root);
    return fork;
}

static void begin_epoch(uint32_t epoch)
{
    struct epoch_fork fork = fork_now(epoch, 99);
    struct audit_entry entry = {.ts_ms = 1700000000000, .actor = "keeper", .origin = "keeper"};
    cr_assert(!failed(audit_log_begin_epoch(audit, batch, &fork, &entry)));
    commit();
}

/* Signed as of this epoch. */
static struct status put_in_epoch(uint32_t epoch)
{
    OWNED(buffer_free) struct buffer note = BUFFER(NOTE_BYTES_MAX);
    struct checkpoint now = checkpoint_now();
    struct note_key first = key;
    cr_assert(!failed(epoch_origin(ORIGIN, epoch, now.origin)));
    note_key_rename(&first, now.origin, &key);
    sign_checkpoint(&now, &note);
    key = first;
    return audit_log_put_checkpoint(audit, batch, note.bytes, note.size);
}

static struct audit_verdict verdict_of_store(void)
{
    struct audit_verdict verdict;
    cr_assert(!failed(audit_verify_store(db, &families, ORIGIN, &key, &verdict)));
    return verdict;
}

Test(epoch, goes_on_with_an_entry_that_says_so_and_is_verified_with_the_one_key)
{
    struct buffer text OWNED(buffer_free) = BUFFER(AUDIT_ENTRY_BYTES_MAX);
    append(3);
    commit();
    checkpoint_and_commit();
    cr_expect_eq(audit_log_epoch(audit), 1);
    begin_epoch(2);
    cr_expect_eq(audit_log_epoch(audit), 2);
    append(1);
    commit();
    cr_expect_eq(put_in_epoch(1).why, WHY_CONFLICT, "the former epoch is over");
    cr_expect_eq(put_in_epoch(3).why, WHY_CONFLICT, "and the next has not begun");
    cr_assert(!failed(put_in_epoch(2)));
    commit();
    struct audit_verdict verdict = verdict_of_store();
    cr_assert(verdict.good, "%s", verdict.trouble);
    cr_expect_eq(verdict.epoch, 2);
    cr_expect_eq(verdict.epoch_entry, 3);
    cr_expect_eq(verdict.checkpoints, 2);
    cr_expect_eq(verdict.signed_size, 5);
    cr_assert(!failed(audit_log_entry(audit, 3, &text)));
    cr_expect_not_null(strstr(buffer_text(&text), "\"event\":\"store.rolled_back\""));
    cr_expect_not_null(strstr(buffer_text(&text), "\"object\":\"epoch/2\""));
    cr_expect_not_null(strstr(buffer_text(&text), "from 99 entries, root "));
    cr_expect_not_null(strstr(buffer_text(&text), "to 3 entries, root "));
    cr_expect_not_null(strstr(buffer_text(&text), "accepted by user 7"));
    log_reopen();
    cr_expect_eq(audit_log_epoch(audit), 2, "also when it is opened again");
}

Test(epoch, is_not_begun_by_a_batch_that_was_not_committed)
{
    struct epoch_fork fork = fork_now(2, 5);
    struct audit_entry entry = {.ts_ms = 1700000000000, .actor = "keeper", .origin = "keeper"};
    cr_assert(!failed(audit_log_begin_epoch(audit, batch, &fork, &entry)));
    audit_log_seal(audit, batch);
    audit_log_abandon(audit);
    db_batch_clear(batch);
    append(1);
    commit();
    cr_expect_eq(audit_log_epoch(audit), 1);
}

Test(epoch, of_a_checkpoint_that_its_entries_do_not_say_is_found)
{
    OWNED(buffer_free) struct buffer note = BUFFER(NOTE_BYTES_MAX);
    OWNED(audit_verify_free) struct audit_verify *verify = NULL;
    struct checkpoint empty = {.origin = ORIGIN "/2"};
    struct audit_verdict verdict;
    struct merkle_frontier nothing = {0};
    struct note_key first = key;

    merkle_root(&nothing, empty.root);
    note_key_rename(&first, empty.origin, &key);
    sign_checkpoint(&empty, &note);
    key = first;
    cr_assert(!failed(audit_verify_new(ORIGIN, &key, &verify)));
    audit_verify_checkpoint(verify, note.bytes, note.size);
    audit_verify_end(verify, &verdict);
    cr_expect(!verdict.good);
    cr_expect_not_null(strstr(verdict.trouble, "epoch 2"), "%s", verdict.trouble);
}

Test(epoch, row_that_is_not_that_of_the_entries_is_found)
{
    static const uint8_t rows[][8] = {{0, 0, 0, 0, 0, 0, 0, 2}, {0, 0, 0, 0, 0, 0, 0, 1}};
    append(2);
    commit();
    checkpoint_and_commit();
    cr_assert(verdict_of_store().good);
    for (size_t i = 0; i < 2; i++) {
        overwrite(families.state, "epoch", 5, rows[i], 8);
        cr_expect(!verdict_of_store().good);
    }
    erase(families.state, "epoch", 5);
    cr_expect(verdict_of_store().good);
    begin_epoch(2);
    cr_assert(!failed(put_in_epoch(2)));
    commit();
    cr_assert(verdict_of_store().good);
    erase(families.state, "epoch", 5);
    cr_expect(!verdict_of_store().good);
}

static struct epoch_statement statement_now(uint32_t epoch)
{
    struct epoch_statement statement = {
        .given = true, .size = audit_log_size(audit), .epoch = epoch};
    audit_log_root(audit, statement.root);
    return statement;
}

static enum why why_not_accepted(const struct epoch_statement *statement)
{
    OWNED(buffer_free) struct buffer frontier = BUFFER(4096);
    return audit_log_accepts(audit, statement, &frontier).why;
}

Test(epoch, is_accepted_for_the_tree_that_the_log_begins_with_and_no_other)
{
    OWNED(buffer_free) struct buffer frontier = BUFFER(4096);
    struct merkle_frontier found = {0};
    append(3);
    commit();
    struct epoch_statement early = statement_now(2);
    append(2);
    commit();
    checkpoint_and_commit();
    append(2);
    commit();
    struct epoch_statement said = statement_now(2);
    append(2);
    commit(); /* What a refused start left behind. */

    cr_assert(!failed(audit_log_accepts(audit, &said, &frontier)));
    cr_assert(!failed(merkle_frontier_decode(frontier.bytes, frontier.size, &found)));
    cr_expect_eq(found.size, 7);
    cr_expect_eq(why_not_accepted(&early), WHY_CONFLICT, "its own checkpoint covers more");
    struct epoch_statement other = said;
    other.root[0] ^= 1;
    cr_expect_eq(why_not_accepted(&other), WHY_CONFLICT);
    other = said;
    other.size = 77;
    cr_expect_eq(why_not_accepted(&other), WHY_CONFLICT);
    other = said;
    other.given = false;
    cr_expect_eq(why_not_accepted(&other), WHY_CONFLICT);
    begin_epoch(2);
    cr_expect_eq(why_not_accepted(&said), WHY_CONFLICT, "it holds once");
}

Test(epoch, of_the_signer_is_not_before_that_of_the_log)
{
    char error[256] = "";
    append(1);
    commit();
    begin_epoch(3);
    struct checkpoint last = checkpoint_now();
    cr_expect_eq(audit_log_check(audit, &last, error, sizeof error).why, WHY_CONFLICT);
    cr_expect_not_null(strstr(error, "epoch 3"), "%s", error);
    cr_assert(!failed(epoch_origin(ORIGIN, 3, last.origin)));
    cr_expect(!failed(audit_log_check(audit, &last, error, sizeof error)));
    cr_assert(!failed(epoch_origin(ORIGIN, 4, last.origin)));
    cr_expect(!failed(audit_log_check(audit, &last, error, sizeof error)), "its entry is to come");
}
