/* SPDX-License-Identifier: Apache-2.0 */
/* policies/signer.h -- the process that holds the audit signing key, and its other side.
 *
 * In      frames over a socket pair: leaf hashes, in order, and the request to sign.
 * Out     checkpoints. The signer keeps its own frontier and adds the leaves itself, so that it
 *         cannot sign what does not extend what it signed before; it stores size and frontier
 *         (fsync, rename) before it lets a signature go.
 * Never   sees an entry; signs anything but its own tree's checkpoint; opens a socket; signs two
 *         trees of one size under one origin.  Where an operator started it with a statement that
 *         an older store may go on, it does so under the origin of another epoch (epoch.h): the
 *         log's owner, who has the store, cannot make it do that.
 * Threads one.
 */
#ifndef POLICIES_SIGNER_H
#define POLICIES_SIGNER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/frames.h"
#include "base/status.h"
#include "policies/epoch.h"
#include "policies/note.h"
#include "policies/succession.h"

/* Frames.  Signer -> log owner: HELLO once at start (encoded frontier as last signed, u16-counted
 * verifier key, and from epoch 2 on its fork), CHECKPOINT (note), REFUSED (u64 size: where leaves
 * must go on).  Log owner -> signer: LEAVES (u64 first index, hashes), SIGN (empty), FORK (encoded
 * frontier of the statement's tree: another HELLO, or REFUSED).  Answers carry the id of their
 * question; LEAVES that fit have none. */
enum signer_frame {
    SIGNER_HELLO = 1,
    SIGNER_LEAVES,
    SIGNER_SIGN,
    SIGNER_CHECKPOINT,
    SIGNER_REFUSED,
    SIGNER_FORK,
    SIGNER_KEY,
    SIGNER_KEYS
};

/* What a SIGNER_KEY (u8 step, u64 size) asks for; each is answered by SIGNER_KEYS, and can be asked
 * again by an owner that does not know whether it was done.  A wrong one ends the signer. */
enum signer_step {
    SIGNER_STEP_ASK = 1, /* How things stand. */
    SIGNER_STEP_MAKE,    /* A next key is made, which signs nothing yet. */
    SIGNER_STEP_OVERLAP, /* It signs, too, once what is signed reaches `size`. */
    SIGNER_STEP_RETIRE   /* It signs alone, and the first one is wiped. */
};

/* Its keys, by the names of the first epoch. */
struct signer_keys {
    struct succession succession; /* `from` signs; `to` is the next, and named by it. */
    bool has_next;
    bool both;        /* Both sign. */
    int64_t since_ms; /* When `from` was made. */
};

struct signer_options {
    const char *origin;                   /* Key name and checkpoint origin. */
    const char *key_path;                 /* 32-byte Ed25519 seed, hex, mode 0600. */
    const char *state_path;               /* Where it remembers what it signed. */
    int fd;                               /* Its end of the socket pair. */
    const struct epoch_statement *accept; /* NULL: none. */
};

/* The signer's main loop; returns at end of file.  Call sandbox_enter() and log_open() before.
 * WHY_NOT_FOUND: no key file; WHY_DENIED: one that others can read; WHY_FORGED: a damaged key or
 * state file, or a peer that speaks otherwise; WHY_IO: the state could not be stored, so nothing
 * was signed. */
STATUS signer_run(const struct signer_options *options);

/* What a signer remembers of having signed, from its state file; for who checks a store offline.
 * WHY_NOT_FOUND: there is none, or nothing was signed; WHY_IO: it cannot be read; WHY_FORGED. */
STATUS signer_state_read(const char *path, const char *origin, struct checkpoint *out_last);

/* Makes a seed file (mode 0600, never over an existing one: WHY_CONFLICT) and gives its verifier
 * key.  `error` gets a sentence. */
STATUS signer_key_create(const char *path, const char *origin, struct note_key *out_key,
                         char *error, size_t error_size);

/* The log owner's side of HELLO.  *out_fork says which epoch it is in, and where that began. */
STATUS signer_hello_parse(const struct frame *frame, struct checkpoint *out_last,
                          struct note_key *out_key, struct epoch_fork *out_fork);

/* The log owner's side of SIGNER_KEY and SIGNER_KEYS.  WHY_BAD_INPUT, also where the next key is
 * not signed by the first. */
STATUS signer_keys_ask(struct frame_writer *writer, enum signer_step step, uint64_t size);
STATUS signer_keys_parse(const struct frame *frame, struct signer_keys *out_keys);

#endif
