/* SPDX-License-Identifier: Apache-2.0 */
#include "base/metrics.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

/* Upper ends of the histograms' buckets, and how the format writes them in seconds. */
static const struct {
    int64_t us;
    const char *seconds;
} bounds[] = {
    {100, "0.0001"},  {250, "0.00025"}, {500, "0.0005"},  {1000, "0.001"},
    {2500, "0.0025"}, {5000, "0.005"},  {10000, "0.01"},  {25000, "0.025"},
    {50000, "0.05"},  {100000, "0.1"},  {250000, "0.25"}, {500000, "0.5"},
    {1000000, "1"},   {2500000, "2.5"}, {5000000, "5"},   {10000000, "10"},
};
#define BUCKET_COUNT (sizeof bounds / sizeof bounds[0])

enum kind { COUNTER, GAUGE, HISTOGRAM };

struct metric {
    enum kind kind;
    const char *name;
    const char *labels;
    const char *help;
    _Atomic uint64_t value;                     /* A histogram's: the sum in microseconds. */
    _Atomic uint64_t buckets[BUCKET_COUNT + 1]; /* Each on its own; the last one is beyond 10 s. */
};

/* One table per process, filled before any thread starts. */
static struct metric table[METRICS_MAX];
static unsigned table_count;

/* The same name and labels are the same metric. */
static struct metric *find_or_add(enum kind kind, const char *name, const char *labels,
                                  const char *help)
{
    assert(name != NULL);
    assert(labels != NULL);
    assert(help != NULL);
    for (unsigned i = 0; i < table_count; i++) {
        if (strcmp(table[i].name, name) != 0)
            continue;
        assert(table[i].kind == kind);
        if (strcmp(table[i].labels, labels) == 0)
            return &table[i];
    }
    assert(table_count < METRICS_MAX);
    struct metric *metric = &table[table_count++];
    metric->kind = kind;
    metric->name = name;
    metric->labels = labels;
    metric->help = help;
    return metric;
}

struct metric *metric_counter(const char *name, const char *labels, const char *help)
{
    return find_or_add(COUNTER, name, labels, help);
}

struct metric *metric_gauge(const char *name, const char *labels, const char *help)
{
    return find_or_add(GAUGE, name, labels, help);
}

struct metric *metric_histogram(const char *name, const char *labels, const char *help)
{
    return find_or_add(HISTOGRAM, name, labels, help);
}

/* Relaxed: a figure says nothing about any other memory. */

void metric_add(struct metric *metric, uint64_t amount)
{
    assert(metric->kind != HISTOGRAM);
    atomic_fetch_add_explicit(&metric->value, amount, memory_order_relaxed);
}

void metric_set(struct metric *metric, int64_t value)
{
    assert(metric->kind == GAUGE);
    atomic_store_explicit(&metric->value, (uint64_t)value, memory_order_relaxed);
}

void metric_observe_us(struct metric *metric, int64_t duration_us)
{
    assert(metric->kind == HISTOGRAM);
    uint64_t us = duration_us < 0 ? 0 : (uint64_t)duration_us;
    unsigned bucket = 0;
    while (bucket < BUCKET_COUNT && us > (uint64_t)bounds[bucket].us)
        bucket++;
    atomic_fetch_add_explicit(&metric->buckets[bucket], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&metric->value, us, memory_order_relaxed);
}

static uint64_t peek(const _Atomic uint64_t *value)
{
    return atomic_load_explicit(value, memory_order_relaxed);
}

uint64_t metric_value(const struct metric *metric)
{
    if (metric->kind != HISTOGRAM)
        return peek(&metric->value);
    uint64_t count = 0;
    for (unsigned i = 0; i <= BUCKET_COUNT; i++)
        count += peek(&metric->buckets[i]);
    return count;
}

/* Text */

static void render_name(struct buffer *out, const struct metric *metric, const char *suffix)
{
    buffer_format(out, "%s%s", metric->name, suffix);
    if (metric->labels[0] != '\0')
        buffer_format(out, "{%s}", metric->labels);
}

static void render_bucket(struct buffer *out, const struct metric *metric, const char *bound,
                          uint64_t count)
{
    buffer_format(out, "%s_bucket{%s%sle=\"%s\"} %llu\n", metric->name, metric->labels,
                  metric->labels[0] == '\0' ? "" : ",", bound, (unsigned long long)count);
}

static void render_histogram(struct buffer *out, const struct metric *metric)
{
    uint64_t count = 0;
    for (unsigned i = 0; i < BUCKET_COUNT; i++) {
        count += peek(&metric->buckets[i]);
        render_bucket(out, metric, bounds[i].seconds, count);
    }
    count += peek(&metric->buckets[BUCKET_COUNT]);
    render_bucket(out, metric, "+Inf", count);
    uint64_t sum_us = peek(&metric->value);
    render_name(out, metric, "_sum");
    buffer_format(out, " %llu.%06llu\n", (unsigned long long)(sum_us / 1000000),
                  (unsigned long long)(sum_us % 1000000));
    /* The count of the buckets above: one that is read on its own may be ahead of them. */
    render_name(out, metric, "_count");
    buffer_format(out, " %llu\n", (unsigned long long)count);
}

static void render_metric(struct buffer *out, const struct metric *metric)
{
    if (metric->kind == HISTOGRAM) {
        render_histogram(out, metric);
        return;
    }
    render_name(out, metric, "");
    if (metric->kind == GAUGE)
        buffer_format(out, " %lld\n", (long long)peek(&metric->value));
    else
        buffer_format(out, " %llu\n", (unsigned long long)peek(&metric->value));
}

/* All of one name stand together, as the format wants them, wherever they were registered. */
void metrics_render(struct buffer *out)
{
    static const char *const type_names[] = {
        [COUNTER] = "counter", [GAUGE] = "gauge", [HISTOGRAM] = "histogram"};

    for (unsigned i = 0; i < table_count; i++) {
        bool rendered = false;
        for (unsigned j = 0; j < i && !rendered; j++)
            rendered = strcmp(table[j].name, table[i].name) == 0;
        if (rendered)
            continue;
        buffer_format(out, "# HELP %s %s\n# TYPE %s %s\n", table[i].name, table[i].help,
                      table[i].name, type_names[table[i].kind]);
        for (unsigned j = i; j < table_count; j++)
            if (strcmp(table[j].name, table[i].name) == 0)
                render_metric(out, &table[j]);
    }
}
