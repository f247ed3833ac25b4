/* SPDX-License-Identifier: Apache-2.0 */
/* relay/answer.h -- what goes back to the caller: the gateway's answer guarded, and what is known
 * of how it went.
 *
 * In      the gateway's answer; the values that were inserted; the outcome.
 * Out     the answer in one run of bytes, as it is sent, kept and replayed; outcome headers.
 * Never   lets an inserted value through; passes what it could not clean.
 * Threads any; answer_send() and answer_problem() the loop's.
 */
#ifndef RELAY_ANSWER_H
#define RELAY_ANSWER_H

#include "base/client.h"
#include "base/http.h"
#include "relay/ledger_rows.h"
#include "relay/refusal.h"
#include "relay/scrub.h"

#define ANSWER_HEADERS_MAX 64u
#define ANSWER_BODY_MAX    (1024u * 1024u) /* Of a gateway's answer. */
#define ANSWER_BYTES_MAX   (3u * 1024u * 1024u)
#define ANSWER_LINES_MAX   8u
#define ANSWER_LINE_MAX    160u

enum answer_failed {
    ANSWER_FAILED_NONE,
    ANSWER_FAILED_POLICY,
    ANSWER_FAILED_VAULT,
    ANSWER_FAILED_RELAY,
    ANSWER_FAILED_NETWORK,
    ANSWER_FAILED_GATEWAY,
};

/* What the outcome headers say. */
struct answer_outcome {
    const char *submission_id;
    enum ledger_outcome outcome;
    bool safe_to_retry;
    enum answer_failed failed;
    bool replayed;
    unsigned retry_after_s; /* 0: none. */
    int64_t policy_us;
    int64_t lease_us;
    int64_t gateway_us;
    int64_t relay_us;
};

/* Appends the guarded answer to `out` (bounded at ANSWER_BYTES_MAX).  *out_hits counts what was
 * taken out.  WHY_BAD_INPUT when it is encoded or has too many headers, WHY_LIMIT when it grew too
 * large: nothing of it may be passed on then. */
STATUS answer_encode(const struct client_answer *answer, const struct scrub *scrub,
                     struct buffer *out, unsigned *out_hits);

/* An encoded answer, lent by its bytes. */
struct answer_view {
    int status;
    const char *content_type;
    const char *headers[2 * ANSWER_HEADERS_MAX + 1];
    const uint8_t *body;
    size_t body_size;
};
STATUS answer_decode(const uint8_t *bytes, size_t size, struct answer_view *out_view);

/* The outcome as header lines: name, value, ..., NULL. */
struct answer_lines {
    const char *list[2 * ANSWER_LINES_MAX + 1];
    char texts[ANSWER_LINES_MAX][ANSWER_LINE_MAX];
    unsigned count;
};
void answer_lines(const struct answer_outcome *outcome, struct answer_lines *out_lines);

/* Both end the call. */
void answer_send(struct http_call *call, const struct answer_view *view,
                 const struct answer_outcome *outcome);
void answer_problem(struct http_call *call, const struct http_problem *problem,
                    const struct answer_outcome *outcome);

#endif
