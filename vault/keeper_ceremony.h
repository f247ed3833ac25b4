/* SPDX-License-Identifier: Apache-2.0 */
/* vault/keeper_ceremony.h -- ceremonies at the keeper: each step a request, each an entry.
 *
 * In      who asks for which step; the clock.
 * Out     a new seal, with its root in the hands of its custodians; a vault that they open.
 * Never   goes on with a ceremony, or keeps a share, after a commit that failed: what was said of
 *         either is not on record then.
 * Threads the keeper's one.
 */
#ifndef VAULT_KEEPER_CEREMONY_H
#define VAULT_KEEPER_CEREMONY_H

#include "vault/ceremony.h"
#include "vault/keeper_inside.h"
#include "vault/keeper_text.h"

/* --- keeper_ceremony.c: init and rekey --- */
/* Ends what is late, with an entry. */
void keeper_ceremony_tick(struct keeper *keeper, int64_t now_ms);
/* Forgets it; `how` is for those who come back to it: "it ended at its deadline". */
void keeper_ceremony_drop(struct keeper *keeper, const char *how);
/* Forgets all of both files: a commit failed, and what was said of either is not on record. */
void keeper_ceremony_lost(struct keeper *keeper);
/* A member "ceremony", where one is under way. */
void keeper_ceremony_show(const struct keeper *keeper, struct json_writer *writer);

/* Who asks; noted in `op`, so that a refusal's entry names the certificate and the step, too. */
struct ceremony_person keeper_ceremony_person(struct keeper_op *op, const struct keeper_text *text,
                                              const char *event);
/* The entry and the answer of a step that is done.  What it did cannot be taken back, so that the
 * ceremony ends where one of the two has no room. */
STATUS keeper_ceremony_step_end(struct keeper_op *op, const char *detail,
                                const struct buffer *body);
/* {"done": …, "ceremony": …} */
void keeper_ceremony_answer(const struct keeper_op *op, bool done, struct json_writer *writer);

/* --- keeper_ceremony_ask.c --- */
/* Asks for a ceremony whose end is a seal of shares, whatever the seal is now. */
STATUS keeper_ceremony_ask_migrate(struct keeper_op *op, struct keeper_text *text);

/* --- keeper_unseal.c: shares on their way to a root --- */
void keeper_unseal_tick(struct keeper *keeper, int64_t now_ms);
/* Forgets all shares that were given. */
void keeper_unseal_drop(struct keeper *keeper);
/* A member "unsealing", where the seal is of shares and the vault is not open. */
void keeper_unseal_show(const struct keeper *keeper, struct json_writer *writer);

#endif
