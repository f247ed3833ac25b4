/* SPDX-License-Identifier: Apache-2.0 */
#include "policies/audit_verify.h"

#include <assert.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/own.h"
#include "policies/audit_keys.h"
#include "policies/audit_tree.h"
#include "policies/epoch.h"

/* No JSON text has more values than half its bytes. */
#define NODES_MAX (AUDIT_ENTRY_BYTES_MAX / 2u)

struct audit_verify {
    char origin[NOTE_NAME_BYTES_MAX];
    struct audit_keys keys;          /* Without any no signature is asked. */
    struct merkle_frontier frontier; /* Of the entries seen. */
    struct checkpoint ahead;         /* Of more entries than were seen yet. */
    bool waits;                      /* `ahead` does. */
    struct buffer ahead_note;        /* Its bytes: who may sign is judged where its entries end. */
    uint64_t compared_size;          /* Of the checkpoint that was held against the entries last. */
    uint64_t foreign_at; /* Entries seen when the first came that no key at hand signed. */
    uint64_t row_size;   /* Under which the checkpoint at hand is kept, where it is of a store. */
    uint64_t note_size;  /* Of the note row that its frontier's row has to follow. */
    bool note_alone;     /* It did not yet. */
    struct json_node *nodes;
    bool no_memory; /* There is no verdict, then. */
    struct audit_verdict verdict;
};

/* The first trouble is the one that counts: what follows it is its consequence. */
__attribute__((format(printf, 4, 5))) static void
trouble(struct audit_verify *verify, enum audit_part part, uint64_t at, const char *format, ...)
{
    va_list values;

    if (verify->verdict.trouble[0] != '\0')
        return;
    verify->verdict.part = part;
    verify->verdict.at = at;
    va_start(values, format);
    vsnprintf(verify->verdict.trouble, sizeof verify->verdict.trouble, format, values);
    va_end(values);
}

static bool troubled(const struct audit_verify *verify)
{
    return verify->verdict.trouble[0] != '\0';
}

STATUS audit_verify_new(const char *origin, const struct note_key *key, struct audit_verify **out)
{
    ENSURE(strlen(origin) < NOTE_NAME_BYTES_MAX, WHY_BAD_INPUT);

    OWNED(audit_verify_free) struct audit_verify *verify = calloc(1, sizeof *verify);
    ENSURE(verify != NULL, WHY_NO_MEMORY);
    verify->nodes = calloc(NODES_MAX, sizeof *verify->nodes);
    ENSURE(verify->nodes != NULL, WHY_NO_MEMORY);
    memcpy(verify->origin, origin, strlen(origin));
    verify->ahead_note = BUFFER(NOTE_BYTES_MAX);
    if (key != NULL)
        TRY(audit_keys_trust(&verify->keys, key));
    verify->verdict.epoch = 1;
    *out = MOVE(verify);
    return STATUS_OK;
}

STATUS audit_verify_trust(struct audit_verify *verify, const struct note_key *key)
{
    assert(verify->keys.count > 0); /* Else no signature is asked. */
    return audit_keys_trust(&verify->keys, key);
}

void audit_verify_free(struct audit_verify **verify)
{
    if (*verify == NULL)
        return;
    buffer_free(&(*verify)->ahead_note);
    free((*verify)->nodes);
    free(*verify);
    *verify = NULL;
}

static STATUS checkpoint_open(const struct audit_verify *verify, const void *note, size_t size,
                              struct checkpoint *out_checkpoint, uint32_t *out_epoch)
{
    const char *text = NULL;
    size_t text_size = 0;

    if (verify->keys.count > 0)
        return audit_keys_open(&verify->keys, note, size, verify->origin, out_checkpoint,
                               out_epoch);
    TRY(note_peek(note, size, &text, &text_size));
    TRY(checkpoint_parse(text, text_size, out_checkpoint));
    *out_epoch = epoch_of(verify->origin, out_checkpoint->origin);
    return *out_epoch != 0 ? STATUS_OK : FAIL(WHY_CONFLICT);
}

/* Its root is right; is it by who signs here? */
static void compare_keys(struct audit_verify *verify, const struct checkpoint *checkpoint,
                         bool known)
{
    verify->compared_size = checkpoint->size;
    struct status status =
        verify->keys.count == 0 ? STATUS_OK : audit_keys_checkpoint(&verify->keys, known);

    if (failed(status))
        trouble(verify, AUDIT_PART_CHECKPOINT, checkpoint->size,
                "others have signed before entry %" PRIu64
                ", and no entry says that the key at hand follows theirs",
                checkpoint->size);
    if (failed(status) || !known)
        return;
    verify->verdict.checkpoints++;
    verify->verdict.signed_size = checkpoint->size;
    verify->verdict.keys = verify->keys.changes;
}

/* The tree has reached the size of `checkpoint`. */
static void compare(struct audit_verify *verify, const struct checkpoint *checkpoint,
                    uint32_t epoch, bool known)
{
    uint8_t root[MERKLE_HASH_BYTES];

    if (epoch != verify->verdict.epoch) {
        trouble(verify, AUDIT_PART_CHECKPOINT, checkpoint->size,
                "the checkpoint of %" PRIu64 " entries is of epoch %" PRIu32
                ", and the entries say epoch %" PRIu32,
                checkpoint->size, epoch, verify->verdict.epoch);
        return;
    }
    merkle_root(&verify->frontier, root);
    if (memcmp(root, checkpoint->root, sizeof root) != 0) {
        trouble(verify, AUDIT_PART_ENTRY, verify->verdict.signed_size,
                "the entries before %" PRIu64 " are not those that the checkpoint there signed",
                checkpoint->size);
        return;
    }
    compare_keys(verify, checkpoint, known);
}

/* Keys may have come and gone since it was given. */
static void compare_ahead(struct audit_verify *verify)
{
    struct checkpoint checkpoint = {0};
    uint32_t epoch = 0;

    verify->waits = false;
    struct status status = checkpoint_open(verify, verify->ahead_note.bytes,
                                           verify->ahead_note.size, &checkpoint, &epoch);
    if (failed(status) && status.why != WHY_NOT_FOUND)
        trouble(verify, AUDIT_PART_CHECKPOINT, verify->ahead.size,
                "the checkpoint of %" PRIu64 " entries is by a key that signs no more",
                verify->ahead.size);
    else
        compare(verify, &checkpoint, epoch, !failed(status));
}

/* What an entry says of the keys that its log is signed with. */
static void keys_read(struct audit_verify *verify, const struct json *json, uint64_t seq)
{
    static const char *const names[] = {"event", "object", "detail"};
    char texts[3][SUCCESSION_DETAIL_MAX] = {"", "", ""};

    if (verify->keys.count == 0 ||
        (!json_equals(json, json_member(json, 0, names[0]), SUCCESSION_EVENT) &&
         !json_equals(json, json_member(json, 0, names[0]), SUCCESSION_RETIRE_EVENT)))
        return;
    for (unsigned i = 0; i < 3; i++)
        if (failed(
                json_string(json, json_member(json, 0, names[i]), texts[i], sizeof texts[i], NULL)))
            texts[i][0] = '\0'; /* As good as none. */
    if (failed(audit_keys_entry(&verify->keys, texts[0], texts[1], texts[2])))
        trouble(verify, AUDIT_PART_ENTRY, seq,
                "entry %" PRIu64 " names signing keys in a way that the old key did not sign", seq);
}

/* What an entry says of its log: that it went on from an older store, in another epoch. */
static void epoch_read(struct audit_verify *verify, const struct json *json, uint64_t seq)
{
    char object[64] = "";

    if (!json_equals(json, json_member(json, 0, "event"), EPOCH_EVENT))
        return;
    struct status status =
        json_string(json, json_member(json, 0, "object"), object, sizeof object, NULL);
    uint32_t epoch = failed(status) ? 0 : epoch_of("epoch", object);
    if (epoch <= verify->verdict.epoch) {
        trouble(verify, AUDIT_PART_ENTRY, seq,
                "entry %" PRIu64 " begins no later epoch than there was", seq);
        return;
    }
    verify->verdict.epoch = epoch;
    verify->verdict.epoch_entry = seq;
}

void audit_verify_entry(struct audit_verify *verify, const void *entry, size_t size)
{
    uint64_t seq = verify->frontier.size;
    struct json json = {0};
    size_t at = 0;
    int64_t found = -1;

    if (troubled(verify))
        return;
    if (size > AUDIT_ENTRY_BYTES_MAX ||
        failed(json_read(entry, size, verify->nodes, NODES_MAX, &json, &at)) ||
        json.nodes[0].type != JSON_OBJECT) {
        trouble(verify, AUDIT_PART_ENTRY, seq, "entry %" PRIu64 " is not a JSON object", seq);
        return;
    }
    uint32_t node = json_member(&json, 0, "seq");
    if (node == JSON_NONE || failed(json_int(&json, node, &found)) || found < 0 ||
        (uint64_t)found != seq) {
        trouble(verify, AUDIT_PART_ENTRY, seq, "where entry %" PRIu64 " belongs, another stands",
                seq);
        return;
    }

    uint8_t leaf[MERKLE_HASH_BYTES];
    merkle_leaf(entry, size, leaf);
    merkle_add(&verify->frontier, leaf);
    verify->verdict.entries++;
    epoch_read(verify, &json, seq);
    keys_read(verify, &json, seq);
    if (verify->waits && verify->ahead.size == verify->frontier.size && !troubled(verify))
        compare_ahead(verify);
}

void audit_verify_checkpoint(struct audit_verify *verify, const void *note, size_t size)
{
    uint64_t seen = verify->frontier.size;
    struct checkpoint checkpoint = {0};
    uint32_t epoch = 0;

    if (troubled(verify))
        return;
    struct status status = checkpoint_open(verify, note, size, &checkpoint, &epoch);
    bool known = status.why != WHY_NOT_FOUND;
    if (!known && !verify->keys.foreign)
        verify->foreign_at = seen;
    if (known && failed(status) && status.why != WHY_CONFLICT) {
        trouble(verify, AUDIT_PART_CHECKPOINT, verify->row_size,
                "a checkpoint at or after entry %" PRIu64 " does not carry a good signature", seen);
        return;
    }
    if (known && failed(status)) {
        trouble(verify, AUDIT_PART_CHECKPOINT, verify->row_size,
                "what was signed at or after entry %" PRIu64 " is no checkpoint of this log", seen);
        return;
    }
    if (checkpoint.size < seen || verify->waits) {
        trouble(verify, AUDIT_PART_CHECKPOINT, verify->row_size,
                "the checkpoint of %" PRIu64 " entries is out of order", checkpoint.size);
        return;
    }
    if (checkpoint.size == seen) {
        compare(verify, &checkpoint, epoch, known);
        return;
    }
    buffer_clear(&verify->ahead_note);
    buffer_add(&verify->ahead_note, note, size);
    verify->no_memory = verify->no_memory || failed(buffer_status(&verify->ahead_note));
    verify->ahead = checkpoint;
    verify->waits = true;
}

void audit_verify_end(struct audit_verify *verify, struct audit_verdict *out_verdict)
{
    if (verify->waits)
        trouble(verify, AUDIT_PART_ENTRY, verify->frontier.size,
                "the log ends before entry %" PRIu64 ", but %" PRIu64 " were signed",
                verify->frontier.size, verify->ahead.size);
    else if (verify->keys.foreign && !verify->keys.proven)
        trouble(verify, AUDIT_PART_CHECKPOINT, verify->compared_size,
                "a checkpoint at or after entry %" PRIu64 " does not carry a good signature",
                verify->foreign_at);
    else if (verify->verdict.checkpoints == 0)
        trouble(verify, AUDIT_PART_CHECKPOINT, 0,
                "the log has no signed checkpoint (it ends before entry %" PRIu64 ")",
                verify->frontier.size);

    merkle_root(&verify->frontier, verify->verdict.root);
    verify->verdict.good = !troubled(verify);
    *out_verdict = verify->verdict;
}

/* A store's rows, side by side: each checkpoint is fed where its entries end. */
struct walk {
    struct audit_verify *verify;
    struct db_iterator *entries;
    struct db_iterator *checkpoints;
};

/* What later starts rely on is no evidence, but it has to be what the entries lead to. */
static bool frontier_is(struct audit_verify *verify, const void *row, size_t size)
{
    OWNED(buffer_free)
    struct buffer own = BUFFER(AUDIT_SIZE_KEY_BYTES + sizeof verify->frontier.nodes);

    merkle_frontier_encode(&verify->frontier, &own);
    verify->no_memory = verify->no_memory || failed(buffer_status(&own));
    return own.size == size && memcmp(own.bytes, row, size) == 0;
}

/* A note and the frontier at its size are stored together, one behind the other. */
static bool walk_pairs(struct audit_verify *verify, uint64_t size, bool is_frontier)
{
    bool fits = verify->note_alone == is_frontier && (!is_frontier || size == verify->note_size);

    if (!fits)
        trouble(verify, AUDIT_PART_CHECKPOINT, verify->note_alone ? verify->note_size : size,
                "of the checkpoint of %" PRIu64 " entries the note or the frontier is gone",
                verify->note_alone ? verify->note_size : size);
    verify->note_alone = !is_frontier;
    verify->note_size = size;
    return fits;
}

/* Feeds the checkpoint rows that belong where the entries have come to; at the end of the entries,
 * those too that claim to lie beyond. */
static void walk_checkpoints(struct walk *walk, bool at_end)
{
    struct audit_verify *verify = walk->verify;

    for (; db_iterator_valid(walk->checkpoints); db_iterator_next(walk->checkpoints)) {
        uint64_t seen = verify->frontier.size;
        size_t key_bytes = 0;
        size_t value_bytes = 0;
        const uint8_t *key = db_iterator_key(walk->checkpoints, &key_bytes);
        const uint8_t *value = db_iterator_value(walk->checkpoints, &value_bytes);
        bool is_frontier = audit_tree_key_is_frontier(key, key_bytes);
        if (key_bytes != AUDIT_SIZE_KEY_BYTES && !is_frontier) {
            trouble(verify, AUDIT_PART_CHECKPOINT, seen,
                    "a checkpoint row at or after entry %" PRIu64 " is neither note nor "
                    "frontier",
                    seen);
            return;
        }
        uint64_t size = audit_tree_key_size(key);
        if (size > seen && !at_end)
            return;
        if (!walk_pairs(verify, size, is_frontier))
            return;
        verify->row_size = size;
        if (is_frontier) {
            if (!frontier_is(verify, value, value_bytes))
                trouble(verify, AUDIT_PART_CHECKPOINT, size,
                        "the frontier kept at entry %" PRIu64 " is not that of the entries", size);
        } else {
            audit_verify_checkpoint(verify, value, value_bytes);
            /* Under another size than its own, it would be found where it does not sign. */
            uint64_t signs = verify->waits ? verify->ahead.size : verify->compared_size;
            if (signs != size)
                trouble(verify, AUDIT_PART_CHECKPOINT, size,
                        "the checkpoint kept for %" PRIu64 " entries is another", size);
        }
        if (troubled(verify) || verify->waits)
            return;
    }
}

static STATUS walk_entries(struct walk *walk)
{
    struct audit_verify *verify = walk->verify;

    for (; db_iterator_valid(walk->entries); db_iterator_next(walk->entries)) {
        size_t key_bytes = 0;
        size_t entry_bytes = 0;
        const uint8_t *key = db_iterator_key(walk->entries, &key_bytes);
        const uint8_t *entry = db_iterator_value(walk->entries, &entry_bytes);
        walk_checkpoints(walk, false);
        if (key_bytes != AUDIT_SIZE_KEY_BYTES || audit_tree_key_size(key) != verify->frontier.size)
            trouble(verify, AUDIT_PART_ENTRY, verify->frontier.size, "entry %" PRIu64 " is missing",
                    verify->frontier.size);
        if (troubled(verify))
            return STATUS_OK;
        audit_verify_entry(verify, entry, entry_bytes);
    }
    TRY(db_iterator_status(walk->entries));
    walk_checkpoints(walk, true);
    if (walk->verify->note_alone)
        trouble(walk->verify, AUDIT_PART_CHECKPOINT, walk->verify->note_size,
                "of the checkpoint of %" PRIu64 " entries the frontier is gone",
                walk->verify->note_size);
    return db_iterator_status(walk->checkpoints);
}

/* The epoch that later starts rely on is the one that the entries have come to. */
static STATUS verify_epoch(struct audit_verify *verify, struct db *db, unsigned family)
{
    static const char name[] = "epoch";
    struct buffer row OWNED(buffer_free) = BUFFER(AUDIT_SIZE_KEY_BYTES);

    struct status status = db_get(db, family, name, sizeof name - 1, &row);
    uint64_t epoch = 1;
    if (!failed(status)) {
        struct cursor in = cursor_over(row.bytes, row.size);
        epoch = cursor_u64(&in);
        if (!cursor_done(&in) || epoch == 1)
            epoch = 0;
    } else if (status.why != WHY_NOT_FOUND && status.why != WHY_LIMIT)
        return status;
    if (failed(status) && status.why == WHY_LIMIT)
        epoch = 0;
    if (epoch != verify->verdict.epoch)
        trouble(verify, AUDIT_PART_STATE, 0,
                "the store's epoch is not that of its entries, %" PRIu32, verify->verdict.epoch);
    return STATUS_OK;
}

static STATUS verify_state(struct audit_verify *verify, struct db *db, unsigned family)
{
    static const char name[] = "frontier";
    OWNED(buffer_free)
    struct buffer row = BUFFER(AUDIT_SIZE_KEY_BYTES + sizeof verify->frontier.nodes);

    struct status status = db_get(db, family, name, sizeof name - 1, &row);
    if (status.why == WHY_NOT_FOUND) {
        if (verify->frontier.size > 0)
            trouble(verify, AUDIT_PART_STATE, 0, "the store keeps entries but no frontier");
        return STATUS_OK;
    }
    TRY(status);
    if (!frontier_is(verify, row.bytes, row.size))
        trouble(verify, AUDIT_PART_STATE, 0,
                "the store's frontier is not that of its %" PRIu64 " entries",
                verify->frontier.size);
    return STATUS_OK;
}

STATUS audit_verify_opens(const struct audit_verify *verify, const void *note, size_t size,
                          struct checkpoint *out_checkpoint)
{
    uint32_t epoch = 0;

    return checkpoint_open(verify, note, size, out_checkpoint, &epoch);
}

STATUS audit_verify_store(struct db *db, const struct audit_families *families, const char *origin,
                          const struct note_key *key, struct audit_verdict *out_verdict)
{
    struct audit_trust trust = {.keys = key, .count = key == NULL ? 0 : 1};

    return audit_verify_store_by(db, families, origin, &trust, out_verdict);
}

STATUS audit_verify_store_by(struct db *db, const struct audit_families *families,
                             const char *origin, const struct audit_trust *trust,
                             struct audit_verdict *out_verdict)
{
    OWNED(audit_verify_free) struct audit_verify *verify = NULL;
    OWNED(db_iterator_free) struct db_iterator *checkpoints = NULL;
    OWNED(db_iterator_free) struct db_iterator *entries = NULL;

    TRY(audit_verify_new(origin, trust->count == 0 ? NULL : trust->keys, &verify));
    for (unsigned i = 1; i < trust->count; i++)
        TRY(audit_verify_trust(verify, &trust->keys[i]));
    TRY(db_iterate(db, families->checkpoints, NULL, 0, &checkpoints));
    TRY(db_iterate(db, families->entries, NULL, 0, &entries));
    struct walk walk = {.verify = verify, .entries = entries, .checkpoints = checkpoints};
    TRY(walk_entries(&walk));
    TRY(verify_state(verify, db, families->state));
    TRY(verify_epoch(verify, db, families->state));
    ENSURE(!verify->no_memory, WHY_NO_MEMORY);
    audit_verify_end(verify, out_verdict);
    return STATUS_OK;
}
