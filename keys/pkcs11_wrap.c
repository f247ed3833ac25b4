/* SPDX-License-Identifier: Apache-2.0 */
/* A root into a blob and back, by either mechanism: pkcs11.h has the bytes. */
#include <assert.h>
#include <openssl/sha.h>
#include <sodium.h>
#include <string.h>

#include "base/encode.h"
#include "base/own.h"
#include "keys/pkcs11_parts.h"

#define BLOB_VERSION  1u
#define DIGEST_BYTES  SHA256_DIGEST_LENGTH
#define BOUND_BYTES   (PKCS11_ROOT_BYTES + DIGEST_BYTES)
#define GCM_BYTES     (PKCS11_ROOT_BYTES + PKCS11_TAG_BYTES)
#define WRAPPED_BYTES (BOUND_BYTES + 8u) /* RFC 5649 adds one block. */
#define PLAIN_ROOM    96u                /* Tokens may ask for more room than they fill. */
#define CIPHER_ROOM   128u

#define ATTRIBUTE(type, object)                                                                    \
    {                                                                                              \
        (type), &(object), sizeof(object)                                                          \
    }

static CK_GCM_PARAMS gcm_params(uint8_t iv[static PKCS11_IV_BYTES], const char *binding)
{
    uintptr_t bound = (uintptr_t)binding; /* The module only reads it. */

    return (CK_GCM_PARAMS){
        .pIv = iv,
        .ulIvLen = PKCS11_IV_BYTES,
        .ulIvBits = PKCS11_IV_BYTES * 8u,
        .pAAD = (CK_BYTE_PTR)bound,
        .ulAADLen = strlen(binding),
        .ulTagBits = PKCS11_TAG_BITS,
    };
}

static STATUS refuse_blob(struct pkcs11 *pkcs11, struct pkcs11_problem *problem)
{
    return pkcs11_problem_set(problem, PKCS11_BLOB_REFUSED, FAIL(WHY_FORGED),
                              "The key \"%s\" on the token \"%s\" does not open this vault's root: "
                              "it is not the key that wrapped it, or the store's seal row was "
                              "changed; connect the right token, or restore the key or the store "
                              "from a backup.",
                              pkcs11->key_label, pkcs11->token_label);
}

/* What fails on the way to a blob's root is the blob's fault, unless the device says that it is
 * its own. */
static STATUS refuse_open(struct pkcs11 *pkcs11, CK_RV answer, const char *call,
                          struct pkcs11_problem *problem)
{
    struct status status = pkcs11_problem_of(problem, pkcs11, answer, call);

    return problem->trouble == PKCS11_GONE || answer == CKR_DEVICE_ERROR ||
                   answer == CKR_HOST_MEMORY || problem->trouble == PKCS11_NO_MECHANISM ||
                   problem->trouble == PKCS11_KEY_UNFIT
               ? status
               : refuse_blob(pkcs11, problem);
}

/* --- CKM_AES_GCM --- */

static STATUS gcm_wrap(struct pkcs11 *pkcs11, const char *binding, const struct secret *root,
                       struct buffer *blob, struct pkcs11_problem *problem)
{
    uint8_t iv[PKCS11_IV_BYTES];
    uint8_t sealed[CIPHER_ROOM];
    CK_ULONG size = sizeof sealed;
    uintptr_t plain = (uintptr_t)secret_peek(root); /* The module only reads it. */

    random_bytes(iv, sizeof iv);
    CK_GCM_PARAMS params = gcm_params(iv, binding);
    CK_MECHANISM mechanism = {CKM_AES_GCM, &params, sizeof params};
    CK_RV answer = pkcs11->calls->C_EncryptInit(pkcs11->session, &mechanism, pkcs11->key);
    if (answer != CKR_OK)
        return pkcs11_problem_of(problem, pkcs11, answer, "C_EncryptInit");
    answer = pkcs11->calls->C_Encrypt(pkcs11->session, (CK_BYTE_PTR)plain, PKCS11_ROOT_BYTES,
                                      sealed, &size);
    if (answer != CKR_OK)
        return pkcs11_problem_of(problem, pkcs11, answer, "C_Encrypt");
    if (size != GCM_BYTES)
        return pkcs11_problem_of(problem, pkcs11, CKR_GENERAL_ERROR, "C_Encrypt");
    buffer_add(blob, iv, sizeof iv); /* As the token left it: some choose their own. */
    buffer_add(blob, sealed, size);
    return STATUS_OK;
}

static STATUS gcm_unwrap(struct pkcs11 *pkcs11, const char *binding, struct cursor *blob,
                         struct secret **out_root, struct pkcs11_problem *problem)
{
    OWNED(secret_free) struct secret *plain = NULL;
    OWNED(secret_free) struct secret *root = NULL;
    uint8_t iv[PKCS11_IV_BYTES];
    uint8_t sealed[GCM_BYTES];
    CK_ULONG size = PLAIN_ROOM;
    const uint8_t *iv_stored = cursor_bytes(blob, sizeof iv);
    const uint8_t *sealed_stored = cursor_bytes(blob, sizeof sealed);

    if (!cursor_done(blob) || iv_stored == NULL || sealed_stored == NULL)
        return refuse_blob(pkcs11, problem);
    memcpy(iv, iv_stored, sizeof iv);
    memcpy(sealed, sealed_stored, sizeof sealed);
    TRY(secret_new_key(PLAIN_ROOM, &plain));
    TRY(secret_new_key(PKCS11_ROOT_BYTES, &root));
    CK_GCM_PARAMS params = gcm_params(iv, binding);
    CK_MECHANISM mechanism = {CKM_AES_GCM, &params, sizeof params};
    CK_RV answer = pkcs11->calls->C_DecryptInit(pkcs11->session, &mechanism, pkcs11->key);
    if (answer != CKR_OK)
        return refuse_open(pkcs11, answer, "C_DecryptInit", problem);
    answer = pkcs11->calls->C_Decrypt(pkcs11->session, sealed, sizeof sealed, secret_bytes(plain),
                                      &size);
    if (answer != CKR_OK)
        return refuse_open(pkcs11, answer, "C_Decrypt", problem);
    if (size != PKCS11_ROOT_BYTES)
        return refuse_blob(pkcs11, problem);
    memcpy(secret_bytes(root), secret_peek(plain), PKCS11_ROOT_BYTES);
    secret_protect(root);
    *out_root = MOVE(root);
    return STATUS_OK;
}

static void digest_of(const char *binding, uint8_t out[static DIGEST_BYTES])
{
    (void)SHA256((const uint8_t *)binding, strlen(binding), out);
}

/* --- CKM_AES_KEY_WRAP_PAD: it takes an object of the token, and binds nothing by itself --- */

static STATUS pad_wrap(struct pkcs11 *pkcs11, const char *binding, const struct secret *root,
                       struct buffer *blob, struct pkcs11_problem *problem)
{
    OWNED(secret_free) struct secret *bound = NULL;
    CK_OBJECT_CLASS class = CKO_SECRET_KEY;
    CK_KEY_TYPE type = CKK_GENERIC_SECRET;
    CK_BBOOL yes = CK_TRUE;
    CK_BBOOL no = CK_FALSE;
    CK_OBJECT_HANDLE object = 0;
    uint8_t wrapped[CIPHER_ROOM];
    CK_ULONG size = sizeof wrapped;
    CK_MECHANISM mechanism = {CKM_AES_KEY_WRAP_PAD, NULL, 0};

    TRY(secret_new_key(BOUND_BYTES, &bound));
    memcpy(secret_bytes(bound), secret_peek(root), PKCS11_ROOT_BYTES);
    digest_of(binding, secret_bytes(bound) + PKCS11_ROOT_BYTES);
    CK_ATTRIBUTE template[] = {
        ATTRIBUTE(CKA_CLASS, class),
        ATTRIBUTE(CKA_KEY_TYPE, type),
        ATTRIBUTE(CKA_TOKEN, no), /* It goes with the session. */
        ATTRIBUTE(CKA_SENSITIVE, no),
        ATTRIBUTE(CKA_EXTRACTABLE, yes),
        {CKA_VALUE, secret_bytes(bound), BOUND_BYTES},
    };
    CK_RV answer = pkcs11->calls->C_CreateObject(pkcs11->session, template,
                                                 sizeof template / sizeof template[0], &object);
    if (answer != CKR_OK)
        return pkcs11_problem_of(problem, pkcs11, answer, "C_CreateObject");
    answer =
        pkcs11->calls->C_WrapKey(pkcs11->session, &mechanism, pkcs11->key, object, wrapped, &size);
    (void)pkcs11->calls->C_DestroyObject(pkcs11->session, object);
    if (answer != CKR_OK)
        return pkcs11_problem_of(problem, pkcs11, answer, "C_WrapKey");
    if (size != WRAPPED_BYTES)
        return pkcs11_problem_of(problem, pkcs11, CKR_GENERAL_ERROR, "C_WrapKey");
    buffer_add(blob, wrapped, size);
    return STATUS_OK;
}

/* The root, where what is behind it is the digest of this binding. */
static STATUS pad_take(struct pkcs11 *pkcs11, const char *binding, const struct secret *bound,
                       struct secret **out_root, struct pkcs11_problem *problem)
{
    OWNED(secret_free) struct secret *root = NULL;
    uint8_t digest[DIGEST_BYTES];

    digest_of(binding, digest);
    if (sodium_memcmp(secret_peek(bound) + PKCS11_ROOT_BYTES, digest, sizeof digest) != 0)
        return refuse_blob(pkcs11, problem);
    TRY(secret_new_key(PKCS11_ROOT_BYTES, &root));
    memcpy(secret_bytes(root), secret_peek(bound), PKCS11_ROOT_BYTES);
    secret_protect(root);
    *out_root = MOVE(root);
    return STATUS_OK;
}

static STATUS pad_unwrap(struct pkcs11 *pkcs11, const char *binding, struct cursor *blob,
                         struct secret **out_root, struct pkcs11_problem *problem)
{
    OWNED(secret_free) struct secret *bound = NULL;
    CK_OBJECT_CLASS class = CKO_SECRET_KEY;
    CK_KEY_TYPE type = CKK_GENERIC_SECRET;
    CK_BBOOL yes = CK_TRUE;
    CK_BBOOL no = CK_FALSE;
    CK_OBJECT_HANDLE object = 0;
    CK_MECHANISM mechanism = {CKM_AES_KEY_WRAP_PAD, NULL, 0};
    uint8_t wrapped[WRAPPED_BYTES];
    const uint8_t *stored = cursor_bytes(blob, sizeof wrapped);
    CK_ATTRIBUTE template[] = {
        ATTRIBUTE(CKA_CLASS, class),  ATTRIBUTE(CKA_KEY_TYPE, type),   ATTRIBUTE(CKA_TOKEN, no),
        ATTRIBUTE(CKA_SENSITIVE, no), ATTRIBUTE(CKA_EXTRACTABLE, yes),
    };

    if (!cursor_done(blob) || stored == NULL)
        return refuse_blob(pkcs11, problem);
    memcpy(wrapped, stored, sizeof wrapped);
    TRY(secret_new_key(BOUND_BYTES, &bound));
    CK_RV answer = pkcs11->calls->C_UnwrapKey(pkcs11->session, &mechanism, pkcs11->key, wrapped,
                                              sizeof wrapped, template,
                                              sizeof template / sizeof template[0], &object);
    if (answer != CKR_OK)
        return refuse_open(pkcs11, answer, "C_UnwrapKey", problem);
    CK_ATTRIBUTE value = {CKA_VALUE, secret_bytes(bound), BOUND_BYTES};
    answer = pkcs11->calls->C_GetAttributeValue(pkcs11->session, object, &value, 1);
    (void)pkcs11->calls->C_DestroyObject(pkcs11->session, object);
    if (answer != CKR_OK || value.ulValueLen != BOUND_BYTES)
        return refuse_open(pkcs11, answer == CKR_OK ? CKR_GENERAL_ERROR : answer,
                           "C_GetAttributeValue", problem);
    return pad_take(pkcs11, binding, bound, out_root, problem);
}

/* --- Both --- */

static STATUS no_memory(struct status status, struct pkcs11_problem *problem)
{
    if (problem->trouble != PKCS11_NONE)
        return status;
    return pkcs11_problem_set(problem, PKCS11_FAILED, status,
                              "The root has no locked memory to be held in: raise the limit on "
                              "locked memory (RLIMIT_MEMLOCK).");
}

STATUS pkcs11_wrap(struct pkcs11 *pkcs11, const char *binding, const struct secret *root,
                   struct buffer *blob, struct pkcs11_problem *problem)
{
    OWNED(secret_free) struct secret *again = NULL;
    struct buffer made OWNED(buffer_free) = BUFFER(PKCS11_BLOB_BYTES_MAX);

    assert(secret_size(root) == PKCS11_ROOT_BYTES);
    assert(strlen(binding) <= PKCS11_BINDING_BYTES_MAX);
    *problem = (struct pkcs11_problem){0};
    buffer_add_u8(&made, BLOB_VERSION);
    buffer_add_u8(&made, (uint8_t)pkcs11->way);
    struct status status = pkcs11->way == PKCS11_GCM
                               ? gcm_wrap(pkcs11, binding, root, &made, problem)
                               : pad_wrap(pkcs11, binding, root, &made, problem);
    if (!failed(status))
        status = buffer_status(&made);
    if (failed(status))
        return no_memory(status, problem);
    TRY(pkcs11_unwrap(pkcs11, binding, made.bytes, made.size, &again, problem));
    if (sodium_memcmp(secret_peek(again), secret_peek(root), PKCS11_ROOT_BYTES) != 0)
        return refuse_blob(pkcs11, problem);
    buffer_add(blob, made.bytes, made.size);
    return buffer_status(blob);
}

STATUS pkcs11_unwrap(struct pkcs11 *pkcs11, const char *binding, const uint8_t *blob, size_t size,
                     struct secret **out_root, struct pkcs11_problem *problem)
{
    struct cursor in = cursor_over(blob, size);
    uint8_t version = cursor_u8(&in);
    uint8_t way = cursor_u8(&in);
    struct status status;

    assert(strlen(binding) <= PKCS11_BINDING_BYTES_MAX);
    *problem = (struct pkcs11_problem){0};
    if (in.bad || version != BLOB_VERSION || (way != PKCS11_GCM && way != PKCS11_WRAP_PAD))
        return refuse_blob(pkcs11, problem);
    status = way == PKCS11_GCM ? gcm_unwrap(pkcs11, binding, &in, out_root, problem)
                               : pad_unwrap(pkcs11, binding, &in, out_root, problem);
    return failed(status) ? no_memory(status, problem) : STATUS_OK;
}
