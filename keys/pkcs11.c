/* SPDX-License-Identifier: Apache-2.0 */
#include "keys/pkcs11.h"

#include <assert.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "keys/pkcs11_parts.h"

#define SLOTS_MAX      64u
#define MECHANISMS_MAX 1024u

/* As the standard has them: padded with spaces, without a NUL. */
static void text_of(const unsigned char *padded, size_t size, char *out)
{
    while (size > 0 && (padded[size - 1] == ' ' || padded[size - 1] == '\0'))
        size--;
    for (size_t i = 0; i < size; i++)
        out[i] = padded[i] >= ' ' && padded[i] <= '~' ? (char)padded[i] : '?';
    out[size] = '\0';
}

static STATUS module_load(struct pkcs11 *pkcs11, const char *path, struct pkcs11_problem *problem)
{
    CK_C_INITIALIZE_ARGS locks = {.flags = CKF_OS_LOCKING_OK}; /* Some have threads of their own. */
    CK_C_GetFunctionList get = NULL;

    pkcs11->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (pkcs11->library == NULL)
        return pkcs11_problem_set(problem, PKCS11_NO_MODULE, FAIL(WHY_NOT_FOUND),
                                  "The HSM's module cannot be loaded (%s): install it, or correct "
                                  "`module` under `seal: pkcs11:`.",
                                  dlerror());
    /* POSIX's way from a pointer to data to one to a function. */
    void *symbol = dlsym(pkcs11->library, "C_GetFunctionList");
    memcpy(&get, &symbol, sizeof get);
    if (get == NULL || get(&pkcs11->calls) != CKR_OK || pkcs11->calls == NULL)
        return pkcs11_problem_set(problem, PKCS11_NO_MODULE, FAIL(WHY_NOT_FOUND),
                                  "%s is no PKCS#11 module: correct `module` under `seal: "
                                  "pkcs11:`.",
                                  path);
    CK_RV answer = pkcs11->calls->C_Initialize(&locks);
    if (answer == CKR_CANT_LOCK || answer == CKR_ARGUMENTS_BAD)
        answer = pkcs11->calls->C_Initialize(NULL); /* It knows one thread alone: so do we. */
    if (answer != CKR_OK)
        return pkcs11_problem_set(problem, PKCS11_NO_MODULE, FAIL(WHY_NOT_FOUND),
                                  "The HSM's module %s does not start (0x%lx): look at its own "
                                  "configuration, and whether `files` under `seal: pkcs11:` names "
                                  "all that it reads.",
                                  path, answer);
    pkcs11->initialised = true;
    return STATUS_OK;
}

/* The one slot with a token of that label. */
static STATUS slot_find(struct pkcs11 *pkcs11, struct pkcs11_problem *problem)
{
    CK_SLOT_ID slots[SLOTS_MAX];
    CK_ULONG count = SLOTS_MAX;
    unsigned found = 0;
    char label[33];

    CK_RV answer = pkcs11->calls->C_GetSlotList(CK_TRUE, slots, &count);
    if (answer != CKR_OK)
        return pkcs11_problem_of(problem, pkcs11, answer, "C_GetSlotList");
    for (CK_ULONG i = 0; i < count && i < SLOTS_MAX; i++) {
        CK_TOKEN_INFO info;
        if (pkcs11->calls->C_GetTokenInfo(slots[i], &info) != CKR_OK)
            continue; /* Taken out in this moment, or not for us. */
        text_of(info.label, sizeof info.label, label);
        if (strcmp(label, pkcs11->token_label) != 0 || (info.flags & CKF_TOKEN_INITIALIZED) == 0)
            continue;
        pkcs11->slot = slots[i];
        pkcs11->info = info;
        found++;
    }
    if (found == 0)
        return pkcs11_problem_set(problem, PKCS11_NO_TOKEN, FAIL(WHY_NOT_FOUND),
                                  "No token with the label \"%s\" is in any of the HSM's slots: "
                                  "connect it (the vault tries again by itself), or correct "
                                  "`token` under `seal: pkcs11:`.",
                                  pkcs11->token_label);
    if (found > 1)
        return pkcs11_problem_set(problem, PKCS11_TOKENS_ALIKE, FAIL(WHY_NOT_FOUND),
                                  "%u tokens have the label \"%s\": take the others out, or give "
                                  "each a label of its own.",
                                  found, pkcs11->token_label);
    return STATUS_OK;
}

/* GCM binds without a second object on the token, so it goes first. */
static STATUS way_choose(struct pkcs11 *pkcs11, struct pkcs11_problem *problem)
{
    CK_MECHANISM_TYPE listed[MECHANISMS_MAX];
    CK_ULONG count = MECHANISMS_MAX;
    bool gcm = false;
    bool pad = false;

    CK_RV answer = pkcs11->calls->C_GetMechanismList(pkcs11->slot, listed, &count);
    if (answer != CKR_OK)
        return pkcs11_problem_of(problem, pkcs11, answer, "C_GetMechanismList");
    for (CK_ULONG i = 0; i < count && i < MECHANISMS_MAX; i++) {
        gcm = gcm || listed[i] == CKM_AES_GCM;
        pad = pad || listed[i] == CKM_AES_KEY_WRAP_PAD;
    }
    if (!gcm && !pad)
        return pkcs11_problem_set(problem, PKCS11_NO_MECHANISM, FAIL(WHY_BAD_INPUT),
                                  "The token \"%s\" has neither CKM_AES_GCM nor "
                                  "CKM_AES_KEY_WRAP_PAD: take one that has, or have it permitted.",
                                  pkcs11->token_label);
    pkcs11->way = gcm ? PKCS11_GCM : PKCS11_WRAP_PAD;
    return STATUS_OK;
}

/* Once.  A wrong PIN counts on the token, and where one try is left it is a person's to use. */
static STATUS log_in(struct pkcs11 *pkcs11, const struct secret *pin,
                     struct pkcs11_problem *problem)
{
    if ((pkcs11->info.flags & CKF_LOGIN_REQUIRED) == 0)
        return STATUS_OK;
    if ((pkcs11->info.flags & (CKF_USER_PIN_FINAL_TRY | CKF_USER_PIN_LOCKED)) != 0)
        return pkcs11_problem_set(
            problem, PKCS11_PIN_LOCKED, FAIL(WHY_DENIED),
            (pkcs11->info.flags & CKF_USER_PIN_LOCKED) != 0
                ? "The user PIN of the token \"%s\" is locked: have its security officer set a new "
                  "one, put it into its file, and start the vault again."
                : "One wrong try more would lock the user PIN of the token \"%s\", so it is not "
                  "tried: log in once by the HSM's own tools, see that the PIN's file is right, "
                  "and start the vault again.",
            pkcs11->token_label);
    /* The module only reads it; the standard's type does not say so. */
    uintptr_t text = (uintptr_t)secret_peek(pin);
    CK_RV answer =
        pkcs11->calls->C_Login(pkcs11->session, CKU_USER, (CK_UTF8CHAR_PTR)text, secret_size(pin));
    if (answer != CKR_OK && answer != CKR_USER_ALREADY_LOGGED_IN)
        return pkcs11_problem_of(problem, pkcs11, answer, "C_Login");
    return STATUS_OK;
}

STATUS pkcs11_open(const struct pkcs11_place *place, const struct secret *pin,
                   struct pkcs11 **out_pkcs11, struct pkcs11_problem *problem)
{
    OWNED(pkcs11_close) struct pkcs11 *pkcs11 = calloc(1, sizeof *pkcs11);
    CK_FLAGS flags = CKF_SERIAL_SESSION | (place->make_key ? CKF_RW_SESSION : 0);

    assert(pin != NULL);
    assert(problem != NULL);
    if (pkcs11 == NULL)
        return pkcs11_problem_set(problem, PKCS11_FAILED, FAIL(WHY_NO_MEMORY),
                                  "There is no memory for the HSM's module: free some.");
    pkcs11->token_label = place->token;
    pkcs11->key_label = place->key;
    TRY(module_load(pkcs11, place->module, problem));
    TRY(slot_find(pkcs11, problem));
    TRY(way_choose(pkcs11, problem));
    CK_RV answer = pkcs11->calls->C_OpenSession(pkcs11->slot, flags, NULL, NULL, &pkcs11->session);
    if (answer != CKR_OK)
        return pkcs11_problem_of(problem, pkcs11, answer, "C_OpenSession");
    pkcs11->has_session = true;
    TRY(log_in(pkcs11, pin, problem));
    TRY(pkcs11_key_open(pkcs11, place->make_key, problem));
    problem->trouble = PKCS11_NONE;
    problem->text[0] = '\0';
    *out_pkcs11 = MOVE(pkcs11);
    return STATUS_OK;
}

void pkcs11_close(struct pkcs11 **pkcs11)
{
    struct pkcs11 *old = MOVE(*pkcs11);

    if (old == NULL)
        return;
    if (old->has_session) {
        (void)old->calls->C_Logout(old->session);
        (void)old->calls->C_CloseSession(old->session);
    }
    if (old->initialised)
        (void)old->calls->C_Finalize(NULL);
    if (old->library != NULL)
        (void)dlclose(old->library);
    free(old);
}

void pkcs11_describe(const struct pkcs11 *pkcs11, struct pkcs11_token *out_token)
{
    const CK_TOKEN_INFO *info = &pkcs11->info;

    text_of(info->label, sizeof info->label, out_token->label);
    text_of(info->manufacturerID, sizeof info->manufacturerID, out_token->manufacturer);
    text_of(info->model, sizeof info->model, out_token->model);
    text_of(info->serialNumber, sizeof info->serialNumber, out_token->serial);
    out_token->mechanism = pkcs11->way == PKCS11_GCM ? "CKM_AES_GCM" : "CKM_AES_KEY_WRAP_PAD";
}
