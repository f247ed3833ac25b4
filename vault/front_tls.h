/* SPDX-License-Identifier: Apache-2.0 */
/* vault/front_tls.h -- the API's certificate, read again while the front works.
 *
 * In      the files that the configuration names; SIGHUP; the time.
 * Out     base/tls_watch.h for the API's listener, and word of each change for the audit log.
 * Never   ends a connection.
 * Threads the front's.
 */
#ifndef VAULT_FRONT_TLS_H
#define VAULT_FRONT_TLS_H

#include "base/frames.h"
#include "base/tls_watch.h"
#include "vault/request.h"
#include "vault/settings.h"

struct front_tls {
    struct tls_server *server;
    struct tls_watch watch;
};

/* `error` gets a sentence. */
STATUS front_tls_open(struct front_tls *tls, const struct settings *settings, char *error,
                      size_t error_size);

/* Each second, and when `asked`.  A change goes to the keeper over `out`, as MESSAGE_TLS. */
void front_tls_tick(struct front_tls *tls, bool asked, struct frame_writer *out);

/* A request_read_fn for GET /v1/inventory: what this listener trusts and shows goes along, as the
 * keeper cannot know it. */
void front_tls_read_inventory(struct request *request, struct buffer *out);

#endif
