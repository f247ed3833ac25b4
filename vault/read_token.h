/* SPDX-License-Identifier: Apache-2.0 */
/* vault/read_token.h -- requests about a token that stands in the path.
 *
 * In      a path's segment.
 * Out     a message; "" stands for what cannot be a token, so that the keeper records that, too.
 * Never   resolves percent-encoding: no token needs it.
 * Threads the front's.
 */
#ifndef VAULT_READ_TOKEN_H
#define VAULT_READ_TOKEN_H

#include <stddef.h>

#include "vault/request.h"

/* 1 to `size_max` of letters, digits, _ and -. */
bool read_token_is_plain(const char *text, size_t size_max);

/* GET and DELETE /v1/tokens/{token}. */
void read_token(struct request *request, struct buffer *out);

#endif
