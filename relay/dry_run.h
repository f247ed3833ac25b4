/* SPDX-License-Identifier: Apache-2.0 */
/* relay/dry_run.h -- what would be sent, without leasing or sending anything.
 *
 * In      a submission that passed every check.
 * Out     JSON: the request with its tokens in place, the slots, the deciding rule.
 * Never   shows a credential; touches the vault, the gateway or an idempotency key.
 * Threads the loop's.
 */
#ifndef RELAY_DRY_RUN_H
#define RELAY_DRY_RUN_H

#include "relay/submission.h"

/* Answers and ends the submission. */
void dry_run_answer(struct submission *submission);

/* True for a header whose value is not shown. */
bool dry_run_hides(const char *name);

#endif
