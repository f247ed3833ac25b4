/* SPDX-License-Identifier: Apache-2.0 */
/* keys/seal.h -- the seal's row: what guards the root key, and how to know the root again.
 *
 * In      the root key, and what holds it: a file, the shares of custodians, an HSM.
 * Out     a row to store beside the wrapped keys, and whether a root is the one that it is about.
 * Never   holds a root or a share in the clear: a commitment to the one, digests of the others.
 * Threads any.
 *
 * The row is: version u8 | kind u8 | set id 8 | commitment 32 | created u64 | threshold u8 |
 * count u8, of {counted name, counted certificate, public key 32, digest 32} | u16 size and blob |
 * MAC 32.  Commitment and MAC are made under keys derived from the root and bound to the
 * environment, so that a wrong root is told from a row that was edited.
 */
#ifndef KEYS_SEAL_H
#define KEYS_SEAL_H

#include <stdint.h>

#include "base/buffer.h"
#include "base/secret.h"
#include "base/status.h"

#define SEAL_CUSTODIANS_MAX 16u
#define SEAL_NAME_BYTES_MAX 64u
#define SEAL_SET_BYTES      8u
#define SEAL_BLOB_BYTES_MAX 1024u
#define SEAL_ROW_BYTES_MAX  8192u

enum seal_kind {
    SEAL_FILE = 1, /* For development: keys/source.h. */
    SEAL_SHARES,   /* k of n custodians. */
    SEAL_PKCS11,   /* An HSM unwraps the root. */
    SEAL_KIND_END
};

struct seal_custodian {
    char name[SEAL_NAME_BYTES_MAX]; /* The principal's. */
    char certificate[65];           /* SHA-256 of the one that took this share, in hex. */
    uint8_t public_key[32];         /* X25519. */
    uint8_t digest[32];             /* Of the share: keys/custodian.h. */
};

struct seal_record {
    enum seal_kind kind;
    uint8_t set_id[SEAL_SET_BYTES]; /* Random for each root and its shares. */
    uint8_t commitment[32];
    int64_t created_ms;
    uint8_t threshold; /* SEAL_SHARES only, as the next two. */
    uint8_t count;
    struct seal_custodian custodians[SEAL_CUSTODIANS_MAX]; /* By the share's index, less 1. */
    uint8_t blob[SEAL_BLOB_BYTES_MAX];                     /* SEAL_PKCS11: the wrapped root. */
    size_t blob_size;
};

const char *seal_kind_name(enum seal_kind kind);

/* Writes the row, with commitment and MAC, into `out`, which is cleared first; *record gets its
 * commitment.  The caller has filled the rest. */
STATUS seal_encode(struct seal_record *record, const struct secret *root, const char *environment,
                   struct buffer *out);

/* WHY_FORGED: not a row.  What it says is to be trusted only once seal_check() held. */
STATUS seal_decode(const void *row, size_t size, struct seal_record *out_record);

/* WHY_DENIED: another root; WHY_FORGED: the root is right, and the row was edited. */
STATUS seal_check(const void *row, size_t size, const struct secret *root, const char *environment);

#endif
