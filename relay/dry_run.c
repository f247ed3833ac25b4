/* SPDX-License-Identifier: Apache-2.0 */
#include "relay/dry_run.h"

#include <string.h>

#include "base/json.h"
#include "base/own.h"

#define ANSWER_MAX (8u << 20) /* A body of the largest size, every byte escaped. */
#define HIDDEN     "(hidden)"

bool dry_run_hides(const char *name)
{
    static const char *const marks[] = {"auth",     "key",       "token", "secret",
                                        "password", "signature", NULL};

    for (unsigned i = 0; marks[i] != NULL; i++)
        if (strcasestr(name, marks[i]) != NULL)
            return strcasecmp(name, "idempotency-key") != 0;
    return false;
}

static const char *field_name(enum expression_field field)
{
    static const char *const names[] = {
        [EXPRESSION_NUMBER] = "number",     [EXPRESSION_EXP_MONTH] = "exp_month",
        [EXPRESSION_EXP_YEAR] = "exp_year", [EXPRESSION_EXP] = "exp",
        [EXPRESSION_CVV] = "cvv",           [EXPRESSION_CARDHOLDER_NAME] = "cardholder_name"};
    return names[field];
}

static void put_request(struct json_writer *writer, const struct submission *submission)
{
    json_key(writer, "request");
    json_begin_object(writer);
    json_put_member(writer, "host", submission->to->destination.host);
    json_put_member(writer, "method", submission->method);
    json_key(writer, "target");
    json_put_bytes(writer, submission->target.bytes, submission->target.size);
    json_key(writer, "headers");
    json_begin_array(writer);
    for (const char *const *at = submission->forward.headers; at[0] != NULL; at += 2) {
        json_begin_object(writer);
        json_put_member(writer, "name", at[0]);
        json_put_member(writer, "value", dry_run_hides(at[0]) ? HIDDEN : at[1]);
        json_end_object(writer);
    }
    json_end_array(writer);
    json_key(writer, "body");
    json_put_bytes(writer, submission->body.bytes, submission->body.size);
    json_end_object(writer);
}

static void put_slots(struct json_writer *writer, const struct submission *submission)
{
    json_key(writer, "slots");
    json_begin_array(writer);
    for (unsigned i = 0; i < submission->slots.count; i++) {
        const struct slot *slot = &submission->slots.list[i];
        json_begin_object(writer);
        json_put_member(writer, "surface", slot->surface == SLOT_FORM ? "form" : "json");
        json_put_member_int(writer, "start", slot->start);
        json_put_member_int(writer, "size", slot->size);
        json_put_member(writer, "token", slot->expression.token);
        json_put_member(writer, "field", field_name(slot->expression.field));
        json_end_object(writer);
    }
    json_end_array(writer);
}

void dry_run_answer(struct submission *submission)
{
    struct buffer body OWNED(buffer_free) = BUFFER(ANSWER_MAX);
    struct json_writer writer = json_writer_over(&body);
    struct answer_lines lines;

    json_begin_object(&writer);
    json_put_member_bool(&writer, "dry_run", true);
    json_put_member(&writer, "destination", submission->to->destination.name);
    json_put_member(&writer, "purpose", submission->purpose);
    put_request(&writer, submission);
    put_slots(&writer, submission);
    json_key(&writer, "policy");
    json_begin_object(&writer);
    json_put_member(&writer, "decision", "allow");
    json_put_member(&writer, "rule", submission->decision.rule);
    json_put_member(&writer, "bundle", policy_bundle(submission->relay->policy));
    json_end_object(&writer);
    json_end_object(&writer);
    if (failed(buffer_status(&body))) {
        submission_fail(submission, PROBLEM_BUSY, ANSWER_FAILED_RELAY);
        return;
    }
    submission->outcome.submission_id = NULL; /* There is none on record. */
    answer_lines(&submission->outcome, &lines);
    struct http_answer answer = {.status = 200,
                                 .content_type = "application/json",
                                 .body = body.bytes,
                                 .body_size = body.size,
                                 .headers = lines.list};
    struct http_call *call = MOVE(submission->call);
    if (call != NULL)
        http_answer(call, &answer);
    submission_over(submission);
}
