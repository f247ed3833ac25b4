/* SPDX-License-Identifier: Apache-2.0 */
/* base/sandbox.h -- what a process gives up before it touches anything secret.
 *
 * In      a process that just started.
 * Out     the same without core files, without new privileges, not traceable, its memory lockable,
 *         umask 077, SIGPIPE ignored.
 * Never   lowers a guard silently: what this kernel refuses is named in the report.
 * Threads before any starts.
 */
#ifndef BASE_SANDBOX_H
#define BASE_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>

#include "base/status.h"

struct sandbox_report {
    bool core_off;         /* RLIMIT_CORE 0 and PR_SET_DUMPABLE 0. */
    bool privileges_fixed; /* PR_SET_NO_NEW_PRIVS. */
    bool memory_lockable;  /* As much as asked for can be locked. */
    bool user_dropped;     /* True also where there was nothing to drop. */
    char missing[256];     /* The names of what could not be had, for a log; "" when complete. */
};

/* `lock_bytes` is what this process means to lock; `user` NULL keeps the user, else started as root
 * it becomes that user.  Fails with WHY_IO only where `strict` and something could not be had. */
STATUS sandbox_enter(size_t lock_bytes, const char *user, bool strict,
                     struct sandbox_report *out_report);

/* The kernel ends this process when its parent ends. */
STATUS sandbox_die_with_parent(void);

#endif
