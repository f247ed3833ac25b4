/* SPDX-License-Identifier: Apache-2.0 */
/* base/privileges.h -- what a process that was started as root gives away for good.
 *
 * In      the name or the number of a user.
 * Out     a process that is that user and nothing else: user, group and supplementary groups, real,
 *         effective and saved; no capability in any set; no way back.
 * Never   goes half of the way without saying so.
 * Threads before any starts.
 */
#ifndef BASE_PRIVILEGES_H
#define BASE_PRIVILEGES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

/* The kernel's network is out of reach from here on: not even loopback is up.  False where we may
 * not, which is no loss to a process whose calls have no sockets. */
bool privileges_leave_network(void);

/* Becomes `user` where we are root, and empties every set of capabilities in any case but one: root
 * without a user stays what it is.  WHY_DENIED then, and where `user` is root; WHY_NOT_FOUND: there
 * is no such user; WHY_IO: the kernel would not, or would have let us back. */
STATUS privileges_drop(const char *user);

/* Makes a store's folder where there is none, for its user alone; else looks at whose it is.
 * WHY_DENIED: somebody else's, or others can enter it; `error` says whose, and what to do. */
STATUS privileges_own_folder(const char *path, char *error, size_t error_size);

#endif
