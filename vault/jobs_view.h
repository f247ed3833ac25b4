/* SPDX-License-Identifier: Apache-2.0 */
/* vault/jobs_view.h -- a job as one JSON object.
 *
 * In      a job's row.
 * Out     what people may know of it: how far it is, for whom, by whom.
 * Never   changes one.
 * Threads the keeper's.
 */
#ifndef VAULT_JOBS_VIEW_H
#define VAULT_JOBS_VIEW_H

#include "base/json.h"
#include "vault/jobs_inside.h"

void jobs_view_put(const struct job *job, struct json_writer *out);

#endif
