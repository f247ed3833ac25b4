/* SPDX-License-Identifier: Apache-2.0 */
#include "base/work.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/encode.h"
#include "base/own.h"

#define THREAD_COUNT_MAX 64u
#define PACED_SIZE       3u /* Jobs of a round that the next one is paced by. */

/* First in, first out. */
struct work_list {
    struct work *first;
    struct work *last;
};

struct work_pool {
    work_run_all_fn run_all;
    void *owner;
    unsigned queue_max;
    int64_t pace_us;
    /* Of run_all's last round; the worker's alone. */
    int64_t round_us;
    unsigned round_size;

    /* Shared, under the lock. */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct work_list waiting;
    unsigned waiting_count;
    unsigned idle_count;
    struct work_list finished;
    bool ending;

    /* The loop thread's alone. */
    int home_fd; /* An eventfd: workers make it readable, and need no memory for it. */
    struct loop_watch *home;
    pthread_t threads[THREAD_COUNT_MAX];
    unsigned thread_count;
};

static void list_append(struct work_list *list, struct work *first, struct work *last)
{
    assert(last->next == NULL);
    if (list->last == NULL)
        list->first = first;
    else
        list->last->next = first;
    list->last = last;
}

static void lock(struct work_pool *pool)
{
    int rc = pthread_mutex_lock(&pool->lock);
    assert(rc == 0);
}

static void unlock(struct work_pool *pool)
{
    int rc = pthread_mutex_unlock(&pool->lock);
    assert(rc == 0);
}

/* Under the lock, which is let go of meanwhile: nobody has to wake a worker that sleeps so. */
static void wait_for_round(struct work_pool *pool)
{
    int64_t left_us = pool->round_us + pool->pace_us - clock_monotonic_us();

    if (left_us > 0 && pool->round_size >= PACED_SIZE && !pool->ending) {
        struct timespec left = {.tv_sec = left_us / 1000000, .tv_nsec = left_us % 1000000 * 1000};
        unlock(pool);
        (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &left, NULL);
        lock(pool);
    }
    pool->round_us = clock_monotonic_us();
    pool->round_size = pool->waiting_count;
}

/* Waits for work: the next job, or with run_all everything there is.  NULL when the pool ends. */
static struct work *take(struct work_pool *pool)
{
    lock(pool);
    pool->idle_count++;
    while (pool->waiting.first == NULL && !pool->ending)
        pthread_cond_wait(&pool->wake, &pool->lock);
    pool->idle_count--;
    if (pool->pace_us > 0)
        wait_for_round(pool);

    struct work *work = pool->waiting.first;
    if (work != NULL && pool->run_all != NULL) {
        pool->waiting = (struct work_list){0};
        pool->waiting_count = 0;
    } else if (work != NULL) {
        pool->waiting.first = work->next;
        if (work->next == NULL)
            pool->waiting.last = NULL;
        pool->waiting_count--;
        work->next = NULL;
    }
    unlock(pool);
    return work;
}

static void send_home(struct work_pool *pool, struct work *first)
{
    struct work *last = first;
    while (last->next != NULL)
        last = last->next;

    lock(pool);
    bool wake = pool->finished.first == NULL;
    list_append(&pool->finished, first, last);
    unlock(pool);
    if (!wake)
        return; /* Whoever found the list empty rings. */
    uint64_t one = 1;
    ssize_t rc = write(pool->home_fd, &one, sizeof one);
    assert(rc == sizeof one);
}

static void *worker(void *argument)
{
    struct work_pool *pool = argument;

    for (struct work *work = take(pool); work != NULL; work = take(pool)) {
        if (pool->run_all != NULL)
            pool->run_all(pool->owner, work);
        else
            work->run(work);
        send_home(pool, work);
    }
    return NULL;
}

/* Hands every finished job to its owner; loop thread. */
static void deliver(struct work_pool *pool)
{
    lock(pool);
    struct work *work = pool->finished.first;
    pool->finished = (struct work_list){0};
    unlock(pool);

    while (work != NULL) {
        struct work *next = work->next; /* `done` may free the job. */
        work->next = NULL;
        work->done(work);
        work = next;
    }
}

static void pool_on_home(void *owner)
{
    struct work_pool *pool = owner;
    uint64_t count;
    ssize_t rc = read(pool->home_fd, &count, sizeof count);
    if (rc == sizeof count) /* Else an earlier delivery took them along. */
        deliver(pool);
}

/* Signals belong to the main thread, so workers are born with all of them blocked. */
static STATUS start_threads(struct work_pool *pool, unsigned count)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    int rc = pthread_sigmask(SIG_SETMASK, &all, &before);
    assert(rc == 0);
    while (pool->thread_count < count &&
           pthread_create(&pool->threads[pool->thread_count], NULL, worker, pool) == 0)
        pool->thread_count++;
    rc = pthread_sigmask(SIG_SETMASK, &before, NULL);
    assert(rc == 0);
    ENSURE(pool->thread_count == count, WHY_NO_MEMORY);
    return STATUS_OK;
}

STATUS work_pool_new(const struct work_options *options, struct work_pool **out_pool)
{
    assert(options->thread_count >= 1);
    assert(options->thread_count <= THREAD_COUNT_MAX);
    assert(options->queue_max >= 1);
    assert(options->run_all == NULL || options->thread_count == 1);
    assert(options->pace_us == 0 || options->run_all != NULL);

    struct work_pool *blank = calloc(1, sizeof *blank);
    ENSURE(blank != NULL, WHY_NO_MEMORY);
    int rc = pthread_mutex_init(&blank->lock, NULL);
    assert(rc == 0);
    rc = pthread_cond_init(&blank->wake, NULL);
    assert(rc == 0);
    OWNED(work_pool_free) struct work_pool *pool = blank;
    pool->run_all = options->run_all;
    pool->owner = options->owner;
    pool->queue_max = options->queue_max;
    pool->pace_us = options->pace_us;
    pool->home_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    ENSURE(pool->home_fd >= 0, WHY_IO);
    TRY(loop_watch(options->loop, pool->home_fd, pool_on_home, pool, &pool->home));
    TRY(start_threads(pool, options->thread_count));
    *out_pool = MOVE(pool);
    return STATUS_OK;
}

void work_pool_free(struct work_pool **pool)
{
    if (*pool == NULL)
        return;
    lock(*pool);
    (*pool)->ending = true;
    pthread_cond_broadcast(&(*pool)->wake);
    unlock(*pool);
    for (unsigned i = 0; i < (*pool)->thread_count; i++)
        pthread_join((*pool)->threads[i], NULL); /* They leave when nothing waits any more. */
    deliver(*pool);
    assert((*pool)->waiting.first == NULL);

    loop_watch_free(&(*pool)->home);
    if ((*pool)->home_fd >= 0)
        close((*pool)->home_fd);
    pthread_cond_destroy(&(*pool)->wake);
    pthread_mutex_destroy(&(*pool)->lock);
    free(*pool);
    *pool = NULL;
}

STATUS work_submit(struct work_pool *pool, struct work *work)
{
    assert(work->done != NULL);
    assert(pool->run_all != NULL || work->run != NULL);

    lock(pool);
    if (pool->ending || pool->waiting_count >= pool->queue_max) {
        unlock(pool);
        return FAIL(WHY_BUSY);
    }
    work->next = NULL;
    list_append(&pool->waiting, work, work);
    pool->waiting_count++;
    if (pool->idle_count > 0) /* A worker that is busy looks again by itself. */
        pthread_cond_signal(&pool->wake);
    unlock(pool);
    return STATUS_OK;
}
