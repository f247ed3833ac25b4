/* SPDX-License-Identifier: Apache-2.0 */
/* vault/keeper_seal.h -- between sealed and open.
 *
 * In      the seal's row; a root key, from wherever it comes.
 * Out     a keeper with keys, rows and cells, or without any of them.
 * Never   opens with a root that is not the row's; does anything in the middle of a turn: steps
 *         note what is to come, so that their entry stands before what it is about.
 * Threads the keeper's one.
 */
#ifndef VAULT_KEEPER_SEAL_H
#define VAULT_KEEPER_SEAL_H

#include "vault/keeper_inside.h"

/* A file of the configuration is read at the start, for what is wrong with it to be said there. */
STATUS keeper_seal_prepare(struct keeper *keeper);
/* Reads the seal's row; for each time that the store is opened.  WHY_FORGED. */
STATUS keeper_seal_read(struct keeper *keeper);
/* Does what was noted, where no row waits: seals; opens with a root that was given or with one of a
 * file (key rows, cells, an entry, a commit).  After each turn. */
void keeper_seal_tick(struct keeper *keeper, int64_t now_ms);
/* Takes a root that keeper_seal_tick() will open the vault with; for steps that rebuilt one and
 * held it against the seal's row with seal_check(). */
void keeper_seal_give(struct keeper *keeper, struct secret **root);
/* Forgets all keys, cells and cards; `why` as in seal_why.  Steps set seal_shutting instead. */
void keeper_seal_shut(struct keeper *keeper, const char *why);
/* Forgets what is there only while the vault is open. */
void keeper_seal_drop(struct keeper *keeper);
/* Gives a new vault its root, which is taken, and its seal: both with this turn's batch; then it is
 * sealed.  `record` says kind, custodians, blob; the set id and the time are filled in where the
 * time is 0.  WHY_CONFLICT: it has a seal. */
STATUS keeper_seal_begin(struct keeper *keeper, struct secret **root, struct seal_record *record,
                         int64_t now_ms);
/* A new root, which is taken, and a new seal for an open vault: every KEK is wrapped again, and all
 * of it goes with this turn's batch.  Last in its step: it cannot be taken back.  Where the commit
 * fails the vault is sealed, and the disk says under which root. */
STATUS keeper_seal_change(struct keeper *keeper, struct secret **root, struct seal_record *record,
                          int64_t now_ms);
/* Says what was found wrong with keys since it last looked: log, metric, entries. */
void keeper_seal_watch(struct keeper *keeper, int64_t now_ms);
/* For the turn: puts a new row into its batch; then what became of it. */
void keeper_seal_put(struct keeper *keeper);
void keeper_seal_ended(struct keeper *keeper, bool commit_failed);
/* Why it is sealed, for whoever asks from now on. */
void keeper_seal_say(struct keeper *keeper, const char *why);
/* NULL while open, else why not. */
const char *keeper_sealed(const struct keeper *keeper);
const char *keeper_environment(const struct keeper *keeper);

#endif
