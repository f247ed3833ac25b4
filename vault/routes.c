/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/routes.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "vault/front_tls.h"
#include "vault/read_audit.h"
#include "vault/read_card.h"
#include "vault/read_lease.h"
#include "vault/read_token.h"

#define TOKEN_SEGMENT "{token}"
#define PATH_TOKEN    CONTRACT_PATH_TOKENS "/" TOKEN_SEGMENT
#define PATH_KEY      CONTRACT_PATH_KEYS "/" TOKEN_SEGMENT
#define PATH_APPROVAL CONTRACT_PATH_APPROVALS "/" TOKEN_SEGMENT
#define PATH_JOB      CONTRACT_PATH_JOBS "/" TOKEN_SEGMENT
#define PATH_ERASURE  CONTRACT_PATH_ERASURES "/" TOKEN_SEGMENT

/* What is matched first counts, so that no token can be called "batch". */
static const struct route routes[] = {
    {"POST", CONTRACT_PATH_TOKENS, MESSAGE_TOKENIZE, read_card_one},
    {"POST", CONTRACT_PATH_BATCH, MESSAGE_TOKENIZE, read_card_batch},
    {"GET", PATH_TOKEN, MESSAGE_SHOW, read_token},
    {"DELETE", PATH_TOKEN, MESSAGE_ERASE, read_token},
    {"POST", PATH_TOKEN "/cvv", MESSAGE_CVV_STORE, read_card_cvv},
    {"POST", CONTRACT_PATH_LEASES, MESSAGE_LEASE, read_lease_all},
    {"POST", CONTRACT_PATH_SETTLEMENTS, MESSAGE_SETTLE, read_lease_settlements},
    {"GET", CONTRACT_PATH_AUDIT_CHECKPOINT, MESSAGE_AUDIT_HEAD, read_audit_head},
    {"GET", CONTRACT_PATH_AUDIT_ENTRIES, MESSAGE_AUDIT_READ, read_audit_entries},
    {"POST", CONTRACT_PATH_BACKUPS, MESSAGE_BACKUP, request_read_nothing},
    {"GET", CONTRACT_PATH_BACKUPS, MESSAGE_BACKUP_STATE, request_read_nothing},
    {"GET", CONTRACT_PATH_SEAL, MESSAGE_SEAL_STATE, request_read_text},
    {"POST", CONTRACT_PATH_SEAL "/seal", MESSAGE_SEAL_SHUT, request_read_text},
    {"POST", CONTRACT_PATH_SEAL "/init", MESSAGE_SEAL_INIT, request_read_text},
    {"POST", CONTRACT_PATH_SEAL "/rekey", MESSAGE_SEAL_REKEY, request_read_text},
    {"POST", CONTRACT_PATH_SEAL "/accept", MESSAGE_SEAL_ACCEPT, request_read_text},
    {"POST", CONTRACT_PATH_SEAL "/collect", MESSAGE_SEAL_COLLECT, request_read_text},
    {"POST", CONTRACT_PATH_SEAL "/confirm", MESSAGE_SEAL_CONFIRM, request_read_text},
    {"POST", CONTRACT_PATH_SEAL "/cancel", MESSAGE_SEAL_CANCEL, request_read_text},
    {"POST", CONTRACT_PATH_SEAL "/rehearsed", MESSAGE_SEAL_REHEARSED, request_read_text},
    {"POST", CONTRACT_PATH_SEAL "/unseal", MESSAGE_SEAL_UNSEAL, request_read_text},
    {"GET", CONTRACT_PATH_KEYS, MESSAGE_KEYS, request_read_text},
    {"GET", PATH_KEY, MESSAGE_KEY_SHOW, request_read_text},
    {"POST", PATH_KEY "/suspend", MESSAGE_KEY_SUSPEND, request_read_text},
    {"POST", PATH_KEY "/activate", MESSAGE_KEY_ACTIVATE, request_read_text},
    {"POST", PATH_KEY "/deactivate", MESSAGE_KEY_DEACTIVATE, request_read_text},
    {"POST", PATH_KEY "/compromise", MESSAGE_KEY_COMPROMISE, request_read_text},
    {"POST", PATH_KEY "/destroy", MESSAGE_KEY_DESTROY, request_read_text},
    {"GET", CONTRACT_PATH_INVENTORY, MESSAGE_INVENTORY, front_tls_read_inventory},
    {"POST", CONTRACT_PATH_RETENTION, MESSAGE_RETENTION_ASK, request_read_text},
    {"GET", CONTRACT_PATH_RETENTION, MESSAGE_RETENTION, request_read_text},
    {"POST", CONTRACT_PATH_ERASURES, MESSAGE_ERASE_ASK, request_read_text},
    {"GET", CONTRACT_PATH_ERASURES, MESSAGE_ERASURES, request_read_text},
    {"GET", PATH_ERASURE, MESSAGE_ERASURE, request_read_text},
    {"GET", CONTRACT_PATH_SIGNER, MESSAGE_SIGNER_STATE, request_read_text},
    {"POST", CONTRACT_PATH_SIGNER "/rotate", MESSAGE_SIGNER_ROTATE, request_read_text},
    {"GET", CONTRACT_PATH_APPROVALS, MESSAGE_APPROVALS, request_read_text},
    {"POST", PATH_APPROVAL, MESSAGE_APPROVE, request_read_text},
    {"DELETE", PATH_APPROVAL, MESSAGE_APPROVE_CANCEL, request_read_text},
    {"POST", CONTRACT_PATH_SEAL "/migrate", MESSAGE_SEAL_MIGRATE, request_read_text},
    {"POST", CONTRACT_PATH_ROTATIONS, MESSAGE_ROTATE, request_read_text},
    {"GET", CONTRACT_PATH_JOBS, MESSAGE_JOBS, request_read_text},
    {"GET", PATH_JOB, MESSAGE_JOB_SHOW, request_read_text},
    {"POST", PATH_JOB "/pause", MESSAGE_JOB_PAUSE, request_read_text},
    {"POST", PATH_JOB "/resume", MESSAGE_JOB_RESUME, request_read_text},
    {"POST", PATH_JOB "/rate", MESSAGE_JOB_RATE, request_read_text},
};

#define ROUTES_COUNT (sizeof routes / sizeof routes[0])

const struct route *routes_at(unsigned index)
{
    return index < ROUTES_COUNT ? &routes[index] : NULL;
}

static void token_copy(const char *segment, size_t size, char out[static CONTRACT_TOKEN_MAX + 1])
{
    out[0] = '\0';
    if (size > CONTRACT_TOKEN_MAX)
        return;
    memcpy(out, segment, size);
    out[size] = '\0';
    if (!read_token_is_plain(out, CONTRACT_TOKEN_MAX))
        out[0] = '\0';
}

static bool path_matches(const char *pattern, const char *path,
                         char token[static CONTRACT_TOKEN_MAX + 1])
{
    const char *variable = strstr(pattern, TOKEN_SEGMENT);

    token[0] = '\0';
    if (variable == NULL)
        return strcmp(pattern, path) == 0;
    size_t before = (size_t)(variable - pattern);
    if (strncmp(pattern, path, before) != 0)
        return false;
    size_t size = strcspn(path + before, "/");
    if (size == 0 || strcmp(path + before + size, variable + strlen(TOKEN_SEGMENT)) != 0)
        return false;
    token_copy(path + before, size, token);
    return true;
}

static void allow_add(char allow[static ROUTES_ALLOW_MAX], const char *method)
{
    size_t used = strlen(allow);
    int size =
        snprintf(allow + used, ROUTES_ALLOW_MAX - used, "%s%s", used > 0 ? ", " : "", method);

    assert(size > 0);
    assert((size_t)size < ROUTES_ALLOW_MAX - used);
}

enum routes_match routes_find(const char *method, const char *path,
                              struct routes_result *out_result)
{
    const char *pattern = NULL;

    *out_result = (struct routes_result){0};
    for (unsigned i = 0; i < ROUTES_COUNT && pattern == NULL; i++)
        if (path_matches(routes[i].pattern, path, out_result->token))
            pattern = routes[i].pattern;
    if (pattern == NULL)
        return ROUTES_NO_PATH;
    for (unsigned i = 0; i < ROUTES_COUNT; i++) {
        if (strcmp(routes[i].pattern, pattern) != 0)
            continue;
        if (strcmp(routes[i].method, method) == 0) {
            out_result->route = &routes[i];
            return ROUTES_FOUND;
        }
        allow_add(out_result->allow, routes[i].method);
    }
    return ROUTES_NO_METHOD;
}
