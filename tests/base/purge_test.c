/* SPDX-License-Identifier: Apache-2.0 */
#include "base/purge.h"

#include <poll.h>

#include "base/encode.h"
#include "tests/base/db_kit.h"

#define PATIENCE_MS 60000

static struct db *db;
static struct purge *purge;
static const char gone[] = "0123456789abcdef";
static const char kept[] = "fedcba9876543210";

static void prepare(void)
{
    make_folder();
    db = open_store();
    cr_assert_eq(store_row(db, ROWS, "gone", gone), WHY_NONE);
    cr_assert_eq(store_row(db, ROWS, "kept", kept), WHY_NONE);
    cr_assert(!failed(purge_new(db, &purge)));
}

static void finish(void)
{
    purge_free(&purge);
    db_close(&db);
    drop_folder();
}

TestSuite(purge, .init = prepare, .fini = finish, .timeout = 120);

static struct markers *set_of(const char *marker)
{
    struct markers *set = NULL;
    cr_assert(!failed(markers_new(&set)));
    cr_assert(!failed(markers_add(set, (const uint8_t *)marker)));
    return set;
}

static const struct purge_result *run(unsigned which, const char *where)
{
    struct purge_work work = {.families = which, .folders = {where}};
    OWNED(markers_free) struct markers *first = set_of(gone);
    OWNED(markers_free) struct markers *second = set_of(kept);
    struct pollfd waits = {.fd = purge_fd(purge), .events = POLLIN};
    cr_assert_null(purge_collect(purge), "before there is one");
    cr_assert(!failed(purge_start(purge, &work, &first, &second, 1000)));
    cr_expect_null(first, "both are taken");
    cr_expect_null(second);
    struct markers *more = set_of(gone);
    cr_expect_eq(purge_start(purge, &work, &more, &second, 1000).why, WHY_BUSY);
    cr_expect_not_null(more, "and not where it fails");
    markers_free(&more);
    cr_assert_eq(poll(&waits, 1, PATIENCE_MS), 1);
    const struct purge_result *result = purge_collect(purge);
    cr_assert_not_null(result);
    cr_expect(!purge_is_running(purge));
    cr_expect_null(purge_collect(purge), "once");
    return result;
}

static void drop_row(void)
{
    OWNED(db_batch_free) struct db_batch *batch = NULL;
    cr_assert(!failed(db_batch_new(&batch)));
    db_batch_delete(batch, db, ROWS, "gone", 4);
    cr_assert(!failed(db_commit(db, batch)));
}

Test(purge, searches_without_writing_anew_and_sees_what_a_deletion_leaves)
{
    drop_row();
    const struct purge_result *result = run(0, store);
    cr_assert(result->good, "%s", result->detail);
    cr_expect_eq(result->purge.tables, 0);
    cr_expect_eq(result->gone[0].markers, 1);
    cr_expect_eq(result->there.markers, 1);
}

Test(purge, writes_anew_and_sees_that_it_is_gone_and_the_rest_is_there)
{
    drop_row();
    const struct purge_result *result = run(1u << ROWS | 1u << INDEX, store);
    cr_assert(result->good, "%s", result->detail);
    cr_expect_gt(result->purge.tables, 0);
    cr_expect_eq(result->gone[0].markers, 0, "%s", result->gone[0].file);
    cr_expect_eq(result->there.markers, 1);
    cr_expect_gt(result->gone[0].files, 3);
    cr_expect_eq(result->started_ms, 1000);
    cr_expect_gt(result->ended_ms, 1000);
}

Test(purge, says_which_folder_it_could_not_search)
{
    char missing[128];
    snprintf(missing, sizeof missing, "%s/missing", folder);
    const struct purge_result *result = run(0, missing);
    cr_expect(!result->good);
    cr_expect_not_null(strstr(result->detail, "missing cannot be searched"), "%s", result->detail);
}
