/* SPDX-License-Identifier: Apache-2.0 */
/* vault/hsm.h -- the process that an HSM's module is loaded into, and how the keeper speaks to it.
 *
 * In      one request of the keeper's over its socket pair: a root to wrap, or a blob to unwrap.
 * Out     the blob, or the root; or one sentence that says what to do.
 * Never   serves a second request: it leaves, and what the module kept in its memory goes with it;
 *         the supervisor starts another, which loads nothing until it is asked.  Tries a PIN that
 *         was refused again: it stays then, until the PIN's file is another, and only then leaves.
 *         Outlasts the configuration's `timeout`: a module that hangs is ended with its process.
 * Threads one of ours; the module may have its own.
 *
 * A vendor's module is foreign code with a PIN and, for an instant, a root: so it is in no process
 * that has cards, keys, a store or, unless the configuration says otherwise, a network.
 */
#ifndef VAULT_HSM_H
#define VAULT_HSM_H

#define HSM_FRAME_BYTES_MAX 4096u

/* Keeper -> HSM's process: WRAP (counted binding, 32 bytes of root), UNWRAP (counted binding, the
 * blob).  Back, with the question's id: BLOB and ROOT (counted label, serial and mechanism of the
 * token, then the bytes), FAILED (u8 enum pkcs11_trouble, counted sentence). */
enum hsm_frame { HSM_WRAP = 1, HSM_UNWRAP, HSM_BLOB, HSM_ROOT, HSM_FAILED };

/* For base/supervise.h: its whole life.  `owner` is the settings. */
int hsm_run(void *owner, int core_fd);

#endif
