/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/http_inside.h"

/* Metrics keep the names that they are given, so these stay for the process' life. */
#define NAME_SIZE 96u
static char names[HTTP_METER_COUNT + 1][NAME_SIZE];

static const char *name_of(const struct http_server *server, unsigned index, const char *what)
{
    snprintf(names[index], NAME_SIZE, "cardkeep_%s_http_%s", server->options.component, what);
    return names[index];
}

static struct metric *counter(const struct http_server *server, enum http_meter meter,
                              const char *what, const char *help)
{
    return metric_counter(name_of(server, meter, what), "", help);
}

void http_meter_set_up(struct http_server *server)
{
    static const char *const labels[] = {NULL, "class=\"2xx\"", "class=\"3xx\"", "class=\"4xx\"",
                                         "class=\"5xx\""};
    static bool done; /* A second server of one process counts with the first. */
    static struct metric *meters[HTTP_METER_COUNT];
    static struct metric *seconds;

    if (!done) {
        const char *requests = name_of(server, HTTP_METER_2XX, "requests_total");
        for (unsigned i = HTTP_METER_2XX; i <= HTTP_METER_5XX; i++)
            meters[i] = metric_counter(requests, labels[i], "Requests answered.");
        meters[HTTP_METER_CANCELLED] = counter(server, HTTP_METER_CANCELLED, "cancelled_total",
                                               "Requests whose client left before the answer.");
        meters[HTTP_METER_CONNECTIONS] =
            counter(server, HTTP_METER_CONNECTIONS, "connections_total", "Connections accepted.");
        meters[HTTP_METER_SHED] = counter(server, HTTP_METER_SHED, "connections_shed_total",
                                          "Connections closed at once, for there were too many.");
        meters[HTTP_METER_OPEN] =
            metric_gauge(name_of(server, HTTP_METER_OPEN, "connections_open"), "",
                         "Connections that are open, these metrics' own among them.");
        meters[HTTP_METER_CUT] = counter(server, HTTP_METER_CUT, "connections_cut_total",
                                         "Connections ended for time or abuse.");
        seconds = metric_histogram(name_of(server, HTTP_METER_COUNT, "request_seconds"), "",
                                   "From a whole request to its answer.");
        done = true;
    }
    memcpy(server->meters, meters, sizeof meters);
    server->seconds = seconds;
}

void http_meter_count(struct http_server *server, enum http_meter meter)
{
    assert(server->meters[meter] != NULL);
    metric_add(server->meters[meter], 1);
}

void http_meter_open(struct http_server *server, int change)
{
    metric_add(server->meters[HTTP_METER_OPEN], (uint64_t)change); /* Wraps around. */
}

void http_meter_answer(struct http_server *server, int status, int64_t duration_us)
{
    int class = status / 100;
    if (class >= 2 && class <= 5)
        http_meter_count(server, (enum http_meter)(class - 1));
    metric_observe_us(server->seconds, duration_us);
}
