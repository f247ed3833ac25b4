/* SPDX-License-Identifier: Apache-2.0 */
/* relay/confine.h -- all that the relay can do, said to the kernel.
 *
 * In      the settings.
 * Out     a process that can keep its store, read its policies and certificates, listen, resolve
 *         names and connect.
 * Never   starts a process, or reaches a file of its signer's.
 * Threads before any starts.
 */
#ifndef RELAY_CONFINE_H
#define RELAY_CONFINE_H

#include "base/sandbox.h"

struct settings;

/* Its system calls, for sandbox_enter(). */
extern const struct call_list *const confine_calls[];

/* First of all.  As sandbox_enter(); WHY_NO_MEMORY. */
STATUS confine_relay(const struct settings *settings, size_t lock_bytes,
                     struct sandbox_report *out_report);

/* Once it listens: no further listener. */
STATUS confine_listening(void);

#endif
