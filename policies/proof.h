/* SPDX-License-Identifier: Apache-2.0 */
/* policies/proof.h -- one entry of a log, as a file that proves itself offline (C2SP tlog-proof).
 *
 * In      an entry, its path and a signed checkpoint; or such a file from anywhere.
 * Out     the file; or the entry, once its path leads to a checkpoint with a good signature.
 * Never   believes what the file says of itself: its `extra` line, which is not authenticated by
 *         the format, is the entry's own bytes, and their hash is the leaf that is proven.
 * Threads any.
 *
 *   c2sp.org/tlog-proof@v1
 *   extra <base64 of the entry>
 *   index <its number>
 *   <base64 of each hash, from the leaf upward>
 *
 *   <the checkpoint, with its signatures>
 */
#ifndef POLICIES_PROOF_H
#define POLICIES_PROOF_H

#include "policies/audit_entry.h"
#include "policies/inclusion.h"
#include "policies/note.h"

#define PROOF_BYTES_MAX (128u * 1024u)

struct proof_text {
    const void *bytes;
    size_t size;
};

STATUS proof_write(const struct inclusion_path *path, const struct proof_text *entry,
                   const struct proof_text *note, struct buffer *out);

/* What a good proof says. */
struct proof {
    uint64_t index;
    uint64_t size; /* Of the log at the checkpoint. */
    uint32_t epoch;
};

/* Appends the entry to `out_entry`.  WHY_BAD_INPUT: no such file; WHY_FORGED: the signature is not
 * `key`'s, or the entry is not in the tree that was signed; WHY_CONFLICT: signed, and not of the
 * log `origin`. */
STATUS proof_open(const void *text, size_t size, const char *origin, const struct note_key *key,
                  struct buffer *out_entry, struct proof *out_proof);

#endif
