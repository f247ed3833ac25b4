/* SPDX-License-Identifier: Apache-2.0 */
/* vault/front_confine.h -- all that the front can do, said to the kernel.
 *
 * In      the settings.
 * Out     a process that can read its TLS files, listen, accept and answer.
 * Never   can connect, write a file, start a process, or read a key that is not its own.
 * Threads before any starts.
 */
#ifndef VAULT_FRONT_CONFINE_H
#define VAULT_FRONT_CONFINE_H

#include "base/sandbox.h"

struct settings;

/* Its system calls, for sandbox_enter(). */
extern const struct call_list *const front_confine_calls[];

/* First of all.  As sandbox_enter(). */
STATUS front_confine(const struct settings *settings, size_t lock_bytes,
                     struct sandbox_report *out_report);

/* Once it listens: from here on it has no further socket, but by accepting. */
STATUS front_confine_listening(void);

#endif
