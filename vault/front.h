/* SPDX-License-Identifier: Apache-2.0 */
/* vault/front.h -- the process that speaks TLS, HTTP and JSON.
 *
 * In      connections; the keeper's frames.
 * Out     requests as frames, answers as HTTP.
 * Never   holds a key, opens the store or decides: a card is seen here in the one body being read
 *         and in the one lease being written, and both are wiped.
 * Threads one.
 *
 * It listens once the keeper has said its first word, and leaves when the keeper does: what waits
 * is answered 503 `sealed`, and the supervisor starts both again.
 */
#ifndef VAULT_FRONT_H
#define VAULT_FRONT_H

/* The front's whole life; `owner` is a const struct settings.  Its exit code. */
int front_run(void *owner, int core_fd);

#endif
