/* SPDX-License-Identifier: Apache-2.0 */
/* The loop, and what of it is counted. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

#include "tests/bench/load.h"

#define SILENCE_MS_MAX 60000
#define EVENTS_MAX     64

static struct load load;

void load_die(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fputs("cardkeep-load: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(2);
}

void load_bytes_add(struct load_bytes *bytes, const void *from, size_t size)
{
    if (size == 0)
        return;
    if (bytes->size + size > bytes->capacity) {
        size_t capacity = bytes->capacity == 0 ? 1024 : bytes->capacity;
        while (capacity < bytes->size + size)
            capacity *= 2;
        char *grown = realloc(bytes->at, capacity);
        if (grown == NULL)
            load_die("no memory for %zu bytes", capacity);
        bytes->at = grown;
        bytes->capacity = capacity;
    }
    memcpy(bytes->at + bytes->size, from, size);
    bytes->size += size;
}

void load_bytes_drop(struct load_bytes *bytes, size_t size)
{
    if (size < bytes->size)
        memmove(bytes->at, bytes->at + size, bytes->size - size);
    bytes->size -= size;
}

static uint64_t clock_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

static void begin_counting(struct load *of)
{
    of->phase = LOAD_COUNTING;
    of->began_us = of->now_us;
    load_report_began(of);
}

static void end_counting(struct load *of)
{
    of->phase = LOAD_DRAINING;
    of->ended_us = of->now_us;
    load_report_ended(of);
}

static void latency_add(struct load *of, uint64_t us)
{
    if (of->request_count >= of->latency_capacity) {
        size_t capacity = of->latency_capacity == 0 ? 1u << 16 : 2 * of->latency_capacity;
        uint32_t *grown = realloc(of->latencies_us, capacity * sizeof *grown);
        if (grown == NULL)
            load_die("no memory for %zu latencies", capacity);
        of->latencies_us = grown;
        of->latency_capacity = capacity;
    }
    of->latencies_us[of->request_count] = us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
}

/* Statuses are kept for the whole run: an error outside what is counted is an error too. */
static void count(struct load *of, const struct load_slot *slot)
{
    const struct load_options *options = &of->options;

    of->answer_count++;
    of->status_counts[slot->status < LOAD_STATUS_MAX ? slot->status : 0]++;
    if (of->phase == LOAD_WARMING && ++of->warm_count >= options->warm_up)
        begin_counting(of);
    else if (of->phase == LOAD_COUNTING) {
        latency_add(of, of->now_us - slot->began_us);
        of->request_count++;
        of->item_count += options->batch;
        bool enough = options->count > 0
                          ? of->request_count >= options->count
                          : (double)(of->now_us - of->began_us) >= options->seconds * 1e6;
        if (enough)
            end_counting(of);
    }
}

static void submit_next(struct load *of, struct load_slot *slot)
{
    load_work_next(of, slot);
    slot->body_sent = 0;
    slot->status = 0;
    slot->answer.size = 0;
    slot->began_us = of->now_us;
    slot->conn->open_count++;
    of->open_count++;
    load_conn_submit(slot);
}

void load_answered(struct load_slot *slot)
{
    struct load *of = slot->conn->load;

    slot->conn->open_count--;
    of->open_count--;
    load_work_answered(of, slot);
    count(of, slot);
    if (of->phase != LOAD_DRAINING)
        submit_next(of, slot);
}

static void conns_open(struct load *of)
{
    const struct load_options *options = &of->options;

    of->conns = calloc(options->connections, sizeof *of->conns);
    of->poll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (of->conns == NULL || of->poll_fd < 0)
        load_die("no memory for connections");
    for (unsigned i = 0; i < options->connections; i++) {
        struct load_conn *conn = &of->conns[i];
        conn->load = of;
        /* What does not divide evenly goes to the first ones. */
        conn->slot_count = options->in_flight / options->connections +
                           (i < options->in_flight % options->connections ? 1 : 0);
        conn->slots = calloc(conn->slot_count, sizeof *conn->slots);
        if (conn->slots == NULL)
            load_die("no memory for requests");
        load_conn_open(of, conn);
    }
    of->now_us = clock_us();
    if (options->warm_up == 0)
        begin_counting(of);
    for (unsigned i = 0; i < options->connections; i++) {
        struct load_conn *conn = &of->conns[i];
        for (unsigned s = 0; s < conn->slot_count; s++) {
            conn->slots[s].conn = conn;
            submit_next(of, &conn->slots[s]);
        }
        load_conn_flush(conn);
    }
}

static void lose(struct load_conn *conn)
{
    struct load *of = conn->load;

    of->lost_count++;
    of->lost_request_count += conn->open_count;
    of->open_count -= conn->open_count;
    conn->open_count = 0;
    epoll_ctl(of->poll_fd, EPOLL_CTL_DEL, conn->fd, NULL);
}

static void run(struct load *of)
{
    struct epoll_event events[EVENTS_MAX];

    while (of->open_count > 0) {
        int count_ready = epoll_wait(of->poll_fd, events, EVENTS_MAX, SILENCE_MS_MAX);
        if (count_ready == 0)
            load_die("%u requests had no answer within %d ms", of->open_count, SILENCE_MS_MAX);
        if (count_ready < 0 && errno != EINTR)
            load_die("epoll_wait: %s", strerror(errno));
        of->now_us = clock_us();
        for (int i = 0; i < count_ready; i++) {
            struct load_conn *conn = events[i].data.ptr;
            load_conn_ready(conn);
            if (conn->lost)
                lose(conn);
        }
    }
    of->now_us = clock_us();
    if (of->phase == LOAD_WARMING)
        begin_counting(of);
    if (of->phase == LOAD_COUNTING) /* Every connection was lost. */
        end_counting(of);
}

int main(int argc, char **argv)
{
    load_options_read(&load.options, argc, argv);
    load_work_start(&load);
    conns_open(&load);
    run(&load);
    load_work_end(&load);
    bool good = load_report_print(&load);
    for (unsigned i = 0; i < load.options.connections; i++)
        load_conn_free(&load.conns[i]);
    SSL_CTX_free(load.tls);
    return good ? 0 : 1;
}
