/* SPDX-License-Identifier: Apache-2.0 */
#include "policies/audit_log.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "policies/audit_tree.h"

/* Entries of one batch. */
#define PENDING_MAX 65536u
/* Leaf hashes kept in memory for the signer, so that no entry is read and hashed twice: 8 MiB. */
#define RECENT_MAX         (1u << 18)
#define FRONTIER_BYTES_MAX (8u + MERKLE_LEVELS_MAX * MERKLE_HASH_BYTES)

static const char state_key[] = "frontier";
#define STATE_KEY_BYTES (sizeof state_key - 1)
static const char epoch_key[] = "epoch";
#define EPOCH_KEY_BYTES (sizeof epoch_key - 1)

static bool roots_equal(const struct merkle_frontier *frontier, const uint8_t *root)
{
    uint8_t own[MERKLE_HASH_BYTES];
    merkle_root(frontier, own);
    return memcmp(own, root, sizeof own) == 0;
}

static unsigned pending_count(const struct audit_log *log)
{
    return (unsigned)(log->pending.size / MERKLE_HASH_BYTES);
}

static STATUS open_state(struct audit_log *log)
{
    struct status status =
        db_get(log->db, log->families.state, state_key, STATE_KEY_BYTES, &log->row);
    if (status.why == WHY_NOT_FOUND)
        return STATUS_OK; /* A new log: the next check says whether it is empty, too. */
    TRY(status);
    status = merkle_frontier_decode(log->row.bytes, log->row.size, &log->committed);
    ENSURE(!failed(status), WHY_FORGED);
    return STATUS_OK;
}

static STATUS open_epoch(struct audit_log *log)
{
    struct status status =
        db_get(log->db, log->families.state, epoch_key, EPOCH_KEY_BYTES, &log->row);
    log->epoch = 1;
    if (status.why == WHY_NOT_FOUND)
        return STATUS_OK;
    TRY(status);
    struct cursor row = cursor_over(log->row.bytes, log->row.size);
    uint64_t epoch = cursor_u64(&row);
    ENSURE(cursor_done(&row) && epoch >= 2 && epoch <= EPOCH_MAX, WHY_FORGED);
    log->epoch = (uint32_t)epoch;
    return STATUS_OK;
}

/* The last entry is the frontier's last leaf, and none stands behind it. */
static STATUS open_last_entry(struct audit_log *log)
{
    OWNED(db_iterator_free) struct db_iterator *entries = NULL;
    size_t size = 0;

    TRY(db_iterate(log->db, log->families.entries, NULL, 0, &entries));
    db_iterator_last(entries);
    TRY(db_iterator_status(entries));
    if (!db_iterator_valid(entries)) {
        ENSURE(log->committed.size == 0, WHY_FORGED);
        return STATUS_OK;
    }
    const uint8_t *key = db_iterator_key(entries, &size);
    ENSURE(size == AUDIT_SIZE_KEY_BYTES, WHY_FORGED);
    ENSURE(log->committed.size > 0 && audit_tree_key_size(key) == log->committed.size - 1,
           WHY_FORGED);
    return STATUS_OK;
}

/* Size of the newest checkpoint.  WHY_NOT_FOUND when there is none. */
static STATUS last_checkpoint_size(struct audit_log *log, uint64_t *out_size)
{
    OWNED(db_iterator_free) struct db_iterator *rows = NULL;
    size_t size = 0;

    TRY(db_iterate(log->db, log->families.checkpoints, NULL, 0, &rows));
    db_iterator_last(rows);
    TRY(db_iterator_status(rows));
    ENSURE(db_iterator_valid(rows), WHY_NOT_FOUND);
    const uint8_t *key = db_iterator_key(rows, &size);
    ENSURE(audit_tree_key_is_frontier(key, size), WHY_FORGED);
    *out_size = audit_tree_key_size(key);
    return STATUS_OK;
}

/* Without its signature, which is the verifier's business: what is asked here is whether the rows
 * agree with one another. */
static STATUS checkpoint_read(const struct audit_log *log, const void *note, size_t size,
                              struct checkpoint *out, uint32_t *out_epoch)
{
    const char *text = NULL;
    size_t text_size = 0;

    TRY(note_peek(note, size, &text, &text_size));
    TRY(checkpoint_parse(text, text_size, out));
    *out_epoch = epoch_of(log->origin, out->origin);
    ENSURE(*out_epoch != 0, WHY_CONFLICT);
    return STATUS_OK;
}

/* The newest checkpoint with its frontier, as the place to go on from. */
static STATUS open_base(struct audit_log *log)
{
    uint64_t size = 0;
    uint32_t epoch = 0;
    uint8_t key[AUDIT_FRONTIER_KEY_BYTES];
    struct checkpoint checkpoint = {0};
    OWNED(buffer_free) struct buffer note = BUFFER(NOTE_BYTES_MAX);

    struct status status = last_checkpoint_size(log, &size);
    if (status.why == WHY_NOT_FOUND)
        return STATUS_OK;
    TRY(status);
    audit_tree_key(size, key);
    key[AUDIT_SIZE_KEY_BYTES] = 'f';
    status = db_get(log->db, log->families.checkpoints, key, AUDIT_SIZE_KEY_BYTES, &note);
    ENSURE(status.why != WHY_NOT_FOUND, WHY_FORGED);
    TRY(status);
    ENSURE(!failed(checkpoint_read(log, note.bytes, note.size, &checkpoint, &epoch)), WHY_FORGED);
    ENSURE(epoch <= log->epoch, WHY_FORGED);
    TRY(db_get(log->db, log->families.checkpoints, key, sizeof key, &log->row));
    ENSURE(!failed(merkle_frontier_decode(log->row.bytes, log->row.size, &log->base)), WHY_FORGED);
    ENSURE(log->base.size == size && checkpoint.size == size, WHY_FORGED);
    ENSURE(size <= log->committed.size, WHY_FORGED);
    ENSURE(roots_equal(&log->base, checkpoint.root), WHY_FORGED);
    return STATUS_OK;
}

/* The entries behind the newest checkpoint lead to the stored frontier. */
static STATUS open_tail(struct audit_log *log)
{
    struct merkle_frontier tail = log->base;
    uint8_t root[MERKLE_HASH_BYTES];

    TRY(audit_tree_extend(log, &tail, log->committed.size));
    merkle_root(&tail, root);
    ENSURE(roots_equal(&log->committed, root), WHY_FORGED);
    return STATUS_OK;
}

STATUS audit_log_open(struct db *db, const struct audit_families *families, const char *origin,
                      struct audit_log **out_log)
{
    assert(db != NULL);
    assert(strlen(origin) < NOTE_NAME_BYTES_MAX);

    OWNED(audit_log_free) struct audit_log *log = calloc(1, sizeof *log);
    ENSURE(log != NULL, WHY_NO_MEMORY);
    log->db = db;
    log->families = *families;
    memcpy(log->origin, origin, strlen(origin));
    log->pending = BUFFER(PENDING_MAX * MERKLE_HASH_BYTES);
    log->entry = BUFFER(AUDIT_ENTRY_BYTES_MAX);
    log->row = BUFFER(FRONTIER_BYTES_MAX);
    log->recent = BUFFER(RECENT_MAX * MERKLE_HASH_BYTES);

    TRY(open_state(log));
    TRY(open_epoch(log));
    log->recent_from = log->committed.size;
    TRY(open_last_entry(log));
    TRY(open_base(log));
    TRY(open_tail(log));

    /* All the room that a seal can need, so that a seal cannot fail. */
    buffer_clear(&log->row);
    buffer_extend(&log->row, FRONTIER_BYTES_MAX);
    TRY(buffer_status(&log->row));
    *out_log = MOVE(log);
    return STATUS_OK;
}

void audit_log_free(struct audit_log **log)
{
    if (*log == NULL)
        return;
    buffer_free(&(*log)->pending);
    buffer_free(&(*log)->entry);
    buffer_free(&(*log)->row);
    buffer_free(&(*log)->recent);
    free(*log);
    *log = NULL;
}

STATUS audit_log_check(struct audit_log *log, const struct checkpoint *last_signed, char *error,
                       size_t error_size)
{
    struct merkle_frontier then = {0};

    uint32_t epoch = epoch_of(log->origin, last_signed->origin);
    if (epoch == 0) {
        snprintf(error, error_size, "the signer signs for another origin than this log's");
        return FAIL(WHY_CONFLICT);
    }
    if (epoch < log->epoch) {
        snprintf(error, error_size,
                 "the log is in epoch %u, and the signer remembers epoch %u: its state file is "
                 "older than the store; bring it back",
                 (unsigned)log->epoch, (unsigned)epoch);
        return FAIL(WHY_CONFLICT);
    }
    if (last_signed->size > log->committed.size) {
        snprintf(error, error_size,
                 "the audit log holds %llu entries, but %llu were signed: this store is an older "
                 "copy or was cut short",
                 (unsigned long long)log->committed.size, (unsigned long long)last_signed->size);
        return FAIL(WHY_CONFLICT);
    }
    if (last_signed->size < log->base.size) {
        snprintf(error, error_size,
                 "the store has a checkpoint over %llu entries, of which the signer remembers only "
                 "%llu: its state file is older than the store; bring it back",
                 (unsigned long long)log->base.size, (unsigned long long)last_signed->size);
        return FAIL(WHY_CONFLICT);
    }
    TRY(audit_tree_at(log, last_signed->size, &then));
    if (!roots_equal(&then, last_signed->root)) {
        snprintf(error, error_size,
                 "the first %llu entries of the audit log are not those that were signed",
                 (unsigned long long)last_signed->size);
        return FAIL(WHY_CONFLICT);
    }
    return STATUS_OK;
}

uint32_t audit_log_epoch(const struct audit_log *log)
{
    return log->epoch;
}

STATUS audit_log_accepts(struct audit_log *log, const struct epoch_statement *statement,
                         struct buffer *out_frontier)
{
    struct merkle_frontier then = {0};

    ENSURE(statement->given && statement->epoch > log->epoch, WHY_CONFLICT);
    /* What lies under a checkpoint of the store's own is given up by no statement. */
    ENSURE(statement->size <= log->committed.size && statement->size >= log->base.size,
           WHY_CONFLICT);
    TRY(audit_tree_at(log, statement->size, &then));
    ENSURE(roots_equal(&then, statement->root), WHY_CONFLICT);
    merkle_frontier_encode(&then, out_frontier);
    return buffer_status(out_frontier);
}

STATUS audit_log_begin_epoch(struct audit_log *log, struct db_batch *batch,
                             const struct epoch_fork *fork, struct audit_entry *entry)
{
    char object[32];
    char detail[EPOCH_ENTRY_BYTES_MAX];
    uint64_t seq = 0;
    uint64_t epoch = htobe64(fork->epoch);

    assert(fork->epoch > log->epoch);
    (void)snprintf(object, sizeof object, "epoch/%u", (unsigned)fork->epoch);
    epoch_fork_text(fork, detail);
    entry->event = EPOCH_EVENT;
    entry->outcome = "ok";
    entry->object = object;
    entry->detail = detail;
    TRY(audit_log_append(log, batch, entry, &seq));
    db_batch_put(batch, log->db, log->families.state, epoch_key, EPOCH_KEY_BYTES, &epoch,
                 sizeof epoch);
    log->epoch_next = fork->epoch;
    return STATUS_OK;
}

STATUS audit_log_append(struct audit_log *log, struct db_batch *batch,
                        const struct audit_entry *entry, uint64_t *out_seq)
{
    assert(!log->is_sealed);
    ENSURE(pending_count(log) < PENDING_MAX, WHY_BUSY);

    uint64_t seq = audit_log_next_seq(log);
    buffer_clear(&log->entry);
    TRY(audit_entry_write(entry, seq, &log->entry));

    uint8_t key[AUDIT_SIZE_KEY_BYTES];
    uint8_t leaf[MERKLE_HASH_BYTES];
    audit_tree_key(seq, key);
    merkle_leaf(log->entry.bytes, log->entry.size, leaf);
    buffer_add(&log->pending, leaf, sizeof leaf);
    TRY(buffer_status(&log->pending));
    db_batch_put(batch, log->db, log->families.entries, key, sizeof key, log->entry.bytes,
                 log->entry.size);
    *out_seq = seq;
    return STATUS_OK;
}

void audit_log_rewind(struct audit_log *log, uint64_t seq)
{
    assert(!log->is_sealed);
    assert(seq >= log->committed.size && seq <= audit_log_next_seq(log));
    size_t kept = (size_t)(seq - log->committed.size) * MERKLE_HASH_BYTES;

    log->pending.why = WHY_NONE; /* What there was no memory for is taken back with the rest. */
    if (kept == log->pending.size)
        return;
    memset(log->pending.bytes + kept, 0,
           log->pending.size - kept); /* As a buffer keeps its rest. */
    log->pending.size = kept;
}

void audit_log_seal(struct audit_log *log, struct db_batch *batch)
{
    assert(!log->is_sealed);
    unsigned count = pending_count(log);

    log->is_sealed = true;
    log->sealed = log->committed;
    if (count == 0)
        return;
    for (unsigned i = 0; i < count; i++)
        merkle_add(&log->sealed, log->pending.bytes + i * MERKLE_HASH_BYTES);
    buffer_clear(&log->row);
    merkle_frontier_encode(&log->sealed, &log->row);
    assert(!failed(buffer_status(&log->row)));
    db_batch_put(batch, log->db, log->families.state, state_key, STATE_KEY_BYTES, log->row.bytes,
                 log->row.size);
}

/* Drops from memory what the newest checkpoint covers; a signer that is behind reads the store. */
static void recent_shorten(struct audit_log *log)
{
    if (log->base.size <= log->recent_from)
        return;
    buffer_consume(&log->recent, (size_t)(log->base.size - log->recent_from) * MERKLE_HASH_BYTES);
    log->recent_from = log->base.size;
}

void audit_log_committed(struct audit_log *log)
{
    assert(log->is_sealed);

    buffer_add(&log->recent, log->pending.bytes, log->pending.size);
    log->committed = log->sealed;
    if (failed(buffer_status(&log->recent))) {
        buffer_clear(&log->recent); /* The store has them all. */
        log->recent_from = log->committed.size;
    }
    if (log->epoch_next != 0)
        log->epoch = log->epoch_next;
    if (log->base_waits) {
        log->base = log->base_next;
        recent_shorten(log);
    }
    audit_log_abandon(log);
}

void audit_log_abandon(struct audit_log *log)
{
    buffer_clear(&log->pending);
    log->is_sealed = false;
    log->base_waits = false;
    log->epoch_next = 0;
}

uint64_t audit_log_size(const struct audit_log *log)
{
    return log->committed.size;
}

uint64_t audit_log_next_seq(const struct audit_log *log)
{
    return log->committed.size + pending_count(log);
}

void audit_log_root(const struct audit_log *log, uint8_t out[static MERKLE_HASH_BYTES])
{
    merkle_root(&log->committed, out);
}

STATUS audit_log_leaves(struct audit_log *log, uint64_t from, unsigned count, struct buffer *out)
{
    TRY(audit_tree_leaves(log, from, count, out));
    if (count == 0 || from + count < log->committed.size)
        return STATUS_OK;
    /* The signer has all there is: what it signs next is most likely this tree. */
    log->marks[log->mark_next] = log->committed;
    log->mark_next = (log->mark_next + 1) % AUDIT_MARK_COUNT;
    return STATUS_OK;
}

STATUS audit_log_put_checkpoint(struct audit_log *log, struct db_batch *batch, const void *note,
                                size_t size)
{
    assert(!log->is_sealed);
    struct checkpoint checkpoint = {0};
    struct merkle_frontier frontier = {0};
    uint32_t epoch = 0;

    TRY(checkpoint_read(log, note, size, &checkpoint, &epoch));
    ENSURE(epoch == log->epoch, WHY_CONFLICT);
    ENSURE(checkpoint.size <= log->committed.size, WHY_CONFLICT);
    ENSURE(checkpoint.size >= log->base.size, WHY_CONFLICT);
    TRY(audit_tree_at(log, checkpoint.size, &frontier));
    ENSURE(roots_equal(&frontier, checkpoint.root), WHY_CONFLICT);

    uint8_t key[AUDIT_FRONTIER_KEY_BYTES];
    audit_tree_key(checkpoint.size, key);
    key[AUDIT_SIZE_KEY_BYTES] = 'f';
    buffer_clear(&log->row);
    merkle_frontier_encode(&frontier, &log->row);
    assert(!failed(buffer_status(&log->row)));
    db_batch_put(batch, log->db, log->families.checkpoints, key, AUDIT_SIZE_KEY_BYTES, note, size);
    db_batch_put(batch, log->db, log->families.checkpoints, key, sizeof key, log->row.bytes,
                 log->row.size);
    log->base_next = frontier;
    log->base_waits = true;
    return STATUS_OK;
}

STATUS audit_log_last_checkpoint(struct audit_log *log, struct buffer *out)
{
    uint64_t size = 0;
    uint8_t key[AUDIT_SIZE_KEY_BYTES];

    TRY(last_checkpoint_size(log, &size));
    audit_tree_key(size, key);
    return db_get(log->db, log->families.checkpoints, key, sizeof key, out);
}

STATUS audit_log_entry(struct audit_log *log, uint64_t seq, struct buffer *out)
{
    uint8_t key[AUDIT_SIZE_KEY_BYTES];

    audit_tree_key(seq, key);
    return db_get(log->db, log->families.entries, key, sizeof key, out);
}
