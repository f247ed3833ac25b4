/* SPDX-License-Identifier: Apache-2.0 */
#include "base/backup.h"

#include <poll.h>

#include "base/encode.h"
#include "tests/base/db_kit.h"

#define PATIENCE_MS 30000
#define HOUR_MS     3600000

static char backups[96];
static struct db *db;

static void prepare(void)
{
    make_folder();
    snprintf(backups, sizeof backups, "%s/backups", folder);
    db = open_store();
    cr_assert_eq(store_row(db, ROWS, "a", "one"), WHY_NONE);
}

static void finish(void)
{
    db_close(&db);
    drop_folder();
}

TestSuite(backup, .init = prepare, .fini = finish);

static struct backup *open_backups(const char *origin, unsigned keep, int64_t every_ms)
{
    struct backup *made = NULL;
    struct backup_options options = {
        .folder = backups, .origin = origin, .keep = keep, .every_ms = every_ms};
    cr_assert(!failed(backup_new(&options, db, &made)));
    return made;
}

static const struct backup_result *run(struct backup *backup, int64_t now_ms)
{
    struct backup_facts facts = {.records = 7, .entries = 9, .checkpoint = "a note\n"};
    struct pollfd waits = {.fd = backup_fd(backup), .events = POLLIN};
    cr_assert(!failed(backup_start(backup, &facts, now_ms)));
    cr_expect_eq(backup_start(backup, &facts, now_ms).why, WHY_BUSY, "one at a time");
    cr_expect(backup_is_running(backup));
    cr_assert_eq(poll(&waits, 1, PATIENCE_MS), 1);
    const struct backup_result *result = backup_collect(backup);
    cr_assert_not_null(result);
    cr_expect(!backup_is_running(backup));
    cr_expect_null(backup_collect(backup), "once");
    return result;
}

static void expect_text(const struct backup *backup, const char *part)
{
    struct buffer text OWNED(buffer_free) = BUFFER(4096);
    backup_write(backup, &text);
    cr_expect_not_null(strstr(buffer_text(&text), part), "%s", buffer_text(&text));
}

Test(backup, takes_one_beside_the_store_and_says_what_became_of_it)
{
    struct buffer facts OWNED(buffer_free) = BUFFER(BACKUP_FACTS_MAX);
    OWNED(backup_free) struct backup *backup = open_backups("log", 3, 0);
    expect_text(NULL, "{\"configured\":false,\"running\":false,\"last\":null}");
    expect_text(backup, "\"last\":null");
    const struct backup_result *result = run(backup, clock_now_ms());
    cr_assert(result->good, "%s %s", result->code, result->detail);
    cr_expect_str_eq(result->code, "ok");
    cr_expect_eq(result->entries, 9);
    cr_expect_gt(result->added_bytes, 0);
    cr_expect_leq(result->added_bytes, result->backup.bytes);
    expect_text(backup, "\"state\":\"done\"");
    cr_assert(!failed(backup_facts_read(backups, result->backup.id, &facts)));
    cr_expect_not_null(strstr(buffer_text(&facts), "\"checkpoint\":\"a note\\n\""), "%s",
                       buffer_text(&facts));
    cr_expect_not_null(strstr(buffer_text(&facts), "\"entries\":9"));
    cr_expect_eq(backup_facts_read(backups, 77, &facts).why, WHY_NOT_FOUND);
}

Test(backup, copies_again_only_what_is_new)
{
    OWNED(backup_free) struct backup *backup = open_backups("log", 3, 0);
    static char big[100000];
    memset(big, 'x', sizeof big - 1);
    cr_assert_eq(store_row(db, ROWS, "big", big), WHY_NONE);
    uint64_t first = run(backup, clock_now_ms())->added_bytes;
    cr_assert_eq(store_row(db, ROWS, "b", "two"), WHY_NONE);
    const struct backup_result *second = run(backup, clock_now_ms());
    cr_expect_gt(first, sizeof big);
    cr_expect_lt(second->added_bytes, sizeof big / 2);
    cr_expect_gt(second->backup.bytes, sizeof big);
}

Test(backup, keeps_as_many_as_it_was_told_with_their_facts)
{
    struct buffer facts OWNED(buffer_free) = BUFFER(BACKUP_FACTS_MAX);
    struct db_backup found[8];
    unsigned count = 0;
    OWNED(backup_free) struct backup *backup = open_backups("log", 2, 0);
    for (int i = 0; i < 4; i++)
        cr_assert(run(backup, clock_now_ms())->good);
    cr_assert(!failed(db_backup_list(backups, found, 8, &count, reason, sizeof reason)));
    cr_assert_eq(count, 2);
    cr_expect_eq(found[0].id, 3);
    cr_expect_eq(backup_facts_read(backups, 2, &facts).why, WHY_NOT_FOUND);
    cr_expect(!failed(backup_facts_read(backups, 3, &facts)));
}

Test(backup, does_not_mix_the_backups_of_two_logs)
{
    OWNED(backup_free) struct backup *backup = open_backups("log", 2, 0);
    cr_assert(run(backup, clock_now_ms())->good);
    OWNED(backup_free) struct backup *other = open_backups("another", 2, 0);
    const struct backup_result *result = run(other, clock_now_ms());
    cr_expect(!result->good);
    cr_expect_str_eq(result->code, "foreign_folder");
    expect_text(other, "\"state\":\"failed\",\"code\":\"foreign_folder\"");
}

Test(backup, names_a_folder_that_it_cannot_use)
{
    OWNED(backup_free) struct backup *backup = NULL;
    struct backup_options options = {.folder = "/proc/no/such/folder", .origin = "log", .keep = 1};
    cr_assert(!failed(backup_new(&options, db, &backup)));
    const struct backup_result *result = run(backup, clock_now_ms());
    cr_expect(!result->good);
    cr_expect_str_eq(result->code, "io");
    cr_expect_neq(result->detail[0], '\0');
}

Test(backup, goes_by_the_clock_also_across_a_restart)
{
    int64_t now_ms = clock_now_ms();
    struct backup *backup = open_backups("log", 2, HOUR_MS);
    cr_expect(backup_is_due(backup, now_ms), "there is none yet");
    cr_assert(run(backup, now_ms)->good);
    cr_expect(!backup_is_due(backup, now_ms + HOUR_MS - 1000));
    cr_expect(backup_is_due(backup, now_ms + HOUR_MS));
    backup_free(&backup);
    backup = open_backups("log", 2, HOUR_MS);
    cr_expect(!backup_is_due(backup, now_ms + HOUR_MS - 2000), "the newest one counts");
    cr_expect(backup_is_due(backup, now_ms + HOUR_MS + 2000));
    backup_free(&backup);
    backup = open_backups("log", 2, 0);
    cr_expect(!backup_is_due(backup, now_ms + 1000 * (int64_t)HOUR_MS), "only when asked");
    backup_free(&backup);
    backup = open_backups("another", 2, 24 * HOUR_MS);
    cr_expect(!run(backup, now_ms)->good);
    cr_expect(backup_is_due(backup, now_ms + HOUR_MS), "a failure is not left for a day");
    backup_free(&backup);
}
