/* SPDX-License-Identifier: Apache-2.0 */
/* vault/read_lease.h -- what a relay asks for: leases, and their settlement.
 *
 * In      the bodies of POST /v1/leases and /v1/settlements (interfaces.md 2).
 * Out     messages, each with its own problem, in the order asked.
 * Never   sees a card: here only tokens come in.
 * Threads the front's.
 */
#ifndef VAULT_READ_LEASE_H
#define VAULT_READ_LEASE_H

#include "vault/message.h"
#include "vault/request.h"

/* One object each; the problem is in the message.  `at` is the object's JSON pointer. */
void read_lease(const struct json *json, uint32_t node, const char *at,
                struct message_lease *out_lease);
void read_lease_settlement(const struct json *json, uint32_t node, const char *at,
                           struct message_settlement *out_settlement);

/* The bodies. */
void read_lease_all(struct request *request, struct buffer *out);
void read_lease_settlements(struct request *request, struct buffer *out);

#endif
