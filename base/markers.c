/* SPDX-License-Identifier: Apache-2.0 */
#include "base/markers.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/own.h"

#define PIECE_BYTES (1u << 20)
#define PLACES      (4u * MARKERS_COUNT_MAX) /* A quarter full at most. */
/* One bit for each of so many values of a marker's first bytes: most of a file's bytes are told
 * apart from all markers by it alone. */
#define SIEVE_BITS   22u
#define HASH_FACTOR  0x9e3779b97f4a7c15u /* 2^64 over the golden ratio. */
#define FOLDER_BYTES 4096u

struct markers {
    uint32_t count;
    uint8_t markers[MARKERS_COUNT_MAX][MARKERS_BYTES];
    bool seen[MARKERS_COUNT_MAX];
    uint16_t places[PLACES]; /* A marker's index and 1; 0: free. */
    uint8_t sieve[1u << (SIEVE_BITS - 3)];
    uint8_t piece[PIECE_BYTES];
};

static_assert(MARKERS_COUNT_MAX < UINT16_MAX, "an index and 1 fits its place");

static void walk_end(FTS **walk)
{
    if (*walk != NULL)
        fts_close(*walk);
}

static void descriptor_end(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

STATUS markers_new(struct markers **out_markers)
{
    struct markers *markers = calloc(1, sizeof *markers);

    ENSURE(markers != NULL, WHY_NO_MEMORY);
    *out_markers = markers;
    return STATUS_OK;
}

void markers_free(struct markers **markers)
{
    free(*markers);
    *markers = NULL;
}

static uint64_t hash_of(const uint8_t *bytes)
{
    uint64_t word = 0;

    memcpy(&word, bytes, sizeof word);
    return word * HASH_FACTOR;
}

/* The place of the marker, or the free one where it belongs. */
static uint16_t *place_of(struct markers *markers, const uint8_t *bytes, uint64_t hash)
{
    for (uint64_t at = hash >> 20;; at++) {
        uint16_t *place = &markers->places[at % PLACES];
        if (*place == 0 || memcmp(markers->markers[*place - 1], bytes, MARKERS_BYTES) == 0)
            return place;
    }
}

STATUS markers_add(struct markers *markers, const uint8_t marker[static MARKERS_BYTES])
{
    uint64_t hash = hash_of(marker);
    uint16_t *place = place_of(markers, marker, hash);
    uint64_t bit = hash >> (64 - SIEVE_BITS);

    if (*place != 0)
        return STATUS_OK;
    ENSURE(markers->count < MARKERS_COUNT_MAX, WHY_LIMIT);
    memcpy(markers->markers[markers->count], marker, MARKERS_BYTES);
    *place = (uint16_t)++markers->count;
    markers->sieve[bit / 8] |= (uint8_t)(1u << (bit % 8));
    return STATUS_OK;
}

uint32_t markers_count(const struct markers *markers)
{
    return markers->count;
}

static void piece_search(struct markers *markers, size_t size, const char *path,
                         struct markers_found *found)
{
    for (size_t at = 0; at + MARKERS_BYTES <= size; at++) {
        uint64_t hash = hash_of(markers->piece + at);
        uint64_t bit = hash >> (64 - SIEVE_BITS);
        if ((markers->sieve[bit / 8] & (1u << (bit % 8))) == 0)
            continue;
        uint16_t place = *place_of(markers, markers->piece + at, hash);
        if (place == 0 || markers->seen[place - 1])
            continue;
        markers->seen[place - 1] = true;
        found->markers++;
        if (found->file[0] == '\0')
            (void)snprintf(found->file, sizeof found->file, "%s", path);
    }
}

static STATUS file_search(struct markers *markers, const char *path, struct markers_found *found)
{
    OWNED(descriptor_end) int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    size_t kept = 0;

    ENSURE(fd >= 0 || errno == ENOENT, WHY_IO);
    if (fd < 0)
        return STATUS_OK;
    for (;;) {
        ssize_t size = read(fd, markers->piece + kept, PIECE_BYTES - kept);
        ENSURE(size >= 0, WHY_IO);
        if (size == 0)
            break;
        found->bytes += (uint64_t)size;
        kept += (size_t)size;
        piece_search(markers, kept, path, found);
        /* A marker may lie across two pieces: the last bytes stay. */
        size_t tail = kept < MARKERS_BYTES - 1 ? kept : MARKERS_BYTES - 1;
        memmove(markers->piece, markers->piece + kept - tail, tail);
        kept = tail;
    }
    found->files++;
    return STATUS_OK;
}

STATUS markers_scan(struct markers *markers, const char *folder, struct markers_found *found)
{
    char path[FOLDER_BYTES];
    char *const roots[] = {path, NULL};

    ENSURE(strlen(folder) < sizeof path, WHY_LIMIT);
    (void)snprintf(path, sizeof path, "%s", folder);
    ENSURE(access(path, R_OK | X_OK) == 0, WHY_NOT_FOUND);
    OWNED(walk_end) FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
    ENSURE(walk != NULL, WHY_IO);
    for (FTSENT *at = fts_read(walk); at != NULL; at = fts_read(walk)) {
        bool gone = at->fts_errno == ENOENT;
        bool bad = at->fts_info == FTS_ERR || at->fts_info == FTS_DNR || at->fts_info == FTS_NS;
        ENSURE(!bad || gone, WHY_IO);
        if (at->fts_info == FTS_F)
            TRY(file_search(markers, at->fts_path, found));
    }
    return STATUS_OK;
}
