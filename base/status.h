/* SPDX-License-Identifier: Apache-2.0 */
/* base/status.h -- what a function that can fail returns.
 *
 * In      a reason.
 * Out     a value that can be neither ignored nor mistaken for an int or a bool.
 * Never   carries any part of the data that made something fail.
 * Threads any.
 */
#ifndef BASE_STATUS_H
#define BASE_STATUS_H

#include <stdbool.h>

#ifdef NDEBUG
#error "asserts stay in every build"
#endif

enum why {
    WHY_NONE = 0,  /* It worked. */
    WHY_BAD_INPUT, /* The caller's bytes are malformed. */
    WHY_DENIED,    /* A policy said no. */
    WHY_NOT_FOUND,
    WHY_CONFLICT, /* What is stored contradicts what was asked. */
    WHY_LIMIT,    /* A fixed bound would be passed. */
    WHY_BUSY,     /* A queue or pool is full; trying later may work. */
    WHY_TIMEOUT,
    WHY_FORGED, /* Authentication of stored or received bytes failed. */
    WHY_IO,
    WHY_NO_MEMORY,
    WHY_COUNT
};

/* `where` names the source line that failed. */
struct status {
    enum why why;
    const char *where;
};

/* Begins the declaration of every function that can fail. */
#define STATUS          __attribute__((warn_unused_result)) struct status

#define STATUS_TEXT_(x) #x
#define STATUS_TEXT(x)  STATUS_TEXT_(x)
#define STATUS_OK       ((struct status){.why = WHY_NONE, .where = ""})
#define STATUS_HERE     __FILE__ ":" STATUS_TEXT(__LINE__)
#define FAIL(reason)    ((struct status){.why = (reason), .where = STATUS_HERE})

static inline bool failed(struct status status)
{
    return status.why != WHY_NONE;
}

/* Says in the code that a failure here is of no consequence, and why. */
static inline void status_ignore(struct status status, const char *reason)
{
    (void)status;
    (void)reason;
}

/* "bad input", "busy", …: for logs. */
const char *status_name(enum why why);

/* The only two macros in this repository that return from their caller. */
#define TRY(call)                                                                                  \
    do {                                                                                           \
        struct status try_status_ = (call);                                                        \
        if (failed(try_status_))                                                                   \
            return try_status_;                                                                    \
    } while (0)

#define ENSURE(condition, reason)                                                                  \
    do {                                                                                           \
        if (!(condition))                                                                          \
            return FAIL(reason);                                                                   \
    } while (0)

#endif
