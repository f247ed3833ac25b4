/* SPDX-License-Identifier: Apache-2.0 */
/* keys/aead.h -- the two ciphers, each with its key, nonce and associated data given per call.
 *
 * In      a key that the caller derived for this one message.
 * Out     ciphertext and its tag of 16 bytes; or the plaintext, only where the tag is right.
 * Never   chooses a key or a nonce; keeps the key past the call.
 * Threads one at a time per aead.
 */
#ifndef KEYS_AEAD_H
#define KEYS_AEAD_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#define AEAD_KEY_BYTES       32u
#define AEAD_NONCE_BYTES_MAX 24u
#define AEAD_TAG_BYTES       16u

enum aead_suite {
    AEAD_AES_256_GCM = 1,       /* OpenSSL EVP. */
    AEAD_XCHACHA20_POLY1305 = 2 /* libsodium. */
};

/* What both directions need; all lent. */
struct aead_input {
    enum aead_suite suite;
    const uint8_t *key; /* AEAD_KEY_BYTES */
    const uint8_t *nonce;
    const uint8_t *associated;
    size_t associated_size;
};

struct aead;

STATUS aead_new(struct aead **out_aead);
void aead_free(struct aead **aead);

/* 12 or 24; 0 for a suite that is not one of ours, so that bytes from disk can be asked about. */
size_t aead_nonce_bytes(unsigned suite);

/* Writes `size` + AEAD_TAG_BYTES bytes to `out`, which does not overlap `plain`. */
STATUS aead_seal(struct aead *aead, const struct aead_input *input, const uint8_t *plain,
                 size_t size, uint8_t *out);

/* Writes `sealed_size` - AEAD_TAG_BYTES bytes to `out`, and wipes them again with WHY_FORGED where
 * the tag is wrong. */
STATUS aead_open(struct aead *aead, const struct aead_input *input, const uint8_t *sealed,
                 size_t sealed_size, uint8_t *out);

/* The context keeps the last message's key until the next one's takes its place, or until here: to
 * forget costs as much as a message, so who does many at once forgets once. */
void aead_forget(struct aead *aead);

#endif
