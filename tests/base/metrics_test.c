/* SPDX-License-Identifier: Apache-2.0 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/metrics.h"
#include "base/own.h"

static void expect_text(const char *text)
{
    struct buffer out OWNED(buffer_free) = BUFFER(65536);
    metrics_render(&out);
    cr_assert(!failed(buffer_status(&out)));
    cr_expect_str_eq(buffer_text(&out), text);
}

Test(metrics, renders_counters_and_gauges_with_help_and_type_once_per_name)
{
    struct metric *get = metric_counter("a_total", "route=\"get\"", "Requests.");
    struct metric *open = metric_gauge("b_open", "", "Connections.");
    struct metric *put = metric_counter("a_total", "route=\"put\"", "Requests.");
    metric_add(get, 2);
    metric_add(get, 3);
    metric_add(put, 1);
    metric_set(open, -4);
    cr_expect_eq(metric_value(get), 5);
    expect_text("# HELP a_total Requests.\n"
                "# TYPE a_total counter\n"
                "a_total{route=\"get\"} 5\n"
                "a_total{route=\"put\"} 1\n"
                "# HELP b_open Connections.\n"
                "# TYPE b_open gauge\n"
                "b_open -4\n");
}

Test(metrics, renders_nothing_where_nothing_is_registered)
{
    expect_text("");
}

Test(metrics, counts_a_duration_in_every_bucket_that_holds_it)
{
    struct metric *histogram = metric_histogram("d_seconds", "route=\"x\"", "Durations.");
    metric_observe_us(histogram, 100);      /* The bound belongs to its bucket. */
    metric_observe_us(histogram, 101);      /* The next one. */
    metric_observe_us(histogram, -5);       /* A clock that went back is no time at all. */
    metric_observe_us(histogram, 10000001); /* Beyond the last bound. */
    cr_expect_eq(metric_value(histogram), 4);
    struct buffer out OWNED(buffer_free) = BUFFER(65536);
    metrics_render(&out);
    const char *text = buffer_text(&out);
    cr_expect_not_null(strstr(text, "# TYPE d_seconds histogram\n"));
    cr_expect_not_null(strstr(text, "d_seconds_bucket{route=\"x\",le=\"0.0001\"} 2\n"), "%s", text);
    cr_expect_not_null(strstr(text, "d_seconds_bucket{route=\"x\",le=\"0.00025\"} 3\n"));
    cr_expect_not_null(strstr(text, "d_seconds_bucket{route=\"x\",le=\"10\"} 3\n"));
    cr_expect_not_null(strstr(text, "d_seconds_bucket{route=\"x\",le=\"+Inf\"} 4\n"));
    cr_expect_not_null(strstr(text, "d_seconds_sum{route=\"x\"} 10.000202\n"));
    cr_expect_not_null(strstr(text, "d_seconds_count{route=\"x\"} 4\n"));
}

Test(metrics, writes_a_histogram_without_labels_with_its_bound_alone)
{
    metric_observe_us(metric_histogram("e_seconds", "", "Durations."), 2000000);
    struct buffer out OWNED(buffer_free) = BUFFER(65536);
    metrics_render(&out);
    cr_expect_not_null(strstr(buffer_text(&out), "e_seconds_bucket{le=\"2.5\"} 1\n"));
    cr_expect_not_null(strstr(buffer_text(&out), "e_seconds_sum 2.000000\n"));
}

Test(metrics, is_one_metric_for_one_name_and_labels)
{
    struct metric *first = metric_counter("a_total", "x=\"1\"", "Things.");
    cr_expect_eq(metric_counter("a_total", "x=\"1\"", "Things."), first);
    cr_expect_neq(metric_counter("a_total", "x=\"2\"", "Things."), first);
}

Test(metrics, stops_on_a_full_table, .signal = SIGABRT)
{
    static char names[METRICS_MAX + 1][16];
    for (unsigned i = 0; i <= METRICS_MAX; i++) {
        snprintf(names[i], sizeof names[i], "m%u_total", i);
        metric_counter(names[i], "", "One.");
    }
}

static void *add_many(void *metric)
{
    for (unsigned i = 0; i < 10000; i++)
        metric_add(metric, 1);
    return NULL;
}

Test(metrics, loses_no_count_of_many_threads)
{
    struct metric *counter = metric_counter("a_total", "", "Things.");
    pthread_t threads[4];
    for (unsigned i = 0; i < 4; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, add_many, counter), 0);
    for (unsigned i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    cr_expect_eq(metric_value(counter), 40000);
}
