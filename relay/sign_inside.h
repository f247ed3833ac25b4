/* SPDX-License-Identifier: Apache-2.0 */
/* relay/sign_inside.h -- what sign.c and sign_keys.c share.
 *
 * In      the signer's frames, the ledger's writer.
 * Out     one state: one thing at a time is out, to the signer or to the writer.
 * Never   is included by anything else.
 * Threads the loop's; what is handed to the writer is the writer's until it is home.
 */
#ifndef RELAY_SIGN_INSIDE_H
#define RELAY_SIGN_INSIDE_H

#include <assert.h>
#include <stddef.h>

#include "policies/rotation.h"
#include "relay/sign.h"

#define SIGN_ERROR_MAX 512u

enum sign_state {
    SIGN_WAITS_FOR_HELLO,
    SIGN_CHECKS, /* The ledger's writer compares. */
    SIGN_RESTS,
    SIGN_READS, /* The writer collects leaves. */
    SIGN_WAITS_FOR_NOTE,
    SIGN_STORES, /* The writer keeps the note. */
    SIGN_WAITS_FOR_KEYS,
    SIGN_ROTATES, /* The writer keeps an entry about keys. */
    SIGN_BROKEN,  /* No signer, or one that cannot be worked with. */
};

typedef STATUS (*sign_apply_fn)(struct ledger_op *, struct ledger *, struct db_batch *);

struct sign {
    struct ledger_op op; /* First, so that an op pointer is this.  One at a time is out. */

    /* Handed back and forth with the op. */
    struct checkpoint last; /* What the signer signed last, by its own word. */
    struct epoch_fork fork;
    const struct epoch_statement *accept; /* At the start only. */
    char error[SIGN_ERROR_MAX];
    uint64_t next_leaf;
    uint64_t log_size;
    uint64_t stored_size; /* Of the newest checkpoint in the store. */
    struct buffer leaves;
    struct buffer note;
    struct rotation rotation;      /* As the store has it. */
    struct rotation rotation_next; /* What the op makes of it. */

    /* The loop's alone. */
    struct loop *loop;
    struct ledger *ledger;
    enum sign_state state;
    bool op_is_out;
    bool finishing; /* The writer has ended: its steps run here. */
    int next_fd;    /* A new signer's, while the op is out; else -1. */
    int fd;
    struct loop_watch *watch;
    struct frame_reader *reader;
    struct frame_writer *writer;
    struct note_key key;
    struct signer_keys keys;
    bool keys_known;
    struct rotation_times times;
    struct metric *left; /* NULL until it is of interest. */
    int64_t warned_ms;
    sign_made_fn made; /* Who waits for another key; NULL: nobody. */
    void *made_owner;
};

static_assert(offsetof(struct sign, op) == 0, "sign_of() is a cast");

/* --- sign.c --- */
void sign_submit(struct sign *sign, enum sign_state state, sign_apply_fn apply);
void sign_flush(struct sign *sign);
void sign_detach(struct sign *sign);

/* --- sign_keys.c --- */
STATUS sign_keys_take(struct sign *sign, const struct frame *frame);
STATUS sign_keys_check(const struct sign *sign, const void *note, size_t size);
void sign_keys_tick(struct sign *sign);
/* What was rotated is durable. */
void sign_keys_home(struct sign *sign);
/* The signer is gone: nobody waits for its keys any more. */
void sign_keys_lost(struct sign *sign);

#endif
