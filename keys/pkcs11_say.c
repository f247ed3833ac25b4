/* SPDX-License-Identifier: Apache-2.0 */
/* What a module answers, as a sentence that says what to do. */
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "keys/pkcs11_parts.h"

struct answer {
    CK_RV value;
    const char *name;
    enum pkcs11_trouble trouble;
    const char *advice;
};

#define ANSWER(value, trouble, advice)                                                             \
    {                                                                                              \
        (value), #value, (trouble), (advice)                                                       \
    }

#define TRY_PIN  "put the right PIN into its file; it is tried once for each change of the file"
#define PLUG_IN  "connect the device again; the vault tries again by itself"
#define ASK_MADE "look into the module's own log, or ask its maker"

static const struct answer answers[] = {
    ANSWER(CKR_PIN_INCORRECT, PKCS11_PIN_WRONG, TRY_PIN),
    ANSWER(CKR_PIN_INVALID, PKCS11_PIN_WRONG, TRY_PIN),
    ANSWER(CKR_PIN_LEN_RANGE, PKCS11_PIN_WRONG, TRY_PIN),
    ANSWER(CKR_PIN_EXPIRED, PKCS11_PIN_WRONG, "give the user a new PIN, and put it into its file"),
    ANSWER(CKR_PIN_LOCKED, PKCS11_PIN_LOCKED,
           "have the token's security officer set a new user PIN, put it into its file, and start "
           "the vault again"),
    ANSWER(CKR_USER_PIN_NOT_INITIALIZED, PKCS11_PIN_LOCKED,
           "have the token's security officer set the user PIN"),
    ANSWER(CKR_TOKEN_NOT_PRESENT, PKCS11_GONE, PLUG_IN),
    ANSWER(CKR_DEVICE_REMOVED, PKCS11_GONE, PLUG_IN),
    ANSWER(CKR_SLOT_ID_INVALID, PKCS11_GONE, PLUG_IN),
    ANSWER(CKR_SESSION_HANDLE_INVALID, PKCS11_GONE, PLUG_IN),
    ANSWER(CKR_SESSION_CLOSED, PKCS11_GONE, PLUG_IN),
    ANSWER(CKR_KEY_HANDLE_INVALID, PKCS11_GONE, PLUG_IN),
    ANSWER(CKR_OBJECT_HANDLE_INVALID, PKCS11_GONE, PLUG_IN),
    ANSWER(CKR_DEVICE_ERROR, PKCS11_FAILED, "look at the device, and into the module's own log"),
    ANSWER(CKR_DEVICE_MEMORY, PKCS11_FAILED, "free room on the token"),
    ANSWER(CKR_HOST_MEMORY, PKCS11_FAILED, "free memory on this host"),
    ANSWER(CKR_TOKEN_NOT_RECOGNIZED, PKCS11_FAILED, "initialise the token"),
    ANSWER(CKR_TOKEN_WRITE_PROTECTED, PKCS11_FAILED,
           "make the key by the HSM's own tools, as this token may not be written"),
    ANSWER(CKR_SESSION_COUNT, PKCS11_FAILED, "end other sessions with the token"),
    ANSWER(CKR_USER_ANOTHER_ALREADY_LOGGED_IN, PKCS11_FAILED, "end other sessions with the token"),
    ANSWER(CKR_MECHANISM_INVALID, PKCS11_NO_MECHANISM,
           "take a token that has CKM_AES_GCM or CKM_AES_KEY_WRAP_PAD"),
    ANSWER(CKR_MECHANISM_PARAM_INVALID, PKCS11_NO_MECHANISM, ASK_MADE),
    ANSWER(CKR_KEY_FUNCTION_NOT_PERMITTED, PKCS11_KEY_UNFIT,
           "make a key that may be used with the token's mechanism"),
    ANSWER(CKR_KEY_TYPE_INCONSISTENT, PKCS11_KEY_UNFIT, "make it an AES key of 256 bits"),
    ANSWER(CKR_GENERAL_ERROR, PKCS11_FAILED, ASK_MADE),
    ANSWER(CKR_FUNCTION_FAILED, PKCS11_FAILED, ASK_MADE),
    ANSWER(CKR_FUNCTION_NOT_SUPPORTED, PKCS11_FAILED, ASK_MADE),
    ANSWER(CKR_ARGUMENTS_BAD, PKCS11_FAILED, ASK_MADE),
    ANSWER(CKR_TEMPLATE_INCONSISTENT, PKCS11_FAILED,
           "make the key by the HSM's own tools, as this token takes other attributes"),
    ANSWER(CKR_ATTRIBUTE_VALUE_INVALID, PKCS11_FAILED,
           "make the key by the HSM's own tools, as this token takes other attributes"),
};

static const struct status statuses[PKCS11_TROUBLE_COUNT] = {
    [PKCS11_PIN_WRONG] = {WHY_DENIED, STATUS_HERE},
    [PKCS11_PIN_LOCKED] = {WHY_DENIED, STATUS_HERE},
    [PKCS11_NO_MECHANISM] = {WHY_BAD_INPUT, STATUS_HERE},
    [PKCS11_KEY_UNFIT] = {WHY_DENIED, STATUS_HERE},
    [PKCS11_GONE] = {WHY_NOT_FOUND, STATUS_HERE},
    [PKCS11_FAILED] = {WHY_IO, STATUS_HERE},
};

STATUS pkcs11_problem_set(struct pkcs11_problem *problem, enum pkcs11_trouble trouble,
                          struct status status, const char *format, ...)
{
    va_list arguments;

    assert(failed(status));
    problem->trouble = trouble;
    va_start(arguments, format);
    (void)vsnprintf(problem->text, sizeof problem->text, format, arguments);
    va_end(arguments);
    return status;
}

STATUS pkcs11_problem_of(struct pkcs11_problem *problem, const struct pkcs11 *pkcs11, CK_RV answer,
                         const char *call)
{
    assert(answer != CKR_OK);
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++)
        if (answers[i].value == answer)
            return pkcs11_problem_set(problem, answers[i].trouble, statuses[answers[i].trouble],
                                      "The HSM's token \"%s\" answered %s to %s: %s.",
                                      pkcs11->token_label, answers[i].name, call,
                                      answers[i].advice);
    return pkcs11_problem_set(problem, PKCS11_FAILED, FAIL(WHY_IO),
                              "The HSM's token \"%s\" answered 0x%lx to %s: " ASK_MADE ".",
                              pkcs11->token_label, answer, call);
}
