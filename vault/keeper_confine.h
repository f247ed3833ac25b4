/* SPDX-License-Identifier: Apache-2.0 */
/* vault/keeper_confine.h -- all that the keeper can do, said to the kernel.
 *
 * In      the settings.
 * Out     a process that can keep its store, read its policies and its seal, and speak to the front
 *         and the signer over the sockets that the supervisor hands it.
 * Never   has a network, starts a process, or reaches a file of the front's or the signer's.
 * Threads before any starts.
 */
#ifndef VAULT_KEEPER_CONFINE_H
#define VAULT_KEEPER_CONFINE_H

#include "base/sandbox.h"

struct settings;

/* Its system calls, for sandbox_enter(). */
extern const struct call_list *const keeper_confine_calls[];

/* First of all.  As sandbox_enter(). */
STATUS keeper_confine(const struct settings *settings, size_t lock_bytes,
                      struct sandbox_report *out_report);

#endif
