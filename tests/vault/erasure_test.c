/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/erasure.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/encode.h"
#include "base/json.h"
#include "base/own.h"
#include "tests/vault/rows.h"

#define ENVELOPE_BYTES 256u

static struct keeper keeper;
static struct erasure_samples samples;

static void begin(void)
{
    rows_open();
    keeper = (struct keeper){.store = store, .batch = batch, .db = db, .ring = ring};
    samples = (struct erasure_samples){0};
}

static void end(void)
{
    store = keeper.store; /* Whose buffers grew. */
    rows_close();
}

/* Of the keeper's store. */
static void commit(void)
{
    cr_assert(!failed(db_commit(db, batch)));
    db_batch_clear(batch);
    overlay_rewind(&keeper.store.turn, 0);
}

TestSuite(erasure, .init = begin, .fini = end);

static const struct erasure row = {
    .id = 3,
    .kind = ERASURE_EPOCH,
    .state = ERASURE_FOUND,
    .phase = ERASURE_SEARCH,
    .backups = true,
    .at = "fifteen bytes .",
    .tenant = "shop",
    .record_bound = 1,
    .key_bound = 2,
    .key_id = 3,
    .asked_by = "security",
    .approved_by = "security-2",
    .asked_ms = 4,
    .ended_ms = 5,
    .entry = 6,
    .tokens = 7,
    .records = 8,
    .repeats = 9,
    .keys = 10,
    .unread = 11,
    .tables = 12,
    .logs = 13,
    .manifests = 14,
    .attempts = 15,
    .files = 16,
    .bytes = 17,
    .marks = 18,
    .marks_found = 19,
    .others = 20,
    .others_found = 21,
    .backup_files = 22,
    .backup_marks_found = 23,
};

static const char *text_of(const struct erasure *one)
{
    static char text[4096];
    struct buffer out OWNED(buffer_free) = BUFFER(4096);
    struct json_writer writer = json_writer_over(&out);

    erasure_write(one, "", &writer);
    (void)snprintf(text, sizeof text, "%s", buffer_text(&out));
    return text;
}

Test(erasure, comes_back_from_its_row_as_it_was)
{
    struct erasure got;
    char before[4096];

    cr_expect_eq(erasure_get(&keeper, 3, &got).why, WHY_NOT_FOUND);
    cr_assert(!failed(erasure_put(&keeper, &row)));
    commit();
    cr_assert(!failed(erasure_get(&keeper, 3, &got)));
    (void)snprintf(before, sizeof before, "%s", text_of(&row));
    cr_expect_str_eq(text_of(&got), before);
    cr_expect_arr_eq(got.at, row.at, sizeof row.at);
    cr_expect_eq(got.record_bound, 1);
    cr_expect_eq(got.key_bound, 2);
}

Test(erasure, says_its_phase_by_name)
{
    static const char *const names[ERASURE_PHASE_END] = {
        NULL, "tokens", "records", "keys", "repeats", "purge", "backup", "search", "report"};
    struct erasure one = row;
    char member[32];

    for (int i = ERASURE_TOKENS; i < ERASURE_PHASE_END; i++) {
        one.phase = (enum erasure_phase)i;
        (void)snprintf(member, sizeof member, "\"phase\":\"%s\"", names[i]);
        cr_expect_not_null(strstr(text_of(&one), member), "%s", names[i]);
    }
}

Test(erasure, is_found_behind_the_one_before_it)
{
    struct erasure other = row;
    struct erasure got;

    other.id = 7;
    cr_assert(!failed(erasure_put(&keeper, &row)));
    cr_assert(!failed(erasure_put(&keeper, &other)));
    commit();
    cr_assert(!failed(erasure_next(&keeper, 0, &got)));
    cr_expect_eq(got.id, 3);
    cr_assert(!failed(erasure_next(&keeper, 3, &got)));
    cr_expect_eq(got.id, 7);
    cr_expect_eq(erasure_next(&keeper, 7, &got).why, WHY_NOT_FOUND);
}

Test(erasure, refuses_a_row_of_another_form)
{
    struct store_job_key key = {.kind = STORE_JOB_ERASURE, .id = 3};
    struct buffer text OWNED(buffer_free) = BUFFER(1024);
    struct erasure got;
    struct cursor in;

    cr_assert(!failed(erasure_put(&keeper, &row)));
    cr_assert(!failed(store_get_job(&keeper.store, &key, &in)));
    buffer_add(&text, in.bytes, in.size);
    for (unsigned i = 0; i < 3; i++) { /* Kind, state, phase: each one step too far. */
        const uint8_t beyond[] = {ERASURE_KIND_END, ERASURE_STATE_END, ERASURE_PHASE_END};
        uint8_t kept = text.bytes[i];
        text.bytes[i] = beyond[i];
        cr_assert(!failed(store_put_job(&keeper.store, batch, &key, &text)));
        cr_expect_eq(erasure_get(&keeper, 3, &got).why, WHY_FORGED, "byte %u", i);
        text.bytes[i] = 0;
        cr_assert(!failed(store_put_job(&keeper.store, batch, &key, &text)));
        cr_expect_eq(erasure_get(&keeper, 3, &got).why, WHY_FORGED, "byte %u", i);
        text.bytes[i] = kept;
    }
    text.size--;
    cr_assert(!failed(store_put_job(&keeper.store, batch, &key, &text)));
    cr_expect_eq(erasure_get(&keeper, 3, &got).why, WHY_FORGED, "a byte less");
}

static void sample(uint8_t *view, uint8_t *card, const uint8_t *fingerprint)
{
    struct store_record record = {
        .view = view, .view_size = ENVELOPE_BYTES, .card = card, .card_size = ENVELOPE_BYTES};

    random_bytes(view, ENVELOPE_BYTES);
    random_bytes(card, ENVELOPE_BYTES);
    erasure_sample(&samples, &record, fingerprint);
}

Test(erasure, keeps_its_samples_so_that_the_search_does_not_find_them_in_the_store_itself)
{
    uint8_t view[ENVELOPE_BYTES];
    uint8_t card[ENVELOPE_BYTES];
    const uint8_t fingerprint[32] = "thirty-two bytes of fingerprint";
    static struct erasure_samples got;
    struct buffer raw OWNED(buffer_free) = BUFFER(64u * 1024u);
    uint8_t key[STORE_JOB_KEY_BYTES] = {STORE_JOB_SAMPLES, [8] = 3};

    sample(view, card, fingerprint);
    cr_expect_arr_eq(samples.marks[0][0], view + 10, MARKERS_BYTES, "the salt");
    cr_expect_arr_eq(samples.marks[0][1], card + 86, MARKERS_BYTES, "the ciphertext");
    cr_expect_arr_eq(samples.marks[0][2], fingerprint, MARKERS_BYTES);
    erasure_sample_other(&samples, &(struct store_record){.view = card, .view_size = sizeof card});
    cr_assert(!failed(erasure_put_samples(&keeper, 3, &samples)));
    commit();
    cr_assert(!failed(erasure_get_samples(&keeper, 3, &got)));
    cr_expect_arr_eq(&got, &samples, sizeof samples);
    cr_assert(!failed(db_get(db, STORE_JOBS, key, sizeof key, &raw)));
    for (unsigned i = 0; i < ERASURE_SAMPLE_MARKS; i++)
        cr_expect_null(memmem(raw.bytes, raw.size, samples.marks[0][i], MARKERS_BYTES), "%u", i);
    cr_expect_null(memmem(raw.bytes, raw.size, samples.others[0], MARKERS_BYTES));
}

Test(erasure, keeps_as_many_samples_as_it_has_room_for_and_of_the_last_ones_too)
{
    uint8_t view[ENVELOPE_BYTES];
    uint8_t card[ENVELOPE_BYTES];
    static uint8_t late[4000][MARKERS_BYTES];
    unsigned found = 0;

    for (unsigned i = 0; i < ERASURE_SAMPLES_MAX; i++)
        sample(view, card, NULL);
    cr_expect_eq(samples.count, ERASURE_SAMPLES_MAX);
    for (unsigned i = 0; i < sizeof late / sizeof late[0]; i++) {
        sample(view, card, NULL);
        memcpy(late[i], view + 10, MARKERS_BYTES);
    }
    cr_expect_eq(samples.count, ERASURE_SAMPLES_MAX);
    cr_expect_eq(samples.seen, ERASURE_SAMPLES_MAX + 4000);
    for (unsigned i = 0; i < sizeof late / sizeof late[0]; i++)
        for (unsigned k = 0; k < ERASURE_SAMPLES_MAX; k++)
            if (memcmp(late[i], samples.marks[k][0], MARKERS_BYTES) == 0)
                found++;
    /* 183 of the 192 are of the later ones, on average. */
    cr_expect_gt(found, ERASURE_SAMPLES_MAX / 2);
}

Test(erasure, looks_for_what_it_sampled_and_for_nothing_else)
{
    uint8_t view[ENVELOPE_BYTES];
    uint8_t card[ENVELOPE_BYTES];
    const uint8_t fingerprint[32] = "thirty-two bytes of fingerprint";
    OWNED(markers_free) struct markers *gone = NULL;
    OWNED(markers_free) struct markers *there = NULL;

    sample(view, card, fingerprint);
    sample(view, card, NULL); /* Another card's token needs its fingerprint. */
    erasure_sample(&samples, &(struct store_record){.view = view, .card = card}, NULL);
    cr_assert(!failed(erasure_markers(&samples, &gone, &there)));
    cr_expect_eq(markers_count(gone), 5, "of the third, without envelopes, nothing");
    cr_expect_eq(markers_count(there), 0);
}
