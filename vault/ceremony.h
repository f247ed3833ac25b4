/* SPDX-License-Identifier: Apache-2.0 */
/* vault/ceremony.h -- a new root into the hands of n custodians, step by step.
 *
 * In      who is to hold a share, and how many open the vault; then, from each of them, the duty
 *         taken over with a public key, the share fetched, the share proven.
 * Out     each custodian's share in a box that only it opens, once; at the end the root and the
 *         seal's record.
 * Never   draws a root before every custodian has accepted (KEY-12); gives a share twice; counts
 *         one person, certificate or key for two.
 * Threads the keeper's.
 *
 * All of it is in memory: what ends before its end, by a restart, a deadline or a word, leaves the
 * vault as it was.
 */
#ifndef VAULT_CEREMONY_H
#define VAULT_CEREMONY_H

#include "base/json.h"
#include "keys/custodian.h"
#include "keys/seal.h"
#include "vault/problem.h"

#define CEREMONY_ID_BYTES   32u
#define CEREMONY_NAME_BYTES SEAL_NAME_BYTES_MAX
#define CEREMONY_MS_DEFAULT (3600 * 1000LL)
#define CEREMONY_MS_MAX     (24 * 3600 * 1000LL)

enum ceremony_kind {
    CEREMONY_INIT,  /* A new vault's first root. */
    CEREMONY_REKEY, /* A new root for a vault that is open, whatever its seal was. */
};
extern const char *const ceremony_kind_names[]; /* "init", "rekey" */

struct ceremony_plan {
    enum ceremony_kind kind;
    unsigned threshold;
    unsigned count;
    char names[SEAL_CUSTODIANS_MAX][CEREMONY_NAME_BYTES];
    int64_t within_ms;
};

struct ceremony;

/* What the keeper holds of all this. */
struct ceremony_book {
    struct ceremony *now; /* NULL: none is under way. */
    struct ceremony_past {
        char id[CEREMONY_ID_BYTES];
        char how[96]; /* "it ended at its deadline" */
    } past;           /* The one before. */
    struct seal_record record;
    struct unseal *unseal; /* Shares that were given: keeper_unseal.c. */
};

/* A principal and the SHA-256, in hex, of the certificate that it came with. */
struct ceremony_person {
    const char *name;
    const char *certificate;
};

/* WHY_BAD_INPUT: a threshold or a number of custodians that no split has, or one name twice;
 * *out_problem says which field of the request that was. */
STATUS ceremony_plan_check(const struct ceremony_plan *plan, struct problem *out_problem);

/* `ends_ms` is by the caller's clock, for ceremony_ends_ms() to give back. */
STATUS ceremony_new(const struct ceremony_plan *plan, int64_t ends_ms, struct ceremony **out);
void ceremony_free(struct ceremony **ceremony);

const char *ceremony_id(const struct ceremony *ceremony);
enum ceremony_kind ceremony_kind(const struct ceremony *ceremony);
int64_t ceremony_ends_ms(const struct ceremony *ceremony);

/* The steps of one custodian.  Each refuses, with a sentence in *out_problem, what comes twice, too
 * early, from somebody else or with another certificate than before; then nothing has changed. */

/* Takes over the duty. */
STATUS ceremony_accept(struct ceremony *ceremony, const struct ceremony_person *person,
                       const uint8_t public_key[static CUSTODIAN_KEY_BYTES],
                       struct problem *out_problem);

struct ceremony_box {
    uint8_t set[SHARE_SET_BYTES];
    uint8_t threshold;
    uint8_t index;
    uint8_t box[CUSTODIAN_BOX_BYTES];
};
/* The custodian's own share, where `public_key` is NULL or what it accepted with.  The first of
 * these draws and splits the root. */
STATUS ceremony_collect(struct ceremony *ceremony, const struct ceremony_person *person,
                        const uint8_t *public_key, struct ceremony_box *out_box,
                        struct problem *out_problem);

/* The share was read back: `digest` is share_digest()'s.  *out_all: everybody has, and
 * ceremony_finish() is next. */
STATUS ceremony_confirm(struct ceremony *ceremony, const struct ceremony_person *person,
                        const uint8_t digest[static SHARE_DIGEST_BYTES], bool *out_all,
                        struct problem *out_problem);

/* Gives the root away, and the record that goes with it. */
void ceremony_finish(struct ceremony *ceremony, int64_t now_ms, struct secret **out_root,
                     struct seal_record *out_record);

/* The set of shares as 16 digits of hex, and "3 of 5: custodian-1, …". */
void ceremony_set_text(const uint8_t set[static SHARE_SET_BYTES],
                       char out[static 2 * SHARE_SET_BYTES + 1]);
void ceremony_say(const struct ceremony *ceremony, struct buffer *out);
/* An object: id, kind, threshold, and each custodian's state (asked, accepted, collected,
 * confirmed) and public key. */
void ceremony_write(const struct ceremony *ceremony, int64_t ends_ms, struct json_writer *writer);

#endif
