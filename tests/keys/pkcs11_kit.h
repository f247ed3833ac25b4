/* SPDX-License-Identifier: Apache-2.0 */
/* A token of SoftHSM in a folder of its own, and keys on it that the vault must not take. */
#ifndef TESTS_PKCS11_KIT_H
#define TESTS_PKCS11_KIT_H

#include <criterion/criterion.h>
#include <dlfcn.h>
#include <ftw.h>
#include <p11-kit/pkcs11.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KIT_MODULE "/usr/lib/softhsm/libsofthsm2.so"
#define KIT_TOKEN  "cardkeep"
#define KIT_PIN    "pin-7391-of-a-test"
#define KIT_SO_PIN "so-pin-of-a-test"

static char kit_folder[] = "/tmp/cardkeep-pkcs11-XXXXXX";
static char kit_tokens[64];

static inline const char *kit_path(const char *name)
{
    static char path[4][128];
    static unsigned next;
    char *out = path[next++ % 4];

    (void)snprintf(out, sizeof path[0], "%s/%s", kit_folder, name);
    return out;
}

static inline void kit_write(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");

    cr_assert(file != NULL);
    cr_assert(fputs(text, file) >= 0);
    cr_assert_eq(fclose(file), 0);
    cr_assert_eq(chmod(path, 0600), 0);
}

static inline void kit_configure(void)
{
    char text[256];

    (void)snprintf(text, sizeof text,
                   "directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\n",
                   kit_tokens);
    kit_write(kit_path("softhsm2.conf"), text);
    cr_assert_eq(setenv("SOFTHSM2_CONF", kit_path("softhsm2.conf"), 1), 0);
}

static inline CK_FUNCTION_LIST *kit_begin(void)
{
    CK_FUNCTION_LIST *calls = NULL;
    CK_C_GetFunctionList get = NULL;
    void *library = dlopen(KIT_MODULE, RTLD_NOW | RTLD_LOCAL);

    cr_assert(library != NULL, "%s", dlerror());
    void *symbol = dlsym(library, "C_GetFunctionList");
    memcpy(&get, &symbol, sizeof get);
    cr_assert_eq(get(&calls), CKR_OK);
    cr_assert_eq(calls->C_Initialize(NULL), CKR_OK);
    return calls;
}

static inline void kit_end(CK_FUNCTION_LIST *calls)
{
    cr_assert_eq(calls->C_Finalize(NULL), CKR_OK);
}

static inline CK_UTF8CHAR *kit_text(const char *text)
{
    uintptr_t lent = (uintptr_t)text;

    return (CK_UTF8CHAR *)lent;
}

static inline CK_SESSION_HANDLE kit_session(CK_FUNCTION_LIST *calls, CK_SLOT_ID slot,
                                            CK_USER_TYPE user, const char *pin)
{
    CK_SESSION_HANDLE session = 0;

    cr_assert_eq(
        calls->C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session),
        CKR_OK);
    cr_assert_eq(calls->C_Login(session, user, kit_text(pin), strlen(pin)), CKR_OK);
    return session;
}

/* The last slot is the one without a token yet. */
static inline CK_SLOT_ID kit_slot(CK_FUNCTION_LIST *calls, bool fresh)
{
    CK_SLOT_ID slots[8];
    CK_ULONG count = 8;

    cr_assert_eq(calls->C_GetSlotList(CK_TRUE, slots, &count), CKR_OK);
    cr_assert(count > 0);
    return fresh ? slots[count - 1] : slots[0];
}

static inline void kit_make_token(const char *label)
{
    CK_FUNCTION_LIST *calls = kit_begin();
    CK_SLOT_ID slot = kit_slot(calls, true);
    CK_UTF8CHAR padded[32];

    memset(padded, ' ', sizeof padded);
    memcpy(padded, label, strlen(label));
    cr_assert_eq(calls->C_InitToken(slot, kit_text(KIT_SO_PIN), strlen(KIT_SO_PIN), padded),
                 CKR_OK);
    CK_SESSION_HANDLE session = kit_session(calls, slot, CKU_SO, KIT_SO_PIN);
    cr_assert_eq(calls->C_InitPIN(session, kit_text(KIT_PIN), strlen(KIT_PIN)), CKR_OK);
    kit_end(calls);
}

struct kit_key {
    const char *label;
    CK_ULONG bytes;
    CK_BBOOL sensitive;
    CK_BBOOL extractable;
    CK_BBOOL on_token;
    bool brought_in; /* Its bytes were known outside. */
};

static inline void kit_make_key(const struct kit_key *key)
{
    CK_FUNCTION_LIST *calls = kit_begin();
    CK_SESSION_HANDLE session = kit_session(calls, kit_slot(calls, false), CKU_USER, KIT_PIN);
    CK_OBJECT_CLASS class = CKO_SECRET_KEY;
    CK_KEY_TYPE type = CKK_AES;
    CK_BBOOL yes = CK_TRUE;
    CK_BBOOL sensitive = key->sensitive;
    CK_BBOOL extractable = key->extractable;
    CK_BBOOL on_token = key->on_token;
    CK_ULONG bytes = key->bytes;
    CK_BYTE value[32] = {1, 2, 3};
    CK_OBJECT_HANDLE object = 0;
    CK_MECHANISM make = {CKM_AES_KEY_GEN, NULL, 0};
    CK_ATTRIBUTE template[] = {
        {CKA_TOKEN, &on_token, sizeof on_token},
        {CKA_PRIVATE, &yes, sizeof yes},
        {CKA_SENSITIVE, &sensitive, sizeof sensitive},
        {CKA_EXTRACTABLE, &extractable, sizeof extractable},
        {CKA_ENCRYPT, &yes, sizeof yes},
        {CKA_DECRYPT, &yes, sizeof yes},
        {CKA_LABEL, kit_text(key->label), strlen(key->label)},
        {CKA_VALUE_LEN, &bytes, sizeof bytes},
        {CKA_CLASS, &class, sizeof class},
        {CKA_KEY_TYPE, &type, sizeof type},
    };
    CK_RV answer = CKR_OK;

    if (key->brought_in) {
        template[7] = (CK_ATTRIBUTE){CKA_VALUE, value, key->bytes};
        answer = calls->C_CreateObject(session, template, 10, &object);
    } else {
        answer = calls->C_GenerateKey(session, &make, template, 8, &object);
    }
    cr_assert_eq(answer, CKR_OK, "0x%lx", answer);
    kit_end(calls);
}

/* What softhsm2-util cannot: a key goes. */
static inline void kit_delete_key(const char *label)
{
    CK_FUNCTION_LIST *calls = kit_begin();
    CK_SESSION_HANDLE session = kit_session(calls, kit_slot(calls, false), CKU_USER, KIT_PIN);
    CK_ATTRIBUTE sought = {CKA_LABEL, kit_text(label), strlen(label)};
    CK_OBJECT_HANDLE object = 0;
    CK_ULONG count = 0;

    cr_assert_eq(calls->C_FindObjectsInit(session, &sought, 1), CKR_OK);
    cr_assert_eq(calls->C_FindObjects(session, &object, 1, &count), CKR_OK);
    cr_assert_eq(count, 1);
    cr_assert_eq(calls->C_FindObjectsFinal(session), CKR_OK);
    cr_assert_eq(calls->C_DestroyObject(session, object), CKR_OK);
    kit_end(calls);
}

static inline int kit_remove_one(const char *path, const struct stat *stat, int kind,
                                 struct FTW *walk)
{
    (void)stat;
    (void)kind;
    (void)walk;
    return remove(path);
}

static inline void kit_remove(void)
{
    cr_assert_eq(nftw(kit_folder, kit_remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

static inline void kit_make(void)
{
    cr_assert(mkdtemp(kit_folder) != NULL);
    (void)snprintf(kit_tokens, sizeof kit_tokens, "%s/tokens", kit_folder);
    cr_assert_eq(mkdir(kit_tokens, 0700), 0);
    kit_configure();
    kit_make_token(KIT_TOKEN);
    kit_write(kit_path("pin"), KIT_PIN "\n");
}

#endif
