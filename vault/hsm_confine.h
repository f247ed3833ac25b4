/* SPDX-License-Identifier: Apache-2.0 */
/* vault/hsm_confine.h -- all that an HSM's module can do, said to the kernel.
 *
 * In      the settings.
 * Out     a process that can load libraries of the host's, and read and write the files that
 *         `seal: pkcs11: files:` names; with `network: true` it can connect, too.
 * Never   can listen, start a process, make code, or read the store, a policy or a key of ours.
 * Threads before any starts.
 */
#ifndef VAULT_HSM_CONFINE_H
#define VAULT_HSM_CONFINE_H

#include "base/sandbox.h"

struct settings;

#define HSM_CONFINE_LISTS 8u

/* Its system calls, for sandbox_enter(); a device is one that `files` names. */
void hsm_confine_calls(bool has_network, bool has_device,
                       const struct call_list *out_lists[static HSM_CONFINE_LISTS]);

/* First of all.  As sandbox_enter(). */
STATUS hsm_confine(const struct settings *settings, size_t lock_bytes,
                   struct sandbox_report *out_report);

#endif
