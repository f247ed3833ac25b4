/* SPDX-License-Identifier: Apache-2.0 */
/* relay/serve.h -- the relay process: makes every part, runs the loop, takes all apart again.
 *
 * In      settings, and the supervisor's control socket.
 * Out     an exit code: 0 told to leave, 1 try again, SUPERVISE_EXIT_CONFIG cannot start as it is.
 * Never   listens before the store is checked against what its signer remembers.
 * Threads the process' first.
 */
#ifndef RELAY_SERVE_H
#define RELAY_SERVE_H

#include "relay/settings.h"

int serve_run(const struct settings *settings, int control_fd);

#endif
