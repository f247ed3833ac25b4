/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/store.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

#include "base/own.h"
#include "keys/fingerprint.h"
#include "keys/permutation.h"

#define STORE_ROW_BYTES_MAX (256u * 1024u)
#define STORE_RECORDS_MAX   (1ull << 48) /* What a token has room for: token_key.h. */

const struct db_family store_families[STORE_FAMILY_COUNT] = {
    [STORE_META] = {.name = "meta"},
    [STORE_RECORDS] = {.name = "records"},
    [STORE_TOKENS] = {.name = "tokens", .filtered = true},
    [STORE_FINGERPRINTS] = {.name = "fingerprints", .random_keys = true},
    [STORE_KEYS] = {.name = "keys"},
    [STORE_IDEMPOTENCY] = {.name = "idempotency", .random_keys = true},
    [STORE_LEASES] = {.name = "leases", .filtered = true},
    [STORE_EXPIRIES] = {.name = "expiries"},
    [STORE_AUDIT_ENTRIES] = {.name = "audit_entries"},
    [STORE_AUDIT_CHECKPOINTS] = {.name = "audit_checkpoints"},
    [STORE_AUDIT_STATE] = {.name = "audit_state"},
    [STORE_JOBS] = {.name = "jobs"},
};

static void store_id_encode(uint64_t id, uint8_t out[static 8])
{
    for (unsigned i = 0; i < 8; i++)
        out[i] = (uint8_t)(id >> (56 - 8 * i));
}

static uint64_t store_id_decode(const uint8_t bytes[static 8])
{
    uint64_t id = 0;

    for (unsigned i = 0; i < 8; i++)
        id = id << 8 | bytes[i];
    return id;
}

STATUS store_open(struct store *out_store, struct db *db, struct keyring *ring)
{
    *out_store = (struct store){
        .db = db,
        .ring = ring,
        .scratch = BUFFER(STORE_ROW_BYTES_MAX),
        .value = BUFFER(STORE_ROW_BYTES_MAX),
        .covered = BUFFER(STORE_ROW_BYTES_MAX + 64),
    };
    return overlay_open(&out_store->turn);
}

void store_close(struct store *store)
{
    overlay_close(&store->turn);
    permutation_free(&store->token_order);
    buffer_free(&store->scratch);
    buffer_free(&store->value);
    buffer_free(&store->covered);
}

/* A row goes into the batch and becomes visible to the rest of the turn. */
static STATUS store_write(struct store *store, struct db_batch *batch, enum store_family family,
                          const void *key, size_t key_size)
{
    TRY(buffer_status(&store->scratch));
    TRY(overlay_put(&store->turn, (uint8_t)family, key, key_size, store->scratch.bytes,
                    store->scratch.size));
    db_batch_put(batch, store->db, family, key, key_size, store->scratch.bytes,
                 store->scratch.size);
    return STATUS_OK;
}

/* Reads into `value`: this turn's row, or else the engine's. */
static STATUS store_read(struct store *store, enum store_family family, const void *key,
                         size_t key_size)
{
    const uint8_t *bytes = NULL;
    size_t size = 0;

    if (failed(overlay_get(&store->turn, (uint8_t)family, key, key_size, &bytes, &size)))
        return db_get(store->db, family, key, key_size, &store->value);
    ENSURE(bytes != NULL, WHY_NOT_FOUND);
    buffer_clear(&store->value);
    buffer_add(&store->value, bytes, size);
    return buffer_status(&store->value);
}

STATUS store_key(struct store *store, const char *label, const char *scope, const char *text,
                 int64_t now_ms, uint8_t out[static STORE_KEY_BYTES])
{
    uint8_t hash[FINGERPRINT_BYTES];
    struct buffer *in = &store->scratch;

    buffer_clear(in);
    buffer_add_counted(in, scope);
    buffer_add_counted(in, text);
    TRY(buffer_status(in));
    struct status status = fingerprint_index(store->ring, label, in->bytes, in->size, now_ms, hash);
    buffer_clear(in); /* Callers' text: some put a card's number where its token belongs. */
    TRY(status);
    memcpy(out, hash, STORE_KEY_BYTES);
    return STATUS_OK;
}

/* What a row's seal covers besides its value: that it stands here and nowhere else. */
static STATUS store_seal(struct store *store, enum store_family family, const void *key,
                         size_t key_size, const void *value, size_t value_size,
                         uint8_t out[static STORE_SEAL_BYTES])
{
    uint8_t hash[FINGERPRINT_BYTES];
    struct buffer *covered = &store->covered;

    buffer_clear(covered);
    buffer_add_u8(covered, (uint8_t)family);
    buffer_add_u16(covered, (uint16_t)key_size);
    buffer_add(covered, key, key_size);
    buffer_add(covered, value, value_size);
    TRY(buffer_status(covered));
    TRY(fingerprint_index(store->ring, "row", covered->bytes, covered->size, 0, hash));
    memcpy(out, hash, STORE_SEAL_BYTES);
    return STATUS_OK;
}

/* Puts what stands in scratch, with its seal. */
static STATUS store_put_sealed(struct store *store, struct db_batch *batch,
                               enum store_family family, const void *key, size_t key_size)
{
    uint8_t seal[STORE_SEAL_BYTES];

    TRY(buffer_status(&store->scratch));
    TRY(store_seal(store, family, key, key_size, store->scratch.bytes, store->scratch.size, seal));
    buffer_add(&store->scratch, seal, sizeof seal);
    return store_write(store, batch, family, key, key_size);
}

/* Reads a sealed row into `value` and sets a cursor on its content. */
static STATUS store_get_sealed(struct store *store, enum store_family family, const void *key,
                               size_t key_size, struct cursor *out_content)
{
    uint8_t seal[STORE_SEAL_BYTES];

    TRY(store_read(store, family, key, key_size));
    ENSURE(store->value.size > STORE_SEAL_BYTES, WHY_FORGED);
    size_t size = store->value.size - STORE_SEAL_BYTES;
    TRY(store_seal(store, family, key, key_size, store->value.bytes, size, seal));
    ENSURE(sodium_memcmp(seal, store->value.bytes + size, sizeof seal) == 0, WHY_FORGED);
    *out_content = cursor_over(store->value.bytes, size);
    return STATUS_OK;
}

static void store_cursor_copy(struct cursor *in, void *out, size_t size)
{
    const uint8_t *bytes = cursor_bytes(in, size);

    if (bytes != NULL)
        memcpy(out, bytes, size);
}

STATUS store_get_token(struct store *store, const uint8_t key[static STORE_KEY_BYTES],
                       struct store_token *out_token)
{
    struct cursor in;

    TRY(store_get_sealed(store, STORE_TOKENS, key, STORE_KEY_BYTES, &in));
    *out_token = (struct store_token){0};
    uint8_t state = cursor_u8(&in);
    ENSURE(state >= STORE_TOKEN_LIVE && state <= STORE_TOKEN_ERASED, WHY_FORGED);
    out_token->state = (enum store_token_state)state;
    out_token->single_use = cursor_u8(&in) != 0;
    out_token->record_id = cursor_u64(&in);
    out_token->expires_ms = (int64_t)cursor_u64(&in);
    store_cursor_copy(&in, out_token->fingerprint, sizeof out_token->fingerprint);
    if (in.at < in.size) /* Rows from before tokens went by themselves end here. */
        out_token->due_ms = (int64_t)cursor_u64(&in);
    ENSURE(cursor_done(&in), WHY_FORGED);
    return STATUS_OK;
}

STATUS store_put_token(struct store *store, struct db_batch *batch,
                       const uint8_t key[static STORE_KEY_BYTES], const struct store_token *token)
{
    struct buffer *out = &store->scratch;

    buffer_clear(out);
    buffer_add_u8(out, (uint8_t)token->state);
    buffer_add_u8(out, token->single_use ? 1 : 0);
    buffer_add_u64(out, token->record_id);
    buffer_add_u64(out, (uint64_t)token->expires_ms);
    buffer_add(out, token->fingerprint, sizeof token->fingerprint);
    buffer_add_u64(out, (uint64_t)token->due_ms);
    return store_put_sealed(store, batch, STORE_TOKENS, key, STORE_KEY_BYTES);
}

STATUS store_get_same_card(struct store *store, const uint8_t fingerprint[static 32],
                           struct store_same_card *out_row)
{
    struct cursor in;

    TRY(store_get_sealed(store, STORE_FINGERPRINTS, fingerprint, 32, &in));
    *out_row = (struct store_same_card){0};
    store_cursor_copy(&in, out_row->card_id, sizeof out_row->card_id);
    out_row->record_id = cursor_u64(&in);
    out_row->token_count = in.at < in.size ? cursor_u32(&in) : STORE_COUNT_UNKNOWN;
    ENSURE(cursor_done(&in), WHY_FORGED);
    return STATUS_OK;
}

STATUS store_put_same_card(struct store *store, struct db_batch *batch,
                           const uint8_t fingerprint[static 32], const struct store_same_card *row)
{
    buffer_clear(&store->scratch);
    buffer_add(&store->scratch, row->card_id, sizeof row->card_id);
    buffer_add_u64(&store->scratch, row->record_id);
    buffer_add_u32(&store->scratch, row->token_count);
    return store_put_sealed(store, batch, STORE_FINGERPRINTS, fingerprint, 32);
}

static STATUS store_delete(struct store *store, struct db_batch *batch, enum store_family family,
                           const void *key, size_t key_size)
{
    TRY(overlay_put(&store->turn, (uint8_t)family, key, key_size, NULL, 0));
    db_batch_delete(batch, store->db, family, key, key_size);
    return STATUS_OK;
}

STATUS store_delete_same_card(struct store *store, struct db_batch *batch,
                              const uint8_t fingerprint[static 32])
{
    return store_delete(store, batch, STORE_FINGERPRINTS, fingerprint, 32);
}

STATUS store_get_lease(struct store *store, const uint8_t lease_id[static 16],
                       struct store_lease *out_lease)
{
    struct cursor in;

    TRY(store_get_sealed(store, STORE_LEASES, lease_id, 16, &in));
    *out_lease = (struct store_lease){0};
    cursor_text(&in, out_lease->submission, sizeof out_lease->submission);
    cursor_text(&in, out_lease->destination, sizeof out_lease->destination);
    cursor_text(&in, out_lease->tenant, sizeof out_lease->tenant);
    cursor_text(&in, out_lease->relay, sizeof out_lease->relay);
    out_lease->deadline_ms = (int64_t)cursor_u64(&in);
    out_lease->settled = cursor_u8(&in);
    out_lease->token_count = cursor_u8(&in);
    ENSURE(out_lease->token_count <= CONTRACT_LEASE_TOKENS_MAX, WHY_FORGED);
    for (unsigned i = 0; i < out_lease->token_count; i++)
        store_cursor_copy(&in, out_lease->tokens[i], STORE_KEY_BYTES);
    out_lease->cvv_count = cursor_u8(&in);
    ENSURE(out_lease->cvv_count <= CONTRACT_LEASE_TOKENS_MAX, WHY_FORGED);
    for (unsigned i = 0; i < out_lease->cvv_count; i++)
        store_cursor_copy(&in, out_lease->cvvs[i], 16);
    ENSURE(cursor_done(&in), WHY_FORGED);
    return STATUS_OK;
}

STATUS store_put_lease(struct store *store, struct db_batch *batch,
                       const uint8_t lease_id[static 16], const struct store_lease *lease)
{
    struct buffer *out = &store->scratch;

    assert(lease->token_count <= CONTRACT_LEASE_TOKENS_MAX);
    assert(lease->cvv_count <= CONTRACT_LEASE_TOKENS_MAX);
    buffer_clear(out);
    buffer_add_counted(out, lease->submission);
    buffer_add_counted(out, lease->destination);
    buffer_add_counted(out, lease->tenant);
    buffer_add_counted(out, lease->relay);
    buffer_add_u64(out, (uint64_t)lease->deadline_ms);
    buffer_add_u8(out, lease->settled);
    buffer_add_u8(out, lease->token_count);
    for (unsigned i = 0; i < lease->token_count; i++)
        buffer_add(out, lease->tokens[i], STORE_KEY_BYTES);
    buffer_add_u8(out, lease->cvv_count);
    for (unsigned i = 0; i < lease->cvv_count; i++)
        buffer_add(out, lease->cvvs[i], 16);
    return store_put_sealed(store, batch, STORE_LEASES, lease_id, 16);
}

STATUS store_delete_lease(struct store *store, struct db_batch *batch,
                          const uint8_t lease_id[static 16])
{
    return store_delete(store, batch, STORE_LEASES, lease_id, 16);
}

STATUS store_get_repeat(struct store *store, const uint8_t key[static STORE_KEY_BYTES],
                        struct store_repeat *out_repeat)
{
    struct cursor in;

    TRY(store_get_sealed(store, STORE_IDEMPOTENCY, key, STORE_KEY_BYTES, &in));
    *out_repeat = (struct store_repeat){0};
    store_cursor_copy(&in, out_repeat->digest, sizeof out_repeat->digest);
    out_repeat->kind = cursor_u8(&in);
    out_repeat->expires_ms = (int64_t)cursor_u64(&in);
    out_repeat->result_size = cursor_u32(&in);
    out_repeat->result = cursor_bytes(&in, out_repeat->result_size);
    ENSURE(cursor_done(&in), WHY_FORGED);
    return STATUS_OK;
}

STATUS store_put_repeat(struct store *store, struct db_batch *batch,
                        const uint8_t key[static STORE_KEY_BYTES],
                        const struct store_repeat *repeat)
{
    struct buffer *out = &store->scratch;

    buffer_clear(out);
    buffer_add(out, repeat->digest, sizeof repeat->digest);
    buffer_add_u8(out, repeat->kind);
    buffer_add_u64(out, (uint64_t)repeat->expires_ms);
    buffer_add_u32(out, repeat->result_size);
    buffer_add(out, repeat->result, repeat->result_size);
    TRY(store_put_sealed(store, batch, STORE_IDEMPOTENCY, key, STORE_KEY_BYTES));
    store_put_expiry(store, batch, repeat->expires_ms, STORE_IDEMPOTENCY, key, STORE_KEY_BYTES);
    return STATUS_OK;
}

STATUS store_get_record(struct store *store, uint64_t record_id, struct store_record *out_record)
{
    uint8_t key[8];

    store_id_encode(record_id, key);
    TRY(store_read(store, STORE_RECORDS, key, sizeof key));
    struct cursor in = cursor_over(store->value.bytes, store->value.size);
    out_record->view_size = cursor_u16(&in);
    out_record->view = cursor_bytes(&in, out_record->view_size);
    out_record->card_size = in.bad ? 0 : store->value.size - in.at;
    out_record->card = cursor_bytes(&in, out_record->card_size);
    ENSURE(cursor_done(&in), WHY_FORGED);
    return STATUS_OK;
}

STATUS store_put_record(struct store *store, struct db_batch *batch, uint64_t record_id,
                        const struct buffer *view, const struct buffer *card)
{
    uint8_t key[8];

    assert(view->size <= UINT16_MAX);
    store_id_encode(record_id, key);
    buffer_clear(&store->scratch);
    buffer_add_u16(&store->scratch, (uint16_t)view->size);
    buffer_add(&store->scratch, view->bytes, view->size);
    buffer_add(&store->scratch, card->bytes, card->size);
    return store_write(store, batch, STORE_RECORDS, key, sizeof key);
}

STATUS store_delete_record(struct store *store, struct db_batch *batch, uint64_t record_id)
{
    uint8_t key[8];

    store_id_encode(record_id, key);
    return store_delete(store, batch, STORE_RECORDS, key, sizeof key);
}

STATUS store_get_mark(struct store *store, const char *name, uint64_t *out_mark)
{
    struct cursor in;

    TRY(store_get_sealed(store, STORE_META, name, strlen(name), &in));
    *out_mark = cursor_u64(&in);
    ENSURE(cursor_done(&in), WHY_FORGED);
    return STATUS_OK;
}

STATUS store_put_mark(struct store *store, struct db_batch *batch, const char *name, uint64_t mark)
{
    buffer_clear(&store->scratch);
    buffer_add_u64(&store->scratch, mark);
    return store_put_sealed(store, batch, STORE_META, name, strlen(name));
}

static void store_job_key_encode(const struct store_job_key *key,
                                 uint8_t out[static STORE_JOB_KEY_BYTES])
{
    out[0] = (uint8_t)key->kind;
    store_id_encode(key->id, out + 1);
}

STATUS store_get_job(struct store *store, const struct store_job_key *key,
                     struct cursor *out_content)
{
    uint8_t row[STORE_JOB_KEY_BYTES];

    store_job_key_encode(key, row);
    return store_get_sealed(store, STORE_JOBS, row, sizeof row, out_content);
}

STATUS store_put_job(struct store *store, struct db_batch *batch, const struct store_job_key *key,
                     const struct buffer *content)
{
    uint8_t row[STORE_JOB_KEY_BYTES];

    assert(content->size > 0);
    store_job_key_encode(key, row);
    buffer_clear(&store->scratch);
    buffer_add(&store->scratch, content->bytes, content->size);
    return store_put_sealed(store, batch, STORE_JOBS, row, sizeof row);
}

STATUS store_delete_job(struct store *store, struct db_batch *batch,
                        const struct store_job_key *key)
{
    uint8_t row[STORE_JOB_KEY_BYTES];

    store_job_key_encode(key, row);
    return store_delete(store, batch, STORE_JOBS, row, sizeof row);
}

STATUS store_next_job(struct store *store, const struct store_job_key *key, uint64_t *out_id)
{
    OWNED(db_iterator_free) struct db_iterator *rows = NULL;
    struct store_job_key next = {.kind = key->kind, .id = key->id + 1};
    uint8_t row[STORE_JOB_KEY_BYTES];
    size_t size = 0;

    ENSURE(key->id < UINT64_MAX, WHY_NOT_FOUND);
    store_job_key_encode(&next, row);
    TRY(db_iterate(store->db, STORE_JOBS, row, sizeof row, &rows));
    TRY(db_iterator_status(rows));
    ENSURE(db_iterator_valid(rows), WHY_NOT_FOUND);
    const uint8_t *found = db_iterator_key(rows, &size);
    ENSURE(size == STORE_JOB_KEY_BYTES, WHY_FORGED);
    ENSURE(found[0] == (uint8_t)key->kind, WHY_NOT_FOUND);
    *out_id = store_id_decode(found + 1);
    return STATUS_OK;
}

STATUS store_last_record(struct store *store, uint64_t *out_record_id)
{
    OWNED(db_iterator_free) struct db_iterator *rows = NULL;
    size_t size = 0;

    TRY(db_iterate(store->db, STORE_RECORDS, NULL, 0, &rows));
    db_iterator_last(rows);
    TRY(db_iterator_status(rows));
    *out_record_id = 0;
    if (!db_iterator_valid(rows))
        return STATUS_OK;
    const uint8_t *key = db_iterator_key(rows, &size);
    ENSURE(size == 8, WHY_FORGED);
    *out_record_id = store_id_decode(key);
    ENSURE(*out_record_id < STORE_RECORDS_MAX, WHY_FORGED); /* None of ours. */
    return STATUS_OK;
}

void store_put_expiry(struct store *store, struct db_batch *batch, int64_t when_ms,
                      enum store_family family, const void *key, size_t key_size)
{
    uint8_t row[8 + 1 + 64];

    assert(key_size <= 64);
    store_id_encode((uint64_t)when_ms, row);
    row[8] = (uint8_t)family;
    memcpy(row + 9, key, key_size);
    db_batch_put(batch, store->db, STORE_EXPIRIES, row, 9 + key_size, "", 0);
}

/* An idempotency key that was used again after its time has a row that is not due yet. */
static bool store_is_renewed(struct store *store, const uint8_t *expiry, int64_t now_ms)
{
    struct store_repeat repeat;

    return expiry[8] == STORE_IDEMPOTENCY &&
           !failed(store_get_repeat(store, expiry + 9, &repeat)) && repeat.expires_ms > now_ms;
}

STATUS store_sweep(struct store *store, struct db_batch *batch, int64_t now_ms, unsigned count_max,
                   unsigned *out_count)
{
    OWNED(db_iterator_free) struct db_iterator *rows = NULL;
    unsigned count = 0;

    TRY(db_iterate(store->db, STORE_EXPIRIES, NULL, 0, &rows));
    for (; db_iterator_valid(rows) && count < count_max; db_iterator_next(rows)) {
        size_t size = 0;
        const uint8_t *row = db_iterator_key(rows, &size);
        /* No seal is over it, and of a shorter key the engine could not find a row. */
        ENSURE(size == 9 + STORE_KEY_BYTES, WHY_FORGED);
        if (store_id_decode(row) > (uint64_t)now_ms)
            break;
        ENSURE(row[8] == STORE_IDEMPOTENCY || row[8] == STORE_LEASES, WHY_FORGED);
        if (!store_is_renewed(store, row, now_ms))
            db_batch_delete(batch, store->db, row[8], row + 9, STORE_KEY_BYTES);
        db_batch_delete(batch, store->db, STORE_EXPIRIES, row, size);
        count++;
    }
    TRY(db_iterator_status(rows));
    *out_count = count;
    return STATUS_OK;
}
