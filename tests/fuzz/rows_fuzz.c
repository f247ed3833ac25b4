/* SPDX-License-Identifier: Apache-2.0 */
/* Stored rows as whoever has the disk would write them: a vault's below their seal, which is made
 * right here; a relay's; an audit log's.  Rows are refused, or they are read, written and read
 * again as the same.  The first byte says which. */
#include <ftw.h>
#include <sodium.h>
#include <stdio.h>
#include <unistd.h>

#include "base/own.h"
#include "base/secret.h"
#include "keys/fingerprint.h"
#include "policies/audit_verify.h"
#include "relay/ledger_rows.h"
#include "relay/ledger_sweep.h"
#include "tests/fuzz/require.h"
#include "vault/store.h"
#include "vault/store_expiry.h"

#define NOW_MS    1795420800000
#define ORIGIN    "vault.example/audit/test-1"
#define BYTES_MAX 8192u

static const char log_key[] = ORIGIN "+4bc78077+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4";

static char folder[64];
static struct secret *root; /* Borrowed by the ring. */
static struct keyring *ring;
static struct db *db;
static struct db_batch *batch;
static struct store store;
static struct ledger *ledger;
static struct note_key key;

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *walk)
{
    (void)info;
    (void)type;
    (void)walk;
    return remove(path);
}

/* RocksDB takes its own things down by now: the stores stay open. */
static void folder_end(void)
{
    (void)nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void ring_make(void)
{
    uint64_t key_id = 0;

    must(secret_pool_open(16));
    must(secret_new_key(32, &root));
    randombytes_buf(secret_bytes(root), 32);
    must(keyring_new(root, "fuzz", &ring));
    must(keyring_loaded(ring, NOW_MS));
    must(keyring_use(ring, "shop", KEY_PURPOSE_CARD, NOW_MS, &key_id));
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static const struct db_options options = {.families = store_families,
                                              .family_count = STORE_FAMILY_COUNT,
                                              .cache_bytes = 1u << 20,
                                              .wal_bytes_max = 1u << 20,
                                              .create = true};
    char path[96];
    char error[256];

    (void)argc;
    (void)argv;
    require(sodium_init() >= 0);
    must(note_key_parse(log_key, &key));
    ring_make();
    (void)snprintf(folder, sizeof folder, "%s/cardkeep-rows-XXXXXX",
                   access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    require(mkdtemp(folder) != NULL && atexit(folder_end) == 0);
    (void)snprintf(path, sizeof path, "%s/store", folder);
    must(db_open(path, &options, &db, error, sizeof error));
    must(db_batch_new(&batch));
    must(store_open(&store, db, ring));
    (void)snprintf(path, sizeof path, "%s/ledger", folder);
    must(ledger_open(path, "relay.example/log", &ledger, error, sizeof error));
    return 0;
}

/* ---- The vault's ---- */

static const uint8_t row_key[32] = "a key of a row";

/* What the index key's making wants stored. */
static void ring_settle(void)
{
    struct keyring_change change;

    while (keyring_take_change(ring, &change))
        continue;
    keyring_stored(ring);
}

/* The row with the seal that the store would give it (store.h). */
static void row_put(enum store_family family, size_t key_size, const uint8_t *data, size_t size)
{
    struct buffer covered OWNED(buffer_free) = BUFFER(2 * BYTES_MAX);
    struct buffer row OWNED(buffer_free) = BUFFER(2 * BYTES_MAX);
    uint8_t seal[FINGERPRINT_BYTES];

    buffer_add_u8(&covered, (uint8_t)family);
    buffer_add_u16(&covered, (uint16_t)key_size);
    buffer_add(&covered, row_key, key_size);
    buffer_add(&covered, data, size);
    must(fingerprint_index(ring, "row", covered.bytes, covered.size, NOW_MS, seal));
    buffer_add(&row, data, size);
    if (family != STORE_RECORDS)
        buffer_add(&row, seal, STORE_SEAL_BYTES);
    must(buffer_status(&row));
    must(overlay_put(&store.turn, (uint8_t)family, row_key, key_size, row.bytes, row.size));
}

static void token_row(const uint8_t *data, size_t size)
{
    struct store_token row;
    struct store_token again;

    row_put(STORE_TOKENS, STORE_KEY_BYTES, data, size);
    if (failed(store_get_token(&store, row_key, &row)))
        return;
    must(store_put_token(&store, batch, row_key, &row));
    must(store_get_token(&store, row_key, &again));
    require(row.state == again.state && row.single_use == again.single_use);
    require(row.record_id == again.record_id && row.expires_ms == again.expires_ms);
    require(memcmp(row.fingerprint, again.fingerprint, sizeof row.fingerprint) == 0);
    require(row.due_ms == again.due_ms);
}

static void same_card_row(const uint8_t *data, size_t size)
{
    struct store_same_card row;
    struct store_same_card again;

    row_put(STORE_FINGERPRINTS, 32, data, size);
    if (failed(store_get_same_card(&store, row_key, &row)))
        return;
    must(store_put_same_card(&store, batch, row_key, &row));
    must(store_get_same_card(&store, row_key, &again));
    require(row.record_id == again.record_id);
    require(memcmp(row.card_id, again.card_id, sizeof row.card_id) == 0);
    require(row.token_count == again.token_count);
}

static void lease_row(const uint8_t *data, size_t size)
{
    static struct store_lease row;
    static struct store_lease again;

    row_put(STORE_LEASES, 16, data, size);
    if (failed(store_get_lease(&store, row_key, &row)))
        return;
    require(row.token_count <= CONTRACT_LEASE_TOKENS_MAX);
    require(row.cvv_count <= CONTRACT_LEASE_TOKENS_MAX);
    must(store_put_lease(&store, batch, row_key, &row));
    must(store_get_lease(&store, row_key, &again));
    require(strcmp(row.submission, again.submission) == 0 && strcmp(row.relay, again.relay) == 0);
    require(strcmp(row.tenant, again.tenant) == 0 && row.deadline_ms == again.deadline_ms);
    require(strcmp(row.destination, again.destination) == 0 && row.settled == again.settled);
    require(row.token_count == again.token_count && row.cvv_count == again.cvv_count);
    require(memcmp(row.tokens, again.tokens, row.token_count * sizeof row.tokens[0]) == 0);
    require(memcmp(row.cvvs, again.cvvs, row.cvv_count * sizeof row.cvvs[0]) == 0);
}

static void repeat_row(const uint8_t *data, size_t size)
{
    struct store_repeat row;
    struct store_repeat again;

    row_put(STORE_IDEMPOTENCY, STORE_KEY_BYTES, data, size);
    if (failed(store_get_repeat(&store, row_key, &row)))
        return;
    require(row.result_size <= size);
    char *result = text_of(row.result, row.result_size);
    row.result = (const uint8_t *)result;
    must(store_put_repeat(&store, batch, row_key, &row));
    must(store_get_repeat(&store, row_key, &again));
    require(row.kind == again.kind && row.expires_ms == again.expires_ms);
    require(memcmp(row.digest, again.digest, sizeof row.digest) == 0);
    require(same_bytes(result, row.result_size, again.result, again.result_size));
    free(result);
}

static void record_row(const uint8_t *data, size_t size)
{
    struct store_record record;
    uint64_t id = 0;

    memcpy(&id, row_key, sizeof id);
    row_put(STORE_RECORDS, sizeof id, data, size);
    if (failed(store_get_record(&store, __builtin_bswap64(id), &record)))
        return;
    require(record.view_size + record.card_size + 2 == size);
    require(same_bytes(record.view, record.view_size, data + 2, record.view_size));
}

/* Of what stands in the family: a token's, which is what it was made of, or none. */
static void token_expiry_row(const uint8_t *data, size_t size)
{
    struct store_expiry_due due;
    uint8_t again[STORE_EXPIRY_ROW_BYTES];
    unsigned count = 0;

    if (failed(store_expiry_find(&store, INT64_MAX, &due, 1, &count)) || count == 0)
        return;
    require(count == 1);
    store_expiry_encode(&due, again);
    require(same_bytes(again, sizeof again, data, size));
}

/* No seal is over what is to be swept when: any row may say anything. */
static void expiry_row(const uint8_t *data, size_t size)
{
    unsigned count = 0;

    db_batch_put(batch, db, STORE_EXPIRIES, data, size, "", 0);
    must(db_commit(db, batch));
    db_batch_clear(batch);
    status_ignore(store_sweep(&store, batch, NOW_MS, 16, &count), "any answer is fine");
    require(count <= 1);
    token_expiry_row(data, size);
    db_batch_clear(batch);
    db_batch_delete(batch, db, STORE_EXPIRIES, data, size);
    must(db_commit(db, batch));
}

/* ---- The relay's ---- */

static void on_settlement(void *owner, const char *submission_id, enum ledger_outcome outcome)
{
    (void)owner;
    require(strlen(submission_id) < LEDGER_ID_MAX && outcome <= LEDGER_ANSWERED);
}

static void ledger_row(unsigned family, const uint8_t *data, size_t size)
{
    static const char ledger_key[16] = "sub_0123456789ab";
    struct db *rows = ledger_db(ledger);
    struct ledger_sweep sweep = ledger_sweep_at(INT64_MAX / 2, NULL);
    const struct ledger_sweep_row due = {.family = family == LEDGER_SUBMISSIONS ? LEDGER_SUBMISSIONS
                                                                                : LEDGER_KEYS,
                                         .key = ledger_key,
                                         .key_size = sizeof ledger_key};
    bool more = false;

    db_batch_clear(batch);
    ledger_sweep_put(ledger, batch, NOW_MS, &due);
    db_batch_put(batch, rows, family, ledger_key, sizeof ledger_key, data, size);
    must(db_commit(rows, batch));
    db_batch_clear(batch);
    status_ignore(ledger_rows_recover(ledger, batch, 8, &more), "any answer is fine");
    db_batch_clear(batch);
    status_ignore(ledger_rows_settlements(ledger, on_settlement, NULL), "any answer is fine");
    status_ignore(ledger_sweep_apply(&sweep.op, ledger, batch), "any answer is fine");
    require(sweep.deleted <= sweep.count);
    db_batch_clear(batch);
    db_batch_delete(batch, rows, family, ledger_key, sizeof ledger_key);
    must(db_commit(rows, batch));
    db_batch_clear(batch);
}

static void ledger_rows(const uint8_t *data, size_t size)
{
    static const enum ledger_family families[] = {LEDGER_OPEN, LEDGER_SETTLEMENTS, LEDGER_KEYS,
                                                  LEDGER_SUBMISSIONS};
    struct buffer row OWNED(buffer_free) = BUFFER(BYTES_MAX);
    bool open = false;
    int64_t holds_until_ms = 0;

    buffer_add(&row, data, size);
    must(buffer_status(&row));
    for (unsigned i = 2; i < 4; i++)
        if (!failed(ledger_rows_time(&row, families[i], &open, &holds_until_ms)))
            require(families[i] == LEDGER_KEYS || holds_until_ms == 0);
    if (size > 0)
        ledger_row(families[data[0] % 4], data + 1, size - 1);
}

/* ---- An audit log's ---- */

/* Rows are: family u8 | size of the key u8 | size of the value u16 | both.  A log that was not
 * written by its daemon is never good, as nothing in it is signed. */
static void audit_rows(const uint8_t *data, size_t size)
{
    static const struct audit_families families = {STORE_AUDIT_ENTRIES, STORE_AUDIT_CHECKPOINTS,
                                                   STORE_AUDIT_STATE};
    struct cursor in = cursor_over(data, size);
    struct audit_log *log OWNED(audit_log_free) = NULL;
    struct audit_verdict verdict = {.good = true};
    struct db_batch *undo OWNED(db_batch_free) = NULL;

    must(db_batch_new(&undo));
    db_batch_clear(batch);
    for (unsigned count = 0; in.at < in.size && count < 64; count++) {
        unsigned family = STORE_AUDIT_ENTRIES + cursor_u8(&in) % 3;
        size_t key_size = cursor_u8(&in);
        size_t value_size = cursor_u16(&in);
        const uint8_t *name = cursor_bytes(&in, key_size);
        const uint8_t *value = cursor_bytes(&in, value_size);
        if (in.bad)
            break;
        db_batch_put(batch, db, family, name, key_size, value, value_size);
        db_batch_delete(undo, db, family, name, key_size);
    }
    must(db_commit(db, batch));
    db_batch_clear(batch);
    if (!failed(audit_verify_store(db, &families, ORIGIN, &key, &verdict)))
        require(!verdict.good && verdict.trouble[0] != '\0');
    if (!failed(audit_log_open(db, &families, ORIGIN, &log)))
        require(audit_log_epoch(log) >= 1);
    must(db_commit(db, undo));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const readers[])(const uint8_t *,
                                   size_t) = {token_row,  same_card_row, lease_row,   repeat_row,
                                              record_row, expiry_row,    ledger_rows, audit_rows};

    if (size < 1 || size > BYTES_MAX)
        return 0;
    readers[data[0] % (sizeof readers / sizeof readers[0])](data + 1, size - 1);
    overlay_rewind(&store.turn, 0);
    db_batch_clear(batch);
    ring_settle();
    return 0;
}
