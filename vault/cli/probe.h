/* SPDX-License-Identifier: Apache-2.0 */
/* vault/cli/probe.h -- one GET over plain HTTP, for a daemon's metrics listener.
 *
 * In      an address and a path.
 * Out     status and body.
 * Never   carries anything that is not public: /healthz, /readyz, /metrics.
 * Threads one.
 */
#ifndef VAULT_CLI_PROBE_H
#define VAULT_CLI_PROBE_H

#include <stdint.h>

#include "base/buffer.h"
#include "base/status.h"

/* WHY_IO: nobody there; WHY_TIMEOUT: silent for 5 s; WHY_FORGED: what came is no whole answer. */
STATUS probe_get(const char *host, uint16_t port, const char *target, struct buffer *out_body,
                 int *out_status);

#endif
