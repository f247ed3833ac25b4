/* SPDX-License-Identifier: Apache-2.0 */
/* Same-card rows count their card's tokens.  One sum over the tokens, another over the rows: where
 * they agree no row has to be looked at again, as the rows' keys are keyed hashes that nobody
 * chooses.  Where they do not, the tokens are walked once more for each slice of the rows. */
#include <inttypes.h>
#include <string.h>

#include "base/own.h"
#include "keys/fingerprint.h"
#include "vault/verify.h"
#include "vault/verify_table.h"

#define SLICE_ROWS (1u << 16)

struct counted_card {
    uint8_t fingerprint[FINGERPRINT_BYTES]; /* Its first 16 bytes are its key in the table. */
    uint32_t said;
    uint32_t found;
};

static void sum_add(uint64_t sum[static 2], const uint8_t *fingerprint, uint32_t count)
{
    uint64_t parts[2];

    memcpy(parts, fingerprint, sizeof parts);
    sum[0] += parts[0] * count;
    sum[1] += parts[1] * count;
}

void verify_same_token(struct verify *verify, const uint8_t *fingerprint)
{
    sum_add(verify->same_tokens, fingerprint, 1);
}

void verify_same_row(struct verify *verify, const uint8_t *fingerprint, uint32_t count)
{
    if (count == STORE_COUNT_UNKNOWN)
        verify->same_differs = true; /* No sum says anything then. */
    else
        sum_add(verify->same_rows, fingerprint, count);
}

/* Fills the table from where `rows` stands. */
static STATUS slice_fill(struct verify *verify, struct db_iterator *rows,
                         struct verify_table *table)
{
    struct store_same_card same;

    for (; db_iterator_valid(rows) && table->count < SLICE_ROWS; db_iterator_next(rows)) {
        size_t size = 0;
        const uint8_t *key = db_iterator_key(rows, &size);
        if (size != FINGERPRINT_BYTES ||
            failed(store_get_same_card(&verify->keeper.store, key, &same)) ||
            same.token_count == STORE_COUNT_UNKNOWN)
            continue;
        struct counted_card card = {.said = same.token_count};
        memcpy(card.fingerprint, key, sizeof card.fingerprint);
        TRY(verify_table_put(table, &card));
    }
    return db_iterator_status(rows);
}

static STATUS slice_count(struct verify *verify, struct verify_table *table)
{
    OWNED(db_iterator_free) struct db_iterator *rows = NULL;
    struct store_token token;

    TRY(db_iterate(verify->keeper.db, STORE_TOKENS, NULL, 0, &rows));
    for (; db_iterator_valid(rows); db_iterator_next(rows)) {
        size_t size = 0;
        const uint8_t *key = db_iterator_key(rows, &size);
        if (size != STORE_KEY_BYTES ||
            failed(store_get_token(&verify->keeper.store, key, &token)) ||
            token.state == STORE_TOKEN_ERASED)
            continue;
        struct counted_card *card = verify_table_find(table, token.fingerprint);
        if (card != NULL &&
            memcmp(card->fingerprint, token.fingerprint, sizeof card->fingerprint) == 0)
            card->found++;
    }
    return db_iterator_status(rows);
}

static void slice_say(struct verify *verify, const struct verify_table *table)
{
    for (size_t i = 0; i < table->capacity; i++) {
        const struct counted_card *card = verify_table_at(table, i);
        if (card == NULL || card->said == card->found)
            continue;
        struct verify_place place = {STORE_FINGERPRINTS, card->fingerprint,
                                     sizeof card->fingerprint};
        verify_find(verify, &place, VERIFY_ROLLED_BACK,
                    "it counts %" PRIu32 " tokens of its card, and there are %" PRIu32, card->said,
                    card->found);
    }
}

STATUS verify_same_end(struct verify *verify)
{
    OWNED(db_iterator_free) struct db_iterator *rows = NULL;
    OWNED(verify_table_free)
    struct verify_table table = VERIFY_TABLE(struct counted_card, SLICE_ROWS);

    if (!verify->same_differs &&
        memcmp(verify->same_tokens, verify->same_rows, sizeof verify->same_rows) == 0)
        return STATUS_OK;
    TRY(db_iterate(verify->keeper.db, STORE_FINGERPRINTS, NULL, 0, &rows));
    while (db_iterator_valid(rows)) {
        TRY(slice_fill(verify, rows, &table));
        TRY(slice_count(verify, &table));
        slice_say(verify, &table);
        verify_table_free(&table);
    }
    return db_iterator_status(rows);
}
