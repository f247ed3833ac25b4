/* SPDX-License-Identifier: Apache-2.0 */
/* base/log.h -- JSON lines on stderr, one per thing worth knowing.
 *
 * In      an event's name and pairs of texts.
 * Out     {"ts","level","component","event",…} and a newline, in one write() to a descriptor of
 *         its own.  Card-shaped digit runs in values are masked (LOG-9); the same event more than
 *         LOG_REPEATS_PER_SECOND times in a second is counted and the count is written instead.
 * Never   is called by keys/ or by library code: a daemon logs a failure once, where its request
 *         ends.
 * Threads any.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/status.h"

#define LOG_REPEATS_PER_SECOND 10u
#define LOG_LINE_BYTES_MAX     4096u

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_LEVEL_COUNT };

/* The names for a configuration's `level`, NULL-terminated, in the order of enum log_level. */
extern const char *const log_level_names[];

/* Once per process, after any fork.  Duplicates `fd` and writes there from now on. */
STATUS log_open(const char *component, enum log_level level, int fd);
void log_level_set(enum log_level level);

/* Pairs of key and value, ended by NULL: log_event(LOG_INFO, "listening", "address", text, NULL).
 * A NULL value is written as null.  Before log_open() it writes to stderr. */
void log_event(enum log_level level, const char *event, ...) __attribute__((sentinel));

/* As log_event, with "why" and "where" of a failure. */
void log_failure(enum log_level level, const char *event, struct status status, ...)
    __attribute__((sentinel));

/* Writes the counts of what was held back; for a loop's timer and for the end. */
void log_flush(void);

#endif
