/* SPDX-License-Identifier: Apache-2.0 */
/* relay/health.h -- GET /healthz, /readyz and /metrics, on the metrics listener.
 *
 * In      calls without credentials.
 * Out     whether the process lives; whether each control is well; counters.
 * Never   names a tenant, a principal or a token.
 * Threads the loop's.
 */
#ifndef RELAY_HEALTH_H
#define RELAY_HEALTH_H

#include "relay/relay.h"

/* Answers the call. */
void health_call(struct relay *relay, struct http_call *call);

/* Registers the relay's metrics; before any thread starts. */
void health_register(struct relay_metrics *metrics);

#endif
