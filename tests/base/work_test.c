/* SPDX-License-Identifier: Apache-2.0 */
#include "base/work.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "base/encode.h"

#define JOB_COUNT 200u

struct job {
    struct work work; /* First, so that a work pointer is a job pointer. */
    unsigned number;
    unsigned result;
};

static struct loop *loop;
static struct work_pool *pool;
static struct job jobs[JOB_COUNT];
static unsigned order[JOB_COUNT];
static unsigned home_count;
static unsigned home_expected;
static pthread_t loop_thread;
static atomic_uint strayed;
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static unsigned batch_count;
static unsigned batch_size_max;
static int64_t batch_us[JOB_COUNT]; /* When each began. */
static int64_t pace_us;
static atomic_uint begun;

static void job_run(struct work *work)
{
    struct job *job = (struct job *)work;
    if (pthread_equal(pthread_self(), loop_thread))
        atomic_fetch_add(&strayed, 1);
    pthread_mutex_lock(&gate); /* Shut while a test holds it. */
    pthread_mutex_unlock(&gate);
    job->result = job->number + 1;
}

static void job_done(struct work *work)
{
    struct job *job = (struct job *)work;
    cr_assert(pthread_equal(pthread_self(), loop_thread));
    cr_assert_eq(job->result, job->number + 1);
    job->result = 0; /* A second call would see this. */
    order[home_count++] = job->number;
    if (home_count == home_expected)
        loop_stop(loop);
}

static void run_list(void *owner, struct work *list)
{
    unsigned size = 0;
    batch_us[batch_count] = clock_monotonic_us();
    atomic_fetch_add(&begun, 1);
    for (struct work *work = list; work != NULL; work = work->next, size++)
        job_run(work);
    batch_count++;
    if (size > batch_size_max)
        batch_size_max = size;
    cr_assert_eq(owner, &pool);
}

static void open_pool(unsigned thread_count, unsigned queue_max, work_run_all_fn run_all)
{
    const struct work_options options = {
        .loop = loop,
        .thread_count = thread_count,
        .queue_max = queue_max,
        .run_all = run_all,
        .pace_us = pace_us,
        .owner = &pool,
    };
    cr_assert(!failed(work_pool_new(&options, &pool)));
}

static enum why submit(unsigned number)
{
    jobs[number] = (struct job){.work = {.run = job_run, .done = job_done}, .number = number};
    return work_submit(pool, &jobs[number].work).why;
}

static void make(void)
{
    loop_thread = pthread_self();
    cr_assert(!failed(loop_new(&loop)));
}

static void drop(void)
{
    work_pool_free(&pool);
    loop_free(&loop);
    cr_assert_eq(atomic_load(&strayed), 0);
}

TestSuite(work, .init = make, .fini = drop, .timeout = 20);

Test(work, brings_every_job_home_exactly_once)
{
    open_pool(4, JOB_COUNT, NULL);
    home_expected = JOB_COUNT;
    for (unsigned i = 0; i < JOB_COUNT; i++)
        cr_assert_eq(submit(i), WHY_NONE);
    cr_assert_eq(home_count, 0, "none comes home inside work_submit()");
    loop_run(loop);
    bool seen[JOB_COUNT] = {false};
    for (unsigned i = 0; i < JOB_COUNT; i++) {
        cr_assert(!seen[order[i]]);
        seen[order[i]] = true;
    }
}

Test(work, keeps_the_order_with_one_thread)
{
    open_pool(1, JOB_COUNT, NULL);
    home_expected = JOB_COUNT;
    for (unsigned i = 0; i < JOB_COUNT; i++)
        cr_assert_eq(submit(i), WHY_NONE);
    loop_run(loop);
    for (unsigned i = 0; i < JOB_COUNT; i++)
        cr_assert_eq(order[i], i);
}

Test(work, leaves_the_job_with_the_caller_when_the_queue_is_full)
{
    open_pool(1, 2, NULL);
    pthread_mutex_lock(&gate);
    unsigned accepted = 0;
    while (submit(accepted) == WHY_NONE)
        accepted++;
    /* Two wait, and one more if the worker has taken the first by now. */
    cr_assert(accepted == 2 || accepted == 3, "%u", accepted);
    cr_assert_eq(submit(accepted), WHY_BUSY);
    pthread_mutex_unlock(&gate);
    home_expected = accepted;
    loop_run(loop);
    cr_assert_eq(home_count, accepted, "the refused one never comes");
    home_expected = accepted + 1;
    cr_assert_eq(submit(accepted), WHY_NONE);
    loop_run(loop);
}

Test(work, gives_everything_that_waits_to_run_all_at_once)
{
    open_pool(1, JOB_COUNT, run_list);
    pthread_mutex_lock(&gate);
    home_expected = JOB_COUNT;
    for (unsigned i = 0; i < JOB_COUNT; i++)
        cr_assert_eq(submit(i), WHY_NONE);
    pthread_mutex_unlock(&gate);
    loop_run(loop);
    cr_assert(batch_count <= 3, "%u", batch_count);
    cr_assert(batch_size_max > JOB_COUNT / 2);
    for (unsigned i = 0; i < JOB_COUNT; i++)
        cr_assert_eq(order[i], i);
}

Test(work, ends_when_every_job_came_home)
{
    open_pool(3, JOB_COUNT, NULL);
    for (unsigned i = 0; i < JOB_COUNT; i++)
        cr_assert_eq(submit(i), WHY_NONE);
    work_pool_free(&pool);
    cr_assert_eq(home_count, JOB_COUNT);
    cr_assert_eq(pool, NULL);
}

static void job_follow(struct work *work)
{
    struct job *job = (struct job *)work;
    job_done(work);
    if (job->number == 0)
        cr_assert_eq(submit(1), WHY_NONE);
}

static void job_bring_two(struct work *work)
{
    job_done(work);
    for (unsigned i = 4; i <= 5; i++)
        cr_assert_eq(submit(i), WHY_NONE);
}

Test(work, begins_a_round_at_its_pace_only_behind_one_of_many)
{
    pace_us = 500000;
    open_pool(1, JOB_COUNT, run_list);
    pthread_mutex_lock(&gate);
    cr_assert_eq(submit(0), WHY_NONE);
    while (atomic_load(&begun) == 0)
        (void)sched_yield();
    for (unsigned i = 1; i <= 3; i++)
        cr_assert_eq(submit(i), WHY_NONE);
    jobs[3].work.done = job_bring_two;
    pthread_mutex_unlock(&gate);
    home_expected = 6;
    loop_run(loop);
    home_expected = 7;
    cr_assert_eq(submit(6), WHY_NONE);
    loop_run(loop);
    cr_assert_eq(batch_count, 4u);
    cr_expect_lt(batch_us[1] - batch_us[0], pace_us, "behind one alone");
    cr_expect_geq(batch_us[2] - batch_us[1], pace_us, "behind three");
    cr_expect_lt(batch_us[3] - batch_us[2], pace_us, "behind two");
}

Test(work, takes_a_new_job_from_within_done)
{
    open_pool(1, 1, NULL);
    home_expected = 2;
    jobs[0] = (struct job){.work = {.run = job_run, .done = job_follow}};
    cr_assert(!failed(work_submit(pool, &jobs[0].work)));
    loop_run(loop);
    cr_assert_eq(order[1], 1);
}
