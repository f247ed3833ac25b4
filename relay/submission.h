/* SPDX-License-Identifier: Apache-2.0 */
/* relay/submission.h -- one request on its way from a caller to a gateway and back.
 *
 * In      accept.c fills the first half; submit.c carries it through.
 * Out     an answer to the caller, if it still waits, and a durable record in any case.
 * Never   ends early because the caller left: what was begun is brought to its outcome.
 * Threads the loop's; while a ledger operation is out, `row` and what it points to do not change.
 */
#ifndef RELAY_SUBMISSION_H
#define RELAY_SUBMISSION_H

#include "relay/answer.h"
#include "relay/forward.h"
#include "relay/relay.h"
#include "relay/slots.h"

#define SUBMISSION_TEXT_MAX   128u
#define SUBMISSION_METHOD_MAX 16u
#define SUBMISSION_TARGET_MAX 8192u

struct submission {
    struct relay *relay;
    struct http_call *call; /* NULL once answered, or the caller is gone. */

    /* What is asked for. */
    const struct settings_destination *to; /* NULL until it is known. */
    const struct policy_principal *principal;
    struct policy_decision decision;
    char method[SUBMISSION_METHOD_MAX + 1];
    char purpose[SUBMISSION_TEXT_MAX + 1];      /* "": none given. */
    char on_behalf_of[SUBMISSION_TEXT_MAX + 1]; /* "": nobody else. */
    char request_id[SUBMISSION_TEXT_MAX + 1];
    char origin[SUBMISSION_TEXT_MAX + 1];
    char idempotency_key[CONTRACT_IDEMPOTENCY_KEY_MAX + 1]; /* "": none. */
    bool dry_run;
    struct buffer target;
    struct buffer body; /* With tokens. */
    struct forward forward;
    struct slots slots;
    const char *card_tokens[CONTRACT_LEASE_TOKENS_MAX]; /* Each once. */
    unsigned card_token_count;
    const char *cvv_tokens[CONTRACT_LEASE_TOKENS_MAX];
    unsigned cvv_token_count;

    /* Where it stands. */
    struct ledger_submission row;
    struct submission *next_key; /* In its bucket. */
    bool in_table;
    struct resolve_waiter waiter;
    char addresses[ADDRESS_LIST_MAX];
    struct lease lease;
    bool settles;         /* The vault gave a lease, or may have. */
    struct buffer filled; /* With cards: wiped as soon as it was sent. */
    struct client_op *sending;
    struct buffer answer;   /* The gateway's, guarded and encoded. */
    bool answered;          /* `answer` holds one. */
    enum problem_code code; /* What to say instead, PROBLEM_NONE with an answer. */
    char detail[256];
    char field[192];
    struct answer_outcome outcome;
    int64_t begun_us;
    int64_t step_us;

    /* Ledger operations, one at a time. */
    struct ledger_intent intent;
    struct ledger_end end;
    struct ledger_entry entry;
    unsigned out_count; /* How many are out. */
    bool over;          /* To be freed as soon as none is. */
};

/* Takes the call.  WHY_BUSY when too many are under way. */
STATUS submission_new(struct relay *relay, struct http_call *call, struct submission **out);
/* Answers nobody any more: frees it once no operation is out. */
void submission_over(struct submission *submission);

/* Counts an operation out; submission_home() takes it back in, and may free the submission. */
STATUS submission_out(struct submission *submission, struct ledger_op *op);
void submission_home(struct submission *submission);

/* True, and remembered as under way, unless another holds the same key: that one is lent, until
 * the loop turns. */
bool submission_claim(struct submission *submission, const struct submission **out_twin);

/* Refuses it before anything began: a durable entry, then the problem. */
void submission_refuse(struct submission *submission, enum problem_code code,
                       enum answer_failed by);
/* Says a problem at once, without an entry, and ends it. */
void submission_fail(struct submission *submission, enum problem_code code, enum answer_failed by);
/* Answers with `code`, `field` and `detail` as they stand. */
void submission_problem(struct submission *submission);

/* submit.c: from the durable intent on. */
void submit_start(struct submission *submission);

#endif
