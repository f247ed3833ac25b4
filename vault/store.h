/* SPDX-License-Identifier: Apache-2.0 */
/* vault/store.h -- the vault's rows: what lies where, and under which key.
 *
 * In      sealed records, keyed hashes, states.
 * Out     rows added to a batch of base/db.h, and rows read back.  Every plain row ends in a seal
 *         of 16 bytes, a keyed hash over its family, key and content, so that a row written by
 *         another hand is found (KEY-11).
 * Never   sees a number; lets an engine's type through.
 * Threads the keeper's.
 *
 *   family        key                       value
 *   records       u64 id                    u16 size of the view's envelope | it | the card's
 *   tokens        token_key.h               struct store_token, sealed
 *   fingerprints  fingerprint of the card   struct store_same_card, sealed
 *   keys          u64 id                    keys/keyring.h's rows
 *   idempotency   hash(principal, key)      struct store_repeat, sealed
 *   leases        lease_id.h                struct store_lease, sealed
 *   expiries      u64 time, family, key     nothing: what is to be swept when; of tokens with the
 *                                           highest bit of the time set: store_expiry.h
 *   meta          name                      u64: "boots"; "seal": keys/seal.h's row; sealed
 *                                           numbers: store_put_mark()
 *   audit_*       policies/audit_log.h's
 *   jobs          u8 kind, u64 id           a job or an approval, as its file says, sealed
 */
#ifndef VAULT_STORE_H
#define VAULT_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/db.h"
#include "base/status.h"
#include "keys/keyring.h"
#include "vault/contract.h"
#include "vault/overlay.h"

enum store_family {
    STORE_META,
    STORE_RECORDS,
    STORE_TOKENS,
    STORE_FINGERPRINTS,
    STORE_KEYS,
    STORE_IDEMPOTENCY,
    STORE_LEASES,
    STORE_EXPIRIES,
    STORE_JOBS,
    STORE_AUDIT_ENTRIES,
    STORE_AUDIT_CHECKPOINTS,
    STORE_AUDIT_STATE,
    STORE_FAMILY_COUNT
};

/* For db_open(). */
extern const struct db_family store_families[STORE_FAMILY_COUNT];

#define STORE_KEY_BYTES  16u /* Of tokens, repeats and leases. */
#define STORE_SEAL_BYTES 16u

enum store_token_state { STORE_TOKEN_LIVE = 1, STORE_TOKEN_CONSUMED, STORE_TOKEN_ERASED };

struct store_token {
    enum store_token_state state;
    bool single_use;
    uint64_t record_id;
    int64_t expires_ms;      /* 0: never. */
    uint8_t fingerprint[32]; /* Where its same-card row is; leaves with the token. */
    int64_t due_ms;          /* When it goes by itself, as its row of expiries says; 0: no row. */
};

struct store_same_card {
    uint8_t card_id[16];
    uint64_t record_id;   /* The record whose token is given again, 0 for none. */
    uint32_t token_count; /* Of this card: the row goes with the last; or unknown. */
};
#define STORE_COUNT_UNKNOWN UINT32_MAX /* In rows from before they were counted. */

struct store_lease {
    char submission[65];
    char destination[64];
    char tenant[64];
    char relay[64]; /* The principal it was given to. */
    int64_t deadline_ms;
    uint8_t settled;     /* 0, or 1 + enum message_outcome. */
    uint8_t token_count; /* Single-use tokens that it consumed. */
    uint8_t tokens[CONTRACT_LEASE_TOKENS_MAX][STORE_KEY_BYTES];
    uint8_t cvv_count;
    uint8_t cvvs[CONTRACT_LEASE_TOKENS_MAX][16];
};

/* A request that may be repeated: what it was, and what came of it. */
struct store_repeat {
    uint8_t digest[32];
    uint8_t kind; /* enum message_type of the request. */
    int64_t expires_ms;
    const uint8_t *result; /* Lent, or for encoding borrowed. */
    uint32_t result_size;
};

/* Rows are sealed under the ring's index key. */
struct store {
    struct db *db;
    struct keyring *ring;
    struct buffer scratch;           /* Values on their way out. */
    struct buffer covered;           /* What a row's seal is made over. */
    struct overlay turn;             /* What the batch holds and the engine does not yet. */
    struct permutation *token_order; /* token_key.h's; NULL until it is needed. */
    struct buffer value; /* Values as read; what is decoded lends its bytes until the next. */
};

/* `db` and `ring` are borrowed. */
STATUS store_open(struct store *out_store, struct db *db, struct keyring *ring);
void store_close(struct store *store);

/* The keyed hash of an idempotency key within its principal, … */
STATUS store_key(struct store *store, const char *label, const char *scope, const char *text,
                 int64_t now_ms, uint8_t out[static STORE_KEY_BYTES]);

/* WHY_NOT_FOUND when absent, WHY_FORGED when its seal does not hold. */
STATUS store_get_token(struct store *store, const uint8_t key[static STORE_KEY_BYTES],
                       struct store_token *out_token);
STATUS store_put_token(struct store *store, struct db_batch *batch,
                       const uint8_t key[static STORE_KEY_BYTES], const struct store_token *token);

STATUS store_get_same_card(struct store *store, const uint8_t fingerprint[static 32],
                           struct store_same_card *out_row);
STATUS store_put_same_card(struct store *store, struct db_batch *batch,
                           const uint8_t fingerprint[static 32], const struct store_same_card *row);

STATUS store_delete_same_card(struct store *store, struct db_batch *batch,
                              const uint8_t fingerprint[static 32]);

STATUS store_get_lease(struct store *store, const uint8_t lease_id[static 16],
                       struct store_lease *out_lease);
STATUS store_put_lease(struct store *store, struct db_batch *batch,
                       const uint8_t lease_id[static 16], const struct store_lease *lease);
STATUS store_delete_lease(struct store *store, struct db_batch *batch,
                          const uint8_t lease_id[static 16]);

STATUS store_get_repeat(struct store *store, const uint8_t key[static STORE_KEY_BYTES],
                        struct store_repeat *out_repeat);
STATUS store_put_repeat(struct store *store, struct db_batch *batch,
                        const uint8_t key[static STORE_KEY_BYTES],
                        const struct store_repeat *repeat);

/* A record's two envelopes, lent until the next look-up. */
struct store_record {
    const uint8_t *view;
    size_t view_size;
    const uint8_t *card;
    size_t card_size;
};
STATUS store_get_record(struct store *store, uint64_t record_id, struct store_record *out_record);
STATUS store_put_record(struct store *store, struct db_batch *batch, uint64_t record_id,
                        const struct buffer *view, const struct buffer *card);
STATUS store_delete_record(struct store *store, struct db_batch *batch, uint64_t record_id);
/* How many of all records (*out_scanned) have an envelope that names this key: a walk over them.
 * WHY_LIMIT: there are more than `count_max`.  WHY_FORGED: a record is none. */
STATUS store_count_under(struct store *store, uint64_t key_id, uint64_t count_max,
                         uint64_t *out_found, uint64_t *out_scanned);
/* Whether any record behind this one is under the key, of those that are in the engine. */
STATUS store_count_behind(struct store *store, uint64_t record_id, uint64_t key_id, bool *out_any);
/* The highest record id in use, 0 when there is none.  WHY_FORGED: none that was ever given. */
STATUS store_last_record(struct store *store, uint64_t *out_record_id);

/* A number under a name among the sealed rows of meta.  WHY_NOT_FOUND. */
STATUS store_get_mark(struct store *store, const char *name, uint64_t *out_mark);
STATUS store_put_mark(struct store *store, struct db_batch *batch, const char *name, uint64_t mark);

/* What people asked for and what goes on for long: each kind counts its own ids, from 1. */
#define STORE_JOB_KEY_BYTES 9u
enum store_job {
    STORE_JOB_APPROVAL = 'a',
    STORE_JOB_ERASURE = 'e',
    STORE_JOB_RUN = 'j',
    STORE_JOB_SAMPLES = 's', /* Of an erasure: erasure.h. */
};
struct store_job_key {
    enum store_job kind;
    uint64_t id;
};
/* The content is lent until the next look-up. */
STATUS store_get_job(struct store *store, const struct store_job_key *key,
                     struct cursor *out_content);
STATUS store_put_job(struct store *store, struct db_batch *batch, const struct store_job_key *key,
                     const struct buffer *content);
STATUS store_delete_job(struct store *store, struct db_batch *batch,
                        const struct store_job_key *key);
/* The first id of key->kind behind key->id that is in the engine; this turn's are not there yet.
 * WHY_NOT_FOUND at the end. */
STATUS store_next_job(struct store *store, const struct store_job_key *key, uint64_t *out_id);

/* Has the row swept once `when_ms` is past. */
void store_put_expiry(struct store *store, struct db_batch *batch, int64_t when_ms,
                      enum store_family family, const void *key, size_t key_size);
/* Puts the deletion of at most `count_max` rows that are due into the batch. */
STATUS store_sweep(struct store *store, struct db_batch *batch, int64_t now_ms, unsigned count_max,
                   unsigned *out_count);

#endif
