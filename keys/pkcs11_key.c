/* SPDX-License-Identifier: Apache-2.0 */
/* The wrapping key on its token: what it must be, asked each time, since a token's own tools can
 * change what is there. */
#include <string.h>

#include "base/encode.h"
#include "keys/pkcs11_parts.h"

#define KEY_BYTES    32u
#define KEY_ID_BYTES 16u

#define ATTRIBUTE(type, object)                                                                    \
    {                                                                                              \
        (type), &(object), sizeof(object)                                                          \
    }

struct demand {
    CK_ATTRIBUTE_TYPE type;
    CK_BBOOL must;
    const char *name;
};

/* The first two say that no tool reads it out now, the next two that none ever could. */
static const struct demand demands[] = {
    {CKA_EXTRACTABLE, CK_FALSE, "is extractable"},
    {CKA_SENSITIVE, CK_TRUE, "is not sensitive"},
    {CKA_NEVER_EXTRACTABLE, CK_TRUE, "was extractable once, or was brought in from outside"},
    {CKA_ALWAYS_SENSITIVE, CK_TRUE, "was not sensitive once, or was brought in from outside"},
    {CKA_TOKEN, CK_TRUE, "is not kept by the token"},
};

static STATUS key_refuse(struct pkcs11 *pkcs11, const char *what, struct pkcs11_problem *problem)
{
    return pkcs11_problem_set(problem, PKCS11_KEY_UNFIT, FAIL(WHY_DENIED),
                              "The key \"%s\" on the token \"%s\" %s: give the vault a key that "
                              "the token made by itself and never lets out, and name it under "
                              "`seal: pkcs11:`.",
                              pkcs11->key_label, pkcs11->token_label, what);
}

/* What a token does not tell is not so. */
static STATUS key_check(struct pkcs11 *pkcs11, struct pkcs11_problem *problem)
{
    CK_FUNCTION_LIST *calls = pkcs11->calls;
    CK_KEY_TYPE type = 0;
    CK_ULONG size = 0;
    CK_ATTRIBUTE kind = ATTRIBUTE(CKA_KEY_TYPE, type);
    CK_ATTRIBUTE length = ATTRIBUTE(CKA_VALUE_LEN, size);

    for (size_t i = 0; i < sizeof demands / sizeof demands[0]; i++) {
        CK_BBOOL is = demands[i].must == CK_TRUE ? CK_FALSE : CK_TRUE;
        CK_ATTRIBUTE asked = ATTRIBUTE(demands[i].type, is);
        CK_RV answer = calls->C_GetAttributeValue(pkcs11->session, pkcs11->key, &asked, 1);
        if (answer != CKR_OK || asked.ulValueLen != sizeof is || is != demands[i].must)
            return key_refuse(pkcs11, demands[i].name, problem);
    }
    if (calls->C_GetAttributeValue(pkcs11->session, pkcs11->key, &kind, 1) != CKR_OK ||
        calls->C_GetAttributeValue(pkcs11->session, pkcs11->key, &length, 1) != CKR_OK ||
        type != CKK_AES || size != KEY_BYTES)
        return key_refuse(pkcs11, "is not an AES key of 256 bits", problem);
    return STATUS_OK;
}

/* It wraps or it encrypts, and does not do both: what can do both gives out what it wrapped. */
static STATUS key_make(struct pkcs11 *pkcs11, struct pkcs11_problem *problem)
{
    CK_BBOOL yes = CK_TRUE;
    CK_BBOOL no = CK_FALSE;
    CK_BBOOL encrypts = pkcs11->way == PKCS11_GCM ? CK_TRUE : CK_FALSE;
    CK_BBOOL wraps = encrypts == CK_TRUE ? CK_FALSE : CK_TRUE;
    CK_ULONG size = KEY_BYTES;
    CK_BYTE id[KEY_ID_BYTES];
    uintptr_t label = (uintptr_t)pkcs11->key_label; /* The module only reads it. */
    CK_MECHANISM mechanism = {CKM_AES_KEY_GEN, NULL, 0};
    CK_ATTRIBUTE template[] = {
        ATTRIBUTE(CKA_TOKEN, yes),
        ATTRIBUTE(CKA_PRIVATE, yes),
        ATTRIBUTE(CKA_SENSITIVE, yes),
        ATTRIBUTE(CKA_EXTRACTABLE, no),
        ATTRIBUTE(CKA_ENCRYPT, encrypts),
        ATTRIBUTE(CKA_DECRYPT, encrypts),
        ATTRIBUTE(CKA_WRAP, wraps),
        ATTRIBUTE(CKA_UNWRAP, wraps),
        ATTRIBUTE(CKA_VALUE_LEN, size),
        {CKA_ID, id, sizeof id},
        {CKA_LABEL, (void *)label, strlen(pkcs11->key_label)},
    };

    random_bytes(id, sizeof id);
    CK_RV answer =
        pkcs11->calls->C_GenerateKey(pkcs11->session, &mechanism, template,
                                     sizeof template / sizeof template[0], &pkcs11 -> key);
    if (answer != CKR_OK)
        return pkcs11_problem_of(problem, pkcs11, answer, "C_GenerateKey");
    return STATUS_OK;
}

STATUS pkcs11_key_open(struct pkcs11 *pkcs11, bool make, struct pkcs11_problem *problem)
{
    CK_FUNCTION_LIST *calls = pkcs11->calls;
    CK_OBJECT_CLASS class = CKO_SECRET_KEY;
    CK_OBJECT_HANDLE found[2] = {0};
    CK_ULONG count = 0;
    uintptr_t label = (uintptr_t)pkcs11->key_label; /* As above. */
    CK_ATTRIBUTE sought[] = {
        ATTRIBUTE(CKA_CLASS, class),
        {CKA_LABEL, (void *)label, strlen(pkcs11->key_label)},
    };

    CK_RV answer = calls->C_FindObjectsInit(pkcs11->session, sought, 2);
    if (answer == CKR_OK) {
        answer = calls->C_FindObjects(pkcs11->session, found, 2, &count);
        (void)calls->C_FindObjectsFinal(pkcs11->session);
    }
    if (answer != CKR_OK)
        return pkcs11_problem_of(problem, pkcs11, answer, "C_FindObjects");
    if (count > 1)
        return key_refuse(pkcs11, "is there more than once", problem);
    if (count == 0 && !make)
        return pkcs11_problem_set(problem, PKCS11_NO_KEY, FAIL(WHY_NOT_FOUND),
                                  "The token \"%s\" has no key \"%s\": restore it from the HSM's "
                                  "own backup, or connect the token that has it (the vault tries "
                                  "again by itself).",
                                  pkcs11->token_label, pkcs11->key_label);
    pkcs11->key = found[0];
    if (count == 0)
        TRY(key_make(pkcs11, problem));
    return key_check(pkcs11, problem);
}
