/* SPDX-License-Identifier: Apache-2.0 */
/* What two persons agree on, against the log: a request that was ended and waits again could be
 * carried out twice. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "vault/approve.h"
#include "vault/approve_parts.h"
#include "vault/verify.h"

#define IDS_MAX (1u << 20)

static const struct {
    const char *event;
    enum approve_state state;
} said[] = {
    {"approval.ask", APPROVE_WAITING},
    {"approval.approve", APPROVE_DONE},
    {"approval.cancel", APPROVE_CANCELLED},
    {"approval.expire", APPROVE_EXPIRED},
};

/* 0: it names none. */
static uint64_t id_of(const char *object)
{
    static const char prefix[] = "apr_";
    uint64_t id = 0;

    if (strncmp(object, prefix, sizeof prefix - 1) != 0)
        return 0;
    for (const char *at = object + sizeof prefix - 1; *at >= '0' && *at <= '9' && id < IDS_MAX;
         at++)
        id = 10 * id + (uint64_t)(*at - '0');
    return id;
}

STATUS verify_jobs_entry(struct verify *verify, const char *event, const char *object, uint64_t seq)
{
    uint64_t id = id_of(object);

    if (id == 0 || id > IDS_MAX)
        return STATUS_OK;
    if (id > verify->request_count) {
        size_t count = 2 * (size_t)id;
        struct verify_request *grown = reallocarray(verify->requests, count, sizeof *grown);
        ENSURE(grown != NULL, WHY_NO_MEMORY);
        memset(grown + verify->request_count, 0, (count - verify->request_count) * sizeof *grown);
        verify->requests = grown;
        verify->request_count = count;
    }
    for (size_t i = 0; i < sizeof said / sizeof said[0]; i++)
        if (strcmp(event, said[i].event) == 0)
            verify->requests[id - 1] = (struct verify_request){.state = said[i].state, .seq = seq};
    return STATUS_OK;
}

/* One that is not authentic is named where its turn comes. */
STATUS verify_jobs_end(struct verify *verify)
{
    for (size_t i = 0; i < verify->request_count; i++) {
        const struct verify_request *last = &verify->requests[i];
        struct approve_request request;
        uint8_t key[STORE_JOB_KEY_BYTES] = {STORE_JOB_APPROVAL};
        struct verify_place place = {STORE_JOBS, key, sizeof key};
        if (last->state == 0)
            continue;
        for (unsigned at = 0; at < 8; at++)
            key[1 + at] = (uint8_t)((uint64_t)(i + 1) >> (56 - 8 * at));
        struct status status = approve_get(&verify->keeper, i + 1, &request);
        if (status.why == WHY_NOT_FOUND)
            verify_find(verify, &place, VERIFY_MISSING,
                        "the log has this request at entry %" PRIu64 ", and its row is gone",
                        last->seq);
        else if (!failed(status) && request.state != last->state)
            verify_find(verify, &place, VERIFY_ROLLED_BACK,
                        "it is %s, and the log says otherwise at entry %" PRIu64,
                        approve_state_name(request.state), last->seq);
    }
    return STATUS_OK;
}

bool verify_jobs_request_holds(struct verify *verify, uint64_t id, enum verify_kind *out_kind,
                               const char **out_text)
{
    struct approve_request request;

    *out_kind = VERIFY_UNAUTHENTIC;
    *out_text = "it is no request that can be read";
    if (failed(approve_get(&verify->keeper, id, &request)))
        return false;
    *out_kind = VERIFY_ORPHANED;
    *out_text = "the log does not say who asked for it";
    return !verify->log_holds ||
           (id != 0 && id <= verify->request_count && verify->requests[id - 1].state != 0);
}
