/* SPDX-License-Identifier: Apache-2.0 */
/* vault/keeper_hsm.h -- the keeper's side of the process with the HSM's module (vault/hsm.h).
 *
 * In      that process's socket, again whenever it was started; the seal's row.
 * Out     a sealed vault of kind pkcs11 that opens by itself; a new root, wrapped.
 * Never   waits: answers come by the loop.  Asks one process twice, so that each try has a module
 *         that was loaded anew, and a PIN that was refused is not sent again.
 * Threads the keeper's one.
 */
#ifndef VAULT_KEEPER_HSM_H
#define VAULT_KEEPER_HSM_H

#include "vault/keeper_inside.h"

struct json_writer;

STATUS keeper_hsm_open(struct keeper *keeper);
void keeper_hsm_close(struct keeper *keeper);

/* Another process is there; `fd` is taken. */
STATUS keeper_hsm_attach(struct keeper *keeper, int fd);
/* -1: none is. */
int keeper_hsm_fd(const struct keeper *keeper);
/* Reads what it says.  Never in the middle of a turn. */
void keeper_hsm_read(struct keeper *keeper, int64_t now_ms);
/* Asks for the root where the seal is of this kind and the vault sealed; else for what a step
 * began. */
void keeper_hsm_tick(struct keeper *keeper, int64_t now_ms);

#define KEEPER_HSM_NONE                                                                            \
    "The configuration names no HSM: say which under `seal: pkcs11:`, and start the vault again."

/* Who wanted a new root, for the entry that says that it is there; and where it is to be kept. */
struct keeper_hsm_asked {
    const char *by;      /* "security, approved by security-2" */
    uint64_t approval;   /* Without which it is not done, once the turn is over; 0: none. */
    enum seal_kind kind; /* SEAL_PKCS11, or SEAL_FILE: the file of the configuration. */
};

/* Begins to put a new root into force, for a vault without a seal (of an HSM alone) or for one that
 * is open: once this turn is over, and for an HSM once it has wrapped it.  GET /v1/seal says how it
 * goes.  WHY_CONFLICT, with *out_refusal: there is no HSM in the configuration, or no such file, or
 * one is under way. */
STATUS keeper_hsm_begin(struct keeper *keeper, const struct keeper_hsm_asked *asked, int64_t now_ms,
                        const char **out_refusal);
/* For the checker of a store, which has no loop: `record`'s root, from a process of vault/hsm.h
 * at `fd`.  `reason` gets a sentence. */
STATUS keeper_hsm_fetch(const struct keeper *keeper, int fd, const struct seal_record *record,
                        struct secret **out_root, char *reason, size_t reason_size);

/* For GET /v1/seal: what is under way, and what stands in the way; members of an open object. */
void keeper_hsm_write(const struct keeper *keeper, struct json_writer *writer);

#endif
