/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs over a store of a few records: slices, bounds, what fails one, and what proves a key empty.
 * tests/flow/54_rotation.py has the rest, with requests and kills in between. */
#include "vault/jobs.h"

#include <string.h>

#include "base/encode.h"
#include "base/own.h"
#include "keys/keyring_rotate.h"
#include "tests/vault/rows.h"

#define RECORDS 40u
#define NOW_MS  SHELF_NOW_MS
#define PLAIN   "any text will do"

static struct keeper keeper;
static struct settings settings;

static void begin(void)
{
    static const struct audit_families families = {.entries = STORE_AUDIT_ENTRIES,
                                                   .checkpoints = STORE_AUDIT_CHECKPOINTS,
                                                   .state = STORE_AUDIT_STATE};
    char error[256] = "";

    rows_open();
    store_close(&store);
    keeper = (struct keeper){.settings = &settings,
                             .ring = ring,
                             .db = db,
                             .batch = batch,
                             .front_fd = -1,
                             .signer_fd = -1,
                             .signer_known = true,
                             .signed_ms = clock_monotonic_ms(),
                             .next_record = 1,
                             .answered = BUFFER(4096),
                             .journal = BUFFER(4096),
                             .note = BUFFER(4096)};
    cr_assert(!failed(policy_load(TESTS_DIR "/../policies/examples/development.yaml",
                                  &keeper.policy, error, sizeof error)),
              "%s", error);
    cr_assert(!failed(store_open(&keeper.store, db, ring)));
    cr_assert(!failed(audit_log_open(db, &families, "vault.test/log", &keeper.log)));
}

static void end(void)
{
    jobs_close(&keeper.jobs);
    audit_log_free(&keeper.log);
    policy_free(&keeper.policy);
    buffer_free(&keeper.answered);
    buffer_free(&keeper.journal);
    buffer_free(&keeper.note);
    store = keeper.store;
    rows_close();
}

TestSuite(jobs, .init = begin, .fini = end, .timeout = 60);

static void seal(uint64_t key_id, const char *purpose, uint64_t record_id, struct buffer *out)
{
    struct envelope_place place = find_place("demo", purpose, record_id);

    cr_assert(!failed(envelope_seal(ring, key_id, ENVELOPE_AES_256_GCM, &place,
                                    (const uint8_t *)PLAIN, strlen(PLAIN), 64, out)));
}

/* A record as far as a re-encryption looks at it; sealed for the place of `of`. */
static void put_record(uint64_t record_id, uint64_t of)
{
    struct buffer view OWNED(buffer_free) = BUFFER(1024);
    struct buffer card OWNED(buffer_free) = BUFFER(1024);
    uint64_t key_id = shelf_use(ring, "demo", KEY_PURPOSE_CARD, NOW_MS);

    seal(key_id, "view", of, &view);
    seal(key_id, "card", record_id, &card);
    cr_assert(!failed(store_put_record(&keeper.store, batch, record_id, &view, &card)));
    if (record_id >= keeper.next_record)
        keeper.next_record = record_id + 1;
}

static void put_records(void)
{
    for (uint64_t id = 1; id <= RECORDS; id++)
        put_record(id, id);
    keeper_commit(&keeper, NOW_MS);
}

static uint64_t rotate(void)
{
    struct keyring_rotation rotation;

    cr_assert(
        !failed(keyring_rotate(ring, "demo", KEY_PURPOSE_CARD, KEY_LEVEL_DEK, NOW_MS, &rotation)));
    return rotation.old_id;
}

static struct job start(uint64_t key_id)
{
    struct job job = {.kind = JOB_REENCRYPT,
                      .suite = ENVELOPE_XCHACHA20_POLY1305,
                      .tenant = "demo",
                      .key_id = key_id,
                      .by = "security",
                      .reason = "scheduled"};

    cr_assert(!failed(jobs_begin(&keeper, &job, NOW_MS)));
    keeper_commit(&keeper, NOW_MS);
    return job;
}

static struct job look(uint64_t id)
{
    struct job job;

    cr_assert(!failed(jobs_get(&keeper, id, &job)));
    return job;
}

/* Ticks until the job stands still. */
static struct job run(uint64_t id)
{
    struct job job = look(id);

    for (unsigned i = 0; i < 10000 && job.state == JOB_RUNNING; i++) {
        jobs_tick(&keeper, NOW_MS);
        job = look(id);
    }
    return job;
}

static unsigned under(uint64_t key_id)
{
    uint64_t found = 0;
    uint64_t scanned = 0;

    cr_assert(!failed(store_count_under(&keeper.store, key_id, 1000, &found, &scanned)));
    cr_assert_leq(scanned, keeper.next_record - 1);
    return (unsigned)found;
}

/* How many entries of the log have these words. */
static unsigned said(const char *words)
{
    struct buffer entry OWNED(buffer_free) = BUFFER(AUDIT_ENTRY_BYTES_MAX + 64);
    unsigned count = 0;

    for (uint64_t seq = 0; seq < audit_log_size(keeper.log); seq++) {
        buffer_clear(&entry);
        cr_assert(!failed(audit_log_entry(keeper.log, seq, &entry)));
        count += strstr(buffer_text(&entry), words) != NULL ? 1 : 0;
    }
    return count;
}

Test(jobs, move_every_record_and_end_in_a_statement)
{
    put_records();
    uint64_t old = rotate();
    struct job job = start(0);
    cr_expect_eq(under(old), RECORDS);
    job = run(job.id);
    cr_expect_eq(job.state, JOB_DONE);
    cr_expect_eq(job.scanned, RECORDS);
    cr_expect_eq(job.moved, RECORDS);
    cr_expect_eq(under(old), 0);
    cr_expect_eq(said("\"event\":\"key.statement\""), 1);
    cr_expect_eq(said("remains: 40 scanned, 40 moved by job_1"), 1);
    cr_expect_eq(said("\"event\":\"job.end\""), 1);

    uint8_t plain[64];
    size_t size = 0;
    struct store_record record;
    struct envelope_place place = find_place("demo", "card", 7);
    cr_assert(!failed(store_get_record(&keeper.store, 7, &record)));
    cr_assert(!failed(
        envelope_open(ring, &place, record.card, record.card_size, plain, sizeof plain, &size)));
    cr_expect_eq(size, strlen(PLAIN));
    cr_expect_arr_eq(plain, PLAIN, strlen(PLAIN));
    enum envelope_suite suite;
    cr_assert(!failed(envelope_suite_of(record.view, record.view_size, &suite)));
    cr_expect_eq(suite, ENVELOPE_XCHACHA20_POLY1305);
}

Test(jobs, leave_what_came_after_their_begin_and_other_tenants)
{
    put_records();
    uint64_t old = rotate();
    struct job job = start(old);
    put_record(RECORDS + 1, RECORDS + 1);
    keeper_commit(&keeper, NOW_MS);
    job = run(job.id);
    cr_expect_eq(job.scanned, RECORDS);

    struct job other = {.kind = JOB_REENCRYPT, .suite = ENVELOPE_AES_256_GCM, .tenant = "acme"};
    cr_assert(!failed(jobs_begin(&keeper, &other, NOW_MS)));
    keeper_commit(&keeper, NOW_MS);
    other = run(other.id);
    cr_expect_eq(other.state, JOB_DONE);
    cr_expect_eq(other.scanned, RECORDS + 1);
    cr_expect_eq(other.moved, 0);
}

/* What was moved before it stays, and is counted. */
Test(jobs, fail_at_a_record_that_does_not_open_and_name_it)
{
    put_records();
    put_record(23, 5); /* Its view is another record's. */
    keeper_commit(&keeper, NOW_MS);
    uint64_t old = rotate();
    struct job job = start(0);
    job = run(job.id);
    cr_expect_eq(job.state, JOB_FAILED);
    cr_expect_str_eq(job.detail, "record 23 could not be moved: forged");
    cr_expect_eq(job.cursor, 22u);
    cr_expect_eq(job.moved, 22u);
    cr_expect_eq(under(old), RECORDS - 22);
    cr_expect_eq(said("\"event\":\"key.statement\""), 0, "nothing is stated");
    cr_expect_eq(said("\"event\":\"job.fail\""), 1);
    struct key_info key = shelf_info(ring, old);
    cr_expect_eq(jobs_find_proof(&keeper, &key, &job).why, WHY_NOT_FOUND);

    /* Once somebody has erased it, it goes on. */
    cr_assert(!failed(store_delete_record(&keeper.store, batch, 23)));
    job = look(1);
    job.state = JOB_RUNNING;
    cr_assert(!failed(jobs_put(&keeper, &job)));
    keeper_commit(&keeper, NOW_MS);
    jobs_close(&keeper.jobs); /* As after a restart. */
    job = run(1);
    cr_expect_eq(job.state, JOB_DONE);
    cr_expect_eq(job.scanned, RECORDS - 1);
}

Test(jobs, prove_a_key_empty_only_if_it_was_not_in_use_since)
{
    put_records();
    uint64_t old = rotate();
    struct key_info key = shelf_info(ring, old);
    struct job found;
    struct job job = start(old);
    cr_expect_eq(jobs_find_proof(&keeper, &key, &found).why, WHY_NOT_FOUND, "it runs still");
    job = run(job.id);
    cr_assert(!failed(jobs_find_proof(&keeper, &key, &found)));
    cr_expect_eq(found.id, job.id);
    key.changed_ms = NOW_MS + 1; /* As if it had been suspended, and active again meanwhile. */
    cr_expect_eq(jobs_find_proof(&keeper, &key, &found).why, WHY_NOT_FOUND);
    key = shelf_info(ring, keyring_active(ring, "demo", KEY_PURPOSE_CARD, KEY_LEVEL_DEK));
    cr_expect_eq(jobs_find_proof(&keeper, &key, &found).why, WHY_NOT_FOUND, "another key");
}

Test(jobs, begin_by_themselves_for_compromised_keys)
{
    put_records();
    uint64_t old = rotate();
    cr_assert(!failed(keyring_change_state(ring, old, KEY_STATE_COMPROMISED, NOW_MS)));
    jobs_tick(&keeper, NOW_MS);
    struct job job = run(1);
    cr_expect_eq(job.state, JOB_DONE);
    cr_expect_eq(job.key_id, old);
    cr_expect_str_eq(job.by, "schedule");
    cr_expect_str_eq(job.reason, "compromise");
    cr_expect_eq(under(old), 0);
    jobs_close(&keeper.jobs); /* Looks anew at once. */
    jobs_tick(&keeper, NOW_MS);
    cr_expect_eq(jobs_next(&keeper, 1, &job).why, WHY_NOT_FOUND, "once is enough");
}

/* One that may move a record a second does not hold up another. */
Test(jobs, take_turns)
{
    put_records();
    (void)rotate();
    struct job slow = start(0);
    slow.rate = 1;
    cr_assert(!failed(jobs_put(&keeper, &slow)));
    struct job job = start(0);
    job = run(job.id);
    cr_expect_eq(job.state, JOB_DONE);
    slow = look(slow.id);
    cr_expect_eq(slow.state, JOB_RUNNING);
    cr_expect_leq(slow.scanned, 2u, "at its rate");
}

Test(jobs, are_bounded_in_number)
{
    put_records();
    (void)rotate();
    struct job job = {.kind = JOB_REENCRYPT, .suite = ENVELOPE_AES_256_GCM, .tenant = "demo"};
    for (unsigned i = 0; i < JOBS_RUNNING_MAX; i++) {
        cr_assert(!failed(jobs_begin(&keeper, &job, NOW_MS)));
        keeper_commit(&keeper, NOW_MS);
    }
    cr_expect_eq(jobs_begin(&keeper, &job, NOW_MS).why, WHY_LIMIT);
}

Test(jobs, whose_row_was_altered_are_not_gone_on_with)
{
    const struct store_job_key key = {.kind = STORE_JOB_RUN, .id = 1};
    uint8_t row_key[STORE_JOB_KEY_BYTES] = {STORE_JOB_RUN, 0, 0, 0, 0, 0, 0, 0, 1};
    struct buffer row OWNED(buffer_free) = BUFFER(1024);
    struct cursor content;
    struct job job = {0};

    put_records();
    uint64_t old = rotate();
    (void)start(0);
    cr_assert(!failed(store_get_job(&keeper.store, &key, &content)));
    cr_assert(!failed(db_get(db, STORE_JOBS, row_key, sizeof row_key, &row)));
    for (size_t at = 0; at < row.size; at++) {
        row.bytes[at] ^= 1;
        db_batch_put(batch, db, STORE_JOBS, row_key, sizeof row_key, row.bytes, row.size);
        cr_assert(!failed(db_commit(db, batch)));
        db_batch_clear(batch);
        cr_expect_eq(jobs_get(&keeper, 1, &job).why, WHY_FORGED, "byte %zu", at);
        row.bytes[at] ^= 1;
    }
    row.bytes[2] ^= 1;
    db_batch_put(batch, db, STORE_JOBS, row_key, sizeof row_key, row.bytes, row.size);
    cr_assert(!failed(db_commit(db, batch)));
    db_batch_clear(batch);
    for (unsigned i = 0; i < 20; i++)
        jobs_tick(&keeper, NOW_MS);
    cr_expect_eq(under(old), RECORDS, "nothing moved");
}
