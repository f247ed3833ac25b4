/* SPDX-License-Identifier: Apache-2.0 */
/* vault/retention_report.h -- whether anything is kept for longer than its time (RET-3).
 *
 * In      every record there is; the retentions of today's policy.
 * Out     tokens' times put right where a retention changed; on request, a report: by tenant how
 *         many records are beyond their time, which must be none, the oldest, the last purge and
 *         the ceiling of CVVs (RET-4), in the log.
 * Never   believes the rows that say when a token goes: it asks each record for its age.
 * Threads the keeper's one, in slices.
 */
#ifndef VAULT_RETENTION_REPORT_H
#define VAULT_RETENTION_REPORT_H

#include "vault/keeper_inside.h"

struct retention_walk;

/* A slice of the walk that is under way; begins one where a retention is not what it was. */
void retention_report_tick(struct keeper *keeper, int64_t now_ms);
bool retention_report_is_busy(const struct keeper *keeper);
void retention_report_close(struct keeper *keeper);

#endif
