/* SPDX-License-Identifier: Apache-2.0 */
/* policies/signer_process.h -- the signer's whole life, as both daemons start it.
 *
 * In      what to sign as, with which key, and one end of a socket pair.
 * Out     the exit code for base/supervise.h.
 * Never   has a network or a store.
 * Threads one.
 */
#ifndef POLICIES_SIGNER_PROCESS_H
#define POLICIES_SIGNER_PROCESS_H

#include <stdbool.h>

#include "base/calls.h"
#include "base/log.h"
#include "policies/signer.h"

struct signer_process {
    struct signer_options options;
    const char *component; /* In log lines. */
    enum log_level level;
    const char *user; /* NULL: stay who started us. */
    bool production;
};

/* Its system calls, for sandbox_enter(). */
extern const struct call_list *const signer_process_calls[];

/* Gives up what it does not need, then signer_run(), until its socket ends. */
int signer_process_run(const struct signer_process *process);

#endif
