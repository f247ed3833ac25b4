/* SPDX-License-Identifier: Apache-2.0 */
/* tests/support/attempts.h -- calls that somebody in a process that was broken into would make.
 *
 * In      the lists of a process.
 * Out     which of the attempts end it: each is made in a child of its own, under these lists.
 * Never   does harm where it is let through.
 * Threads one.
 */
#ifndef TESTS_SUPPORT_ATTEMPTS_H
#define TESTS_SUPPORT_ATTEMPTS_H

#include "base/calls.h"

/* Every attempt ends a process with these lists, but for those that `may` (ended by NULL) names;
 * those do not.  Says what is otherwise in `error`; "" when nothing is.  In a build without filters
 * it looks at nothing but that. */
void attempts_check(const struct call_list *const *lists, const char *const *may, char *error,
                    size_t error_size);

/* The status of a child that made `attempt` under these lists, and then left with its result. */
int attempts_status(const struct call_list *const *lists, int (*attempt)(void));

/* True where that was an end by the filter. */
bool attempts_killed(int wait_status);

#endif
