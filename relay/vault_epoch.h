/* SPDX-License-Identifier: Apache-2.0 */
/* relay/vault_epoch.h -- hears when the vault went on from an older store, and keeps it in the log.
 *
 * In      the vault's answers; the header CONTRACT_HEADER_EPOCH, which they have from then on.
 * Out     one entry in the relay's log for each change, and the epoch that was heard last, in one
 *         batch.
 * Never   takes the vault's word for more than that: its own log has the proof.
 * Threads the loop's.
 */
#ifndef RELAY_VAULT_EPOCH_H
#define RELAY_VAULT_EPOCH_H

#include "base/client.h"
#include "relay/ledger.h"

struct vault_epoch;

/* Reads what was heard last; `ledger` is lent. */
STATUS vault_epoch_new(struct ledger *ledger, struct vault_epoch **out_epoch);
void vault_epoch_free(struct vault_epoch **epoch);

void vault_epoch_hear(struct vault_epoch *epoch, const struct client_answer *answer);
/* What was heard last and is in the log; 1 until then. */
uint32_t vault_epoch_known(const struct vault_epoch *epoch);

#endif
