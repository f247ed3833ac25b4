/* SPDX-License-Identifier: Apache-2.0 */
/* vault/statement.h -- how a job ends: with what it found, for every key that it emptied.
 *
 * In      a job that looked at every record.
 * Out     entries `key.statement`, "no record under key n remains: … scanned, … moved"; with its
 *         inclusion proof such an entry stands for itself.
 * Never   says so of a key that could still be used.
 * Threads the keeper's.
 */
#ifndef VAULT_STATEMENT_H
#define VAULT_STATEMENT_H

#include "vault/jobs.h"

#define STATEMENT_KEYS_MAX 1000u /* Of one job; of more, the newest. */

/* An entry for each key that the job covers and that still exists. */
STATUS statement_of_job(struct keeper *keeper, const struct job *job, int64_t now_ms);

#endif
