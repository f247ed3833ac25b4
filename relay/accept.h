/* SPDX-License-Identifier: Apache-2.0 */
/* relay/accept.h -- the first half of a submission: who asks, may they, and what is in it.
 *
 * In      a call on the API's listener or on one bound to a destination (its tag).
 * Out     a refusal, on record; a dry run's answer; or a submission for submit.c.
 * Never   leases or sends anything.
 * Threads the loop's.
 */
#ifndef RELAY_ACCEPT_H
#define RELAY_ACCEPT_H

#include "relay/submission.h"

/* Answers the call, now or later.  `bound` is the listener's destination, or NULL. */
void accept_call(struct relay *relay, struct http_call *call,
                 const struct settings_destination *bound);

/* The caller by its certificate, if that holds now; NULL otherwise. */
const struct policy_principal *accept_principal(const struct relay *relay,
                                                const struct http_call *call);

#endif
