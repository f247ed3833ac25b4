/* SPDX-License-Identifier: Apache-2.0 */
/* vault/message.h -- what front and keeper say to each other, both ways: one struct a message.
 *
 * In      structs.
 * Out     frame bodies, and structs again; decoding treats the other side as hostile: a bad body
 *         is in->bad.
 * Never   copies a number or a code: decoded structs lend them from the frame, that wipes itself.
 * Threads any.
 *
 * Front to keeper: a caller, then what the request is about.  A request that the front could not
 * read travels all the same, with its problem: the keeper decides first whether this caller may ask
 * at all, then answers the problem.
 */
#ifndef VAULT_MESSAGE_H
#define VAULT_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "vault/contract.h"
#include "vault/problem.h"
#include "vault/view.h"

#define MESSAGE_EPOCH_MAX 352u /* CONTRACT_HEADER_EPOCH with its NUL. */

enum message_type {
    /* Keeper to front; the first of them at start and each second: u8 readiness, counted why, u32
     * size and metrics text, counted CONTRACT_HEADER_EPOCH. */
    MESSAGE_STATE = 1,
    MESSAGE_PROBLEM, /* problem */
    MESSAGE_VIEW,    /* u8 replayed, view */
    MESSAGE_VIEWS,   /* u8 replayed, u16 count, of u8 good and view or problem */
    MESSAGE_CVV,     /* u8 replayed, counted token, u64 expiry */
    MESSAGE_EMPTY,
    /* u16 count, of u8 good and problem, or {counted lease id, u64 expiry, u8 count and lent cards,
     * u8 count and {counted token, code by message_bytes_encode()}} */
    MESSAGE_LEASES,
    MESSAGE_SETTLED, /* u16 count, of u8 good and counted lease id or problem */
    MESSAGE_TEXT,    /* u16 HTTP status, counted content type, then the body as it is */
    /* Front to keeper: counted listener, counted detail for an entry; no caller, no answer. */
    MESSAGE_TLS = 31,
    /* Front to keeper. */
    MESSAGE_TOKENIZE = 32, /* caller, u8 batch, u16 count, cards */
    MESSAGE_SHOW,          /* caller, counted token */
    MESSAGE_ERASE,         /* caller, counted token */
    MESSAGE_CVV_STORE,     /* caller, counted token, card (its CVV and purchase) */
    MESSAGE_LEASE,         /* caller, u16 count, lease requests */
    MESSAGE_SETTLE,        /* caller, u16 count, settlements */
    /* From here on each is answered by MESSAGE_TEXT. */
    MESSAGE_AUDIT_HEAD = 64, /* caller */
    MESSAGE_AUDIT_READ,      /* caller, u64 start, u32 limit */
    MESSAGE_BACKUP,          /* caller: take one */
    MESSAGE_BACKUP_STATE,    /* caller: how it goes */
    MESSAGE_SEAL_STATE = 96, /* GET /v1/seal; from here on each is a caller and a text */
    MESSAGE_SEAL_SHUT,       /* POST /v1/seal/seal */
    MESSAGE_SEAL_INIT,       /* POST /v1/seal/init, and so on for the next ones */
    MESSAGE_SEAL_REKEY,
    MESSAGE_SEAL_ACCEPT,
    MESSAGE_SEAL_COLLECT,
    MESSAGE_SEAL_CONFIRM,
    MESSAGE_SEAL_CANCEL,
    MESSAGE_SEAL_UNSEAL,
    MESSAGE_SEAL_REHEARSED,
    MESSAGE_KEYS,        /* GET /v1/keys */
    MESSAGE_KEY_SHOW,    /* GET /v1/keys/{id} */
    MESSAGE_KEY_SUSPEND, /* POST /v1/keys/{id}/suspend, and so on */
    MESSAGE_KEY_ACTIVATE,
    MESSAGE_KEY_DEACTIVATE,
    MESSAGE_KEY_COMPROMISE,
    MESSAGE_KEY_DESTROY,
    MESSAGE_INVENTORY,      /* GET /v1/inventory; its body is the front's: tls_inventory.h */
    MESSAGE_RETENTION_ASK,  /* POST /v1/retention */
    MESSAGE_RETENTION,      /* GET /v1/retention */
    MESSAGE_ERASE_ASK,      /* POST /v1/erasures */
    MESSAGE_ERASURES,       /* GET /v1/erasures */
    MESSAGE_ERASURE,        /* GET /v1/erasures/{id} */
    MESSAGE_APPROVALS,      /* GET /v1/approvals */
    MESSAGE_APPROVE,        /* POST /v1/approvals/{id} */
    MESSAGE_APPROVE_CANCEL, /* DELETE /v1/approvals/{id} */
    MESSAGE_SEAL_MIGRATE,   /* POST /v1/seal/migrate */
    MESSAGE_ROTATE,         /* POST /v1/rotations */
    MESSAGE_JOBS,           /* GET /v1/jobs */
    MESSAGE_JOB_SHOW,       /* GET /v1/jobs/{id} */
    MESSAGE_JOB_PAUSE,      /* POST /v1/jobs/{id}/pause, and so on */
    MESSAGE_JOB_RESUME,
    MESSAGE_JOB_RATE,
    MESSAGE_SIGNER_STATE,  /* GET /v1/signer */
    MESSAGE_SIGNER_ROTATE, /* POST /v1/signer/rotate */
    MESSAGE_TYPE_END
};
#define MESSAGE_TEXT_QUESTIONS MESSAGE_AUDIT_HEAD
enum message_readiness { MESSAGE_NOT_READY, MESSAGE_READY, MESSAGE_SEALED };
/* Who asks, as the front saw it. */
struct message_caller {
    bool verified;   /* By a certificate that holds. */
    char uri[256];   /* Its URI SAN. */
    char origin[64]; /* Address and port. */
    char request_id[65];
    char idempotency_key[CONTRACT_IDEMPOTENCY_KEY_MAX + 1]; /* "": none. */
    struct problem problem; /* What is wrong with the request, code NONE when nothing is. */
};
#define MESSAGE_TEXT_BODY_MAX  16384u
#define MESSAGE_TEXT_QUERY_MAX 511u
/* A request that the keeper reads itself: what stands in its path and behind it, and its JSON. */
struct message_text {
    char certificate[65];                   /* SHA-256 of the caller's, in hex. */
    char segment[CONTRACT_TOKEN_MAX + 1];   /* Of the path; "" for none. */
    char query[MESSAGE_TEXT_QUERY_MAX + 1]; /* "" for none. */
    const uint8_t *body;                    /* Checked by the front to be JSON, or empty. */
    uint32_t body_size;
};

/* One card as sent. */
struct message_card {
    struct problem problem; /* What is wrong with this card; then nothing else counts. */
    const uint8_t *number;
    uint8_t number_size;
    const uint8_t *cvv;
    uint8_t cvv_size; /* 0: none came along. */
    uint8_t exp_month;
    uint16_t exp_year;
    const uint8_t *name;
    uint8_t name_size;
    uint8_t format; /* enum policy_format, or MESSAGE_FORMAT_DEFAULT. */
    bool single_use;
    int64_t expires_ms;
    char purchase[CONTRACT_PURCHASE_MAX + 1];
    const uint8_t *metadata;
    uint32_t metadata_size;
};
#define MESSAGE_FORMAT_DEFAULT 255u

/* One lease as asked for. */
struct message_lease {
    struct problem problem;
    char submission[65];
    char destination[64];
    char purpose[64];
    char on_behalf_of[64];
    char tokens[CONTRACT_LEASE_TOKENS_MAX][CONTRACT_TOKEN_MAX + 1];
    unsigned token_count;
    char cvv_tokens[CONTRACT_LEASE_TOKENS_MAX][CONTRACT_TOKEN_MAX + 1];
    unsigned cvv_count;
};

enum message_outcome {
    MESSAGE_OUTCOME_ANSWERED,
    MESSAGE_OUTCOME_NOT_SENT,
    MESSAGE_OUTCOME_SENT_NO_ANSWER,
    MESSAGE_OUTCOME_COUNT
};
extern const char *const message_outcome_names[]; /* NULL-terminated. */

/* One of the two names the lease; the other is "". */
struct message_settlement {
    struct problem problem;
    char lease_id[65];
    char submission[65];
    enum message_outcome outcome;
};

void message_caller_encode(const struct message_caller *caller, struct buffer *out);
void message_caller_decode(struct cursor *in, struct message_caller *out_caller);

void message_text_encode(const struct message_text *text, struct buffer *out);
void message_text_decode(struct cursor *in, struct message_text *out_text);
void message_card_encode(const struct message_card *card, struct buffer *out);
void message_card_decode(struct cursor *in, struct message_card *out_card);

void message_lease_encode(const struct message_lease *lease, struct buffer *out);
void message_lease_decode(struct cursor *in, struct message_lease *out_lease);
/* People put numbers where tokens and ids belong, and these structs hold copies. */
void message_lease_wipe(struct message_lease *lease);

void message_settlement_encode(const struct message_settlement *settlement, struct buffer *out);
void message_settlement_decode(struct cursor *in, struct message_settlement *out_settlement);
void message_settlement_wipe(struct message_settlement *settlement);

/* A granted lease, piece by piece, as the keeper opens it: begin, cards, CVVs.  The counts come
 * first. */
struct message_lent_card {
    char token[CONTRACT_TOKEN_MAX + 1];
    const uint8_t *number;
    uint8_t number_size;
    uint8_t exp_month;
    uint16_t exp_year;
    const uint8_t *name;
    uint8_t name_size;
};
void message_lent_card_encode(const struct message_lent_card *card, struct buffer *out);
void message_lent_card_decode(struct cursor *in, struct message_lent_card *out_card);

/* u8 length and bytes. */
void message_bytes_encode(const void *bytes, size_t size, struct buffer *out);
const uint8_t *message_bytes_decode(struct cursor *in, uint8_t *out_size);

#endif
