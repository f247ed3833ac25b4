/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/problem.h"

#include <assert.h>
#include <stdio.h>

struct problem_row {
    int status;
    const char *name;
    const char *title;
};

#define PROBLEM_ROW(id, http_status, code, text) [PROBLEM_##id] = {http_status, code, text},

static const struct problem_row rows[PROBLEM_COUNT] = {[PROBLEM_NONE] = {200, "ok", ""},
                                                       CONTRACT_PROBLEMS(PROBLEM_ROW)};

static const struct problem_row *problem_row(enum problem_code code)
{
    assert(code < PROBLEM_COUNT);
    assert(rows[code].name != NULL);
    return &rows[code];
}

int problem_status(enum problem_code code)
{
    return problem_row(code)->status;
}

const char *problem_name(enum problem_code code)
{
    return problem_row(code)->name;
}

const char *problem_title(enum problem_code code)
{
    return problem_row(code)->title;
}

void problem_set(struct problem *out_problem, enum problem_code code, const char *field,
                 const char *detail)
{
    *out_problem = (struct problem){.code = code};
    if (field != NULL)
        (void)snprintf(out_problem->field, sizeof out_problem->field, "%s", field);
    if (detail != NULL)
        (void)snprintf(out_problem->detail, sizeof out_problem->detail, "%s", detail);
}

enum problem_code problem_of(struct status status)
{
    switch (status.why) {
    case WHY_NONE:
        return PROBLEM_NONE;
    case WHY_BAD_INPUT:
        return PROBLEM_INVALID_FIELD;
    case WHY_DENIED:
        return PROBLEM_DENIED;
    case WHY_NOT_FOUND:
        return PROBLEM_NOT_FOUND;
    case WHY_CONFLICT:
        return PROBLEM_STATE_CONFLICT;
    case WHY_LIMIT:
        return PROBLEM_TOO_LARGE;
    case WHY_BUSY:
    case WHY_NO_MEMORY:
    case WHY_TIMEOUT:
        return PROBLEM_BUSY;
    case WHY_FORGED:
    case WHY_IO:
    case WHY_COUNT:
        break;
    }
    return PROBLEM_STORE_UNAVAILABLE;
}

void problem_encode(const struct problem *problem, struct buffer *out)
{
    buffer_add_u8(out, (uint8_t)problem->code);
    buffer_add_counted(out, problem->field);
    buffer_add_counted(out, problem->detail);
    buffer_add_counted(out, problem->rule);
}

void problem_decode(struct cursor *in, struct problem *out_problem)
{
    uint8_t code = cursor_u8(in);

    *out_problem = PROBLEM_NOTHING;
    if (code >= PROBLEM_COUNT)
        in->bad = true;
    else
        out_problem->code = (enum problem_code)code;
    cursor_text(in, out_problem->field, sizeof out_problem->field);
    cursor_text(in, out_problem->detail, sizeof out_problem->detail);
    cursor_text(in, out_problem->rule, sizeof out_problem->rule);
}

struct http_problem problem_http(const struct problem *problem)
{
    return (struct http_problem){
        .status = problem_status(problem->code),
        .code = problem_name(problem->code),
        .title = problem_title(problem->code),
        .field = problem->field[0] != '\0' ? problem->field : NULL,
        .detail = problem->detail[0] != '\0' ? problem->detail : NULL,
        .rule = problem->rule[0] != '\0' ? problem->rule : NULL,
    };
}
