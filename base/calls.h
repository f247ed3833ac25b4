/* SPDX-License-Identifier: Apache-2.0 */
/* base/calls.h -- the system calls that a process may make; any other ends it.
 *
 * In      lists of calls, each with a word on why, composed by each process for itself.
 * Out     a filter in the kernel (seccomp) that no later call can take away.
 * Never   lets a call through whose list does not name it: the process is killed with SIGSYS, and
 *         the kernel's log has the call's number.
 * Threads before any starts; later ones inherit it.
 *
 * Numbers of calls are libseccomp's, so that a call that this machine does not have is left out.
 */
#ifndef BASE_CALLS_H
#define BASE_CALLS_H

#include <seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#define CALLS_LIMITS_MAX 3u
#define CALLS_LISTS_MAX  8u

/* One call, under all of the limits given; several rules of one call: under any of them. */
struct call_rule {
    int number;
    const char *why;
    int instead; /* 0: it is made; else it fails with this errno, and the process lives on. */
    struct scmp_arg_cmp limits[CALLS_LIMITS_MAX];
    uint8_t limit_count;
};

struct call_list {
    const struct call_rule *rules;
    size_t count;
};

#define CALL(name, reason)                                                                         \
    {                                                                                              \
        .number = SCMP_SYS(name), .why = (reason)                                                  \
    }
#define CALL_IF(name, reason, ...)                                                                 \
    {                                                                                              \
        .number = SCMP_SYS(name), .why = (reason), .limits = {__VA_ARGS__},                        \
        .limit_count = sizeof((struct scmp_arg_cmp[]){__VA_ARGS__}) / sizeof(struct scmp_arg_cmp)  \
    }
#define CALL_FAILS(name, reason, error)                                                            \
    {                                                                                              \
        .number = SCMP_SYS(name), .why = (reason), .instead = (error)                              \
    }
#define CALL_FAILS_IF(name, reason, error, ...)                                                    \
    {                                                                                              \
        .number = SCMP_SYS(name), .why = (reason), .instead = (error), .limits = {__VA_ARGS__},    \
        .limit_count = sizeof((struct scmp_arg_cmp[]){__VA_ARGS__}) / sizeof(struct scmp_arg_cmp)  \
    }
#define CALL_LIST(table)                                                                           \
    {                                                                                              \
        .rules = (table), .count = sizeof(table) / sizeof(table)[0]                                \
    }

/* Limits on argument `index`.  The kernel reads an int from the lower half alone. */
#define ARG_IS(index, value)                                                                       \
    {                                                                                              \
        .arg = (index), .op = SCMP_CMP_MASKED_EQ, .datum_a = UINT32_MAX, .datum_b = (value)        \
    }
#define ARG_HAS(index, mask)                                                                       \
    {                                                                                              \
        .arg = (index), .op = SCMP_CMP_MASKED_EQ, .datum_a = (mask), .datum_b = (mask)             \
    }
#define ARG_LACKS(index, mask)                                                                     \
    {                                                                                              \
        .arg = (index), .op = SCMP_CMP_MASKED_EQ, .datum_a = (mask), .datum_b = 0                  \
    }
#define ARG_MASKED(index, mask, value)                                                             \
    {                                                                                              \
        .arg = (index), .op = SCMP_CMP_MASKED_EQ, .datum_a = (mask), .datum_b = (value)            \
    }
#define ARG_NULL(index)                                                                            \
    {                                                                                              \
        .arg = (index), .op = SCMP_CMP_EQ, .datum_a = 0                                            \
    }

/* What several processes need; each composes its own lists of these and of what it alone needs. */
extern const struct call_list calls_always;  /* Memory, time, open descriptors, its own end. */
extern const struct call_list calls_threads; /* Threads, and no process. */
extern const struct call_list calls_store;   /* The files of RocksDB. */
extern const struct call_list calls_serve;   /* Listens for TCP and accepts; does not connect. */
extern const struct call_list calls_dial;    /* Resolves names and connects. */

/* From here on only what `lists` (ended by NULL) allow.  WHY_IO where the kernel has no filters. */
STATUS calls_restrict(const struct call_list *const *lists);

/* What of it was needed so far: from here on these end the process as well. */
STATUS calls_refuse(const struct call_list *list);

/* What runs programs, traces, mounts or loads: for calls_refuse() in a process that starts others,
 * which inherit it.  All else is left to the lists of those. */
extern const struct call_list calls_programs;

/* False in builds with sanitizers, which make calls of their own: there the functions above do
 * nothing, and sandbox_enter() says that the guard is missing. */
bool calls_filtered(void);

#endif
