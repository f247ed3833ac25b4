/* SPDX-License-Identifier: Apache-2.0 */
/* base/metrics.h -- counters, gauges and histograms in Prometheus' text format.
 *
 * In      increments and observations.
 * Out     text for /metrics.
 * Never   takes a label from outside: labels are written out in the code, as closed sets.
 * Threads increments from any thread (atomic); registration before any thread starts.
 */
#ifndef BASE_METRICS_H
#define BASE_METRICS_H

#include <stdint.h>

#include "base/buffer.h"

#define METRICS_MAX 256u

struct metric;

/* `name` as cardkeep_<component>_<what>_<unit>[_total]; `labels` as `route="/v1/tokens"` or "".
 * All three must be string literals.  Asserts on a full table. */
struct metric *metric_counter(const char *name, const char *labels, const char *help);
struct metric *metric_gauge(const char *name, const char *labels, const char *help);
/* Durations in seconds, observed in microseconds, buckets from 100 us to 10 s. */
struct metric *metric_histogram(const char *name, const char *labels, const char *help);

void metric_add(struct metric *metric, uint64_t amount);
void metric_set(struct metric *metric, int64_t value);
void metric_observe_us(struct metric *metric, int64_t duration_us);
uint64_t metric_value(const struct metric *metric);

/* Appends everything registered in this process, HELP and TYPE once per name. */
void metrics_render(struct buffer *out);

#endif
