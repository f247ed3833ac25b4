/* SPDX-License-Identifier: Apache-2.0 */
/* keys/envelope.h -- seals one object under a data key, and opens it again.
 *
 * In      plaintext, and the place it belongs to.
 * Out     version u8 | suite u8 | key id u64 | salt 32 | commitment 32 | nonce | ciphertext | tag
 *         16: safe on disk, useless anywhere but in that place.  okm[64] = KBKDF(DEK,
 *         "cardkeep/v1/<purpose>", lp(environment) lp(tenant) lp(object) u64 key id, salt);
 *         okm[0..31] encrypts this one object, okm[32..63] is the commitment, compared in constant
 *         time before anything is decrypted (standards.md 2.1).  The header and the place are
 *         associated data.  Plaintext is u16 size | bytes | zeros up to `padded`.  lp is a u16
 *         length and the bytes.  box.h does the work.
 * Never   reads a clock, a file or a socket; logs; keeps a copy of what it sealed or opened.
 * Threads one at a time per keyring.
 */
#ifndef KEYS_ENVELOPE_H
#define KEYS_ENVELOPE_H

#include <stdint.h>

#include "base/buffer.h"
#include "base/status.h"
#include "keys/keyring.h"

#define ENVELOPE_VERSION         1u
#define ENVELOPE_PLAIN_BYTES_MAX 16384u
#define ENVELOPE_PURPOSE_MAX     16u
#define ENVELOPE_OVERHEAD_MAX    (1u + 1u + 8u + 32u + 32u + 24u + 2u + 16u)

enum envelope_suite {
    ENVELOPE_AES_256_GCM = 1,       /* 12-byte nonce; OpenSSL EVP. */
    ENVELOPE_XCHACHA20_POLY1305 = 2 /* 24-byte nonce; libsodium.  For migration between suites. */
};

/* Where the object lives; bound by derivation and as associated data. */
struct envelope_place {
    const char *tenant;
    const char *purpose; /* "card", "view", "cvv", "wrap": a label, not input. */
    uint8_t object[16];  /* Record id or the like, unused bytes zero. */
};

/* Appends the envelope to `out`.  `padded` is at least size (WHY_BAD_INPUT) and at most
 * ENVELOPE_PLAIN_BYTES_MAX (WHY_LIMIT).  WHY_NOT_FOUND: the ring lacks the key; WHY_DENIED: its
 * state does not encrypt, or it is another tenant's.  `out` has no use after a failure. */
STATUS envelope_seal(struct keyring *ring, uint64_t key_id, enum envelope_suite suite,
                     const struct envelope_place *place, const uint8_t *plain, size_t size,
                     size_t padded, struct buffer *out);

/* Opens into `out_plain`, which has room for `plain_max` bytes.  WHY_NOT_FOUND: the ring lacks the
 * key; WHY_DENIED: its state does not open; WHY_FORGED: any byte of the envelope or of `place` is
 * not as sealed, and then nothing is released; WHY_LIMIT: no room. */
STATUS envelope_open(struct keyring *ring, const struct envelope_place *place,
                     const uint8_t *sealed, size_t sealed_size, uint8_t *out_plain,
                     size_t plain_max, size_t *out_size);

/* The same, for a compromised key as well: for jobs that move away what is under it, alone. */
STATUS envelope_open_migrating(struct keyring *ring, const struct envelope_place *place,
                               const uint8_t *sealed, size_t sealed_size, uint8_t *out_plain,
                               size_t plain_max, size_t *out_size);

/* The suite that sealed it, from the header. */
STATUS envelope_suite_of(const uint8_t *sealed, size_t sealed_size, enum envelope_suite *out_suite);

/* The key that sealed it, from the header. */
STATUS envelope_key_id(const uint8_t *sealed, size_t sealed_size, uint64_t *out_key_id);

#endif
