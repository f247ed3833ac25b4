/* SPDX-License-Identifier: Apache-2.0 */
/* What an erasure reads and deletes: each call looks at so many rows and no more, and puts how far
 * it came into the same batch as what it deleted. */
#include <string.h>

#include "base/encode.h"
#include "base/own.h"
#include "vault/erase.h"
#include "vault/erasure.h"
#include "vault/steps.h"

/* Rows that one slice looks at: about a millisecond, of which requests that came meanwhile wait. */
#define SLICE_TOKENS  64u
#define SLICE_RECORDS 256u
#define SLICE_REPEATS 64u
/* Of cards that stay so many records are looked at, where who needs which key is of no interest. */
#define OTHERS_ROWS 512u

/* One slice of a walk over a family, from where the last one ended. */
struct slice {
    struct keeper *keeper;
    struct erasure_run *run;
    int64_t now_ms;
    bool changed; /* Rows are in the batch. */
};

static STATUS key_of_view(struct keeper *keeper, const struct store_record *record,
                          struct key_info *out_info)
{
    uint64_t key_id = 0;

    TRY(envelope_key_id(record->view, record->view_size, &key_id));
    ENSURE(key_id > 0 && key_id <= ERASURE_KEYS_MAX, WHY_FORGED);
    ENSURE(keyring_info_at(keeper->ring, (unsigned)(key_id - 1), out_info), WHY_FORGED);
    return STATUS_OK;
}

static bool is_wanted(const struct erasure *row, const struct key_info *info, uint64_t record_id)
{
    if (row->kind == ERASURE_EPOCH)
        return info->id == row->key_id;
    return row->kind == ERASURE_TENANT && record_id < row->record_bound &&
           strcmp(info->tenant, row->tenant) == 0;
}

static uint64_t number_of(const uint8_t key[static 8])
{
    struct cursor in = cursor_over(key, 8);

    return cursor_u64(&in);
}

/* --- Tokens --- */

STATUS erasure_take_token(struct keeper *keeper, struct erasure_run *run,
                          const uint8_t key[static STORE_KEY_BYTES],
                          const struct store_token *token, int64_t now_ms)
{
    struct store *store = &keeper->store;
    struct store_same_card same;
    struct store_record record;
    uint8_t fingerprint[sizeof token->fingerprint];

    memcpy(fingerprint, token->fingerprint, sizeof fingerprint);
    struct status status = store_get_same_card(store, fingerprint, &same);
    bool is_last = !failed(status) && same.token_count == 1;
    status = store_get_record(store, token->record_id, &record);
    if (!failed(status))
        erasure_sample(&run->samples, &record, is_last ? fingerprint : NULL);
    else if (status.why != WHY_NOT_FOUND)
        return status;
    TRY(erase_token(keeper, key, token, now_ms));
    run->row.tokens++;
    return STATUS_OK;
}

static STATUS token_look(struct slice *slice, const uint8_t *key)
{
    struct keeper *keeper = slice->keeper;
    struct store_record record;
    struct store_token token;
    struct key_info info;

    TRY(store_get_token(&keeper->store, key, &token));
    if (token.state == STORE_TOKEN_ERASED)
        return STATUS_OK;
    struct status status = store_get_record(&keeper->store, token.record_id, &record);
    if (status.why == WHY_NOT_FOUND)
        return STATUS_OK; /* Of whom it was cannot be known; the checker names it. */
    TRY(status);
    TRY(key_of_view(keeper, &record, &info));
    if (!is_wanted(&slice->run->row, &info, token.record_id))
        return STATUS_OK;
    slice->changed = true;
    return erasure_take_token(keeper, slice->run, key, &token, slice->now_ms);
}

/* --- Records --- */

static STATUS record_look(struct slice *slice, const uint8_t *key)
{
    struct keeper *keeper = slice->keeper;
    struct erasure_run *run = slice->run;
    uint64_t id = number_of(key);
    struct store_record record;
    struct key_info info;
    uint64_t card_key = 0;

    TRY(store_get_record(&keeper->store, id, &record));
    TRY(key_of_view(keeper, &record, &info));
    if (is_wanted(&run->row, &info, id)) {
        erasure_sample(&run->samples, &record, NULL);
        TRY(store_delete_record(&keeper->store, keeper->batch, id));
        run->row.records++;
        slice->changed = true;
        return STATUS_OK;
    }
    TRY(envelope_key_id(record.card, record.card_size, &card_key));
    ENSURE(card_key > 0 && card_key <= ERASURE_KEYS_MAX, WHY_FORGED);
    run->keys_used[info.id / 8] |= (uint8_t)(1u << (info.id % 8));
    run->keys_used[card_key / 8] |= (uint8_t)(1u << (card_key % 8));
    erasure_sample_other(&run->samples, &record);
    return STATUS_OK;
}

/* --- Kept answers --- */

/* An answer that names a record that is gone becomes one that says so and nothing else: without
 * what was hashed of the card, and without the card's number in the store. */
static STATUS repeat_look(struct slice *slice, const uint8_t *key)
{
    struct keeper *keeper = slice->keeper;
    struct store_repeat repeat;
    bool gone = false;

    TRY(store_get_repeat(&keeper->store, key, &repeat));
    if (repeat.kind != MESSAGE_TOKENIZE || repeat.result_size == 0)
        return STATUS_OK;
    TRY(tokenize_again_is_gone(keeper, &repeat, &gone));
    if (!gone)
        return STATUS_OK;
    struct store_repeat empty = {
        .kind = repeat.kind, .expires_ms = repeat.expires_ms, .result = (const uint8_t *)""};
    slice->changed = true;
    slice->run->row.repeats++;
    return store_put_repeat(&keeper->store, keeper->batch, key, &empty);
}

/* --- Walking --- */

struct walk_family {
    enum store_family family;
    size_t key_bytes;
    unsigned rows_max;
    STATUS (*look)(struct slice *slice, const uint8_t *key);
};

/* The keys of the family's next rows, of which there are none at its end. */
static STATUS walk_ahead(struct slice *slice, const struct walk_family *walk)
{
    struct erasure_run *run = slice->run;
    OWNED(db_iterator_free) struct db_iterator *rows = NULL;

    run->ahead_count = 0;
    run->ahead_next = 0;
    TRY(db_iterate(slice->keeper->db, walk->family, run->row.at, walk->key_bytes, &rows));
    for (; db_iterator_valid(rows) && run->ahead_count < ERASURE_AHEAD_MAX;
         db_iterator_next(rows)) {
        size_t size = 0;
        const uint8_t *key = db_iterator_key(rows, &size);
        if (size != walk->key_bytes)
            run->row.unread++;
        else if (memcmp(key, run->row.at, size) != 0) /* That is the last slice's last. */
            memcpy(run->ahead[run->ahead_count++], key, size);
    }
    return db_iterator_status(rows);
}

/* Looks at the family's next rows; *out_end where there are no more.  What cannot be read stays and
 * is counted, so that one bad row does not keep all others; what went meanwhile is none. */
static STATUS walk_slice(struct slice *slice, const struct walk_family *walk, bool *out_end)
{
    struct erasure_run *run = slice->run;

    if (run->ahead_next == run->ahead_count)
        TRY(walk_ahead(slice, walk));
    *out_end = run->ahead_count == 0;
    for (unsigned i = 0; i < walk->rows_max && run->ahead_next < run->ahead_count; i++) {
        const uint8_t *key = run->ahead[run->ahead_next++];
        struct keeper_mark mark = keeper_mark(slice->keeper);
        struct status status = walk->look(slice, key);
        if (status.why == WHY_FORGED || status.why == WHY_NOT_FOUND) {
            keeper_rewind(slice->keeper, &mark, slice->now_ms);
            run->row.unread += status.why == WHY_FORGED ? 1 : 0;
        } else
            TRY(status);
        memcpy(run->row.at, key, walk->key_bytes);
    }
    return STATUS_OK;
}

/* --- Keys --- */

static bool key_is_wanted(const struct erasure *row, const struct key_info *info)
{
    if (info->level != KEY_LEVEL_DEK || info->purpose != KEY_PURPOSE_CARD)
        return false;
    if (row->kind == ERASURE_EPOCH)
        return info->id == row->key_id;
    return info->id < row->key_bound && strcmp(info->tenant, row->tenant) == 0;
}

static STATUS key_destroy(struct slice *slice, const struct key_info *info)
{
    struct keyring *ring = slice->keeper->ring;

    /* Somebody made it active again, and cards may come under it; or it was since the start, and
     * cards may have come behind the walk.  What cannot be taken back waits for a person. */
    if (info->state == KEY_STATE_ACTIVE || info->changed_ms > slice->run->row.asked_ms)
        return STATUS_OK;
    TRY(keyring_change_state(ring, info->id, KEY_STATE_DESTROYED, slice->now_ms));
    slice->keeper->keys_by_hand = true;
    slice->run->row.keys++;
    return STATUS_OK;
}

static STATUS keys_walk(struct slice *slice)
{
    const struct erasure_run *run = slice->run;
    struct key_info info;

    if (run->row.kind == ERASURE_TOKEN)
        return STATUS_OK;
    for (unsigned i = 0; keyring_info_at(slice->keeper->ring, i, &info); i++) {
        bool is_used = (run->keys_used[info.id / 8] & (1u << (info.id % 8))) != 0;
        if (is_used || !key_is_wanted(&run->row, &info) || info.state == KEY_STATE_DESTROYED)
            continue;
        TRY(key_destroy(slice, &info));
    }
    return STATUS_OK;
}

/* --- The phases --- */

static const struct walk_family families[ERASURE_PHASE_END] = {
    [ERASURE_TOKENS] = {STORE_TOKENS, STORE_KEY_BYTES, SLICE_TOKENS, token_look},
    [ERASURE_RECORDS] = {STORE_RECORDS, 8, SLICE_RECORDS, record_look},
    [ERASURE_REPEATS] = {STORE_IDEMPOTENCY, STORE_KEY_BYTES, SLICE_REPEATS, repeat_look},
};

static STATUS phase_slice(struct slice *slice, bool *out_end)
{
    struct erasure_run *run = slice->run;
    struct erasure *row = &run->row;
    bool is_one = row->kind == ERASURE_TOKEN;

    *out_end = true;
    if (row->phase == ERASURE_KEYS)
        return keys_walk(slice);
    if (is_one && row->phase == ERASURE_TOKENS)
        return STATUS_OK; /* It went with the request. */
    TRY(walk_slice(slice, &families[row->phase], out_end));
    if (is_one && row->phase == ERASURE_RECORDS && number_of(row->at) >= OTHERS_ROWS)
        *out_end = true;
    return STATUS_OK;
}

/* The end of a phase, or rows that went: both are worth a row.  That a walk came further alone is
 * not: after a kill it begins where it was last said to be. */
STATUS erasure_walk(struct keeper *keeper, struct erasure_run *run, int64_t now_ms)
{
    struct slice slice = {.keeper = keeper, .run = run, .now_ms = now_ms};
    bool end = false;

    TRY(phase_slice(&slice, &end));
    if (end) {
        run->row.phase++;
        run->ahead_count = 0;
        run->ahead_next = 0;
        memset(run->row.at, 0, sizeof run->row.at);
    }
    if (!end && !slice.changed)
        return STATUS_OK;
    TRY(erase_note(keeper, now_ms));
    TRY(erasure_put_samples(keeper, run->row.id, &run->samples));
    return erasure_put(keeper, &run->row);
}
