/* SPDX-License-Identifier: Apache-2.0 */
/* base/http_refuse.h -- refusals in the middle of a request, and that they arrive.
 *
 * In      HTTP/1.1 connections on which a request is still coming in.
 * Out     a problem, then the connection's end, in order.
 * Never   is included by anything but base/http*.c; reads what a refused client goes on sending.
 * Threads the loop's.
 */
#ifndef BASE_HTTP_REFUSE_H
#define BASE_HTTP_REFUSE_H

#include "base/http_inside.h"

/* http_refuse.c */
/* Answers what is not a whole request yet, and closes the connection behind it. */
void http_refuse(struct http_conn *conn, const struct http_problem *problem);

/* http_linger.c */
/* The connection is to be closed after this answer, though its client may still be sending: a reset
 * would overtake the answer.  It is kept until the client has seen it, for a while. */
void http_linger_arm(struct http_conn *conn);
/* When libh2o has closed it. */
void http_linger_begin(struct http_conn *conn);
/* Ends what is over its time; INT64_MAX: all. */
void http_linger_sweep(struct http_server *server, int64_t now_ms);

#endif
