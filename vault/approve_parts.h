/* SPDX-License-Identifier: Apache-2.0 */
/* vault/approve_parts.h -- what the two files of dual control share.
 *
 * In      requests.
 * Out     their rows; see approve.h for what they promise.
 * Never   is included by anything else.
 * Threads the keeper's.
 */
#ifndef VAULT_APPROVE_PARTS_H
#define VAULT_APPROVE_PARTS_H

#include "vault/approve.h"

/* approve.c */
const char *approve_kind_name(enum approve_kind kind);
bool approve_kind_find(const char *name, enum approve_kind *out_kind);

/* approve_rows.c */
const char *approve_state_name(enum approve_state state);
STATUS approve_put(struct keeper *keeper, const struct approve_request *request);
/* WHY_NOT_FOUND; WHY_FORGED. */
STATUS approve_get(struct keeper *keeper, uint64_t id, struct approve_request *out_request);
/* The first one behind id `after`, of those that are durable.  WHY_NOT_FOUND at the end. */
STATUS approve_next(struct keeper *keeper, uint64_t after, struct approve_request *out_request);
/* Has the book agree with a request that was made or has changed. */
void approve_note(struct keeper *keeper, const struct approve_request *request);

#endif
