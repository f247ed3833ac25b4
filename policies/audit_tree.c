/* SPDX-License-Identifier: Apache-2.0 */
#include "policies/audit_tree.h"

#include <assert.h>

#include "base/own.h"

/* Leaf hashes read at a time when a part of the tree is computed again. */
#define CHUNK_COUNT 4096u

/* Leaf hashes of entries [from, to) out of the store, which must hold each of them. */
static STATUS leaves_from_store(struct audit_log *log, uint64_t from, uint64_t to,
                                struct buffer *out)
{
    uint8_t key[AUDIT_SIZE_KEY_BYTES];
    OWNED(db_iterator_free) struct db_iterator *entries = NULL;

    audit_tree_key(from, key);
    TRY(db_iterate(log->db, log->families.entries, key, sizeof key, &entries));
    for (uint64_t seq = from; seq < to; seq++) {
        size_t size = 0;
        TRY(db_iterator_status(entries));
        ENSURE(db_iterator_valid(entries), WHY_FORGED);
        const uint8_t *found = db_iterator_key(entries, &size);
        ENSURE(size == AUDIT_SIZE_KEY_BYTES && audit_tree_key_size(found) == seq, WHY_FORGED);
        const uint8_t *entry = db_iterator_value(entries, &size);
        uint8_t leaf[MERKLE_HASH_BYTES];
        merkle_leaf(entry, size, leaf);
        buffer_add(out, leaf, sizeof leaf);
        db_iterator_next(entries);
    }
    return buffer_status(out);
}

STATUS audit_tree_leaves(struct audit_log *log, uint64_t from, unsigned count, struct buffer *out)
{
    ENSURE(from <= log->committed.size && count <= log->committed.size - from, WHY_NOT_FOUND);

    uint64_t to = from + count;
    if (from < log->recent_from) {
        uint64_t stored_to = to < log->recent_from ? to : log->recent_from;
        TRY(leaves_from_store(log, from, stored_to, out));
        from = stored_to;
    }
    if (from < to)
        buffer_add(out, log->recent.bytes + (from - log->recent_from) * MERKLE_HASH_BYTES,
                   (to - from) * MERKLE_HASH_BYTES);
    return buffer_status(out);
}

STATUS audit_tree_extend(struct audit_log *log, struct merkle_frontier *frontier, uint64_t size)
{
    OWNED(buffer_free) struct buffer leaves = BUFFER(CHUNK_COUNT * MERKLE_HASH_BYTES);

    while (frontier->size < size) {
        uint64_t left = size - frontier->size;
        unsigned count = left < CHUNK_COUNT ? (unsigned)left : CHUNK_COUNT;
        buffer_clear(&leaves);
        TRY(audit_tree_leaves(log, frontier->size, count, &leaves));
        for (unsigned i = 0; i < count; i++)
            merkle_add(frontier, leaves.bytes + i * MERKLE_HASH_BYTES);
    }
    return STATUS_OK;
}

/* The frontier stored with the newest checkpoint of at most `size` entries; the empty one where
 * there is none. */
static STATUS frontier_below(struct audit_log *log, uint64_t size,
                             struct merkle_frontier *out_frontier)
{
    OWNED(db_iterator_free) struct db_iterator *rows = NULL;
    struct merkle_frontier below = {0};

    TRY(db_iterate(log->db, log->families.checkpoints, NULL, 0, &rows));
    for (; db_iterator_valid(rows); db_iterator_next(rows)) {
        size_t key_bytes = 0;
        size_t row_bytes = 0;
        const uint8_t *key = db_iterator_key(rows, &key_bytes);
        ENSURE(key_bytes >= AUDIT_SIZE_KEY_BYTES, WHY_FORGED);
        if (audit_tree_key_size(key) > size)
            break;
        if (!audit_tree_key_is_frontier(key, key_bytes))
            continue;
        const uint8_t *row = db_iterator_value(rows, &row_bytes);
        ENSURE(!failed(merkle_frontier_decode(row, row_bytes, &below)), WHY_FORGED);
        ENSURE(below.size == audit_tree_key_size(key), WHY_FORGED);
    }
    TRY(db_iterator_status(rows));
    *out_frontier = below;
    return STATUS_OK;
}

STATUS audit_tree_at(struct audit_log *log, uint64_t size, struct merkle_frontier *out_frontier)
{
    assert(size <= log->committed.size);
    struct merkle_frontier frontier = log->base;

    for (unsigned i = 0; i < AUDIT_MARK_COUNT; i++) {
        if (log->marks[i].size == size) {
            *out_frontier = log->marks[i];
            return STATUS_OK;
        }
    }
    if (size == log->committed.size)
        frontier = log->committed;
    else if (size < log->base.size)
        TRY(frontier_below(log, size, &frontier));
    TRY(audit_tree_extend(log, &frontier, size));
    *out_frontier = frontier;
    return STATUS_OK;
}
