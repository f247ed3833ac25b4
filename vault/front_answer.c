/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/front_answer.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/encode.h"
#include "base/json.h"
#include "base/own.h"

#define JSON_TYPE "application/json"

/* One element of {"results": […]}: writes the good one; a problem was dealt with before. */
typedef void (*item_fn)(struct cursor *in, struct json_writer *writer);

static void put_view(struct cursor *in, struct json_writer *writer)
{
    struct view view;

    view_decode(in, &view);
    if (!in->bad)
        view_write(writer, &view);
}

static void put_lent_cards(struct cursor *in, struct json_writer *writer)
{
    struct message_lent_card card;
    unsigned count = cursor_u8(in);

    json_key(writer, "cards");
    json_begin_array(writer);
    for (unsigned i = 0; i < count && !in->bad; i++) {
        message_lent_card_decode(in, &card);
        json_begin_object(writer);
        json_put_member(writer, "token", card.token);
        json_key(writer, "number");
        json_put_bytes(writer, card.number, card.number_size);
        json_put_member_int(writer, "exp_month", card.exp_month);
        json_put_member_int(writer, "exp_year", card.exp_year);
        if (card.name_size > 0) {
            json_key(writer, "cardholder_name");
            json_put_bytes(writer, card.name, card.name_size);
        }
        json_end_object(writer);
    }
    json_end_array(writer);
}

static void put_lent_codes(struct cursor *in, struct json_writer *writer)
{
    char token[CONTRACT_TOKEN_MAX + 1];
    unsigned count = cursor_u8(in);
    uint8_t size = 0;

    json_key(writer, "cvvs");
    json_begin_array(writer);
    for (unsigned i = 0; i < count && !in->bad; i++) {
        cursor_text(in, token, sizeof token);
        const uint8_t *code = message_bytes_decode(in, &size);
        json_begin_object(writer);
        json_put_member(writer, "token", token);
        json_key(writer, "value");
        json_put_bytes(writer, code, size);
        json_end_object(writer);
    }
    json_end_array(writer);
}

static void put_lease(struct cursor *in, struct json_writer *writer)
{
    char id[65];

    cursor_text(in, id, sizeof id);
    int64_t expires_ms = (int64_t)cursor_u64(in);
    if (in->bad)
        return;
    json_begin_object(writer);
    json_put_member(writer, "lease_id", id);
    json_put_member_time(writer, "expires_at", expires_ms);
    put_lent_cards(in, writer);
    put_lent_codes(in, writer);
    json_end_object(writer);
}

static void put_settled(struct cursor *in, struct json_writer *writer)
{
    char id[65];

    cursor_text(in, id, sizeof id);
    json_begin_object(writer);
    json_put_member(writer, "lease_id", id);
    json_put_member(writer, "state", "settled");
    json_end_object(writer);
}

/* The keeper names fields within the element; callers read pointers into their request. */
static void put_problem(struct cursor *in, const char *list, unsigned index,
                        struct json_writer *writer)
{
    struct problem problem;
    char field[sizeof problem.field + 32];

    problem_decode(in, &problem);
    if (in->bad || problem.code == PROBLEM_NONE) {
        in->bad = true;
        return;
    }
    struct http_problem http = problem_http(&problem);
    size_t size = strlen(list);
    bool is_whole = strncmp(problem.field, list, size) == 0 && problem.field[size] == '/';
    if (!is_whole) {
        (void)snprintf(field, sizeof field, "%s/%u%s", list, index, problem.field);
        http.field = field;
    }
    http_problem_write(writer, &http, NULL);
}

static void put_results(struct cursor *in, const char *list, item_fn put, struct buffer *out)
{
    struct json_writer writer = json_writer_over(out);
    unsigned count = cursor_u16(in);

    json_begin_object(&writer);
    json_key(&writer, "results");
    json_begin_array(&writer);
    for (unsigned i = 0; i < count && !in->bad; i++) {
        uint8_t good = cursor_u8(in);
        if (good > 1)
            in->bad = true;
        else if (good == 1)
            put(in, &writer);
        else
            put_problem(in, list, i, &writer);
    }
    json_end_array(&writer);
    json_end_object(&writer);
}

/* Which answers a request may have, beside a problem. */
static bool is_answer_to(enum message_type answer, enum message_type question)
{
    switch ((int)answer) {
    case MESSAGE_VIEW:
        return question == MESSAGE_TOKENIZE || question == MESSAGE_SHOW;
    case MESSAGE_VIEWS:
        return question == MESSAGE_TOKENIZE;
    case MESSAGE_CVV:
        return question == MESSAGE_CVV_STORE;
    case MESSAGE_EMPTY:
        return question == MESSAGE_ERASE;
    case MESSAGE_LEASES:
        return question == MESSAGE_LEASE;
    case MESSAGE_SETTLED:
        return question == MESSAGE_SETTLE;
    case MESSAGE_TEXT:
        return question >= MESSAGE_TEXT_QUESTIONS;
    case MESSAGE_PROBLEM:
        return true;
    default:
        return false;
    }
}

static void read_view(struct cursor *in, struct front_answer *out)
{
    struct json_writer writer = json_writer_over(&out->body);

    out->replayed = cursor_u8(in) != 0;
    put_view(in, &writer);
}

static void read_cvv(struct cursor *in, struct front_answer *out)
{
    struct json_writer writer = json_writer_over(&out->body);
    char token[CONTRACT_TOKEN_MAX + 1];

    out->replayed = cursor_u8(in) != 0;
    cursor_text(in, token, sizeof token);
    int64_t expires_ms = (int64_t)cursor_u64(in);
    if (!in->bad)
        view_write_cvv(&writer, token, expires_ms);
    out->status = 201;
}

static void read_text(struct cursor *in, struct front_answer *out)
{
    out->status = cursor_u16(in);
    in->bad = in->bad || out->status < 200 || out->status > 299;
    cursor_text(in, out->content_type_text, sizeof out->content_type_text);
    size_t size = in->size - in->at;
    buffer_add(&out->body, cursor_bytes(in, size), in->bad ? 0 : size);
    out->content_type = out->content_type_text;
}

static void read_any(const struct route *route, enum message_type type, struct cursor *in,
                     struct front_answer *out)
{
    switch ((int)type) {
    case MESSAGE_PROBLEM:
        problem_decode(in, &out->problem);
        out->is_problem = true;
        in->bad = in->bad || out->problem.code == PROBLEM_NONE;
        break;
    case MESSAGE_VIEW:
        read_view(in, out);
        out->status = route->type == MESSAGE_TOKENIZE ? 201 : 200;
        break;
    case MESSAGE_VIEWS:
        out->replayed = cursor_u8(in) != 0;
        put_results(in, "/cards", put_view, &out->body);
        break;
    case MESSAGE_CVV:
        read_cvv(in, out);
        break;
    case MESSAGE_EMPTY:
        out->status = 204;
        out->content_type = NULL;
        break;
    case MESSAGE_LEASES:
        put_results(in, "/leases", put_lease, &out->body);
        break;
    case MESSAGE_SETTLED:
        put_results(in, "/settlements", put_settled, &out->body);
        break;
    default: /* is_answer_to() lets only MESSAGE_TEXT come here. */
        read_text(in, out);
        break;
    }
}

STATUS front_answer_read(const struct route *route, const struct frame *frame,
                         struct front_answer *out_answer)
{
    enum message_type type = (enum message_type)frame->type;
    struct cursor in = cursor_over(frame->body, frame->size);

    *out_answer = (struct front_answer){
        .status = 200, .content_type = JSON_TYPE, .body = BUFFER(FRONT_ANSWER_BYTES_MAX)};
    ENSURE(is_answer_to(type, route->type), WHY_FORGED);
    read_any(route, type, &in, out_answer);
    ENSURE(cursor_done(&in), WHY_FORGED);
    return buffer_status(&out_answer->body);
}

void front_answer_clear(struct front_answer *answer)
{
    buffer_free(&answer->body);
}

/* A list of headers, for http_answer(). */
struct headers {
    const char *list[2 * 2 + 1];
    unsigned count;
};

static void header_add(struct headers *headers, const char *name, const char *value)
{
    assert(headers->count + 2 < sizeof headers->list / sizeof headers->list[0]);
    headers->list[headers->count++] = name;
    headers->list[headers->count++] = value;
}

static void answer_problem(struct http_call *call, const struct problem *problem,
                           struct headers *headers)
{
    struct http_problem http = problem_http(problem);

    if (http.status == 429 || http.status == 503)
        header_add(headers, "retry-after", "1");
    http_answer_problem(call, &http, headers->list);
}

void front_answer_problem(struct http_call *call, const struct problem *problem)
{
    struct headers headers = {0};

    answer_problem(call, problem, &headers);
}

void front_answer_code(struct http_call *call, enum problem_code code)
{
    struct problem problem;

    problem_set(&problem, code, NULL, NULL);
    front_answer_problem(call, &problem);
}

STATUS front_answer(struct http_call *call, const struct route *route, const struct frame *frame,
                    const char *epoch)
{
    struct headers headers = {0};
    struct front_answer answer OWNED(front_answer_clear) = {0};
    struct status status = front_answer_read(route, frame, &answer);

    if (failed(status)) {
        front_answer_code(call, PROBLEM_BUSY);
        return status;
    }
    if (epoch[0] != '\0' && (route->type == MESSAGE_LEASE || route->type == MESSAGE_SETTLE))
        header_add(&headers, CONTRACT_HEADER_EPOCH, epoch);
    if (answer.is_problem) {
        answer_problem(call, &answer.problem, &headers);
        return STATUS_OK;
    }
    if (answer.replayed)
        header_add(&headers, "idempotency-replayed", "true");
    http_answer(call, &(struct http_answer){
                          .status = answer.status,
                          .content_type = answer.content_type,
                          .body = answer.body.bytes,
                          .body_size = answer.body.size,
                          .headers = headers.list,
                      });
    return STATUS_OK;
}

void front_answer_no_method(struct http_call *call, const char *allow)
{
    const char *const headers[] = {"allow", allow, NULL};
    struct problem problem;

    problem_set(&problem, PROBLEM_METHOD_NOT_ALLOWED, NULL, NULL);
    struct http_problem http = problem_http(&problem);
    http_answer_problem(call, &http, headers);
}
