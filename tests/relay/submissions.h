/* SPDX-License-Identifier: Apache-2.0 */
/* tests/relay/submissions.h -- one submission, as the ledger's tests have it.
 *
 * In      its id, and what its idempotency key and content are.
 * Out     all else that a row has.
 * Never   is linked into a daemon.
 * Threads any.
 */
#ifndef TESTS_RELAY_SUBMISSIONS_H
#define TESTS_RELAY_SUBMISSIONS_H

#include <stdio.h>
#include <string.h>

#include "base/encode.h"
#include "relay/ledger_rows.h"

/* One with an idempotency key, unless `key` is 0; digest and key are runs of one byte. */
static inline struct ledger_submission submission(const char *id, uint8_t key, uint8_t digest)
{
    struct ledger_submission made = {.created_ms = clock_now_ms(),
                                     .principal = "shop",
                                     .tenant = "acme",
                                     .destination = "sandbox",
                                     .purpose = "payment",
                                     .method = "POST",
                                     .request_id = "req_1",
                                     .origin = "127.0.0.1:1",
                                     .bundle = "sha256:0",
                                     .rule = "shops",
                                     .tokens = {"tok_test_a"},
                                     .token_count = 1,
                                     .has_key = key != 0,
                                     .window_ms = 60000,
                                     .kept_ms = 600000};
    snprintf(made.id, sizeof made.id, "%s", id);
    memset(made.key, key, sizeof made.key);
    memset(made.digest, digest, sizeof made.digest);
    return made;
}

#endif
