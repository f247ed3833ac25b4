/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/ledger_sweep.h"

#include <assert.h>
#include <string.h>

#include "base/encode.h"
#include "base/own.h"
#include "relay/ledger_rows.h"

#define TIME_BYTES 8u
#define HEAD_BYTES (TIME_BYTES + 1u)
#define LATER_MS   (3600 * INT64_C(1000)) /* Until what is under way is looked at again. */
#define ROW_BYTES  (16u * 1024u + LEDGER_ANSWER_BYTES_MAX)

/* u64 time | u8 family | key, in the order of time. */
void ledger_sweep_put(struct ledger *ledger, struct db_batch *batch, int64_t when_ms,
                      const struct ledger_sweep_row *row)
{
    uint8_t due[HEAD_BYTES + LEDGER_KEY_BYTES];

    assert(row->family == LEDGER_KEYS || row->family == LEDGER_SUBMISSIONS);
    assert(row->key_size <= LEDGER_KEY_BYTES);
    for (unsigned i = 0; i < TIME_BYTES; i++)
        due[i] = (uint8_t)((uint64_t)when_ms >> (56 - 8 * i));
    due[TIME_BYTES] = (uint8_t)row->family;
    memcpy(due + HEAD_BYTES, row->key, row->key_size);
    db_batch_put(batch, ledger_db(ledger), LEDGER_EXPIRIES, due, HEAD_BYTES + row->key_size, "", 0);
}

static STATUS due_decode(const uint8_t *due, size_t size, int64_t *out_when_ms,
                         struct ledger_sweep_row *out_row)
{
    struct cursor cursor = cursor_over(due, size);

    *out_when_ms = (int64_t)cursor_u64(&cursor);
    out_row->family = (enum ledger_family)cursor_u8(&cursor);
    ENSURE(!cursor.bad && size - cursor.at <= LEDGER_KEY_BYTES, WHY_FORGED);
    ENSURE(out_row->family == LEDGER_KEYS || out_row->family == LEDGER_SUBMISSIONS, WHY_FORGED);
    out_row->key = due + cursor.at;
    out_row->key_size = size - cursor.at;
    return STATUS_OK;
}

static STATUS sweep_one(struct ledger_sweep *sweep, struct ledger *ledger, struct db_batch *batch,
                        const struct ledger_sweep_row *row)
{
    struct buffer bytes OWNED(buffer_free) = BUFFER(ROW_BYTES);
    bool open = false;
    int64_t holds_until_ms = 0;

    struct status status = db_get(ledger_db(ledger), row->family, row->key, row->key_size, &bytes);
    if (status.why == WHY_NOT_FOUND)
        return STATUS_OK;
    TRY(status);
    TRY(ledger_rows_time(&bytes, row->family, &open, &holds_until_ms));
    if (open) {
        ledger_sweep_put(ledger, batch, sweep->now_ms + LATER_MS, row);
        return STATUS_OK;
    }
    if (holds_until_ms > sweep->now_ms)
        return STATUS_OK; /* The key was used again after its time: a later row of ours has it. */
    db_batch_delete(batch, ledger_db(ledger), row->family, row->key, row->key_size);
    sweep->deleted++;
    return STATUS_OK;
}

struct ledger_sweep ledger_sweep_at(int64_t now_ms, void (*done)(struct ledger_op *op))
{
    return (struct ledger_sweep){
        .op = {.apply = ledger_sweep_apply, .done = done, .starts_batch = true}, .now_ms = now_ms};
}

STATUS ledger_sweep_apply(struct ledger_op *op, struct ledger *ledger, struct db_batch *batch)
{
    struct ledger_sweep *sweep = (struct ledger_sweep *)op;
    OWNED(db_iterator_free) struct db_iterator *at = NULL;

    assert(db_batch_count(batch) == 0);
    sweep->count = 0;
    sweep->deleted = 0;
    TRY(db_iterate(ledger_db(ledger), LEDGER_EXPIRIES, NULL, 0, &at));
    for (; db_iterator_valid(at) && sweep->count < LEDGER_SWEEP_ROWS_MAX; db_iterator_next(at)) {
        size_t size = 0;
        const uint8_t *due = db_iterator_key(at, &size);
        struct ledger_sweep_row row;
        int64_t when_ms = 0;
        TRY(due_decode(due, size, &when_ms, &row));
        if (when_ms > sweep->now_ms)
            break;
        TRY(sweep_one(sweep, ledger, batch, &row));
        db_batch_delete(batch, ledger_db(ledger), LEDGER_EXPIRIES, due, size);
        sweep->count++;
    }
    return db_iterator_status(at);
}
