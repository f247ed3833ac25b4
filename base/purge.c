/* SPDX-License-Identifier: Apache-2.0 */
#include "base/purge.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/encode.h"
#include "base/own.h"

#define PATH_BYTES_MAX 4096u
/* Who holds on to an old file is a walk or a backup: both end. */
#define PATIENCE_MS 120000

struct purge {
    struct db *db;
    int fd;
    bool running;
    pthread_t thread;

    /* The thread's while it runs. */
    unsigned families;
    char folders[PURGE_FOLDERS_MAX][PATH_BYTES_MAX];
    struct markers *gone;
    struct markers *there;
    struct purge_result result;
};

/* --- On the thread --- */

static STATUS folder_search(struct purge *purge, unsigned index)
{
    struct purge_result *result = &purge->result;
    const char *folder = purge->folders[index];
    struct status status = STATUS_OK;

    if (purge->gone != NULL)
        status = markers_scan(purge->gone, folder, &result->gone[index]);
    if (!failed(status) && purge->there != NULL)
        status = markers_scan(purge->there, folder, &result->there);
    if (failed(status))
        (void)snprintf(result->detail, sizeof result->detail, "%.200s cannot be searched", folder);
    return status;
}

static STATUS purge_do(struct purge *purge)
{
    struct purge_result *result = &purge->result;
    struct db_purge_want want = {.families = purge->families, .patience_ms = PATIENCE_MS};

    if (purge->families != 0)
        TRY(db_purge(purge->db, &want, &result->purge, result->detail, sizeof result->detail));
    for (unsigned i = 0; i < PURGE_FOLDERS_MAX; i++)
        if (purge->folders[i][0] != '\0')
            TRY(folder_search(purge, i));
    return STATUS_OK;
}

static void *purge_run(void *owner)
{
    static const uint64_t one = 1;
    struct purge *purge = owner;

    purge->result.good = !failed(purge_do(purge));
    purge->result.ended_ms = clock_now_ms();
    /* An eventfd takes a first 1 always. */
    ssize_t written = write(purge->fd, &one, sizeof one);
    assert(written == sizeof one);
    return NULL;
}

/* --- On the owner's --- */

STATUS purge_new(struct db *db, struct purge **out_purge)
{
    OWNED(purge_free) struct purge *purge = calloc(1, sizeof *purge);

    ENSURE(purge != NULL, WHY_NO_MEMORY);
    purge->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    ENSURE(purge->fd >= 0, WHY_IO);
    purge->db = db;
    *out_purge = MOVE(purge);
    return STATUS_OK;
}

void purge_free(struct purge **purge)
{
    if (*purge == NULL)
        return;
    if ((*purge)->running)
        (void)pthread_join((*purge)->thread, NULL);
    if ((*purge)->fd >= 0)
        close((*purge)->fd);
    markers_free(&(*purge)->gone);
    markers_free(&(*purge)->there);
    free(*purge);
    *purge = NULL;
}

STATUS purge_start(struct purge *purge, const struct purge_work *work, struct markers **gone,
                   struct markers **there, int64_t now_ms)
{
    sigset_t all;
    sigset_t before;

    ENSURE(!purge->running, WHY_BUSY);
    for (unsigned i = 0; i < PURGE_FOLDERS_MAX; i++) {
        const char *folder = work->folders[i] == NULL ? "" : work->folders[i];
        ENSURE(strlen(folder) < PATH_BYTES_MAX, WHY_LIMIT);
        (void)snprintf(purge->folders[i], sizeof purge->folders[i], "%s", folder);
    }
    purge->families = work->families;
    purge->result = (struct purge_result){.started_ms = now_ms};
    purge->gone = *gone;
    purge->there = *there;
    sigfillset(&all);
    int rc = pthread_sigmask(SIG_BLOCK, &all, &before);
    if (rc == 0) {
        rc = pthread_create(&purge->thread, NULL, purge_run, purge);
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    if (rc != 0) {
        purge->gone = NULL;
        purge->there = NULL;
        return FAIL(WHY_NO_MEMORY);
    }
    *gone = NULL;
    *there = NULL;
    purge->running = true;
    return STATUS_OK;
}

bool purge_is_running(const struct purge *purge)
{
    return purge->running;
}

int purge_fd(const struct purge *purge)
{
    return purge->fd;
}

const struct purge_result *purge_collect(struct purge *purge)
{
    uint64_t ended = 0;

    if (!purge->running || read(purge->fd, &ended, sizeof ended) != sizeof ended)
        return NULL;
    (void)pthread_join(purge->thread, NULL);
    purge->running = false;
    markers_free(&purge->gone);
    markers_free(&purge->there);
    return &purge->result;
}
