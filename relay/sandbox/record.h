/* SPDX-License-Identifier: Apache-2.0 */
/* relay/sandbox/record.h -- what arrived, for a person or a test to look at.
 *
 * In      requests.
 * Out     a JSON list of the newest ones, card numbers and security codes masked; as raw bytes
 *         only where asked for.
 * Never   writes anything to a disk; grows past RECORD_COUNT_MAX requests of RECORD_BYTES_MAX
 *         bytes.
 * Threads one at a time.
 */
#ifndef RELAY_SANDBOX_RECORD_H
#define RELAY_SANDBOX_RECORD_H

#include "base/buffer.h"
#include "base/http.h"
#include "base/status.h"

#define RECORD_COUNT_MAX 256u
#define RECORD_BYTES_MAX (64u * 1024u) /* Of one body; what is longer is cut, and says so. */

struct record;

STATUS record_new(struct record **out_record);
void record_free(struct record **record);

/* Keeps a copy of the call as it came. */
void record_add(struct record *record, struct http_call *call);
void record_clear(struct record *record);

/* {"requests": [{"received_at", "method", "path", "query", "headers": [[name, value], …],
 * "fields": [[name, value], …] (a form) or "body": "…" (JSON), "body_size"}, …]}, oldest first;
 * with `reveal` "body_base64" too. */
void record_write(const struct record *record, bool reveal, struct buffer *out);

#endif
