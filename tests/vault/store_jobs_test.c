/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/store.h"

#include <string.h>

#include "base/own.h"
#include "tests/vault/rows.h"

TestSuite(store_jobs, .init = rows_open, .fini = rows_close);

static void put(enum store_job kind, uint64_t id, const char *text)
{
    struct store_job_key key = {.kind = kind, .id = id};
    OWNED(buffer_free) struct buffer content = BUFFER(64);

    buffer_add(&content, text, strlen(text));
    cr_assert(!failed(store_put_job(&store, batch, &key, &content)));
}

static void expect(enum store_job kind, uint64_t id, const char *text)
{
    struct store_job_key key = {.kind = kind, .id = id};
    struct cursor content;

    cr_assert(!failed(store_get_job(&store, &key, &content)));
    cr_expect_eq(content.size, strlen(text));
    cr_expect_arr_eq(content.bytes, text, strlen(text));
}

static uint64_t next(enum store_job kind, uint64_t after)
{
    struct store_job_key key = {.kind = kind, .id = after};
    uint64_t id = 0;

    struct status status = store_next_job(&store, &key, &id);
    cr_assert(!failed(status) || status.why == WHY_NOT_FOUND);
    return failed(status) ? 0 : id;
}

Test(store_jobs, gives_each_kind_back_by_its_own_ids)
{
    put(STORE_JOB_APPROVAL, 1, "one");
    put(STORE_JOB_RUN, 1, "another");
    put(STORE_JOB_RUN, 300, "the last");
    expect(STORE_JOB_RUN, 1, "another");
    rows_commit();
    rows_restart();
    expect(STORE_JOB_APPROVAL, 1, "one");
    expect(STORE_JOB_RUN, 1, "another");
    expect(STORE_JOB_RUN, 300, "the last");
}

Test(store_jobs, walks_one_kind_in_the_order_of_its_ids)
{
    put(STORE_JOB_APPROVAL, 7, "a");
    put(STORE_JOB_APPROVAL, 256, "a");
    put(STORE_JOB_RUN, 3, "j");
    rows_commit();
    cr_expect_eq(next(STORE_JOB_APPROVAL, 0), 7);
    cr_expect_eq(next(STORE_JOB_APPROVAL, 7), 256);
    cr_expect_eq(next(STORE_JOB_APPROVAL, 256), 0);
    cr_expect_eq(next(STORE_JOB_RUN, 0), 3);
    cr_expect_eq(next(STORE_JOB_RUN, UINT64_MAX), 0);
}

Test(store_jobs, forgets_what_is_deleted_in_its_turn_and_after)
{
    struct store_job_key key = {.kind = STORE_JOB_RUN, .id = 5};
    struct cursor content;

    put(STORE_JOB_RUN, 5, "gone soon");
    rows_commit();
    cr_assert(!failed(store_delete_job(&store, batch, &key)));
    cr_expect_eq(store_get_job(&store, &key, &content).why, WHY_NOT_FOUND);
    rows_commit();
    cr_expect_eq(store_get_job(&store, &key, &content).why, WHY_NOT_FOUND);
    cr_expect_eq(next(STORE_JOB_RUN, 0), 0);
}

Test(store_jobs, refuses_a_row_with_any_bit_flipped_or_under_another_id)
{
    struct store_job_key key = {.kind = STORE_JOB_APPROVAL, .id = 9};
    OWNED(buffer_free) struct buffer row = BUFFER(128);
    uint8_t at[STORE_JOB_KEY_BYTES] = {'a', [8] = 9};
    uint8_t other[STORE_JOB_KEY_BYTES] = {'j', [8] = 9};
    struct cursor content;

    put(STORE_JOB_APPROVAL, 9, "destroy key 4");
    rows_commit();
    cr_assert(!failed(db_get(db, STORE_JOBS, at, sizeof at, &row)));
    for (size_t bit = 0; bit < 8 * row.size; bit++) {
        row.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        db_batch_put(batch, db, STORE_JOBS, at, sizeof at, row.bytes, row.size);
        rows_commit();
        cr_expect_eq(store_get_job(&store, &key, &content).why, WHY_FORGED, "bit %zu", bit);
        row.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    db_batch_put(batch, db, STORE_JOBS, other, sizeof other, row.bytes, row.size);
    db_batch_put(batch, db, STORE_JOBS, at, sizeof at, row.bytes, row.size);
    rows_commit();
    cr_expect(!failed(store_get_job(&store, &key, &content)));
    key.kind = STORE_JOB_RUN;
    cr_expect_eq(store_get_job(&store, &key, &content).why, WHY_FORGED);
}
