/* SPDX-License-Identifier: Apache-2.0 */
#include "base/loop.h"

#include <assert.h>
#include <errno.h>
#include <h2o.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>

#include "base/encode.h"
#include "base/own.h"

#define TURN_END_MAX    8u
#define TIMER_COUNT_MAX (1u << 20)
/* A turn without anything to do ends after this long all the same. */
#define WAIT_MS_MAX 10000

struct turn_end {
    loop_fn fn;
    void *owner;
};

struct loop_timer {
    struct loop *loop;
    int64_t due_ms;
    uint64_t order; /* Of creation: ties fire in this order, and newborns wait for a turn. */
    size_t at;      /* In the heap. */
    loop_fn fn;
    void *owner;
};

struct loop {
    h2o_evloop_t *h2o;
    h2o_multithread_queue_t *queue;
    h2o_multithread_receiver_t receiver; /* libh2o's, with the lock of the queue. */
    atomic_bool stopping;

    struct loop_timer **timers; /* A binary heap, the soonest first. */
    size_t timer_count;
    size_t timer_capacity;
    uint64_t timer_order;
    struct loop_timer *spare; /* The one that fired last: who sets it anew needs no memory. */

    struct turn_end turn_ends[TURN_END_MAX];
    unsigned turn_end_count;
};

struct loop_watch {
    h2o_socket_t *sock;
    loop_fn readable;
    loop_fn writable; /* NULL unless it was asked for. */
    void *owner;
};

/* What loop_post() sends. */
struct post {
    h2o_multithread_message_t message; /* First, so that a link is a post. */
    loop_fn fn;
    void *owner;
};

static_assert(offsetof(struct post, message.link) == 0, "post_of() is a cast");

static struct post *post_of(h2o_linklist_t *link)
{
    return (struct post *)link;
}

static void loop_on_posts(h2o_multithread_receiver_t *receiver, h2o_linklist_t *messages)
{
    (void)receiver;
    while (!h2o_linklist_is_empty(messages)) {
        struct post *post = post_of(messages->next);
        struct post copy = *post;
        h2o_linklist_unlink(&post->message.link);
        free(post);
        copy.fn(copy.owner);
    }
}

/* A peer that left must be an error code, not the end of the process. */
static void ignore_broken_pipes(void)
{
    struct sigaction action = {0};
    action.sa_handler = SIG_IGN;
    int rc = sigaction(SIGPIPE, &action, NULL);
    assert(rc == 0);
}

STATUS loop_new(struct loop **out_loop)
{
    assert(out_loop != NULL);
    OWNED(loop_free) struct loop *loop = calloc(1, sizeof *loop);
    ENSURE(loop != NULL, WHY_NO_MEMORY);
    loop->h2o = h2o_evloop_create();
    ENSURE(loop->h2o != NULL, WHY_NO_MEMORY);
    loop->queue = h2o_multithread_create_queue(loop->h2o);
    h2o_multithread_register_receiver(loop->queue, &loop->receiver, loop_on_posts);
    ignore_broken_pipes();
    *out_loop = MOVE(loop);
    return STATUS_OK;
}

static void queue_free(struct loop *loop)
{
    if (loop->queue == NULL)
        return;
    while (!h2o_linklist_is_empty(&loop->receiver._messages)) {
        struct post *post = post_of(loop->receiver._messages.next);
        h2o_linklist_unlink(&post->message.link);
        free(post);
    }
    h2o_multithread_unregister_receiver(loop->queue, &loop->receiver);
    h2o_multithread_destroy_queue(loop->queue);
    free(loop->queue); /* libh2o destroys what is in it and keeps the rest. */
}

void loop_free(struct loop **loop)
{
    if (*loop == NULL)
        return;
    queue_free(*loop);
    if ((*loop)->h2o != NULL)
        h2o_evloop_destroy((*loop)->h2o);
    for (size_t i = 0; i < (*loop)->timer_count; i++)
        free((*loop)->timers[i]);
    free((*loop)->timers);
    free((*loop)->spare);
    free(*loop);
    *loop = NULL;
}

/* --- Timers --- */

static bool fires_before(const struct loop_timer *one, const struct loop_timer *other)
{
    if (one->due_ms != other->due_ms)
        return one->due_ms < other->due_ms;
    return one->order < other->order;
}

static void heap_put(struct loop *loop, size_t at, struct loop_timer *timer)
{
    loop->timers[at] = timer;
    timer->at = at;
}

static void heap_rise(struct loop *loop, size_t at)
{
    struct loop_timer *timer = loop->timers[at];

    while (at > 0 && fires_before(timer, loop->timers[(at - 1) / 2])) {
        heap_put(loop, at, loop->timers[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    heap_put(loop, at, timer);
}

static void heap_sink(struct loop *loop, size_t at)
{
    struct loop_timer *timer = loop->timers[at];

    for (size_t child = 2 * at + 1; child < loop->timer_count; child = 2 * at + 1) {
        if (child + 1 < loop->timer_count &&
            fires_before(loop->timers[child + 1], loop->timers[child]))
            child++;
        if (!fires_before(loop->timers[child], timer))
            break;
        heap_put(loop, at, loop->timers[child]);
        at = child;
    }
    heap_put(loop, at, timer);
}

static void heap_remove(struct loop *loop, struct loop_timer *timer)
{
    size_t at = timer->at;
    assert(at < loop->timer_count);
    assert(loop->timers[at] == timer);

    struct loop_timer *last = loop->timers[--loop->timer_count];
    if (last == timer)
        return;
    heap_put(loop, at, last);
    heap_rise(loop, at);
    heap_sink(loop, last->at);
}

static STATUS heap_grow(struct loop *loop)
{
    if (loop->timer_count < loop->timer_capacity)
        return STATUS_OK;
    ENSURE(loop->timer_count < TIMER_COUNT_MAX, WHY_LIMIT);
    size_t capacity = loop->timer_capacity == 0 ? 64 : 2 * loop->timer_capacity;
    struct loop_timer **timers = reallocarray(loop->timers, capacity, sizeof(struct loop_timer *));
    ENSURE(timers != NULL, WHY_NO_MEMORY);
    loop->timers = timers;
    loop->timer_capacity = capacity;
    return STATUS_OK;
}

STATUS loop_timer(struct loop *loop, int64_t delay_ms, loop_fn fn, void *owner,
                  struct loop_timer **out_timer)
{
    assert(fn != NULL);
    assert(delay_ms >= 0);
    TRY(heap_grow(loop));
    struct loop_timer *timer = MOVE(loop->spare);
    if (timer == NULL)
        timer = calloc(1, sizeof *timer);
    ENSURE(timer != NULL, WHY_NO_MEMORY);
    timer->loop = loop;
    timer->due_ms = clock_monotonic_ms() + delay_ms;
    timer->order = loop->timer_order++;
    timer->fn = fn;
    timer->owner = owner;
    heap_put(loop, loop->timer_count++, timer);
    heap_rise(loop, timer->at);
    *out_timer = timer;
    return STATUS_OK;
}

void loop_timer_cancel(struct loop_timer **timer)
{
    if (*timer == NULL)
        return;
    heap_remove((*timer)->loop, *timer);
    free(*timer);
    *timer = NULL;
}

/* Fires what is due and was there when the turn began, so that a timer of 0 ms that sets another
 * one of 0 ms lets the sockets have their turn in between. */
static void run_timers(struct loop *loop)
{
    if (loop->timer_count == 0)
        return;
    int64_t now_ms = clock_monotonic_ms();
    uint64_t order_end = loop->timer_order;

    while (loop->timer_count > 0) {
        struct loop_timer *timer = loop->timers[0];
        if (timer->due_ms > now_ms || timer->order >= order_end)
            return;
        heap_remove(loop, timer);
        struct loop_timer copy = *timer;
        free(loop->spare);
        *timer = (struct loop_timer){0};
        loop->spare = timer;
        copy.fn(copy.owner);
    }
}

static int32_t wait_ms(const struct loop *loop)
{
    if (loop->timer_count == 0)
        return WAIT_MS_MAX;
    int64_t left_ms = loop->timers[0]->due_ms - clock_monotonic_ms();
    if (left_ms <= 0)
        return 0;
    return left_ms < WAIT_MS_MAX ? (int32_t)left_ms : WAIT_MS_MAX;
}

/* --- Turns --- */

void loop_on_turn_end(struct loop *loop, loop_fn fn, void *owner)
{
    assert(loop->turn_end_count < TURN_END_MAX);
    loop->turn_ends[loop->turn_end_count++] = (struct turn_end){.fn = fn, .owner = owner};
}

void loop_run(struct loop *loop)
{
    while (!atomic_exchange(&loop->stopping, false)) {
        int rc = h2o_evloop_run(loop->h2o, wait_ms(loop));
        /* Anything else than a signal means that a watched descriptor was closed behind our back,
         * after which libh2o's lists are not to be trusted. */
        assert(rc == 0 || errno == EINTR);
        run_timers(loop);
        for (unsigned i = 0; i < loop->turn_end_count; i++)
            loop->turn_ends[i].fn(loop->turn_ends[i].owner);
    }
}

void loop_stop(struct loop *loop)
{
    atomic_store(&loop->stopping, true);
    h2o_multithread_send_message(&loop->receiver, NULL); /* Wakes it, and needs no memory. */
}

STATUS loop_post(struct loop *loop, loop_fn fn, void *owner)
{
    assert(fn != NULL);
    struct post *post = calloc(1, sizeof *post);
    ENSURE(post != NULL, WHY_NO_MEMORY);
    post->fn = fn;
    post->owner = owner;
    h2o_multithread_send_message(&loop->receiver, &post->message);
    return STATUS_OK;
}

void *loop_h2o(struct loop *loop)
{
    return loop->h2o;
}

/* --- Watches --- */

static void watch_on_readable(h2o_socket_t *sock, const char *error)
{
    (void)error; /* With DONT_READ libh2o read nothing, so it knows of none. */
    struct loop_watch *watch = sock->data;
    watch->readable(watch->owner);
}

static void watch_on_writable(h2o_socket_t *sock, const char *error)
{
    (void)error; /* The owner's own send() will say. */
    struct loop_watch *watch = sock->data;
    loop_fn writable = watch->writable;
    watch->writable = NULL;
    writable(watch->owner);
}

STATUS loop_watch(struct loop *loop, int fd, loop_fn readable, void *owner,
                  struct loop_watch **out_watch)
{
    assert(fd >= 0);
    assert(readable != NULL);
    struct loop_watch *watch = calloc(1, sizeof *watch);
    ENSURE(watch != NULL, WHY_NO_MEMORY);
    watch->readable = readable;
    watch->owner = owner;
    watch->sock = h2o_evloop_socket_create(loop->h2o, fd, H2O_SOCKET_FLAG_DONT_READ);
    watch->sock->data = watch;
    h2o_socket_read_start(watch->sock, watch_on_readable);
    *out_watch = watch;
    return STATUS_OK;
}

void loop_watch_writable(struct loop_watch *watch, loop_fn writable)
{
    assert(writable != NULL);
    bool waiting = watch->writable != NULL;
    watch->writable = writable;
    if (!waiting)
        h2o_socket_notify_write(watch->sock, watch_on_writable);
}

void loop_watch_free(struct loop_watch **watch)
{
    if (*watch == NULL)
        return;
    h2o_socket_export_t rest;

    (*watch)->sock->_cb.write = NULL; /* Exporting asserts that nobody waits to write. */
    int rc = h2o_socket_export((*watch)->sock, &rest); /* Closes all but the descriptor. */
    assert(rc == 0);
    h2o_buffer_dispose(&rest.input);
    free(*watch);
    *watch = NULL;
}
