/* SPDX-License-Identifier: Apache-2.0 */
/* tests/policies/audit_support.h -- a store with a log in it, and a signer's key, for the tests.
 *
 * In      nothing.
 * Out     a folder of its own for each test.
 * Never   is linked into a daemon.
 * Threads one.
 */
#ifndef TESTS_POLICIES_AUDIT_SUPPORT_H
#define TESTS_POLICIES_AUDIT_SUPPORT_H

#include <criterion/criterion.h>
#include <ftw.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/db.h"
#include "base/own.h"
#include "base/secret.h"
#include "policies/audit_log.h"
#include "policies/note.h"

#define ORIGIN "vault.example/audit/test-1"

static const struct audit_families families = {.entries = 0, .checkpoints = 1, .state = 2};

static char folder[64];
static struct db *db;
static struct db_batch *batch;
static struct audit_log *audit;
static struct secret *seed;
static struct note_key key;

static inline void store_open(bool read_only)
{
    static const struct db_family table[] = {
        {.name = "entries"}, {.name = "checkpoints"}, {.name = "state"}};
    struct db_options options = {.families = table,
                                 .family_count = 3,
                                 .cache_bytes = 1u << 20,
                                 .wal_bytes_max = 8u << 20,
                                 .read_only = read_only,
                                 .create = !read_only};
    char reason[256] = "";
    char path[96];
    snprintf(path, sizeof path, "%s/store", folder);
    cr_assert(!failed(db_open(path, &options, &db, reason, sizeof reason)), "%s", reason);
}

static inline void log_reopen(void)
{
    audit_log_free(&audit);
    cr_assert(!failed(audit_log_open(db, &families, ORIGIN, &audit)));
}

static inline void audit_start(void)
{
    cr_assert(sodium_init() >= 0);
    snprintf(folder, sizeof folder, "/tmp/cardkeep-audit-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    store_open(false);
    cr_assert(!failed(db_batch_new(&batch)));
    cr_assert(!failed(secret_new_key(32, &seed)));
    randombytes_buf(secret_bytes(seed), 32);
    cr_assert(!failed(note_key_from_seed(ORIGIN, seed, &key)));
    log_reopen();
}

static inline int remove_one(const char *path, const struct stat *info, int flag, struct FTW *place)
{
    (void)info;
    (void)flag;
    (void)place;
    return remove(path);
}

static inline void audit_stop(void)
{
    audit_log_free(&audit);
    db_batch_free(&batch);
    db_close(&db);
    secret_free(&seed);
    nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static inline struct audit_entry some_entry(void)
{
    return (struct audit_entry){.ts_ms = 1700000000000,
                                .actor = "shop",
                                .origin = "192.0.2.1 front",
                                .event = "card.tokenize",
                                .outcome = "ok"};
}

static inline void append(unsigned count)
{
    struct audit_entry entry = some_entry();
    for (unsigned i = 0; i < count; i++) {
        uint64_t next = audit_log_next_seq(audit);
        uint64_t seq = 0;
        cr_assert(!failed(audit_log_append(audit, batch, &entry, &seq)));
        cr_assert_eq(seq, next);
    }
}

static inline void commit(void)
{
    audit_log_seal(audit, batch);
    cr_assert(!failed(db_commit(db, batch)));
    audit_log_committed(audit);
    db_batch_clear(batch);
}

/* What a signer would sign now. */
static inline struct checkpoint checkpoint_now(void)
{
    struct checkpoint checkpoint = {.origin = ORIGIN, .size = audit_log_size(audit)};
    audit_log_root(audit, checkpoint.root);
    return checkpoint;
}

static inline void sign_checkpoint(const struct checkpoint *checkpoint, struct buffer *out_note)
{
    OWNED(buffer_free) struct buffer text = BUFFER(1024);
    checkpoint_text(checkpoint, &text);
    cr_assert(!failed(note_sign(buffer_text(&text), text.size, &key, seed, out_note)));
}

static inline struct status put_checkpoint(const struct checkpoint *checkpoint)
{
    OWNED(buffer_free) struct buffer note = BUFFER(NOTE_BYTES_MAX);
    sign_checkpoint(checkpoint, &note);
    return audit_log_put_checkpoint(audit, batch, note.bytes, note.size);
}

static inline void checkpoint_and_commit(void)
{
    struct checkpoint now = checkpoint_now();
    cr_assert(!failed(put_checkpoint(&now)));
    commit();
}

/* A row's key: a sequence number or size, and 'f' behind it for a stored frontier. */
static inline size_t row_key(uint64_t number, bool frontier, uint8_t out[static 9])
{
    for (unsigned i = 0; i < 8; i++)
        out[i] = (uint8_t)(number >> (56 - 8 * i));
    out[8] = 'f';
    return frontier ? 9 : 8;
}

/* Changes a row behind the log's back. */
static inline void overwrite(unsigned family, const void *row, size_t row_size, const void *value,
                             size_t value_size)
{
    db_batch_clear(batch);
    db_batch_put(batch, db, family, row, row_size, value, value_size);
    cr_assert(!failed(db_commit(db, batch)));
    db_batch_clear(batch);
}

static inline void erase(unsigned family, const void *row, size_t row_size)
{
    db_batch_clear(batch);
    db_batch_delete(batch, db, family, row, row_size);
    cr_assert(!failed(db_commit(db, batch)));
    db_batch_clear(batch);
}

#endif
