/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/read_audit.h"

#include <string.h>

#define NUMBER_DIGITS_MAX 18u

struct parameter {
    const char *name; /* With its '='. */
    uint64_t least;
    uint64_t most;
    uint64_t value;
    bool seen;
};

static bool parse_number(const char *text, size_t size, uint64_t *out_value)
{
    uint64_t value = 0;

    if (size == 0 || size > NUMBER_DIGITS_MAX)
        return false;
    for (size_t i = 0; i < size; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        value = 10 * value + (uint64_t)(text[i] - '0');
    }
    *out_value = value;
    return true;
}

static bool parse_pair(const char *pair, size_t size, struct parameter *parameters, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        struct parameter *parameter = &parameters[i];
        size_t prefix = strlen(parameter->name);
        if (size < prefix || strncmp(pair, parameter->name, prefix) != 0)
            continue;
        bool good = !parameter->seen &&
                    parse_number(pair + prefix, size - prefix, &parameter->value) &&
                    parameter->value >= parameter->least && parameter->value <= parameter->most;
        parameter->seen = true;
        return good;
    }
    return false;
}

static bool parse_query(const char *query, struct parameter *parameters, unsigned count)
{
    while (*query != '\0') {
        size_t size = strcspn(query, "&");
        if (!parse_pair(query, size, parameters, count))
            return false;
        query += size;
        if (*query == '&' && *++query == '\0')
            return false;
    }
    return true;
}

void read_audit_head(struct request *request, struct buffer *out)
{
    request_refuse_extras(request, false);
    message_caller_encode(&request->caller, out);
}

void read_audit_entries(struct request *request, struct buffer *out)
{
    struct parameter parameters[] = {
        {.name = "start=", .most = INT64_MAX},
        {.name = "limit=",
         .least = 1,
         .most = CONTRACT_AUDIT_ENTRIES_MAX,
         .value = CONTRACT_AUDIT_ENTRIES_MAX},
    };

    request_refuse_extras(request, true);
    if (!parse_query(request->query, parameters, 2))
        request_refuse(request, PROBLEM_INVALID_FIELD, NULL,
                       "The query is start=N, from 0, and limit=M, 1 to 256; each may be absent.");
    message_caller_encode(&request->caller, out);
    buffer_add_u64(out, parameters[0].value);
    buffer_add_u32(out, (uint32_t)parameters[1].value);
}
