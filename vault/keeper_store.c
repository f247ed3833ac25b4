/* SPDX-License-Identifier: Apache-2.0 */
/* The store and what is read from it: opened as soon as the disk lets it, and read again after a
 * commit that failed.
 *
 * A batch that failed may still come back with the store, whole: its sync failed, not its write.
 * So what memory holds of the store is read from it again.  Two things stay: CVV cells, which are
 * in memory alone (what the failed turn stored and lent was taken back, and what it settled is
 * settled again); and the ring, whose keys sealed them.  Rows of the ring that the failed batch had
 * go with the next one, unless they came back. */
#include <stdio.h>

#include "base/encode.h"
#include "base/log.h"
#include "base/own.h"
#include "keys/fingerprint.h"
#include "vault/erasure.h"
#include "vault/keeper_inside.h"
#include "vault/keeper_ceremony.h"
#include "vault/keeper_seal.h"

#define STORE_WAL_BYTES   (64u << 20)
#define STORE_WAIT_MS     1000 /* Longer by as much with each attempt, */
#define STORE_WAIT_MS_MAX 5000 /* up to this. */

static const struct audit_families store_audit = {
    .entries = STORE_AUDIT_ENTRIES,
    .checkpoints = STORE_AUDIT_CHECKPOINTS,
    .state = STORE_AUDIT_STATE,
};

static STATUS store_open_db(struct keeper *keeper)
{
    char reason[256] = "";
    struct db_options options = {
        .families = store_families,
        .family_count = STORE_FAMILY_COUNT,
        .cache_bytes = keeper->settings->cache_bytes,
        .wal_bytes_max = STORE_WAL_BYTES,
        .create = true,
    };
    struct status status =
        db_open(keeper->settings->data, &options, &keeper->db, reason, sizeof reason);

    if (failed(status))
        log_failure(LOG_ERROR, "store_not_opened", status, "detail", reason, NULL);
    return status;
}

STATUS keeper_store_load_keys(struct keeper *keeper, int64_t now_ms)
{
    OWNED(db_iterator_free) struct db_iterator *rows = NULL;
    uint8_t ignored[FINGERPRINT_BYTES];

    TRY(keyring_new(keeper->root, keeper_environment(keeper), &keeper->ring));
    keyring_periods_set(keeper->ring, &keeper->settings->periods);
    TRY(db_iterate(keeper->db, STORE_KEYS, NULL, 0, &rows));
    for (; db_iterator_valid(rows); db_iterator_next(rows)) {
        size_t key_size = 0;
        size_t size = 0;
        const uint8_t *key = db_iterator_key(rows, &key_size);
        const uint8_t *row = db_iterator_value(rows, &size);
        struct cursor id = cursor_over(key, key_size);
        uint64_t row_id = cursor_u64(&id);
        ENSURE(cursor_done(&id), WHY_FORGED);
        TRY(keyring_load(keeper->ring, row_id, row, size));
    }
    TRY(db_iterator_status(rows));
    TRY(keyring_loaded(keeper->ring, now_ms));
    /* The index key exists from the first moment on. */
    return fingerprint_index(keeper->ring, "start", "", 0, now_ms, ignored);
}

/* The log, and what memory holds beside it: of the rows while the vault is open, else the seal. */
static STATUS store_read(struct keeper *keeper)
{
    uint64_t last_record = 0;

    TRY(audit_log_open(keeper->db, &store_audit, keeper->settings->origin, &keeper->log));
    TRY(keeper_rotate_load(keeper));
    if (keeper->ring == NULL)
        return keeper_seal_read(keeper);
    TRY(store_last_record(&keeper->store, &last_record));
    if (keeper->next_record <= last_record)
        keeper->next_record = last_record + 1;
    return approve_open(keeper);
}

/* As far as it goes without a key: from here on the vault is sealed, and says so. */
static STATUS store_open_sealed(struct keeper *keeper, int64_t now_ms)
{
    TRY(store_open_db(keeper));
    TRY(store_read(keeper));
    TRY(keeper_backup_open(keeper));
    TRY(keeper_record_start(keeper, now_ms));
    keeper->store_failed = false;
    keeper_commit(keeper, now_ms);
    return keeper->store_failed ? FAIL(WHY_IO) : STATUS_OK;
}

void keeper_store_close(struct keeper *keeper)
{
    audit_log_free(&keeper->log);
    keeper_seal_drop(keeper);
    keeper_unseal_drop(keeper);
    keeper_ceremony_drop(keeper, "the vault was started anew");
    bool purged = erasure_close(keeper);
    if (keeper_backup_close(keeper) && purged)
        db_close(&keeper->db);
}

/* The first time: whole, or as if it had not been tried. */
static STATUS store_begin(struct keeper *keeper, int64_t now_ms)
{
    struct status status = store_open_sealed(keeper, now_ms);

    if (!failed(status)) {
        keeper_seal_tick(keeper, now_ms);
        log_event(LOG_INFO, "keeper_ready", NULL);
        return STATUS_OK;
    }
    keeper->store_failed = true;
    db_batch_clear(keeper->batch);
    keeper_store_close(keeper);
    return status;
}

/* The ring and the cells are as they were; the rest is what the store says. */
static STATUS store_return(struct keeper *keeper)
{
    if (failed(db_resume(keeper->db)))
        return FAIL(WHY_IO); /* db_trouble() says what it is, and the log has it. */
    audit_log_free(&keeper->log);
    TRY(store_read(keeper));
    if (keeper->ring == NULL)
        ; /* Nothing of it is in memory. */
    else if (keeper->lost_size != 0 && audit_log_size(keeper->log) >= keeper->lost_size)
        keyring_stored(keeper->ring); /* The batch came back. */
    else
        keyring_untake(keeper->ring);
    /* As at a start, the signer says first what it signed. */
    keeper_sign_detach(keeper);
    keeper->signer_known = false;
    keeper->store_failed = false;
    log_event(LOG_WARN, "store_came_back", NULL);
    return STATUS_OK;
}

STATUS keeper_store_tick(struct keeper *keeper, int64_t now_ms)
{
    int64_t monotonic_ms = clock_monotonic_ms();

    if (monotonic_ms < keeper->store_due_ms)
        return STATUS_OK;
    struct status status = keeper->db == NULL ? store_begin(keeper, now_ms) : store_return(keeper);
    if (!failed(status)) {
        keeper->store_attempts = 0;
        keeper->store_due_ms = 0;
        return STATUS_OK;
    }
    int64_t wait_ms = (int64_t)STORE_WAIT_MS * ++keeper->store_attempts;
    keeper->store_due_ms =
        monotonic_ms + (wait_ms < STORE_WAIT_MS_MAX ? wait_ms : STORE_WAIT_MS_MAX);
    /* What a disk, another process or a moment can mend is waited for. */
    bool passes = status.why == WHY_IO || status.why == WHY_BUSY || status.why == WHY_NO_MEMORY;
    return passes ? STATUS_OK : status;
}
