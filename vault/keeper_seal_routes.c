/* SPDX-License-Identifier: Apache-2.0 */
/* GET /v1/seal, POST /v1/seal/seal. */

#include "base/encode.h"
#include "base/own.h"
#include "vault/keeper_ceremony.h"
#include "vault/keeper_hsm.h"
#include "vault/keeper_seal.h"
#include "vault/keeper_text.h"

#define SEAL_SET_CHARS  (2 * SEAL_SET_BYTES + 1)
#define SEAL_BODY_MAX   16384u
#define SEAL_REASON_MAX 64u

static void seal_write_custodians(const struct seal_record *seal, struct json_writer *writer)
{
    json_put_member_int(writer, "threshold", seal->threshold);
    json_key(writer, "custodians");
    json_begin_array(writer);
    for (unsigned i = 0; i < seal->count; i++)
        json_put_text(writer, seal->custodians[i].name);
    json_end_array(writer);
}

static void seal_write(const struct keeper *keeper, struct json_writer *writer)
{
    const struct seal_record *seal = &keeper->seal;
    const char *why = keeper_sealed(keeper);
    char text[CLOCK_TEXT_SIZE];
    char set[SEAL_SET_CHARS];

    json_begin_object(writer);
    json_put_member(writer, "state",
                    seal->kind == 0 ? "uninitialised"
                    : why == NULL   ? "open"
                                    : "sealed");
    json_put_member(writer, "why", why == NULL ? "" : why);
    json_put_member(writer, "configured", seal_kind_name(keeper->settings->seal_kind));
    if (seal->kind != 0) {
        clock_text(seal->created_ms, text);
        encode_hex(seal->set_id, sizeof seal->set_id, set);
        json_put_member(writer, "kind", seal_kind_name(seal->kind));
        json_put_member(writer, "set", set);
        json_put_member(writer, "created_at", text);
    }
    keeper_hsm_write(keeper, writer);
    if (seal->kind == SEAL_SHARES)
        seal_write_custodians(seal, writer);
    if (keeper->ring != NULL)
        json_put_member_u64(writer, "keyring_generation", keyring_generation(keeper->ring));
    keeper_unseal_show(keeper, writer);
    keeper_ceremony_show(keeper, writer);
    json_end_object(writer);
}

STATUS keeper_seal_show(struct keeper_op *op, struct cursor *in)
{
    struct keeper_text text OWNED(keeper_text_close) = {0};
    struct buffer body OWNED(buffer_free) = BUFFER(SEAL_BODY_MAX);
    struct json_writer writer = json_writer_over(&body);
    static const char *const names[] = {NULL};
    struct keeper_text_param params[1];

    TRY(keeper_text_open(in, &text));
    TRY(keeper_text_params(op, &text, names, params));
    seal_write(op->keeper, &writer);
    return keeper_answer_text(op, 200, &body);
}

STATUS keeper_seal_ask_shut(struct keeper_op *op, struct cursor *in)
{
    enum { SHUT_REASON };
    static const char *const names[] = {[SHUT_REASON] = "reason", NULL};
    struct keeper_text text OWNED(keeper_text_close) = {0};
    struct buffer body OWNED(buffer_free) = BUFFER(SEAL_BODY_MAX);
    struct json_writer writer = json_writer_over(&body);
    struct audit_entry entry = {.event = "seal.shut", .object = "seal"};
    struct read_object object;
    char reason[SEAL_REASON_MAX];

    TRY(keeper_text_open(in, &text));
    TRY(keeper_text_object(op, &text, names, &object));
    read_object_free_text(&object, SHUT_REASON, reason, sizeof reason);
    TRY(keeper_text_judge(&object));
    if (keeper_sealed(op->keeper) != NULL)
        return keeper_refuse(op, PROBLEM_STATE_CONFLICT, NULL, "The vault is sealed already.");
    entry.detail = reason[0] == '\0' ? NULL : reason;
    TRY(keeper_record(op, &entry));
    json_begin_object(&writer);
    json_put_member(&writer, "state", "sealed");
    json_end_object(&writer);
    TRY(keeper_answer_text(op, 200, &body));
    op->keeper->seal_shutting = true;
    keeper_seal_say(op->keeper, op->keeper->seal.kind == SEAL_SHARES
                                    ? "It was sealed by hand; the custodians' shares open it."
                                    : "It was sealed by hand; it opens when it is started anew.");
    return STATUS_OK;
}
