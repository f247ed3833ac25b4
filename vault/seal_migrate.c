/* SPDX-License-Identifier: Apache-2.0 */
/* From one kind of seal to another, online and by two: POST /v1/seal/migrate asks, an approval
 * carries it out.  The new kind comes with a new root, so that what held the old one opens nothing
 * of the store any more; to the same kind of HSM it is a new root alone. */
#include <stdio.h>
#include <string.h>

#include "base/own.h"
#include "vault/approve.h"
#include "vault/keeper_ceremony.h"
#include "vault/keeper_hsm.h"
#include "vault/keeper_text.h"

#define DETAIL_BYTES_MAX 64u

/* What a request's detail begins with where a ceremony carries it out. */
#define TO_SHARES "{\"to\":\"shares\""

static const char *const kinds[] = {"file", "pkcs11", "shares", NULL};
static const enum seal_kind kind_of[] = {SEAL_FILE, SEAL_PKCS11, SEAL_SHARES};

/* What would be refused once it is approved is refused now. */
static STATUS migrate_check(struct keeper_op *op, enum seal_kind kind)
{
    const struct settings *settings = op->keeper->settings;

    if (kind == SEAL_PKCS11 && settings->hsm.module == NULL)
        return keeper_refuse(op, PROBLEM_STATE_CONFLICT, NULL, KEEPER_HSM_NONE);
    if (kind != SEAL_FILE)
        return STATUS_OK;
    if (settings->production)
        return keeper_refuse(op, PROBLEM_STATE_CONFLICT, NULL,
                             "A root in a file is for development; this vault is in production.");
    if (settings->seal_path == NULL)
        return keeper_refuse(op, PROBLEM_STATE_CONFLICT, NULL,
                             "The configuration names no file: say which under `seal: path:`, "
                             "and start the vault again.");
    if (op->keeper->seal.kind == SEAL_FILE)
        return keeper_refuse(op, PROBLEM_STATE_CONFLICT, NULL, "The root is in that file already.");
    return STATUS_OK;
}

STATUS seal_migrate_ask(struct keeper_op *op, struct cursor *in)
{
    enum { MIGRATE_TO };
    static const char *const any[] = {[MIGRATE_TO] = "to", "threshold", "custodians",
                                      "within_seconds",    "reason",    NULL};
    static const char *const names[] = {[MIGRATE_TO] = "to", NULL};
    struct keeper_text text OWNED(keeper_text_close) = {0};
    struct read_object object;
    char detail[DETAIL_BYTES_MAX];

    TRY(keeper_text_open(in, &text));
    TRY(keeper_text_object(op, &text, any, &object));
    read_object_need(&object, MIGRATE_TO);
    unsigned kind = read_object_choice(&object, MIGRATE_TO, kinds, 0);
    TRY(keeper_text_judge(&object));
    if (kind_of[kind] == SEAL_SHARES)
        return keeper_ceremony_ask_migrate(op, &text);
    TRY(keeper_text_object(op, &text, names, &object)); /* The others are of shares alone. */
    TRY(keeper_text_judge(&object));
    TRY(migrate_check(op, kind_of[kind]));
    (void)snprintf(detail, sizeof detail, "{\"to\":\"%s\"}", kinds[kind]);
    struct approve_ask ask = {
        .kind = APPROVE_SEAL_MIGRATE,
        .target = "seal",
        .detail = detail,
        .certificate = text.head.certificate,
    };
    return approve_ask(op, &ask);
}

STATUS seal_migrate_run(struct keeper_op *op, const struct approve_request *request,
                        struct json_writer *out)
{
    char by[2 * APPROVE_NAME_MAX + 32];
    char wanted[DETAIL_BYTES_MAX];
    const char *refusal = NULL;
    unsigned kind = 0;

    if (strncmp(request->detail, TO_SHARES, strlen(TO_SHARES)) == 0)
        return keeper_ceremony_ask_approved(op, request, out);
    while (kinds[kind] != NULL) {
        (void)snprintf(wanted, sizeof wanted, "{\"to\":\"%s\"}", kinds[kind]);
        if (strcmp(wanted, request->detail) == 0)
            break;
        kind++;
    }
    ENSURE(kinds[kind] != NULL, WHY_FORGED);
    TRY(migrate_check(op, kind_of[kind]));
    (void)snprintf(by, sizeof by, "%s, approved by %s", request->asked.name, op->principal->name);
    struct keeper_hsm_asked asked = {.by = by, .approval = request->id, .kind = kind_of[kind]};
    struct status status = keeper_hsm_begin(op->keeper, &asked, op->now_ms, &refusal);
    if (failed(status) && refusal != NULL)
        return keeper_refuse(op, PROBLEM_STATE_CONFLICT, NULL, refusal);
    TRY(status);
    json_put_member(out, "kind", kinds[kind]);
    json_put_member(out, "state", "asked");
    return STATUS_OK;
}
