/* SPDX-License-Identifier: Apache-2.0 */
/* base/purge.h -- deletions made real, and the proof of it, on a thread of its own.
 *
 * In      a store at work; bytes that are to be gone, and bytes that are to be there.
 * Out     what base/db_purge.h did, and what base/markers.h saw in every file.
 * Never   holds up the thread that asks.
 * Threads the owner's one; the work has its own.
 */
#ifndef BASE_PURGE_H
#define BASE_PURGE_H

#include <stdbool.h>

#include "base/db_purge.h"
#include "base/markers.h"

#define PURGE_FOLDERS_MAX 2u
#define PURGE_REASON_MAX  256u

struct purge;

struct purge_work {
    unsigned families; /* To be written anew, as db_purge.h has them; 0: none, only a search. */
    const char *folders[PURGE_FOLDERS_MAX]; /* To be searched; NULL: no (more). */
};

struct purge_result {
    bool good; /* Both were done to their end; what was seen is for the owner to judge. */
    char detail[PURGE_REASON_MAX];
    int64_t started_ms;
    int64_t ended_ms;
    struct db_purge purge;
    struct markers_found gone[PURGE_FOLDERS_MAX]; /* Of those that are to be gone, by folder. */
    struct markers_found there;                   /* Of those that are to be there. */
};

/* `db` is lent and must outlive it. */
STATUS purge_new(struct db *db, struct purge **out_purge);
/* Waits for the one under way. */
void purge_free(struct purge **purge);

/* Begins.  Takes both sets (either may be NULL) if it succeeds.  WHY_BUSY: one is under way. */
STATUS purge_start(struct purge *purge, const struct purge_work *work, struct markers **gone,
                   struct markers **there, int64_t now_ms);
bool purge_is_running(const struct purge *purge);

/* Readable when it has ended: then purge_collect() lends its result, else NULL. */
int purge_fd(const struct purge *purge);
const struct purge_result *purge_collect(struct purge *purge);

#endif
