/* SPDX-License-Identifier: Apache-2.0 */
/* vault/key_view.h -- keys as people and scripts see them: everything but their bytes.
 *
 * In      the ring's inventory.
 * Out     JSON, as keys/inventory.schema.json has it.
 * Never   holds a key.
 * Threads the keeper's.
 */
#ifndef VAULT_KEY_VIEW_H
#define VAULT_KEY_VIEW_H

#include "base/json.h"
#include "vault/keeper_inside.h"

#define KEY_VIEW_WARN_MS (30LL * 24 * 3600 * 1000)

/* WHY_NOT_FOUND. */
STATUS key_view_find(const struct keeper *keeper, uint64_t key_id, struct key_info *out_info);
/* The key as one object. */
void key_view_put(const struct keeper *keeper, const struct key_info *info,
                  struct json_writer *out);
#endif
