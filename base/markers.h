/* SPDX-License-Identifier: Apache-2.0 */
/* base/markers.h -- looks for known bytes in every file of a folder.
 *
 * In      markers: 16 bytes each, of those that are random and were written as they are.
 * Out     which of them stand in a file, wherever in it.
 * Never   changes a file; keeps more of one than a piece in memory.
 * Threads one for each set.
 */
#ifndef BASE_MARKERS_H
#define BASE_MARKERS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

#define MARKERS_BYTES      16u
#define MARKERS_COUNT_MAX  4096u
#define MARKERS_PATH_BYTES 512u

struct markers;

struct markers_found {
    uint64_t files; /* That were read to their end. */
    uint64_t bytes;
    uint32_t markers;              /* How many different ones were seen. */
    char file[MARKERS_PATH_BYTES]; /* Where one was seen first; "": nowhere. */
};

STATUS markers_new(struct markers **out_markers);
void markers_free(struct markers **markers);

/* One that is there already counts once.  WHY_LIMIT: there are MARKERS_COUNT_MAX. */
STATUS markers_add(struct markers *markers, const uint8_t marker[static MARKERS_BYTES]);
uint32_t markers_count(const struct markers *markers);

/* Reads every regular file below `folder` and adds to *found what it saw; a marker that was seen
 * before is not counted again.  A file that goes away meanwhile is none.  WHY_NOT_FOUND: no such
 * folder; WHY_IO: a file cannot be read. */
STATUS markers_scan(struct markers *markers, const char *folder, struct markers_found *found);

#endif
