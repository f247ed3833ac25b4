/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/read_token.h"

#include <string.h>

bool read_token_is_plain(const char *text, size_t size_max)
{
    size_t size = strspn(text, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_-");

    return size >= 1 && size <= size_max && text[size] == '\0';
}

void read_token(struct request *request, struct buffer *out)
{
    request_refuse_extras(request, false);
    message_caller_encode(&request->caller, out);
    buffer_add_counted(out, request->token);
}
