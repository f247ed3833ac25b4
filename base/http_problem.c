/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdio.h>

#include "base/http.h"
#include "base/json.h"

#define TYPE_SIZE    96u
#define MESSAGE_SIZE 512u

static void put_optional(struct json_writer *writer, const char *key, const char *text)
{
    if (text != NULL)
        json_put_member(writer, key, text);
}

/* Client libraries of gateways find an error by this object, and not by the status; of its members
 * they show the message. */
static void put_member(struct json_writer *writer, const struct http_problem *problem)
{
    if (problem->member == NULL)
        return;
    char message[MESSAGE_SIZE];
    bool more = problem->detail != NULL;
    snprintf(message, sizeof message, "%s%s%s", problem->title, more ? " " : "",
             more ? problem->detail : "");
    json_key(writer, problem->member);
    json_begin_object(writer);
    json_put_member(writer, "type", "cardkeep_error");
    json_put_member(writer, "code", problem->code);
    json_put_member(writer, "message", message);
    json_end_object(writer);
}

void http_problem_write(struct json_writer *writer, const struct http_problem *problem,
                        const char *request_id)
{
    assert(problem->code != NULL);
    assert(problem->title != NULL);
    char type[TYPE_SIZE];
    snprintf(type, sizeof type, "urn:cardkeep:error:%s", problem->code);

    json_begin_object(writer);
    json_put_member(writer, "type", type);
    json_put_member(writer, "title", problem->title);
    json_put_member_int(writer, "status", problem->status);
    json_put_member(writer, "code", problem->code);
    put_optional(writer, "field", problem->field);
    put_optional(writer, "detail", problem->detail);
    put_optional(writer, "rule", problem->rule);
    put_optional(writer, "request_id", request_id);
    put_member(writer, problem);
    json_end_object(writer);
}
