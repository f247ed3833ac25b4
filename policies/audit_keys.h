/* SPDX-License-Identifier: Apache-2.0 */
/* policies/audit_keys.h -- which signing keys a verifier believes, as it reads a log.
 *
 * In      the keys that it was given; entries that say that another key follows, or is no more.
 * Out     whether a checkpoint is signed by who signs this log at that place.
 * Never   believes a key that the one before it did not sign itself, in an entry of the log; lets
 *         a log change keys without one; believes one behind the entry that it is no more.
 * Threads one.
 *
 * Who has the next key alone begins among checkpoints that it does not know: they are taken for
 * what their roots say, until the first one that it knows, whose tree holds them all; and the log
 * must say in between that its key followed.
 */
#ifndef POLICIES_AUDIT_KEYS_H
#define POLICIES_AUDIT_KEYS_H

#include "policies/epoch.h"
#include "policies/succession.h"

struct audit_keys {
    struct note_key keys[EPOCH_KEYS_MAX]; /* Believed now. */
    unsigned count;
    struct note_key followed; /* The last one that an entry made believed. */
    bool has_followed;
    bool proven;       /* One good signature was seen. */
    bool foreign;      /* Before it, checkpoints of others. */
    bool introduced;   /* An entry says that a key that was given followed another. */
    unsigned changes;  /* How often another became believed. */
    unsigned revision; /* Counts every change of `keys`. */
};

/* WHY_LIMIT. */
STATUS audit_keys_trust(struct audit_keys *keys, const struct note_key *key);

/* As epoch_open(); WHY_NOT_FOUND, with both outputs: a checkpoint of this log by none of the keys
 * believed, where that may still be. */
STATUS audit_keys_open(const struct audit_keys *keys, const void *note, size_t size,
                       const char *origin, struct checkpoint *out_checkpoint, uint32_t *out_epoch);

/* Its root is that of the entries; `known` is what audit_keys_open() said.  WHY_FORGED: others
 * have signed before, and no entry says that a key believed follows. */
STATUS audit_keys_checkpoint(struct audit_keys *keys, bool known);

/* What an entry says of keys; other events are nothing.  WHY_FORGED: it does not hold. */
STATUS audit_keys_entry(struct audit_keys *keys, const char *event, const char *object,
                        const char *detail);

#endif
