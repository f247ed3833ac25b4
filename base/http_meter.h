/* SPDX-License-Identifier: Apache-2.0 */
/* base/http_meter.h -- what a server counts.
 *
 * In      what happened.
 * Out     metrics, by component.
 * Never   is included by anything but base/http*.c.
 * Threads the loop's.
 */
#ifndef BASE_HTTP_METER_H
#define BASE_HTTP_METER_H

#include <stdint.h>

struct http_server;

enum http_meter {
    HTTP_METER_1XX, /* Never sent; keeps the index equal to the status' first digit - 1. */
    HTTP_METER_2XX,
    HTTP_METER_3XX,
    HTTP_METER_4XX,
    HTTP_METER_5XX,
    HTTP_METER_CANCELLED,
    HTTP_METER_CONNECTIONS,
    HTTP_METER_SHED,
    HTTP_METER_CUT,
    HTTP_METER_OPEN, /* A gauge. */
    HTTP_METER_COUNT
};

void http_meter_set_up(struct http_server *server);
void http_meter_count(struct http_server *server, enum http_meter meter);
void http_meter_open(struct http_server *server, int change);
void http_meter_answer(struct http_server *server, int status, int64_t duration_us);

#endif
