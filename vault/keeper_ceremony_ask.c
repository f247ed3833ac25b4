/* SPDX-License-Identifier: Apache-2.0 */
/* How a ceremony begins: of a new vault at once, of one that has a seal when another approves. */
#include <stdio.h>
#include <string.h>

#include "base/encode.h"
#include "base/own.h"
#include "vault/approve.h"
#include "vault/keeper_ceremony.h"

#define BODY_BYTES_MAX   8192u
#define DETAIL_BYTES_MAX 2048u
#define REASON_MAX       64u
#define WITHIN_S_LEAST   1
#define WITHIN_S_MOST    (CEREMONY_MS_MAX / 1000)

enum { PLAN_THRESHOLD, PLAN_CUSTODIANS, PLAN_WITHIN, PLAN_REASON, PLAN_TO };
static const char *const plan_names[] = {[PLAN_THRESHOLD] = "threshold",
                                         [PLAN_CUSTODIANS] = "custodians",
                                         [PLAN_WITHIN] = "within_seconds",
                                         [PLAN_REASON] = "reason",
                                         NULL};
/* Of a migration to shares: what it is to, vault/seal_migrate.c has read. */
static const char *const migrate_names[] = {[PLAN_THRESHOLD] = "threshold",
                                            [PLAN_CUSTODIANS] = "custodians",
                                            [PLAN_WITHIN] = "within_seconds",
                                            [PLAN_REASON] = "reason",
                                            [PLAN_TO] = "to",
                                            NULL};

/* Names of principals that may hold a share. */
static void plan_read_names(struct keeper_op *op, struct read_object *object,
                            struct ceremony_plan *out)
{
    const struct json *json = object->json;
    uint32_t list = object->values[PLAN_CUSTODIANS];
    char name[CEREMONY_NAME_BYTES] = "";
    char field[48];

    if (list == JSON_NONE || json->nodes[list].type != JSON_ARRAY) {
        read_object_refuse(object, PLAN_CUSTODIANS, PROBLEM_INVALID_FIELD,
                           "A list of principals' names belongs here.");
        return;
    }
    out->count = json->nodes[list].count;
    uint32_t at = json_first(json, list);
    for (unsigned i = 0; i < out->count && i < SEAL_CUSTODIANS_MAX; i++) {
        const struct policy_principal *principal =
            failed(json_string(json, at, name, sizeof name, NULL))
                ? NULL
                : policy_principal(op->keeper->policy, name);
        struct policy_question question = {.action = POLICY_SEAL_SHARE,
                                           .principal = principal,
                                           .tenant = principal == NULL ? "" : principal->tenant};
        if (!policy_decide(op->keeper->policy, &question).allowed && read_object_is_good(object)) {
            (void)snprintf(field, sizeof field, "/custodians/%u", i);
            problem_set(&op->problem, PROBLEM_INVALID_FIELD, field,
                        "The policies know no principal of this name with the right seal.share.");
            return;
        }
        (void)snprintf(out->names[i], sizeof out->names[i], "%s", name);
        at = json->nodes[at].next;
    }
}

/* `out` has its kind already. */
static STATUS plan_read(struct keeper_op *op, struct keeper_text *text, const char *const *names,
                        struct ceremony_plan *out, char reason[static REASON_MAX])
{
    const struct read_object_range threshold = {PLAN_THRESHOLD, SHARES_THRESHOLD_MIN,
                                                SHARES_COUNT_MAX, PROBLEM_INVALID_FIELD};
    const struct read_object_range within = {PLAN_WITHIN, WITHIN_S_LEAST, WITHIN_S_MOST,
                                             PROBLEM_INVALID_FIELD};
    struct read_object object;

    *out = (struct ceremony_plan){.kind = out->kind, .within_ms = CEREMONY_MS_DEFAULT};
    TRY(keeper_text_object(op, text, names, &object));
    read_object_need(&object, PLAN_THRESHOLD);
    read_object_need(&object, PLAN_CUSTODIANS);
    out->threshold = (unsigned)read_object_int(&object, &threshold);
    int64_t seconds = read_object_int(&object, &within);
    read_object_free_text(&object, PLAN_REASON, reason, REASON_MAX);
    if (read_object_is_good(&object))
        plan_read_names(op, &object, out);
    TRY(keeper_text_judge(&object));
    if (seconds > 0)
        out->within_ms = seconds * 1000;
    return ceremony_plan_check(out, &op->problem);
}

static STATUS plan_begin(struct keeper_op *op, const struct ceremony_plan *plan)
{
    char sentence[160];

    if (op->keeper->ceremonies.now != NULL) {
        (void)snprintf(sentence, sizeof sentence,
                       "The ceremony %s is under way; end it or have it cancelled first.",
                       ceremony_id(op->keeper->ceremonies.now));
        return keeper_refuse(op, PROBLEM_STATE_CONFLICT, NULL, sentence);
    }
    return ceremony_new(plan, clock_monotonic_ms() + plan->within_ms, &op->keeper->ceremonies.now);
}

STATUS keeper_ceremony_ask_init(struct keeper_op *op, struct cursor *in)
{
    struct keeper_text text OWNED(keeper_text_close) = {0};
    struct buffer body OWNED(buffer_free) = BUFFER(BODY_BYTES_MAX);
    struct buffer detail OWNED(buffer_free) = BUFFER(DETAIL_BYTES_MAX);
    struct json_writer writer = json_writer_over(&body);
    struct ceremony_plan plan = {.kind = CEREMONY_INIT};
    char reason[REASON_MAX];

    if (op->keeper->settings->seal_kind == SEAL_PKCS11)
        return seal_hsm_init(op, in);
    TRY(keeper_text_open(in, &text));
    (void)keeper_ceremony_person(op, &text, "seal.ask");
    if (op->keeper->seal.kind != 0)
        return keeper_refuse(op, PROBLEM_STATE_CONFLICT, NULL,
                             "The vault has a seal; 'cardkeep rekey' gives it other custodians.");
    if (op->keeper->settings->seal_kind != SEAL_SHARES)
        return keeper_refuse(op, PROBLEM_STATE_CONFLICT, NULL,
                             "Its configuration gives this vault another seal than shares.");
    TRY(plan_read(op, &text, plan_names, &plan, reason));
    TRY(plan_begin(op, &plan));
    (void)snprintf(op->object, sizeof op->object, "%s", ceremony_id(op->keeper->ceremonies.now));
    buffer_add_text(&detail, "init, shares, ");
    ceremony_say(op->keeper->ceremonies.now, &detail);
    keeper_ceremony_answer(op, false, &writer);
    return keeper_ceremony_step_end(op, buffer_text(&detail), &body);
}

/* --- To ask for a new one, which another has to approve --- */

static void plan_write(const struct ceremony_plan *plan, bool migrates, const char *reason,
                       struct buffer *out)
{
    struct json_writer writer = json_writer_over(out);

    json_begin_object(&writer);
    if (migrates)
        json_put_member(&writer, "to", "shares");
    json_put_member_int(&writer, "threshold", plan->threshold);
    json_key(&writer, "custodians");
    json_begin_array(&writer);
    for (unsigned i = 0; i < plan->count; i++)
        json_put_text(&writer, plan->names[i]);
    json_end_array(&writer);
    json_put_member_int(&writer, "within_seconds", plan->within_ms / 1000);
    if (reason[0] != '\0')
        json_put_member(&writer, "reason", reason);
    json_end_object(&writer);
}

static STATUS plan_ask(struct keeper_op *op, struct keeper_text *text, enum approve_kind kind)
{
    bool migrates = kind == APPROVE_SEAL_MIGRATE;
    struct buffer detail OWNED(buffer_free) = BUFFER(APPROVE_DETAIL_MAX - 1);
    struct ceremony_plan plan = {.kind = CEREMONY_REKEY};
    char reason[REASON_MAX];

    TRY(plan_read(op, text, migrates ? migrate_names : plan_names, &plan, reason));
    if (migrates && op->keeper->seal.kind == SEAL_SHARES)
        return keeper_refuse(op, PROBLEM_STATE_CONFLICT, NULL,
                             "Its seal is of shares already; 'cardkeep rekey' makes new ones.");
    plan_write(&plan, migrates, reason, &detail);
    if (failed(buffer_status(&detail)))
        return keeper_refuse(op, PROBLEM_TOO_LARGE, "/custodians",
                             "The names of the custodians are too long together.");
    struct approve_ask ask = {.kind = kind,
                              .target = "seal",
                              .detail = buffer_text(&detail),
                              .certificate = op->certificate};
    return approve_ask(op, &ask);
}

STATUS keeper_ceremony_ask_rekey(struct keeper_op *op, struct cursor *in)
{
    struct keeper_text text OWNED(keeper_text_close) = {0};

    TRY(keeper_text_open(in, &text));
    (void)keeper_ceremony_person(op, &text, "seal.rekey");
    return plan_ask(op, &text, APPROVE_SEAL_REKEY);
}

STATUS keeper_ceremony_ask_migrate(struct keeper_op *op, struct keeper_text *text)
{
    (void)keeper_ceremony_person(op, text, "seal.migrate");
    return plan_ask(op, text, APPROVE_SEAL_MIGRATE);
}

/* The request's own words, which were checked when it was asked; policies may have changed. */
static STATUS plan_again(struct keeper_op *op, const struct approve_request *request,
                         struct ceremony_plan *out)
{
    struct keeper_text text OWNED(keeper_text_close) = {.body = BUFFER(APPROVE_DETAIL_MAX)};
    char reason[REASON_MAX];

    buffer_add_text(&text.body, request->detail);
    return plan_read(op, &text, request->kind == APPROVE_SEAL_MIGRATE ? migrate_names : plan_names,
                     out, reason);
}

STATUS keeper_ceremony_ask_approved(struct keeper_op *op, const struct approve_request *request,
                                    struct json_writer *out)
{
    struct buffer detail OWNED(buffer_free) = BUFFER(DETAIL_BYTES_MAX);
    struct keeper *keeper = op->keeper;
    struct ceremony_plan plan = {.kind = CEREMONY_REKEY};

    TRY(plan_again(op, request, &plan));
    TRY(plan_begin(op, &plan));
    ceremony_say(keeper->ceremonies.now, &detail);
    struct audit_entry entry = {.event = "seal.rekey",
                                .object = ceremony_id(keeper->ceremonies.now),
                                .detail = buffer_text(&detail),
                                .certificate = request->ended.certificate,
                                .asked_by = request->asked.name,
                                .asked_certificate = request->asked.certificate};
    struct status status = keeper_record(op, &entry);
    if (failed(status)) {
        keeper_ceremony_drop(keeper, "its beginning could not be recorded");
        return status;
    }
    keeper_ceremony_show(keeper, out);
    return STATUS_OK;
}
