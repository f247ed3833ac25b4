/* SPDX-License-Identifier: Apache-2.0 */
/* policies/audit_page.h -- a page of a log as both daemons serve it (vault/contract.h).
 *
 * In      a log, and which entries are wanted.
 * Out     {"size","start","entries":[…],"checkpoints":[…]}: entries as JSON strings, byte for byte.
 * Never   serves an entry that is not committed.
 * Threads that of the store's writer, so that size and entries are of one moment.
 */
#ifndef POLICIES_AUDIT_PAGE_H
#define POLICIES_AUDIT_PAGE_H

#include "policies/audit_log.h"

#define AUDIT_PAGE_BYTES_MAX   (3u << 20)
#define AUDIT_PAGE_ENTRIES_MAX 256u
#define AUDIT_PAGE_QUERY_HELP                                                                      \
    "The query is start=N, from 0, and limit=M, 1 to 256; each may be absent."

/* Reads the query `start=N&limit=M`: from 0, and 1 to AUDIT_PAGE_ENTRIES_MAX; each at most once, in
 * any order; missing ones are 0 and the most.  WHY_BAD_INPUT for anything else. */
STATUS audit_page_query(const char *query, uint64_t *out_start, unsigned *out_limit);

/* Appends the page of at most `limit` entries from `start` on, with the checkpoints whose size lies
 * within it.  A page ends early where it would grow too large.  `out` has room for
 * AUDIT_PAGE_BYTES_MAX. */
STATUS audit_page_write(struct audit_log *log, struct db *db, const struct audit_families *families,
                        uint64_t start, unsigned limit, struct buffer *out);

#endif
