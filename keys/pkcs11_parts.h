/* SPDX-License-Identifier: Apache-2.0 */
/* keys/pkcs11_parts.h -- what the files of pkcs11.h share, and nobody else.
 *
 * In      a module's function list.
 * Out     its answers, as statuses and sentences.
 * Never   is included outside keys/pkcs11*.c.
 * Threads one.
 */
#ifndef KEYS_PKCS11_PARTS_H
#define KEYS_PKCS11_PARTS_H

#include <p11-kit/pkcs11.h>

#include "keys/pkcs11.h"

#define PKCS11_TAG_BITS  128u
#define PKCS11_TAG_BYTES 16u
#define PKCS11_IV_BYTES  12u

/* In a blob: none is used again. */
enum pkcs11_way { PKCS11_GCM = 1, PKCS11_WRAP_PAD = 2 };

struct pkcs11 {
    void *library;
    CK_FUNCTION_LIST *calls;
    CK_SLOT_ID slot;
    CK_SESSION_HANDLE session;
    CK_OBJECT_HANDLE key;
    enum pkcs11_way way; /* Of a new blob. */
    CK_TOKEN_INFO info;
    const char *token_label; /* Lent by the place: for sentences. */
    const char *key_label;
    bool initialised;
    bool has_session;
};

/* --- pkcs11_say.c --- */
STATUS pkcs11_problem_set(struct pkcs11_problem *problem, enum pkcs11_trouble trouble,
                          struct status status, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* What the module answered to `call`; what is wrong with a PIN is said by its own sentences. */
STATUS pkcs11_problem_of(struct pkcs11_problem *problem, const struct pkcs11 *pkcs11, CK_RV answer,
                         const char *call);

/* --- pkcs11_key.c: finds the key or makes it, and looks at its attributes --- */
STATUS pkcs11_key_open(struct pkcs11 *pkcs11, bool make, struct pkcs11_problem *problem);

#endif
