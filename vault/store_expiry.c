/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/store_expiry.h"

#include <assert.h>
#include <string.h>

#include "base/own.h"

#define TOKEN_BIT (1ull << 63)

void store_expiry_encode(const struct store_expiry_due *due,
                         uint8_t out[static STORE_EXPIRY_ROW_BYTES])
{
    uint64_t time = (uint64_t)due->due_ms | TOKEN_BIT;

    for (unsigned i = 0; i < 8; i++)
        out[i] = (uint8_t)(time >> (56 - 8 * i));
    out[8] = (uint8_t)STORE_TOKENS;
    memcpy(out + 9, due->key, STORE_KEY_BYTES);
}

static void row_of(int64_t due_ms, const uint8_t key[static STORE_KEY_BYTES],
                   uint8_t out[static STORE_EXPIRY_ROW_BYTES])
{
    struct store_expiry_due due = {.due_ms = due_ms};

    memcpy(due.key, key, sizeof due.key);
    store_expiry_encode(&due, out);
}

void store_expiry_put(struct store *store, struct db_batch *batch, int64_t due_ms,
                      const uint8_t key[static STORE_KEY_BYTES])
{
    uint8_t row[STORE_EXPIRY_ROW_BYTES];

    if (due_ms == 0)
        return;
    row_of(due_ms, key, row);
    db_batch_put(batch, store->db, STORE_EXPIRIES, row, sizeof row, "", 0);
}

void store_expiry_delete(struct store *store, struct db_batch *batch, int64_t due_ms,
                         const uint8_t key[static STORE_KEY_BYTES])
{
    uint8_t row[STORE_EXPIRY_ROW_BYTES];

    if (due_ms == 0)
        return;
    row_of(due_ms, key, row);
    db_batch_delete(batch, store->db, STORE_EXPIRIES, row, sizeof row);
}

STATUS store_expiry_decode(const uint8_t *row, size_t size, struct store_expiry_due *out_due)
{
    struct cursor in = cursor_over(row, size);
    uint64_t time = cursor_u64(&in);
    uint8_t family = cursor_u8(&in);
    const uint8_t *key = cursor_bytes(&in, STORE_KEY_BYTES);

    ENSURE(cursor_done(&in), WHY_FORGED);
    ENSURE((time & TOKEN_BIT) != 0, WHY_FORGED);
    ENSURE(family == STORE_TOKENS, WHY_FORGED);
    out_due->due_ms = (int64_t)(time & ~TOKEN_BIT);
    memcpy(out_due->key, key, STORE_KEY_BYTES);
    return STATUS_OK;
}

STATUS store_expiry_find(struct store *store, int64_t now_ms, struct store_expiry_due *out,
                         unsigned room, unsigned *out_count)
{
    OWNED(db_iterator_free) struct db_iterator *rows = NULL;
    uint8_t first[STORE_EXPIRY_ROW_BYTES] = {TOKEN_BIT >> 56};
    unsigned count = 0;

    assert(room > 0);
    TRY(db_iterate(store->db, STORE_EXPIRIES, first, sizeof first, &rows));
    for (; db_iterator_valid(rows) && count < room; db_iterator_next(rows)) {
        size_t size = 0;
        const uint8_t *row = db_iterator_key(rows, &size);
        TRY(store_expiry_decode(row, size, &out[count]));
        if (out[count].due_ms > now_ms)
            break;
        count++;
    }
    TRY(db_iterator_status(rows));
    *out_count = count;
    return STATUS_OK;
}
