/* SPDX-License-Identifier: Apache-2.0 */
/* vault/front_health.h -- is the vault well?  For probes, for Prometheus.
 *
 * In      what the keeper says of itself each second.
 * Out     /healthz, /readyz, /metrics.
 * Never   calls a vault ready on old news.
 * Threads the front's.
 */
#ifndef VAULT_FRONT_HEALTH_H
#define VAULT_FRONT_HEALTH_H

#include "base/frames.h"
#include "base/http.h"
#include "vault/message.h"

#define FRONT_HEALTH_AGE_MAX_MS        5000
#define FRONT_HEALTH_WHY_MAX           384u
#define FRONT_HEALTH_METRICS_BYTES_MAX (1u << 20)

struct front_health {
    bool ready;
    bool sealed; /* Well but for that. */
    char why[FRONT_HEALTH_WHY_MAX]; /* "" while ready. */
    int64_t at_ms;                  /* Monotonic; when the keeper said so. */
    struct buffer metrics;          /* The keeper's, as text. */
    char epoch[MESSAGE_EPOCH_MAX];  /* CONTRACT_HEADER_EPOCH; "": none to send. */
};

/* Takes a MESSAGE_STATE in.  Fails with WHY_FORGED, and then nothing has changed, or as a buffer
 * does. */
STATUS front_health_take(struct front_health *health, const struct frame *frame, int64_t now_ms);

/* True when the keeper is well as far as is known; *out_why says what is not, or is "". */
bool front_health_is_ready(const struct front_health *health, int64_t now_ms, const char **out_why);

/* Answers a call on the metrics listener. */
void front_health_call(const struct front_health *health, struct http_call *call);

#endif
