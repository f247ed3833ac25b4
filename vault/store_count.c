/* SPDX-License-Identifier: Apache-2.0 */
#include "base/own.h"
#include "keys/envelope.h"
#include "vault/store.h"

/* A record's two envelopes name their keys in the clear; either of them counts. */
static STATUS count_names(const uint8_t *row, size_t size, uint64_t key_id, bool *out_names)
{
    struct cursor in = cursor_over(row, size);
    uint64_t found[2] = {0, 0};

    size_t view_size = cursor_u16(&in);
    const uint8_t *view = cursor_bytes(&in, view_size);
    ENSURE(view != NULL, WHY_FORGED);
    TRY(envelope_key_id(view, view_size, &found[0]));
    TRY(envelope_key_id(row + in.at, size - in.at, &found[1]));
    *out_names = found[0] == key_id || found[1] == key_id;
    return STATUS_OK;
}

STATUS store_count_under(struct store *store, uint64_t key_id, uint64_t count_max,
                         uint64_t *out_found, uint64_t *out_scanned)
{
    OWNED(db_iterator_free) struct db_iterator *rows = NULL;
    uint64_t found = 0;
    uint64_t scanned = 0;

    TRY(db_iterate(store->db, STORE_RECORDS, NULL, 0, &rows));
    for (; db_iterator_valid(rows); db_iterator_next(rows)) {
        size_t size = 0;
        bool names = false;
        ENSURE(scanned < count_max, WHY_LIMIT);
        const uint8_t *row = db_iterator_value(rows, &size);
        TRY(count_names(row, size, key_id, &names));
        scanned++;
        found += names ? 1 : 0;
    }
    TRY(db_iterator_status(rows));
    *out_found = found;
    *out_scanned = scanned;
    return STATUS_OK;
}

STATUS store_count_behind(struct store *store, uint64_t record_id, uint64_t key_id, bool *out_any)
{
    OWNED(db_iterator_free) struct db_iterator *rows = NULL;
    uint8_t from[8];

    *out_any = false;
    for (unsigned i = 0; i < sizeof from; i++)
        from[i] = (uint8_t)((record_id + 1) >> (56 - 8 * i));
    TRY(db_iterate(store->db, STORE_RECORDS, from, sizeof from, &rows));
    for (; db_iterator_valid(rows) && !*out_any; db_iterator_next(rows)) {
        size_t size = 0;
        const uint8_t *row = db_iterator_value(rows, &size);
        TRY(count_names(row, size, key_id, out_any));
    }
    return db_iterator_status(rows);
}
