/* SPDX-License-Identifier: Apache-2.0 */
/* relay/ledger_rows.h -- the operations on the ledger: intent, outcome, settled; recovery.
 *
 * In      a submission as its journey goes on.
 * Out     its rows: submission, open, idempotency key, settlement; and its audit entries.
 * Never   stores a card, a CVV, a credential or a body with one: an answer comes scrubbed.
 * Threads each *_apply the ledger's writer; everything else the loop's.
 */
#ifndef RELAY_LEDGER_ROWS_H
#define RELAY_LEDGER_ROWS_H

#include "relay/ledger.h"

#define LEDGER_SETTLED_MAX 64u

enum ledger_outcome { LEDGER_NOT_SENT, LEDGER_SENT_NO_ANSWER, LEDGER_ANSWERED };

/* "not_sent", "sent_no_answer", "answered": in headers, settlements and entries alike. */
const char *ledger_rows_outcome_name(enum ledger_outcome outcome);

/* What stays the same from intent to outcome.  Texts are borrowed, may be NULL, and must not
 * change while an op that points here is out. */
struct ledger_submission {
    char id[LEDGER_ID_MAX];
    char lease_id[LEDGER_LEASE_ID_MAX]; /* "" until leased; for the record. */
    int64_t created_ms;
    const char *principal;
    const char *tenant;
    const char *destination;
    const char *purpose;
    const char *on_behalf_of;
    const char *method;
    const char *request_id;
    const char *origin;
    const char *bundle;
    const char *rule;
    const char *tokens[LEDGER_TOKENS_MAX];
    unsigned token_count; /* Without any it asks for no lease. */
    bool has_key;
    uint8_t key[LEDGER_KEY_BYTES];    /* Digest of principal, destination, idempotency key. */
    uint8_t digest[LEDGER_KEY_BYTES]; /* Of method, target, account and body, with tokens. */
    int64_t window_ms;                /* How long the key holds. */
    int64_t kept_ms;                  /* How long the row of the submission is kept. */
};

/* What is known of an idempotency key. */
enum ledger_found {
    LEDGER_FOUND_NOTHING,  /* Go on: the intent is durable. */
    LEDGER_FOUND_ANSWER,   /* Answer with `answer`. */
    LEDGER_FOUND_OTHER,    /* The key belongs to another request. */
    LEDGER_FOUND_IN_DOUBT, /* It may have been carried out. */
    LEDGER_FOUND_LOST,     /* It was answered; the answer was not kept. */
};

struct ledger_intent {
    struct ledger_op op;
    const struct ledger_submission *submission;
    enum ledger_found found;
    char first_id[LEDGER_ID_MAX]; /* The submission that used the key first. */
    struct buffer answer;
};
STATUS ledger_rows_intent_apply(struct ledger_op *op, struct ledger *ledger,
                                struct db_batch *batch);

struct ledger_end {
    struct ledger_op op;
    const struct ledger_submission *submission;
    enum ledger_outcome outcome;
    const char *code;            /* "ok", or the problem's code. */
    int status;                  /* The gateway's; 0: none. */
    const struct buffer *answer; /* To be replayed; NULL: none, or none that could be. */
    bool settles;                /* The vault may hold a lease, and is to be told. */
    int64_t duration_us;
};
STATUS ledger_rows_end_apply(struct ledger_op *op, struct ledger *ledger, struct db_batch *batch);

/* Forgets settlements that the vault confirmed. */
struct ledger_settled {
    struct ledger_op op;
    char ids[LEDGER_SETTLED_MAX][LEDGER_ID_MAX];
    unsigned count;
};
STATUS ledger_rows_settled_apply(struct ledger_op *op, struct ledger *ledger,
                                 struct db_batch *batch);

/* One entry and nothing else: a refusal, a start, an end. */
struct ledger_entry {
    struct ledger_op op;
    struct audit_entry entry; /* Texts borrowed until `done`. */
};
STATUS ledger_rows_entry_apply(struct ledger_op *op, struct ledger *ledger, struct db_batch *batch);

/* Walks settlements that wait, from the store, at start. */
typedef void (*ledger_settlement_fn)(void *owner, const char *submission_id,
                                     enum ledger_outcome outcome);
STATUS ledger_rows_settlements(struct ledger *ledger, ledger_settlement_fn each, void *owner);

/* Puts the end of an attempt that was refused, but came back with the store, into the batch. */
STATUS ledger_rows_withdraw(struct ledger *ledger, struct db_batch *batch, const char *id);
/* For ledger_sweep.c: whether a row of LEDGER_KEYS or LEDGER_SUBMISSIONS is under way, and until
 * when a key holds (0 for a submission). */
STATUS ledger_rows_time(const struct buffer *row, enum ledger_family family, bool *out_open,
                        int64_t *out_holds_until_ms);

/* Puts the end of up to `most` attempts that never had one into the batch. */
STATUS ledger_rows_recover(struct ledger *ledger, struct db_batch *batch, unsigned most,
                           bool *out_more);

#endif
