/* SPDX-License-Identifier: Apache-2.0 */
/* vault/routes.h -- which requests there are.
 *
 * In      a method and a path.
 * Out     the route, and the token that stands in the path.
 * Never   guesses: a path is one of a few patterns, or unknown.
 * Threads any.
 */
#ifndef VAULT_ROUTES_H
#define VAULT_ROUTES_H

#include "vault/message.h"
#include "vault/request.h"

#define ROUTES_ALLOW_MAX 64u

struct route {
    const char *method;
    const char *pattern; /* With at most one "{token}", a whole segment. */
    enum message_type type;
    request_read_fn read;
};

enum routes_match { ROUTES_FOUND, ROUTES_NO_PATH, ROUTES_NO_METHOD };

struct routes_result {
    const struct route *route;          /* ROUTES_FOUND only. */
    char token[CONTRACT_TOKEN_MAX + 1]; /* "" where there is none, or none that could be one. */
    char allow[ROUTES_ALLOW_MAX];       /* ROUTES_NO_METHOD: for the Allow header. */
};

enum routes_match routes_find(const char *method, const char *path,
                              struct routes_result *out_result);

/* Index from 0; NULL at the end. */
const struct route *routes_at(unsigned index);

#endif
