/* SPDX-License-Identifier: Apache-2.0 */
/* vault/approve.h -- dual control: one asks, another carries it out.
 *
 * In      what somebody with the right to ask for it wants done, before a deadline.
 * Out     a row that waits, through restarts; then the deed and its end in one batch, in the name
 *         of both.
 * Never   lets one principal, or one certificate, be both of the two; carries out what is late;
 *         forgets who asked, who approved or who cancelled, with which certificates.
 * Threads the keeper's.
 */
#ifndef VAULT_APPROVE_H
#define VAULT_APPROVE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

#define APPROVE_ID_MAX          32u /* "apr_" and a number, with its NUL. */
#define APPROVE_TARGET_MAX      96u
#define APPROVE_DETAIL_MAX      1024u
#define APPROVE_NAME_MAX        64u
#define APPROVE_CERTIFICATE_MAX 65u
#define APPROVE_DEADLINE_MS     (24 * 3600 * 1000LL)
#define APPROVE_DEADLINE_MS_MAX (7 * 24 * 3600 * 1000LL)
#define APPROVE_HOLDS_MAX       64u

struct keeper;
struct keeper_op;
struct json_writer;
struct cursor;

enum approve_kind {
    APPROVE_KEY_COMPROMISE,
    APPROVE_KEY_DESTROY,
    APPROVE_SEAL_REKEY,
    APPROVE_SEAL_MIGRATE,
    APPROVE_ERASE_TENANT,
    APPROVE_ERASE_EPOCH,
    APPROVE_KIND_COUNT
};

enum approve_state {
    APPROVE_WAITING = 1,
    APPROVE_DONE,
    APPROVE_CANCELLED,
    APPROVE_EXPIRED,
    APPROVE_STATE_END
};

/* Who did one of the two halves. */
struct approve_person {
    char name[APPROVE_NAME_MAX]; /* "": nobody yet. */
    char certificate[APPROVE_CERTIFICATE_MAX];
};

struct approve_request {
    uint64_t id;
    enum approve_kind kind;
    enum approve_state state;
    char target[APPROVE_TARGET_MAX]; /* "key/12", "tenant/shop", "seal". */
    char detail[APPROVE_DETAIL_MAX]; /* A JSON object: what the kind needs to know. */
    uint64_t key_id;                 /* Of the kinds about a key; 0 elsewhere. */
    int64_t asked_ms;
    int64_t deadline_ms;
    int64_t ended_ms;
    struct approve_person asked;
    struct approve_person ended; /* Who approved or cancelled. */
};

/* What a step asks for. */
struct approve_ask {
    enum approve_kind kind;
    const char *target;
    const char *detail;      /* A JSON object's text. */
    const char *certificate; /* The caller's: struct message_text has it. */
    uint64_t key_id;
    int64_t within_ms; /* 0: APPROVE_DEADLINE_MS. */
};

/* What the keeper holds of all this in memory. */
struct approve_book {
    bool read;
    uint64_t next_id;
    int64_t due_ms; /* Of the earliest deadline; 0: nothing waits. */
    uint64_t holds[APPROVE_HOLDS_MAX];
    unsigned hold_count;
};

/* Stores the request, records it, and answers 202 {"approval": "apr_N", …}: the last thing that a
 * step does.  Refused: a second one for the same kind and target while the first waits, more than
 * APPROVE_DEADLINE_MS_MAX. */
STATUS approve_ask(struct keeper_op *op, const struct approve_ask *ask);

/* A key that somebody asked to be declared compromised opens no card for a lease, from that moment
 * until the request was carried out or cancelled; that nobody answered in time changes nothing. */
bool approve_holds(const struct keeper *keeper, uint64_t key_id);

/* Whether it was approved and carried out, of what is durable: for what goes on after its turn. */
bool approve_is_done(struct keeper *keeper, uint64_t id);

/* Reads what waits: when the store is opened, unsealed or read again. */
STATUS approve_open(struct keeper *keeper);
/* Ends what is late, with an entry. */
STATUS approve_tick(struct keeper *keeper, int64_t now_ms);

/* --- the steps --- */
STATUS approve_list(struct keeper_op *op, struct cursor *in);
STATUS approve_run(struct keeper_op *op, struct cursor *in);
STATUS approve_cancel(struct keeper_op *op, struct cursor *in);

/* --- what is carried out, by kind; each in the file of its subject.  Puts its rows and entries
 * into the turn, and the members of its result into `out`.  A failure, with op->problem, leaves the
 * request waiting. --- */
typedef STATUS (*approve_fn)(struct keeper_op *op, const struct approve_request *request,
                             struct json_writer *out);

#endif
