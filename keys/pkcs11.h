/* SPDX-License-Identifier: Apache-2.0 */
/* keys/pkcs11.h -- a root key that is wrapped by a key of an HSM, through its vendor's module.
 *
 * In      the module's path, the labels of one token and of one AES-256 key on it, the user's PIN.
 * Out     a blob that is no secret, of a root; and the root of a blob.
 * Never   takes a wrapping key that can leave its token, or that could once; tries a PIN twice, or
 *         once where that is the last try; puts a PIN, a root or a handle into a problem's text.
 * Threads one.
 *
 * The module is code of others: only the process made for it (vault/hsm.c) calls this.  A blob is
 *   u8 version | u8 mechanism | then, for CKM_AES_GCM, 12 bytes of IV, 32 of root, 16 of tag, with
 *   the binding as associated data; for CKM_AES_KEY_WRAP_PAD the wrapped 32 bytes of root and
 *   SHA-256 of the binding, 72 bytes in all.
 */
#ifndef KEYS_PKCS11_H
#define KEYS_PKCS11_H

#include <stdbool.h>

#include "base/buffer.h"
#include "base/secret.h"
#include "base/status.h"

#define PKCS11_ROOT_BYTES        32u
#define PKCS11_BLOB_BYTES_MAX    128u
#define PKCS11_BINDING_BYTES_MAX 256u
#define PKCS11_PIN_BYTES_MAX     255u
#define PKCS11_TEXT_BYTES        384u

/* What stands in the way.  The numbers travel (vault/hsm_frames.h): none is used again. */
enum pkcs11_trouble {
    PKCS11_NONE = 0,
    PKCS11_NO_MODULE = 1,
    PKCS11_NO_TOKEN = 2,
    PKCS11_TOKENS_ALIKE = 3,
    PKCS11_NO_PIN = 4, /* Its file is not there, or not for its owner alone. */
    PKCS11_PIN_WRONG = 5,
    PKCS11_PIN_LOCKED = 6, /* Or one wrong try away from it. */
    PKCS11_NO_KEY = 7,
    PKCS11_KEY_UNFIT = 8, /* Extractable, say. */
    PKCS11_NO_MECHANISM = 9,
    PKCS11_BLOB_REFUSED = 10, /* Another key, another vault's blob, or damage. */
    PKCS11_GONE = 11,
    PKCS11_FAILED = 12,
    PKCS11_TROUBLE_COUNT
};

struct pkcs11_problem {
    enum pkcs11_trouble trouble;
    char text[PKCS11_TEXT_BYTES]; /* One sentence, which says what to do. */
};

struct pkcs11_place {
    const char *module;
    const char *token;
    const char *key;
    bool make_key; /* Where the token has none of that label. */
};

/* What a person wants to see of a token; no secret. */
struct pkcs11_token {
    char label[33];
    char manufacturer[33];
    char model[17];
    char serial[17];
    const char *mechanism; /* "CKM_AES_GCM" or "CKM_AES_KEY_WRAP_PAD". */
};

/* A module that is loaded, a session, a key. */
struct pkcs11;

/* Reads a PIN: the file's first line, which nobody but its owner (us, or root) may read.
 * WHY_NOT_FOUND, WHY_DENIED, WHY_BAD_INPUT. */
STATUS pkcs11_pin_read(const char *path, struct secret **out_pin, struct pkcs11_problem *problem);

/* Loads the module, finds the one token, logs in once, finds or makes the key, and looks at every
 * attribute that keeps it there.  *problem in any failure.  WHY_NOT_FOUND: module, token or key;
 * WHY_DENIED: the PIN, or a key that does not keep to its token; WHY_BAD_INPUT: the token cannot do
 * what is needed; WHY_IO: all else. */
STATUS pkcs11_open(const struct pkcs11_place *place, const struct secret *pin,
                   struct pkcs11 **out_pkcs11, struct pkcs11_problem *problem);
/* Logs out, and lets go of the module. */
void pkcs11_close(struct pkcs11 **pkcs11);

void pkcs11_describe(const struct pkcs11 *pkcs11, struct pkcs11_token *out_token);

/* Adds the blob, once it was seen to open again.  `binding` says which vault's root it is. */
STATUS pkcs11_wrap(struct pkcs11 *pkcs11, const char *binding, const struct secret *root,
                   struct buffer *blob, struct pkcs11_problem *problem);

/* WHY_FORGED: that blob is not of this key, or not of this binding. */
STATUS pkcs11_unwrap(struct pkcs11 *pkcs11, const char *binding, const uint8_t *blob, size_t size,
                     struct secret **out_root, struct pkcs11_problem *problem);

/* Whether the same may work later with nothing changed here: never with a PIN, which locks. */
static inline bool pkcs11_try_again(enum pkcs11_trouble trouble)
{
    return trouble != PKCS11_NO_PIN && trouble != PKCS11_PIN_WRONG && trouble != PKCS11_PIN_LOCKED;
}

#endif
