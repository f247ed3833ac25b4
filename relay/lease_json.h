/* SPDX-License-Identifier: Apache-2.0 */
/* relay/lease_json.h -- the bodies that go to the vault and come from it.
 *
 * In      orders and settlements; the vault's answers.
 * Out     JSON; leases with their cards in secret slots, one result at a time.
 * Never   copies a card anywhere but into a slot.
 * Threads any.
 */
#ifndef RELAY_LEASE_JSON_H
#define RELAY_LEASE_JSON_H

#include "base/json.h"
#include "relay/lease.h"

#define LEASE_JSON_NODES_MAX 16384u

void lease_json_order(struct json_writer *writer, const struct lease_order *order);

/* An answer of the vault's with `results`, read in place. */
struct lease_json {
    struct json json;
    struct json_node *nodes; /* Owned. */
    uint32_t at;             /* The next result; JSON_NONE at the end. */
    uint32_t left;
};
/* WHY_FORGED when it is no answer with exactly `count` results. */
STATUS lease_json_open(struct lease_json *answer, const uint8_t *body, size_t size, unsigned count);
void lease_json_close(struct lease_json *answer);

/* The next result as a lease.  WHY_DENIED: it is a problem, given in *out_refusal.  WHY_BUSY: no
 * secret slots are left.  WHY_FORGED: it is neither lease nor problem. */
STATUS lease_json_next_lease(struct lease_json *answer, struct lease *out_lease,
                             struct lease_refusal *out_refusal);
/* The next result as a settlement: WHY_DENIED when it is a problem that trying again will not
 * change, WHY_BUSY when it is one that it may. */
STATUS lease_json_next_settled(struct lease_json *answer);

/* A problem body that answers a whole request. */
STATUS lease_json_problem(const uint8_t *body, size_t size, struct lease_refusal *out_refusal);

#endif
