/* SPDX-License-Identifier: Apache-2.0 */
/* vault/cli/audit_fetch.h -- a daemon's audit log, page by page.
 *
 * In      CONTRACT_PATH_AUDIT_ENTRIES and …_CHECKPOINT, asked with the auditor's certificate.
 * Out     entries and checkpoint notes, in order.
 * Never   takes a page that is not the one it asked for.
 * Threads one.
 */
#ifndef VAULT_CLI_AUDIT_FETCH_H
#define VAULT_CLI_AUDIT_FETCH_H

#include <stdint.h>

#include "vault/cli/daemon.h"

/* Lent for the length of the call.  `seq` of an entry; for a note the size that it says it is of.
 */
typedef void (*audit_fetch_fn)(void *owner, uint64_t seq, const char *text, size_t size);

struct audit_fetch {
    const struct daemon *daemon;
    enum daemon_which which;
    audit_fetch_fn on_entry;
    audit_fetch_fn on_checkpoint; /* Before the entry whose seq is its size; NULL: not wanted. */
    void *owner;
};

/* Entries [start, end), `end` 0 being all that there are when it begins.  *out_size is how many the
 * daemon has.  The sentence is said unless CLI_DONE. */
enum cli_exit audit_fetch_entries(const struct audit_fetch *fetch, uint64_t start, uint64_t end,
                                  uint64_t *out_size);

/* The newest signed checkpoint; the caller frees *out_note.  An empty one: there is none yet. */
enum cli_exit audit_fetch_checkpoint(const struct audit_fetch *fetch, struct buffer *out_note);

/* What a note says its size is, unchecked; UINT64_MAX when it is no checkpoint. */
uint64_t audit_fetch_note_size(const char *note, size_t size);

#endif
