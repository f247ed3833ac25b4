/* SPDX-License-Identifier: Apache-2.0 */
/* base/sandbox.h -- what a process gives up before it touches anything secret.
 *
 * In      a process that just started, and what it still needs.
 * Out     the same without core files, not traceable, its memory lockable, as its own user, without
 *         privileges or new ones, with its own files alone in reach, its own system calls alone to
 *         make, umask 077, SIGPIPE ignored.
 * Never   lowers a guard silently: what this kernel refuses is named in the report.
 * Threads before any starts.
 */
#ifndef BASE_SANDBOX_H
#define BASE_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>

#include "base/calls.h"
#include "base/landlock.h"
#include "base/status.h"

struct sandbox_options {
    size_t lock_bytes;   /* What this process means to lock. */
    const char *user;    /* Started as root it becomes that user; a name, or a number. */
    bool strict;         /* In production: what could not be had is a failure. */
    const char *store;   /* A folder of its own, made where there is none; NULL: it has none. */
    const char *backups; /* The same, and no failure where it cannot be had; or NULL. */
    struct landlock_options files;
    const struct call_list *const *calls; /* Ended by NULL.  NULL: any call. */
};

struct sandbox_report {
    bool core_off;         /* RLIMIT_CORE 0 and PR_SET_DUMPABLE 0. */
    bool privileges_fixed; /* PR_SET_NO_NEW_PRIVS. */
    bool memory_lockable;  /* As much as asked for can be locked. */
    bool user_dropped;     /* Not root, without a capability and without a way back. */
    bool network_left; /* A network of its own, with nothing in it; as root, where none is used. */
    bool files_closed; /* Landlock. */
    bool calls_filtered; /* Seccomp. */
    char missing[256];   /* The names of what could not be had, for a log; "" when complete. */
    char error[512];     /* What is wrong with the store's folder; "" when nothing. */
};

/* Fails with WHY_DENIED where the store's folder is not its own, and where `strict` and something
 * could not be had.  One thing is never a failure: a kernel without Landlock.
 * In a build with sanitizers files and calls are left open, and the report says so. */
STATUS sandbox_enter(const struct sandbox_options *options, struct sandbox_report *out_report);

/* For a process that only starts others and waits for them: it leaves no core, and neither it nor
 * any process after it runs a program.  Raises the soft limit of descriptors for all of them. */
STATUS sandbox_enter_parent(void);

/* The kernel ends this process when its parent ends. */
STATUS sandbox_die_with_parent(void);

#endif
