/* SPDX-License-Identifier: Apache-2.0 */
/* vault/retention.h -- cards go by themselves once their time is over (RET-1, RET-2).
 *
 * In      a tenant's word on how long, and a token's own.
 * Out     tokens erased, with an entry that names them.
 * Never   waits for somebody to ask.
 * Threads the keeper's one.
 */
#ifndef VAULT_RETENTION_H
#define VAULT_RETENTION_H

#include "vault/keeper_inside.h"
#include "vault/store_expiry.h"

/* When a token goes: at its own time, or its tenant's, whichever comes first. */
int64_t retention_due_ms(const struct policy_tenant *tenant, int64_t created_ms,
                         int64_t expires_ms);

/* Erases what is due, a bounded number with each call.  `out_more`: all of that number went, and
 * more may be due once this is committed. */
STATUS retention_sweep(struct keeper *keeper, int64_t now_ms, bool *out_more);

/* Gives a token another time, with its row of expiries. */
STATUS retention_move(struct keeper *keeper, const uint8_t key[static STORE_KEY_BYTES],
                      struct store_token *token, int64_t due_ms);

/* A record's tenant as the policy has it, by the key that sealed it.  WHY_NOT_FOUND: no record, or
 * a tenant that the policy does not know (any more). */
STATUS retention_tenant(struct keeper *keeper, uint64_t record_id,
                        const struct policy_tenant **out_tenant);

#endif
