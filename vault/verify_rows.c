/* SPDX-License-Identifier: Apache-2.0 */
/* Each family once, in the order of its keys; what a row names is looked up.
 *
 * A record and its token name each other (the record's view holds the token), so that neither goes,
 * comes back or changes places alone. */
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/own.h"
#include "keys/fingerprint.h"
#include "vault/erase.h"
#include "vault/store_expiry.h"
#include "vault/token_key.h"
#include "vault/verify.h"

#define EXPIRY_BYTES (8u + 1u + STORE_KEY_BYTES)

/* The row at hand, and what is wrong with it. */
struct row {
    const uint8_t *key;
    size_t key_size;
    const uint8_t *value;
    size_t value_size;
    enum verify_kind kind;
    const char *text; /* NULL: nothing. */
    char room[160];
};

static void wrong(struct row *row, enum verify_kind kind, const char *text)
{
    row->kind = kind;
    row->text = text;
}

static void id_key(uint64_t id, uint8_t out[static 8])
{
    for (unsigned i = 0; i < 8; i++)
        out[i] = (uint8_t)(id >> (56 - 8 * i));
}

static uint64_t id_of(const uint8_t *key)
{
    struct cursor in = cursor_over(key, 8);
    return cursor_u64(&in);
}

/* --- records --- */

/* Which tenant's key the record is under; false with row->text where there is no such key. */
static bool record_key(struct verify *verify, struct row *row, const struct store_record *record,
                       struct policy_tenant *out_tenant)
{
    const struct key_info *info = NULL;
    struct kdf *kdf = NULL;
    uint64_t key_id = 0;
    uint64_t card_key_id = 0;

    if (failed(envelope_key_id(record->view, record->view_size, &key_id)) ||
        failed(envelope_key_id(record->card, record->card_size, &card_key_id))) {
        wrong(row, VERIFY_UNAUTHENTIC, "it holds no two envelopes");
        return false;
    }
    if (key_id != card_key_id) {
        wrong(row, VERIFY_UNAUTHENTIC, "its card and its view are under two keys");
        return false;
    }
    /* As a job does that moves them away from a compromised key: what is stored is to hold. */
    struct status status = keyring_kdf_migrating(verify->keeper.ring, key_id, &kdf, &info);
    if (failed(status)) {
        (void)snprintf(row->room, sizeof row->room, "it is under key %" PRIu64 ", which %s", key_id,
                       status.why == WHY_NOT_FOUND ? "this store does not have"
                       : status.why == WHY_DENIED  ? "does not open any more"
                                                   : "is not authentic");
        wrong(row, status.why == WHY_DENIED ? VERIFY_ROLLED_BACK : VERIFY_ORPHANED, row->room);
        return false;
    }
    (void)snprintf(out_tenant->name, sizeof out_tenant->name, "%s", info->tenant);
    uint64_t erasure = verify_jobs_erased(verify, id_of(row->key), key_id, info->tenant);
    uint64_t stated = verify_keys_stated(verify, key_id);
    if (stated != 0) {
        (void)snprintf(row->room, sizeof row->room,
                       "it is under key %" PRIu64 ", and entry %" PRIu64 " states that none is",
                       key_id, stated);
        wrong(row, VERIFY_ROLLED_BACK, row->room);
        return false;
    }
    if (erasure != 0) {
        (void)snprintf(row->room, sizeof row->room, "erasure %" PRIu64 " has reported it gone",
                       erasure);
        wrong(row, VERIFY_ROLLED_BACK, row->room);
        return false;
    }
    return true;
}

/* As find_view(), for records under compromised keys too. */
static STATUS view_open(struct verify *verify, const char *tenant, uint64_t id,
                        struct view *out_view)
{
    struct envelope_place place = find_place(tenant, "view", id);
    struct store_record record;
    size_t size = 0;

    TRY(store_get_record(&verify->keeper.store, id, &record));
    buffer_clear(&verify->plain);
    uint8_t *room = buffer_extend(&verify->plain, ENVELOPE_PLAIN_BYTES_MAX);
    ENSURE(room != NULL, WHY_NO_MEMORY);
    TRY(envelope_open_migrating(verify->keeper.ring, &place, record.view, record.view_size, room,
                                ENVELOPE_PLAIN_BYTES_MAX, &size));
    struct cursor in = cursor_over(room, size);
    view_decode(&in, out_view);
    ENSURE(cursor_done(&in), WHY_FORGED);
    return STATUS_OK;
}

/* Both envelopes open in their tenant's name, and show one card. */
static STATUS record_open(struct verify *verify, uint64_t id, const struct policy_tenant *tenant,
                          struct view *out_view)
{
    struct keeper *keeper = &verify->keeper;
    OWNED(secret_free) struct secret *card = NULL;
    struct envelope_place place = find_place(tenant->name, "card", id);
    struct store_record record;
    uint8_t digits = 0;
    size_t size = 0;

    TRY(view_open(verify, tenant->name, id, out_view));
    TRY(secret_new(SECRET_BYTES_MAX, &card));
    TRY(store_get_record(&keeper->store, id, &record));
    TRY(envelope_open_migrating(keeper->ring, &place, record.card, record.card_size,
                                secret_bytes(card), SECRET_BYTES_MAX, &size));
    struct cursor in = cursor_over(secret_peek(card), size);
    const uint8_t *number = message_bytes_decode(&in, &digits);
    ENSURE(!in.bad && digits == out_view->length && digits > 4, WHY_FORGED);
    ENSURE(sodium_memcmp(number + digits - 4, out_view->last4, 4) == 0, WHY_FORGED);
    return STATUS_OK;
}

static STATUS check_record(struct verify *verify, struct row *row)
{
    struct store *store = &verify->keeper.store;
    uint64_t id = id_of(row->key);
    struct policy_tenant tenant = {0};
    uint8_t key_of_token[STORE_KEY_BYTES];
    struct store_record record;
    struct store_token token;
    struct view view;

    if (failed(store_get_record(store, id, &record))) {
        wrong(row, VERIFY_UNAUTHENTIC, "it holds no two envelopes");
        return STATUS_OK;
    }
    if (!record_key(verify, row, &record, &tenant))
        return STATUS_OK;
    struct status status = record_open(verify, id, &tenant, &view);
    if (failed(status)) {
        ENSURE(status.why == WHY_FORGED, status.why);
        wrong(row, VERIFY_UNAUTHENTIC, "it does not open here as what was sealed");
        return STATUS_OK;
    }
    TRY(token_key(store, tenant.name, view.token, 0, key_of_token));
    status = store_get_token(store, key_of_token, &token);
    if (status.why == WHY_NOT_FOUND)
        wrong(row, VERIFY_ORPHANED, "the token that it is of is not there");
    else if (failed(status))
        return STATUS_OK; /* The token's row is named where its turn comes. */
    else if (token.state == STORE_TOKEN_ERASED)
        wrong(row, VERIFY_ROLLED_BACK, "its token was erased, and it is there");
    else if (token.record_id != id)
        wrong(row, VERIFY_ORPHANED, "its token names another record");
    else if (verify->log_holds && view.created_ms > verify->log_ms)
        wrong(row, VERIFY_ORPHANED, "it is newer than all that the log says");
    return STATUS_OK;
}

/* --- tokens, and the rows that say which card is the same --- */

/* What says when a token goes by itself, and the token, name each other. */
static STATUS token_expiry(struct verify *verify, struct row *row, const struct store_token *token)
{
    struct store_expiry_due due = {.due_ms = token->due_ms};
    uint8_t expiry[STORE_EXPIRY_ROW_BYTES];

    if (token->due_ms == 0)
        return STATUS_OK;
    memcpy(due.key, row->key, sizeof due.key);
    store_expiry_encode(&due, expiry);
    struct status status =
        db_get(verify->keeper.db, STORE_EXPIRIES, expiry, sizeof expiry, &verify->row);
    if (status.why != WHY_NOT_FOUND)
        return status;
    struct verify_place place = {STORE_EXPIRIES, expiry, sizeof expiry};
    verify_find(verify, &place, VERIFY_MISSING, "a token goes then, and nothing erases it");
    return STATUS_OK;
}

static STATUS check_token(struct verify *verify, struct row *row)
{
    struct store *store = &verify->keeper.store;
    struct store_same_card same;
    struct store_record record;
    struct store_token token;

    if (failed(store_get_token(store, row->key, &token))) {
        wrong(row, VERIFY_UNAUTHENTIC, "its seal does not hold");
        return STATUS_OK;
    }
    if (token.state == STORE_TOKEN_ERASED)
        return STATUS_OK;
    verify_same_token(verify, token.fingerprint);
    TRY(token_expiry(verify, row, &token));
    struct status status = store_get_record(store, token.record_id, &record);
    if (status.why == WHY_NOT_FOUND) {
        uint8_t key[8];
        id_key(token.record_id, key);
        struct verify_place place = {STORE_RECORDS, key, sizeof key};
        verify_find(verify, &place, VERIFY_MISSING, "a live token names it, and it is not there");
        (void)snprintf(row->room, sizeof row->room, "its record %" PRIu64 " is not there",
                       token.record_id);
        wrong(row, VERIFY_ORPHANED, row->room);
        return STATUS_OK;
    }
    status = store_get_same_card(store, token.fingerprint, &same);
    if (status.why == WHY_NOT_FOUND) {
        struct verify_place place = {STORE_FINGERPRINTS, token.fingerprint,
                                     sizeof token.fingerprint};
        verify_find(verify, &place, VERIFY_MISSING, "a live token names it, and it is not there");
        wrong(row, VERIFY_ORPHANED, "its card's row is not there: it is older, or that is gone");
    }
    return STATUS_OK;
}

/* The token of its record has to name this row. */
static STATUS same_card_record(struct verify *verify, struct row *row, uint64_t record_id)
{
    struct store *store = &verify->keeper.store;
    struct policy_tenant tenant = {0};
    uint8_t key_of_token[STORE_KEY_BYTES];
    uint8_t record_id_key[8];
    struct row record_row = {.key = record_id_key, .key_size = sizeof record_id_key};
    struct store_record record;
    struct store_token token;
    struct view view;

    id_key(record_id, record_id_key);
    struct status status = store_get_record(store, record_id, &record);
    if (status.why == WHY_NOT_FOUND) {
        wrong(row, VERIFY_ROLLED_BACK, "it gives a token whose record is not there");
        return STATUS_OK;
    }
    if (failed(status) || !record_key(verify, &record_row, &record, &tenant) ||
        failed(view_open(verify, tenant.name, record_id, &view)))
        return STATUS_OK; /* The record's row is named for that. */
    TRY(token_key(store, tenant.name, view.token, 0, key_of_token));
    status = store_get_token(store, key_of_token, &token);
    if (!failed(status) && memcmp(token.fingerprint, row->key, sizeof token.fingerprint) != 0)
        wrong(row, VERIFY_ORPHANED, "the token that it gives is of another card");
    return STATUS_OK;
}

static STATUS check_same_card(struct verify *verify, struct row *row)
{
    struct store_same_card same;

    if (failed(store_get_same_card(&verify->keeper.store, row->key, &same))) {
        wrong(row, VERIFY_UNAUTHENTIC, "its seal does not hold");
        return STATUS_OK;
    }
    verify_same_row(verify, row->key, same.token_count);
    return same.record_id == 0 ? STATUS_OK : same_card_record(verify, row, same.record_id);
}

/* --- leases, repeats and when they end --- */

static STATUS check_lease(struct verify *verify, struct row *row)
{
    struct store_lease lease;
    struct store_token token;

    if (failed(store_get_lease(&verify->keeper.store, row->key, &lease))) {
        wrong(row, VERIFY_UNAUTHENTIC, "its seal does not hold");
        return STATUS_OK;
    }
    for (unsigned i = 0; i < lease.token_count; i++) {
        struct status status = store_get_token(&verify->keeper.store, lease.tokens[i], &token);
        if (status.why == WHY_NOT_FOUND)
            wrong(row, VERIFY_ORPHANED, "it names a token that is not there");
    }
    return STATUS_OK;
}

static void expiry_key(int64_t when_ms, enum store_family family, const uint8_t *key,
                       uint8_t out[static EXPIRY_BYTES])
{
    id_key((uint64_t)when_ms, out);
    out[8] = (uint8_t)family;
    memcpy(out + 9, key, STORE_KEY_BYTES);
}

static STATUS check_repeat(struct verify *verify, struct row *row)
{
    uint8_t expiry[EXPIRY_BYTES];
    struct store_repeat repeat;

    if (failed(store_get_repeat(&verify->keeper.store, row->key, &repeat))) {
        wrong(row, VERIFY_UNAUTHENTIC, "its seal does not hold");
        return STATUS_OK;
    }
    int64_t expires_ms = repeat.expires_ms;
    expiry_key(expires_ms, STORE_IDEMPOTENCY, row->key, expiry);
    struct status status =
        db_get(verify->keeper.db, STORE_EXPIRIES, expiry, sizeof expiry, &verify->row);
    if (status.why == WHY_NOT_FOUND) {
        struct verify_place place = {STORE_EXPIRIES, expiry, sizeof expiry};
        verify_find(verify, &place, VERIFY_MISSING, "a repeat ends then, and nothing ends it");
        wrong(row, VERIFY_ORPHANED, "nothing ends it when it is over: it is older, or came back");
    } else if (verify->log_holds && expires_ms + VERIFY_SLACK_MS < verify->log_ms)
        wrong(row, VERIFY_ROLLED_BACK, "it was over long before the log's last entry");
    return STATUS_OK;
}

static STATUS check_token_expiry(struct verify *verify, struct row *row,
                                 const struct store_expiry_due *due)
{
    struct store_token token;
    struct status status = store_get_token(&verify->keeper.store, due->key, &token);

    if (row->value_size != 0)
        wrong(row, VERIFY_UNAUTHENTIC, "it is not of a form that was ever written");
    else if (status.why == WHY_NOT_FOUND)
        wrong(row, VERIFY_ORPHANED, "the token that it is to erase is not there");
    else if (!failed(status) && token.state == STORE_TOKEN_ERASED)
        wrong(row, VERIFY_ROLLED_BACK, "the token that it is to erase is erased");
    else if (!failed(status) && token.due_ms != due->due_ms)
        wrong(row, VERIFY_ROLLED_BACK, "its token goes at another time");
    return STATUS_OK;
}

static STATUS check_expiry(struct verify *verify, struct row *row)
{
    struct store_expiry_due due;

    if (!failed(store_expiry_decode(row->key, row->key_size, &due)))
        return check_token_expiry(verify, row, &due);
    struct store *store = &verify->keeper.store;
    int64_t when_ms = (int64_t)id_of(row->key);
    const uint8_t *key = row->key + 9;
    struct store_repeat repeat;

    if (row->value_size != 0 || (row->key[8] != STORE_IDEMPOTENCY && row->key[8] != STORE_LEASES)) {
        wrong(row, VERIFY_UNAUTHENTIC, "it is not of a form that was ever written");
        return STATUS_OK;
    }
    struct status status =
        db_get(verify->keeper.db, row->key[8], key, STORE_KEY_BYTES, &verify->row);
    if (status.why == WHY_NOT_FOUND) {
        struct verify_place place = {row->key[8], key, STORE_KEY_BYTES};
        verify_find(verify, &place, VERIFY_MISSING, "it has an end, and it is not there");
        wrong(row, VERIFY_ORPHANED, "the row that it is to end is not there");
        return STATUS_OK;
    }
    TRY(status);
    /* One that was used again after its time has a later end besides. */
    if (row->key[8] == STORE_IDEMPOTENCY && !failed(store_get_repeat(store, key, &repeat)) &&
        when_ms > repeat.expires_ms)
        wrong(row, VERIFY_UNAUTHENTIC, "the row that it is to end is over before");
    else if (verify->log_holds && when_ms + VERIFY_SLACK_MS < verify->log_ms)
        wrong(row, VERIFY_ROLLED_BACK, "what it is to end was over long before the last entry");
    return STATUS_OK;
}

/* --- the rest --- */

static const char boots[] = "boots";
static const char seal[] = "seal";

static STATUS check_meta(struct verify *verify, struct row *row)
{
    struct cursor in = cursor_over(row->value, row->value_size);

    if (row->key_size == sizeof seal && memcmp(row->key, seal, sizeof seal) == 0) {
        verify->has_seal = true;
        return verify_seal_row(verify, row->value, row->value_size);
    }
    if (erase_is_mark(row->key, row->key_size)) {
        uint64_t mark = 0;
        if (failed(store_get_mark(&verify->keeper.store, erase_is_mark(row->key, row->key_size),
                                  &mark)))
            wrong(row, VERIFY_UNAUTHENTIC, "its seal does not hold");
        return STATUS_OK;
    }
    if (row->key_size != sizeof boots || memcmp(row->key, boots, sizeof boots) != 0) {
        wrong(row, VERIFY_UNAUTHENTIC, "no row of that name is ever written");
        return STATUS_OK;
    }
    verify->has_boots = true;
    uint64_t count = cursor_u64(&in);
    if (!cursor_done(&in))
        wrong(row, VERIFY_UNAUTHENTIC, "it is no number");
    else if (verify->log_holds && count != verify->log_opens) {
        (void)snprintf(row->room, sizeof row->room,
                       "it counts %" PRIu64 " openings, and the log %" PRIu64, count,
                       verify->log_opens);
        wrong(row, count < verify->log_opens ? VERIFY_ROLLED_BACK : VERIFY_UNAUTHENTIC, row->room);
    }
    return STATUS_OK;
}

static STATUS check_job(struct verify *verify, struct row *row)
{
    struct store_job_key key = {.kind = (enum store_job)row->key[0], .id = id_of(row->key + 1)};
    enum verify_kind kind = VERIFY_UNAUTHENTIC;
    const char *text = NULL;

    if (!verify_jobs_row(verify, &key, &kind, &text))
        wrong(row, kind, text);
    return STATUS_OK;
}

static const struct kind {
    const char *name; /* For people. */
    enum store_family family;
    size_t key_bytes; /* 0: any. */
    STATUS (*check)(struct verify *verify, struct row *row);
} kinds[] = {
    {"record", STORE_RECORDS, 8, check_record},
    {"token", STORE_TOKENS, STORE_KEY_BYTES, check_token},
    {"same card", STORE_FINGERPRINTS, FINGERPRINT_BYTES, check_same_card},
    {"lease", STORE_LEASES, STORE_KEY_BYTES, check_lease},
    {"repeat", STORE_IDEMPOTENCY, STORE_KEY_BYTES, check_repeat},
    {"expiry", STORE_EXPIRIES, EXPIRY_BYTES, check_expiry},
    {"job", STORE_JOBS, STORE_JOB_KEY_BYTES, check_job},
    {"meta", STORE_META, 0, check_meta},
};

static STATUS rows_walk(struct verify *verify, const struct kind *kind)
{
    OWNED(db_iterator_free) struct db_iterator *rows = NULL;
    uint64_t count = 0;
    uint64_t bad = 0;

    TRY(db_iterate(verify->keeper.db, kind->family, NULL, 0, &rows));
    for (; db_iterator_valid(rows); db_iterator_next(rows)) {
        struct row row = {0};
        row.key = db_iterator_key(rows, &row.key_size);
        row.value = db_iterator_value(rows, &row.value_size);
        if (kind->key_bytes != 0 && row.key_size != kind->key_bytes)
            wrong(&row, VERIFY_UNAUTHENTIC, "its key is not of this family's size");
        else
            TRY(kind->check(verify, &row));
        if (row.text != NULL) {
            struct verify_place place = {kind->family, row.key, row.key_size};
            verify_find(verify, &place, row.kind, "%s", row.text);
            bad++;
        }
        count++;
        verify_count(verify, kind->family);
    }
    buffer_format(verify->out, "%s rows: %" PRIu64 ", of which %" PRIu64 " hold\n", kind->name,
                  count, count - bad);
    return db_iterator_status(rows);
}

STATUS verify_rows_walk(struct verify *verify)
{
    struct verify_place boots_place = {STORE_META, boots, sizeof boots};
    struct verify_place seal_place = {STORE_META, seal, sizeof seal};

    TRY(verify_jobs_erasures(verify));
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        TRY(rows_walk(verify, &kinds[i]));
    TRY(verify_same_end(verify));
    verify_marks_end(verify);
    if (!verify->has_boots && verify->log_opens > 0)
        verify_find(verify, &boots_place, VERIFY_MISSING, "the log counts %" PRIu64 " openings",
                    verify->log_opens);
    if (!verify->has_seal && verify->log_set[0] != '\0')
        verify_find(verify, &seal_place, VERIFY_MISSING,
                    "the log says at entry %" PRIu64 " which seal is in force",
                    verify->log_set_seq);
    keyring_rest(verify->keeper.ring);
    return STATUS_OK;
}
