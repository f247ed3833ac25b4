/* SPDX-License-Identifier: Apache-2.0 */
/* base/client_request.h -- the head of a request as its bytes.
 *
 * In      a client_request.
 * Out     request line and header lines, with Host and Content-Length and nothing else of our own.
 * Never   writes a text that could break the framing, or a second framing beside ours.
 * Threads any.
 */
#ifndef BASE_CLIENT_REQUEST_H
#define BASE_CLIENT_REQUEST_H

#include "base/client.h"

#define CLIENT_ADDRESSES_MAX 1024u /* Of their text, with the NUL. */

/* Into an empty buffer.  WHY_BAD_INPUT when a text could break the framing, WHY_LIMIT when one is
 * too long. */
STATUS client_request_write(const struct client_request *request, struct buffer *out);

#endif
