/* SPDX-License-Identifier: Apache-2.0 */
/* vault/cli/warnings.h -- what a daemon's metrics say that somebody has to do something about.
 *
 * In      /metrics of a daemon.
 * Out     one sentence for each: what it is, and what to do next.
 * Never   changes whether a daemon counts as ready.
 * Threads one.
 */
#ifndef VAULT_CLI_WARNINGS_H
#define VAULT_CLI_WARNINGS_H

#include "vault/cli/daemon.h"

#define WARNINGS_TEXT_MAX 256u

typedef void (*warnings_fn)(void *owner, const char *sentence);

/* Asks the daemon; none where it cannot be reached. */
void warnings_ask(const struct daemon *daemon, enum daemon_which which, warnings_fn on_warning,
                  void *owner);
/* The same of a text that was asked for already. */
void warnings_read(const char *metrics, const char *daemon_name, warnings_fn on_warning,
                   void *owner);

/* Each "cardkeep_…_tls_left_seconds" of a text: the listener's name and its seconds. */
typedef void (*warnings_left_fn)(void *owner, const char *name, int64_t seconds);
void warnings_left(const char *metrics, warnings_left_fn on_left, void *owner);

#endif
