/* SPDX-License-Identifier: Apache-2.0 */
/* relay/sandbox/gateway.h -- the test gateway: which request goes where, and how it is answered.
 *
 * In      calls of base/http.
 * Out     Stripe-shaped answers; with Sandbox-Behaviour, answers as bad as gateways can give.
 * Never   keeps anything but in memory, and that bounded; shows /sandbox/ to another machine.
 * Threads the loop's.
 */
#ifndef RELAY_SANDBOX_GATEWAY_H
#define RELAY_SANDBOX_GATEWAY_H

#include "base/http.h"
#include "base/loop.h"

struct gateway;

STATUS gateway_new(struct loop *loop, struct gateway **out_gateway);
/* Before the server that calls it is freed, and after it was stopped. */
void gateway_free(struct gateway **gateway);

/* An http_call_fn; `owner` is the gateway. */
void gateway_on_call(void *owner, struct http_call *call);

#endif
