/* SPDX-License-Identifier: Apache-2.0 */
/* policies/epoch.h -- a log whose store was exchanged for an older one, and who said that it may.
 *
 * In      a log's origin and key; what an operator said when starting the daemon.
 * Out     the origin and key of each of its epochs: `origin`, then `origin/2`, `origin/3`, …
 * Never   lets one origin have two trees of one size: what was signed beyond the older store stays
 *         signed, so the log goes on under another origin, with an entry that says so.
 * Threads any.
 */
#ifndef POLICIES_EPOCH_H
#define POLICIES_EPOCH_H

#include <stdbool.h>
#include <stdint.h>

#include "policies/note.h"

#define EPOCH_BY_BYTES_MAX    48u
#define EPOCH_TEXT_BYTES_MAX  128u
#define EPOCH_ENTRY_BYTES_MAX 320u
#define EPOCH_MAX             1000000u
/* The entry's event; its object is "epoch/N". */
#define EPOCH_EVENT "store.rolled_back"

/* "SIZE:ROOT:EPOCH": a store whose log begins with this tree may go on, in this epoch.  It holds
 * once: what comes next is a later epoch. */
struct epoch_statement {
    bool given;
    uint64_t size;
    uint8_t root[MERKLE_HASH_BYTES];
    uint32_t epoch;
    char by[EPOCH_BY_BYTES_MAX]; /* Who started the daemon with it. */
};

/* WHY_BAD_INPUT.  ROOT is hex, as `cardkeep audit verify` says it. */
STATUS epoch_statement_parse(const char *text, struct epoch_statement *out_statement);
/* The same, with who started this process as the one who says it. */
STATUS epoch_statement_take(const char *text, struct epoch_statement *out_statement);
void epoch_statement_text(const struct epoch_statement *statement,
                          char out[static EPOCH_TEXT_BYTES_MAX]);

/* Where an epoch began; epoch 1 began with the log, and its other members are zero. */
struct epoch_fork {
    uint32_t epoch;
    uint64_t from_size; /* What was signed last before, and is given up; 0: nothing is known. */
    uint8_t from_root[MERKLE_HASH_BYTES];
    uint64_t to_size; /* Where the older store stands. */
    uint8_t to_root[MERKLE_HASH_BYTES];
    char by[EPOCH_BY_BYTES_MAX];
};

void epoch_fork_encode(const struct epoch_fork *fork, struct buffer *out);
/* Sets in->bad where it is none. */
void epoch_fork_decode(struct cursor *in, struct epoch_fork *out_fork);
/* For people and for the entry: no run of it looks like a card's number. */
void epoch_fork_text(const struct epoch_fork *fork, char out[static EPOCH_ENTRY_BYTES_MAX]);

/* 1 for `origin` itself, N for "origin/N", 0 for any other name. */
uint32_t epoch_of(const char *origin, const char *name);
/* WHY_LIMIT: too long. */
STATUS epoch_origin(const char *origin, uint32_t epoch, char out[static NOTE_NAME_BYTES_MAX]);

/* Opens a checkpoint of any epoch of the log whose first epoch's key is `key`.  WHY_FORGED,
 * WHY_BAD_INPUT: as note_open(); WHY_CONFLICT: signed, and no checkpoint of this log. */
STATUS epoch_open(const void *note, size_t size, const char *origin, const struct note_key *key,
                  struct checkpoint *out_checkpoint, uint32_t *out_epoch);
/* The same of a log that has come to several keys; one good signature is enough. */
#define EPOCH_KEYS_MAX 8u
STATUS epoch_open_any(const void *note, size_t size, const char *origin,
                      const struct note_key *keys, unsigned key_count,
                      struct checkpoint *out_checkpoint, uint32_t *out_epoch);

#endif
