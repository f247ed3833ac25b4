/* SPDX-License-Identifier: Apache-2.0 */
/* vault/keeper_rotate.h -- another signing key for the vault's log (policies/rotation.h).
 *
 * In      what the signer says of its keys; GET /v1/signer, POST /v1/signer/rotate; the time.
 * Out     what the signer is asked for next; entries; a line in the log when a key is due.
 * Never   keeps anything that row and signer do not: any process may die in between.
 * Threads the keeper's one.
 */
#ifndef VAULT_KEEPER_ROTATE_H
#define VAULT_KEEPER_ROTATE_H

#include "policies/rotation.h"

struct keeper;
struct keeper_op;

struct keeper_rotate {
    struct signer_keys keys;
    struct rotation rotation;
    bool known; /* `keys` is what this signer said. */
    bool asked; /* A SIGNER_KEY is out. */
    bool again; /* Both keys sign from now on: what was signed last, too. */
    int64_t warned_ms;
};

/* With the store. */
STATUS keeper_rotate_load(struct keeper *keeper);
/* The signer's word on its keys. */
STATUS keeper_rotate_take(struct keeper *keeper, const struct frame *frame);
/* Asks it for the next step, where one is due. */
void keeper_rotate_tick(struct keeper *keeper, int64_t now_ms);
/* The next key's view of a note that the first one signed. */
STATUS keeper_rotate_check(const struct keeper *keeper, const void *note, size_t size);

/* {"key", "due_at", …}, also for the inventory; nothing while the signer has not said. */
void keeper_rotate_write(const struct keeper *keeper, struct buffer *out);
STATUS keeper_rotate_show(struct keeper_op *op, struct cursor *in);
STATUS keeper_rotate_ask(struct keeper_op *op, struct cursor *in);

#endif
