/* SPDX-License-Identifier: Apache-2.0 */
/* vault/read_audit.h -- requests of an auditor.
 *
 * In      a query.
 * Out     a message.
 * Never   reads a body.
 * Threads the front's.
 */
#ifndef VAULT_READ_AUDIT_H
#define VAULT_READ_AUDIT_H

#include "vault/request.h"

/* GET /v1/audit/checkpoint. */
void read_audit_head(struct request *request, struct buffer *out);

/* GET /v1/audit/entries?start=N&limit=M; both may be absent. */
void read_audit_entries(struct request *request, struct buffer *out);

#endif
