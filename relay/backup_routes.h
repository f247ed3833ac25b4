/* SPDX-License-Identifier: Apache-2.0 */
/* relay/backup_routes.h -- backups of the ledger: POST and GET /v1/backups, and by the clock.
 *
 * In      calls on the API's listener; the clock.
 * Out     a backup begun once its entry is durable, and an entry about how it ended.
 * Never   begins one for a caller without the right backup.create; copies on the loop's thread.
 * Threads the loop's.
 */
#ifndef RELAY_BACKUP_ROUTES_H
#define RELAY_BACKUP_ROUTES_H

#include "relay/relay.h"

/* After the ledger; nothing where the settings name no folder. */
STATUS backup_routes_open(struct relay *relay);
/* False: one is under way still, and holds the ledger's store. */
bool backup_routes_close(struct relay *relay);

/* False when the call's path is none of these; else answers, now or later. */
bool backup_routes_call(struct relay *relay, struct http_call *call);
/* Once a second. */
void backup_routes_tick(struct relay *relay);

#endif
