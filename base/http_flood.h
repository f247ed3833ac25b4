/* SPDX-License-Identifier: Apache-2.0 */
/* base/http_flood.h -- what comes in before libh2o reads it, and how much of it there is.
 *
 * In      connections of base/http, which alone includes this.
 * Out     libh2o reads on, a request is refused, or the connection ends.
 * Never   changes a byte that a peer sent.
 * Threads the loop's.
 */
#ifndef BASE_HTTP_FLOOD_H
#define BASE_HTTP_FLOOD_H

#include <stdbool.h>
#include <stddef.h>

struct http_conn;
struct http_server;

/* TLS is done and HTTP/2 was agreed on: hands the connection to libh2o, or ends it. */
void http_flood_start(struct http_conn *conn);
/* libh2o forgets who reads when it rests: to be called from time to time. */
void http_flood_renew(struct http_conn *conn);
/* False once libh2o has let go of the connection, whose socket may live on for a while. */
bool http_flood_reads(const struct http_conn *conn);
/* What is no frame and costs all the same. */
void http_flood_spend(struct http_conn *conn, unsigned cost);

/* http_transit.c: bodies on their way in and answers on their way out, of all connections. */
void http_transit_add(struct http_server *server, size_t size);
/* So many bytes of bodies came in over HTTP/2: one larger than a body may be is answered so, even
 * without its end. */
void http_transit_trim(struct http_conn *conn, size_t size);
/* Refuses what is largest while there is too much of it; `now`: even if little came in since. */
void http_transit_check(struct http_server *server, bool now);

#endif
