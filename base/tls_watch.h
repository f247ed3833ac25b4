/* SPDX-License-Identifier: Apache-2.0 */
/* base/tls_watch.h -- certificates that are read again while a daemon works.
 *
 * In      a listener's or a client's certificate; the time; a word that somebody asked.
 * Out     the new one in force for connections that come from now on, or the old one still; log
 *         lines for either, and for one that runs out within a month; metrics.
 * Never   ends a connection; puts a certificate in force that is broken, has run out, or does not
 *         belong to its key.
 * Threads the loop's.
 */
#ifndef BASE_TLS_WATCH_H
#define BASE_TLS_WATCH_H

#include "base/metrics.h"
#include "base/tls.h"

#define TLS_WATCH_DETAIL_SIZE 320u

struct tls_watch {
    const char *name;          /* Of the listener, or of whom it is shown to. */
    struct tls_server *server; /* One of these two. */
    struct tls_identity *identity;
    int64_t every_ms; /* How often its files are looked at. */
    struct metric *left_seconds;
    struct metric *stale; /* 1: what lies in its files is no good, and is not in force. */
    struct metric *reloads;
    struct metric *failures;

    /* Its own. */
    struct tls_stamp stamp;
    int64_t looked_ms; /* By the clock that does not jump. */
    int64_t warned_ms;
};

/* Lends what it is given; the files were read just now. */
void tls_watch_begin(struct tls_watch *watch, int64_t now_ms);

/* To be called each second.  `asked`: reads the files though they look the same.  True: there is a
 * new one in force, and `out_detail` says for the audit log which. */
bool tls_watch_tick(struct tls_watch *watch, bool asked, int64_t now_ms,
                    char out_detail[static TLS_WATCH_DETAIL_SIZE]);

#endif
