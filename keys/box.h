/* SPDX-License-Identifier: Apache-2.0 */
/* keys/box.h -- the one construction that seals objects (envelope.c) and keys (keyring_rows.c).
 *
 * In      plaintext, the derivation of the key it goes under, and the bytes that say where it
 *         belongs.
 * Out     version u8 | suite u8 | key id u64 | salt 32 | commitment 32 | nonce | ciphertext | tag
 *         16.
 *         okm[64] = KBKDF(key, label, place | key id u64 | salt): okm[0..31] encrypts this one
 *         message, okm[32..63] is the commitment.  Associated data: everything before the
 *         ciphertext, then the place.  Plaintext is u16 size | bytes | zeros up to `padded`.
 * Never   decrypts before the commitment was compared: the ciphers do not commit to their key, so
 *         that one ciphertext can be made to open under two (standards.md 2.1).
 * Threads one at a time per box.
 */
#ifndef KEYS_BOX_H
#define KEYS_BOX_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/status.h"
#include "keys/aead.h"
#include "keys/kdf.h"

#define BOX_VERSION         1u
#define BOX_SALT_BYTES      32u
#define BOX_COMMIT_BYTES    32u
#define BOX_HEADER_BYTES    (1u + 1u + 8u + BOX_SALT_BYTES + BOX_COMMIT_BYTES)
#define BOX_PLAIN_BYTES_MAX 16384u
#define BOX_PLACE_BYTES_MAX (KDF_CONTEXT_BYTES_MAX - 8u - BOX_SALT_BYTES)

/* Size of a box under AES-256-GCM that was padded to `padded`. */
#define BOX_GCM_BYTES(padded) (BOX_HEADER_BYTES + 12u + 2u + (padded) + AEAD_TAG_BYTES)

/* Where the plaintext belongs: `bytes` is an encoding in which no two places look alike. */
struct box_place {
    const char *label;
    const uint8_t *bytes;
    size_t size; /* At most BOX_PLACE_BYTES_MAX. */
    uint64_t key_id;
};

struct box;

/* Holds one locked scratch, so that plaintext is never on an ordinary heap or stack.  WHY_LIMIT
 * where it cannot be locked. */
STATUS box_new(struct box **out_box);
void box_free(struct box **box);

/* Appends to `out`.  `padded` is at least `size` (WHY_BAD_INPUT) and at most BOX_PLAIN_BYTES_MAX
 * (WHY_LIMIT). */
struct box_plain {
    const uint8_t *bytes;
    size_t size;
    size_t padded;
};
STATUS box_seal(struct box *box, struct kdf *kdf, enum aead_suite suite,
                const struct box_place *place, const struct box_plain *plain, struct buffer *out);

/* WHY_FORGED: not a box, or not this key's, or not this place's; WHY_LIMIT: the plaintext passes
 * `plain_max`.  `out_plain` and `out_size` are written only on success. */
struct box_sealed {
    const uint8_t *bytes;
    size_t size;
};
STATUS box_open(struct box *box, struct kdf *kdf, const struct box_place *place,
                struct box_sealed sealed, uint8_t *out_plain, size_t plain_max, size_t *out_size);

/* Forgets the key that the last box was sealed or opened with. */
void box_forget(struct box *box);

/* The key that sealed it, from the header.  WHY_FORGED: too short, or another version. */
STATUS box_key_id(struct box_sealed sealed, uint64_t *out_key_id);

#endif
