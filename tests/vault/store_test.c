/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/store.h"

#include <criterion/criterion.h>
#include <string.h>

#include "base/own.h"
#include "tests/vault/rows.h"

static const uint8_t key[STORE_KEY_BYTES] = "sixteen bytes ..";
static const uint8_t other_key[STORE_KEY_BYTES] = "sixteen bytes !!";
static const uint8_t fingerprint[32] = "thirty-two bytes of fingerprint";

static const struct store_token token = {.state = STORE_TOKEN_LIVE,
                                         .single_use = true,
                                         .record_id = 0x0102030405060708,
                                         .expires_ms = 1800000000001,
                                         .fingerprint = "a fingerprint",
                                         .due_ms = 1800000000004};
static const struct store_same_card same_card = {
    .card_id = "a card's id", .record_id = 17, .token_count = 3};
static const struct store_lease lease = {.submission = "sub_1",
                                         .destination = "sandbox",
                                         .tenant = "shop",
                                         .relay = "relay",
                                         .deadline_ms = 1800000000008,
                                         .settled = 2,
                                         .token_count = 2,
                                         .tokens = {"token one", "token two"},
                                         .cvv_count = 1,
                                         .cvvs = {"code one"}};
static const struct store_repeat repeat = {.digest = "a digest",
                                           .kind = 32,
                                           .expires_ms = 1800000000003,
                                           .result = (const uint8_t *)"result",
                                           .result_size = 6};

TestSuite(store, .init = rows_open, .fini = rows_close);

/* The families whose rows are sealed, with one row of each. */
static const struct sealed {
    enum store_family family;
    const uint8_t *key;
    size_t key_size;
} sealed[] = {
    {STORE_TOKENS, key, STORE_KEY_BYTES},
    {STORE_FINGERPRINTS, fingerprint, 32},
    {STORE_LEASES, key, 16},
    {STORE_IDEMPOTENCY, key, STORE_KEY_BYTES},
};
#define SEALED_COUNT (sizeof sealed / sizeof sealed[0])

static void put_all(void)
{
    cr_assert(!failed(store_put_token(&store, batch, key, &token)));
    cr_assert(!failed(store_put_same_card(&store, batch, fingerprint, &same_card)));
    cr_assert(!failed(store_put_lease(&store, batch, key, &lease)));
    cr_assert(!failed(store_put_repeat(&store, batch, key, &repeat)));
}

static enum why why_not(enum store_family family, const uint8_t *at)
{
    struct store_token got_token;
    struct store_same_card got_card;
    struct store_lease got_lease;
    struct store_repeat got_repeat;

    return (family == STORE_TOKENS         ? store_get_token(&store, at, &got_token)
            : family == STORE_FINGERPRINTS ? store_get_same_card(&store, at, &got_card)
            : family == STORE_LEASES       ? store_get_lease(&store, at, &got_lease)
                                           : store_get_repeat(&store, at, &got_repeat))
        .why;
}

static void expect_all(void)
{
    struct store_token got_token;
    struct store_same_card got_card;
    static struct store_lease got_lease;
    struct store_repeat got_repeat;

    cr_assert(!failed(store_get_token(&store, key, &got_token)));
    cr_expect_eq(got_token.state, token.state);
    cr_expect_eq(got_token.single_use, token.single_use);
    cr_expect_eq(got_token.record_id, token.record_id);
    cr_expect_eq(got_token.expires_ms, token.expires_ms);
    cr_expect_arr_eq(got_token.fingerprint, token.fingerprint, 32);
    cr_expect_eq(got_token.due_ms, token.due_ms);
    cr_assert(!failed(store_get_same_card(&store, fingerprint, &got_card)));
    cr_expect_arr_eq(got_card.card_id, same_card.card_id, 16);
    cr_expect_eq(got_card.record_id, same_card.record_id);
    cr_expect_eq(got_card.token_count, same_card.token_count);
    cr_assert(!failed(store_get_lease(&store, key, &got_lease)));
    cr_expect_str_eq(got_lease.submission, lease.submission);
    cr_expect_str_eq(got_lease.destination, lease.destination);
    cr_expect_str_eq(got_lease.tenant, lease.tenant);
    cr_expect_str_eq(got_lease.relay, lease.relay);
    cr_expect_eq(got_lease.deadline_ms, lease.deadline_ms);
    cr_expect_eq(got_lease.settled, lease.settled);
    cr_expect_eq(got_lease.token_count, lease.token_count);
    cr_expect_arr_eq(got_lease.tokens, lease.tokens, sizeof lease.tokens);
    cr_expect_eq(got_lease.cvv_count, lease.cvv_count);
    cr_expect_arr_eq(got_lease.cvvs, lease.cvvs, sizeof lease.cvvs);
    cr_assert(!failed(store_get_repeat(&store, key, &got_repeat)));
    cr_expect_arr_eq(got_repeat.digest, repeat.digest, 32);
    cr_expect_eq(got_repeat.kind, repeat.kind);
    cr_expect_eq(got_repeat.expires_ms, repeat.expires_ms);
    cr_expect_eq(got_repeat.result_size, repeat.result_size);
    cr_expect_arr_eq(got_repeat.result, repeat.result, repeat.result_size);
}

Test(store, gives_rows_back_in_their_turn_after_it_and_after_a_restart)
{
    put_all();
    expect_all();
    rows_commit();
    expect_all();
    rows_restart();
    expect_all();
}

Test(store, finds_no_row_that_was_not_put)
{
    struct store_record record;

    for (size_t i = 0; i < SEALED_COUNT; i++)
        cr_expect_eq(why_not(sealed[i].family, sealed[i].key), WHY_NOT_FOUND);
    cr_expect_eq(store_get_record(&store, 1, &record).why, WHY_NOT_FOUND);
    put_all();
    rows_commit();
    cr_expect_eq(why_not(STORE_TOKENS, other_key), WHY_NOT_FOUND);
}

Test(store, shows_the_turns_row_before_the_engines)
{
    struct store_token consumed = token;
    struct store_token got;

    put_all();
    rows_commit();
    consumed.state = STORE_TOKEN_CONSUMED;
    cr_assert(!failed(store_put_token(&store, batch, key, &consumed)));
    cr_assert(!failed(store_get_token(&store, key, &got)));
    cr_expect_eq(got.state, STORE_TOKEN_CONSUMED);
    db_batch_clear(batch);
    overlay_rewind(&store.turn, 0);
    cr_assert(!failed(store_get_token(&store, key, &got)));
    cr_expect_eq(got.state, STORE_TOKEN_LIVE);
}

/* Puts a row that another hand wrote where the store will read it. */
static void plant(enum store_family family, const uint8_t *at, size_t at_size, const void *bytes,
                  size_t size)
{
    cr_assert(!failed(overlay_put(&store.turn, (uint8_t)family, at, at_size, bytes, size)));
}

static void read_raw(const struct sealed *row, struct buffer *out)
{
    cr_assert(!failed(db_get(db, row->family, row->key, row->key_size, out)));
}

Test(store, finds_every_bit_that_was_changed_in_a_row)
{
    put_all();
    rows_commit();
    for (size_t i = 0; i < SEALED_COUNT; i++) {
        struct buffer raw OWNED(buffer_free) = BUFFER(4096);
        read_raw(&sealed[i], &raw);
        for (size_t bit = 0; bit < 8 * raw.size; bit++) {
            raw.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
            plant(sealed[i].family, sealed[i].key, sealed[i].key_size, raw.bytes, raw.size);
            cr_expect_eq(why_not(sealed[i].family, sealed[i].key), WHY_FORGED, "row %zu bit %zu", i,
                         bit);
            raw.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
            overlay_rewind(&store.turn, 0);
        }
    }
    expect_all();
}

Test(store, finds_a_changed_row_in_the_engine_itself)
{
    put_all();
    rows_commit();
    for (size_t i = 0; i < SEALED_COUNT; i++) {
        struct buffer raw OWNED(buffer_free) = BUFFER(4096);
        read_raw(&sealed[i], &raw);
        raw.bytes[0] ^= 1;
        db_batch_put(batch, db, sealed[i].family, sealed[i].key, sealed[i].key_size, raw.bytes,
                     raw.size);
        rows_commit();
        cr_expect_eq(why_not(sealed[i].family, sealed[i].key), WHY_FORGED);
    }
}

Test(store, finds_a_row_that_was_cut_or_made_longer)
{
    put_all();
    rows_commit();
    for (size_t i = 0; i < SEALED_COUNT; i++) {
        struct buffer raw OWNED(buffer_free) = BUFFER(4096);
        read_raw(&sealed[i], &raw);
        size_t size = raw.size;
        buffer_add_u8(&raw, 0);
        for (size_t wrong = 0; wrong <= size + 1; wrong++) {
            if (wrong == size)
                continue;
            plant(sealed[i].family, sealed[i].key, sealed[i].key_size, raw.bytes, wrong);
            cr_expect_eq(why_not(sealed[i].family, sealed[i].key), WHY_FORGED, "row %zu size %zu",
                         i, wrong);
            overlay_rewind(&store.turn, 0);
        }
    }
}

/* KEY-11: a consumed token's row under a live token's key, or a lease's where a token's was. */
Test(store, finds_a_row_that_was_moved)
{
    static const uint8_t elsewhere[32] = "thirty-two bytes that are others";

    put_all();
    rows_commit();
    for (size_t i = 0; i < SEALED_COUNT; i++) {
        struct buffer raw OWNED(buffer_free) = BUFFER(4096);
        read_raw(&sealed[i], &raw);
        plant(sealed[i].family, elsewhere, sealed[i].key_size, raw.bytes, raw.size);
        cr_expect_eq(why_not(sealed[i].family, elsewhere), WHY_FORGED);
        for (size_t j = 0; j < SEALED_COUNT; j++) {
            if (j == i)
                continue;
            plant(sealed[j].family, sealed[j].key, sealed[j].key_size, raw.bytes, raw.size);
            cr_expect_eq(why_not(sealed[j].family, sealed[j].key), WHY_FORGED);
        }
        overlay_rewind(&store.turn, 0);
    }
}

/* One row that would read well as a repeat and as a live token. */
Test(store, takes_no_familys_row_for_another_familys)
{
    struct store_repeat twin = repeat;
    struct buffer raw OWNED(buffer_free) = BUFFER(4096);

    twin.digest[0] = STORE_TOKEN_LIVE;
    twin.digest[1] = 1;
    twin.result_size = 5; /* As long as a token's row. */
    cr_assert(!failed(store_put_repeat(&store, batch, key, &twin)));
    rows_commit();
    cr_assert(!failed(db_get(db, STORE_IDEMPOTENCY, key, sizeof key, &raw)));
    plant(STORE_TOKENS, key, sizeof key, raw.bytes, raw.size);
    cr_expect_eq(why_not(STORE_IDEMPOTENCY, key), WHY_NONE);
    cr_expect_eq(why_not(STORE_TOKENS, key), WHY_FORGED);
}

Test(store, takes_no_row_of_a_store_under_another_root)
{
    struct keyring *others = shelf_ring_of("test", 8);

    cr_assert(!failed(keyring_loaded(others, SHELF_NOW_MS)));
    put_all();
    rows_commit();
    store.ring = others;
    for (size_t i = 0; i < SEALED_COUNT; i++)
        cr_expect_eq(why_not(sealed[i].family, sealed[i].key), WHY_FORGED);
    store.ring = ring;
    expect_all();
    keyring_free(&others);
}

Test(store, keeps_a_record_in_its_two_parts)
{
    struct buffer view OWNED(buffer_free) = BUFFER(64);
    struct buffer card OWNED(buffer_free) = BUFFER(64);

    buffer_add_text(&view, "a view's envelope");
    buffer_add_text(&card, "a card's");
    cr_assert(!failed(store_put_record(&store, batch, 7, &view, &card)));
    for (unsigned round = 0; round < 2; round++) {
        struct store_record record;
        cr_assert(!failed(store_get_record(&store, 7, &record)));
        cr_assert_eq(record.view_size, view.size);
        cr_expect_arr_eq(record.view, view.bytes, view.size);
        cr_assert_eq(record.card_size, card.size);
        cr_expect_arr_eq(record.card, card.bytes, card.size);
        cr_expect_eq(store_get_record(&store, 8, &record).why, WHY_NOT_FOUND);
        rows_commit();
    }
}

Test(store, refuses_a_record_whose_first_part_passes_its_end)
{
    static const uint8_t row[] = {0, 4, 'a', 'b', 'c'};
    static const uint8_t id[8] = {0, 0, 0, 0, 0, 0, 0, 7};
    struct store_record record;

    for (size_t size = 0; size <= sizeof row; size++) {
        plant(STORE_RECORDS, id, sizeof id, row, size);
        cr_expect_eq(store_get_record(&store, 7, &record).why, WHY_FORGED);
        overlay_rewind(&store.turn, 0);
    }
}

Test(store, deletes_a_record_at_once_and_for_good)
{
    struct buffer part OWNED(buffer_free) = BUFFER(64);
    struct store_record record;

    buffer_add_text(&part, "a part");
    cr_assert(!failed(store_put_record(&store, batch, 7, &part, &part)));
    rows_commit();
    cr_assert(!failed(store_delete_record(&store, batch, 7)));
    cr_expect_eq(store_get_record(&store, 7, &record).why, WHY_NOT_FOUND, "in its turn");
    rows_commit();
    cr_expect_eq(store_get_record(&store, 7, &record).why, WHY_NOT_FOUND, "after it");
}

Test(store, knows_its_highest_record)
{
    struct buffer part OWNED(buffer_free) = BUFFER(64);
    uint64_t last = 77;

    buffer_add_text(&part, "a part");
    cr_assert(!failed(store_last_record(&store, &last)));
    cr_expect_eq(last, 0u);
    static const uint64_t ids[] = {1, 256, 0x0123456789, 255};
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++)
        cr_assert(!failed(store_put_record(&store, batch, ids[i], &part, &part)));
    rows_commit();
    rows_restart();
    cr_assert(!failed(store_last_record(&store, &last)));
    cr_expect_eq(last, 0x0123456789u);
    cr_assert(!failed(store_put_record(&store, batch, (1ull << 48) - 1, &part, &part)));
    rows_commit();
    cr_assert(!failed(store_last_record(&store, &last)));
    cr_expect_eq(last, (1ull << 48) - 1);
    /* Behind this one there would be none, or, behind the last, the first ones again. */
    cr_assert(!failed(store_put_record(&store, batch, 1ull << 48, &part, &part)));
    rows_commit();
    cr_expect_eq(store_last_record(&store, &last).why, WHY_FORGED);
}

static void key_of(const char *label, const char *scope, const char *text, uint8_t *out)
{
    cr_assert(!failed(store_key(&store, label, scope, text, SHELF_NOW_MS, out)));
}

Test(store, key_tells_label_scope_and_text_apart)
{
    static const char *const parts[][3] = {{"token", "shop", "tok_a"}, {"lease", "shop", "tok_a"},
                                           {"token", "shopt", "ok_a"}, {"token", "shop", "tok_b"},
                                           {"token", "shoptok_a", ""}, {"token", "", "shoptok_a"},
                                           {"token", "bank", "tok_a"}};
    uint8_t keys[7][STORE_KEY_BYTES];
    uint8_t again[STORE_KEY_BYTES];

    for (unsigned i = 0; i < 7; i++) {
        key_of(parts[i][0], parts[i][1], parts[i][2], keys[i]);
        key_of(parts[i][0], parts[i][1], parts[i][2], again);
        cr_expect_arr_eq(keys[i], again, STORE_KEY_BYTES);
        for (unsigned j = 0; j < i; j++)
            cr_expect_arr_neq(keys[i], keys[j], STORE_KEY_BYTES, "%u and %u", i, j);
    }
}

static unsigned sweep(int64_t now_ms, unsigned count_max)
{
    unsigned count = 77;

    cr_assert(!failed(store_sweep(&store, batch, now_ms, count_max, &count)));
    rows_commit();
    return count;
}

static unsigned rows_in(enum store_family family)
{
    OWNED(db_iterator_free) struct db_iterator *walk = NULL;
    unsigned count = 0;

    cr_assert(!failed(db_iterate(db, family, NULL, 0, &walk)));
    for (; db_iterator_valid(walk); db_iterator_next(walk))
        count++;
    return count;
}

static void put_repeat_at(uint8_t name, int64_t expires_ms)
{
    const uint8_t at[STORE_KEY_BYTES] = {name};
    struct store_repeat row = repeat;

    row.expires_ms = expires_ms;
    cr_assert(!failed(store_put_repeat(&store, batch, at, &row)));
}

static bool has_repeat(uint8_t name)
{
    const uint8_t at[STORE_KEY_BYTES] = {name};
    struct store_repeat row;

    return !failed(store_get_repeat(&store, at, &row));
}

Test(store, sweeps_what_is_due_the_oldest_first_and_a_few_at_a_time)
{
    put_repeat_at('c', 3000);
    put_repeat_at('a', 1000);
    put_repeat_at('d', 0x100000000);
    put_repeat_at('b', 2000);
    rows_commit();
    cr_expect_eq(sweep(999, 10), 0u);
    cr_expect_eq(sweep(3000, 1), 1u);
    cr_expect(!has_repeat('a') && has_repeat('b') && has_repeat('c') && has_repeat('d'));
    cr_expect_eq(sweep(3000, 10), 2u);
    cr_expect(!has_repeat('b') && !has_repeat('c') && has_repeat('d'));
    cr_expect_eq(rows_in(STORE_EXPIRIES), 1u);
    cr_expect_eq(rows_in(STORE_IDEMPOTENCY), 1u);
    cr_expect_eq(sweep(0x100000000, 10), 1u);
    cr_expect_eq(rows_in(STORE_EXPIRIES), 0u);
    cr_expect_eq(rows_in(STORE_IDEMPOTENCY), 0u);
}

Test(store, sweeps_leases_too)
{
    cr_assert(!failed(store_put_lease(&store, batch, key, &lease)));
    store_put_expiry(&store, batch, 1000, STORE_LEASES, key, 16);
    rows_commit();
    cr_expect_eq(sweep(1000, 10), 1u);
    cr_expect_eq(why_not(STORE_LEASES, key), WHY_NOT_FOUND);
}

Test(store, does_not_sweep_an_idempotency_key_that_was_used_again)
{
    put_repeat_at('a', 1000);
    rows_commit();
    put_repeat_at('a', 5000);
    rows_commit();
    cr_expect_eq(sweep(1000, 10), 1u);
    cr_expect(has_repeat('a'));
    cr_expect_eq(sweep(5000, 10), 1u);
    cr_expect(!has_repeat('a'));
    cr_expect_eq(rows_in(STORE_EXPIRIES), 0u);
}

/* In one batch the sweep's deletion must not take what the turn has just put. */
Test(store, does_not_sweep_an_idempotency_key_that_its_turn_used_again)
{
    put_repeat_at('a', 1000);
    rows_commit();
    put_repeat_at('a', 5000);
    cr_expect_eq(sweep(1000, 10), 1u);
    cr_expect(has_repeat('a'));
}

/* An expiry is not sealed: what it may have deleted is bounded. */
Test(store, sweeps_nothing_but_leases_and_repeats)
{
    for (unsigned family = 0; family <= UINT8_MAX; family++) {
        unsigned count = 77;
        store_put_expiry(&store, batch, 1000, (enum store_family)family, key, 16);
        rows_commit();
        bool good = family == STORE_IDEMPOTENCY || family == STORE_LEASES;
        cr_expect_eq(store_sweep(&store, batch, 1000, 10, &count).why, good ? WHY_NONE : WHY_FORGED,
                     "family %u", family);
        cr_expect_eq(count, good ? 1u : 77u);
        db_batch_clear(batch);
        uint8_t row[9 + 16] = {[6] = 1000 >> 8, [7] = 1000 & 0xff, [8] = (uint8_t)family};
        memcpy(row + 9, key, 16);
        db_batch_delete(batch, db, STORE_EXPIRIES, row, sizeof row);
        rows_commit();
        cr_assert_eq(rows_in(STORE_EXPIRIES), 0u);
    }
}

Test(store, refuses_an_expiry_whose_key_is_none)
{
    static const uint8_t long_key[32];
    static const size_t sizes[] = {0, 1, 7, 8, 15, 17, 32};

    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        unsigned count = 77;
        store_put_expiry(&store, batch, 1000, STORE_LEASES, long_key, sizes[i]);
        rows_commit();
        cr_expect_eq(store_sweep(&store, batch, 1000, 10, &count).why, WHY_FORGED, "%zu", sizes[i]);
        cr_expect_eq(count, 77u);
        db_batch_clear(batch);
        uint8_t row[9 + 32] = {[6] = 1000 >> 8, [7] = 1000 & 0xff, [8] = STORE_LEASES};
        db_batch_delete(batch, db, STORE_EXPIRIES, row, 9 + sizes[i]);
        rows_commit();
        cr_assert_eq(rows_in(STORE_EXPIRIES), 0u);
    }
}
