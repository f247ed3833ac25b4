/* SPDX-License-Identifier: Apache-2.0 */
/* relay/reload.h -- the relay's certificates, read again while it works.
 *
 * In      the files that the configuration names: the listeners', and what is shown to the vault;
 *         SIGHUP; the time.
 * Out     base/tls_watch.h for both, and an entry in the log for each change.
 * Never   ends a connection.
 * Threads the loop's.
 */
#ifndef RELAY_RELOAD_H
#define RELAY_RELOAD_H

#include "base/tls_watch.h"
#include "relay/relay.h"

struct reload {
    struct tls_server *server;
    struct tls_identity *identity;
    struct tls_watch api;
    struct tls_watch vault;
};

/* Reads both, and shows the vault the one.  `error` gets a sentence. */
STATUS reload_open(struct reload *reload, struct relay *relay, char *error, size_t error_size);
/* The lease desk is gone by then. */
void reload_close(struct reload *reload);

/* Each second, and when `asked`. */
void reload_tick(struct reload *reload, struct relay *relay, bool asked);

#endif
