/* SPDX-License-Identifier: Apache-2.0 */
/* tests/support/failing_alloc.h -- an operation with its 1st, 2nd, … allocation failing, until it
 * has all that it asks for.
 *
 * In      an operation; what must hold after it failed.
 * Out     a failed test where it crashes, says anything but "no memory", or leaves something
 *         half-done.  What it leaks the sanitizers find.
 * Never   touches what other libraries allocate, but OpenSSL where it is asked to.
 * Threads one fails; whoever else allocates meanwhile is spared.
 *
 * The linker puts it in front of calloc(), reallocarray(), strdup(), mmap(), sodium_malloc() and
 * pthread_create() as our own code calls them, in the test programs that are linked with it.
 */
#ifndef TESTS_SUPPORT_FAILING_ALLOC_H
#define TESTS_SUPPORT_FAILING_ALLOC_H

#include <stdbool.h>

#include "base/status.h"

enum failing_alloc_of { FAILING_ALLOC_OURS = 1, FAILING_ALLOC_OPENSSL = 2 };

/* From now on the `first`-th allocation of this thread fails; with `all` every later one too. */
void failing_alloc_start(unsigned first, bool all, unsigned of);
/* How many failed since. */
unsigned failing_alloc_stop(void);

struct failing_alloc_case {
    const char *name;
    /* The operation under test, and the undoing of it where it succeeded. */
    struct status (*run)(void);
    void (*before)(void); /* Each time; may be NULL. */
    void (*after)(void);
    void (*unchanged)(void); /* After a failure: nothing is half-done.  May be NULL. */
    unsigned of;             /* 0 is FAILING_ALLOC_OURS. */
    bool may_succeed;        /* It can do without some of what it asks for. */
    unsigned stride;         /* Where it asks for very many: of those, one in so many. */
};

/* Runs the case with each of its allocations failing: alone, and with all that follow. */
void failing_alloc_each(const struct failing_alloc_case *one);

#endif
