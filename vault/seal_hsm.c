/* SPDX-License-Identifier: Apache-2.0 */
/* A new vault whose root goes to an HSM: POST /v1/seal/init. */
#include <stdio.h>

#include "base/own.h"
#include "vault/keeper_hsm.h"
#include "vault/keeper_text.h"

#define BODY_BYTES_MAX 512u

STATUS seal_hsm_init(struct keeper_op *op, struct cursor *in)
{
    static const char *const names[] = {NULL};
    struct keeper_text text OWNED(keeper_text_close) = {0};
    struct buffer body OWNED(buffer_free) = BUFFER(BODY_BYTES_MAX);
    struct json_writer writer = json_writer_over(&body);
    struct audit_entry entry = {.event = "seal.ask", .object = "seal", .detail = "init, pkcs11"};
    struct keeper_hsm_asked asked = {.by = op->principal->name, .kind = SEAL_PKCS11};
    struct read_object object;
    const char *detail = NULL;

    TRY(keeper_text_open(in, &text));
    TRY(keeper_text_object(op, &text, names, &object));
    TRY(keeper_text_judge(&object));
    if (op->keeper->seal.kind != 0)
        return keeper_refuse(op, PROBLEM_STATE_CONFLICT, NULL, "The vault has a seal already.");
    if (op->keeper->settings->seal_kind != SEAL_PKCS11)
        return keeper_refuse(op, PROBLEM_STATE_CONFLICT, NULL,
                             "The configuration's `seal: kind:` is not `pkcs11`.");
    struct status status = keeper_hsm_begin(op->keeper, &asked, op->now_ms, &detail);
    if (status.why == WHY_CONFLICT)
        return keeper_refuse(op, PROBLEM_STATE_CONFLICT, NULL, detail);
    TRY(status);
    TRY(keeper_record(op, &entry));
    json_begin_object(&writer);
    json_put_member(&writer, "kind", "pkcs11");
    json_put_member(&writer, "state", "asked");
    json_end_object(&writer);
    return keeper_answer_text(op, 202, &body);
}
