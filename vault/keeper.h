/* SPDX-License-Identifier: Apache-2.0 */
/* vault/keeper.h -- the process that holds the keys, the cards, the policies and the log.
 *
 * In      frames from the front and the signer; its sockets, from the supervisor.
 * Out     answers, each sent after what it says is durable.
 * Never   opens a network socket; answers before the sync; works without an audit entry.
 * Threads one, besides RocksDB's own.
 *
 * A turn: read every frame that waits, decide and carry out each into one batch, commit with one
 * sync, send all answers.
 */
#ifndef VAULT_KEEPER_H
#define VAULT_KEEPER_H

/* The keeper's whole life; `owner` is a const struct settings.  Its exit code. */
int keeper_run(void *owner, int control_fd);

#endif
