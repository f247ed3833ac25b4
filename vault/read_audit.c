/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/read_audit.h"

#include "policies/audit_page.h"

void read_audit_head(struct request *request, struct buffer *out)
{
    request_refuse_extras(request, false);
    message_caller_encode(&request->caller, out);
}

void read_audit_entries(struct request *request, struct buffer *out)
{
    uint64_t start = 0;
    unsigned limit = 0;

    request_refuse_extras(request, true);
    if (failed(audit_page_query(request->query, &start, &limit)))
        request_refuse(request, PROBLEM_INVALID_FIELD, NULL, AUDIT_PAGE_QUERY_HELP);
    message_caller_encode(&request->caller, out);
    buffer_add_u64(out, start);
    buffer_add_u32(out, limit);
}
